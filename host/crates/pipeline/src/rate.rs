//! `host.rate-limit`: so many records or bytes a second, on average.
//!
//! What is let through is paid for afterwards: a batch passes at once when nothing is owed, and the next one
//! waits until it is paid. Batches are kept to a fifth of a second's worth, so the flow is even.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How much of a second one batch may be worth.
const SLICES: u64 = 5;

/// The limit of one run; shared by its lanes.
#[derive(Debug)]
pub struct RateLimit {
    records: Option<u64>,
    bytes: Option<u64>,
    paid: Mutex<Instant>,
}

impl RateLimit {
    /// At most so many records and bytes a second; `None` when neither is limited.
    ///
    /// ```
    /// use host_pipeline::RateLimit;
    /// assert!(RateLimit::new(None, None).is_none());
    /// let limit = RateLimit::new(Some(100), None).expect("records are limited");
    /// assert_eq!(limit.batch(10_000, 1 << 20), (20, 1 << 20));
    /// ```
    #[must_use]
    pub fn new(records: Option<u64>, bytes: Option<u64>) -> Option<Self> {
        let (records, bytes) = (records.filter(|&n| n > 0), bytes.filter(|&n| n > 0));
        (records.is_some() || bytes.is_some()).then(|| Self { records, bytes, paid: Mutex::new(Instant::now()) })
    }

    /// The largest batch to let through at once, out of what would be taken without a limit.
    #[must_use]
    pub fn batch(&self, max_records: u32, max_bytes: u32) -> (u32, u32) {
        let part = |rate: Option<u64>, most: u32| match rate {
            Some(rate) => u32::try_from((rate / SLICES).max(1)).unwrap_or(u32::MAX).min(most),
            None => most,
        };
        (part(self.records, max_records), part(self.bytes, max_bytes))
    }

    /// How long to wait before anything more may pass.
    #[must_use]
    pub fn wait(&self) -> Duration {
        let paid = self.paid.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        paid.saturating_duration_since(Instant::now())
    }

    /// Notes what has passed.
    pub fn pass(&self, records: u64, bytes: u64) {
        let seconds = |amount: u64, rate: Option<u64>| rate.map_or(0.0, |rate| amount as f64 / rate as f64);
        let cost = seconds(records, self.records).max(seconds(bytes, self.bytes));
        let mut paid = self.paid.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *paid = (*paid).max(Instant::now()) + Duration::from_secs_f64(cost.min(86_400.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_paid_for_afterwards() {
        let limit = RateLimit::new(Some(1000), Some(1_000_000)).expect("both are limited");
        assert_eq!(limit.wait(), Duration::ZERO);
        limit.pass(500, 10);
        let after_records = limit.wait();
        assert!(after_records > Duration::from_millis(400) && after_records <= Duration::from_millis(500));
        limit.pass(1, 2_000_000);
        let after_bytes = limit.wait();
        assert!(after_bytes > Duration::from_millis(2300) && after_bytes <= Duration::from_millis(2500));
    }
}
