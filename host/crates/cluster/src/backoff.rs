//! Waiting longer and longer between attempts, and saying so.
//!
//! Delays double from [`INITIAL`] to [`LONGEST`], each shortened by a random part of up to a half, so that
//! many hosts do not come back at the same moment. One line is logged a wait, and one when it is over.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::Error;
use crate::status::Status;

/// The first wait.
const INITIAL: Duration = Duration::from_millis(100);
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(10);

/// The waits of one thing that is tried again and again.
#[derive(Debug)]
pub(crate) struct Backoff {
    what: String,
    lane: u32,
    attempts: u32,
    since: Option<Instant>,
    status: Status,
}

impl Backoff {
    /// The waits of `what`, as the log is to call it, which `status` is to show as its `lane`.
    pub(crate) fn new(what: String, lane: u32, status: Status) -> Self {
        Self { what, lane, attempts: 0, since: None, status }
    }

    /// How often it was waited since the last success.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How long nothing has worked.
    pub(crate) fn waited(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Logs the error and waits before the next attempt.
    pub(crate) async fn wait(&mut self, error: &Error) {
        let since = *self.since.get_or_insert_with(Instant::now);
        let delay = delay(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        self.status.waiting(self.lane, since, error);
        tracing::warn!(
            what = self.what, %error, attempt = self.attempts, waiting_ms = since.elapsed().as_millis() as u64,
            next_in_ms = delay.as_millis() as u64, "waiting for the cluster, nothing is lost"
        );
        tokio::time::sleep(delay).await;
    }

    /// It worked: the next wait is short again.
    pub(crate) fn success(&mut self) {
        if let Some(since) = self.since.take() {
            tracing::info!(
                what = self.what,
                waited_ms = since.elapsed().as_millis() as u64,
                attempts = self.attempts,
                "the cluster is back"
            );
            self.attempts = 0;
            self.status.connected(self.lane);
        }
    }
}

fn delay(attempts: u32) -> Duration {
    let full = INITIAL.saturating_mul(1 << attempts.min(16)).min(LONGEST);
    // `RandomState` is seeded anew each time: random enough to spread hosts, and no dependency.
    let dice = RandomState::new().hash_one(attempts) % 1000;
    full.mul_f64(1.0 - dice as f64 / 2000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_ten_seconds_and_vary() {
        for (attempts, full) in [(0, 100), (1, 200), (3, 800), (7, 10_000), (1000, 10_000)] {
            let delays: Vec<_> = (0..50).map(|_| delay(attempts).as_millis()).collect();
            assert!(delays.iter().all(|&d| d > full / 2 - 1 && d <= full), "{delays:?}");
            assert!(delays.iter().any(|&d| d != delays[0]));
        }
    }
}
