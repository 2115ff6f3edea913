//! JSON Pointers (RFC 6901) to the fields of a record.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

/// A pointer such as `/customer/name`; empty for the whole record.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("pattern" = "^(/.*)?$", "examples" = ["/customer/name"]))]
pub struct Path {
    steps: Vec<String>,
}

impl Path {
    /// Reads a pointer.
    ///
    /// # Errors
    /// When it neither is empty nor begins with `/`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(format!("`{text}` is not a JSON Pointer; write `/{text}`"));
        }
        let unescape = |step: &str| step.replace("~1", "/").replace("~0", "~");
        Ok(Self { steps: text.split('/').skip(1).map(unescape).collect() })
    }

    /// The pointer to a field of the record itself.
    pub fn field(name: &str) -> Self {
        Self { steps: vec![name.to_owned()] }
    }

    /// The keys, and in arrays the indexes, on the way.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| write!(f, "/{}", step.replace('~', "~0").replace('/', "~1")))
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
