//! A module's parameters: checked against what it knows, read as texts, lists, pairs and choices.

use std::collections::BTreeMap;
use std::io::Cursor;

use fluvio_smartmodule::dataplane::core::{Decoder, Encoder};
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use serde::de::IgnoredAny;
use serde_json::Value;

/// A version of the encoding in which parameters are just a map.
const MAP_ONLY: i16 = 0;

/// A parameter that a module takes.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name under `with:`.
    pub name: &'static str,
    /// What it means, in a few words.
    pub help: &'static str,
}

/// The parameters don't fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {module} takes {known}")]
pub struct ParamError {
    module: &'static str,
    problem: String,
    known: String,
}

/// A module's parameters.
#[derive(Debug, Clone)]
pub struct Params {
    module: &'static str,
    known: &'static [Param],
    given: BTreeMap<String, String>,
}

impl Params {
    /// What `init` was given, checked.
    ///
    /// # Errors
    /// When a parameter is not one of `known`.
    pub fn read(
        module: &'static str,
        known: &'static [Param],
        extra: &SmartModuleExtraParams,
    ) -> Result<Self, ParamError> {
        // The type can't be asked for its names, but it can be written out and read as what it holds.
        let mut bytes = Vec::new();
        let mut given = BTreeMap::new();
        let written = extra.encode(&mut bytes, MAP_ONLY);
        let read = written.and_then(|()| Decoder::decode(&mut given, &mut Cursor::new(bytes), MAP_ONLY));
        let params = Self { module, known, given };
        read.map_err(|error| params.error(format!("the parameters can't be read ({error})")))?;
        params.check()
    }

    /// Parameters from anywhere else, checked.
    ///
    /// # Errors
    /// When a parameter is not one of `known`.
    pub fn new<'a>(
        module: &'static str,
        known: &'static [Param],
        given: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ParamError> {
        let given = given.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { module, known, given }.check()
    }

    fn check(self) -> Result<Self, ParamError> {
        match self.given.keys().find(|name| self.known.iter().all(|known| known.name != *name)) {
            Some(unknown) => Err(self.error(format!("unknown parameter `{unknown}`"))),
            None => Ok(self),
        }
    }

    /// An error that names all known parameters.
    #[must_use]
    pub fn error(&self, problem: impl Into<String>) -> ParamError {
        let known: Vec<_> = self.known.iter().map(|param| format!("`{}` ({})", param.name, param.help)).collect();
        ParamError { module: self.module, problem: problem.into(), known: known.join(", ") }
    }

    /// A parameter's text, if it is given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// A parameter that must be there.
    ///
    /// # Errors
    /// When it isn't.
    pub fn required(&self, name: &str) -> Result<&str, ParamError> {
        self.get(name).ok_or_else(|| self.error(format!("parameter `{name}` is missing")))
    }

