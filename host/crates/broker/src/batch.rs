//! What a producer sends, checked before it is stored.
//!
//! A producer's record set is a run of batches as they go over the wire and into the store. This file walks
//! that run without decoding records: lengths, magic, checksum and record count of each batch. It owns
//! nothing and copies nothing; what fails is reported as a [`BatchError`] and never stored. Offsets are not
//! covered by the checksum, so the store can put its own in front of otherwise untouched bytes.

use bytes::Bytes;
use fluvio_protocol::link::ErrorCode;

/// Base offset and length: what stands in front of the part that the length counts.
pub(crate) const PREAMBLE: usize = 12;
/// Preamble and fixed header.
pub(crate) const HEADER: usize = PREAMBLE + 45;
/// Where the checksum stands, and where what it covers begins.
const CRC: usize = PREAMBLE + 5;
const ATTRIBUTES: usize = CRC + 4;
const LAST_OFFSET_DELTA: usize = ATTRIBUTES + 2;
const MAGIC: usize = PREAMBLE + 4;
/// The only batch format that Fluvio has.
const MAGIC_VALUE: u8 = 2;
/// The bits of the attributes that name the compression.
const COMPRESSION_MASK: u16 = 0x07;
/// The attribute that says that a schema id follows the header.
const SCHEMA_FLAG: u16 = 0x10;

/// Why a batch is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("the batch at byte {at} of the record set is cut short")]
    Short { at: usize },
    #[error("the batch at byte {at} of the record set claims a length of {length}")]
    Length { at: usize, length: i32 },
    #[error("the batch at byte {at} of the record set has format {found}, expected {MAGIC_VALUE}")]
    Magic { at: usize, found: u8 },
    #[error("the batch at byte {at} of the record set does not match its checksum")]
    Checksum { at: usize },
    #[error("the batch at byte {at} of the record set claims {claimed} records, and holds {held}")]
    Count { at: usize, claimed: i64, held: i64 },
    #[error("the batch at byte {at} of the record set is compressed with unknown codec {codec}")]
    Codec { at: usize, codec: u8 },
}

impl From<BatchError> for ErrorCode {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Codec { .. } => Self::CompressionError,
            _ => Self::Other(format!("corrupt batch refused: {error}")),
        }
    }
}

/// One checked batch of a record set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckedBatch {
    /// Its bytes, preamble included.
    pub bytes: Bytes,
    /// How many offsets it takes: at least one.
    pub records: u32,
    /// The number of its compression codec: 0 is none.
    pub codec: u8,
}

/// Walks a record set (without its own length) and checks each batch.
///
/// Batches that hold no record are left out: they take no offset.
pub(crate) fn check(set: &Bytes) -> Result<Vec<CheckedBatch>, BatchError> {
    let mut batches = Vec::new();
    let mut at = 0;
    while at < set.len() {
        let rest = set.slice(at..);
        let length = whole_length(&rest, at)?;
        if rest.len() < length {
            return Err(BatchError::Short { at });
        }
        let bytes = rest.slice(..length);
        if let Some(batch) = check_one(bytes, at)? {
            batches.push(batch);
        }
        at += length;
    }
    Ok(batches)
}

/// The length of the batch that `bytes` begins with, preamble included.
fn whole_length(bytes: &[u8], at: usize) -> Result<usize, BatchError> {
    let length = i32::from_be_bytes(array(bytes, 8).ok_or(BatchError::Short { at })?);
    match usize::try_from(length) {
        Ok(inner) if inner >= HEADER - PREAMBLE => Ok(inner + PREAMBLE),
        _ => Err(BatchError::Length { at, length }),
    }
}

