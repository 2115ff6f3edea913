//! Types of configuration keys that both connectors have.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};

use connector_sdk::units::Duration;
use mqtt_protocol_core::mqtt::packet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Quality of service: how often a message arrives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "u8")]
pub enum Qos {
    /// 0: at most once.
    #[default]
    AtMostOnce,
    /// 1: at least once.
    AtLeastOnce,
    /// 2: exactly once.
    ExactlyOnce,
}

impl Qos {
    pub(crate) fn wire(self) -> packet::Qos {
        match self {
            Self::AtMostOnce => packet::Qos::AtMostOnce,
            Self::AtLeastOnce => packet::Qos::AtLeastOnce,
            Self::ExactlyOnce => packet::Qos::ExactlyOnce,
        }
    }

    pub(crate) fn from_wire(qos: packet::Qos) -> Self {
        match qos {
            packet::Qos::AtMostOnce => Self::AtMostOnce,
            packet::Qos::AtLeastOnce => Self::AtLeastOnce,
            packet::Qos::ExactlyOnce => Self::ExactlyOnce,
        }
    }
}

impl From<Qos> for u8 {
    fn from(qos: Qos) -> Self {
        match qos {
            Qos::AtMostOnce => 0,
            Qos::AtLeastOnce => 1,
            Qos::ExactlyOnce => 2,
        }
    }
}

impl fmt::Display for Qos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        u8::from(*self).fmt(f)
    }
}

impl<'de> Deserialize<'de> for Qos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl Visitor<'_> for Visit {
            type Value = Qos;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0, 1 or 2")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Qos, E> {
                match number {
                    0 => Ok(Qos::AtMostOnce),
                    1 => Ok(Qos::AtLeastOnce),
                    2 => Ok(Qos::ExactlyOnce),
                    other => Err(E::invalid_value(de::Unexpected::Unsigned(other), &self)),
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Qos, E> {
                let number = text.trim().parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
                self.visit_u64(number)
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

impl JsonSchema for Qos {
    fn schema_name() -> Cow<'static, str> {
        "Qos".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Old files have it as text.
        json_schema!({"enum": [0, 1, 2, "0", "1", "2"]})
    }
}

/// Which version of MQTT to speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// 5, and 3.1.1 with a broker that does not know it.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// Version 3.1.1.
    #[serde(rename = "3.1.1")]
    V3,
    /// Version 5.
    #[serde(rename = "5")]
    V5,
}

/// How long a connection may be silent: a duration, or the `{secs, nanos}` of the official connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive(pub Duration);

impl Default for KeepAlive {
    fn default() -> Self {
        Self(Duration::from_secs(60))
    }
}

impl KeepAlive {
    /// In whole seconds, as the protocol has it; 0 only for a duration of nothing, which turns it off.
    #[must_use]
    pub fn seconds(self) -> u16 {
        let span = self.0.get();
        let whole = span.as_secs() + u64::from(span.subsec_nanos() > 0);
        u16::try_from(whole).unwrap_or(u16::MAX)
    }
}

impl Serialize for KeepAlive {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KeepAlive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = KeepAlive;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as `60s`, or `{secs: 60, nanos: 0}`")
            }
            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<KeepAlive, E> {
                Ok(KeepAlive(Duration::from_secs(seconds)))
            }
            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<KeepAlive, E> {
                let invalid = |_| E::invalid_value(de::Unexpected::Float(seconds), &self);
                std::time::Duration::try_from_secs_f64(seconds).map(|span| KeepAlive(span.into())).map_err(invalid)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<KeepAlive, E> {
                text.parse().map(KeepAlive).map_err(E::custom)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<KeepAlive, A::Error> {
                let (mut secs, mut nanos) = (0, 0);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "secs" => secs = map.next_value()?,
                        "nanos" => nanos = map.next_value()?,
                        other => return Err(de::Error::unknown_field(other, &["secs", "nanos"])),
                    }
                }
                let span = std::time::Duration::from_secs(secs).saturating_add(std::time::Duration::from_nanos(nanos));
                Ok(KeepAlive(span.into()))
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

impl JsonSchema for KeepAlive {
    fn schema_name() -> Cow<'static, str> {
        "KeepAlive".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let duration = Duration::json_schema(generator);
        json_schema!({
            "anyOf": [
                duration,
                {
                    "type": "object",
                    "properties": {
                        "secs": {"type": "integer", "minimum": 0},
                        "nanos": {"type": "integer", "minimum": 0},
                    },
                    "additionalProperties": false,
                },
            ],
            "examples": ["60s"],
        })
    }
}

/// A client id that nobody else has: 22 letters and digits, which every broker must take.
#[must_use]
pub fn random_client_id() -> String {
    // Seeded by the system's randomness, inside the sandbox too.
    format!("fluvio{:016x}", RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn qos_as_number_or_text() {
        for (value, qos) in [(json!(0), Qos::AtMostOnce), (json!("1"), Qos::AtLeastOnce), (json!(2), Qos::ExactlyOnce)]
        {
            assert_eq!(from_value::<Qos>(value).expect("fine"), qos);
        }
        for wrong in [json!(3), json!("x"), json!(-1), json!(true)] {
            assert!(from_value::<Qos>(wrong).expect_err("wrong").to_string().contains("0, 1 or 2"));
        }
    }

    #[test]
    fn keep_alive_in_the_official_form_and_as_a_duration() {
        let parse = |value| from_value::<KeepAlive>(value).expect("fine").seconds();
        assert_eq!(parse(json!({"secs": 30, "nanos": 0})), 30);
        assert_eq!(parse(json!({"secs": 1, "nanos": 1})), 2);
        assert_eq!((parse(json!("1m")), parse(json!(5)), parse(json!(0.5)), parse(json!(0))), (60, 5, 1, 0));
        assert_eq!(parse(json!("2days")), u16::MAX);
        assert!(from_value::<KeepAlive>(json!({"seconds": 1})).is_err());
    }

    #[test]
    fn random_ids_differ_and_are_plain() {
        let (one, two) = (random_client_id(), random_client_id());
        assert!(one != two && one.len() == 22 && one.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{one} {two}");
    }
}
