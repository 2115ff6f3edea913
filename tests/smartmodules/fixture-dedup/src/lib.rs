//! Keeps the first record of each value. What it has seen is in its own memory; `look_back` brings it back.
//! Refuses to look back at values with `bad` in front.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use fluvio_smartmodule::{Result, SmartModuleRecord, eyre, smartmodule};

static SEEN: Mutex<Option<HashSet<Vec<u8>>>> = Mutex::new(None);

fn first_time(record: &SmartModuleRecord) -> bool {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.get_or_insert_default().insert(record.value().as_ref().to_vec())
}

#[smartmodule(filter)]
fn filter(record: &SmartModuleRecord) -> Result<bool> {
    Ok(first_time(record))
}

#[smartmodule(look_back)]
fn look_back(record: &SmartModuleRecord) -> Result<()> {
    if record.value().as_ref().starts_with(b"bad") {
        return Err(eyre!("a bad past"));
    }
    first_time(record);
    Ok(())
}
