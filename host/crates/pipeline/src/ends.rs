//! What the loops need of the world: a source or a sink, stages to pass, a topic to fill or to read, a place
//! for what must survive.
//!
//! The command line implements these for components, SmartModules and the cluster; tests implement them in
//! a few lines each.

use std::time::Duration;

use async_trait::async_trait;
use host_batch::Batch;

use crate::Fault;

/// How much one read may return, and how long it may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// At most so many records; 0 only serves the connection.
    pub max_records: u32,
    /// Stop adding records at so many bytes of keys and values.
    pub max_bytes: u32,
    /// Return within this time, if need be with nothing.
    pub max_wait: Duration,
}

impl Limit {
    /// Serves the connection and returns at once, with nothing.
    pub const SERVE: Self = Self { max_records: 0, max_bytes: 0, max_wait: Duration::ZERO };
}

/// What one read returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// The records, in order.
    pub batch: Batch,
    /// Where the source stands behind them; empty when there is nothing to remember.
    pub cursor: Vec<u8>,
    /// There will never be more.
    pub end: bool,
}

/// Makes a reading of a source: at the start, and again after it failed.
#[async_trait]
pub trait OpenSource: Send {
    /// Opens the source behind `cursor`, or at its beginning.
    async fn open(&mut self, cursor: Option<&[u8]>) -> Result<Box<dyn Source>, Fault>;
}

/// One reading of a source. Calls never overlap.
#[async_trait]
pub trait Source: Send {
    /// The next records.
    async fn read(&mut self, limit: Limit) -> Result<Read, Fault>;
    /// Everything up to this cursor is durable.
    async fn commit(&mut self, cursor: &[u8]) -> Result<(), Fault>;
    /// Lets go of the outside in good order. Not called for a reading that failed.
    async fn close(self: Box<Self>) {}
}

/// One input that a stage refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its index in the batch that was given.
    pub index: u32,
    /// The stage, as the configuration names it.
    pub stage: String,
    /// Why, in the stage's words.
    pub reason: String,
    /// The key as the stage saw it.
    pub key: Option<Vec<u8>>,
    /// The value as the stage saw it.
    pub value: Vec<u8>,
}

/// What became of a batch in the stages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The records that go on.
    pub batch: Batch,
    /// For each of them, the index of the input it came from; never falling.
    pub sources: Vec<u32>,
    /// What was refused, by rising index.
    pub refusals: Vec<Refusal>,
}

/// A batch could not be put through: a stage trapped, ran out of time or memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stage {stage}: {reason}")]
pub struct StageFault {
    /// The stage, as the configuration names it.
    pub stage: String,
    /// What happened.
    pub reason: String,
}

/// The stages between the ends, Filter and Shape. Called from a thread of its own, so it may compute at length.
pub trait Stages: Send {
    /// Puts a batch through all stages. Its first record has this offset, the others follow one by one: those
    /// of the topic for a sink, counted from the start of the run for a source.
    ///
    /// # Errors
    /// When a stage failed as a whole; what it refuses record by record is in [`Applied::refusals`].
    fn apply(&mut self, batch: &Batch, first_offset: i64) -> Result<Applied, StageFault>;

    /// Replaces what a failed call left behind by fresh instances, with the state from before that call.
    ///
    /// # Errors
    /// When a stage can't be made again.
    fn renew(&mut self) -> Result<(), StageFault>;

    /// Whether there is nothing to pass.
    fn is_empty(&self) -> bool {
        false
    }

    /// What must be given back after a restart to go on from here, such as the accumulator of an aggregate;
    /// empty when there is nothing of the kind.
    fn state(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes back what [`state`](Self::state) gave, before the first batch.
    ///
    /// # Errors
    /// When it is not the state of these stages.
    fn restore(&mut self, state: &[u8]) -> Result<(), StageFault> {
        let _ = state;
        Ok(())
    }
}

/// Where records go: a topic.
#[async_trait]
pub trait Output: Send {
    /// Its name, for messages.
    fn name(&self) -> &str;
    /// Returns when every record is acknowledged. Retries what may pass by itself, so an error is final.
    async fn send(&mut self, batch: &Batch) -> Result<(), Fault>;
}

/// What must survive a crash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// A source's cursor; the next offset of a sink's partition, in decimal.
    pub cursor: Vec<u8>,
    /// The state that the stages had there; empty when they have none.
    pub stages: Vec<u8>,
}

/// Where it is kept between runs.
#[async_trait]
pub trait Checkpoint: Send {
    /// What was saved last, if anything was.
    async fn load(&mut self) -> Result<Option<Saved>, crate::checkpoint::CheckpointError>;
    /// Makes it durable; when this returns, `load` finds it after any crash.
    async fn save(&mut self, saved: &Saved) -> Result<(), crate::checkpoint::CheckpointError>;
}

/// Records that follow each other in one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    /// The partition.
    pub partition: u32,
    /// The offset of the first record; the others follow one by one.
    pub first_offset: i64,
    /// Where the partition goes on behind them.
    pub next_offset: i64,
    /// The records.
    pub batch: Batch,
}

/// Where a sink's records come from: some partitions of a topic.
#[async_trait]
pub trait Input: Send {
    /// The topic's name.
    fn topic(&self) -> &str;
    /// The next records of any partition, each partition's in order; `None` at the end, where there is one.
    /// May be cancelled without losing records. Waits out what may pass by itself, so an error is final.
    async fn next(&mut self) -> Result<Option<Fetched>, Fault>;
}

/// Keeps how far a sink got, where the cluster's other consumers keep it too.
#[async_trait]
pub trait Positions: Send + Sync {
    /// All records of a partition before `next_offset` are dealt with. Waits out what may pass by itself.
    async fn commit(&self, partition: u32, next_offset: i64) -> Result<(), Fault>;
}

/// Records of one partition on their way to a sink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The records, in order.
    pub batch: Batch,
    /// The topic they come from.
    pub topic: String,
    /// The partition they come from.
    pub partition: u32,
    /// The offset of the record that each one was made from; never falling.
    pub offsets: Vec<i64>,
    /// The number of each record among those made from the same offset; empty when all are 0. It stays with the
    /// record, however deliveries are cut.
    pub parts: Vec<u32>,
}

/// One record that a sink did not deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its index in the delivery.
    pub index: u32,
    /// Why not, which decides what becomes of it.
    pub fault: Fault,
}

/// Makes writers of a sink: one for each lane at the start, and again after one failed.
#[async_trait]
pub trait OpenSink: Send + Sync {
    /// Opens the sink.
    async fn open(&self) -> Result<Box<dyn Sink>, Fault>;
}

/// One way into a sink. Calls never overlap.
#[async_trait]
pub trait Sink: Send {
    /// Delivers the records; what is not listed as a failure is durable when this returns. The failures come
    /// by rising index. With an error nothing is known.
    async fn write(&mut self, delivery: &Delivery) -> Result<Vec<Failure>, Fault>;
}
