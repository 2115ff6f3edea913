//! A path to a field, and finding it in JSON text without building the document.
//!
//! The text is read once, the fields on the way are entered, everything else is only checked. What is found is
//! the field's own text, so numbers and escapes stay as they were written.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The step that leads everywhere, in [`Path::find_all`].
const ANY: &str = "*";

/// The record is not JSON.
#[derive(Debug, thiserror::Error)]
#[error("the record is not JSON: {0}")]
pub struct InvalidJson(#[from] serde_json::Error);

/// A path to a field: its keys and, in arrays, indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    text: String,
    steps: Vec<String>,
}

impl Path {
    /// Reads a JSON pointer (with a `/` in front) or a dotted path; the empty text is the whole document.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let steps = match text.strip_prefix('/') {
            Some(pointer) => pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect(),
            None if text.is_empty() => Vec::new(),
            None => text.split('.').map(str::to_owned).collect(),
        };
        Self { text: text.to_owned(), steps }
    }

    /// The keys on the way.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// The text of the field in a JSON document; `None` when it isn't there. Of equal keys the last one counts.
    ///
    /// # Errors
    /// When the document is not JSON.
    ///
    /// ```
    /// use smartmodule_kit::Path;
    /// let found = Path::parse("user.ids.1").find(br#"{"user": {"ids": [7, 1.50]}}"#)?;
    /// assert_eq!(found, Some("1.50"));
    /// # Ok::<(), smartmodule_kit::InvalidJson>(())
    /// ```
    pub fn find<'a>(&self, document: &'a [u8]) -> Result<Option<&'a str>, InvalidJson> {
        let mut reader = serde_json::Deserializer::from_str(text(document)?);
        let found = Find(&self.steps).deserialize(&mut reader)?;
        reader.end()?;
        Ok(found)
    }

    /// The texts of all fields that this path leads to, in the order of the document: a step `*` is every element of
    /// an array and every field of an object, and of equal keys every one counts.
    ///
    /// # Errors
    /// When the document is not JSON.
    ///
    /// ```
    /// use smartmodule_kit::Path;
    /// let found = Path::parse("users.*.id").find_all(br#"{"users": [{"id": 7}, {}, {"id": 1.50}]}"#)?;
    /// assert_eq!(found, ["7", "1.50"]);
    /// # Ok::<(), smartmodule_kit::InvalidJson>(())
    /// ```
    pub fn find_all<'a>(&self, document: &'a [u8]) -> Result<Vec<&'a str>, InvalidJson> {
        let mut found = Vec::new();
        let mut reader = serde_json::Deserializer::from_str(text(document)?);
        Collect { steps: &self.steps, found: &mut found }.deserialize(&mut reader)?;
        reader.end()?;
        Ok(found)
    }
}

/// The document as text; what is skipped in it would not be looked at otherwise.
pub(crate) fn text(document: &[u8]) -> Result<&str, InvalidJson> {
    std::str::from_utf8(document).map_err(|error| {
        let problem = format!("invalid UTF-8 at byte {}", error.valid_up_to());
        InvalidJson(serde::de::Error::custom(problem))
    })
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() { f.write_str("(the record)") } else { f.write_str(&self.text) }
    }
}

/// Goes down the steps that are left.
struct Find<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<&'de str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0.split_first() {
            None => serde::Deserialize::deserialize(deserializer).map(|raw: &RawValue| Some(raw.get())),
            Some((step, rest)) => deserializer.deserialize_any(Enter { step, rest }),
        }
    }
}

/// Looks for one step in what comes next.
struct Enter<'p> {
    step: &'p str,
    rest: &'p [String],
}

