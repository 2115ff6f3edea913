//! The store: what the broker keeps on disk, and the only part of it that touches a disk.
//!
//! One thread writes ([`writer`]); it takes everything that is waiting, commits it at once with one sync,
//! and only then answers. So what was acknowledged is on disk, a kill or a power cut loses nothing of it, and
//! many producers share one sync. Readers ([`read`]) work on snapshots beside it. [`layout`] says what lies
//! on disk and [`medium`] where.
//!
//! An I/O error or a full disk refuses what was waiting, with an error that reaches its producers, and
//! nothing of it becomes visible. The store then goes on: it is opened again as soon as that is possible.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ReplicaKey;
use redb::{Database, Error as DatabaseError, ReadableDatabase, ReadableTable, RepairSession};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tracing::info;

use crate::batch::CheckedBatch;
use crate::error::Error;

mod apply;
pub(crate) mod layout;
pub(crate) mod medium;
pub(crate) mod read;
mod writer;

use medium::{Medium, Switched};

/// How many bytes of records may wait for the disk; more and producers wait.
const WAITING_BYTES: usize = 64 << 20;
/// How many commands may wait for the disk.
const WAITING_COMMANDS: usize = 4096;

/// Why something was not stored or read.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the disk is full")]
    Full,
    #[error("the store failed: {0}")]
    Failed(Arc<DatabaseError>),
    #[error("the records of partition {partition} at offset {offset} are damaged")]
    Damaged { partition: u64, offset: i64 },
    #[error("the partition was deleted")]
    Deleted,
    #[error("the broker is stopping")]
    Stopping,
}

impl StoreError {
    /// Whether it may be over as soon as the store has been opened again.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Failed(error) => {
                matches!(**error, DatabaseError::Io(_) | DatabaseError::PreviousIo | DatabaseError::DatabaseClosed)
            }
            _ => false,
        }
    }

    /// The code that a client is answered with.
    pub(crate) fn code(&self, replica: &ReplicaKey) -> ErrorCode {
        match self {
            Self::Full => ErrorCode::PartitionFull { replica_key: replica.clone() },
            Self::Failed(_) | Self::Damaged { .. } => ErrorCode::StorageError,
            Self::Deleted => ErrorCode::TopicDeleted,
            Self::Stopping => ErrorCode::SpuOffline,
        }
    }
}

