//! SmartModules one behind the other, and what a batch becomes in them.

use std::fmt;

use host_batch::Batch;

use crate::error::Error;
use crate::origin::Origin;
use crate::runner::Runner;
use crate::stage::{Stage, StageState};
use crate::wire::Records;

/// How exactly [`Applied::sources`] must be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tracking {
    /// Exactly. An `array_map` is then called record by record, and so are filters behind one, since the ABI
    /// gives no other way to tell which record an output came from.
    #[default]
    Exact,
    /// As well as it can be known from whole batches: behind an `array_map`, the last record that it can have
    /// been. Enough where only the batch as a whole is acknowledged.
    Coarse,
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The records that came out, in order.
    pub batch: Batch,
    /// For each of them, the record of the input that it came from; never falls.
    pub sources: Vec<u32>,
    /// The records that a module refused, ordered by `index`.
    pub refusals: Vec<Refusal>,
}

/// A record that a module returned an error for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The record of the chain's input that it came from.
    pub index: u32,
    /// Which stage refused it, counted from 0.
    pub stage: usize,
    /// That stage's module.
    pub module: String,
    /// The module's own words.
    pub reason: String,
    /// The record's key, as that stage saw it.
    pub key: Option<Vec<u8>>,
    /// The record's value, as that stage saw it.
    pub value: Vec<u8>,
}

/// Initialised stages. Not shared: a chain has one batch at a time.
pub struct Chain {
    runners: Vec<Runner>,
    tracking: Tracking,
    /// the input and the output of the stage at work, kept for their capacity
    input: Records,
    output: Records,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.runners.iter().map(|runner| &runner.stage().module)).finish()
    }
}

impl Chain {
    /// Instantiates every stage and gives it its parameters. A chain without stages hands batches on unchanged.
    ///
    /// # Errors
    /// [`Error::Init`] when a module refuses its parameters, and whatever can go wrong in its start function.
    pub fn new(stages: Vec<Stage>) -> Result<Self, Error> {
        let runners = stages.into_iter().enumerate().map(|(index, stage)| Runner::new(index, stage));
        Ok(Self {
            runners: runners.collect::<Result<_, _>>()?,
            tracking: Tracking::default(),
            input: Records::default(),
            output: Records::default(),
        })
    }

    /// Says how exactly [`Applied::sources`] must be known.
    pub fn set_tracking(&mut self, tracking: Tracking) {
        self.tracking = tracking;
    }

    /// The stages, in order.
    pub fn stages(&self) -> impl ExactSizeIterator<Item = &Stage> {
        self.runners.iter().map(Runner::stage)
    }

    /// Runs a batch through all stages. Blocks while the modules compute.
    ///
    /// `base_offset` is the offset of the batch's first record, the next ones follow without gaps; modules see it
    /// as their records' offsets. Timestamps reach them relative to `base_timestamp` (Unix milliseconds), which
    /// is also what a record without a timestamp appears to have, and what an `array_map` gives its records when
    /// the one they came from had a timestamp.
    ///
    /// # Errors
    /// A trap, a deadline, a lack of memory or a breach of the ABI in any stage. Then it is as if the batch had
    /// never been applied: accumulators and look-back windows are what they were, and every instance is replaced,
    /// so the batch may be applied again. A record that a module refuses is no error.
    pub fn apply(&mut self, batch: &Batch, base_offset: i64, base_timestamp: i64) -> Result<Applied, Error> {
        if self.runners.is_empty() || batch.is_empty() {
            let sources = (0..batch.len() as u32).collect();
            return Ok(Applied { batch: batch.clone(), sources, refusals: Vec::new() });
        }
        let applied = self.run(batch, &Origin { base_offset, base_timestamp, tracking: self.tracking });
        for runner in &mut self.runners {
            if applied.is_ok() { runner.commit() } else { runner.roll_back() }
        }
        applied
    }

    fn run(&mut self, batch: &Batch, origin: &Origin) -> Result<Applied, Error> {
        let mut refusals = Vec::new();
        self.input.encode(batch, origin.base_timestamp);
        for runner in &mut self.runners {
            runner.apply(&self.input, &mut self.output, &mut refusals, origin)?;
            std::mem::swap(&mut self.input, &mut self.output);
            if self.input.is_empty() {
                break;
            }
        }
        refusals.sort_by_key(|refusal| refusal.index);
        let stamped = |source: u32| batch.timestamp(source as usize).is_some();
        let (batch, sources) =
            self.input.decode(origin.base_timestamp, stamped).map_err(|bytes| Error::TooLarge { bytes })?;
        Ok(Applied { batch, sources, refusals })
    }

    /// Shows stage `stage` records of the past, the first of which has the offset `first_offset`; for a module
    /// without `look_back` this does nothing. They become part of the stage's window.
    ///
    /// # Errors
    /// [`Error::NoStage`], [`Error::LookBack`] when the module refuses one, or whatever can go wrong in a call.
    pub fn look_back(&mut self, stage: usize, records: &Batch, first_offset: i64) -> Result<(), Error> {
        self.runner(stage)?.look_back(records, first_offset)
    }

    /// What each stage must be given back to go on from here: after a restart, on another machine, or in a chain
    /// that replaces this one. Call it between two batches.
    #[must_use]
    pub fn state(&self) -> Vec<StageState> {
        self.runners.iter().map(Runner::state).collect()
    }

    /// Gives stage `stage` the state that [`Chain::state`] of another chain exported, and starts it afresh.
    ///
    /// # Errors
    /// [`Error::NoStage`], or whatever can go wrong in the module's start.
    pub fn restore(&mut self, stage: usize, state: &StageState) -> Result<(), Error> {
        self.runner(stage)?.restore(state)
    }

    /// The accumulators of the stages, empty for those that have none.
    #[must_use]
    pub fn accumulators(&self) -> Vec<Vec<u8>> {
        self.runners.iter().map(|runner| runner.accumulator().to_vec()).collect()
    }

    /// Bytes of memory that the instances have.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.runners.iter().map(Runner::memory).sum()
    }

    fn runner(&mut self, stage: usize) -> Result<&mut Runner, Error> {
        let stages = self.runners.len();
        self.runners.get_mut(stage).ok_or(Error::NoStage { stage, stages })
    }
}
