//! `json-timestamp`: reads times in JSON records and writes them in another form. What it does is described in
//! `README.md`.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

mod time;

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{RecordData, SmartModuleRecord, smartmodule};
use smartmodule_kit::{Absent, Edits, Invalid, Object, Once, ParamError, Path, Refused, params, spec, text_of};

use crate::time::{Format, Formats, Zone};

params! {
    /// The parameters.
    struct Settings {
        /// The field with the time: a dotted path or a JSON pointer, in which `*` is every element of an array and
        /// every field of an object.
        field: Path,
        /// The field to write it into. Unless given, it takes the old one's place.
        into: Option<Path>,
        /// How the time is written: `rfc3339`, `rfc2822`, `unix` (seconds, perhaps with a fraction), `unix-ms`,
        /// `unix-us`, `unix-ns`, or a pattern such as `%d.%m.%Y %H:%M:%S`. Of a list, the first that fits.
        from: Formats = "rfc3339",
        /// How to write it; as in `from`. What is `unix` becomes a whole number.
        to: Format = "rfc3339",
        /// Where a time without an offset was written down: `UTC`, an offset such as `+02:00`, or a name such as
        /// `Europe/Oslo`.
        zone: Zone = "UTC",
        /// The place to write it for; as in `zone`.
        to_zone: Zone = "UTC",
        /// What to do about a time that can't be read: refuse the record as an `error`, write `null`, or `keep` what
        /// is there.
        invalid: Invalid = "error",
        /// What to do about a field that isn't there, or is `null`: `skip` it, or refuse the record as an `error`.
        missing: Absent = "skip",
    }
}
spec!(Settings);

static TIMES: Once<Settings> = Once::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    TIMES.set(Settings::read(&params)?.checked()?)
}

#[smartmodule(map)]
fn map(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<(Option<RecordData>, RecordData)> {
    let value = TIMES.get()?.apply(record.value().as_ref())?;
    Ok((record.key().cloned(), value.into()))
}

impl Settings {
    fn checked(self) -> Result<Self, ParamError> {
        match &self.into {
            Some(into) if into.steps().is_empty() => Err(Self::error("parameter `into` names no field")),
            Some(_) if self.field.steps().iter().any(|step| step == "*") => {
                Err(Self::error("with `into`, `field` can't have a `*`: several times don't fit into one field"))
            }
            _ => Ok(self),
        }
    }

    fn apply(&self, record: &[u8]) -> Result<Vec<u8>, Refused> {
        let mut found = self.field.find_all(record)?;
        found.retain(|&value| value != "null");
        if found.is_empty() && self.missing == Absent::Error {
            return Err(Refused::Missing(self.field.to_string()));
        }
        let Some(into) = &self.into else {
            let mut edits = Edits::new(record);
            for value in found {
                if let Some(turned) = self.turn(value)? {
                    edits.replace(value, turned);
                }
            }
            return Ok(edits.apply());
        };
        let Some(turned) = found.last().map(|value| self.turn(value)).transpose()?.flatten() else {
            return Ok(record.to_vec());
        };
        let mut out = Object::read(record)?;
        out.insert(into.steps(), &turned).map_err(|blocked| Refused::blocked(into, blocked))?;
        Ok(out.to_json())
    }

    /// The JSON that takes a value's place; `None` where it stays.
    fn turn(&self, value: &str) -> Result<Option<String>, Refused> {
        let turned = self.from.read(&text_of(value), &self.zone).and_then(|time| self.to.write(time, &self.to_zone));
        match (turned, self.invalid) {
            (Ok(turned), _) => Ok(Some(turned)),
            (Err(_), Invalid::Null) => Ok(Some("null".to_owned())),
            (Err(_), Invalid::Keep) => Ok(None),
            (Err(problem), Invalid::Error) => {
                Err(Refused::Other(format!("`{}` is {value}, and that is not a time: {problem}", self.field)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(params: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::new(params.iter().copied()).and_then(Settings::checked).map_err(|error| error.to_string())
    }

    fn apply(params: &[(&str, &str)], record: &str) -> Result<String, String> {
        let out = settings(params).expect("valid").apply(record.as_bytes()).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    #[test]
    fn a_time_takes_the_old_ones_place() {
        let params = [("field", "at"), ("from", "unix-ms"), ("to", "rfc3339")];
        let record = r#"{ "at": 1700000000123, "x": 1.0 }"#;
        assert_eq!(apply(&params, record), Ok(r#"{ "at": "2023-11-14T22:13:20.123Z", "x": 1.0 }"#.to_owned()));
        let stars = [("field", "events.*.at"), ("from", "unix")];
        let record = r#"{"events": [{"at": 0}, {"at": "1.5"}, {"at": null}]}"#;
        let expected =
            r#"{"events": [{"at": "1970-01-01T00:00:00Z"}, {"at": "1970-01-01T00:00:01.5Z"}, {"at": null}]}"#;
        assert_eq!(apply(&stars, record), Ok(expected.to_owned()));
    }

    #[test]
    fn a_time_can_go_into_another_field() {
        let params = [("field", "at"), ("into", "meta.ms"), ("to", "unix-ms")];
        let json = apply(&params, r#"{"at": "1970-01-01T00:00:01+00:00"}"#);
        assert_eq!(json, Ok(r#"{"at":"1970-01-01T00:00:01+00:00","meta":{"ms":1000}}"#.to_owned()));
        assert_eq!(apply(&params, r#"{ "x": 1 }"#), Ok(r#"{ "x": 1 }"#.to_owned()));
        assert!(apply(&params, r#"{"at": "1970-01-01T00:00:01Z", "meta": 1}"#).is_err());
    }

    #[test]
    fn what_is_no_time_does_what_was_asked() {
        let invalid = |word| apply(&[("field", "at"), ("invalid", word)], r#"{"at": "soon"}"#);
        let error = invalid("error").expect_err("no time");
        assert!(error.starts_with(r#"`at` is "soon", and that is not a time: "#), "{error}");
        assert_eq!(invalid("null"), Ok(r#"{"at": null}"#.to_owned()));
        assert_eq!(invalid("keep"), Ok(r#"{"at": "soon"}"#.to_owned()));
        assert!(apply(&[("field", "at")], r#"{"at": [1]}"#).is_err());
        let missing = |word| apply(&[("field", "at"), ("missing", word)], r#"{"at": null}"#);
        assert_eq!(missing("skip"), Ok(r#"{"at": null}"#.to_owned()));
        assert_eq!(missing("error"), Err("there is no field `at`".to_owned()));
    }

    #[test]
    fn wrong_parameters_are_explained() {
        let error = |params: &[(&str, &str)]| settings(params).expect_err("wrong");
        assert!(error(&[("field", "a"), ("from", "iso")]).contains("`from` is `iso`, expected `rfc3339`"));
        assert!(
            error(&[("field", "a"), ("to", "%J")]).contains("`to` is `%J`"),
            "{}",
            error(&[("field", "a"), ("to", "%J")])
        );
        assert!(error(&[("field", "a"), ("zone", "Mars/Olympus")]).contains("expected `UTC`, an offset"));
        assert!(error(&[("field", "a.*"), ("into", "b")]).contains("can't have a `*`"));
        assert!(error(&[("field", "a"), ("into", "")]).contains("names no field"));
    }
}
