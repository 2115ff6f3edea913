//! `json-array-split`: makes one record of each element of a JSON array. What it does is described in `README.md`.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{RecordData, SmartModuleRecord, smartmodule};
use serde_json::value::RawValue;
use smartmodule_kit::{InvalidJson, Missing, Once, Path, Refused, kind_of, params, spec};

params! {
    /// The parameters.
    struct Split {
        /// Where the array is: a dotted path or a JSON pointer. Empty: the record itself.
        field: Path = "",
        /// What to do with a record that has no such field: refuse it as an `error`, `drop` it, or `keep` it as it is.
        missing: Missing = "error",
    }
}
spec!(Split);

static SPLIT: Once<Split> = Once::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    SPLIT.set(Split::read(&params)?)
}

#[smartmodule(array_map)]
fn array_map(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<Vec<(Option<RecordData>, RecordData)>> {
    let elements = SPLIT.get()?.apply(record.value().as_ref())?;
    Ok(elements.into_iter().map(|element| (record.key().cloned(), RecordData::from(element))).collect())
}

impl Split {
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
            let field = self.field.to_string();
            return Err(Refused::Kind { field, found: kind_of(found), expected: "an array" });
        }
        let elements: Vec<&RawValue> = serde_json::from_str(found).map_err(InvalidJson::from)?;
        Ok(elements.into_iter().map(|element| element.get().as_bytes()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(params: &[(&str, &str)]) -> Split {
        Split::new(params.iter().copied()).expect("valid")
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
        let error = Split::new([("missing", "skip")]).expect_err("no such choice").to_string();
        assert!(error.contains("`missing` is `skip`, expected `error`, `drop` or `keep`"), "{error}");
    }
}