impl<'de> Visitor<'de> for Enter<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(here) = map.next_key_seed(IsKey(self.step))? {
            if here {
                found = map.next_value_seed(Find(self.rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        if let Ok(index) = self.step.parse::<usize>() {
            for _ in 0..index {
                if items.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(None);
                }
            }
            found = items.next_element_seed(Find(self.rest))?.flatten();
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    // Anything else has nothing inside.
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Goes down the steps that are left, on every way.
struct Collect<'p, 'o, 'de> {
    steps: &'p [String],
    found: &'o mut Vec<&'de str>,
}

impl<'de> DeserializeSeed<'de> for Collect<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.steps.is_empty() {
            let raw: &RawValue = serde::Deserialize::deserialize(deserializer)?;
            self.found.push(raw.get());
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Collect<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.steps.split_first() else { return Ok(()) };
        while let Some(same) = map.next_key_seed(IsKey(step))? {
            if same || step == ANY {
                map.next_value_seed(Collect { steps: rest, found: self.found })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.steps.split_first() else { return Ok(()) };
        let wanted = step.parse::<usize>().ok();
        for index in 0.. {
            let next = if wanted == Some(index) || step == ANY {
                items.next_element_seed(Collect { steps: rest, found: self.found })?.is_some()
            } else {
                items.next_element::<IgnoredAny>()?.is_some()
            };
            if !next {
                break;
            }
        }
        Ok(())
    }

    // Anything else has nothing inside.
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Compares a key without keeping it.
struct IsKey<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(path: &str, document: &'a str) -> Option<&'a str> {
        Path::parse(path).find(document.as_bytes()).expect("JSON")
    }

    #[test]
    fn dots_and_pointers_lead_to_the_same_field() {
        let document = r#" {"a": {"b": [10, {"c": "x"}], "b.c": 1.0}, "": 2, "a/b": 3, "m~n": 4} "#;
        assert_eq!(find("a.b.1.c", document), Some(r#""x""#));
        assert_eq!(find("/a/b/1/c", document), Some(r#""x""#));
        assert_eq!(find("/a/b.c", document), Some("1.0"));
        assert_eq!(find("/", document), Some("2"));
        assert_eq!(find("/a~1b", document), Some("3"));
        assert_eq!(find("/m~0n", document), Some("4"));
        assert_eq!(find("", document), Some(document.trim()));
    }

    #[test]
    fn all_ways_are_gone() {
        let document = r#"{"a": [{"b": 1, "c": [2]}, {"b": {"c": 3}}, 4], "*": {"b": 5}, "a": [{"\u0062": 6}]}"#;
        let all = |path: &str| Path::parse(path).find_all(document.as_bytes()).expect("JSON");
        assert_eq!(all("a.*.b"), ["1", r#"{"c": 3}"#, "6"]);
        assert_eq!(all("a.1.b.c"), ["3"]);
        assert_eq!(all("*.b"), ["5"]);
        assert_eq!(all("*.*.b"), ["1", r#"{"c": 3}"#, "6"]);
        assert_eq!(all("a.*.c.*"), ["2"]);
        assert_eq!(all("a.7.b"), [""; 0]);
        assert_eq!(all(""), [document]);
        assert!(Path::parse("a.*").find_all(b"{\"a\": [1}").is_err());
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let document = r#"{"a": {"b": [10]}, "s": "t", "n": null, "t": true, "f": 1.5, "i": -1}"#;
        for path in ["x", "a.x", "a.b.1", "a.b.x", "a.b.0.c", "s.0", "n.x", "t.x", "f.x", "i.x", "."] {
            assert_eq!(find(path, document), None, "{path}");
        }
        assert_eq!(find("n", document), Some("null"));
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        assert_eq!(find("a", r#"{"a": 1, "a": 2}"#), Some("2"));
    }

    #[test]
    fn the_whole_document_must_be_json() {
        for document in ["", "x", r#"{"a": 1"#, r#"{"a": 1} {}"#, r#"{"a": 1, "b": x}"#, r#"{"a": [1,]}"#] {
            assert!(Path::parse("a").find(document.as_bytes()).is_err(), "{document}");
        }
        assert!(Path::parse("a").find(b"{\"b\": \"\xff\", \"a\": 1}").is_err(), "not UTF-8");
    }
}
