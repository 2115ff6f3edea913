//! A complete answer on its way into batches, and the array in it whose elements become records.
//!
//! Nothing is kept of an element but its place in the text, which the JSON parser has seen to be sound: so
//! where it ends is where its brackets close.

use std::ops::Range;

use connector_sdk::json::{Found, Pointer, string_length};
use connector_sdk::{Error, Result};

use crate::cursor::fingerprint_text;
use crate::protocol::Answer;

/// An answer on its way into batches.
#[derive(Debug)]
pub enum Delivery {
    /// One record.
    Whole(Option<Answer>),
    /// The elements of an array that are not delivered yet.
    Elements(Elements),
}

/// An array in a body, element by element; nothing is kept of an element but its place.
#[derive(Debug)]
pub struct Elements {
    body: Vec<u8>,
    /// Where the text begins that is not delivered yet: behind `[` or an element.
    next: usize,
    /// How many elements that makes.
    taken: u64,
    /// The fingerprint of the body, once it was asked for.
    fingerprint: Option<String>,
    /// Where the answer came from, for messages.
    place: String,
}

impl Delivery {
    /// Whether there is nothing in it: no element, or no body that holds anything.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Whole(answer) => answer.as_ref().is_none_or(|answer| {
                let text: Vec<u8> =
                    answer.body.iter().filter(|byte| !byte.is_ascii_whitespace()).take(3).copied().collect();
                matches!(text.as_slice(), b"" | b"[]" | b"{}")
            }),
            Self::Elements(elements) => elements.taken == 0 && elements.first().is_none(),
        }
    }

    /// How many records of it are handed out, and the fingerprint of the body they are from, once there are
    /// some.
    pub fn position(&mut self) -> Option<(u64, String)> {
        match self {
            Self::Elements(elements) if elements.taken > 0 => {
                let print = elements.fingerprint.get_or_insert_with(|| fingerprint_text(&elements.body));
                Some((elements.taken, print.clone()))
            }
            _ => None,
        }
    }

    /// Goes on at a position of an earlier delivery, if it was of the same body. Says whether it was.
    pub fn resume(&mut self, (taken, print): &(u64, String)) -> bool {
        let Self::Elements(elements) = self else { return false };
        if fingerprint_text(&elements.body) != *print {
            return false;
        }
        while elements.taken < *taken
            && let Some(element) = elements.first()
        {
            elements.pass(&element);
        }
        true
    }
}

impl Elements {
    /// The elements of the array that the pointer leads to.
    ///
    /// # Errors
    /// Kind `data` when there is none.
    pub fn new(pointer: &Pointer, body: Vec<u8>, place: String) -> Result<Self> {
        let next = array(pointer, &body).map_err(|error| error.context(&place))?;
        Ok(Self { body, next, taken: 0, fingerprint: None, place })
    }

    /// The text of an element.
    pub fn text(&self, element: &Range<usize>) -> &[u8] {
        &self.body[element.clone()]
    }

    /// The first element is handed out, or given up.
    pub fn pass(&mut self, element: &Range<usize>) {
        self.next = element.end;
        self.taken += 1;
    }

    /// The first element, for messages.
    pub fn here(&self) -> String {
        format!("{}: element {}", self.place, self.taken)
    }

    /// Where the next element is. The text was found to be JSON, so its end is where its brackets close.
    pub fn first(&self) -> Option<Range<usize>> {
        let rest = &self.body[self.next..];
        let between = |byte: &u8| matches!(byte, b',' | b' ' | b'\t' | b'\n' | b'\r');
        let start = rest.iter().position(|byte| !between(byte))?;
        let element = &rest[start..];
        let length = match element[0] {
            b']' => return None,
            b'"' => string_length(element),
            b'[' | b'{' => nested_length(element),
            _ => element.iter().position(|byte| between(byte) || *byte == b']').unwrap_or(element.len()),
        };
        let start = self.next + start;
        Some(start..start + length)
    }
}

/// How long the array or object is that the text begins with.
fn nested_length(json: &[u8]) -> usize {
    let (mut depth, mut index) = (0usize, 0);
    while index < json.len() {
        match json[index] {
            b'"' => {
                index += string_length(&json[index..]);
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        index += 1;
        if depth == 0 {
            return index;
        }
    }
    json.len()
}

/// Where the first element of the array begins that the pointer leads to.
fn array(pointer: &Pointer, body: &[u8]) -> Result<usize> {
    let json = without_mark(body);
    let array = match pointer.find(json).map_err(|error| not_json(&error, json))? {
        Found::Value(raw) => raw.get(),
        Found::Missing { at, there } => return Err(nothing_there("records", pointer, &at, &there)),
    };
    let kind = match array.as_bytes().first() {
        Some(b'[') => return Ok(array.as_ptr().addr() - body.as_ptr().addr() + 1),
        Some(b'{') => "an object",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    };
    Err(Error::data(format!("`records: {pointer}` leads to {kind}, not to an array")))
}

/// The error for a pointer that finds nothing.
pub fn nothing_there(field: &str, pointer: &Pointer, at: &str, there: &str) -> Error {
    let at = if at.is_empty() { "the document".to_owned() } else { format!("`{at}`") };
    Error::data(format!("`{field}: {pointer}` finds nothing: {at} is {there}"))
}

/// The error for a text that is not JSON, with its beginning.
pub fn not_json(error: &serde_json::Error, body: &[u8]) -> Error {
    let start: String = String::from_utf8_lossy(&body[..body.len().min(60)]).escape_debug().collect();
    let rest = if body.len() > 60 { "…" } else { "" };
    Error::data(format!("the body is not JSON ({error}): `{start}{rest}`"))
}

/// The text without a UTF-8 byte order mark.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}
