//! Makes messages of records: the topic, the payload and the properties of each.
//!
//! A record that can't be one (no key where the topic wants one, a topic with a wildcard in it) fails alone,
//! with the reason, and the others go on.

use std::borrow::Cow;

use connector_sdk::json::{Found, Pointer};
use connector_sdk::template::{Context, Place, Template};
use connector_sdk::{Delivered, Delivery, Error, Result};
use mqtt_kit::{ContentType, MessageExpiryInterval, Property, UserProperty};

use crate::config::Config;

/// Turns records into messages.
#[derive(Debug)]
pub struct Extractor {
    topic: Template,
    payload: Option<Pointer>,
    user_properties: Vec<(String, Template)>,
    /// Properties that all messages have.
    fixed: Vec<Property>,
}

/// A message, ready to be sent.
#[derive(Debug)]
pub struct Message<'a> {
    /// The index of its record in the delivery.
    pub index: usize,
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Cow<'a, [u8]>,
    /// Its properties.
    pub properties: Vec<Property>,
}

impl Extractor {
    /// An extractor as the configuration wants it.
    ///
    /// # Errors
    /// Kind `config`, naming the key.
    pub fn new(config: &Config) -> Result<Self> {
        let parse = |key: &str, text: &str| {
            let wrong = |error: String| Error::config(format!("`mqtt.{key}`: {error}"));
            Template::parse(text, Place::Plain).map_err(wrong)
        };
        let topic = parse("topic", &config.topic)?;
        if topic.is_fixed() {
            check_topic(&config.topic).map_err(|why| Error::config(format!("`mqtt.topic`: {why}")))?;
        }
        let properties = config.user_properties.iter();
        let properties = properties.map(|(name, value)| Ok((name.clone(), parse("user-properties", value)?)));
        let mut fixed = Vec::new();
        if let Some(text) = &config.content_type {
            let text = ContentType::new(text.as_str());
            let text =
                text.map_err(|_| Error::config("`mqtt.content-type` can't be one: it is too long, or holds a zero"))?;
            fixed.push(text.into());
        }
        if let Some(span) = config.message_expiry {
            let seconds = u32::try_from(span.get().as_secs().max(1)).unwrap_or(u32::MAX);
            let span = MessageExpiryInterval::new(seconds);
            fixed.push(span.map_err(|_| Error::config("`mqtt.message-expiry` can't be one"))?.into());
        }
        let payload = config.payload.clone();
        Ok(Self { topic, payload, user_properties: properties.collect::<Result<_>>()?, fixed })
    }

    /// The message of a record.
    ///
    /// # Errors
    /// Kind `data` when it can't be one.
    pub fn message<'a>(&self, delivery: &'a Delivery, delivered: Delivered<'a>) -> Result<Message<'a>> {
        let context = Context { topic: &delivery.topic, partition: delivery.partition, delivered };
        let filled = |template: &Template| -> Result<String, String> {
            let bytes = template.fill(&context)?.into_owned();
            String::from_utf8(bytes).map_err(|_| "it is not UTF-8 when filled in".to_owned())
        };
        let refused = |what: &str| {
            let what = what.to_owned();
            move |why: String| Error::data(format!("{what}: {why}"))
        };
        let topic = filled(&self.topic).map_err(refused("`topic`"))?;
        check_topic(&topic).map_err(refused("`topic`"))?;
        let payload = match &self.payload {
            None => Cow::Borrowed(delivered.record.value),
            Some(pointer) => find(pointer, delivered.record.value).map_err(refused("`payload`"))?,
        };
        let mut properties = self.fixed.clone();
        for (name, value) in &self.user_properties {
            let value = filled(value).map_err(refused("`user-properties`"))?;
            let pair = UserProperty::new(name.as_str(), value.as_str());
            let pair =
                pair.map_err(|_| Error::data(format!("`user-properties`: `{name}` is too long, or holds a zero")))?;
            properties.push(pair.into());
        }
        Ok(Message { index: delivered.index, topic, payload, properties })
    }
}

/// Whether a message can be published to a topic, by the specification's rules.
fn check_topic(topic: &str) -> Result<(), String> {
    if topic.is_empty() {
        return Err("it is empty".to_owned());
    }
    if let Some(wildcard) = topic.chars().find(|c| matches!(c, '+' | '#')) {
        return Err(format!("`{topic}` holds `{wildcard}`, which only filters may"));
    }
    if topic.contains('\0') {
        return Err("it holds a zero".to_owned());
    }
    if topic.len() > usize::from(u16::MAX) {
        return Err(format!("it has {} bytes; 65535 are the most", topic.len()));
    }
    Ok(())
}

/// What a pointer finds: a string's content, the text of anything else.
fn find<'a>(pointer: &Pointer, value: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
    let not_json = |error: serde_json::Error| format!("the record's value is not JSON: {error}");
    match pointer.find(value).map_err(not_json)? {
        Found::Value(raw) if raw.get().starts_with('"') => {
            serde_json::from_str::<String>(raw.get()).map(|text| Cow::Owned(text.into_bytes())).map_err(not_json)
        }
        Found::Value(raw) => Ok(Cow::Borrowed(raw.get().as_bytes())),
        Found::Missing { at, there } => {
            let at = if at.is_empty() { "the value".to_owned() } else { format!("`{at}`") };
            Err(format!("`{pointer}` finds nothing: {at} is {there}"))
        }
    }
}
