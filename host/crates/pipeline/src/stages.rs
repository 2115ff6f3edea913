//! Puts batches through the stages, and finds the one record that makes a stage fail.
//!
//! A stage may fail as a whole: a trap, an endless loop, too much memory. Then it gets fresh instances and the
//! batch is tried again in halves, until the records at fault stand alone; those are refusals like any other,
//! and everything else passes. A stage that fails on every single record is broken rather than fed with
//! odd records: after [`BROKEN_AFTER`] lone failures in a row the run ends with the stage's own words.

use host_batch::Batch;

use crate::ends::{Applied, Refusal, StageFault, Stages};

/// Lone failures in a row, with nothing passing in between, after which a stage counts as broken.
const BROKEN_AFTER: u32 = 20;

/// Wraps the stages with the search for failing records.
pub(crate) struct Isolating {
    stages: Box<dyn Stages>,
    failures_in_a_row: u32,
    /// How often instances were made anew.
    pub(crate) renewals: u64,
}

impl Isolating {
    pub(crate) fn new(stages: Box<dyn Stages>) -> Self {
        Self { stages, failures_in_a_row: 0, renewals: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    pub(crate) fn state(&self) -> Vec<u8> {
        self.stages.state()
    }

    pub(crate) fn restore(&mut self, state: &[u8]) -> Result<(), StageFault> {
        self.stages.restore(state)
    }

    /// Puts a batch through whose first record has this offset; the indexes in the result count from it.
    pub(crate) fn apply(&mut self, batch: &Batch, first_offset: i64) -> Result<Applied, StageFault> {
        match self.stages.apply(batch, first_offset) {
            Ok(applied) => {
                self.failures_in_a_row = 0;
                Ok(applied)
            }
            Err(fault) => {
                self.renew(&fault)?;
                self.in_halves(batch, first_offset, fault)
            }
        }
    }

    fn renew(&mut self, fault: &StageFault) -> Result<(), StageFault> {
        tracing::warn!(stage = %fault.stage, reason = %fault.reason, "stage failed, made anew");
        self.renewals += 1;
        self.stages.renew()
    }

    /// `batch` just failed with `fault`, and the stages are fresh.
    fn in_halves(&mut self, batch: &Batch, first_offset: i64, fault: StageFault) -> Result<Applied, StageFault> {
        if batch.len() <= 1 {
            self.failures_in_a_row += 1;
            if self.failures_in_a_row >= BROKEN_AFTER {
                return Err(fault);
            }
            let refusals = batch
                .iter()
                .map(|record| Refusal {
                    index: 0,
                    stage: fault.stage.clone(),
                    reason: fault.reason.clone(),
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.to_vec(),
                })
                .collect();
            return Ok(Applied { refusals, ..Applied::default() });
        }
        let middle = batch.len() / 2;
        let mut joined = Applied::default();
        for range in [0..middle, middle..batch.len()] {
            let first = range.start as u32;
            let part = self.apply(&batch.slice(range), first_offset + i64::from(first))?;
            joined.batch.append(&part.batch);
            joined.sources.extend(part.sources.into_iter().map(|source| source + first));
            joined.refusals.extend(part.refusals.into_iter().map(|r| Refusal { index: r.index + first, ..r }));
        }
        Ok(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes everything on, fails as a whole on any batch with a value in `poison`.
    struct Brittle {
        poison: &'static [&'static str],
        usable: bool,
    }

    impl Stages for Brittle {
        fn apply(&mut self, batch: &Batch, _: i64) -> Result<Applied, StageFault> {
            assert!(self.usable, "used again after a failure, without being made anew");
            if batch.iter().any(|r| self.poison.iter().any(|p| p.as_bytes() == r.value)) {
                self.usable = false;
                return Err(StageFault { stage: "brittle".into(), reason: "trap".into() });
            }
            let sources = (0..batch.len() as u32).collect();
            Ok(Applied { batch: batch.clone(), sources, refusals: Vec::new() })
        }

        fn renew(&mut self) -> Result<(), StageFault> {
            self.usable = true;
            Ok(())
        }
    }

    fn batch(values: &[&str]) -> Batch {
        values.iter().map(|v| (None::<&str>, *v)).collect()
    }

    #[test]
    fn only_the_records_at_fault_are_refused() {
        let mut stages = Isolating::new(Box::new(Brittle { poison: &["x", "y"], usable: true }));
        let applied = stages.apply(&batch(&["a", "x", "b", "c", "y", "d", "e"]), 0).expect("the rest passes");
        assert_eq!(applied.batch, batch(&["a", "b", "c", "d", "e"]));
        assert_eq!(applied.sources, [0, 2, 3, 5, 6]);
        let refused: Vec<_> = applied.refusals.iter().map(|r| (r.index, r.value.as_slice())).collect();
        assert_eq!(refused, [(1, &b"x"[..]), (4, b"y")]);
    }

    #[test]
    fn a_stage_that_fails_on_everything_is_broken() {
        let mut stages = Isolating::new(Box::new(Brittle { poison: &["x"], usable: true }));
        let fault = stages.apply(&batch(&["x"; 100]), 0).expect_err("every record fails");
        assert_eq!(fault.reason, "trap");
    }
}
