//! `regex-filter`: keeps the records that a regular expression matches. What it does is described in `README.md`.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{SmartModuleRecord, smartmodule};
use smartmodule_kit::{Missing, Once, Part, Path, Pattern, Refused, params, spec};

params! {
    /// The parameters.
    struct RegexFilter {
        /// What must match: a regular expression. It may match anywhere; `^` and `$` tie it to the ends.
        regex: Pattern,
        /// The part of the record that is looked at.
        part: Part = "value",
        /// A field of that part, when it is JSON: a dotted path or a JSON pointer. Of a string its text is looked at,
        /// of anything else its JSON. Unless given, the whole part.
        field: Option<Path>,
        /// Keep the records that don't match instead.
        invert: bool = "false",
        /// What to do with a record that has no such field, or no key: `drop` it, `keep` it, or refuse it as an
        /// `error`.
        missing: Missing = "drop",
    }
}
spec!(RegexFilter);

static FILTER: Once<RegexFilter> = Once::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    FILTER.set(RegexFilter::read(&params)?)
}

#[smartmodule(filter)]
fn filter(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<bool> {
    Ok(FILTER.get()?.keeps(record)?)
}

impl RegexFilter {
    fn keeps(&self, record: &SmartModuleRecord) -> Result<bool, Refused> {
        match (self.part.subject(record, self.field.as_ref())?, self.missing) {
            (Some(subject), _) => Ok(self.regex.is_match(&subject) != self.invert),
            (None, Missing::Drop) => Ok(false),
            (None, Missing::Keep) => Ok(true),
            (None, Missing::Error) => Err(self.part.missing(record, self.field.as_ref())),
        }
    }
}

#[cfg(test)]
mod tests {
    use smartmodule_kit::record;

    use super::*;

    fn keeps(params: &[(&str, &str)], key: Option<&str>, value: &str) -> Result<bool, String> {
        let filter = RegexFilter::new(params.iter().copied()).expect("valid");
        filter.keeps(&record(key, value, 0, 0)).map_err(|error| error.to_string())
    }

    #[test]
    fn any_part_of_the_text_may_match() {
        assert_eq!(keeps(&[("regex", "b+")], None, "abbc"), Ok(true));
        assert_eq!(keeps(&[("regex", "^b+")], None, "abbc"), Ok(false));
        assert_eq!(keeps(&[("regex", "^b+"), ("invert", "true")], None, "abbc"), Ok(true));
        assert_eq!(keeps(&[("regex", "(?i)Ä")], None, "ä"), Ok(true));
    }

    #[test]
    fn keys_and_fields_are_looked_at() {
        assert_eq!(keeps(&[("regex", "^k1$"), ("part", "key")], Some("k1"), "x"), Ok(true));
        let host = [("regex", "^web-[0-9]+$"), ("field", "host")];
        assert_eq!(keeps(&host, None, r#"{"host": "web-12"}"#), Ok(true));
        assert_eq!(keeps(&host, None, r#"{"host": "db-1"}"#), Ok(false));
        assert_eq!(keeps(&[("regex", "^[0-9]{3}$"), ("field", "n")], None, r#"{"n": 123}"#), Ok(true));
        assert!(keeps(&host, None, "web-1").expect_err("no JSON").contains("not JSON"));
    }

    #[test]
    fn what_is_missing_does_what_was_asked() {
        let missing = |word| keeps(&[("regex", "x"), ("field", "a"), ("missing", word)], None, "{}");
        assert_eq!(missing("drop"), Ok(false));
        assert_eq!(missing("keep"), Ok(true));
        assert_eq!(missing("error"), Err("there is no field `a`".to_owned()));
        let no_key = keeps(&[("regex", "x"), ("part", "key"), ("missing", "error")], None, "{}");
        assert_eq!(no_key, Err("the record has no key".to_owned()));
    }

    #[test]
    fn bytes_that_are_no_text_can_match() {
        let filter = RegexFilter::new([("regex", "^a")]).expect("valid");
        let bytes = fluvio_smartmodule::Record::new(&b"a\xff"[..]);
        assert!(filter.keeps(&SmartModuleRecord::new(bytes, 0, 0)).expect("bytes are fine"));
    }

    #[test]
    fn a_broken_expression_is_shown() {
        let error = RegexFilter::new([("regex", "a(")]).expect_err("broken").to_string();
        assert!(error.starts_with("parameter `regex` is not a regular expression"), "{error}");
    }
}
