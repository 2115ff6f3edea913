//! Keeps values with an `a` in them, as a module of 2023 would; refuses what is not UTF-8.

#![allow(deprecated, reason = "what the macro makes for the old `Record` is deprecated, and what is tested here")]

use fluvio_smartmodule::{smartmodule, Record, Result};

#[smartmodule(filter)]
fn filter(record: &Record) -> Result<bool> {
    Ok(std::str::from_utf8(record.value.as_ref())?.contains('a'))
}
