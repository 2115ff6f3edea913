//! Columns → wire batches.
//!
//! A [`BatchWriter`] takes the records of one partition one by one and cuts them into wire batches of about
//! the wanted size. Records are written straight into the buffer that goes out; only compression copies.

use bytes::{BufMut, Bytes};
use fluvio_compression::Compression;
use host_batch::RecordRef;

use super::{HEADER_BYTES, varint};
use crate::Error;

/// The records' count, in front of the records.
const COUNT_BYTES: usize = 4;

/// Cuts the records of one partition into wire batches.
pub(crate) struct BatchWriter {
    compression: Compression,
    target: usize,
    open: Vec<u8>,
    records: u32,
    first_timestamp: i64,
    max_timestamp: i64,
    done: Vec<Bytes>,
}

/// How many bytes a batch of just this record takes on the wire before compression: what is held against
/// the limit for one request, counted as the published client does.
pub(crate) fn single_size(key: Option<&[u8]>, value: &[u8]) -> usize {
    let inner = record_size(key, value, 0, 0);
    HEADER_BYTES + COUNT_BYTES + varint::size(inner as i64) + inner
}

fn record_size(key: Option<&[u8]>, value: &[u8], timestamp_delta: i64, offset_delta: i64) -> usize {
    let key = key.map_or(0, |key| varint::size(key.len() as i64) + key.len());
    // attributes, the key's flag, and no headers: one byte each
    3 + varint::size(timestamp_delta)
        + varint::size(offset_delta)
        + key
        + varint::size(value.len() as i64)
        + value.len()
}

impl BatchWriter {
    /// A writer that aims at wire batches of at most `target` bytes; a larger record is a batch of its own.
    pub(crate) fn new(compression: Compression, target: usize) -> Self {
        Self {
            compression,
            target,
            open: Vec::new(),
            records: 0,
            first_timestamp: 0,
            max_timestamp: 0,
            done: Vec::new(),
        }
    }

    /// Adds a record; `now` is its timestamp if it has none.
    pub(crate) fn push(&mut self, record: RecordRef<'_>, now: i64) -> Result<(), Error> {
        let timestamp = record.timestamp.unwrap_or(now);
        let (key, value) = (record.key, record.value);
        // Published decoders and encoders disagree on deltas beyond 31 bits: a new batch has a new base.
        let delta = timestamp.saturating_sub(self.first_timestamp);
        if self.records > 0
            && (self.open.len() + record_size(key, value, delta, 0) + 2 * varint::MAX_BYTES > self.target
                || i32::try_from(delta).is_err())
        {
            self.finish()?;
        }
        if self.records == 0 {
            self.open.reserve(
                self.target
                    .min(record_size(key, value, 0, 0) + HEADER_BYTES + COUNT_BYTES + varint::MAX_BYTES)
                    .max(1024),
            );
            self.open.resize(HEADER_BYTES + COUNT_BYTES, 0);
            (self.first_timestamp, self.max_timestamp) = (timestamp, timestamp);
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.put(key, value, timestamp - self.first_timestamp);
        self.records += 1;
        Ok(())
    }

    fn put(&mut self, key: Option<&[u8]>, value: &[u8], timestamp_delta: i64) {
        let offset_delta = i64::from(self.records);
        let size = record_size(key, value, timestamp_delta, offset_delta);
        let mut head = [0u8; 5 * varint::MAX_BYTES];
        let mut end = varint::put(&mut head, size as i64);
        end += 1; // attributes: none
        end += varint::put(&mut head[end..], timestamp_delta);
        end += varint::put(&mut head[end..], offset_delta);
        if let Some(key) = key {
            head[end] = 1;
            end += 1;
            end += varint::put(&mut head[end..], key.len() as i64);
            self.open.extend_from_slice(&head[..end]);
            self.open.extend_from_slice(key);
            end = 0;
        } else {
            head[end] = 0;
            end += 1;
        }
        end += varint::put(&mut head[end..], value.len() as i64);
        self.open.reserve(end + value.len() + 1);
        self.open.extend_from_slice(&head[..end]);
        self.open.extend_from_slice(value);
        self.open.push(0); // headers: none
    }

    /// Closes the batch at hand, if it has records.
    fn finish(&mut self) -> Result<(), Error> {
        if self.records == 0 {
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.open);
        let records = std::mem::take(&mut self.records);
        bytes[HEADER_BYTES..HEADER_BYTES + COUNT_BYTES].copy_from_slice(&records.to_be_bytes());
        if self.compression != Compression::None {
            let packed =
                self.compression.compress(&bytes[HEADER_BYTES..]).map_err(|source| Error::Compression { source })?;
            bytes.truncate(HEADER_BYTES);
            bytes.extend_from_slice(&packed);
        }
        let header =
            header(&bytes[HEADER_BYTES..], self.compression, records, self.first_timestamp, self.max_timestamp);
        bytes[..HEADER_BYTES].copy_from_slice(&header);
        self.done.push(Bytes::from(bytes));
        Ok(())
    }

    /// The finished batches, in order.
    pub(crate) fn into_batches(mut self) -> Result<Vec<Bytes>, Error> {
        self.finish()?;
        Ok(self.done)
    }
}

fn header(
    payload: &[u8],
    compression: Compression,
    records: u32,
    first_timestamp: i64,
    max_timestamp: i64,
) -> [u8; HEADER_BYTES] {
    let mut header = [0u8; HEADER_BYTES];
    let mut checked = &mut header[21..];
    checked.put_i16(compression as i16);
    checked.put_u32(records - 1);
    checked.put_i64(first_timestamp);
    checked.put_i64(max_timestamp);
    checked.put_i64(-1); // producer id, epoch and first sequence: not an idempotent producer
    checked.put_i16(-1);
    checked.put_i32(-1);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[21..]), payload);
    let mut start = &mut header[..21];
    start.put_i64(0); // base offset: the leader's to give
    start.put_u32((HEADER_BYTES - super::PREAMBLE_BYTES + payload.len()) as u32);
    start.put_i32(-1); // leader epoch
    start.put_i8(2); // magic
    start.put_u32(crc);
    header
}
