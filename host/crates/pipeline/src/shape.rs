//! The stages at work: puts batches through, and says when their state should be kept.
//!
//! State that is small goes into every checkpoint. Larger state (a wide look-back window) is exported once a
//! second at most: cursors are then made durable as seldom, which costs repeats after a crash, never records.

use std::time::{Duration, Instant};

use host_batch::Batch;

use crate::PipelineError;
use crate::Progress;
use crate::ends::{Applied, Stages};
use crate::stages::Isolating;

/// State up to this size is kept with every checkpoint: it costs no more than the file around it.
const SMALL: usize = 64 << 10;

/// How often larger state is kept.
pub(crate) const STATE_EVERY: Duration = Duration::from_secs(1);

/// The stages of one lane.
pub(crate) struct Shaper {
    stages: Isolating,
    last_size: usize,
    exported: Option<Instant>,
    /// There have been batches since the state was last exported.
    owed: bool,
}

/// What a batch became.
pub(crate) struct Shaped {
    pub(crate) applied: Applied,
    /// The state of the stages behind it, when it is time to keep it. `None` says that the place behind this
    /// batch can't be kept yet.
    pub(crate) state: Option<Vec<u8>>,
}

impl Shaper {
    pub(crate) fn new(stages: Box<dyn Stages>) -> Self {
        Self { stages: Isolating::new(stages), last_size: 0, exported: None, owed: false }
    }

    /// Whether batches pass unchanged, so that there is nothing to compute.
    pub(crate) fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Gives the stages their state back.
    pub(crate) fn restore(&mut self, state: &[u8]) -> Result<(), PipelineError> {
        if state.is_empty() {
            return Ok(());
        }
        let restored = self.stages.restore(state);
        restored.map_err(|fault| PipelineError::Stage { stage: fault.stage, reason: fault.reason })
    }

    /// A batch where there are no stages.
    pub(crate) fn pass(batch: Batch, progress: &Progress) -> Shaped {
        progress.shaped_records.add(batch.len() as u64);
        let sources = (0..batch.len() as u32).collect();
        Shaped { applied: Applied { batch, sources, refusals: Vec::new() }, state: Some(Vec::new()) }
    }

    /// Puts a batch through; its first record has this offset.
    pub(crate) fn shape(
        &mut self,
        batch: &Batch,
        first_offset: i64,
        progress: &Progress,
    ) -> Result<Shaped, PipelineError> {
        let applied = self.stages.apply(batch, first_offset);
        let applied = applied.map_err(|fault| PipelineError::Stage { stage: fault.stage, reason: fault.reason })?;
        progress.shaped_records.add(applied.batch.len() as u64);
        progress.refused_records.add(applied.refusals.len() as u64);
        progress.restarts.add(std::mem::take(&mut self.stages.renewals));
        self.owed = true;
        let due = self.last_size <= SMALL || self.exported.is_none_or(|at| at.elapsed() >= STATE_EVERY);
        Ok(Shaped { applied, state: due.then(|| self.export()) })
    }

    /// Whether the state behind the last batch was not exported.
    pub(crate) fn is_owed(&self) -> bool {
        self.owed
    }

    /// The state as it stands.
    pub(crate) fn export(&mut self) -> Vec<u8> {
        let state = self.stages.state();
        self.last_size = state.len();
        self.exported = Some(Instant::now());
        self.owed = false;
        state
    }
}
