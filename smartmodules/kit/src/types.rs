//! Turning texts and JSON values into values of another type.

use serde::de::IgnoredAny;

use crate::values::text_of;

crate::choices! {
    /// A type that a value can be turned into.
    pub enum Type {
        /// A string: of anything else than a string, its JSON.
        String = "string",
        /// A whole number of any size.
        Integer = "integer",
        /// A number.
        Number = "number",
        /// `true` or `false`; also written `1`/`0`, `yes`/`no` and `on`/`off`.
        Boolean = "boolean",
        /// Whatever the text says that is in the string.
        Json = "json",
    }
}

impl Type {
    /// Its name with an article, for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Json => "JSON",
        }
    }

    /// JSON of this type that says what the text says; `None` when the text says nothing of the kind.
    ///
    /// ```
    /// use smartmodule_kit::Type;
    /// assert_eq!(Type::Number.of_text(" 1.50 ").as_deref(), Some("1.50"));
    /// assert_eq!(Type::Integer.of_text("1.5"), None);
    /// ```
    #[must_use]
    pub fn of_text(self, text: &str) -> Option<String> {
        let trimmed = text.trim();
        match self {
            Self::String => Some(serde_json::Value::from(text).to_string()),
            Self::Integer => integer(trimmed),
            Self::Number => number(trimmed),
            Self::Boolean => match trimmed.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some("true".to_owned()),
                "false" | "0" | "no" | "off" => Some("false".to_owned()),
                _ => None,
            },
            Self::Json => serde_json::from_str::<IgnoredAny>(trimmed).is_ok().then(|| trimmed.to_owned()),
        }
    }

    /// JSON of this type that says what other JSON says; `null` stays `null`.
    ///
    /// ```
    /// use smartmodule_kit::Type;
    /// assert_eq!(Type::Integer.of_json("\"007\"").as_deref(), Some("7"));
    /// assert_eq!(Type::String.of_json("{\"a\": 1}").as_deref(), Some("\"{\\\"a\\\": 1}\""));
    /// ```
    #[must_use]
    pub fn of_json(self, json: &str) -> Option<String> {
        let first = json.bytes().next();
        match (self, first) {
            (_, Some(b'n')) | (Self::String, Some(b'"')) => Some(json.to_owned()),
            (_, Some(b'"')) | (Self::String, _) => self.of_text(&text_of(json)),
            (Self::Json, _) | (Self::Boolean, Some(b't' | b'f')) => Some(json.to_owned()),
            (Self::Integer | Self::Number, Some(b't')) => Some("1".to_owned()),
            (Self::Integer | Self::Number, Some(b'f')) => Some("0".to_owned()),
            (_, Some(b'{' | b'[')) => None,
            _ => self.of_text(json),
        }
    }
}

fn integer(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(match digits.trim_start_matches('0') {
            "" => "0".to_owned(),
            rest => format!("{sign}{rest}"),
        });
    }
    // a whole number in another spelling: 30.0, 1e3
    let number: f64 = text.parse().ok()?;
    let exact = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    exact.then(|| format!("{}", number as i64))
}

fn number(text: &str) -> Option<String> {
    let plain = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    if plain && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        return Some(text.to_owned());
    }
    // JSON has no `+1`, `.5`, `1.` or `007`; neither has it infinities
    let looks_like_one = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number = text.parse().ok().filter(|_| looks_like_one).and_then(serde_json::Number::from_f64)?;
    Some(number.as_f64().filter(|value| value.fract() == 0.0).and_then(|_| integer(text)).unwrap_or(number.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_values() {
        let cases = [
            (Type::String, " a\"b ", Some(r#"" a\"b ""#)),
            (Type::Integer, "007", Some("7")),
            (Type::Integer, "-0", Some("0")),
            (Type::Integer, "+12345678901234567890123", Some("12345678901234567890123")),
            (Type::Integer, "30.0", Some("30")),
            (Type::Integer, "1e3", Some("1000")),
            (Type::Integer, "1e300", None),
            (Type::Integer, "1.5", None),
            (Type::Integer, "-", None),
            (Type::Integer, "", None),
            (Type::Number, "1.50", Some("1.50")),
            (Type::Number, "-1e-3", Some("-1e-3")),
            (Type::Number, "+1.5", Some("1.5")),
            (Type::Number, ".5", Some("0.5")),
            (Type::Number, "007", Some("7")),
            (Type::Number, "1.", Some("1")),
            (Type::Number, "inf", None),
            (Type::Number, "nan", None),
            (Type::Number, "1,5", None),
            (Type::Number, "1e999", Some("1e999")),
            (Type::Boolean, " Yes", Some("true")),
            (Type::Boolean, "0", Some("false")),
            (Type::Boolean, "maybe", None),
            (Type::Json, r#" {"a": [1]} "#, Some(r#"{"a": [1]}"#)),
            (Type::Json, "{", None),
        ];
        for (ty, text, expected) in cases {
            assert_eq!(ty.of_text(text).as_deref(), expected, "{ty:?} of {text}");
        }
    }

    #[test]
    fn values_become_values() {
        let cases = [
            (Type::String, "1.50", Some(r#""1.50""#)),
            (Type::String, r#""\u0061""#, Some(r#""\u0061""#)),
            (Type::String, "[1]", Some(r#""[1]""#)),
            (Type::String, "null", Some("null")),
            (Type::Integer, "1.0", Some("1")),
            (Type::Integer, "true", Some("1")),
            (Type::Integer, "[1]", None),
            (Type::Number, "false", Some("0")),
            (Type::Number, r#""1.50""#, Some("1.50")),
            (Type::Boolean, "1", Some("true")),
            (Type::Boolean, "2", None),
            (Type::Boolean, "false", Some("false")),
            (Type::Json, r#""{\"a\":1}""#, Some(r#"{"a":1}"#)),
            (Type::Json, "[1]", Some("[1]")),
        ];
        for (ty, json, expected) in cases {
            assert_eq!(ty.of_json(json).as_deref(), expected, "{ty:?} of {json}");
        }
    }
}
