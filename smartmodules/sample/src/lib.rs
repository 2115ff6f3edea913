//! `sample`: keeps a part of the records. What it does is described in `README.md`.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

use std::hash::Hasher as _;
use std::sync::atomic::{AtomicU64, Ordering};

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{SmartModuleRecord, smartmodule};
use siphasher::sip::SipHasher13;
use smartmodule_kit::{Fraction, Missing, Once, ParamError, Part, Path, Refused, choices, params, spec};

params! {
    /// The parameters.
    struct Settings {
        /// Which part of the records is kept, from 0 to 1. Which ones depends on nothing but themselves and `seed`.
        rate: Option<Fraction>,
        /// Keep the first of so many records, instead, counted from the start of the run.
        every: Option<u64>,
        /// What is drawn: each `record` on its own; or all records of the same `key` or `value` together.
        by: By = "record",
        /// A field of the key or value, when it is JSON, that records are drawn by: a dotted path or a JSON pointer.
        field: Option<Path>,
        /// What to do with a record that has no such field, or no key: `drop` it, `keep` it, or refuse it as an
        /// `error`.
        missing: Missing = "drop",
        /// Another number, another part of the records.
        seed: u64 = "0",
    }
}
spec!(Settings);

choices! {
    /// What belongs together.
    enum By {
        Record = "record",
        Key = "key",
        Value = "value",
    }
}

static SAMPLE: Once<Sample> = Once::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    SAMPLE.set(Sample::new(Settings::read(&params)?)?)
}

#[smartmodule(filter)]
fn filter(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<bool> {
    Ok(SAMPLE.get()?.keeps(record)?)
}

#[derive(Debug)]
enum Sample {
    Every { number: u64, seen: AtomicU64 },
    Rate { below: u128, part: Option<Part>, field: Option<Path>, missing: Missing, seed: u64 },
}

impl Sample {
    fn new(settings: Settings) -> Result<Self, ParamError> {
        let Settings { rate, every, by, field, missing, seed } = settings;
        let part = match by {
            By::Record => None,
            By::Key => Some(Part::Key),
            By::Value => Some(Part::Value),
        };
        match (rate, every) {
            (Some(Fraction(rate)), None) => {
                if field.is_some() && part.is_none() {
                    return Err(Settings::error("parameter `field` needs `by: value` or `by: key`"));
                }
                // exact at both ends: 2^64 is more than any hash
                let below = (rate * 18_446_744_073_709_551_616.0) as u128;
                Ok(Self::Rate { below, part, field, missing, seed })
            }
            (None, Some(0)) => Err(Settings::error("parameter `every` is `0`, expected a whole number from 1")),
            (None, Some(number)) => Ok(Self::Every { number, seen: AtomicU64::new(0) }),
            _ => Err(Settings::error("one of `rate` and `every` must be given, and not both")),
        }
    }

    fn keeps(&self, record: &SmartModuleRecord) -> Result<bool, Refused> {
        match self {
            Self::Every { number, seen } => Ok(seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(*number)),
            Self::Rate { below, part, field, missing, seed } => {
                let mut hasher = SipHasher13::new_with_keys(*seed, 0);
                match part {
                    None => {
                        hasher.write_i64(record.offset());
                        hasher.write_i64(record.timestamp());
                        hasher.write(Part::Key.of(record).unwrap_or_default());
                        hasher.write(record.value().as_ref());
                    }
                    Some(part) => match (part.subject(record, field.as_ref())?, missing) {
                        (Some(subject), _) => hasher.write(&subject),
                        (None, Missing::Drop) => return Ok(false),
                        (None, Missing::Keep) => return Ok(true),
                        (None, Missing::Error) => return Err(part.missing(record, field.as_ref())),
                    },
                }
                Ok(u128::from(hasher.finish()) < *below)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use smartmodule_kit::record;

    use super::*;

    fn sample(params: &[(&str, &str)]) -> Result<Sample, String> {
        Settings::new(params.iter().copied()).and_then(Sample::new).map_err(|error| error.to_string())
    }

    /// Which of so many records are kept; their keys go round from 0 to 9.
    fn kept(params: &[(&str, &str)], records: i64) -> Vec<i64> {
        let sample = sample(params).expect("valid");
        let keep = |offset: &i64| {
            let (key, value) = ((offset % 10).to_string(), format!(r#"{{"user": {}}}"#, offset % 7));
            sample.keeps(&record(Some(&key), &value, *offset, 1_700_000_000_000 + offset)).expect("kept or not")
        };
        (0..records).filter(keep).collect()
    }

    #[test]
    fn a_part_is_kept() {
        let tenth = kept(&[("rate", "0.1")], 20_000).len();
        assert!((1_800..2_200).contains(&tenth), "{tenth}");
        assert_eq!(kept(&[("rate", "0")], 1_000).len(), 0);
        assert_eq!(kept(&[("rate", "1")], 1_000).len(), 1_000);
    }

    #[test]
    fn the_same_records_are_kept_again_and_others_with_another_seed() {
        let first = kept(&[("rate", "0.5")], 1_000);
        assert_eq!(first, kept(&[("rate", "0.5")], 1_000));
        assert_ne!(first, kept(&[("rate", "0.5"), ("seed", "1")], 1_000));
    }

    #[test]
    fn records_can_belong_together() {
        for (params, group) in
            [(&[("rate", "0.5"), ("by", "key")][..], 10), (&[("rate", "0.5"), ("by", "value"), ("field", "user")], 7)]
        {
            let kept = kept(params, 700);
            let groups: std::collections::BTreeSet<_> = kept.iter().map(|offset| offset % group).collect();
            assert_eq!(kept.len() as i64, groups.len() as i64 * 700 / group, "{params:?}");
            assert!(!groups.is_empty() && (groups.len() as i64) < group, "{params:?}: {groups:?}");
        }
    }

    #[test]
    fn every_so_many_are_counted() {
        assert_eq!(kept(&[("every", "3")], 8), [0, 3, 6]);
        assert_eq!(kept(&[("every", "1")], 3), [0, 1, 2]);
    }

    #[test]
    fn what_is_missing_does_what_was_asked() {
        let missing = |word| {
            let sample = sample(&[("rate", "1"), ("by", "key"), ("missing", word)]).expect("valid");
            sample.keeps(&record(None, "x", 0, 0)).map_err(|error| error.to_string())
        };
        assert_eq!(missing("drop"), Ok(false));
        assert_eq!(missing("keep"), Ok(true));
        assert_eq!(missing("error"), Err("the record has no key".to_owned()));
    }

    #[test]
    fn wrong_parameters_are_explained() {
        assert!(sample(&[]).expect_err("neither").contains("one of `rate` and `every`"));
        assert!(sample(&[("rate", "1"), ("every", "2")]).expect_err("both").contains("not both"));
        assert!(sample(&[("every", "0")]).expect_err("never").contains("from 1"));
        assert!(sample(&[("rate", "0.5"), ("field", "a")]).expect_err("of what").contains("`by: value`"));
        assert!(sample(&[("rate", "2")]).expect_err("too much").contains("from 0 to 1"));
    }
}
