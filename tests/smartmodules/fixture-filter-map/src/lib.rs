//! Halves even numbers, drops odd ones and refuses what is no number. Takes the old `Record`, as modules before
//! 0.12 did, and keeps the key.

#![allow(deprecated, reason = "what the macro makes for the old `Record` is deprecated, and what is tested here")]

use fluvio_smartmodule::{Record, RecordData, Result, smartmodule};

#[smartmodule(filter_map)]
fn filter_map(record: &Record) -> Result<Option<(Option<RecordData>, RecordData)>> {
    let text = std::str::from_utf8(record.value.as_ref())?;
    let number: i64 = text.trim().parse()?;
    Ok((number % 2 == 0).then(|| (record.key.clone(), (number / 2).to_string().into())))
}
