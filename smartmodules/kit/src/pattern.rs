//! Regular expressions as parameters.

use std::ops::Deref;

use regex::bytes::{Regex, RegexBuilder};

use crate::values::Value;

/// The most memory a compiled expression may take. Ordinary ones take some 10 KiB; what needs more would be slow.
const MAX_BYTES: usize = 4 << 20;

/// A regular expression, in the syntax of the crate `regex`; it may match anywhere in a text, which need not be
/// UTF-8.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Deref for Pattern {
    type Target = Regex;

    fn deref(&self) -> &Regex {
        &self.0
    }
}

impl Value for Pattern {
    const SCHEMA: &'static str = r#""type":"string","format":"regular-expression""#;

    fn parse(text: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(text).size_limit(MAX_BYTES).build();
        built.map(Self).map_err(|error| format!("is not a regular expression: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_shown() {
        assert!(Pattern::parse("^a+$").expect("fine").is_match(b"aa"));
        let error = Pattern::parse("a(b").expect_err("unclosed");
        assert!(error.starts_with("is not a regular expression: ") && error.contains("unclosed group"), "{error}");
        assert!(Pattern::parse(r"\w{1000}{1000}").is_err());
    }
}
