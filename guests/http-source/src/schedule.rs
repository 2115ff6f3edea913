//! When to poll: at a fixed rhythm, which neither a slow poll nor a restart shifts or crowds.

use std::time::Duration;

use connector_sdk::time::{self, Instant};

/// The timetable of one reader.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    interval: Duration,
    /// When the next poll is due.
    due: Instant,
}

impl Schedule {
    /// The first poll is due at once; after a restart, when it would have been due without one, which is
    /// never further away than the interval, whatever the wall clock did in between.
    pub fn new(interval: Duration, last_poll_unix_millis: Option<i64>) -> Self {
        let wait = last_poll_unix_millis.map_or(Duration::ZERO, |last| {
            let since = u64::try_from(time::unix_millis().saturating_sub(last)).unwrap_or(0);
            interval.saturating_sub(Duration::from_millis(since))
        });
        Self { interval, due: time::now() + wait }
    }

    /// When the next poll is due.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// The poll that was due is through: on to the next, leaving out what was missed.
    pub fn advance(&mut self) {
        let now = time::now();
        if self.interval.is_zero() {
            self.due = now;
            return;
        }
        self.due += self.interval;
        if self.due < now {
            let missed = (now - self.due).as_nanos().div_ceil(self.interval.as_nanos());
            self.due += self.interval.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector_sdk::testing::{Harness, START_UNIX_MILLIS};

    const TEN: Duration = Duration::from_secs(10);

    #[test]
    fn keeps_its_rhythm_and_makes_no_burst() {
        let harness = Harness::install();
        let start = time::now();
        let mut schedule = Schedule::new(TEN, None);
        assert_eq!(schedule.due(), start);
        schedule.advance();
        assert_eq!(schedule.due(), start + TEN);
        harness.advance(Duration::from_secs(12));
        schedule.advance();
        assert_eq!(schedule.due(), start + 2 * TEN);
        harness.advance(Duration::from_secs(100));
        schedule.advance();
        assert_eq!(schedule.due(), start + 12 * TEN);
        harness.advance(Duration::from_secs(18));
        schedule.advance();
        assert_eq!(schedule.due(), start + 13 * TEN, "due this very moment is not missed");

        let mut eager = Schedule::new(Duration::ZERO, None);
        eager.advance();
        assert_eq!(eager.due(), time::now());
    }

    #[test]
    fn a_restart_does_not_poll_early_or_late() {
        let _harness = Harness::install();
        for (ago, wait) in [(3_000, 7), (10_000, 0), (3_600_000, 0), (0, 10), (-50_000, 10)] {
            let schedule = Schedule::new(TEN, Some(START_UNIX_MILLIS - ago));
            assert_eq!(schedule.due() - time::now(), Duration::from_secs(wait), "{ago} ms ago");
        }
    }
}
