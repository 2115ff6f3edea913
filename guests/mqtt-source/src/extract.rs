//! Makes records of messages.
//!
//! | `payload` | record |
//! |---|---|
//! | `binary` (the official default) | `{"mqtt_topic":"a/b","payload":[104,105]}` |
//! | `json` | `{"mqtt_topic":"a/b","payload":{"as":"it came"}}`, without white space between tokens |
//! | `text` | `{"mqtt_topic":"a/b","payload":"hi"}`; the payload must be UTF-8 |
//! | `base64` | `{"mqtt_topic":"a/b","payload":"aGk="}` |
//! | `raw` | the payload, byte for byte |
//!
//! On request there is more: `"qos"`, `"retain"`, and `"properties"` with what MQTT 5 knows of a message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector_sdk::json::{Found, compact};
use connector_sdk::{Batch, Error, Result};
use mqtt_kit::{Property, Publish};
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::config::{Config, Include, Key, Payload};

/// Turns messages into records.
#[derive(Debug)]
pub struct Extractor {
    form: Payload,
    key: Option<Key>,
    qos: bool,
    retain: bool,
    properties: bool,
}

impl Extractor {
    /// An extractor as the configuration wants it.
    ///
    /// # Errors
    /// Kind `config` for what can't go together.
    pub fn new(config: &Config) -> Result<Self> {
        let includes = |what| config.include.contains(&what);
        Ok(Self {
            form: config.form()?,
            key: config.key.clone(),
            qos: includes(Include::Qos),
            retain: includes(Include::Retain),
            properties: includes(Include::Properties),
        })
    }

    /// Adds the record of a message.
    ///
    /// # Errors
    /// Kind `data` when the payload is not what the configuration says it is; nothing is added then.
    pub fn push(&self, message: &Publish, batch: &mut Batch) -> Result<()> {
        let unusable = |error: Error| error.context(format_args!("a message to `{}`", message.topic()));
        self.check(message.payload()).map_err(unusable)?;
        let found;
        let key = match &self.key {
            None => None,
            Some(Key::Topic) => Some(message.topic().as_bytes()),
            Some(pointer @ Key::Pointer(_)) => {
                found = key_in(pointer, message.payload()).map_err(unusable)?;
                found.as_deref()
            }
        };
        match self.form {
            Payload::Raw => batch.push_record(key, message.payload(), None),
            _ => batch.push_keyed_with(key, |out| self.write(message, out)),
        }
        Ok(())
    }

    fn check(&self, payload: &[u8]) -> Result<()> {
        match self.form {
            Payload::Json => serde_json::from_slice::<IgnoredAny>(payload)
                .map(|_| ())
                .map_err(|error| unusable("JSON", &error.to_string(), payload)),
            Payload::Text => match std::str::from_utf8(payload) {
                Ok(_) => Ok(()),
                Err(error) => Err(unusable("UTF-8", &error.to_string(), payload)),
            },
            Payload::Raw | Payload::Base64 | Payload::Binary => Ok(()),
        }
    }

    fn write(&self, message: &Publish, out: &mut Vec<u8>) {
        let payload = message.payload();
        out.extend_from_slice(b"{\"mqtt_topic\":");
        json(&message.topic(), out);
        out.extend_from_slice(b",\"payload\":");
        match self.form {
            Payload::Json => compact(payload, out),
            Payload::Text => json(&String::from_utf8_lossy(payload), out),
            Payload::Base64 => json(&STANDARD.encode(payload), out),
            Payload::Binary => json(&payload, out),
            // Has no envelope, and never comes here.
            Payload::Raw => {}
        }
        if self.qos {
            out.extend_from_slice(b",\"qos\":");
            json(&u8::from(message.qos()), out);
        }
        if self.retain {
            out.extend_from_slice(b",\"retain\":");
            json(&message.retain(), out);
        }
        if self.properties {
            out.extend_from_slice(b",\"properties\":");
            json(&Properties::of(message), out);
        }
        out.push(b'}');
    }
}

/// Writes what always can be written as JSON into memory, which never refuses.
fn json<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "text and numbers are JSON");
}

fn unusable(what: &str, why: &str, payload: &[u8]) -> Error {
    const SHOWN: usize = 200;
    let start: String = String::from_utf8_lossy(&payload[..payload.len().min(SHOWN)]).escape_debug().collect();
    let rest = if payload.len() > SHOWN { "…" } else { "" };
    Error::data(format!("its payload is not {what} ({why}): `{start}{rest}`"))
}

/// The key at a place in the payload: a string's content, any other value's text; null is none.
fn key_in(key: &Key, payload: &[u8]) -> Result<Option<Vec<u8>>> {
    let Key::Pointer(pointer) = key else { return Ok(None) };
    let not_json = |error: serde_json::Error| unusable("JSON", &error.to_string(), payload);
    let raw = match pointer.find(payload).map_err(not_json)? {
        Found::Value(raw) => raw.get(),
        Found::Missing { at, there } => {
            let at = if at.is_empty() { "the payload".to_owned() } else { format!("`{at}`") };
            return Err(Error::data(format!("`key: {pointer}` finds nothing: {at} is {there}")));
        }
    };
    Ok(match raw.as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') => Some(serde_json::from_str::<String>(raw).map_err(not_json)?.into_bytes()),
        _ => {
            let mut text = Vec::new();
            compact(raw.as_bytes(), &mut text);
            Some(text)
        }
    })
}

/// What MQTT 5 knows of a message, beside its topic and payload.
#[derive(Default, Serialize)]
struct Properties<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_expiry: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<&'a str>,
    /// In Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data: Option<String>,
    /// Names and values in their order; a name may stand more than once.
    user: Vec<(&'a str, &'a str)>,
}

impl<'a> Properties<'a> {
    fn of(message: &'a Publish) -> Self {
        let mut all = Self::default();
        for property in message.properties() {
            match property {
                Property::ContentType(text) => all.content_type = Some(text.val()),
                Property::PayloadFormatIndicator(format) => {
                    all.payload_format = Some(if format.val() == 1 { "utf-8" } else { "bytes" });
                }
                Property::MessageExpiryInterval(seconds) => all.message_expiry = Some(seconds.val()),
                Property::ResponseTopic(topic) => all.response_topic = Some(topic.val()),
                Property::CorrelationData(data) => all.correlation_data = Some(STANDARD.encode(data.val())),
                Property::UserProperty(pair) => all.user.push((pair.key(), pair.val())),
                _ => {}
            }
        }
        all
    }
}

#[cfg(test)]
mod tests;
