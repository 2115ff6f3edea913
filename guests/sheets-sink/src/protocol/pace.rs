//! How fast to go: as fast as it goes until Google asks for less (quotas are counted by the minute: 60 writes
//! a user), then in even steps, wider with each further refusal, and narrower again while there are none.

use std::time::Duration;

use connector_sdk::time::{self, Instant};

/// The first step after a refusal: 60 requests a minute, the quota that a project has unless it asked for more.
const FIRST_STEP: Duration = Duration::from_secs(1);

/// The widest step. Several writers may share one quota, each of which has to get narrow enough.
const WIDEST_STEP: Duration = Duration::from_secs(16);

/// A refusal-free time after which steps are halved.
const CALM: Duration = Duration::from_secs(60);

/// How long to wait after the first, second, … refusal in a row, when Google does not say: it refills quotas
/// every minute.
const WAITS: [u64; 5] = [5, 10, 20, 40, 60];

/// The distance that requests keep.
#[derive(Debug)]
pub struct Pace {
    step: Duration,
    next: Instant,
    /// When steps were last changed.
    changed: Instant,
    in_a_row: usize,
}

impl Pace {
    /// No distance, until told.
    pub fn new() -> Self {
        let now = time::now();
        Self { step: Duration::ZERO, next: now, changed: now, in_a_row: 0 }
    }

    /// Waits for the next request's turn; when that is later than `until`, returns at once, with how long it
    /// would take.
    pub fn wait(&mut self, until: Instant) -> Result<(), Duration> {
        let now = time::now();
        while !self.step.is_zero() && now - self.changed >= CALM {
            self.changed += CALM;
            self.step = if self.step > FIRST_STEP { self.step / 2 } else { Duration::ZERO };
        }
        if self.next > until {
            return Err(self.next - now);
        }
        time::sleep(self.next - now);
        self.next = time::now() + self.step;
        Ok(())
    }

    /// A request was taken.
    pub fn went_well(&mut self) {
        self.in_a_row = 0;
    }

    /// A request was refused as one too many. Returns how long to wait before the next one.
    pub fn refused(&mut self, asked: Option<Duration>) -> Duration {
        let guess = Duration::from_secs(WAITS[self.in_a_row.min(WAITS.len() - 1)]);
        self.in_a_row += 1;
        let wait = asked.unwrap_or(guess);
        self.step = (self.step * 2).clamp(FIRST_STEP, WIDEST_STEP);
        self.changed = time::now();
        self.next = self.changed + wait;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector_sdk::testing::Harness;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn goes_freely_until_told_and_again_when_it_was_calm() {
        let harness = Harness::install();
        let mut pace = Pace::new();
        let go = |pace: &mut Pace| {
            let before = harness.elapsed();
            pace.wait(time::now() + 100 * SECOND).expect("its turn comes in time");
            (harness.elapsed() - before).as_secs_f64()
        };
        assert_eq!([go(&mut pace), go(&mut pace)], [0.0, 0.0]);
        assert_eq!(pace.refused(None), 5 * SECOND);
        assert_eq!([go(&mut pace), go(&mut pace), go(&mut pace)], [5.0, 1.0, 1.0]);
        assert_eq!(pace.refused(None), 10 * SECOND, "the second in a row, as nothing went well in between");
        assert_eq!([go(&mut pace), go(&mut pace)], [10.0, 2.0]);
        pace.went_well();
        assert_eq!(pace.refused(Some(7 * SECOND)), 7 * SECOND);
        assert_eq!([go(&mut pace), go(&mut pace)], [7.0, 4.0]);
        harness.advance(60 * SECOND);
        assert_eq!([go(&mut pace), go(&mut pace)], [0.0, 2.0]);
        harness.advance(120 * SECOND);
        assert_eq!([go(&mut pace), go(&mut pace)], [0.0, 0.0]);
    }

    #[test]
    fn does_not_wait_for_a_turn_that_comes_too_late() {
        let harness = Harness::install();
        let mut pace = Pace::new();
        pace.refused(Some(30 * SECOND));
        assert_eq!(pace.wait(time::now() + 10 * SECOND), Err(30 * SECOND));
        assert_eq!(harness.elapsed(), Duration::ZERO);
    }
}
