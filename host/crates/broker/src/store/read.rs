//! Reading records and consumer offsets.
//!
//! A read works on a snapshot, so it never waits for the writer and never sees half a commit. These calls
//! block on the disk; the callers in the asynchronous world hand them to a blocking thread.

use bytes::Bytes;
use redb::{ReadableDatabase, ReadableTable};

use super::layout::{self, BLOCK_HEAD};
use super::{Partition, Store, StoreError};
use crate::batch::{self, StoredBatch};

/// How a response is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    /// How many bytes are wanted at most.
    pub max_bytes: usize,
    /// Cut there, in mid-batch; otherwise whole batches only, and at least one.
    pub cut: bool,
}

/// A consumer's position in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredOffset {
    pub consumer: String,
    pub topic: String,
    pub partition: u32,
    pub offset: i64,
    /// When it was written, in s since 1970.
    pub seconds: u64,
}

impl Store {
    /// Reads from the batch that holds the offset `from`, up to the offset `end` or the limit.
    pub(crate) fn read(&self, partition: &Partition, from: i64, end: i64, limit: Limit) -> Result<Bytes, StoreError> {
        let id = partition.id;
        let read = self.shared.current().database.begin_read()?;
        let blocks = read.open_table(layout::BLOCKS)?;
        let first = match blocks.range((id, i64::MIN, 0)..=(id, from, u32::MAX))?.next_back() {
            Some(entry) => entry?.0.value().1,
            None => return Ok(Bytes::new()),
        };
        let mut chunk = Chunk::new(id, from, end, limit);
        for entry in blocks.range((id, first, 0)..(id, end, 0))? {
            let (key, value) = entry?;
            let (_, base, part) = key.value();
            if part == 0 && chunk.is_complete()? {
                break;
            }
            let bytes = value.value();
            let bytes = if part == 0 { bytes.get(BLOCK_HEAD..) } else { Some(bytes) };
            chunk.bytes.extend_from_slice(bytes.ok_or(StoreError::Damaged { partition: id, offset: base })?);
        }
        chunk.finish()
    }

    /// The consumer offsets that pass the filter.
    pub(crate) fn offsets(&self, keep: impl Fn(&str, &str, u32) -> bool) -> Result<Vec<StoredOffset>, StoreError> {
        let read = self.shared.current().database.begin_read()?;
        let mut found = Vec::new();
        for entry in read.open_table(layout::OFFSETS)?.iter()? {
            let (key, value) = entry?;
            let (consumer, topic, partition) = key.value();
            if keep(consumer, topic, partition) {
                let (offset, seconds) = value.value();
                found.push(StoredOffset {
                    consumer: consumer.to_owned(),
                    topic: topic.to_owned(),
                    partition,
                    offset,
                    seconds,
                });
            }
        }
        Ok(found)
    }

    /// A SmartModule as it was stored.
    pub(crate) fn smartmodule(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let read = self.shared.current().database.begin_read()?;
        let modules = read.open_table(layout::SMARTMODULES)?;
        Ok(modules.get(name)?.map(|value| value.value().to_owned()))
    }
}

/// A response in the making: the bytes so far, and which of them are wanted.
struct Chunk {
    partition: u64,
    from: i64,
    end: i64,
    limit: Limit,
    bytes: Vec<u8>,
    /// Where the first wanted batch begins.
    start: usize,
    /// How far the bytes have been walked: a batch begins here.
    walked: usize,
    /// Where the last batch ends that fits.
    fits: usize,
    /// The limit, or the last offset, has been reached.
    full: bool,
}

impl Chunk {
    fn new(partition: u64, from: i64, end: i64, limit: Limit) -> Self {
        Self { partition, from, end, limit, bytes: Vec::new(), start: 0, walked: 0, fits: 0, full: false }
    }

    /// Walks what was added since; true if nothing more is wanted.
    fn is_complete(&mut self) -> Result<bool, StoreError> {
        while !self.full && self.walked < self.bytes.len() {
            let batch = batch::stored(&self.bytes[self.walked..])
                .ok_or(StoreError::Damaged { partition: self.partition, offset: self.from })?;
            self.take(batch);
        }
        Ok(self.full)
    }

    fn take(&mut self, batch: StoredBatch) {
        let next = self.walked + batch.length;
        if batch.next <= self.from {
            self.start = next;
            self.fits = next;
        } else if batch.base >= self.end {
            self.full = true;
            return;
        } else if next - self.start <= self.limit.max_bytes || self.fits == self.start {
            self.fits = next;
            self.full = next - self.start >= self.limit.max_bytes;
        } else {
            self.full = true;
        }
        self.walked = next;
    }

    fn finish(mut self) -> Result<Bytes, StoreError> {
        self.is_complete()?;
        let whole = Bytes::from(self.bytes);
        if !self.limit.cut {
            return Ok(whole.slice(self.start..self.fits));
        }
        let end = self.walked.min(self.start.saturating_add(self.limit.max_bytes));
        Ok(whole.slice(self.start..end))
    }
}
