//! `json-array-split`: makes one record of each element of a JSON array.
//!
//! ```yaml
//! transforms:
//!   - uses: json-array-split
//!     with:
//!       field: data.items
//! ```
//!
//! | parameter | meaning | default |
//! |-|-|-|
//! | `field` | where the array is: a dotted path or a JSON pointer | the record itself |
//! | `missing` | what to do when there is no such field: `error`, `drop` the record, or `keep` it as it is | `error` |
//!
//! Each element becomes a record of its own, with its text exactly as it stood in the array (a string keeps its
//! quotes, so that it stays JSON) and with the key of the record it came from. An empty array makes no record. A
//! record that is not JSON, or has something else than an array there, is refused.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

use std::sync::OnceLock;

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{RecordData, SmartModuleRecord, eyre, smartmodule};
use serde_json::value::RawValue;
use smartmodule_kit::{InvalidJson, Param, ParamError, Params, Path};

const PARAMS: &[Param] = &[
    Param { name: "field", help: "where the array is; default: the record itself" },
    Param { name: "missing", help: "without that field: error, drop or keep; default: error" },
];

static SPLIT: OnceLock<Split> = OnceLock::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    let split = Split::new(&Params::read("json-array-split", PARAMS, &params)?)?;
    SPLIT.set(split).map_err(|_| eyre!("init is called once"))
}

#[smartmodule(array_map)]
fn array_map(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<Vec<(Option<RecordData>, RecordData)>> {
    let split = SPLIT.get().ok_or_else(|| eyre!("init was not called"))?;
    let elements = split.apply(record.value().as_ref())?;
    Ok(elements.into_iter().map(|element| (record.key().cloned(), RecordData::from(element))).collect())
}

/// What happens to a record without the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Error,
    Drop,
    Keep,
}

#[derive(Debug)]
struct Split {
    field: Path,
    missing: Missing,
}

/// Why a record is refused.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Json(String),
    Missing(String),
    NotAnArray(String, &'static str),
}

impl std::error::Error for Refused {}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(problem) => f.write_str(problem),
            Self::Missing(field) => write!(f, "there is no field `{field}`"),
            Self::NotAnArray(field, found) => write!(f, "`{field}` is {found}, not an array"),
        }
    }
}

impl From<InvalidJson> for Refused {
    fn from(error: InvalidJson) -> Self {
        Self::Json(error.to_string())
    }
}

impl Split {
    fn new(params: &Params) -> Result<Self, ParamError> {
        let missing =
            params.choice("missing", &[("error", Missing::Error), ("drop", Missing::Drop), ("keep", Missing::Keep)])?;
        Ok(Self { field: Path::parse(params.get("field").unwrap_or_default()), missing })
    }

    /// The elements' texts.
    fn apply<'a>(&self, record: &'a [u8]) -> Result<Vec<&'a [u8]>, Refused> {
        let Some(found) = self.field.find(record)? else {
            return match self.missing {
                Missing::Error => Err(Refused::Missing(self.field.to_string())),
                Missing::Drop => Ok(Vec::new()),
                Missing::Keep => Ok(vec![record]),
            };
        };
        if !found.starts_with('[') {
            return Err(Refused::NotAnArray(self.field.to_string(), kind(found)));
        }
        let elements: Vec<&RawValue> = serde_json::from_str(found).map_err(InvalidJson::from)?;
        Ok(elements.into_iter().map(|element| element.get().as_bytes()).collect())
    }
}

/// What a JSON text is, in words.
fn kind(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(params: &[(&str, &str)]) -> Split {
        let params = Params::new("json-array-split", PARAMS, params.iter().copied()).expect("known");
        Split::new(&params).expect("valid")
    }

    fn texts(split: &Split, record: &str) -> Result<Vec<String>, String> {
        let elements = split.apply(record.as_bytes()).map_err(|error| error.to_string())?;
        Ok(elements.into_iter().map(|element| String::from_utf8_lossy(element).into_owned()).collect())
    }

    #[test]
    fn each_element_keeps_its_text() {
        let record = r#" [ {"b": 1.50, "a": 2}, "s", null, [1, 2], 12345678901234567890123 ] "#;
        let expected = [r#"{"b": 1.50, "a": 2}"#, r#""s""#, "null", "[1, 2]", "12345678901234567890123"];
        assert_eq!(texts(&split(&[]), record), Ok(expected.map(str::to_owned).to_vec()));
        assert_eq!(texts(&split(&[]), "[]"), Ok(Vec::new()));
    }

    #[test]
    fn the_array_may_be_inside() {
        let record = r#"{"data": {"items": [1, 2]}}"#;
        for field in ["data.items", "/data/items"] {
            assert_eq!(texts(&split(&[("field", field)]), record), Ok(vec!["1".to_owned(), "2".to_owned()]));
        }
    }

    #[test]
    fn a_missing_field_does_what_was_asked() {
        let missing = |word| texts(&split(&[("field", "x.y"), ("missing", word)]), r#"{"x": 1}"#);
        assert_eq!(missing("error"), Err("there is no field `x.y`".to_owned()));
        assert_eq!(missing("drop"), Ok(Vec::new()));
        assert_eq!(missing("keep"), Ok(vec![r#"{"x": 1}"#.to_owned()]));
    }

    #[test]
    fn what_is_no_array_is_refused() {
        let refused = |record| texts(&split(&[("field", "x")]), record).expect_err("no array");
        assert_eq!(refused(r#"{"x": {}}"#), "`x` is an object, not an array");
        assert_eq!(refused(r#"{"x": "[]"}"#), "`x` is a string, not an array");
        assert_eq!(refused(r#"{"x": null}"#), "`x` is null, not an array");
        assert!(refused("not json").starts_with("the record is not JSON"));
        assert_eq!(texts(&split(&[]), "1").expect_err("no array"), "`(the record)` is a number, not an array");
    }

    #[test]
    fn a_wrong_parameter_says_what_can_be_given() {
        let params = Params::new("json-array-split", PARAMS, [("missing", "skip")]).expect("known");
        let error = Split::new(&params).expect_err("no such choice").to_string();
        assert!(error.contains("`missing` is `skip`, and can be error, drop, keep"), "{error}");
    }
}