fn check_one(bytes: Bytes, at: usize) -> Result<Option<CheckedBatch>, BatchError> {
    let short = BatchError::Short { at };
    let magic = bytes[MAGIC];
    if magic != MAGIC_VALUE {
        return Err(BatchError::Magic { at, found: magic });
    }
    let crc = u32::from_be_bytes(array(&bytes, CRC).ok_or(short)?);
    if crc32c::crc32c(&bytes[ATTRIBUTES..]) != crc {
        return Err(BatchError::Checksum { at });
    }
    let attributes = u16::from_be_bytes(array(&bytes, ATTRIBUTES).ok_or(short)?);
    let codec = (attributes & COMPRESSION_MASK) as u8;
    if codec > 4 {
        return Err(BatchError::Codec { at, codec });
    }
    let last = i32::from_be_bytes(array(&bytes, LAST_OFFSET_DELTA).ok_or(short)?);
    let claimed = i64::from(last) + 1;
    if codec == 0 {
        let records = HEADER + if attributes & SCHEMA_FLAG == 0 { 0 } else { 4 };
        let held = match array(&bytes, records) {
            Some(count) => i64::from(i32::from_be_bytes(count)),
            None if bytes.len() == records => 0,
            None => return Err(short),
        };
        if held != claimed {
            return Err(BatchError::Count { at, claimed, held });
        }
    }
    match u32::try_from(claimed) {
        Ok(0) => Ok(None),
        Ok(records) => Ok(Some(CheckedBatch { bytes, records, codec })),
        Err(_) => Err(BatchError::Count { at, claimed, held: 0 }),
    }
}

/// One stored batch, as far as the reader needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredBatch {
    /// Its bytes, preamble included.
    pub length: usize,
    /// The first offset in it.
    pub base: i64,
    /// The offset that follows its last one.
    pub next: i64,
}

/// The header of the stored batch that `bytes` begins with; `None` if the bytes are no whole batch, which
/// the store, holding only checked ones, takes for damage.
pub(crate) fn stored(bytes: &[u8]) -> Option<StoredBatch> {
    let length = whole_length(bytes, 0).ok()?;
    if length > bytes.len() {
        return None;
    }
    let base = i64::from_be_bytes(array(bytes, 0)?);
    let last = i32::from_be_bytes(array(bytes, LAST_OFFSET_DELTA)?);
    Some(StoredBatch { length, base, next: base.checked_add(i64::from(last))?.checked_add(1)? })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use fluvio_protocol::Encoder;
    use fluvio_protocol::record::{Batch, RawRecords, Record, RecordData};
    use proptest::prelude::*;

    use super::*;

    fn batch(values: &[Vec<u8>]) -> Vec<u8> {
        let records: Vec<Record> = values.iter().map(|value| Record::new(RecordData::from(value.clone()))).collect();
        let batch: Batch<RawRecords> = Batch::from(records).try_into().expect("a batch");
        let mut bytes = Vec::new();
        batch.encode(&mut bytes, 0).expect("encoded");
        bytes
    }

    fn values() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 1..20)
    }

    proptest! {
        #[test]
        fn takes_what_the_published_crate_encodes(sets in proptest::collection::vec(values(), 0..5)) {
            let set: Bytes = sets.iter().flat_map(|values| batch(values)).collect();
            let checked = check(&set).expect("good batches");
            prop_assert_eq!(checked.len(), sets.len());
            let mut at = 0;
            for (checked, values) in checked.iter().zip(&sets) {
                prop_assert_eq!(checked.records as usize, values.len());
                let stored = stored(&set[at..]).expect("a batch");
                prop_assert_eq!(stored.length, checked.bytes.len());
                prop_assert_eq!(stored.next - stored.base, values.len() as i64);
                at += stored.length;
            }
        }

        #[test]
        fn refuses_any_changed_byte_behind_the_offset(
            values in values(),
            at in any::<proptest::sample::Index>(),
            change in 1..=255_u8,
        ) {
            let mut bytes = batch(&values);
            let at = 8 + at.index(bytes.len() - 8);
            bytes[at] ^= change;
            // Nothing reads the epoch of the partition's leader, and the checksum does not cover it.
            if !(PREAMBLE..MAGIC).contains(&at) {
                prop_assert!(check(&Bytes::from(bytes)).is_err());
            }
        }

        #[test]
        fn refuses_any_cut(values in values(), at in any::<proptest::sample::Index>()) {
            let bytes = batch(&values);
            let at = 1 + at.index(bytes.len() - 1);
            prop_assert!(check(&Bytes::from(bytes).slice(..at)).is_err());
        }

        #[test]
        fn takes_any_bytes_without_panicking(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = stored(&bytes);
            let _ = check(&Bytes::from(bytes));
        }
    }

    #[test]
    fn leaves_out_a_batch_without_records() {
        let mut empty: Batch = Batch::from(Vec::<Record>::new());
        empty.header.last_offset_delta = -1;
        let mut bytes = Vec::new();
        empty.encode(&mut bytes, 0).expect("encoded");
        assert_eq!(check(&Bytes::from(bytes)), Ok(Vec::new()));
    }
}
