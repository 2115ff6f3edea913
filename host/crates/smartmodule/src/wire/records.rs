//! Encoded records on the host's side: the input of one stage, the output of another.

use std::ops::Range;

use host_batch::{Batch, MAX_COLUMN_BYTES};

use super::{FARTHEST, Reader, Record, Scanned};

/// Encoded records, with what the host must know of each.
#[derive(Debug, Default)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    /// where each record ends in `bytes`
    ends: Vec<usize>,
    /// each record's offset delta
    deltas: Vec<i64>,
    /// the record of the chain's input that each came from
    sources: Vec<u32>,
    /// whether each offset delta is greater than the one before it, so that it names its record
    ascending: bool,
    /// whether a timestamp delta is too far for a guest's encoder
    wide: bool,
}

impl Records {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.deltas.clear();
        self.sources.clear();
        self.ascending = true;
        self.wide = false;
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn deltas(&self) -> &[i64] {
        &self.deltas
    }

    pub(crate) fn source(&self, index: usize) -> u32 {
        self.sources[index]
    }

    pub(crate) fn is_ascending(&self) -> bool {
        self.ascending
    }

    pub(crate) fn is_wide(&self) -> bool {
        self.wide
    }

    /// Where the records of `range` lie in the bytes.
    fn span(&self, range: Range<usize>) -> Range<usize> {
        let Range { start, end } = range;
        let before = |index: usize| if index == 0 { 0 } else { self.ends[index - 1] };
        before(start)..before(end.max(start))
    }

    /// The encoded records of `range`, without their count.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[self.span(range)]
    }

    /// How many records from `start` on, but at most `most`, fit in `bytes`; at least one.
    pub(crate) fn fitting(&self, start: usize, most: usize, bytes: usize) -> usize {
        let last = self.len().min(start.saturating_add(most));
        let limit = self.span(start..start).start.saturating_add(bytes);
        (start + self.ends[start..last].partition_point(|&end| end <= limit)).max(start + 1)
    }

    /// Record `index`, taken apart.
    pub(crate) fn get(&self, index: usize) -> Record<'_> {
        let mut reader = Reader::new(self.bytes(index..index + 1));
        let (record, _) = Record::read(&mut reader).expect("only records that were read or written here are kept");
        record
    }

    /// Adds one record at the end.
    pub(crate) fn push(&mut self, record: &Record<'_>, source: u32) {
        record.write(&mut self.bytes);
        self.note(self.bytes.len(), record.offset_delta, source);
        self.wide |= i32::try_from(record.timestamp_delta).is_err();
    }

    fn note(&mut self, end: usize, delta: i64, source: u32) {
        self.ascending &= self.deltas.last().is_none_or(|&last| last < delta);
        self.ends.push(end);
        self.deltas.push(delta);
        self.sources.push(source);
    }

    /// Replaces everything by the records of `batch`, numbered from 0. Timestamps become relative to
    /// `base_timestamp`; a record without one counts as made at that time.
    pub(crate) fn encode(&mut self, batch: &Batch, base_timestamp: i64) {
        self.clear();
        self.bytes.reserve(batch.byte_len() + 16 * batch.len());
        for (index, record) in batch.iter().enumerate() {
            let record = Record {
                attributes: 0,
                timestamp_delta: record
                    .timestamp
                    .map_or(0, |timestamp| timestamp.saturating_sub(base_timestamp).clamp(-FARTHEST, FARTHEST)),
                offset_delta: index as i64,
                key: record.key,
                value: record.value,
                headers: 0,
            };
            self.push(&record, index as u32);
        }
    }

    /// Adds what a guest returned, byte for byte when every record is well-formed and `source` for each.
    pub(crate) fn append(&mut self, scanned: &Scanned<'_>, mut source: impl FnMut(usize) -> u32) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(scanned.bytes);
        for (index, head) in scanned.heads.iter().enumerate() {
            self.note(base + head.end, head.offset_delta, source(index));
        }
        self.wide |= scanned.wide;
    }

    /// The batch that these records make. `stamped` tells whether a record of the chain's input had a timestamp.
    ///
    /// # Errors
    /// The number of bytes, when they are too many for one batch.
    pub(crate) fn decode(
        &self,
        base_timestamp: i64,
        stamped: impl Fn(u32) -> bool,
    ) -> Result<(Batch, Vec<u32>), usize> {
        if self.bytes.len() > MAX_COLUMN_BYTES {
            return Err(self.bytes.len());
        }
        let mut batch = Batch::with_capacity(self.len(), self.bytes.len());
        for (index, &source) in self.sources.iter().enumerate() {
            let record = self.get(index);
            // a record that came without a timestamp leaves without one, unless the module gave it its own
            let timestamp = (record.timestamp_delta != 0 || stamped(source))
                .then(|| base_timestamp.wrapping_add(record.timestamp_delta));
            batch.push(record.key, record.value, timestamp);
        }
        Ok((batch, self.sources.clone()))
    }
}