impl<E: Into<DatabaseError>> From<E> for StoreError {
    fn from(error: E) -> Self {
        let error = error.into();
        match &error {
            DatabaseError::Io(io) if is_full(io) => Self::Full,
            _ => Self::Failed(Arc::new(error)),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What a partition holds, as far as it is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    /// The first offset that can be read.
    pub start: i64,
    /// The offset that the next record gets.
    pub end: i64,
    /// How many bytes of batches lie between them.
    pub bytes: u64,
    /// The partition is gone with its topic.
    pub deleted: bool,
}

/// One partition: who it is and what it holds.
#[derive(Debug)]
pub(crate) struct Partition {
    pub id: u64,
    pub key: ReplicaKey,
    extent: watch::Sender<Extent>,
}

impl Partition {
    pub(crate) fn new(id: u64, key: ReplicaKey, extent: Extent) -> Self {
        Self { id, key, extent: watch::Sender::new(extent) }
    }

    /// What it holds now.
    pub(crate) fn extent(&self) -> Extent {
        *self.extent.borrow()
    }

    /// Tells of every change of what it holds.
    pub(crate) fn watch(&self) -> watch::Receiver<Extent> {
        self.extent.subscribe()
    }

    /// Marks it as gone: its readers end.
    pub(crate) fn delete(&self) {
        self.extent.send_modify(|extent| extent.deleted = true);
    }

    fn publish(&self, next: Extent) {
        self.extent.send_if_modified(|extent| {
            let next = Extent { deleted: extent.deleted, ..next };
            let changed = *extent != next;
            *extent = next;
            changed
        });
    }
}

/// How far a partition may grow before its oldest records are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Blocks committed before this time (Unix ms) go.
    pub committed_before: Option<u64>,
    /// The oldest blocks go until the rest fits.
    pub max_bytes: Option<u64>,
}

impl Retention {
    pub(crate) fn is_unlimited(&self) -> bool {
        self.committed_before.is_none() && self.max_bytes.is_none()
    }
}

/// A change of something other than records.
#[derive(Debug)]
pub(crate) enum Change {
    PutTopic { name: String, value: Vec<u8>, partitions: Vec<u64> },
    RemoveTopic { name: String, partitions: Vec<Arc<Partition>> },
    PutSmartModule { name: String, value: Vec<u8> },
    RemoveSmartModule { name: String },
    PutOffset { consumer: String, replica: ReplicaKey, offset: i64, seconds: u64 },
    RemoveOffset { consumer: String, replica: ReplicaKey },
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked for.
#[derive(Debug)]
enum Command {
    Append {
        partition: Arc<Partition>,
        batches: Vec<CheckedBatch>,
        /// The offset of the first record.
        reply: Reply<i64>,
        /// Given back when the command is done.
        _room: tokio::sync::OwnedSemaphorePermit,
    },
    Change {
        change: Change,
        reply: Reply<()>,
    },
    /// Deletes what a partition holds too much of; true if there is more to delete.
    Trim {
        partition: Arc<Partition>,
        retention: Retention,
        reply: Reply<bool>,
    },
    /// Deletes some of what dropped partitions left behind; true if there is more.
    Clean {
        reply: Reply<bool>,
    },
    /// Commits in the way from which a killed broker starts without checking the whole store.
    Settle,
}

/// The open database, which is replaced when it has failed.
#[derive(Debug)]
struct Open {
    database: Database,
    off: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    medium: Box<dyn Medium>,
    sync: bool,
    open: RwLock<Arc<Open>>,
    /// Held until the last of the store is gone, so that nobody else opens it before.
    _lock: File,
}

impl Shared {
    fn current(&self) -> Arc<Open> {
        Arc::clone(&self.open.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens the database again after it has failed.
    fn reopen(&self) -> Result<(), StoreError> {
        self.current().off.store(true, Ordering::Release);
        let fresh = open_database(self.medium.as_ref(), self.sync)?;
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        Ok(())
    }

    /// How many commits there have been, according to the disk.
    fn commits(&self) -> Result<u64, StoreError> {
        let meta = self.current().database.begin_read()?.open_table(layout::META)?;
        Ok(meta.get(layout::COMMITS)?.map_or(0, |commits| commits.value()))
    }
}

fn open_database(medium: &dyn Medium, sync: bool) -> Result<Open, DatabaseError> {
    let off = Arc::new(AtomicBool::new(false));
    let backend = Switched::new(medium.open()?, Arc::clone(&off), sync);
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .set_repair_callback({
            let started = Instant::now();
            move |session| report_repair(session, started)
        })
        .create_with_backend(backend)?;
    Ok(Open { database, off })
}

/// Tells why opening takes its time, if it does: a store that was not closed is read through once.
fn report_repair(session: &mut RepairSession, started: Instant) {
    if started.elapsed() >= QUIET_REPAIR {
        let percent = (session.progress() * 100.0).round();
        info!(percent, "checking the store, which was not closed");
    }
}

/// A check that takes less is nobody's concern; on a full disk there is one at every attempt.
const QUIET_REPAIR: Duration = Duration::from_secs(1);

/// How much of the store is kept in memory. Consumers mostly read what was just written, or all in a row.
const CACHE_BYTES: usize = 64 << 20;

/// What the store held when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub topics: Vec<LoadedTopic>,
    pub smartmodules: Vec<(String, Vec<u8>)>,
    /// What the partitions hold, by id.
    pub extents: HashMap<u64, Extent>,
    /// The first partition id that was never used.
    pub next_partition: u64,
}

/// One topic as it was stored.
#[derive(Debug)]
pub(crate) struct LoadedTopic {
    pub name: String,
    pub value: Vec<u8>,
}

/// The handle to the store. Dropping it lets the writer finish what is waiting and end.
#[derive(Debug)]
pub(crate) struct Store {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
}

impl Store {
    /// Opens the store on a medium, and keeps the lock as long as it has it. `sync` is whether a commit waits until the disk has it.
    pub(crate) fn open(
        folder: &Path,
        lock: File,
        medium: Box<dyn Medium>,
        sync: bool,
    ) -> Result<(Self, JoinHandle<()>), Error> {
        let failed = |source: DatabaseError| Error::Store { path: folder.to_owned(), source: Box::new(source) };
        let open = open_database(medium.as_ref(), sync).map_err(failed)?;
        prepare(&open.database, folder)?;
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            medium,
            sync,
            open: RwLock::new(Arc::new(open)),
            _lock: lock,
        });
        let (commands, receiver) = mpsc::channel(WAITING_COMMANDS);
        let commits =
            shared.commits().map_err(|error| Error::Format { path: folder.to_owned(), reason: error.to_string() })?;
        let writer = writer::Writer::new(Arc::clone(&shared), commits);
        let thread = std::thread::Builder::new()
            .name("broker-store".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(Error::Thread)?;
        let store = Self { shared, commands, room: Arc::new(Semaphore::new(WAITING_BYTES)) };
        Ok((store, thread))
    }

