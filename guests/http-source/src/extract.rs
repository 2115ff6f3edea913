//! Makes records of answers.
//!
//! | `output_type` | `output_parts` | record |
//! |---|---|---|
//! | `text` | `body` | the body, byte for byte; only another declared charset is turned into UTF-8 |
//! | `text` | `full` | `HTTP/1.1 200 OK`, the header lines `name: value`, an empty line, the body; line feeds between |
//! | `json` | `body` | `{"body":"…"}` |
//! | `json` | `full` | `{"status":{"version":…,"code":…,"string":…},"header":{…},"body":"…"}` |
//!
//! An event of a stream of events has `"event":"…"`, and `"id":"…"` when there is one, in front of its body.
//!
//! In JSON a body that is not UTF-8 stands with replacement characters, as the official connector has it,
//! and beside it, without loss, as `body_base64`; a header value that is not UTF-8 is read as Latin-1.
//! Names of headers are in lower case, in `json` sorted, and one that is repeated is a list. WASI does not
//! say which version of HTTP was spoken; it is always given as `HTTP/1.1`.
//!
//! Where the declared charset is not that of the body, or `records` or `key` finds nothing, the error is of
//! kind `data`.
//!
//! With `records` each element of an array in the body is a record: its own text, without the white space
//! between tokens, so keys keep their order and numbers all their digits.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector_sdk::http::{Headers, reason};
use connector_sdk::json::{Found, Pointer, compact};
use connector_sdk::{Batch, Error, Limit, Result};
use encoding_rs::{Encoding, UTF_8};
use serde::Serialize;

use crate::config::{Config, OutputParts, OutputType};
use crate::elements::{Delivery, Elements, not_json, nothing_there, without_mark};
use crate::events::Event;
use crate::protocol::{Answer, Head};

const VERSION: &str = "HTTP/1.1";

/// Turns answers into records.
#[derive(Debug)]
pub struct Extractor {
    parts: OutputParts,
    form: OutputType,
    records: Option<Pointer>,
    key: Option<Pointer>,
}

impl Extractor {
    /// An extractor as the configuration wants it.
    pub fn new(config: &Config) -> Self {
        Self {
            parts: config.output_parts,
            form: config.output_type,
            records: config.records.clone(),
            key: config.key.clone(),
        }
    }

    /// Begins to deliver an answer.
    ///
    /// # Errors
    /// Kind `data` when `records` finds no array in it.
    pub fn start(&self, answer: Answer) -> Result<Delivery> {
        if answer.head.status == 304 {
            return Ok(Delivery::Whole(None));
        }
        let Some(pointer) = &self.records else { return Ok(Delivery::Whole(Some(answer))) };
        let Answer { head: Head { headers, place, .. }, body, .. } = answer;
        let body = match decoded(&headers, &body).map_err(|error| error.context(&place))? {
            Cow::Owned(text) => text,
            Cow::Borrowed(_) => body,
        };
        Elements::new(pointer, body, place).map(Delivery::Elements)
    }

    /// Adds records until the limit or the end of the answer; says whether that is reached.
    ///
    /// # Errors
    /// Kind `data` for a record that has no key where one is asked for; the ones before it went out with
    /// earlier batches, the ones after it follow.
    pub fn fill(&self, delivery: &mut Delivery, batch: &mut Batch, limit: &Limit) -> Result<bool> {
        match delivery {
            Delivery::Whole(answer) => {
                if let Some(answer) = answer.take() {
                    self.piece(&answer.head, &answer.body, batch)?;
                }
                Ok(true)
            }
            Delivery::Elements(elements) => {
                while let Some(element) = elements.first() {
                    if limit.is_full(batch) {
                        return Ok(false);
                    }
                    let text = elements.text(&element);
                    let key = self.key(text);
                    if key.is_err() && !batch.is_empty() {
                        return Ok(false);
                    }
                    let made = key.map(|key| batch.push_keyed_with(key.as_deref(), |out| compact(text, out)));
                    let made = made.map_err(|error| error.context(elements.here()));
                    elements.pass(&element);
                    made?;
                }
                Ok(true)
            }
        }
    }

    /// Adds one record: a whole body, or one piece of a stream.
    ///
    /// # Errors
    /// Kind `data` when it has no key where one is asked for.
    pub fn piece(&self, head: &Head, body: &[u8], batch: &mut Batch) -> Result<()> {
        let body = decoded(&head.headers, body).map_err(|error| error.context(&head.place))?;
        self.record(head, &body, None, batch)
    }

    /// Adds one record: an event, whose text is UTF-8 whatever else is declared.
    ///
    /// # Errors
    /// Kind `data` when it has no key where one is asked for.
    pub fn event(&self, head: &Head, event: &Event, batch: &mut Batch) -> Result<()> {
        self.record(head, &event.data, Some(event), batch)
    }

