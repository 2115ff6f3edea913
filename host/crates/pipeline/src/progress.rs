//! What a run has done so far, counted without locks, for the live display, the logs and the tests.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// What it stands at.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one run. Shared between the loops and whoever shows them.
#[derive(Debug, Default)]
pub struct Progress {
    /// Records read from the source.
    pub read_records: Counter,
    /// Bytes of keys and values read from the source.
    pub read_bytes: Counter,
    /// Records that left the stages.
    pub shaped_records: Counter,
    /// Records that a stage refused.
    pub refused_records: Counter,
    /// Refused records and unusable inputs that the policy skipped.
    pub skipped: Counter,
    /// Dead letters acknowledged.
    pub dead_letters: Counter,
    /// Records that the topic acknowledged.
    pub sent_records: Counter,
    /// Bytes of keys and values that the topic acknowledged.
    pub sent_bytes: Counter,
    /// Failures of the source that were tried again.
    pub retries: Counter,
    /// Instances made anew after a trap or an internal error.
    pub restarts: Counter,
    waiting: Mutex<Option<String>>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[expect(missing_docs, reason = "each field is the counter of the same name in Progress")]
pub struct Snapshot {
    pub read_records: u64,
    pub read_bytes: u64,
    pub shaped_records: u64,
    pub refused_records: u64,
    pub skipped: u64,
    pub dead_letters: u64,
    pub sent_records: u64,
    pub sent_bytes: u64,
    pub retries: u64,
    pub restarts: u64,
    pub waiting: Option<String>,
}

impl Progress {
    /// Says what the run is waiting for, or that it no longer waits.
    pub fn set_waiting(&self, what: Option<String>) {
        // A poisoned lock only means that a display line was lost.
        if let Ok(mut waiting) = self.waiting.lock() {
            *waiting = what;
        }
    }

    /// All counters at once.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            read_records: self.read_records.get(),
            read_bytes: self.read_bytes.get(),
            shaped_records: self.shaped_records.get(),
            refused_records: self.refused_records.get(),
            skipped: self.skipped.get(),
            dead_letters: self.dead_letters.get(),
            sent_records: self.sent_records.get(),
            sent_bytes: self.sent_bytes.get(),
            retries: self.retries.get(),
            restarts: self.restarts.get(),
            waiting: self.waiting.lock().map(|w| w.clone()).unwrap_or_default(),
        }
    }
}
