//! Texts with placeholders, filled in from a record: `{{key}}`, `{{value}}`, `{{topic}}`, `{{partition}}`,
//! `{{offset}}`, `{{timestamp}}` and `{{/json/pointer}}` into the value.
//!
//! What a record brings can never change the meaning of the text around it: each placeholder knows the place
//! where it stands ([`Place`]), and writes what fits there, or refuses the record.
//!
//! ```
//! use connector_sdk::template::{Context, Place, Template};
//! use connector_sdk::{Batch, Delivery};
//!
//! let template = Template::parse("sensors/{{/id}}/{{key}}", Place::Plain)?;
//! let mut batch = Batch::default();
//! batch.push_record(Some(b"state"), br#"{"id": 7}"#, None);
//! let delivery = Delivery { batch, topic: "t".into(), offsets: vec![3], ..Delivery::default() };
//! for delivered in delivery.iter() {
//!     let context = Context { topic: &delivery.topic, partition: delivery.partition, delivered };
//!     assert_eq!(&*template.fill(&context)?, b"sensors/7/state");
//! }
//! # Ok::<(), String>(())
//! ```

mod escape;

use std::borrow::Cow;

use serde_json::value::RawValue;

pub use escape::{Place, keeps_its_path};

use crate::json::{Found, Pointer};
use crate::sink::Delivered;

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field, Place),
}

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Key,
    Value,
    Topic,
    Partition,
    Offset,
    Timestamp,
    Pointer(Pointer),
}

/// A record as templates see it.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The topic it comes from.
    pub topic: &'a str,
    /// The partition it comes from.
    pub partition: u32,
    /// The record.
    pub delivered: Delivered<'a>,
}

/// What a record has for a placeholder.
enum Content<'a> {
    /// Text, or bytes that may be text.
    Text(Cow<'a, [u8]>),
    /// A number.
    Number(i64),
    /// JSON, as it stands in the value.
    Json(&'a RawValue),
    /// Nothing, and what it is that is not there.
    Nothing(&'static str),
}

impl Template {
    /// Reads a template whose placeholders all stand in the same kind of place.
    ///
    /// # Errors
    /// When a placeholder does not end, or is none that is known.
    pub fn parse(text: &str, place: Place) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            let (name, after) =
                behind.split_once("}}").ok_or_else(|| format!("the placeholder `{{{{{behind}` has no `}}}}`"))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Field(Field::parse(name.trim())?, place));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// Reads a template that is JSON whatever its placeholders hold: inside of a string they become part of
    /// it, outside they become values.
    ///
    /// # Errors
    /// As [`Template::parse`], and when it is no JSON.
    pub fn parse_json(text: &str) -> Result<Self, String> {
        let mut template = Self::parse(text, Place::JsonValue)?;
        let mut sample = String::new();
        let mut state = Json::Outside;
        for part in &mut template.parts {
            match part {
                Part::Text(text) => {
                    state = text.bytes().fold(state, Json::after);
                    sample.push_str(text);
                }
                Part::Field(_, place) => match state {
                    Json::Outside => sample.push_str("null"),
                    Json::String => *place = Place::JsonString,
                    Json::Escape => return Err("a placeholder stands behind a backslash".to_owned()),
                },
            }
        }
        match serde_json::from_str::<&RawValue>(&sample) {
            Ok(_) => Ok(template),
            Err(error) => Err(format!("it is not JSON when its placeholders are filled in: {error}")),
        }
    }

    /// Goes on with another template.
    pub fn extend(&mut self, behind: Self) {
        self.parts.extend(behind.parts);
    }

    /// The record's value as a JSON value.
    pub fn json_value() -> Self {
        Self { parts: vec![Part::Field(Field::Value, Place::JsonValue)] }
    }

    /// Whether there is no placeholder: the text is the same for every record.
    pub fn is_fixed(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The text for a record; borrowed from it where it is the record's value as it is.
    ///
    /// # Errors
    /// When the record has not what a placeholder asks for, or it can't stand there: why.
    pub fn fill<'a>(&self, context: &Context<'a>) -> Result<Cow<'a, [u8]>, String> {
        if let [Part::Field(Field::Value, Place::JsonValue)] = self.parts.as_slice() {
            return Ok(Cow::Borrowed(json(context.delivered.record.value)?.get().as_bytes()));
        }
        let mut out = Vec::new();
        self.fill_into(context, &mut out)?;
        Ok(Cow::Owned(out))
    }

    /// Appends the text for a record.
    ///
    /// # Errors
    /// As [`Template::fill`]; `out` then holds half of it.
    pub fn fill_into(&self, context: &Context<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Field(field, place) => field.fill_into(*place, context, out)?,
            }
        }
        Ok(())
    }
}

