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
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::ends::{Applied, Checkpoint, OpenSource, Output, Stages};
use crate::policy::Policy;
use crate::shape::{Exchange, STATE_EVERY, Shaped, Shaper};
use crate::{PipelineError, Progress, RateLimit, RetryPolicy};

/// Batches that may wait between two parts. Two, so that a part which finishes early finds work while the
/// other one still has some; more would only add to what is repeated after a crash.
pub(crate) const QUEUE: usize = 2;

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
    /// How fast records may go.
    pub rate_limit: Option<Arc<RateLimit>>,
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
            rate_limit: None,
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
    /// It was asked to stop while its destination could not be reached: some of what was read is not delivered,
    /// and will be read again.
    Short,
}

/// One run of a source connector: its ends and how to behave.
pub struct SourceRun {
    /// Makes readings of the source.
    pub source: Box<dyn OpenSource>,
    /// Filter and Shape.
    pub stages: Box<dyn Stages>,
    /// Where new ones are put while it runs.
    pub exchange: Exchange,
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
pub(crate) struct Work {
    pub(crate) sequence: u64,
    pub(crate) applied: Applied,
    pub(crate) cursor: Vec<u8>,
    pub(crate) unusable: Option<String>,
    /// See [`Shaped::state`].
    pub(crate) state: Option<Vec<u8>>,
}

/// What is durable.
#[derive(Debug, Clone, Default)]
pub(crate) struct Durable {
    /// All records up to the chunk with this number are acknowledged.
    pub(crate) sequence: u64,
    /// The newest cursor that is kept.
    pub(crate) cursor: Vec<u8>,
    /// The number of the chunk that it came with.
    pub(crate) kept: u64,
}

impl SourceRun {
    /// Runs until the source ends, a stop is asked for, or something fails that trying again can't mend.
    ///
    /// # Errors
    /// See [`PipelineError`]. Whatever the error, everything before the durable cursor is in the topic, and
    /// everything behind it will be read again.
    pub async fn run(self) -> Result<Stopped, PipelineError> {
        let Self { source, stages, exchange, output, dead_letters, mut checkpoint, settings, progress, stop } = self;
        let saved = checkpoint.load().await?.unwrap_or_default();
        let mut shaper = Shaper::new(stages, exchange);
        shaper.restore(&saved.stages)?;
        let (to_stages, chunks) = mpsc::channel::<Chunk>(QUEUE);
        let (to_writer, shaped) = mpsc::channel::<Work>(QUEUE);
        let hurry = Arc::<Notify>::default();
        let (durable_tx, durable) = watch::channel(Durable { cursor: saved.cursor.clone(), ..Durable::default() });

        let reader = reader::Reader {
            opener: source,
            settings: settings.clone(),
            progress: Arc::clone(&progress),
            stop,
            to_stages,
            durable,
            last_place: 0,
            committed: Vec::new(),
            hurry: Arc::clone(&hurry),
        };
        let writer = writer::Writer {
            output,
            policy: Policy::new(settings.on_error, &settings.connector, dead_letters, Arc::clone(&progress)),
            checkpoint,
            settings,
            progress: Arc::clone(&progress),
            shaped,
            durable: durable_tx,
            hurry,
        };
        // Whoever drops this run drops the writer with it: nobody may write behind the back of the next one.
        let writer = AbortOnDropHandle::new(tokio::spawn(writer.run()));
        let runtime = tokio::runtime::Handle::current();
        let stages = tokio::task::spawn_blocking(move || run_stages(shaper, chunks, &to_writer, &progress, &runtime));
        let read = reader.run(Some(saved.cursor).filter(|cursor| !cursor.is_empty())).await;

        // The first part of the way that failed is the cause; the ones before it only found the queue closed.
        writer.await.map_err(|_| PipelineError::Defect { part: "writer" })??;
        stages.await.map_err(|_| PipelineError::Defect { part: "stages" })??;
        read
    }
}

/// The part in the middle. A thread of its own, for stages compute.
fn run_stages(
    mut shaper: Shaper,
    mut chunks: mpsc::Receiver<Chunk>,
    to_writer: &mpsc::Sender<Work>,
    progress: &Progress,
    runtime: &tokio::runtime::Handle,
) -> Result<(), PipelineError> {
    let mut next_offset = 0;
    // The last chunk with a cursor, as long as the state behind it was not handed on and nothing came after it.
    let mut owed: Option<(u64, Vec<u8>)> = None;
    loop {
        let next = match &owed {
            None => chunks.blocking_recv(),
            Some(_) => match runtime.block_on(async { tokio::time::timeout(STATE_EVERY, chunks.recv()).await }) {
                Ok(next) => next,
                Err(_) => {
                    let Some((sequence, cursor)) = owed.take() else { continue };
                    if to_writer.blocking_send(place(sequence, cursor, shaper.export())).is_err() {
                        return Ok(());
                    }
                    continue;
                }
            },
        };
        let Some(Chunk { sequence, batch, cursor, unusable }) = next else { break };
        let records = batch.len() as i64;
        shaper.refresh();
        let shaped = if shaper.is_empty() {
            Shaper::pass(batch, progress)
        } else {
            shaper.shape(&batch, next_offset, progress)?
        };
        let Shaped { applied, state } = shaped;
        next_offset += records;
        owed = (shaper.is_owed() && !cursor.is_empty()).then(|| (sequence, cursor.clone()));
        if to_writer.blocking_send(Work { sequence, applied, cursor, unusable, state }).is_err() {
            return Ok(());
        }
    }
    if let Some((sequence, cursor)) = owed {
        let _ = to_writer.blocking_send(place(sequence, cursor, shaper.export()));
    }
    Ok(())
}

/// A place to keep, behind records that were handed on before.
fn place(sequence: u64, cursor: Vec<u8>, state: Vec<u8>) -> Work {
    Work { sequence, applied: Applied::default(), cursor, unusable: None, state: Some(state) }
}

/// Unix milliseconds now.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
