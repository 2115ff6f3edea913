//! What a transaction of the writer does, command by command.
//!
//! Everything here works inside one open transaction: it reads what the commands before it did, and leaves no
//! trace if the transaction is not committed. What partitions will hold afterwards is gathered in [`Done`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use redb::{ReadableTable, Table, WriteTransaction};

use super::layout::{self, BLOCK_HEAD, PART};
use super::{Change, Command, Extent, Partition, Retention, StoreError};
use crate::batch::CheckedBatch;

/// How many blocks are deleted in one commit, so that producers don't wait long behind a deletion.
const BLOCKS_PER_TRIM: usize = 512;

type Blocks<'t> = Table<'t, (u64, i64, u32), &'static [u8]>;

/// What the answer to a command is, if its transaction commits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    Done,
    Offset(i64),
    More(bool),
}

/// What a transaction will have done once it is committed.
#[derive(Default)]
pub(super) struct Done {
    pub outcomes: Vec<Result<Outcome, StoreError>>,
    /// There is something to commit.
    pub has_changes: bool,
    extents: HashMap<u64, (Arc<Partition>, Extent)>,
    dropped: HashSet<u64>,
    removed: Vec<Arc<Partition>>,
}

impl Done {
    fn extent(&self, partition: &Arc<Partition>) -> Extent {
        self.extents.get(&partition.id).map_or_else(|| partition.extent(), |(_, extent)| *extent)
    }

    fn set(&mut self, partition: &Arc<Partition>, extent: Extent) {
        self.has_changes = true;
        self.extents.insert(partition.id, (Arc::clone(partition), extent));
    }

    /// Writes down what the partitions hold now.
    pub(super) fn finish(&self, transaction: &WriteTransaction) -> Result<(), StoreError> {
        let mut partitions = transaction.open_table(layout::PARTITIONS)?;
        for (id, (_, extent)) in &self.extents {
            if !self.dropped.contains(id) {
                partitions.insert(id, (extent.start, extent.end, extent.bytes))?;
            }
        }
        Ok(())
    }

    /// Lets everybody see it, once it is committed.
    pub(super) fn publish(&self) {
        for (partition, extent) in self.extents.values() {
            partition.publish(*extent);
        }
        for partition in &self.removed {
            partition.delete();
        }
    }
}

/// Applies one command. The outer error fails the whole group, the inner one only this command.
pub(super) fn apply(
    transaction: &WriteTransaction,
    command: &Command,
    done: &mut Done,
) -> Result<Result<Outcome, StoreError>, StoreError> {
    match command {
        Command::Append { partition, batches, .. } => {
            if partition.extent().deleted || done.dropped.contains(&partition.id) {
                return Ok(Err(StoreError::Deleted));
            }
            let before = done.extent(partition);
            let mut blocks = transaction.open_table(layout::BLOCKS)?;
            let after = append(&mut blocks, partition.id, before, batches)?;
            done.set(partition, after);
            Ok(Ok(Outcome::Offset(before.end)))
        }
        Command::Change { change, .. } => {
            done.has_changes = true;
            apply_change(transaction, change, done)?;
            Ok(Ok(Outcome::Done))
        }
        Command::Trim { partition, retention, .. } => {
            if partition.extent().deleted || done.dropped.contains(&partition.id) {
                return Ok(Ok(Outcome::More(false)));
            }
            let mut blocks = transaction.open_table(layout::BLOCKS)?;
            let before = done.extent(partition);
            let (after, more) = trim(&mut blocks, partition.id, before, *retention)?;
            if after != before {
                done.set(partition, after);
            }
            Ok(Ok(Outcome::More(more)))
        }
        Command::Clean { .. } => {
            let more = clean(transaction)?;
            done.has_changes |= more;
            Ok(Ok(Outcome::More(more)))
        }
        Command::Settle => {
            done.has_changes = true;
            Ok(Ok(Outcome::Done))
        }
    }
}

/// Gives the batches their offsets and stores them in blocks.
fn append(blocks: &mut Blocks<'_>, id: u64, extent: Extent, batches: &[CheckedBatch]) -> Result<Extent, StoreError> {
    let time = unix_ms().to_be_bytes();
    let mut block = Vec::with_capacity(PART);
    let mut base = extent.end;
    let mut next = extent.end;
    let mut bytes = extent.bytes;
    for batch in batches {
        if block.len() + batch.bytes.len() > PART && !block.is_empty() {
            insert(blocks, id, base, &block)?;
            block.clear();
        }
        if block.is_empty() {
            base = next;
            block.extend_from_slice(&time);
        }
        block.extend_from_slice(&next.to_be_bytes());
        block.extend_from_slice(&batch.bytes[size_of::<i64>()..]);
        next += i64::from(batch.records);
        bytes += batch.bytes.len() as u64;
    }
    if !block.is_empty() {
        insert(blocks, id, base, &block)?;
    }
    Ok(Extent { end: next, bytes, ..extent })
}

fn insert(blocks: &mut Blocks<'_>, id: u64, base: i64, block: &[u8]) -> Result<(), StoreError> {
    for (part, bytes) in (0..).zip(block.chunks(PART)) {
        blocks.insert((id, base, part), bytes)?;
    }
    Ok(())
}

