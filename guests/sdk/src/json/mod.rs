//! JSON text as it is: found by pointers, cut and squeezed without building values, so that numbers keep all
//! their digits and keys their order.

mod pointer;

pub use pointer::{Found, Pointer};

/// Appends JSON without the white space between tokens. The text is known to be JSON; of other text it makes
/// other text.
///
/// ```
/// let mut out = Vec::new();
/// connector_sdk::json::compact(br#"{ "a b" : [1.50, "c  d"] }"#, &mut out);
/// assert_eq!(out, br#"{"a b":[1.50,"c  d"]}"#);
/// ```
pub fn compact(json: &[u8], out: &mut Vec<u8>) {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b' ' | b'\t' | b'\n' | b'\r')) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let length = if rest[0] == b'"' { string_length(rest) } else { 0 };
        out.extend_from_slice(&rest[..length]);
        rest = &rest[length.max(1)..];
    }
    out.extend_from_slice(rest);
}

/// How long the string is that the text begins with, quotes included.
#[must_use]
pub fn string_length(json: &[u8]) -> usize {
    let mut index = 1;
    while index < json.len() {
        match json[index] {
            b'"' => return index + 1,
            b'\\' => index += 2,
            _ => index += 1,
        }
    }
    json.len()
}
