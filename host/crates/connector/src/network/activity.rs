//! What the guests of a sandbox asked the network for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Different authorities that are kept apart; a guest that makes up more has them counted as one.
const AUTHORITIES: usize = 1000;

/// The name under which everything beyond [`AUTHORITIES`] is counted.
const OTHERS: &str = "(others)";

/// What was asked for, with counts. Shared by all instances of a [`Sandbox`](crate::Sandbox).
#[derive(Debug, Default)]
pub struct Activity {
    counts: Mutex<BTreeMap<(String, bool), u64>>,
}

/// One line of an [`Activity`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The host and port.
    pub authority: String,
    /// Whether the sandbox allowed it.
    pub allowed: bool,
    /// How often it was asked for.
    pub count: u64,
}

impl Activity {
    /// Everything so far, by authority.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Access> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |((authority, allowed), &count): (&(String, bool), &u64)| Access {
            authority: authority.clone(),
            allowed: *allowed,
            count,
        };
        counts.iter().map(line).collect()
    }

    /// Counts one, and returns how many there are now.
    pub(crate) fn record(&self, authority: &str, allowed: bool) -> u64 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (authority.to_owned(), allowed);
        if counts.len() >= AUTHORITIES && !counts.contains_key(&key) {
            key.0 = OTHERS.to_owned();
        }
        let count = counts.entry(key).or_default();
        *count += 1;
        *count
    }
}