    /// One of several words; the first is the default.
    ///
    /// # Errors
    /// When it is another word.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T, ParamError> {
        let found = match self.get(name) {
            None => choices.first(),
            Some(given) => choices.iter().find(|(word, _)| *word == given.trim()),
        };
        found.map(|&(_, value)| value).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            let given = self.get(name).unwrap_or_default();
            self.error(format!("parameter `{name}` is `{given}`, and can be {}", words.join(", ")))
        })
    }

    /// A list: JSON, or texts with commas between them. Empty when the parameter isn't given.
    ///
    /// # Errors
    /// When it is JSON of another shape.
    pub fn list(&self, name: &str) -> Result<Vec<String>, ParamError> {
        let Some(text) = self.get(name).map(str::trim) else { return Ok(Vec::new()) };
        if text.starts_with('[') {
            return serde_json::from_str(text)
                .map_err(|error| self.error(format!("parameter `{name}` is no list of strings ({error})")));
        }
        Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    /// Pairs: a JSON object of strings, or `a=b` with commas between them. Empty when the parameter isn't given.
    ///
    /// # Errors
    /// When it is JSON of another shape, or a part has no `=`.
    pub fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, ParamError> {
        let Some(text) = self.get(name).map(str::trim) else { return Ok(Vec::new()) };
        if text.starts_with('{') {
            let map: BTreeMap<String, String> = serde_json::from_str(text)
                .map_err(|error| self.error(format!("parameter `{name}` is no map of strings ({error})")))?;
            return Ok(map.into_iter().collect());
        }
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let pairs = parts.map(|part| match part.split_once('=') {
            Some((from, to)) => Ok((from.trim().to_owned(), to.trim().to_owned())),
            None => Err(self.error(format!("parameter `{name}` has `{part}` where `from=to` belongs"))),
        });
        pairs.collect()
    }

    /// Pairs of which the second is a value: turned into JSON text, a text that is JSON as it is and any other as a
    /// string. In a JSON object the values may be anything.
    ///
    /// # Errors
    /// As [`Params::pairs`].
    pub fn texts(&self, name: &str) -> Result<Vec<(String, String)>, ParamError> {
        let Some(text) = self.get(name).map(str::trim) else { return Ok(Vec::new()) };
        let given: Vec<(String, Value)> = if text.starts_with('{') {
            let map: BTreeMap<String, Value> = serde_json::from_str(text)
                .map_err(|error| self.error(format!("parameter `{name}` is no map ({error})")))?;
            map.into_iter().collect()
        } else {
            self.pairs(name)?.into_iter().map(|(name, text)| (name, Value::String(text))).collect()
        };
        let as_json = |value: Value| match value {
            Value::String(text) if serde_json::from_str::<IgnoredAny>(&text).is_ok() => text,
            other => other.to_string(),
        };
        Ok(given.into_iter().map(|(name, value)| (name, as_json(value))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Param] =
        &[Param { name: "field", help: "which" }, Param { name: "op", help: "how" }, Param { name: "list", help: "" }];

    fn params(given: &[(&str, &str)]) -> Result<Params, ParamError> {
        Params::new("test", KNOWN, given.iter().copied())
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = params(&[("feild", "a")]).expect_err("misspelt").to_string();
        assert_eq!(error, "unknown parameter `feild`; test takes `field` (which), `op` (how), `list` ()");
    }

    #[test]
    fn the_type_of_the_abi_is_read() {
        let mut extra = SmartModuleExtraParams::default();
        extra.insert("field".to_owned(), "a.b".to_owned());
        let params = Params::read("test", KNOWN, &extra).expect("known");
        assert_eq!(params.required("field").expect("given"), "a.b");
        assert!(params.required("op").expect_err("missing").to_string().contains("`op` is missing"));
        extra.insert("x".to_owned(), String::new());
        assert!(Params::read("test", KNOWN, &extra).is_err());
    }

    #[test]
    fn a_choice_has_a_default_and_says_what_can_be_chosen() {
        let choices = [("eq", 1), ("ne", 2)];
        assert_eq!(params(&[]).expect("ok").choice("op", &choices), Ok(1));
        assert_eq!(params(&[("op", "ne")]).expect("ok").choice("op", &choices), Ok(2));
        let error = params(&[("op", "=")]).expect("ok").choice("op", &choices).expect_err("not one");
        assert!(error.to_string().contains("`op` is `=`, and can be eq, ne"), "{error}");
    }

    #[test]
    fn lists_and_pairs_are_json_or_commas() {
        let list = |text: &str| params(&[("list", text)]).expect("ok").list("list");
        assert_eq!(list("a, b.c ,"), Ok(vec!["a".to_owned(), "b.c".to_owned()]));
        assert_eq!(list(r#"["a,b"]"#), Ok(vec!["a,b".to_owned()]));
        assert!(list("[1]").is_err());
        let pairs = |text: &str| params(&[("list", text)]).expect("ok").pairs("list");
        assert_eq!(pairs("a=b, c = d"), Ok(vec![("a".into(), "b".into()), ("c".into(), "d".into())]));
        assert_eq!(pairs(r#"{"a":"b"}"#), Ok(vec![("a".into(), "b".into())]));
        assert!(pairs("a").is_err());
        assert!(pairs(r#"{"a":1}"#).is_err());
    }
}
