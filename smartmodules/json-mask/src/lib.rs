//! `json-mask`: hides fields of JSON records. What it does is described in `README.md`.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

use std::fmt::Write as _;

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{RecordData, SmartModuleRecord, smartmodule};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use smartmodule_kit::{Absent, Edits, Once, ParamError, Path, Refused, Secret, Type, params, spec, text_of};

params! {
    /// The parameters.
    struct Settings {
        /// Fields to mask: a list, or texts with commas between them. In a field, `*` is every element of an array and
        /// every field of an object.
        mask: Option<Vec<Path>>,
        /// What stands for what is hidden by `mask`.
        with: String = "***",
        /// How many characters at the end of a masked text stay readable. A text that is not at least twice as long
        /// is hidden as a whole.
        keep_last: u64 = "0",
        /// Fields to replace by their HMAC-SHA-256 in hexadecimal: the same text always gives the same hash, so that
        /// records can still be matched and counted.
        hash: Option<Vec<Path>>,
        /// The key of the hashes; must be given with `hash`. Whoever knows it can find short texts by trying.
        key: Option<Secret>,
        /// Fields to make `null`.
        redact: Option<Vec<Path>>,
        /// What to do about a field that isn't there: `skip` it, or refuse the record as an `error`, so that nothing
        /// passes under a name that nobody thought of.
        missing: Absent = "skip",
    }
}
spec!(Settings);

static HIDE: Once<Hide> = Once::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    HIDE.set(Hide::new(Settings::read(&params)?)?)
}

