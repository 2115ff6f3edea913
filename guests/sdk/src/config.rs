//! Between the host's bytes and the author's types: the section of the configuration, its schema, and
//! cursors.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Parses the connector's section. `section` is its name, for messages.
///
/// # Errors
/// Kind `config`, naming the field, when the section does not fit the type.
///
/// ```
/// # #[derive(serde::Deserialize, Debug)] struct Config { size: u8 }
/// let error = connector_sdk::config::parse::<Config>("feed", r#"{"size": "big"}"#).unwrap_err();
/// assert_eq!(error.to_string(), "`feed.size`: invalid type: string \"big\", expected u8");
/// ```
pub fn parse<T: DeserializeOwned>(section: &str, json: &str) -> Result<T> {
    let value: Value = serde_json::from_str(json)
        .map_err(|error| Error::internal(format!("the host's configuration is not JSON: {error}")))?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { section.to_owned() } else { format!("{section}.{path}") };
        Error::config(format!("`{field}`: {}", error.inner()))
    })
}

/// A text that must never be shown: its schema says so to the host, and debug output does not hold it.
///
/// ```
/// let token: connector_sdk::config::Secret = serde_json::from_str("\"s3cr3t\"").unwrap();
/// assert_eq!(token.reveal(), "s3cr3t");
/// assert_eq!(format!("{token:?}"), "Secret(****)");
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline, extend("x-secret" = true))]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    /// For what turns out to be a secret only once it is read, such as the password in an address.
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(****)")
    }
}

/// JSON Schema (draft-07) of a section, with nothing behind references, so that a host finds every
/// annotation by walking down.
#[must_use]
pub fn schema<T: JsonSchema>() -> Value {
    SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(RecursiveTransform(Aliases))
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// Gives every property with `x-aliases` its other names, which serde accepts and the derive leaves out.
#[derive(Debug, Clone)]
struct Aliases;

impl Transform for Aliases {
    fn transform(&mut self, schema: &mut Schema) {
        let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
        let mut others = Map::new();
        for (name, property) in properties.iter_mut() {
            let Some(property) = property.as_object_mut() else { continue };
            let Some(Value::Array(aliases)) = property.remove("x-aliases") else { continue };
            for alias in aliases.iter().filter_map(Value::as_str) {
                let mut other = property.clone();
                other.insert("description".into(), format!("Another name of `{name}`.").into());
                other.insert("x-alias-of".into(), name.as_str().into());
                other.remove("default");
                others.insert(alias.to_owned(), Value::Object(other));
            }
        }
        properties.extend(others);
    }
}

/// Reads a stored cursor; an empty one is none.
pub(crate) fn decode_cursor<C: DeserializeOwned>(bytes: Option<&[u8]>) -> Result<Option<C>> {
    match bytes {
        None | Some([]) => Ok(None),
        Some(bytes) => serde_json::from_slice(bytes).map(Some).map_err(|error| {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
            Error::config(format!(
                "the stored cursor is not one of this connector's ({error}): `{text}`; reset it, or use the \
                 version that wrote it"
            ))
        }),
    }
}

/// Writes a cursor; none is empty.
pub(crate) fn encode_cursor<C: Serialize>(cursor: Option<&C>) -> Result<Vec<u8>> {
    match cursor {
        None => Ok(Vec::new()),
        Some(cursor) => serde_json::to_vec(cursor)
            .map_err(|error| Error::internal(format!("the cursor can't be written as JSON: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Config {
        /// Where to.
        #[schemars(extend("x-network" = true, "x-aliases" = ["url", "uri"]))]
        #[serde(alias = "url", alias = "uri")]
        endpoint: String,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Inner {
        token: Secret,
    }

    #[test]
    fn schema_carries_annotations_and_aliases_inline() {
        let schema = schema::<Config>();
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["endpoint"]["x-network"], true);
        assert_eq!(schema["properties"]["uri"]["x-network"], true);
        assert_eq!(schema["properties"]["url"]["x-alias-of"], "endpoint");
        assert_eq!(schema["properties"]["endpoint"].get("x-aliases"), None);
        assert_eq!(schema["properties"]["inner"]["items"]["properties"]["token"]["x-secret"], true);
    }

    #[test]
    fn errors_name_the_field() {
        let parsed: Config = parse("http", r#"{"url": "x"}"#).expect("an alias is a name");
        assert!(parsed.inner.iter().all(|inner| inner.token.reveal().is_empty()));
        assert_eq!(parsed.endpoint, "x");
        let error = parse::<Config>("http", r#"{"endpoint": "x", "inner": [{"token": 1}]}"#).expect_err("a number");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().starts_with("`http.inner[0].token`: invalid type"), "{error}");
        let error = parse::<Config>("http", r#"{"endpoint": "x", "intervall": 1}"#).expect_err("unknown");
        assert!(error.message().contains("unknown field `intervall`"), "{error}");
        let error = parse::<Config>("http", "{}").expect_err("missing");
        assert!(error.message().starts_with("`http`: missing field `endpoint`"), "{error}");
        assert_eq!(parse::<Config>("http", "{").expect_err("not JSON").kind(), ErrorKind::Internal);
    }

    #[test]
    fn cursors_survive_and_empty_is_none() {
        let bytes = encode_cursor(Some(&(7u32, "a"))).expect("it is JSON");
        let back: Option<(u32, String)> = decode_cursor(Some(&bytes)).expect("just written");
        assert_eq!(back, Some((7, "a".to_owned())));
        assert!(encode_cursor::<u32>(None).expect("nothing to write").is_empty());
        assert_eq!(decode_cursor::<u32>(Some(b"")).expect("empty is none"), None);
        assert_eq!(decode_cursor::<u32>(None).expect("none is none"), None);
        assert_eq!(decode_cursor::<u32>(Some(b"x")).expect_err("garbage").kind(), ErrorKind::Config);
    }
}
