//! Makes a record of each word, as a module of 2024 would; refuses what is not UTF-8.

use fluvio_smartmodule::{smartmodule, RecordData, Result, SmartModuleRecord};

#[smartmodule(array_map)]
fn array_map(record: &SmartModuleRecord) -> Result<Vec<(Option<RecordData>, RecordData)>> {
    let text = std::str::from_utf8(record.value.as_ref())?;
    Ok(text.split_whitespace().map(|word| (None, RecordData::from(word))).collect())
}
