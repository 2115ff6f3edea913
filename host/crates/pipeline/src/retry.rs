//! Waiting between attempts: exponential, with jitter, never shorter than the other side asked for.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// How often and how patiently to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in a row before giving up; `None`: never give up.
    pub max: Option<u32>,
    /// The first wait.
    pub initial: Duration,
    /// No wait is longer, unless the other side asks for it.
    pub max_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max: None, initial: Duration::from_millis(200), max_delay: Duration::from_secs(30) }
    }
}

/// The waits of one series of attempts.
///
/// ```
/// use std::time::Duration;
/// use host_pipeline::{Backoff, RetryPolicy};
/// let mut backoff = Backoff::new(RetryPolicy { max: Some(1), ..RetryPolicy::default() });
/// assert!(backoff.next(Some(Duration::from_secs(5))).expect("one attempt is allowed") >= Duration::from_secs(5));
/// assert_eq!(backoff.next(None), None);
/// ```
#[derive(Debug)]
pub struct Backoff {
    policy: RetryPolicy,
    attempts: u32,
}

impl Backoff {
    /// Before the first failure.
    #[must_use]
    pub fn new(policy: RetryPolicy) -> Self {
        Self { policy, attempts: 0 }
    }

    /// Failures so far, in a row.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// It worked: the next failure is a first one again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Notes a failure and says how long to wait, or `None` when the attempts are used up. Doubles from one
    /// failure to the next; between half and the whole of that by chance, so that many hosts which lost the
    /// same server don't come back at once.
    pub fn next(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        if self.policy.max.is_some_and(|max| self.attempts >= max) {
            return None;
        }
        let doublings = self.attempts.min(20);
        self.attempts += 1;
        let full = self.policy.initial.saturating_mul(1 << doublings).min(self.policy.max_delay);
        let wait = full.mul_f64(0.5 + 0.5 * chance());
        Some(wait.max(retry_after.unwrap_or_default()))
    }
}

/// A number in 0..1; `RandomState` is seeded anew for each, which is chance enough for jitter.
fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_stay_within_their_band() {
        let policy =
            RetryPolicy { max: None, initial: Duration::from_millis(100), max_delay: Duration::from_millis(800) };
        let mut backoff = Backoff::new(policy);
        for full in [100, 200, 400, 800, 800, 800] {
            let wait = backoff.next(None).expect("without a limit there is always another attempt");
            assert!(
                wait >= Duration::from_millis(full / 2) && wait <= Duration::from_millis(full),
                "{wait:?} of {full}"
            );
        }
        backoff.reset();
        assert!(backoff.next(None).expect("after a reset") <= Duration::from_millis(100));
    }

    #[test]
    fn what_the_other_side_asks_for_is_never_undercut() {
        let mut backoff = Backoff::new(RetryPolicy::default());
        assert!(backoff.next(Some(Duration::from_secs(120))).expect("unlimited") >= Duration::from_secs(120));
    }
}
