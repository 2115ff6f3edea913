//! Time as a connector sees it: a monotonic clock to wait by, a wall clock to stamp by.
//!
//! Inside the sandbox these are the WASI clocks, in a native test the fake ones of
//! [`testing::Harness`](crate::testing::Harness), so that a test of an hour's schedule takes no time.

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use crate::platform;

/// A point of the monotonic clock. Only differences mean something, and only within one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    nanos: u64,
}

impl Instant {
    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self { nanos }
    }

    #[cfg(target_os = "wasi")]
    pub(crate) const fn as_nanos(self) -> u64 {
        self.nanos
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, wait: Duration) -> Self {
        Self { nanos: self.nanos.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)) }
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, wait: Duration) {
        *self = *self + wait;
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// Now, by the monotonic clock.
#[must_use]
pub fn now() -> Instant {
    platform::with(|platform| platform.monotonic())
}

/// Now, in milliseconds since 1970-01-01T00:00:00Z.
#[must_use]
pub fn unix_millis() -> i64 {
    platform::with(|platform| platform.unix_millis())
}

/// Waits.
pub fn sleep(wait: Duration) {
    if !wait.is_zero() {
        platform::with(|platform| platform.sleep(wait));
    }
}

/// Waits until `when`, but not beyond `limit`; says whether `when` was reached.
///
/// A reader with nothing due waits like this for its next record within the time that the host allows:
///
/// ```
/// use std::time::Duration;
/// use connector_sdk::time;
/// let start = time::now();
/// assert!(!time::sleep_until(start + Duration::from_secs(60), start + Duration::from_millis(5)));
/// assert!(time::sleep_until(start, start));
/// ```
pub fn sleep_until(when: Instant, limit: Instant) -> bool {
    let now = time_left(when.min(limit));
    sleep(now);
    when <= limit
}

fn time_left(until: Instant) -> Duration {
    until.since(now())
}
