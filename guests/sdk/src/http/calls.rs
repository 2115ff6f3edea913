//! Several calls under way at once.

use super::{Call, Response};
use crate::error::Result;
use crate::platform;
use crate::time::{self, Instant};

/// Calls under way, whose answers are taken as they come. Each call carries a tag, by which its answer is known.
///
/// ```
/// use std::time::Duration;
/// use connector_sdk::http::{Calls, Request};
/// use connector_sdk::testing::{Harness, Reply};
/// use connector_sdk::time;
///
/// let harness = Harness::install();
/// harness.reply(Reply::ok("").delay(Duration::from_secs(2)));
/// harness.reply(Reply::ok("").delay(Duration::from_secs(1)));
/// let mut calls = Calls::default();
/// for path in ["slow", "quick"] {
///     calls.push(path, Request::get(&format!("http://a.example/{path}"))?.start()?);
/// }
/// let until = time::now() + Duration::from_secs(10);
/// let mut order = Vec::new();
/// while let Some((path, answer)) = calls.next(until) {
///     answer?.error_for_status()?;
///     order.push(path);
/// }
/// assert_eq!(order, ["quick", "slow"]);
/// # Ok::<(), connector_sdk::Error>(())
/// ```
#[derive(Debug)]
pub struct Calls<T> {
    calls: Vec<(T, Call)>,
}

impl<T> Default for Calls<T> {
    fn default() -> Self {
        Self { calls: Vec::new() }
    }
}

impl<T> Calls<T> {
    /// Adds a call.
    pub fn push(&mut self, tag: T, call: Call) {
        self.calls.push((tag, call));
    }

    /// How many are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether none is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Waits for the next call that has its answer's head, or has failed as [`Call::wait`] does, and hands it
    /// out. `None` when there was none until then, or none is under way.
    pub fn next(&mut self, until: Instant) -> Option<(T, Result<Response>)> {
        let mut waited = false;
        while !self.calls.is_empty() {
            for index in 0..self.calls.len() {
                let call = &mut self.calls[index].1;
                let outcome = match call.answer() {
                    Ok(None) if waited => call.in_time().err().map(Err),
                    Ok(None) => None,
                    Ok(Some(response)) => Some(Ok(response)),
                    Err(error) => Some(Err(error)),
                };
                if let Some(outcome) = outcome {
                    return Some((self.calls.remove(index).0, outcome));
                }
            }
            if waited && time::now() >= until {
                return None;
            }
            waited = true;
            let mut first = until;
            let mut all = Vec::with_capacity(self.calls.len());
            for (_, call) in &self.calls {
                let (progress, until) = call.progress(first);
                all.extend(progress);
                first = until;
            }
            platform::with(|platform| platform.wait(&all, first));
        }
        None
    }
}