/// Deletes from the front what is beyond the retention; true if there is more than one commit should do.
///
/// The last block is never deleted for its size alone, so that a partition always holds what came last.
fn trim(blocks: &mut Blocks<'_>, id: u64, extent: Extent, retention: Retention) -> Result<(Extent, bool), StoreError> {
    let mut doomed = Vec::new();
    let mut after = extent;
    let mut deleted = 0;
    let mut more = false;
    while after.start < extent.end {
        if deleted == BLOCKS_PER_TRIM {
            more = true;
            break;
        }
        let block = Block::find(blocks, id, after.start, extent.end)?;
        let is_old = retention.committed_before.is_some_and(|limit| block.time < limit);
        let is_too_much = retention.max_bytes.is_some_and(|max| after.bytes > max);
        let is_last = block.next == extent.end;
        if !(is_old || is_too_much && !is_last) {
            break;
        }
        after.start = block.next;
        after.bytes = after.bytes.saturating_sub(block.bytes);
        doomed.extend(block.keys);
        deleted += 1;
    }
    for key in doomed {
        blocks.remove(key)?;
    }
    Ok((after, more))
}

/// A block as retention sees it.
struct Block {
    keys: Vec<(u64, i64, u32)>,
    time: u64,
    bytes: u64,
    /// Where the next one begins.
    next: i64,
}

impl Block {
    /// The first block at or behind `from`.
    fn find(blocks: &Blocks<'_>, id: u64, from: i64, end: i64) -> Result<Self, StoreError> {
        let mut block = Self { keys: Vec::new(), time: 0, bytes: 0, next: end };
        for entry in blocks.range((id, from, 0)..(id, end, 0))? {
            let (key, value) = entry?;
            let key = key.value();
            let value = value.value();
            let mut length = value.len();
            if key.2 == 0 {
                if !block.keys.is_empty() {
                    block.next = key.1;
                    break;
                }
                block.time = value.first_chunk().map_or(0, |time| u64::from_be_bytes(*time));
                length = length.saturating_sub(BLOCK_HEAD);
            }
            block.bytes += length as u64;
            block.keys.push(key);
        }
        Ok(block)
    }
}

/// Deletes some blocks of dropped partitions; true if there are more.
fn clean(transaction: &WriteTransaction) -> Result<bool, StoreError> {
    let mut dropped = transaction.open_table(layout::DROPPED)?;
    let Some(id) = dropped.first()?.map(|(id, _)| id.value()) else {
        return Ok(false);
    };
    let mut blocks = transaction.open_table(layout::BLOCKS)?;
    let mut doomed = Vec::new();
    for entry in blocks.range((id, i64::MIN, 0)..(id + 1, i64::MIN, 0))? {
        doomed.push(entry?.0.value());
        if doomed.len() == BLOCKS_PER_TRIM {
            break;
        }
    }
    for key in &doomed {
        blocks.remove(key)?;
    }
    if doomed.len() < BLOCKS_PER_TRIM {
        dropped.remove(id)?;
    }
    Ok(true)
}

fn apply_change(transaction: &WriteTransaction, change: &Change, done: &mut Done) -> Result<(), StoreError> {
    match change {
        Change::PutTopic { name, value, partitions } => {
            let mut topics = transaction.open_table(layout::TOPICS)?;
            topics.insert(name.as_str(), value.as_slice())?;
            let mut rows = transaction.open_table(layout::PARTITIONS)?;
            for id in partitions {
                rows.insert(id, (0, 0, 0))?;
            }
        }
        Change::RemoveTopic { name, partitions } => {
            transaction.open_table(layout::TOPICS)?.remove(name.as_str())?;
            let mut rows = transaction.open_table(layout::PARTITIONS)?;
            let mut dropped = transaction.open_table(layout::DROPPED)?;
            for partition in partitions {
                rows.remove(partition.id)?;
                dropped.insert(partition.id, ())?;
                done.dropped.insert(partition.id);
                done.removed.push(Arc::clone(partition));
            }
            let mut offsets = transaction.open_table(layout::OFFSETS)?;
            offsets.retain(|(_, topic, _), _| topic != name)?;
        }
        Change::PutSmartModule { name, value } => {
            let mut modules = transaction.open_table(layout::SMARTMODULES)?;
            modules.insert(name.as_str(), value.as_slice())?;
        }
        Change::RemoveSmartModule { name } => {
            let mut modules = transaction.open_table(layout::SMARTMODULES)?;
            modules.remove(name.as_str())?;
        }
        Change::PutOffset { consumer, replica, offset, seconds } => {
            let mut offsets = transaction.open_table(layout::OFFSETS)?;
            let key = (consumer.as_str(), replica.topic.as_str(), replica.partition);
            offsets.insert(key, (*offset, *seconds))?;
        }
        Change::RemoveOffset { consumer, replica } => {
            let mut offsets = transaction.open_table(layout::OFFSETS)?;
            offsets.remove((consumer.as_str(), replica.topic.as_str(), replica.partition))?;
        }
    }
    Ok(())
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
