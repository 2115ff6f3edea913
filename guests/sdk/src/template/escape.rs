//! What may stand where: bytes of a record on their way into an address, a header or JSON.
//!
//! Everything that would have a meaning of its own in that place is written so that it has none, or refused
//! where there is no such way.

use std::io::Write as _;

/// The kind of place where a placeholder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The path of an address.
    Path,
    /// The query of an address.
    Query,
    /// The value of a header.
    Header,
    /// Inside of a JSON string.
    JsonString,
    /// Outside of a JSON string, where a value stands.
    JsonValue,
    /// Text of which nothing is known.
    Plain,
}

/// Appends text as it may stand in a place. (A JSON value is the caller's to make: here it is taken for the
/// content of a string.)
///
/// # Errors
/// When it can't stand there: why, to be read behind the name of what it is.
pub fn append(place: Place, text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    match place {
        Place::Path if text.is_empty() => Err("is empty, which would change the path".to_owned()),
        Place::Path | Place::Query => {
            percent_encode(text, out);
            Ok(())
        }
        Place::Header => match text.iter().find(|&&byte| byte == 0x7f || (byte < b' ' && byte != b'\t')) {
            Some(b'\r' | b'\n') => Err("holds a line break, which can't stand in a header".to_owned()),
            Some(byte) => Err(format!("holds a control character (0x{byte:02x}), which can't stand in a header")),
            None => {
                out.extend_from_slice(text);
                Ok(())
            }
        },
        Place::JsonString | Place::JsonValue => json_string(text, out),
        Place::Plain => {
            out.extend_from_slice(text);
            Ok(())
        }
    }
}

/// Appends a number, which may stand anywhere.
pub fn append_number(number: i64, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = write!(out, "{number}");
}

/// Writes everything but unreserved characters (RFC 3986, 2.3) as `%XX`.
fn percent_encode(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}

/// Writes the content of a JSON string.
fn json_string(text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let text = std::str::from_utf8(text).map_err(|_| "is not UTF-8, so it can't stand in JSON".to_owned())?;
    let start = out.len();
    serde_json::to_writer(&mut *out, text).map_err(|error| error.to_string())?;
    // The quotes are the template's.
    out.pop();
    out.remove(start);
    Ok(())
}

/// Whether an address, filled in, leads where its template says: a `.` or `..` between two slashes, however
/// it is written, would lead elsewhere.
pub fn keeps_its_path(address: &[u8]) -> bool {
    let end = address.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(address.len());
    let mut segments = address[..end].split(|byte| matches!(byte, b'/' | b'\\'));
    segments.all(|segment| {
        let mut dots = 0;
        let mut rest = segment;
        while let Some(after) =
            rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b"%2e")).or_else(|| rest.strip_prefix(b"%2E"))
        {
            dots += 1;
            rest = after;
        }
        !(rest.is_empty() && (dots == 1 || dots == 2))
    })
}
