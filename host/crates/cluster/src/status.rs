//! Whether an end of a pipeline is connected or waits, for whoever shows it live.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::Error;

/// How the connection of a producer or a consumer is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkState {
    /// All is well, as far as is known.
    #[default]
    Connected,
    /// Something failed and is tried again until it works.
    Waiting {
        /// Since when.
        since: Instant,
        /// The last error, for people.
        reason: String,
    },
}

/// A view of a producer's or consumer's [`LinkState`]; cheap to clone, outlives what it watches.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Mutex<BTreeMap<u32, LinkState>>>);

impl Status {
    /// The state at this moment; of several partitions, that of the one that has waited longest.
    #[must_use]
    pub fn get(&self) -> LinkState {
        let since = |state: &&LinkState| match state {
            LinkState::Connected => None,
            LinkState::Waiting { since, .. } => Some(*since),
        };
        self.lock().values().min_by_key(since).cloned().unwrap_or_default()
    }

    /// `lane` is connected: it no longer waits.
    pub(crate) fn connected(&self, lane: u32) {
        self.lock().remove(&lane);
    }

    /// `lane` waits.
    pub(crate) fn waiting(&self, lane: u32, since: Instant, error: &Error) {
        self.lock().insert(lane, LinkState::Waiting { since, reason: error.to_string() });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, LinkState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_waits_until_every_lane_is_back() {
        let status = Status::default();
        let error = Error::NoLeader { topic: "t".into(), partition: 0 };
        let first = Instant::now();
        status.waiting(1, first + Duration::from_secs(1), &error);
        status.waiting(2, first, &error);
        assert!(matches!(status.get(), LinkState::Waiting { since, .. } if since == first));
        status.connected(2);
        assert!(matches!(status.get(), LinkState::Waiting { since, .. } if since > first));
        status.connected(1);
        assert_eq!(status.get(), LinkState::Connected);
    }
}
