//! What a parameter can be: how it is read from its text, and what its JSON Schema says.

use std::fmt;

use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::path::Path;

/// A type of parameter.
///
/// | type | what is given |
/// |-|-|
/// | `String` | any text |
/// | `bool`, `u64`, `f64`, [`Fraction`] | `true`, `3`, `1.5`, `0.25` |
/// | [`Interval`] | `10s` |
/// | [`Path`] | a field |
/// | [`Pattern`](crate::Pattern) | a regular expression |
/// | [`Type`](crate::Type) | a type of JSON |
/// | `Vec<String>`, `Vec<Path>` | a list: JSON, or texts with commas between them |
/// | [`Pairs`] | a map: JSON, or `a=b` with commas between them |
/// | [`Secret`] | a text that is never shown |
/// | `Option` of these | the same, or nothing |
/// | what [`choices!`](crate::choices) makes | one of several words |
pub trait Value: Sized {
    /// The members of its JSON Schema.
    const SCHEMA: &'static str;
    /// Whether a default is JSON as it stands, not a text.
    const PLAIN: bool = false;
    /// Whether it may be left out even without a default.
    const OPTIONAL: bool = false;

    /// Reads it.
    ///
    /// # Errors
    /// What is wrong, as the rest of a sentence that begins with the parameter's name.
    fn parse(text: &str) -> Result<Self, String>;

    /// What it is when it isn't given.
    fn absent() -> Option<Self> {
        None
    }
}

/// Declares an enum of which a parameter is one, each with the word that stands for it in a configuration.
///
/// ```
/// smartmodule_kit::choices! {
///     /// What happens to the odd ones.
///     enum Odd {
///         /// They stay.
///         Keep = "keep",
///         /// They go.
///         Drop = "drop",
///     }
/// }
/// use smartmodule_kit::Value;
/// assert_eq!(Odd::parse("drop"), Ok(Odd::Drop));
/// assert_eq!(Odd::parse("dorp").expect_err("no such word"), "is `dorp`, expected `keep` or `drop`");
/// ```
#[macro_export]
macro_rules! choices {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $(#[$first_meta:meta])* $first:ident = $first_word:literal
            $(, $(#[$next_meta:meta])* $next:ident = $next_word:literal )* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $name {
            $(#[$first_meta])* $first,
            $( $(#[$next_meta])* $next, )*
        }

        impl $crate::Value for $name {
            const SCHEMA: &'static str =
                concat!("\"type\":\"string\",\"enum\":[\"", $first_word, "\"" $(, ",\"", $next_word, "\"")*, "]");

            fn parse(text: &str) -> ::core::result::Result<Self, String> {
                match text.trim() {
                    $first_word => Ok(Self::$first),
                    $( $next_word => Ok(Self::$next), )*
                    _ => Err($crate::expected(text, &[$first_word $(, $next_word)*])),
                }
            }
        }
    };
}

/// What is wrong with a word that is none of these.
#[doc(hidden)]
#[must_use]
pub fn expected(text: &str, words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    let list = match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    };
    format!("is `{text}`, expected {list}")
}

impl<T: Value> Value for Option<T> {
    const SCHEMA: &'static str = T::SCHEMA;
    const PLAIN: bool = T::PLAIN;
    const OPTIONAL: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl Value for String {
    const SCHEMA: &'static str = r#""type":"string""#;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl Value for bool {
    const SCHEMA: &'static str = r#""type":"boolean""#;
    const PLAIN: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        text.trim().parse().map_err(|_| expected(text, &["true", "false"]))
    }
}

impl Value for u64 {
    const SCHEMA: &'static str = r#""type":"integer","minimum":0"#;
    const PLAIN: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        text.trim().parse().map_err(|_| format!("is `{text}`, expected a whole number from 0"))
    }
}

/// A number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fraction(pub f64);

impl Value for Fraction {
    const SCHEMA: &'static str = r#""type":"number","minimum":0,"maximum":1"#;
    const PLAIN: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        let number = text.trim().parse().ok().filter(|number| (0.0..=1.0).contains(number));
        number.map(Self).ok_or_else(|| format!("is `{text}`, expected a number from 0 to 1"))
    }
}

/// A length of time, as in `500ms`, `10s` or `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval(pub std::time::Duration);

impl Value for Interval {
    const SCHEMA: &'static str = r#""type":"string","format":"interval""#;

    fn parse(text: &str) -> Result<Self, String> {
        let parsed = humantime::parse_duration(text.trim());
        parsed.map(Self).map_err(|_| format!("is `{text}`, expected a length of time, as in `10s` or `1h 30m`"))
    }
}

impl Value for Path {
    const SCHEMA: &'static str = r#""type":"string","format":"field""#;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::parse(text))
    }
}

/// A text that is kept out of logs and messages.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Value for Secret {
    const SCHEMA: &'static str = r#""type":"string","x-secret":true"#;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

impl Value for Vec<String> {
    const SCHEMA: &'static str = r#""type":["array","string"],"items":{"type":"string"}"#;

    fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        if !trimmed.starts_with('[') {
            let parts = trimmed.split(',').map(str::trim).filter(|part| !part.is_empty());
            return Ok(parts.map(str::to_owned).collect());
        }
        let items: Vec<Json> =
            serde_json::from_str(trimmed).map_err(|error| format!("is no list of texts: {error}"))?;
        items.into_iter().map(|item| scalar(item, "list")).collect()
    }
}

impl Value for Vec<Path> {
    const SCHEMA: &'static str = r#""type":["array","string"],"items":{"type":"string","format":"field"}"#;

