//! The parts of a record that modules look at.

use std::borrow::Cow;

use fluvio_smartmodule::{Record, SmartModuleRecord};

use crate::path::Path;
use crate::refused::Refused;
use crate::values::text_of;

crate::choices! {
    /// A part of a record.
    pub enum Part {
        /// Its value.
        Value = "value",
        /// Its key.
        Key = "key",
    }
}

impl Part {
    /// The part's bytes; `None` for a key that isn't there.
    #[must_use]
    pub fn of(self, record: &SmartModuleRecord) -> Option<&[u8]> {
        match self {
            Self::Value => Some(record.value().as_ref()),
            Self::Key => record.key().map(AsRef::as_ref),
        }
    }

    /// The part's bytes, or the text of a field in it: a string without its quotes, anything else as JSON. `None` when
    /// there is no key or no such field.
    ///
    /// # Errors
    /// When a field is asked for and the part is not JSON.
    pub fn subject<'r>(
        self,
        record: &'r SmartModuleRecord,
        field: Option<&Path>,
    ) -> Result<Option<Cow<'r, [u8]>>, Refused> {
        let Some(bytes) = self.of(record) else { return Ok(None) };
        let Some(field) = field else { return Ok(Some(bytes.into())) };
        Ok(field.find(bytes)?.map(|found| match text_of(found) {
            Cow::Borrowed(text) => text.as_bytes().into(),
            Cow::Owned(text) => text.into_bytes().into(),
        }))
    }

    /// What is not there when [`Part::subject`] finds nothing.
    #[must_use]
    pub fn missing(self, record: &SmartModuleRecord, field: Option<&Path>) -> Refused {
        match field {
            Some(field) if self.of(record).is_some() => Refused::Missing(field.to_string()),
            _ => Refused::NoKey,
        }
    }
}

/// A record as a module gets it, for tests.
#[must_use]
pub fn record(key: Option<&str>, value: &str, offset: i64, timestamp: i64) -> SmartModuleRecord {
    let record = match key {
        Some(key) => Record::new_key_value(key, value),
        None => Record::new(value),
    };
    SmartModuleRecord::new(record, offset, timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_fields() {
        let of = |part: Part, key, value, field: Option<&str>| {
            let record = record(key, value, 0, 0);
            let field = field.map(Path::parse);
            let found = part.subject(&record, field.as_ref()).map_err(|error| error.to_string())?;
            let text = found.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            text.ok_or_else(|| part.missing(&record, field.as_ref()).to_string())
        };
        let json = r#"{"a": "x\ty", "b": [1, 2]}"#;
        assert_eq!(of(Part::Value, None, json, Some("a")).as_deref(), Ok("x\ty"));
        assert_eq!(of(Part::Value, None, json, Some("b")).as_deref(), Ok("[1, 2]"));
        assert_eq!(of(Part::Value, None, "x", None).as_deref(), Ok("x"));
        assert_eq!(of(Part::Key, Some("k"), "x", None).as_deref(), Ok("k"));
        assert_eq!(of(Part::Value, None, json, Some("c")).expect_err("no c"), "there is no field `c`");
        assert_eq!(of(Part::Key, None, json, Some("c")).expect_err("no key"), "the record has no key");
        assert!(of(Part::Key, Some("k"), "{}", Some("c")).expect_err("no JSON").contains("not JSON"));
    }
}
