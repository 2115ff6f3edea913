//! The stages at work: puts batches through, and says when their state should be kept.
//!
//! State that is small goes into every checkpoint. Larger state (a wide look-back window) is exported once a
//! second at most: cursors are then made durable as seldom, which costs repeats after a crash, never records.

use std::sync::{Arc, Mutex, PoisonError};
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

/// Where new stages are put for a run under way; cheap to clone. They take over between two batches, with the
/// state of those before them as far as it fits.
#[derive(Clone, Default)]
pub struct Exchange(Arc<Mutex<Option<Box<dyn Stages>>>>);

impl Exchange {
    /// Puts initialised stages there, in the place of any that have not taken over yet.
    pub fn put(&self, stages: Box<dyn Stages>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(stages);
    }

    fn take(&self) -> Option<Box<dyn Stages>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The stages of one lane.
pub(crate) struct Shaper {
    stages: Isolating,
    exchange: Exchange,
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
    pub(crate) fn new(stages: Box<dyn Stages>, exchange: Exchange) -> Self {
        Self { stages: Isolating::new(stages), exchange, last_size: 0, exported: None, owed: false }
    }

    /// Lets new stages take over, if there are any. Call it between two batches.
    pub(crate) fn refresh(&mut self) {
        let Some(mut stages) = self.exchange.take() else { return };
        let state = self.stages.state();
        if !state.is_empty()
            && let Err(fault) = stages.restore(&state)
        {
            tracing::error!(stage = %fault.stage, reason = %fault.reason, "new stages don't take the state, the old ones stay");
            return;
        }
        self.stages = Isolating::new(stages);
        tracing::info!("stages swapped");
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