    fn record(&self, head: &Head, body: &[u8], event: Option<&Event>, batch: &mut Batch) -> Result<()> {
        let key = match &self.key {
            None => None,
            Some(_) => self.key(without_mark(body)).map_err(|error| error.context(&head.place))?,
        };
        let mut written = Ok(());
        batch.push_keyed_with(key.as_deref(), |out| match self.form {
            OutputType::Text => text(head, body, self.parts, out),
            OutputType::Json => written = json(head, body, event, self.parts, out),
        });
        written
    }

    /// The key that the configuration asks for: a string's content, any other value's text; null is none.
    fn key(&self, json: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(pointer) = &self.key else { return Ok(None) };
        let raw = match pointer.find(json).map_err(|error| not_json(&error, json))? {
            Found::Value(raw) => raw,
            Found::Missing { at, there } => return Err(nothing_there("key", pointer, &at, &there)),
        };
        Ok(match raw.get().as_bytes().first() {
            Some(b'n') => None,
            Some(b'"') => {
                let text: String = serde_json::from_str(raw.get()).map_err(|error| not_json(&error, json))?;
                Some(text.into_bytes())
            }
            _ => {
                let mut key = Vec::new();
                compact(raw.get().as_bytes(), &mut key);
                Some(key)
            }
        })
    }
}

/// The body in UTF-8, if its type declares another charset; else as it is. A charset that nobody knows is
/// passed over, as everywhere.
fn decoded<'a>(headers: &Headers, body: &'a [u8]) -> Result<Cow<'a, [u8]>> {
    let Some(encoding) = headers.get_str("content-type").and_then(charset) else { return Ok(Cow::Borrowed(body)) };
    let wrong = |at: String| {
        Error::data(format!("the body is not the {} that its `Content-Type` declares{at}", encoding.name()))
    };
    if encoding == UTF_8 {
        return match std::str::from_utf8(body) {
            Ok(_) => Ok(Cow::Borrowed(body)),
            Err(error) => Err(wrong(format!(": byte {} does not fit", error.valid_up_to()))),
        };
    }
    match encoding.decode(body) {
        (_, _, true) => Err(wrong(String::new())),
        (Cow::Borrowed(_), ..) => Ok(Cow::Borrowed(body)),
        (Cow::Owned(text), ..) => Ok(Cow::Owned(text.into_bytes())),
    }
}

fn charset(content_type: &str) -> Option<&'static Encoding> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("charset").then(|| Encoding::for_label(value.as_bytes()))?
    })
}

fn text(head: &Head, body: &[u8], parts: OutputParts, out: &mut Vec<u8>) {
    if parts == OutputParts::Full {
        let status = format!("{VERSION} {} {}\n", head.status, reason(head.status).unwrap_or_default());
        out.extend_from_slice(status.as_bytes());
        let mut lines = 0;
        for (name, value) in head.headers.iter() {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.push(b'\n');
            lines += 1;
        }
        // An answer without headers has an empty line in their place.
        out.extend_from_slice(if lines == 0 { b"\n\n" } else { b"\n" });
    }
    out.extend_from_slice(body);
}

#[derive(Serialize)]
struct JsonRecord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<JsonStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<BTreeMap<&'a str, JsonHeader<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    body: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

#[derive(Serialize)]
struct JsonStatus {
    version: &'static str,
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    string: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum JsonHeader<'a> {
    One(Cow<'a, str>),
    Many(Vec<Cow<'a, str>>),
}

fn json(head: &Head, body: &[u8], event: Option<&Event>, parts: OutputParts, out: &mut Vec<u8>) -> Result<()> {
    let body = without_mark(body);
    let text = String::from_utf8_lossy(body);
    let body_base64 = match text {
        Cow::Borrowed(_) => None,
        Cow::Owned(_) => Some(STANDARD.encode(body)),
    };
    let full = parts == OutputParts::Full;
    let status = full.then(|| JsonStatus { version: VERSION, code: head.status, string: reason(head.status) });
    let header = full.then(|| json_headers(&head.headers));
    let id = event.map(|event| event.id.as_str()).filter(|id| !id.is_empty());
    let event = event.map(|event| event.name.as_str());
    let record = JsonRecord { status, header, event, id, body: &text, body_base64 };
    serde_json::to_writer(out, &record).map_err(|error| Error::internal(format!("a record as JSON: {error}")))
}

fn json_headers(headers: &Headers) -> BTreeMap<&str, JsonHeader<'_>> {
    let mut map = BTreeMap::new();
    for (name, value) in headers.iter() {
        let value = match std::str::from_utf8(value) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => value.iter().map(|&byte| char::from(byte)).collect(),
        };
        match map.get_mut(name) {
            None => {
                map.insert(name, JsonHeader::One(value));
            }
            Some(JsonHeader::Many(values)) => values.push(value),
            Some(one @ JsonHeader::One(_)) => {
                if let JsonHeader::One(first) = std::mem::replace(one, JsonHeader::Many(Vec::new())) {
                    *one = JsonHeader::Many(vec![first, value]);
                }
            }
        }
    }
    map
}

#[cfg(test)]
mod tests;
