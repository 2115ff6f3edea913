//! What the loops need of the world: a source to read, stages to pass, a topic to fill, a place for cursors.
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
    /// Puts a batch through all stages.
    ///
    /// # Errors
    /// When a stage failed as a whole; what it refuses record by record is in [`Applied::refusals`].
    fn apply(&mut self, batch: Batch) -> Result<Applied, StageFault>;

    /// Replaces what a failed call left behind by fresh instances, with the state from before that call.
    ///
    /// # Errors
    /// When a stage can't be made again.
    fn renew(&mut self) -> Result<(), StageFault>;

    /// Whether there is nothing to pass.
    fn is_empty(&self) -> bool {
        false
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

/// Where a cursor is kept between runs.
#[async_trait]
pub trait Checkpoint: Send {
    /// The newest cursor, if there is one.
    async fn load(&mut self) -> Result<Option<Vec<u8>>, crate::checkpoint::CheckpointError>;
    /// Makes a cursor durable; when this returns, `load` finds it after any crash.
    async fn save(&mut self, cursor: &[u8]) -> Result<(), crate::checkpoint::CheckpointError>;
}
