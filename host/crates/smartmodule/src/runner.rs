//! One stage at work: its instance, its state, and the calls that a batch takes.
//!
//! # Calls
//! A batch goes in as few calls as possible, each of at most [`CALL_BYTES`]. When the guest refuses a record it
//! stops there; the refusal is noted and the next call starts behind it, with one record, then two, then four:
//! a batch of which everything is refused would otherwise be decoded by the guest once a record, in full.
//!
//! # Instances
//! An instance lives as long as the stage, but for three cases: after an error (of any stage: what the others
//! remember of the failed batch must go too); when it has grown past half of its memory limit; and when it has
//! run out of memory. A fresh one gets `init` and the look-back window again, and the call goes on where it was.

use std::ops::Range;

use host_batch::Batch;

use crate::chain::Refusal;
use crate::error::{Call, Error};
use crate::instance::{Instance, without_location};
use crate::look_back::History;
use crate::module::Kind;
use crate::origin::{self, Origin};
use crate::stage::{Stage, StageState};
use crate::wire::{self, Records};

/// The most bytes of records in one call: a guest needs some five times as much, and what fits in the processor's
/// cache is quicker. A single larger record still goes in whole.
const CALL_BYTES: usize = 1 << 20;

/// The most bytes of accumulator values that an aggregate should return from one call: it returns one a record.
const ACCUMULATED_BYTES: usize = 8 << 20;

/// A stage at work.
pub(crate) struct Runner {
    index: usize,
    stage: Stage,
    instance: Option<Instance>,
    /// how many calls the instance has had since it was started
    calls: u64,
    /// the memory size from which on the instance is replaced
    replace_at: u64,
    /// whether the guest's outputs may be freed; never again once that went wrong
    reclaim: bool,
    accumulator: Vec<u8>,
    committed: Vec<u8>,
    history: Option<History>,
    scratch: Records,
}

impl Runner {
    /// Starts the stage's first instance.
    pub(crate) fn new(index: usize, stage: Stage) -> Result<Self, Error> {
        let history = stage.look_back.filter(|_| stage.module.wants_look_back()).map(History::new);
        let accumulator = stage.accumulator.clone();
        let mut this = Self {
            index,
            instance: None,
            calls: 0,
            replace_at: 0,
            reclaim: true,
            committed: accumulator.clone(),
            accumulator,
            history,
            scratch: Records::default(),
            stage,
        };
        this.instance()?;
        Ok(this)
    }

    pub(crate) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Bytes of the instance's memory.
    pub(crate) fn memory(&self) -> u64 {
        self.instance.as_ref().map_or(0, Instance::memory)
    }

    /// The accumulator after the last whole batch; empty for what is no aggregate.
    pub(crate) fn accumulator(&self) -> &[u8] {
        if self.is_aggregate() { &self.committed } else { &[] }
    }

    pub(crate) fn state(&self) -> StageState {
        StageState {
            accumulator: self.accumulator().to_vec(),
            window: self.history.as_ref().map(History::window).unwrap_or_default(),
        }
    }

    /// Takes over a state and starts afresh from it.
    pub(crate) fn restore(&mut self, state: &StageState) -> Result<(), Error> {
        self.accumulator.clone_from(&state.accumulator);
        self.committed.clone_from(&state.accumulator);
        if let Some(history) = &mut self.history {
            history.restore(&state.window);
        }
        self.instance = None;
        self.instance().map(drop)
    }

    /// Shows the module records of the past, which now belong to the window.
    pub(crate) fn look_back(&mut self, records: &Batch, first_offset: i64) -> Result<(), Error> {
        if records.is_empty() || !self.stage.module.wants_look_back() {
            return Ok(());
        }
        let base_timestamp = records.timestamp(0).unwrap_or(0);
        let mut encoded = std::mem::take(&mut self.scratch);
        encoded.encode(records, base_timestamp);
        let shown = self.instance().and_then(|instance| show(instance, &encoded, first_offset, base_timestamp));
        if shown.is_ok() {
            if let Some(history) = &mut self.history {
                for index in 0..encoded.len() {
                    history.push(&encoded.get(index), first_offset, base_timestamp);
                }
                history.commit();
            }
        } else {
            self.instance = None;
        }
        self.scratch = encoded;
        shown
    }

    /// The batch is through all stages.
    pub(crate) fn commit(&mut self) {
        if self.is_aggregate() {
            self.committed.clone_from(&self.accumulator);
        }
        if let Some(history) = &mut self.history {
            history.commit();
        }
    }

    /// The batch failed, here or in another stage: nothing of it may be remembered.
    pub(crate) fn roll_back(&mut self) {
        self.accumulator.clone_from(&self.committed);
        if let Some(history) = &mut self.history {
            history.roll_back();
        }
        self.instance = None;
    }

