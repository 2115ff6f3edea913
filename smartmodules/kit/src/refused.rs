//! Why a module can't use a record, in the same words everywhere.

use crate::object::Blocked;
use crate::path::InvalidJson;

/// A record is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is not JSON.
    #[error(transparent)]
    Json(#[from] InvalidJson),
    /// It is not UTF-8.
    #[error("the record is not UTF-8 text (at byte {0})")]
    Text(usize),
    /// A field is not there.
    #[error("there is no field `{0}`")]
    Missing(String),
    /// It has no key.
    #[error("the record has no key")]
    NoKey,
    /// A field is something else than it must be.
    #[error("`{field}` is {found}, not {expected}")]
    Kind {
        /// The field.
        field: String,
        /// What it is.
        found: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A field can't be written.
    #[error("`{field}` can't be written: `{at}` is not an object")]
    Blocked {
        /// The field.
        field: String,
        /// The field on the way to it that is in the way.
        at: String,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Refused {
    /// A field that can't be written.
    #[must_use]
    pub fn blocked(field: &impl ToString, Blocked(at): Blocked) -> Self {
        Self::Blocked { field: field.to_string(), at }
    }
}

crate::choices! {
    /// What happens to a record that lacks what a module looks at.
    pub enum Missing {
        /// It is refused.
        Error = "error",
        /// It goes.
        Drop = "drop",
        /// It stays.
        Keep = "keep",
    }
}

crate::choices! {
    /// What happens about a field that isn't there, or is `null`.
    pub enum Absent {
        /// Nothing.
        Skip = "skip",
        /// The record is refused.
        Error = "error",
    }
}

crate::choices! {
    /// What happens about a field that can't be read.
    pub enum Invalid {
        /// The record is refused.
        Error = "error",
        /// The field becomes `null`.
        Null = "null",
        /// The field stays as it is.
        Keep = "keep",
    }
}

/// What a JSON text is, in words.
#[must_use]
pub fn kind_of(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// A record's text.
///
/// # Errors
/// When it is not UTF-8.
pub fn utf8(record: &[u8]) -> Result<&str, Refused> {
    std::str::from_utf8(record).map_err(|error| Refused::Text(error.valid_up_to()))
}
