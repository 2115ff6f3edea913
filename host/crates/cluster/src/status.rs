//! Whether an end of a pipeline is connected or waits, for whoever shows it live.

use std::sync::{Arc, Mutex, PoisonError};
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
pub struct Status(Arc<Mutex<LinkState>>);

impl Status {
    /// The state at this moment.
    #[must_use]
    pub fn get(&self) -> LinkState {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn connected(&self) {
        self.set(LinkState::Connected);
    }

    pub(crate) fn waiting(&self, since: Instant, error: &Error) {
        self.set(LinkState::Waiting { since, reason: error.to_string() });
    }

    fn set(&self, state: LinkState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
