//! The store's one writer.
//!
//! It takes what is waiting as one *group*, applies it in order within one transaction, commits, publishes
//! what the partitions hold now, and answers. Offsets are given out here and nowhere else, and only become
//! known when the commit has succeeded: a group that fails leaves no trace, and the next one gets the same
//! offsets.
//!
//! After an I/O error the database refuses everything until it is opened again, which happens here at once,
//! and before each later group as long as it fails.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redb::{ReadableTable, Table, WriteTransaction};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::layout::{self, BLOCK_HEAD, PART};
use super::{Change, Command, Extent, Partition, Reply, Retention, Shared, StoreError};
use crate::batch::CheckedBatch;

/// How many bytes of records go into one commit, roughly.
const GROUP_BYTES: usize = 16 << 20;
/// How many commands go into one commit.
const GROUP_COMMANDS: usize = 2048;
/// How many blocks are deleted in one commit, so that producers don't wait long behind a deletion.
const BLOCKS_PER_TRIM: usize = 512;
/// What must be free on the disk beside twice the group, for the database's own pages.
const SPARE_BYTES: u64 = 256 << 10;
/// How long the store rests after the disk was found full, at first; a commit may still find room in pages
/// that were freed inside the file.
const FULL_REST: Duration = Duration::from_secs(1);
/// And at most.
const FULL_REST_MAX: Duration = Duration::from_secs(60);

type Blocks<'t> = Table<'t, (u64, i64, u32), &'static [u8]>;

