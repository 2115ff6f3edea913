//! The source loop: reader, stages and writer, each on its own, joined by bounded queues.
//!
//! The reader owns the source. The stages run on a thread of their own, for they compute. The writer merges
//! what is waiting, sends it, deals with what was refused, makes the cursor durable, and tells the reader.
//! Whatever part ends first, by success or by failure, the queues close behind it and the others follow.

mod reader;
mod writer;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use host_batch::Batch;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::ends::{Applied, Checkpoint, OpenSource, Output, Stages};
use crate::stages::Isolating;
use crate::{PipelineError, Progress, RetryPolicy};

/// Batches that may wait between two parts. Two, so that a part which finishes early finds work while the
/// other one still has some; more would only add to what is repeated after a crash.
const QUEUE: usize = 2;

/// What to do with a record that can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// End the run; the record is read again at the next start.
    #[default]
    Stop,
    /// Count it, log it, go on.
    Skip,
    /// Put it on the dead-letter topic, go on.
    DeadLetter,
}

/// How a run behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The connector's name, for dead letters and messages.
    pub connector: String,
    /// What to do with records that can't be used.
    pub on_error: OnError,
    /// How to wait for a source that can't be reached.
    pub retry: RetryPolicy,
    /// Records one read may return.
    pub max_records: u32,
    /// Bytes one read may return, and how much the writer merges into one delivery.
    pub max_bytes: u32,
    /// How long a delivery may wait for more records.
    pub linger: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connector: String::new(),
            on_error: OnError::Stop,
            retry: RetryPolicy::default(),
            max_records: 10_000,
            max_bytes: 1 << 20,
            linger: Duration::ZERO,
        }
    }
}

/// Why a run ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The source came to its end.
    End,
    /// It was asked to stop, and everything that had been read is durable.
    Asked,
}

/// One run of a source connector: its ends and how to behave.
pub struct SourceRun {
    /// Makes readings of the source.
    pub source: Box<dyn OpenSource>,
    /// Filter and Shape.
    pub stages: Box<dyn Stages>,
    /// The topic.
    pub output: Box<dyn Output>,
    /// The dead-letter topic; needed with [`OnError::DeadLetter`].
    pub dead_letters: Option<Box<dyn Output>>,
    /// Where the cursor is kept.
    pub checkpoint: Box<dyn Checkpoint>,
    /// How to behave.
    pub settings: Settings,
    /// Counts what happens.
    pub progress: Arc<Progress>,
    /// Cancelled to ask for a stop: the reader stops reading, what was read is delivered.
    pub stop: CancellationToken,
}

/// A batch on its way from the reader to the stages.
pub(crate) struct Chunk {
    pub(crate) sequence: u64,
    pub(crate) batch: Batch,
    pub(crate) cursor: Vec<u8>,
    /// An input the source itself could not use: the reason.
    pub(crate) unusable: Option<String>,
}

/// A batch on its way from the stages to the writer.
pub(crate) struct Shaped {
    pub(crate) sequence: u64,
    pub(crate) applied: Applied,
    pub(crate) cursor: Vec<u8>,
    pub(crate) unusable: Option<String>,
}

/// What is durable: everything up to the chunk with this number, and the newest cursor of those.
#[derive(Debug, Clone, Default)]
pub(crate) struct Durable {
    pub(crate) sequence: u64,
    pub(crate) cursor: Vec<u8>,
}

impl SourceRun {
    /// Runs until the source ends, a stop is asked for, or something fails that trying again can't mend.
    ///
    /// # Errors
    /// See [`PipelineError`]. Whatever the error, everything before the durable cursor is in the topic, and
    /// everything behind it will be read again.
    pub async fn run(self) -> Result<Stopped, PipelineError> {
        let Self { source, stages, output, dead_letters, mut checkpoint, settings, progress, stop } = self;
        let cursor = checkpoint.load().await?.filter(|cursor| !cursor.is_empty());
        let (to_stages, chunks) = mpsc::channel::<Chunk>(QUEUE);
        let (to_writer, shaped) = mpsc::channel::<Shaped>(QUEUE);
        let (durable_tx, durable) = watch::channel(Durable { sequence: 0, cursor: cursor.clone().unwrap_or_default() });

        let reader = reader::Reader {
            opener: source,
            settings: settings.clone(),
            progress: Arc::clone(&progress),
            stop,
            to_stages,
            durable,
        };
        let writer = writer::Writer {
            output,
            dead_letters,
            checkpoint,
            settings,
            progress: Arc::clone(&progress),
            shaped,
            durable: durable_tx,
        };
        // Whoever drops this run drops the writer with it: nobody may write behind the back of the next one.
        let writer = AbortOnDropHandle::new(tokio::spawn(writer.run()));
        let stages = tokio::task::spawn_blocking(move || run_stages(stages, chunks, &to_writer, &progress));
        let read = reader.run(cursor).await;

        // The first part of the way that failed is the cause; the ones before it only found the queue closed.
        writer.await.map_err(|_| PipelineError::Defect { part: "writer" })??;
        stages.await.map_err(|_| PipelineError::Defect { part: "stages" })??;
        read
    }
}

fn run_stages(
    stages: Box<dyn Stages>,
    mut chunks: mpsc::Receiver<Chunk>,
    to_writer: &mpsc::Sender<Shaped>,
    progress: &Progress,
) -> Result<(), PipelineError> {
    let mut stages = Isolating::new(stages);
    while let Some(Chunk { sequence, batch, cursor, unusable }) = chunks.blocking_recv() {
        let applied =
            stages.apply(batch).map_err(|fault| PipelineError::Stage { stage: fault.stage, reason: fault.reason })?;
        progress.shaped_records.add(applied.batch.len() as u64);
        progress.refused_records.add(applied.refusals.len() as u64);
        progress.restarts.add(std::mem::take(&mut stages.renewals));
        if to_writer.blocking_send(Shaped { sequence, applied, cursor, unusable }).is_err() {
            break;
        }
    }
    Ok(())
}

/// Unix milliseconds now.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
