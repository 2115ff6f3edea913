//! The sink loop: a lane for each group of partitions, all of them alike and independent of each other.
//!
//! ```text
//!  topic ──▶ shaping ──(2 batches)──▶ writing ──▶ the outside
//!                                        │
//!                                        └──▶ positions in the cluster
//! ```
//!
//! A lane reads its partitions, puts what it read through each partition's own stages, and delivers in order,
//! one delivery at a time. An offset is committed only after every record before it was delivered, or was
//! given up by the error policy and its dead letter acknowledged. Whatever lane fails, the others finish the
//! delivery they are at, and the run ends with the reason.

mod pending;
mod shaping;
mod writing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ends::{Checkpoint, Input, OpenSink, Output, Positions, Stages};
use crate::policy::Policy;
use crate::shape::{Exchange, Shaper};
use crate::source::{QUEUE, Settings, Stopped};
use crate::{PipelineError, Progress};

/// One partition of a sink's topic.
pub struct Partition {
    /// Filter and Shape, with a state of their own.
    pub stages: Box<dyn Stages>,
    /// Where new ones are put while it runs.
    pub exchange: Exchange,
    /// Where their state is kept.
    pub checkpoint: Box<dyn Checkpoint>,
    /// The state to start from; empty for none.
    pub state: Vec<u8>,
}

/// Partitions that share a way into the sink, and come through one input.
pub struct Lane {
    /// Their records.
    pub input: Box<dyn Input>,
    /// What each of them needs.
    pub partitions: BTreeMap<u32, Partition>,
}

/// One run of a sink connector: its ends and how to behave.
pub struct SinkRun {
    /// The lanes; at least one.
    pub lanes: Vec<Lane>,
    /// Makes writers of the sink.
    pub sink: Arc<dyn OpenSink>,
    /// Where the positions are kept; nowhere, and every start begins at the same place.
    pub positions: Option<Arc<dyn Positions>>,
    /// The least time between two commits of a partition. Zero: a commit follows each delivery.
    pub commit_every: Duration,
    /// The dead-letter topic; needed with [`crate::OnError::DeadLetter`].
    pub dead_letters: Option<Box<dyn Output>>,
    /// How to behave.
    pub settings: Settings,
    /// Counts what happens.
    pub progress: Arc<Progress>,
    /// Cancelled to ask for a stop: reading stops, what was read is delivered if that is possible.
    pub stop: CancellationToken,
}

impl SinkRun {
    /// Runs until the input ends, a stop is asked for, or something fails that trying again can't mend.
    ///
    /// # Errors
    /// See [`PipelineError`]. Whatever the error, everything before the committed offsets is delivered, and
    /// everything behind them will be read again.
    pub async fn run(self) -> Result<Stopped, PipelineError> {
        let Self { lanes, sink, positions, commit_every, dead_letters, settings, progress, stop } = self;
        let policy = Policy::new(settings.on_error, &settings.connector, dead_letters, Arc::clone(&progress));
        let shared = Arc::new(writing::Shared { sink, positions, commit_every, policy, settings, progress });
        let halt = stop.child_token();
        let mut tasks = JoinSet::new();
        for lane in lanes {
            tasks.spawn(run_lane(lane, Arc::clone(&shared), halt.clone()));
        }
        let (mut first_error, mut short) = (None, false);
        while let Some(ended) = tasks.join_next().await {
            match ended.unwrap_or(Err(PipelineError::Defect { part: "lane" })) {
                Ok(Ok(())) => {}
                Ok(Err(writing::Halted)) => short = true,
                Err(error) => {
                    halt.cancel();
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            Some(error) => Err(error),
            None if short => Ok(Stopped::Short),
            None if stop.is_cancelled() => Ok(Stopped::Asked),
            None => Ok(Stopped::End),
        }
    }
}

async fn run_lane(
    lane: Lane,
    shared: Arc<writing::Shared>,
    halt: CancellationToken,
) -> Result<Result<(), writing::Halted>, PipelineError> {
    let Lane { input, partitions } = lane;
    let (mut shapers, mut checkpoints) = (BTreeMap::new(), BTreeMap::new());
    for (number, Partition { stages, exchange, checkpoint, state }) in partitions {
        let mut shaper = Shaper::new(stages, exchange);
        shaper.restore(&state)?;
        shapers.insert(number, shaper);
        checkpoints.insert(number, checkpoint);
    }
    let (to_writer, pieces) = mpsc::channel(QUEUE);
    let topic = input.topic().to_owned();
    let shaping =
        shaping::Shaping { input, shapers, progress: Arc::clone(&shared.progress), halt: halt.clone(), to_writer };
    let writing = writing::Writing::new(topic, checkpoints, shared, halt, pieces);
    // Both in one task: whoever drops the run drops the writer with it.
    let (shaped, written) = tokio::join!(shaping.run(), writing.run());
    let written = written?;
    shaped.map(|()| written)
}

#[cfg(test)]
mod tests;
