//! Trying again, with longer and longer waits.
//!
//! The host already retries a `read` that returns `unreachable` or `throttled`; this is for what a
//! connector wants to repeat by itself, such as one page out of many.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::time;

/// How often to try, and how long to wait in between: exponential, without random parts (the host spreads
/// its own retries).
///
/// ```
/// use std::time::Duration;
/// use connector_sdk::{Error, retry::Backoff};
/// let mut tries = 0;
/// let backoff = Backoff { attempts: 3, initial: Duration::from_millis(1), ..Backoff::default() };
/// let answer = backoff.run(|| {
///     tries += 1;
///     if tries < 3 { Err(Error::unreachable("not yet")) } else { Ok(tries) }
/// });
/// assert_eq!(answer, Ok(3));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Tries altogether; at least one is made.
    pub attempts: u32,
    /// The first wait; each one after it is twice as long.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Default for Backoff {
    /// Three tries, waiting 500 ms and 1 s.
    fn default() -> Self {
        Self { attempts: 3, initial: Duration::from_millis(500), max: Duration::from_secs(10) }
    }
}

impl Backoff {
    /// Tries until it succeeds, fails in a way that does not pass, or all attempts are spent. What the
    /// other side asks to wait is waited, unless that is longer than [`Backoff::max`]: then the error goes
    /// to the host, which can wait without holding anything.
    ///
    /// # Errors
    /// The last failure.
    pub fn run<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let mut tried = 1;
        loop {
            let error = match attempt() {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let asked = error.wait().unwrap_or_default();
            if !error.is_retryable() || tried >= self.attempts || asked > self.max {
                return Err(error);
            }
            time::sleep(self.wait(tried).max(asked));
            tried += 1;
        }
    }

    /// How long to wait after the `tried`th try has failed.
    #[must_use]
    pub fn wait(&self, tried: u32) -> Duration {
        let factor = 1u32.checked_shl(tried.saturating_sub(1)).unwrap_or(u32::MAX);
        self.initial.saturating_mul(factor).min(self.max)
    }
}

/// Tries as [`Backoff::default`] says.
///
/// # Errors
/// The last failure.
pub fn retry<T>(attempt: impl FnMut() -> Result<T>) -> Result<T, Error> {
    Backoff::default().run(attempt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Harness;

    #[test]
    fn waits_grow_up_to_the_limit() {
        let backoff = Backoff::default();
        let waits: Vec<_> = [1, 2, 3, 6, 40].iter().map(|&tried| backoff.wait(tried).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 10_000, 10_000]);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let harness = Harness::install();
        let start = time::now();
        let mut tries = 0;
        let result: Result<()> = retry(|| {
            tries += 1;
            Err(Error::unreachable("down"))
        });
        assert_eq!((result.is_err(), tries), (true, 3));
        assert_eq!(time::now() - start, Duration::from_millis(1500));

        let result: Result<()> = retry(|| Err(Error::data("never")));
        assert!(result.is_err());
        let result: Result<()> = retry(|| Err(Error::throttled("slow down", Some(Duration::from_secs(60)))));
        assert_eq!(result.expect_err("too long to wait here").wait(), Some(Duration::from_secs(60)));
        assert_eq!(time::now() - start, Duration::from_millis(1500));
        drop(harness);
    }
}
