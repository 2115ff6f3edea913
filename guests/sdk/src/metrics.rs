//! Numbers that the host publishes with its own, under the connector's name.
//!
//! Names are lower case with underscores, as in `polls_total`. The host bounds how many names one instance
//! may make up: never build one from data.
//!
//! ```
//! use connector_sdk::metrics;
//! metrics::counter("polls_total", 1);
//! metrics::gauge("queue_length", 17.0);
//! metrics::histogram("poll_duration_seconds", 0.25);
//! ```

use crate::platform::{self, Measurement};

/// Adds to a number that only grows.
pub fn counter(name: &str, add: u64) {
    platform::with(|platform| platform.measure(name, Measurement::Counter(add)));
}

/// Sets a number that goes up and down.
pub fn gauge(name: &str, value: f64) {
    platform::with(|platform| platform.measure(name, Measurement::Gauge(value)));
}

/// Notes one measurement; durations in seconds, sizes in bytes.
pub fn histogram(name: &str, value: f64) {
    platform::with(|platform| platform.measure(name, Measurement::Histogram(value)));
}