impl Field {
    fn parse(name: &str) -> Result<Self, String> {
        Ok(match name {
            "key" => Self::Key,
            "value" => Self::Value,
            "topic" => Self::Topic,
            "partition" => Self::Partition,
            "offset" => Self::Offset,
            "timestamp" => Self::Timestamp,
            pointer if pointer.starts_with('/') => Self::Pointer(Pointer::parse(pointer)?),
            other => {
                return Err(format!(
                    "there is no placeholder `{{{{{other}}}}}`; known are `key`, `value`, `topic`, `partition`, \
                     `offset`, `timestamp`, and JSON Pointers such as `{{{{/user/id}}}}`"
                ));
            }
        })
    }

    fn content<'a>(&self, context: &Context<'a>) -> Result<Content<'a>, String> {
        let record = context.delivered.record;
        Ok(match self {
            Self::Key => record.key.map_or(Content::Nothing("key"), |key| Content::Text(Cow::Borrowed(key))),
            Self::Value => Content::Text(Cow::Borrowed(record.value)),
            Self::Topic => Content::Text(Cow::Borrowed(context.topic.as_bytes())),
            Self::Partition => Content::Number(context.partition.into()),
            Self::Offset => Content::Number(context.delivered.offset),
            Self::Timestamp => record.timestamp.map_or(Content::Nothing("timestamp"), Content::Number),
            Self::Pointer(pointer) => match pointer.find(record.value).map_err(not_json)? {
                Found::Value(raw) => Content::Json(raw),
                Found::Missing { at, there } => {
                    let at = if at.is_empty() { "the value".to_owned() } else { format!("`{at}`") };
                    return Err(format!("`{pointer}` finds nothing: {at} is {there}"));
                }
            },
        })
    }

    fn fill_into(&self, place: Place, context: &Context<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        if place == Place::JsonValue && *self == Self::Value {
            out.extend_from_slice(json(context.delivered.record.value)?.get().as_bytes());
            return Ok(());
        }
        let content = self.content(context)?;
        let named = |why: String| format!("{} {why}", self.name());
        if place == Place::JsonValue {
            match content {
                Content::Text(text) => {
                    out.push(b'"');
                    escape::append(Place::JsonString, &text, out).map_err(named)?;
                    out.push(b'"');
                }
                Content::Number(number) => escape::append_number(number, out),
                Content::Json(raw) => out.extend_from_slice(raw.get().as_bytes()),
                Content::Nothing(_) => out.extend_from_slice(b"null"),
            }
            return Ok(());
        }
        let text = match content {
            Content::Text(text) => text,
            Content::Json(raw) => text_of(raw).map_err(|why| named(why.to_owned()))?,
            Content::Nothing(what) => return Err(format!("the record has no {what}")),
            Content::Number(number) => {
                escape::append_number(number, out);
                return Ok(());
            }
        };
        escape::append(place, &text, out).map_err(named)
    }

    /// How messages call it.
    fn name(&self) -> Cow<'static, str> {
        match self {
            Self::Key => "the record's key".into(),
            Self::Value => "the record's value".into(),
            Self::Topic => "the topic".into(),
            Self::Partition => "the partition".into(),
            Self::Offset => "the offset".into(),
            Self::Timestamp => "the timestamp".into(),
            Self::Pointer(pointer) => format!("`{pointer}`").into(),
        }
    }
}

/// A value as JSON, without the white space around it.
fn json(value: &[u8]) -> Result<&RawValue, String> {
    serde_json::from_slice(value).map_err(not_json)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn not_json(error: serde_json::Error) -> String {
    format!("the record's value is not JSON: {error}")
}

/// JSON as text: what a string holds, the text of anything else.
fn text_of(raw: &RawValue) -> Result<Cow<'_, [u8]>, &'static str> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'n') => Err("is null"),
        Some(b'"') => match serde_json::from_str::<String>(text) {
            Ok(content) => Ok(Cow::Owned(content.into_bytes())),
            Err(_) => Err("holds half of a surrogate pair, which is no text"),
        },
        _ => Ok(Cow::Borrowed(text.as_bytes())),
    }
}

/// Where in JSON a text has come to.
#[derive(Debug, Clone, Copy)]
enum Json {
    Outside,
    String,
    Escape,
}

impl Json {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Outside, b'"') | (Self::Escape, _) => Self::String,
            (Self::String, b'"') => Self::Outside,
            (Self::String, b'\\') => Self::Escape,
            (state, _) => state,
        }
    }
}

#[cfg(test)]
mod tests;
