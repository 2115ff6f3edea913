//! A JSON object that is only unfolded where it is changed.
//!
//! Fields keep their order, and values the text they came with.

use std::borrow::Cow;
use std::fmt;

use crate::path::{InvalidJson, Path};
use crate::refused::Refused;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object and its fields in order.
#[derive(Debug, Default)]
pub struct Object<'a> {
    fields: Vec<(Cow<'a, str>, Node<'a>)>,
}

#[derive(Debug)]
enum Node<'a> {
    /// JSON text.
    Text(&'a str),
    Object(Object<'a>),
}

/// A field on the way is there and is no object; its name.
#[derive(Debug, PartialEq, Eq)]
pub struct Blocked(pub String);

impl<'a> Object<'a> {
    /// Reads one level.
    ///
    /// # Errors
    /// When it is not JSON, or not an object.
    pub fn parse(text: &'a [u8]) -> Result<Self, InvalidJson> {
        let mut reader = serde_json::Deserializer::from_str(crate::path::text(text)?);
        let object = reader.deserialize_map(Fields)?;
        reader.end()?;
        Ok(object)
    }

    /// Reads one level of a record.
    ///
    /// # Errors
    /// When the record is not JSON, or JSON of another shape.
    pub fn read(record: &'a [u8]) -> Result<Self, Refused> {
        if record.trim_ascii_start().first() == Some(&b'{') {
            return Ok(Self::parse(record)?);
        }
        Path::parse("").find(record)?;
        Err(Refused::Other("the record is JSON, but not an object".to_owned()))
    }

    /// Removes the field at the end of a path, if it is there.
    pub fn remove(&mut self, path: &[String]) {
        let Some((step, rest)) = path.split_first() else { return };
        if rest.is_empty() {
            self.fields.retain(|(name, _)| name != step);
            return;
        }
        for (name, node) in &mut self.fields {
            if name == step
                && let Some(object) = node.unfold()
            {
                object.remove(rest);
            }
        }
    }

    /// Puts a text at the end of a path, in place of what is there, and makes the objects on the way.
    ///
    /// # Errors
    /// When something on the way is there and is no object.
    pub fn insert(&mut self, path: &'a [String], text: &'a str) -> Result<(), Blocked> {
        let Some((step, rest)) = path.split_first() else { return Ok(()) };
        let found = self.fields.iter().rposition(|(name, _)| name == step);
        if rest.is_empty() {
            match found {
                Some(index) => self.fields[index].1 = Node::Text(text),
                None => self.fields.push((Cow::Borrowed(step), Node::Text(text))),
            }
            return Ok(());
        }
        let index = found.unwrap_or_else(|| {
            self.fields.push((Cow::Borrowed(step), Node::Object(Object::default())));
            self.fields.len() - 1
        });
        match self.fields[index].1.unfold() {
            Some(object) => object.insert(rest, text),
            None => Err(Blocked(step.clone())),
        }
    }

    /// Its text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, (name, node)) in self.fields.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(serde_json::Value::from(name.as_ref()).to_string().as_bytes());
            out.push(b':');
            match node {
                Node::Text(text) => out.extend_from_slice(text.as_bytes()),
                Node::Object(object) => object.write(out),
            }
        }
        out.push(b'}');
    }
}

impl<'a> Node<'a> {
    /// The object that it is; `None` when it is something else.
    fn unfold(&mut self) -> Option<&mut Object<'a>> {
        if let Self::Text(text) = *self {
            if !text.starts_with('{') {
                return None;
            }
            *self = Self::Object(Object::parse(text.as_bytes()).ok()?);
        }
        match self {
            Self::Object(object) => Some(object),
            Self::Text(_) => None,
        }
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            fields.push((name, Node::Text(value.get())));
        }
        Ok(Object { fields })
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
