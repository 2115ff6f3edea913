//! JSON Pointers (RFC 6901), followed through JSON text without building values: what lies beside the way
//! is skipped, and what is found is the text itself, so numbers and the order of keys stay as they came.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// A pointer such as `/data/items`; empty for the whole document.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("pattern" = "^(/.*)?$", "examples" = ["/data/items"]))]
pub struct Pointer {
    text: String,
    steps: Vec<String>,
}

/// What a pointer leads to.
#[derive(Debug)]
pub enum Found<'a> {
    /// This text.
    Value(&'a RawValue),
    /// Nothing: where the way ends, and what is there.
    Missing {
        /// The last part of the pointer that exists; empty for the document itself.
        at: String,
        /// What is there, as in "an object with `a`, `b`".
        there: String,
    },
}

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// When it neither is empty nor begins with `/`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(format!("`{text}` is not a JSON Pointer; write `/{text}`"));
        }
        let unescape = |step: &str| step.replace("~1", "/").replace("~0", "~");
        Ok(Self { text: text.to_owned(), steps: text.split('/').skip(1).map(unescape).collect() })
    }

    /// Follows the pointer through a JSON text. Where a key stands twice, the last one counts.
    ///
    /// # Errors
    /// When the text is not JSON.
    pub fn find<'a>(&self, json: &'a [u8]) -> Result<Found<'a>, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let walk = Walk { pointer: self, depth: 0 };
        let found = walk.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(found)
    }

    /// The first `depth` steps, as text.
    fn prefix(&self, depth: usize) -> String {
        self.text.split('/').take(depth + 1).collect::<Vec<_>>().join("/")
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Pointer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// One step of the way: the steps before `depth` are behind.
#[derive(Clone, Copy)]
struct Walk<'p> {
    pointer: &'p Pointer,
    depth: usize,
}

impl Walk<'_> {
    fn missing<'a>(self, there: impl Into<String>) -> Found<'a> {
        Found::Missing { at: self.pointer.prefix(self.depth), there: there.into() }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found<'de>, D::Error> {
        if self.depth == self.pointer.steps.len() {
            <&RawValue>::deserialize(deserializer).map(Found::Value)
        } else {
            deserializer.deserialize_any(self)
        }
    }
}

