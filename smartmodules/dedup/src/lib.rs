//! `dedup`: drops records that repeat one of the last. What it does is described in `README.md`.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

mod seen;

use std::sync::{Mutex, PoisonError};

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{SmartModuleRecord, smartmodule};
use smartmodule_kit::{Interval, Missing, Once, ParamError, Part, Path, Refused, params, spec};

use crate::seen::{Identity, Seen};

params! {
    /// The parameters.
    struct Settings {
        /// What makes a record the same as another: its `value` or its `key`.
        by: Part = "value",
        /// The fields of it that count, when it is JSON: a list, or texts with commas between them. Unless given, all
        /// of it counts, byte by byte.
        fields: Option<Vec<Path>>,
        /// How many records are remembered. Each takes about 60 bytes of the module's memory.
        count: u64 = "100000",
        /// How long a record is remembered, as in `10m`, by the times of the records. Unless given, as long as there
        /// is room.
        age: Option<Interval>,
        /// What to do with a record that lacks one of the fields, or has no key: `keep` it, `drop` it, or refuse it
        /// as an `error`.
        missing: Missing = "keep",
    }
}
spec!(Settings);

static DEDUP: Once<Dedup> = Once::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    DEDUP.set(Dedup::new(Settings::read(&params)?)?)
}

#[smartmodule(filter)]
fn filter(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<bool> {
    Ok(DEDUP.get()?.keeps(record)?)
}

#[smartmodule(look_back)]
fn look_back(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<()> {
    DEDUP.get()?.remember(record);
    Ok(())
}

#[derive(Debug)]
struct Dedup {
    by: Part,
    fields: Option<Vec<Path>>,
    missing: Missing,
    seen: Mutex<Seen>,
}

impl Dedup {
    fn new(settings: Settings) -> Result<Self, ParamError> {
        let Settings { by, fields, count, age, missing } = settings;
        if fields.as_ref().is_some_and(Vec::is_empty) {
            return Err(Settings::error("parameter `fields` names no field"));
        }
        let count = usize::try_from(count).ok().filter(|&count| count > 0);
        let count =
            count.ok_or_else(|| Settings::error("parameter `count` is none, expected a whole number from 1"))?;
        let age = age.map(|Interval(age)| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        Ok(Self { by, fields, missing, seen: Mutex::new(Seen::new(count, age)) })
    }

    fn keeps(&self, record: &SmartModuleRecord) -> Result<bool, Refused> {
        match (self.identity(record)?, self.missing) {
            (Ok(identity), _) => Ok(self.insert(identity, record)),
            (Err(_), Missing::Keep) => Ok(true),
            (Err(_), Missing::Drop) => Ok(false),
            (Err(missing), Missing::Error) => Err(missing),
        }
    }

    /// Takes in a record of the past. What it can't make anything of is no repetition either.
    fn remember(&self, record: &SmartModuleRecord) {
        if let Ok(Ok(identity)) = self.identity(record) {
            self.insert(identity, record);
        }
    }

    /// Whether it is the first.
    fn insert(&self, identity: Identity, record: &SmartModuleRecord) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(identity, record.timestamp())
    }

    /// What makes the record the same as another, or what it lacks for that.
    fn identity(&self, record: &SmartModuleRecord) -> Result<Result<Identity, Refused>, Refused> {
        let Some(bytes) = self.by.of(record) else { return Ok(Err(Refused::NoKey)) };
        let Some(fields) = &self.fields else { return Ok(Ok(Identity::of([bytes]))) };
        let mut found = Vec::with_capacity(fields.len());
        for field in fields {
            match field.find(bytes)? {
                Some(value) => found.push(value.as_bytes()),
                None => return Ok(Err(Refused::Missing(field.to_string()))),
            }
        }
        Ok(Ok(Identity::of(found)))
    }
}

#[cfg(test)]
mod tests {
    use smartmodule_kit::record;

    use super::*;

    fn dedup(params: &[(&str, &str)]) -> Result<Dedup, String> {
        Settings::new(params.iter().copied()).and_then(Dedup::new).map_err(|error| error.to_string())
    }

    /// Which of these values are kept; record `n` comes `n` seconds after the first.
    fn kept<'v>(params: &[(&str, &str)], values: &[&'v str]) -> Vec<&'v str> {
        let dedup = dedup(params).expect("valid");
        let keeps = |(index, value): (i64, &&str)| dedup.keeps(&record(None, value, index, index * 1_000));
        (0..).zip(values).filter(|&it| keeps(it).expect("kept or not")).map(|(_, &value)| value).collect()
    }

    #[test]
    fn the_first_of_each_is_kept() {
        assert_eq!(kept(&[], &["a", "b", "a", "a", "c", "b"]), ["a", "b", "c"]);
    }

    #[test]
    fn fields_and_keys_can_decide() {
        let records = [r#"{"id": 1, "n": 1}"#, r#"{"n": 2, "id": 1}"#, r#"{"id": "1"}"#];
        assert_eq!(kept(&[("fields", "id")], &records), [records[0], records[2]]);
        assert_eq!(kept(&[("fields", "id,n")], &records), records);
        let by_key = dedup(&[("by", "key")]).expect("valid");
        assert!(by_key.keeps(&record(Some("k"), "a", 0, 0)).expect("first"));
        assert!(!by_key.keeps(&record(Some("k"), "b", 1, 0)).expect("again"));
    }

    #[test]
    fn only_so_many_and_only_so_long() {
        assert_eq!(kept(&[("count", "2")], &["a", "b", "c", "c", "a", "c"]), ["a", "b", "c", "a"]);
        assert_eq!(kept(&[("age", "2s")], &["a", "b", "a", "a", "b"]), ["a", "b", "a", "b"]);
    }

    #[test]
    fn what_is_missing_does_what_was_asked() {
        let missing = |word| {
            let dedup = dedup(&[("fields", "id"), ("missing", word)]).expect("valid");
            let twice = [0, 1].map(|offset| dedup.keeps(&record(None, "{}", offset, 0)));
            twice.map(|kept| kept.map_err(|error| error.to_string()))
        };
        assert_eq!(missing("keep"), [Ok(true), Ok(true)]);
        assert_eq!(missing("drop"), [Ok(false), Ok(false)]);
        let refused = || Err("there is no field `id`".to_owned());
        assert_eq!(missing("error"), [refused(), refused()]);
    }

    #[test]
    fn the_past_is_remembered_as_far_as_it_can_be_read() {
        let dedup = dedup(&[("fields", "id")]).expect("valid");
        for value in [r#"{"id": 1}"#, "not JSON", "{}"] {
            dedup.remember(&record(None, value, 0, 0));
        }
        assert!(!dedup.keeps(&record(None, r#"{"id": 1}"#, 1, 0)).expect("again"));
        assert!(dedup.keeps(&record(None, r#"{"id": 2}"#, 2, 0)).expect("first"));
        assert!(dedup.keeps(&record(None, "not JSON", 3, 0)).is_err());
    }

    #[test]
    fn wrong_parameters_are_explained() {
        assert!(dedup(&[("count", "0")]).expect_err("none").contains("from 1"));
        assert!(dedup(&[("age", "soon")]).expect_err("when").contains("`age` is `soon`"));
        assert!(dedup(&[("fields", "")]).expect_err("none").contains("names no field"));
    }
}
