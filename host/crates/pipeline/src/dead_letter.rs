//! Dead letters: what could not be used, kept as JSON on a topic of its own.
//!
//! One dead letter is one JSON object. Key and value stand in it as text where they are UTF-8 and as base64
//! where they are not; `encoding` says which, so that the original bytes can always be had back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

/// How a key or a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// As it is.
    Utf8,
    /// Standard base64 with padding.
    Base64,
}

/// Bytes, readable where they can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// How `data` is written.
    pub encoding: Encoding,
    /// The bytes, so written.
    pub data: String,
}

impl Payload {
    /// Writes bytes down.
    ///
    /// ```
    /// use host_pipeline::dead_letter::Payload;
    /// assert_eq!(Payload::new(b"soup").bytes(), Some(b"soup".to_vec()));
    /// assert_eq!(Payload::new(&[0xff, 0]).bytes(), Some(vec![0xff, 0]));
    /// ```
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { encoding: Encoding::Utf8, data: text.to_owned() },
            Err(_) => Self { encoding: Encoding::Base64, data: BASE64.encode(bytes) },
        }
    }

    /// The bytes again; `None` when somebody changed the base64.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self.encoding {
            Encoding::Utf8 => Some(self.data.clone().into_bytes()),
            Encoding::Base64 => BASE64.decode(&self.data).ok(),
        }
    }
}

/// Where a record stood before it became a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The topic it came from, or was meant for.
    pub topic: String,
    /// Its partition, when it came from a topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// Its offset, when it came from a topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// Its index in the batch that was read, when it came from a source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
}

/// One input that could not be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The connector's name.
    pub connector: String,
    /// The stage that refused it, as the configuration names it; `protocol` for the connector itself.
    pub stage: String,
    /// Why, in the stage's words.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Where it stood.
    pub position: Position,
    /// When it was given up, in Unix milliseconds.
    pub timestamp: i64,
    /// The key, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Payload>,
    /// The value, if there was a record at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Payload>,
    /// The key that a sink was handed, where stages had changed the record before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shaped_key: Option<Payload>,
    /// The value that a sink was handed, where stages had changed the record before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shaped_value: Option<Payload>,
}

impl DeadLetter {
    /// The JSON text that goes onto the topic.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers always make JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_reads_back_as_it_was() {
        let letter = DeadLetter {
            connector: "cats".into(),
            stage: "json-filter".into(),
            reason: "not JSON".into(),
            attempts: 1,
            position: Position { topic: "facts".into(), partition: None, offset: None, index: Some(3) },
            timestamp: 1_700_000_000_000,
            key: None,
            value: Some(Payload::new(&[0xc3, 0x28])),
            shaped_key: None,
            shaped_value: None,
        };
        let text = letter.to_json();
        assert_eq!(serde_json::from_slice::<DeadLetter>(&text).expect("our own JSON"), letter);
        assert_eq!(letter.value.expect("it has one").bytes(), Some(vec![0xc3, 0x28]));
    }
}