pub(super) struct Writer {
    shared: Arc<Shared>,
    /// The number of the last commit.
    commits: u64,
    /// The database has failed and could not be opened again yet.
    broken: bool,
    /// The disk was found full: when to try again at the earliest, and how long to rest if in vain.
    full: Option<(Instant, Duration)>,
    /// There were commits since the last one that makes a start after a kill quick.
    unsettled: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, commits: u64) -> Self {
        Self { shared, commits, broken: false, full: None, unsettled: true }
    }

    /// Works until every handle to the store is gone, then finishes what is waiting.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            let mut bytes = first.bytes();
            let mut group = vec![first];
            while bytes < GROUP_BYTES && group.len() < GROUP_COMMANDS {
                let Ok(command) = commands.try_recv() else {
                    break;
                };
                bytes += command.bytes();
                group.push(command);
            }
            self.handle(group, bytes);
        }
    }

    fn handle(&mut self, group: Vec<Command>, bytes: usize) {
        let is_settling = group.iter().all(|command| matches!(command, Command::Settle));
        if is_settling && !self.unsettled {
            return;
        }
        if let Err(failure) = self.ready(bytes) {
            return refuse(group, &failure);
        }
        let mut done = Done::default();
        match self.commit(&group, is_settling, &mut done) {
            Ok(()) => {
                self.commits += 1;
                self.full = None;
                self.unsettled = !is_settling;
                done.publish();
                for (command, outcome) in group.into_iter().zip(done.outcomes) {
                    command.answer(outcome);
                }
            }
            Err(failure) => self.failed(group, &done, &failure),
        }
    }

    /// Checks that a commit has a chance.
    fn ready(&mut self, bytes: usize) -> Result<(), StoreError> {
        if self.broken {
            self.shared.reopen()?;
            self.broken = false;
            info!("the store is open again");
        }
        let Some((again, _)) = self.full else {
            return Ok(());
        };
        let needed = 2 * bytes as u64 + SPARE_BYTES;
        let has_room = self.shared.medium.free().is_ok_and(|free| free >= needed);
        if has_room || Instant::now() >= again { Ok(()) } else { Err(StoreError::Full) }
    }

    /// Opens the database again after a failed commit, and finds out whether the commit is in it after all:
    /// an error while syncing can mean either.
    fn failed(&mut self, group: Vec<Command>, done: &Done, failure: &StoreError) {
        if matches!(failure, StoreError::Full) {
            let rest = self.full.map_or(FULL_REST, |(_, rest)| rest * 2);
            let rest = rest.min(FULL_REST_MAX);
            if self.full.is_none() {
                warn!("the disk is full: records are refused until there is room");
            }
            self.full = Some((Instant::now() + rest, rest));
        } else {
            error!(error = %failure, "the store failed: what was waiting is refused");
        }
        self.unsettled = true;
        let commits = self.shared.reopen().and_then(|()| self.shared.commits());
        self.broken = commits.is_err();
        match commits {
            Ok(commits) if commits > self.commits => {
                self.commits = commits;
                done.publish();
                for (command, outcome) in group.into_iter().zip(&done.outcomes) {
                    // Records may still be lost with the machine, so they are not acknowledged.
                    let is_append = matches!(command, Command::Append { .. });
                    command.answer(if is_append { Err(failure.clone()) } else { outcome.clone() });
                }
            }
            Ok(_) => refuse(group, failure),
            Err(error) => {
                error!(%error, "the store can't be opened again yet");
                refuse(group, failure);
            }
        }
    }

    fn commit(&self, group: &[Command], quick_repair: bool, done: &mut Done) -> Result<(), StoreError> {
        let open = self.shared.current();
        let mut transaction = open.database.begin_write()?;
        transaction.set_quick_repair(quick_repair);
        for command in group {
            let outcome = apply(&transaction, command, done)?;
            done.outcomes.push(outcome);
        }
        {
            let mut partitions = transaction.open_table(layout::PARTITIONS)?;
            for (id, (_, extent)) in &done.extents {
                if !done.dropped.contains(id) {
                    partitions.insert(id, (extent.start, extent.end, extent.bytes))?;
                }
            }
            let mut meta = transaction.open_table(layout::META)?;
            meta.insert(layout::COMMITS, self.commits + 1)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

fn refuse(group: Vec<Command>, failure: &StoreError) {
    for command in group {
        command.answer(Err(failure.clone()));
    }
}

/// What the answer to a command is, if its transaction commits.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Done,
    Offset(i64),
    More(bool),
}

/// What a transaction will have done once it is committed.
#[derive(Default)]
struct Done {
    outcomes: Vec<Result<Outcome, StoreError>>,
    extents: HashMap<u64, (Arc<Partition>, Extent)>,
    dropped: HashSet<u64>,
    removed: Vec<Arc<Partition>>,
}

impl Done {
    fn extent(&self, partition: &Arc<Partition>) -> Extent {
        self.extents.get(&partition.id).map_or_else(|| partition.extent(), |(_, extent)| *extent)
    }

    fn set(&mut self, partition: &Arc<Partition>, extent: Extent) {
        self.extents.insert(partition.id, (Arc::clone(partition), extent));
    }

    fn publish(&self) {
        for (partition, extent) in self.extents.values() {
            partition.publish(*extent);
        }
        for partition in &self.removed {
            partition.delete();
        }
    }
}

impl Command {
    fn bytes(&self) -> usize {
        match self {
            Self::Append { batches, .. } => batches.iter().map(|batch| batch.bytes.len()).sum(),
            Self::Change { change, .. } => match change {
                Change::PutTopic { value, .. } | Change::PutSmartModule { value, .. } => value.len(),
                _ => 0,
            },
            Self::Trim { .. } | Self::Clean { .. } | Self::Settle => 0,
        }
    }

    /// Answers; who asked may be gone, which is no concern of the store.
    fn answer(self, outcome: Result<Outcome, StoreError>) {
        match self {
            Self::Append { reply, .. } => send(reply, outcome, |outcome| match outcome {
                Outcome::Offset(offset) => offset,
                Outcome::Done | Outcome::More(_) => -1,
            }),
            Self::Change { reply, .. } => send(reply, outcome, |_| ()),
            Self::Trim { reply, .. } | Self::Clean { reply } => {
                send(reply, outcome, |outcome| matches!(outcome, Outcome::More(true)));
            }
            Self::Settle => {}
        }
    }
}

fn send<T>(reply: Reply<T>, outcome: Result<Outcome, StoreError>, value: impl FnOnce(Outcome) -> T) {
    let _ = reply.send(outcome.map(value));
}

/// Applies one command. The outer error fails the whole group, the inner one only this command.
fn apply(
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
        Command::Clean { .. } => Ok(Ok(Outcome::More(clean(transaction)?))),
        Command::Settle => Ok(Ok(Outcome::Done)),
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
        if !is_old && !(is_too_much && block.next < extent.end) {
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
