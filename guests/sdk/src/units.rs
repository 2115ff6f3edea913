//! Durations and sizes as people write them in configuration files: `10s`, `1m 30s`, `500ms`, `64 MiB`, or
//! a bare number (seconds, bytes).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration as StdDuration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of time: `10s`, `500ms`, `1m 30s`, `2h`, `1day`, or a bare number of seconds.
///
/// ```
/// use std::time::Duration as Std;
/// use connector_sdk::units::Duration;
/// assert_eq!("1m 30s".parse::<Duration>().unwrap().get(), Std::from_secs(90));
/// assert_eq!("0.5".parse::<Duration>().unwrap().get(), Std::from_millis(500));
/// assert_eq!(serde_json::from_str::<Duration>("10").unwrap().get(), Std::from_secs(10));
/// assert!("10 parsecs".parse::<Duration>().is_err());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(StdDuration);

impl Duration {
    /// So many milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(StdDuration::from_millis(millis))
    }

    /// So many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(StdDuration::from_secs(seconds))
    }

    /// The span as the standard library has it.
    #[must_use]
    pub const fn get(self) -> StdDuration {
        self.0
    }
}

impl From<StdDuration> for Duration {
    fn from(span: StdDuration) -> Self {
        Self(span)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A text that is no duration or no size; says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct UnitError {
    text: String,
    expected: &'static str,
}

const DURATION: &str = "a duration: write `10s`, `500ms`, `1m 30s`, or a number of seconds";
const SIZE: &str = "a size: write `64 MiB`, `10 MB`, `512 kB`, or a number of bytes";

impl FromStr for Duration {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let invalid = || UnitError { text: text.to_owned(), expected: DURATION };
        let trimmed = text.trim();
        if trimmed.starts_with(|first: char| first.is_ascii_digit())
            && let Ok(seconds) = trimmed.parse::<f64>()
        {
            return StdDuration::try_from_secs_f64(seconds).map(Self).map_err(|_| invalid());
        }
        humantime::parse_duration(trimmed).map(Self).map_err(|_| invalid())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl Visitor<'_> for Visit {
            type Value = Duration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(DURATION)
            }
            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Duration, E> {
                Ok(Duration::from_secs(seconds))
            }
            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Duration, E> {
                let invalid = |_| E::invalid_value(de::Unexpected::Float(seconds), &self);
                StdDuration::try_from_secs_f64(seconds).map(Duration).map_err(invalid)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number"],
            "minimum": 0,
            "pattern": r"^\s*(\d+(\.\d+)?|(\d+\s*(n(s|sec|anos)|[uµ](s|sec)|micros|m(s|sec|illis)|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?|M|months?|y|yrs?|years?)\s*)+)\s*$",
            "examples": ["10s", "500ms", "1m 30s", 10],
        })
    }
}

/// A number of bytes: `64 MiB`, `10 MB` (decimal), `512kB`, or a bare number.
///
/// ```
/// use connector_sdk::units::ByteSize;
/// assert_eq!("64 MiB".parse::<ByteSize>().unwrap().get(), 64 << 20);
/// assert_eq!("1.5 kB".parse::<ByteSize>().unwrap().get(), 1500);
/// assert_eq!(serde_json::from_str::<ByteSize>("1600").unwrap().get(), 1600);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length; the greatest one where it is beyond any memory.
    #[must_use]
    pub fn as_len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Units from the largest, each with its name and its bytes; the first that divides a size writes it.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, bytes) =
            UNITS.into_iter().find(|(_, bytes)| self.0 >= *bytes && self.0.is_multiple_of(*bytes)).unwrap_or(("B", 1));
        write!(f, "{} {unit}", self.0 / bytes)
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let invalid = || UnitError { text: text.to_owned(), expected: SIZE };
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(end);
        let unit = unit.trim().to_ascii_lowercase();
        // `K`, `KB` and `kb` are a thousand, `Ki` and `KiB` 1024.
        let bytes = match unit.strip_suffix('b').unwrap_or(&unit) {
            "" => 1,
            "k" => 1_000,
            "m" => 1_000_000,
            "g" => 1_000_000_000,
            "t" => 1_000_000_000_000,
            "ki" => 1 << 10,
            "mi" => 1 << 20,
            "gi" => 1 << 30,
            "ti" => 1 << 40,
            _ => return Err(invalid()),
        };
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(bytes).map(Self).ok_or_else(invalid);
        }
        let size = number.parse::<f64>().map_err(|_| invalid())? * bytes as f64;
        if size.is_finite() && size < u64::MAX as f64 { Ok(Self(size.round() as u64)) } else { Err(invalid()) }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl Visitor<'_> for Visit {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(SIZE)
            }
            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "minimum": 0,
            "pattern": r"^\s*\d+(\.\d+)?\s*([kKmMgGtT]i?)?[bB]?\s*$",
            "examples": ["64 MiB", "10 MB", 1600],
        })
    }
}

#[cfg(test)]
mod tests;