/// How many keys an error message lists.
const KEYS_SHOWN: usize = 8;

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<'de>, A::Error> {
        let step = &self.pointer.steps[self.depth];
        let mut found = None;
        let mut keys = Vec::new();
        let mut more = false;
        while let Some(Key(key)) = map.next_key()? {
            if key == step.as_str() {
                found = Some(map.next_value_seed(Walk { depth: self.depth + 1, ..self })?);
                continue;
            }
            map.next_value::<IgnoredAny>()?;
            if keys.len() < KEYS_SHOWN {
                keys.push(format!("`{key}`"));
            } else {
                more = true;
            }
        }
        Ok(found.unwrap_or_else(|| {
            let rest = if more { ", …" } else { "" };
            let there = match keys.len() {
                0 => "an empty object".to_owned(),
                _ => format!("an object with {}{rest}", keys.join(", ")),
            };
            self.missing(there)
        }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found<'de>, A::Error> {
        let step = self.pointer.steps[self.depth].as_str();
        let is_index = step == "0" || (!step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit()));
        let wanted = step.parse::<usize>().ok().filter(|_| is_index);
        let mut found = None;
        let mut length = 0;
        loop {
            if Some(length) == wanted {
                match seq.next_element_seed(Walk { depth: self.depth + 1, ..self })? {
                    Some(value) => found = Some(value),
                    None => break,
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
            length += 1;
        }
        Ok(found.unwrap_or_else(|| self.missing(format!("an array of {length}"))))
    }

    fn visit_str<E>(self, _: &str) -> Result<Found<'de>, E> {
        Ok(self.missing("a string"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found<'de>, E> {
        Ok(self.missing("a boolean"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found<'de>, E> {
        Ok(self.missing("a number"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found<'de>, E> {
        Ok(self.missing("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found<'de>, E> {
        Ok(self.missing("a number"))
    }

    fn visit_unit<E>(self) -> Result<Found<'de>, E> {
        Ok(self.missing("null"))
    }
}

/// An object's key, borrowed from the text where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(Visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(pointer: &str, json: &str) -> Result<String, String> {
        match Pointer::parse(pointer)?.find(json.as_bytes()).map_err(|error| error.to_string())? {
            Found::Value(raw) => Ok(raw.get().to_owned()),
            Found::Missing { at, there } => Err(format!("{at}: {there}")),
        }
    }

    #[test]
    fn finds_text_as_it_is() {
        let json = r#"{"a": {"b": [1, 2.50, {"z": 1e400, "a": "\u00e9"}]}, "x/y": {"~": true}, "": 7}"#;
        assert_eq!(find("/a/b/1", json), Ok("2.50".into()));
        assert_eq!(find("/a/b/2", json), Ok(r#"{"z": 1e400, "a": "\u00e9"}"#.into()));
        assert_eq!(find("/x~1y/~0", json), Ok("true".into()));
        assert_eq!(find("/", json), Ok("7".into()));
        assert_eq!(find("", " [1] "), Ok("[1]".into()));
        assert_eq!(find("/k", r#"{"k": 1, "k": 2}"#), Ok("2".into()));
        assert_eq!(find("/\u{e9}", r#"{"\u00e9": 1}"#), Ok("1".into()));
    }

    #[test]
    fn says_what_is_there_instead() {
        let json = r#"{"a": {"b": [1], "c": "s", "d": {}, "e": null, "f": 1, "g": false}}"#;
        assert_eq!(find("/x", r#"{"a": 1, "b": 2}"#), Err(": an object with `a`, `b`".into()));
        assert_eq!(find("/a/b/1", json), Err("/a/b: an array of 1".into()));
        assert_eq!(find("/a/b/01", json), Err("/a/b: an array of 1".into()));
        assert_eq!(find("/a/b/-", json), Err("/a/b: an array of 1".into()));
        assert_eq!(find("/a/c/x/y", json), Err("/a/c: a string".into()));
        assert_eq!(find("/a/d/x", json), Err("/a/d: an empty object".into()));
        assert_eq!(find("/a/e/x", json), Err("/a/e: null".into()));
        assert_eq!(find("/a/f/x", json), Err("/a/f: a number".into()));
        assert_eq!(find("/a/g/x", json), Err("/a/g: a boolean".into()));
        let many = r#"{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0}"#;
        assert!(find("/z", many).expect_err("missing").ends_with("`h`, …"));
        assert!(find("x", "{}").expect_err("no slash").contains("write `/x`"));
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for wrong in ["", "{", "[1,]", "{\"a\": 1} x", "<html>"] {
            assert!(Pointer::parse("/a").expect("fine").find(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(Pointer::parse("/a").expect("fine").find(b"{\"a\": \"\xff\"}").is_err());
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(json in "[\\[\\]{}\",:0-9a-c ]{0,24}", pointer in "(/[0-9a-c]{0,2}){0,3}") {
            let reference = serde_json::from_str::<serde_json::Value>(&json);
            match (Pointer::parse(&pointer).expect("begins with /").find(json.as_bytes()), reference) {
                (Ok(Found::Value(raw)), Ok(value)) => {
                    let expected = value.pointer(&pointer).expect("found by us");
                    prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(raw.get()).expect("JSON"), expected);
                }
                (Ok(Found::Missing { .. }), Ok(value)) => prop_assert_eq!(value.pointer(&pointer), None),
                (Err(_), Err(_)) => {}
                (ours, theirs) => prop_assert!(false, "{:?} against {:?}", ours, theirs),
            }
        }
    }
}
