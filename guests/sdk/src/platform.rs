//! What lies under the SDK: the WASI host inside the sandbox, the process itself or a test's stand-in
//! outside of it. Small on purpose, so that [`crate::testing`] can replace all of it.

use std::time::Duration;

use crate::error::Result;
use crate::http::{Exchange, Outgoing};
use crate::log::Level;
use crate::net::{Connect, Dial};
use crate::time::Instant;

/// One number for the host's metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Measurement {
    Counter(u64),
    Gauge(f64),
    Histogram(f64),
}

pub(crate) trait Platform {
    fn monotonic(&self) -> Instant;
    fn unix_millis(&self) -> i64;
    fn sleep(&self, wait: Duration);
    /// Starts one HTTP exchange: no redirects, no limits, those are the caller's.
    fn exchange(&self, request: &Outgoing) -> Result<Box<dyn Exchange>>;
    /// Begins to connect; deadlines are the caller's.
    fn connect(&self, to: &Connect) -> Result<Box<dyn Dial>>;
    /// Waits until one of these exchanges may have got further, or the time. Even when that has passed it is
    /// worth a call: a host may carry things on only while it is asked.
    fn wait(&self, progress: &[Progress], until: Instant);
    fn log(&self, level: Level, context: &str, message: &str);
    fn measure(&self, name: &str, value: Measurement);
}

/// What tells that an exchange has got further: the host's pollables, or the time of a canned answer.
#[cfg(target_os = "wasi")]
pub(crate) type Progress = crate::http::wasi::Progress;
#[cfg(not(target_os = "wasi"))]
pub(crate) type Progress = Instant;

#[cfg(target_os = "wasi")]
pub(crate) use wasi::with;

#[cfg(not(target_os = "wasi"))]
pub(crate) use native::with;

#[cfg(not(target_os = "wasi"))]
pub(crate) mod native {
    //! Outside of the sandbox: the real clocks, logs on the standard error output, no network. A test
    //! installs its own platform for its thread.

    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::LazyLock;
    use std::time::{Duration, Instant as StdInstant, SystemTime};

    use super::{Measurement, Platform, Progress};
    use crate::error::{Error, Result};
    use crate::http::{Exchange, Outgoing};
    use crate::log::Level;
    use crate::net::{Connect, Dial};
    use crate::time::Instant;

    thread_local! {
        static INSTALLED: RefCell<Option<Rc<dyn Platform>>> = const { RefCell::new(None) };
    }

    /// Makes `platform` this thread's, and returns what was there before.
    pub(crate) fn install(platform: Option<Rc<dyn Platform>>) -> Option<Rc<dyn Platform>> {
        INSTALLED.replace(platform)
    }

    pub(crate) fn with<R>(f: impl FnOnce(&dyn Platform) -> R) -> R {
        let installed = INSTALLED.with_borrow(Clone::clone);
        match installed {
            Some(platform) => f(&*platform),
            None => f(&Process),
        }
    }

    struct Process;

    impl Platform for Process {
        fn monotonic(&self) -> Instant {
            static START: LazyLock<StdInstant> = LazyLock::new(StdInstant::now);
            Instant::from_nanos(0) + START.elapsed()
        }

        fn unix_millis(&self) -> i64 {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        }

        fn sleep(&self, wait: Duration) {
            std::thread::sleep(wait);
        }

        fn exchange(&self, _request: &Outgoing) -> Result<Box<dyn Exchange>> {
            Err(Error::internal("there is no network outside of the host; tests use testing::Harness"))
        }

        fn connect(&self, _to: &Connect) -> Result<Box<dyn Dial>> {
            Err(Error::internal("there is no network outside of the host; tests use testing::Harness"))
        }

        fn wait(&self, _progress: &[Progress], until: Instant) {
            self.sleep(until - self.monotonic());
        }

        fn log(&self, level: Level, context: &str, message: &str) {
            eprintln!("{level:?} {context}: {message}");
        }

        fn measure(&self, _name: &str, _value: Measurement) {}
    }
}

#[cfg(target_os = "wasi")]
mod wasi {
    //! Inside the sandbox: WASI 0.2 and the contract's own imports.

    use std::time::Duration;

    use wasip2::clocks::{monotonic_clock, wall_clock};

    use super::{Measurement, Platform, Progress};
    use crate::bindings::fluvio::connector::metrics;
    use crate::bindings::wasi::logging::logging;
    use crate::error::Result;
    use crate::http::{Exchange, Outgoing};
    use crate::log::Level;
    use crate::net::{Connect, Dial};
    use crate::time::Instant;

    pub(crate) fn with<R>(f: impl FnOnce(&dyn Platform) -> R) -> R {
        f(&Wasi)
    }

    struct Wasi;

    impl Platform for Wasi {
        fn monotonic(&self) -> Instant {
            Instant::from_nanos(monotonic_clock::now())
        }

        fn unix_millis(&self) -> i64 {
            let now = wall_clock::now();
            let seconds = i64::try_from(now.seconds).unwrap_or(i64::MAX);
            seconds.saturating_mul(1000).saturating_add(i64::from(now.nanoseconds / 1_000_000))
        }

        fn sleep(&self, wait: Duration) {
            let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
            monotonic_clock::subscribe_duration(nanos).block();
        }

        fn exchange(&self, request: &Outgoing) -> Result<Box<dyn Exchange>> {
            crate::http::wasi::start(request)
        }

        fn connect(&self, to: &Connect) -> Result<Box<dyn Dial>> {
            crate::net::wasi::start(to)
        }

        fn wait(&self, progress: &[Progress], until: Instant) {
            crate::http::wasi::wait(progress, until);
        }

        fn log(&self, level: Level, context: &str, message: &str) {
            let level = match level {
                Level::Trace => logging::Level::Trace,
                Level::Debug => logging::Level::Debug,
                Level::Info => logging::Level::Info,
                Level::Warn => logging::Level::Warn,
                Level::Error => logging::Level::Error,
                Level::Critical => logging::Level::Critical,
            };
            logging::log(level, context, message);
        }

        fn measure(&self, name: &str, value: Measurement) {
            match value {
                Measurement::Counter(add) => metrics::counter(name, add),
                Measurement::Gauge(value) => metrics::gauge(name, value),
                Measurement::Histogram(value) => metrics::histogram(name, value),
            }
        }
    }
}
