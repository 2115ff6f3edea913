//! Wire batches → columns.
//!
//! A response's records are cut at a number of bytes, wherever that falls: the last batch is then incomplete.
//! [`scan`] finds the complete ones by their headers alone, and says how large the next fetch must be if
//! there is none; [`WireBatchRef::read_into`] then decodes one. Bytes that make no sense are an error, never
//! a panic, and never fewer records.

use bytes::{Buf, Bytes};
use fluvio_compression::Compression;
use host_batch::Batch;

use super::{COMPRESSION_MASK, HEADER_BYTES, PREAMBLE_BYTES, SCHEMA_BIT, varint};

/// Why bytes are not a wire batch; the caller knows where they came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

/// A complete wire batch, its records not decoded yet.
#[derive(Debug, Clone)]
pub(crate) struct WireBatchRef {
    /// The offset of its first record.
    pub(crate) base_offset: i64,
    /// The offset that follows its last record.
    pub(crate) next_offset: i64,
    first_timestamp: i64,
    attributes: i16,
    payload: Bytes,
}

/// What a response's bytes hold.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The complete batches.
    pub(crate) batches: Vec<WireBatchRef>,
    /// A batch that is cut off at the end needs this many bytes, as far as one can tell.
    pub(crate) cut_off: Option<usize>,
}

/// Finds the complete batches in `bytes`, without decoding or copying.
pub(crate) fn scan(mut bytes: Bytes) -> Result<Scan, Malformed> {
    let mut found = Scan::default();
    while !bytes.is_empty() {
        if bytes.len() < PREAMBLE_BYTES {
            found.cut_off = Some(HEADER_BYTES);
            break;
        }
        let mut preamble = &bytes[..PREAMBLE_BYTES];
        let base_offset = preamble.get_i64();
        let length = preamble.get_i32();
        let total = usize::try_from(length).ok().and_then(|length| length.checked_add(PREAMBLE_BYTES));
        let Some(total) = total.filter(|&total| total >= HEADER_BYTES) else {
            return Err(Malformed(format!("a batch at offset {base_offset} gives its length as {length} bytes")));
        };
        if bytes.len() < total {
            found.cut_off = Some(total);
            break;
        }
        found.batches.push(batch(base_offset, bytes.split_to(total))?);
    }
    Ok(found)
}

fn batch(base_offset: i64, mut bytes: Bytes) -> Result<WireBatchRef, Malformed> {
    let mut header = &bytes[21..HEADER_BYTES];
    let attributes = header.get_i16();
    let last_offset_delta = header.get_i32();
    let first_timestamp = header.get_i64();
    bytes.advance(HEADER_BYTES);
    if attributes & SCHEMA_BIT != 0 {
        if bytes.len() < 4 {
            return Err(Malformed(format!("the batch at offset {base_offset} ends in its schema id")));
        }
        bytes.advance(4);
    }
    let next_offset = base_offset.checked_add(i64::from(last_offset_delta) + 1);
    match next_offset {
        Some(next_offset) if last_offset_delta >= -1 && base_offset >= 0 => {
            Ok(WireBatchRef { base_offset, next_offset, first_timestamp, attributes, payload: bytes })
        }
        _ => Err(Malformed(format!("a batch claims base offset {base_offset} and last delta {last_offset_delta}"))),
    }
}

impl WireBatchRef {
    /// Appends the records from offset `from` up to but without `until` to `into`; returns how many.
    pub(crate) fn read_into(&self, from: i64, until: i64, into: &mut Batch) -> Result<usize, Malformed> {
        let bad = |what: String| Malformed(format!("the batch at offset {}: {what}", self.base_offset));
        let code = (self.attributes & COMPRESSION_MASK) as i8;
        let compression = Compression::try_from(code).map_err(|error| bad(error.to_string()))?;
        let unpacked = compression.uncompress(&self.payload).map_err(|error| bad(error.to_string()))?;
        let mut rest = unpacked.as_deref().unwrap_or(&self.payload);
        if rest.len() < 4 {
            return if self.next_offset == self.base_offset { Ok(0) } else { Err(bad("no records".into())) };
        }
        let count = rest.get_u32();
        let before = into.len();
        for index in 0..i64::from(count) {
            let record = record(&mut rest).ok_or_else(|| bad(format!("record {index} of {count} is malformed")))?;
            let offset = self.base_offset + index;
            if offset >= from && offset < until {
                into.push(record.key, record.value, self.timestamp(record.timestamp_delta));
            }
        }
        Ok(into.len() - before)
    }

    /// How many bytes the records take before they are decompressed.
    pub(crate) fn payload_len(&self) -> usize {
        self.payload.len()
    }

    fn timestamp(&self, delta: i64) -> Option<i64> {
        // A base that isn't positive means "no timestamps", as in the published client.
        (self.first_timestamp > 0).then(|| self.first_timestamp.saturating_add(delta))
    }
}

struct RawRecord<'a> {
    timestamp_delta: i64,
    key: Option<&'a [u8]>,
    value: &'a [u8],
}

fn record<'a>(rest: &mut &'a [u8]) -> Option<RawRecord<'a>> {
    let length = usize::try_from(varint::take(rest)?).ok()?;
    let (mut inner, after) = rest.split_at_checked(length)?;
    *rest = after;
    let (_attributes, tail) = inner.split_first()?;
    inner = tail;
    let timestamp_delta = varint::take(&mut inner)?;
    let _offset_delta = varint::take(&mut inner)?;
    let (&has_key, tail) = inner.split_first()?;
    inner = tail;
    let key = match has_key {
        0 => None,
        1 => Some(bytes(&mut inner)?),
        _ => return None,
    };
    let value = bytes(&mut inner)?;
    Some(RawRecord { timestamp_delta, key, value })
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint::take(rest)?).ok()?;
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}
