//! `json-types`: turns fields of JSON records into values of other types. What it does is described in `README.md`.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{RecordData, SmartModuleRecord, smartmodule};
use smartmodule_kit::{Absent, Edits, Invalid, Once, Pairs, ParamError, Path, Refused, Type, params, spec};

params! {
    /// The parameters.
    struct Settings {
        /// A map of fields to `string`, `integer`, `number`, `boolean` or `json`, or `field=type` with commas between
        /// them. In a field, `*` is every element of an array and every field of an object.
        fields: Pairs,
        /// What to do about a value that can't be turned into the type: refuse the record as an `error`, make it
        /// `null`, or `keep` it.
        invalid: Invalid = "error",
        /// What to do about a field that isn't there: `skip` it, or refuse the record as an `error`.
        missing: Absent = "skip",
    }
}
spec!(Settings);

static TYPES: Once<Types> = Once::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    TYPES.set(Types::new(Settings::read(&params)?)?)
}

#[smartmodule(map)]
fn map(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<(Option<RecordData>, RecordData)> {
    let value = TYPES.get()?.apply(record.value().as_ref())?;
    Ok((record.key().cloned(), value.into()))
}

#[derive(Debug)]
struct Types {
    fields: Vec<(Path, Type)>,
    invalid: Invalid,
    missing: Absent,
}

impl Types {
    fn new(settings: Settings) -> Result<Self, ParamError> {
        let Settings { fields, invalid, missing } = settings;
        let fields = fields.fields().map_err(|problem| Settings::error(format!("parameter `fields`: {problem}")))?;
        if fields.is_empty() {
            return Err(Settings::error("parameter `fields` names no field"));
        }
        Ok(Self { fields, invalid, missing })
    }

    fn apply(&self, record: &[u8]) -> Result<Vec<u8>, Refused> {
        let mut edits = Edits::new(record);
        for (field, ty) in &self.fields {
            let found = field.find_all(record)?;
            if found.is_empty() && self.missing == Absent::Error {
                return Err(Refused::Missing(field.to_string()));
            }
            for value in found {
                match (ty.of_json(value), self.invalid) {
                    (Some(turned), _) => edits.replace(value, turned),
                    (None, Invalid::Null) => edits.replace(value, "null".to_owned()),
                    (None, Invalid::Keep) => {}
                    (None, Invalid::Error) => {
                        let problem = format!("`{field}` is {value}, which can't be turned into {}", ty.name());
                        return Err(Refused::Other(problem));
                    }
                }
            }
        }
        Ok(edits.apply())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(params: &[(&str, &str)], record: &str) -> Result<String, String> {
        let types = Settings::new(params.iter().copied()).and_then(Types::new).expect("valid");
        let out = types.apply(record.as_bytes()).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    #[test]
    fn fields_change_and_the_rest_stays() {
        let record = r#"{ "id": "007", "on": "yes", "price": "1.50", "raw": "{\"a\": 1}", "n": 5, "x": null }"#;
        let fields =
            r#"{"id": "integer", "on": "boolean", "price": "number", "raw": "json", "n": "string", "x": "json"}"#;
        let expected = r#"{ "id": 7, "on": true, "price": 1.50, "raw": {"a": 1}, "n": "5", "x": null }"#;
        assert_eq!(apply(&[("fields", fields)], record), Ok(expected.to_owned()));
    }

    #[test]
    fn stars_lead_everywhere() {
        let record = r#"[{"n": "1"}, {"n": "2"}, {}]"#;
        assert_eq!(apply(&[("fields", "*.n=integer")], record), Ok(r#"[{"n": 1}, {"n": 2}, {}]"#.to_owned()));
    }

    #[test]
    fn what_is_invalid_or_missing_does_what_was_asked() {
        let invalid = |word| apply(&[("fields", "n=integer"), ("invalid", word)], r#"{"n": "x"}"#);
        assert_eq!(invalid("error"), Err(r#"`n` is "x", which can't be turned into a whole number"#.to_owned()));
        assert_eq!(invalid("null"), Ok(r#"{"n": null}"#.to_owned()));
        assert_eq!(invalid("keep"), Ok(r#"{"n": "x"}"#.to_owned()));
        let missing = |word| apply(&[("fields", "n=integer"), ("missing", word)], "{}");
        assert_eq!(missing("skip"), Ok("{}".to_owned()));
        assert_eq!(missing("error"), Err("there is no field `n`".to_owned()));
        assert!(apply(&[("fields", "n=integer")], "text").is_err());
    }

    #[test]
    fn wrong_parameters_are_explained() {
        let error = |fields| Settings::new([("fields", fields)]).and_then(Types::new).expect_err("wrong").to_string();
        assert!(error("n=int").contains("`n` is `int`, expected `string`, `integer`"), "{}", error("n=int"));
        assert!(error("=string").contains("names an empty field"));
        assert!(error("").contains("names no field"));
    }
}
