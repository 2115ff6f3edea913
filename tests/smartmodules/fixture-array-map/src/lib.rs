//! Splits at commas, an empty value into nothing; refuses values with `bad` in front. Keeps the key.

use fluvio_smartmodule::{RecordData, Result, SmartModuleRecord, eyre, smartmodule};

#[smartmodule(array_map)]
fn array_map(record: &SmartModuleRecord) -> Result<Vec<(Option<RecordData>, RecordData)>> {
    let value: &[u8] = record.value().as_ref();
    if value.starts_with(b"bad") {
        return Err(eyre!("a bad value"));
    }
    let parts = value.split(|&byte| byte == b',').filter(|part| !part.is_empty());
    Ok(parts.map(|part| (record.key().cloned(), part.into())).collect())
}