    fn parse(text: &str) -> Result<Self, String> {
        let names = Vec::<String>::parse(text)?;
        if names.iter().any(String::is_empty) {
            return Err("names an empty field".to_owned());
        }
        Ok(names.iter().map(|name| Path::parse(name)).collect())
    }
}

/// Pairs of a field and something that belongs to it, in the order of the names, or as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs(pub Vec<(String, Json)>);

impl Value for Pairs {
    const SCHEMA: &'static str = r#""type":["object","string"]"#;

    fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        if trimmed.starts_with('{') {
            let map: serde_json::Map<String, Json> =
                serde_json::from_str(trimmed).map_err(|error| format!("is no map: {error}"))?;
            return Ok(Self(map.into_iter().collect()));
        }
        let parts = trimmed.split(',').map(str::trim).filter(|part| !part.is_empty());
        let pairs = parts.map(|part| match part.split_once('=') {
            Some((from, to)) => Ok((from.trim().to_owned(), Json::from(to.trim()))),
            None => Err(format!("has `{part}` where `name=value` belongs")),
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }
}

impl Pairs {
    /// With every second part read as a parameter of type `T`.
    ///
    /// # Errors
    /// As `T::parse`, with the name of the first part.
    pub fn map<T: Value>(self) -> Result<Vec<(String, T)>, String> {
        let read = |(name, value): (String, Json)| {
            let parsed = scalar(value, "map").and_then(|text| T::parse(&text));
            parsed.map(|value| (name.clone(), value)).map_err(|problem| format!("`{name}` {problem}"))
        };
        self.0.into_iter().map(read).collect()
    }

    /// With every first part read as a field.
    ///
    /// # Errors
    /// When one is empty, and as [`Pairs::map`].
    pub fn fields<T: Value>(self) -> Result<Vec<(Path, T)>, String> {
        if self.0.iter().any(|(name, _)| name.is_empty()) {
            return Err("names an empty field".to_owned());
        }
        Ok(self.map()?.into_iter().map(|(name, value)| (Path::parse(&name), value)).collect())
    }
}

fn scalar(value: Json, within: &str) -> Result<String, String> {
    match value {
        Json::String(text) => Ok(text),
        Json::Array(_) | Json::Object(_) => Err(format!("is a {within} with more than texts in it: {value}")),
        other => Ok(other.to_string()),
    }
}

/// What a JSON text says: a string without its quotes and escapes, anything else as it is written.
#[must_use]
pub fn text_of(json: &str) -> std::borrow::Cow<'_, str> {
    if !json.starts_with('"') {
        return json.into();
    }
    let inner = &json[1..json.len().saturating_sub(1)];
    if !inner.contains('\\') {
        return inner.into();
    }
    serde_json::from_str::<String>(json).map_or_else(|_| inner.into(), Into::into)
}

/// JSON text as it stands in a parameter: what is JSON as it is, any other text as a string.
#[must_use]
pub fn json_of(value: &Json) -> String {
    match value {
        Json::String(text) if serde_json::from_str::<&RawValue>(text).is_ok() => text.trim().to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_json_or_have_commas() {
        let list = <Vec<String> as Value>::parse;
        assert_eq!(list("a, b.c ,"), Ok(vec!["a".to_owned(), "b.c".to_owned()]));
        assert_eq!(list(r#"["a,b", 1, true]"#), Ok(vec!["a,b".to_owned(), "1".to_owned(), "true".to_owned()]));
        assert_eq!(list(""), Ok(Vec::new()));
        assert!(list("[[1]]").expect_err("a list in it").starts_with("is a list with more than texts"));
        assert!(list("[1").is_err());
        assert!(<Vec<Path> as Value>::parse(r#"["a", ""]"#).is_err());
    }

    #[test]
    fn pairs_are_json_or_have_equals_signs() {
        let pairs = |text| Pairs::parse(text).and_then(Pairs::map::<String>);
        let expected = Ok(vec![("a".to_owned(), "b".to_owned()), ("c".to_owned(), "d=e".to_owned())]);
        assert_eq!(pairs("a=b, c = d=e"), expected);
        assert_eq!(pairs(r#"{"a": "b", "c": "d=e"}"#), expected);
        assert_eq!(pairs("a").expect_err("no pair"), "has `a` where `name=value` belongs");
        assert!(pairs(r#"{"a": [1]}"#).is_err());
        let numbers = Pairs::parse("a=1,b=x").and_then(Pairs::map::<u64>);
        assert_eq!(numbers.expect_err("no number"), "`b` is `x`, expected a whole number from 0");
        assert!(Pairs::parse("=x").and_then(Pairs::fields::<String>).is_err());
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(Fraction::parse(" 0.5"), Ok(Fraction(0.5)));
        for text in ["1.1", "-0", "NaN", ""] {
            assert_eq!(Fraction::parse(text).is_ok(), text == "-0", "{text}");
        }
        assert!(<u64 as Value>::parse("-1").is_err());
    }

    #[test]
    fn texts_lose_their_quotes() {
        assert_eq!(text_of(r#""a\"b""#), "a\"b");
        assert_eq!(text_of(r#""a""#), "a");
        assert_eq!(text_of("1.50"), "1.50");
        assert_eq!(json_of(&Json::from("1.50")), "1.50");
        assert_eq!(json_of(&Json::from("a")), "\"a\"");
        assert_eq!(json_of(&Json::from(true)), "true");
    }

    #[test]
    fn a_secret_shows_nothing() {
        let secret = Secret::parse("swordfish").expect("any text");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(secret.reveal(), "swordfish");
    }
}