    /// Hands batches to the writer, in the order of the calls. What is awaited here is only room; the
    /// receiver yields the first offset once the batches are on disk.
    pub(crate) async fn append(
        &self,
        partition: Arc<Partition>,
        batches: Vec<CheckedBatch>,
    ) -> Result<oneshot::Receiver<Result<i64, StoreError>>, StoreError> {
        let bytes: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
        let permits = u32::try_from(bytes.clamp(1, WAITING_BYTES)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(permits).await.map_err(|_| StoreError::Stopping)?;
        let (reply, receiver) = oneshot::channel();
        let command = Command::Append { partition, batches, reply, _room: room };
        self.send(command).await?;
        Ok(receiver)
    }

    /// Makes a change and returns when it is on disk.
    pub(crate) async fn change(&self, change: Change) -> Result<(), StoreError> {
        self.ask(|reply| Command::Change { change, reply }).await
    }

    /// Deletes what a partition holds beyond its retention.
    pub(crate) async fn trim(&self, partition: &Arc<Partition>, retention: Retention) -> Result<(), StoreError> {
        let command = |reply| Command::Trim { partition: Arc::clone(partition), retention, reply };
        while self.ask(command).await? {}
        Ok(())
    }

    /// Deletes the records of partitions that were dropped.
    pub(crate) async fn clean(&self) -> Result<(), StoreError> {
        while self.ask(|reply| Command::Clean { reply }).await? {}
        Ok(())
    }

    /// Makes the next start after a kill quick, if there is anything new on disk.
    pub(crate) async fn settle(&self) -> Result<(), StoreError> {
        self.send(Command::Settle).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, StoreError> {
        let (reply, receiver) = oneshot::channel();
        self.send(command(reply)).await?;
        receiver.await.map_err(|_| StoreError::Stopping)?
    }

    async fn send(&self, command: Command) -> Result<(), StoreError> {
        self.commands.send(command).await.map_err(|_| StoreError::Stopping)
    }

    /// Everything but records, as it was when the store was opened.
    pub(crate) fn load(&self) -> Result<Loaded, Error> {
        self.load_all().map_err(|source| Error::Store { path: self.shared.folder.clone(), source: Box::new(source) })
    }

    fn load_all(&self) -> Result<Loaded, DatabaseError> {
        let read = self.shared.current().database.begin_read()?;
        let mut loaded = Loaded::default();
        for entry in read.open_table(layout::TOPICS)?.iter()? {
            let (name, value) = entry?;
            loaded.topics.push(LoadedTopic { name: name.value().to_owned(), value: value.value().to_owned() });
        }
        for entry in read.open_table(layout::SMARTMODULES)?.iter()? {
            let (name, value) = entry?;
            let name = name.value().to_owned();
            loaded.smartmodules.push((name, value.value().to_owned()));
        }
        for entry in read.open_table(layout::PARTITIONS)?.iter()? {
            let (id, row) = entry?;
            let (start, end, bytes) = row.value();
            loaded.extents.insert(id.value(), Extent { start, end, bytes, deleted: false });
        }
        let used = loaded.extents.keys().max().copied().unwrap_or(0);
        let dropped = read.open_table(layout::DROPPED)?;
        let dropped = dropped.last()?.map_or(0, |(id, _)| id.value());
        loaded.next_partition = used.max(dropped) + 1;
        Ok(loaded)
    }
}

/// Makes the tables of a new store, and refuses one of another version.
fn prepare(database: &Database, folder: &Path) -> Result<(), Error> {
    let format = prepare_tables(database)
        .map_err(|source| Error::Store { path: folder.to_owned(), source: Box::new(source) })?;
    if format == layout::FORMAT {
        return Ok(());
    }
    Err(Error::Format {
        path: folder.to_owned(),
        reason: format!(
            "it has format {format}, and this version knows format {}; use the version that wrote it",
            layout::FORMAT
        ),
    })
}

fn prepare_tables(database: &Database) -> Result<u64, DatabaseError> {
    if let Some(format) = read_format(database)? {
        return Ok(format);
    }
    let write = database.begin_write()?;
    write.open_table(layout::META)?.insert(layout::FORMAT_ENTRY, layout::FORMAT)?;
    write.open_table(layout::TOPICS)?;
    write.open_table(layout::PARTITIONS)?;
    write.open_table(layout::BLOCKS)?;
    write.open_table(layout::DROPPED)?;
    write.open_table(layout::SMARTMODULES)?;
    write.open_table(layout::OFFSETS)?;
    write.commit()?;
    Ok(layout::FORMAT)
}

fn read_format(database: &Database) -> Result<Option<u64>, DatabaseError> {
    match database.begin_read()?.open_table(layout::META) {
        Ok(meta) => Ok(meta.get(layout::FORMAT_ENTRY)?.map(|format| format.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
