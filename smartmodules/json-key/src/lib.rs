//! `json-key`: makes the record's key from fields of its JSON. What it does is described in `README.md`.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{RecordData, SmartModuleRecord, smartmodule};
use smartmodule_kit::{Once, ParamError, Path, Refused, choices, params, spec, text_of};

params! {
    /// The parameters.
    struct Settings {
        /// The fields that make the key: a list, or texts with commas between them.
        fields: Vec<Path>,
        /// What stands between them.
        separator: String = ":",
        /// What to do with a record that lacks one of them, or has `null` there: refuse it as an `error`, `keep` the
        /// key that it has, or leave it without one (`none`).
        missing: Lacking = "error",
    }
}
spec!(Settings);

choices! {
    /// What happens to a record without the fields.
    enum Lacking {
        Error = "error",
        Keep = "keep",
        None = "none",
    }
}

static KEY: Once<Settings> = Once::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    KEY.set(Settings::read(&params)?.checked()?)
}

#[smartmodule(map)]
fn map(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<(Option<RecordData>, RecordData)> {
    let settings = KEY.get()?;
    let key = match (settings.key(record.value().as_ref())?, settings.missing) {
        (Ok(key), _) => Some(RecordData::from(key)),
        (Err(_), Lacking::Keep) => record.key().cloned(),
        (Err(_), Lacking::None) => None,
        (Err(field), Lacking::Error) => return Err(Refused::Missing(field).into()),
    };
    Ok((key, record.value().clone()))
}

impl Settings {
    fn checked(self) -> Result<Self, ParamError> {
        if self.fields.is_empty() {
            return Err(Self::error("parameter `fields` names no field"));
        }
        Ok(self)
    }

    /// The key that a record gets, or the field that is not there.
    fn key(&self, record: &[u8]) -> Result<Result<String, String>, Refused> {
        let mut key = String::new();
        for (index, field) in self.fields.iter().enumerate() {
            match field.find(record)? {
                None | Some("null") => return Ok(Err(field.to_string())),
                Some(found) => {
                    if index > 0 {
                        key.push_str(&self.separator);
                    }
                    key.push_str(&text_of(found));
                }
            }
        }
        Ok(Ok(key))
    }
}

#[cfg(test)]
mod tests {
    use smartmodule_kit::record;

    use super::*;

    fn key(params: &[(&str, &str)], record: &str) -> Result<Result<String, String>, String> {
        let settings = Settings::new(params.iter().copied()).and_then(Settings::checked).expect("valid");
        settings.key(record.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_become_the_key() {
        let record = r#"{"user": {"id": 7.0, "name": "A\"nn"}, "tags": ["x"], "n": null}"#;
        assert_eq!(key(&[("fields", "user.id")], record), Ok(Ok("7.0".to_owned())));
        assert_eq!(key(&[("fields", "user.name,user.id")], record), Ok(Ok("A\"nn:7.0".to_owned())));
        let joined = key(&[("fields", r#"["/tags/0","tags"]"#), ("separator", "")], record);
        assert_eq!(joined, Ok(Ok(r#"x["x"]"#.to_owned())));
        assert_eq!(key(&[("fields", "n")], record), Ok(Err("n".to_owned())));
        assert_eq!(key(&[("fields", "user.id,user.x")], record), Ok(Err("user.x".to_owned())));
        assert!(key(&[("fields", "n")], "text").expect_err("no JSON").contains("not JSON"));
    }

    #[test]
    fn a_record_without_the_field_does_what_was_asked() {
        // one module has one set of parameters, so the choice is tried on what `map` makes of it
        KEY.set(Settings::new([("fields", "a"), ("missing", "keep")]).expect("valid")).expect("once");
        let (kept, value) = map(&record(Some("old"), "{}", 0, 0)).expect("kept");
        assert_eq!((kept.as_ref().map(AsRef::as_ref), value.as_ref()), (Some(&b"old"[..]), &b"{}"[..]));
        let (made, _) = map(&record(Some("old"), r#"{"a": "new"}"#, 0, 0)).expect("made");
        assert_eq!(made.as_ref().map(AsRef::as_ref), Some(&b"new"[..]));
    }

    #[test]
    fn without_fields_there_is_no_key() {
        let error = Settings::new([("fields", "")]).and_then(Settings::checked).expect_err("none").to_string();
        assert!(error.contains("names no field"), "{error}");
    }
}
