//! Adds numbers up; refuses what is no number.

use fluvio_smartmodule::{RecordData, Result, SmartModuleRecord, smartmodule};

#[smartmodule(aggregate)]
fn aggregate(accumulator: RecordData, record: &SmartModuleRecord) -> Result<RecordData> {
    let number = |data: &RecordData| std::str::from_utf8(data.as_ref()).map(|text| text.trim().parse::<i64>());
    let sum = if accumulator.is_empty() { 0 } else { number(&accumulator)?? };
    Ok((sum + number(record.value())??).to_string().into())
}
