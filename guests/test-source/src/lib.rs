//! Makes numbered or templated records: to try a pipeline with, and to measure one.
//!
//! A record's number counts from 0, whatever restarts lie in between: the cursor is the number of records
//! made so far, so a run that goes on after a crash makes exactly the records that were not durable yet.

mod config;
mod record;

use std::time::Duration;

use connector_sdk::time::{self, Instant};
use connector_sdk::{Batch, Check, Limit, Outcome, Result, Source, Spec, spec};

use config::Config;
use record::Maker;

/// So much lateness is made up for by a burst, so that short intervals keep their rate although calls come
/// in bunches; what is beyond is forgiven, so that a long stall is not followed by a flood.
const MAX_LATENESS: Duration = Duration::from_secs(1);

/// The source: a counter with a timetable.
#[derive(Debug)]
pub struct TestSource {
    maker: Maker,
    interval: Duration,
    count: u64,
    /// Records made so far.
    position: u64,
    /// When the next one is due.
    due: Instant,
}

impl Source for TestSource {
    const SPEC: Spec = spec!("test");
    type Config = Config;
    type Cursor = u64;

    fn check(config: Config) -> Check {
        Check::builder().step("records can be made", || Self::open(config, None).map(drop)).build()
    }

    fn open(config: Config, cursor: Option<u64>) -> Result<Self> {
        Ok(Self {
            maker: Maker::new(&config)?,
            interval: config.interval()?,
            count: config.count.unwrap_or(u64::MAX),
            position: cursor.unwrap_or(0),
            due: time::now(),
        })
    }

    fn read(&mut self, limit: Limit) -> Result<Outcome<u64>> {
        if self.position >= self.count {
            return Ok(Outcome::nothing().ended());
        }
        if limit.max_records == 0 {
            return Ok(Outcome::nothing());
        }
        let due = self.wait(&limit);
        if due == 0 {
            return Ok(Outcome::nothing());
        }
        Ok(self.make(due, &limit))
    }
}

impl TestSource {
    /// Waits for the next record to be due, as long as allowed; returns how many are.
    fn wait(&mut self, limit: &Limit) -> u64 {
        let left = self.count - self.position;
        if self.interval.is_zero() {
            return left;
        }
        if !time::sleep_until(self.due, limit.until()) {
            return 0;
        }
        let now = time::now();
        let late = now - self.due;
        if late > MAX_LATENESS {
            self.due = now;
            return left.min(1);
        }
        let more = late.as_nanos() / self.interval.as_nanos();
        left.min(u64::try_from(more).unwrap_or(u64::MAX).saturating_add(1))
    }

    /// Makes up to `due` records.
    fn make(&mut self, due: u64, limit: &Limit) -> Outcome<u64> {
        let size = self.maker.size_hint();
        let records = limit.max_records.min(limit.max_bytes / size.max(1) + 1);
        let records = records.min(usize::try_from(due).unwrap_or(usize::MAX));
        let mut batch = Batch::with_capacity(records, records.saturating_mul(size));
        let now = time::unix_millis();
        let start = self.position;
        while self.position - start < due && !limit.is_full(&batch) {
            self.maker.push(&mut batch, self.position, now);
            self.position += 1;
        }
        let made = u32::try_from(self.position - start).unwrap_or(u32::MAX);
        self.due += self.interval.saturating_mul(made);
        Outcome { batch, cursor: Some(self.position), end: self.position >= self.count }
    }
}

connector_sdk::export_source!(TestSource);

#[cfg(test)]
mod tests;
