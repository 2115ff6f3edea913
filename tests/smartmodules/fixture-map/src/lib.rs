//! Turns letters into capitals and puts the record's offset, timestamp and old key into the key; refuses values
//! with `bad` in front, panics at `panic` and never ends at `loop`.

use fluvio_smartmodule::{RecordData, Result, SmartModuleRecord, eyre, smartmodule};

#[smartmodule(map)]
fn map(record: &SmartModuleRecord) -> Result<(Option<RecordData>, RecordData)> {
    let value: &[u8] = record.value().as_ref();
    if value.starts_with(b"bad") {
        return Err(eyre!("a bad value"));
    }
    assert!(value != b"panic", "told to");
    while value == b"loop" {
        std::hint::black_box(value);
    }
    let key = record.key().map(|key| String::from_utf8_lossy(key.as_ref()).into_owned());
    let seen = format!("{}@{}:{key:?}", record.offset(), record.timestamp());
    Ok((Some(seen.into_bytes().into()), value.to_ascii_uppercase().into()))
}