    /// Runs all records through the module.
    pub(crate) fn apply(
        &mut self,
        input: &Records,
        output: &mut Records,
        refusals: &mut Vec<Refusal>,
        origin: &Origin,
    ) -> Result<(), Error> {
        output.clear();
        let singly = origin::must_go_singly(self.stage.module.kind(), input, origin.tracking);
        let mut start = 0;
        let mut step = if singly { 1 } else { usize::MAX };
        while start < input.len() {
            let most = if self.is_aggregate() {
                step.min((ACCUMULATED_BYTES / self.accumulator.len().max(1)).max(1))
            } else {
                step
            };
            let end = input.fitting(start, most, CALL_BYTES);
            match self.call(input, &(start..end), output, origin) {
                Ok(None) => {
                    start = end;
                    if !singly {
                        step = step.saturating_mul(2);
                    }
                }
                Ok(Some((failed, reason))) => {
                    refusals.push(self.refusal(input, failed, &reason));
                    start = failed + 1;
                    step = 1;
                }
                // a fresh instance, or fewer records, may need less
                Err(Error::Memory { call: Call::Alloc | Call::Transform, .. }) if self.calls > 1 || end - start > 1 => {
                    self.instance = None;
                    step = if self.calls > 1 { end - start } else { (end - start) / 2 };
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// One call: the outputs go to `output`; returns the record that was refused, and why.
    fn call(
        &mut self,
        input: &Records,
        range: &Range<usize>,
        output: &mut Records,
        origin: &Origin,
    ) -> Result<Option<(usize, String)>, Error> {
        let kind = self.stage.module.kind();
        let aggregate = self.is_aggregate();
        self.instance()?;
        self.calls += 1;
        let Some(instance) = &mut self.instance else { return Ok(None) };
        let records = input.bytes(range.clone());
        let head = wire::input_head(origin.base_offset, range.len(), records.len());
        let accumulator: &[u8] = if aggregate { &self.accumulator } else { &[] };
        let (tail, length) = wire::input_tail(origin.base_timestamp, aggregate.then_some(accumulator.len()));
        let returned = instance.transform(&[&head, records, &tail[..length], accumulator])?;

        let read = wire::read_output(instance.slice(returned.clone()), aggregate);
        let read =
            read.map_err(|error| instance.breach(Call::Transform, format!("its output can't be read: {error}")))?;
        let failed = match &read.refused {
            None => None,
            Some(refused) => {
                Some(origin::find_failed(input, range, kind, &read, refused, origin).ok_or_else(|| {
                    instance.breach(Call::Transform, "it refuses a record that it was not given".to_owned())
                })?)
            }
        };
        let done = failed.unwrap_or(range.end);
        origin::take_over(input, &(range.start..done), range, kind, &read, output);
        if let Some(value) = read.accumulator {
            self.accumulator.clear();
            self.accumulator.extend_from_slice(value);
        }
        let refusal = failed.zip(read.refused.map(|refused| refused.hint));
        if let Some(history) = &mut self.history {
            for index in range.start..failed.map_or(range.end, |failed| failed + 1) {
                history.push(&input.get(index), origin.base_offset, origin.base_timestamp);
            }
        }
        if let Err(error) = instance.free(&returned) {
            tracing::warn!(module = self.stage.module.name(), %error, "the SmartModule can't free its own memory");
            self.reclaim = false;
            self.instance = None;
        }
        Ok(refusal)
    }

    fn refusal(&self, input: &Records, failed: usize, reason: &str) -> Refusal {
        let record = input.get(failed);
        Refusal {
            index: input.source(failed),
            stage: self.index,
            module: self.stage.module.name().to_owned(),
            reason: without_location(reason),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.to_vec(),
        }
    }

    fn is_aggregate(&self) -> bool {
        self.stage.module.kind() == Kind::Aggregate
    }

    /// The instance, started anew if there is none or if it has grown too large.
    fn instance(&mut self) -> Result<&mut Instance, Error> {
        let keep = match self.instance.take() {
            Some(instance) if instance.memory() <= self.replace_at => Some(instance),
            Some(instance) => {
                let memory = instance.memory();
                tracing::debug!(module = self.stage.module.name(), memory, "a SmartModule instance is replaced");
                None
            }
            None => None,
        };
        let instance = match keep {
            Some(instance) => instance,
            None => self.start()?,
        };
        Ok(self.instance.insert(instance))
    }

    fn start(&mut self) -> Result<Instance, Error> {
        let stage = &self.stage;
        let start = |reclaim| Instance::start(&stage.module, &stage.params, stage.look_back, stage.limits, reclaim);
        let mut instance = match start(self.reclaim) {
            Err(Error::Trap { call: Call::Alloc, .. }) if self.reclaim => {
                // it can't stand being probed: then without
                self.reclaim = false;
                start(false)
            }
            started => started,
        }?;
        if let Some(history) = &mut self.history
            && let Some((base_offset, base_timestamp)) = history.replay(&mut self.scratch)
        {
            show(&mut instance, &self.scratch, base_offset, base_timestamp)?;
        }
        self.calls = 0;
        // An instance that needs much from the start (what it looked back at, say) is given a quarter more,
        // so that replacing it always gains something.
        let limit = stage.limits.memory;
        self.replace_at = (limit / 2).max(instance.memory().saturating_add(limit / 4));
        Ok(instance)
    }
}

/// Calls `look_back`, a bounded number of bytes at a time.
fn show(instance: &mut Instance, records: &Records, base_offset: i64, base_timestamp: i64) -> Result<(), Error> {
    let mut start = 0;
    while start < records.len() {
        let end = records.fitting(start, usize::MAX, CALL_BYTES);
        let bytes = records.bytes(start..end);
        let head = wire::input_head(base_offset, end - start, bytes.len());
        let (tail, length) = wire::input_tail(base_timestamp, None);
        instance.look_back(&[&head, bytes, &tail[..length]])?;
        start = end;
    }
    Ok(())
}