#[smartmodule(map)]
fn map(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<(Option<RecordData>, RecordData)> {
    let value = HIDE.get()?.apply(record.value().as_ref())?;
    Ok((record.key().cloned(), value.into()))
}

#[derive(Debug)]
enum How {
    Redact,
    Hash(Hmac<Sha256>),
    Mask { with: String, keep_last: usize },
}

#[derive(Debug)]
struct Hide {
    /// The strictest first: of two that reach the same value the first counts.
    fields: Vec<(Path, How)>,
    missing: Absent,
}

impl Hide {
    fn new(settings: Settings) -> Result<Self, ParamError> {
        let Settings { mask, with, keep_last, hash, key, redact, missing } = settings;
        let mut fields: Vec<(Path, How)> = Vec::new();
        fields.extend(redact.into_iter().flatten().map(|field| (field, How::Redact)));
        if let Some(hash) = hash {
            let Some(key) = key.filter(|key| !key.reveal().is_empty()) else {
                return Err(Settings::error(
                    "parameter `key` is missing: without one, hashes of short texts hide nothing",
                ));
            };
            let mac = Hmac::<Sha256>::new_from_slice(key.reveal().as_bytes())
                .map_err(|error| Settings::error(format!("parameter `key`: {error}")))?;
            fields.extend(hash.into_iter().map(|field| (field, How::Hash(mac.clone()))));
        }
        let keep_last = usize::try_from(keep_last).unwrap_or(usize::MAX);
        let how = || How::Mask { with: with.clone(), keep_last };
        fields.extend(mask.into_iter().flatten().map(|field| (field, how())));
        if fields.is_empty() {
            return Err(Settings::error("none of `mask`, `hash` and `redact` names a field"));
        }
        Ok(Self { fields, missing })
    }

    fn apply(&self, record: &[u8]) -> Result<Vec<u8>, Refused> {
        let mut edits = Edits::new(record);
        for (field, how) in &self.fields {
            let found = field.find_all(record)?;
            if found.is_empty() && self.missing == Absent::Error {
                return Err(Refused::Missing(field.to_string()));
            }
            for value in found.into_iter().filter(|&value| value != "null") {
                edits.replace(value, how.hide(value));
            }
        }
        Ok(edits.apply())
    }
}

impl How {
    /// What takes the place of a value.
    fn hide(&self, value: &str) -> String {
        match self {
            Self::Redact => "null".to_owned(),
            Self::Hash(mac) => {
                let mut mac = mac.clone();
                mac.update(text_of(value).as_bytes());
                let mut out = String::from("\"");
                for byte in mac.finalize().into_bytes() {
                    let _ = write!(out, "{byte:02x}");
                }
                out + "\""
            }
            Self::Mask { with, keep_last } => {
                let text = text_of(value);
                let length = text.chars().count();
                let readable = if length / 2 >= *keep_last { *keep_last } else { 0 };
                let tail: String = text.chars().skip(length - readable).collect();
                Type::String.of_text(&format!("{with}{tail}")).unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hide(params: &[(&str, &str)]) -> Result<Hide, String> {
        Settings::new(params.iter().copied()).and_then(Hide::new).map_err(|error| error.to_string())
    }

    fn apply(params: &[(&str, &str)], record: &str) -> Result<String, String> {
        let out = hide(params).expect("valid").apply(record.as_bytes()).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    #[test]
    fn fields_are_masked_wherever_they_are() {
        let record = r#"{ "users": [{"mail": "a@b"}, {"mail": 12}, {"mail": {"x": 1}}, {"mail": null}], "n": 1 }"#;
        let expected = r#"{ "users": [{"mail": "***"}, {"mail": "***"}, {"mail": "***"}, {"mail": null}], "n": 1 }"#;
        assert_eq!(apply(&[("mask", "users.*.mail")], record), Ok(expected.to_owned()));
        // a name written with an escape, and one that is there twice, hide nothing
        let tricky = r#"{"mail": "a", "\u006dail": "b"}"#;
        assert_eq!(apply(&[("mask", "mail")], tricky), Ok(r#"{"mail": "***", "\u006dail": "***"}"#.to_owned()));
    }

    #[test]
    fn the_end_can_stay_readable() {
        let masked =
            |text: &str| apply(&[("mask", "t"), ("keep-last", "4"), ("with", "…")], &format!(r#"{{"t": {text}}}"#));
        assert_eq!(masked(r#""DE89370400440532""#), Ok(r#"{"t": "…0532"}"#.to_owned()));
        assert_eq!(masked(r#""\"ÄÖÜß12é4""#), Ok(r#"{"t": "…12é4"}"#.to_owned()));
        assert_eq!(masked("1234567"), Ok(r#"{"t": "…"}"#.to_owned()));
    }

    #[test]
    fn hashes_are_those_of_hmac_sha_256() {
        // RFC 4231, test case 2
        let record = r#"{"t": "what do ya want for nothing?"}"#;
        let hash = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let expected = format!(r#"{{"t": "{hash}"}}"#);
        assert_eq!(apply(&[("hash", "t"), ("key", "Jefe")], record), Ok(expected));
        let number = apply(&[("hash", "t"), ("key", "Jefe")], r#"{"t": 7}"#);
        assert_eq!(number, apply(&[("hash", "t"), ("key", "Jefe")], r#"{"t": "7"}"#));
    }

    #[test]
    fn the_strictest_wins() {
        let params = [("mask", "a,b.c"), ("redact", "b"), ("hash", "a"), ("key", "k")];
        let hidden = apply(&params, r#"{"a": "x", "b": {"c": "y"}}"#).expect("JSON");
        assert!(hidden.ends_with(r#", "b": null}"#) && !hidden.contains("***"), "{hidden}");
    }

    #[test]
    fn what_is_not_there_does_what_was_asked() {
        assert_eq!(apply(&[("mask", "a")], r#"{"b": 1}"#), Ok(r#"{"b": 1}"#.to_owned()));
        let error = apply(&[("mask", "a"), ("missing", "error")], r#"{"b": 1}"#);
        assert_eq!(error, Err("there is no field `a`".to_owned()));
        assert!(apply(&[("mask", "a")], "my secret").is_err());
    }

    #[test]
    fn a_refusal_shows_nothing_of_the_record() {
        let error = apply(&[("mask", "a")], r#"{"a": "swordfish""#).expect_err("broken");
        assert!(!error.contains("swordfish"), "{error}");
    }

    #[test]
    fn wrong_parameters_are_explained() {
        assert!(hide(&[]).expect_err("nothing to do").contains("none of `mask`, `hash` and `redact`"));
        assert!(hide(&[("hash", "a")]).expect_err("no key").contains("parameter `key` is missing"));
        assert!(hide(&[("hash", "a"), ("key", "")]).is_err());
    }
}
