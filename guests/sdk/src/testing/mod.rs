//! A connector's logic under plain `cargo test`: no WebAssembly, no network, no waiting.
//!
//! [`Harness::install`] puts a stand-in under the SDK for the current thread: clocks that move only when
//! somebody waits, canned HTTP answers, the other ends of connections, and a record of what was asked,
//! logged and measured. [`SourceDriver`], [`SinkDriver`] and [`TransformDriver`] then drive what an author wrote through the very
//! code that a component uses, JSON in and JSON out.
//!
//! ```
//! use std::time::Duration;
//! use connector_sdk::testing::{Harness, Reply};
//! use connector_sdk::{http::Request, time};
//!
//! let harness = Harness::install();
//! harness.reply(Reply::ok("late").delay(Duration::from_secs(3)));
//! let before = time::now();
//! let response = Request::get("http://slow.example/")?.send()?;
//! assert_eq!(time::now() - before, Duration::from_secs(3));
//! assert_eq!(harness.requests()[0].header("host"), None);
//! assert_eq!(response.status(), 200);
//! # Ok::<(), connector_sdk::Error>(())
//! ```

mod driver;
mod peer;
mod reply;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

pub use driver::{ReadOutcome, SinkDriver, SourceDriver, TransformDriver};
pub use peer::Peer;
pub use reply::Reply;

use crate::error::{Error, Result};
use crate::http::{Exchange, Outgoing};
use crate::log::Level;
use crate::net::{Connect, Dial};
use crate::platform::{Measurement, Platform, Progress, native};
use crate::time::Instant;

/// Unix time at which every harness starts: 2024-01-01T00:00:00Z, in milliseconds.
pub const START_UNIX_MILLIS: i64 = 1_704_067_200_000;

/// The stand-in for the host, as long as it lives, on the thread that installed it.
pub struct Harness {
    world: Rc<World>,
    before: Option<Rc<dyn Platform>>,
}

/// A request that the connector has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentRequest {
    /// The method, in upper case.
    pub method: String,
    /// The address, with query.
    pub url: String,
    /// The fields in order, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// When it was sent, counted from the start of the harness.
    pub at: Duration,
}

impl SentRequest {
    /// The first value of a field, when it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let field = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        field.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }
}

/// What has become of one metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Metric {
    /// The sum of what was added.
    Counter(u64),
    /// The last value.
    Gauge(f64),
    /// All values in order.
    Histogram(Vec<f64>),
}

#[derive(Default)]
struct World {
    elapsed: RefCell<Duration>,
    unix_shift: RefCell<i64>,
    replies: RefCell<VecDeque<Reply>>,
    sent: RefCell<Vec<SentRequest>>,
    peers: RefCell<VecDeque<Peer>>,
    connects: RefCell<Vec<Connect>>,
    logs: RefCell<Vec<(Level, String)>>,
    metrics: RefCell<BTreeMap<String, Metric>>,
}

impl std::fmt::Debug for Harness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Harness(after {:?}, {} requests)", self.elapsed(), self.world.sent.borrow().len())
    }
}

impl Harness {
    /// Stands in for the host on this thread until it is dropped.
    #[must_use]
    pub fn install() -> Self {
        let world = Rc::new(World::default());
        let before = native::install(Some(world.clone()));
        Self { world, before }
    }

    /// The next request gets this answer; several queue up. A request that finds no answer fails with kind
    /// `internal`.
    pub fn reply(&self, reply: Reply) {
        self.world.replies.borrow_mut().push_back(reply);
    }

    /// The other end of the next connection; several queue up. A connection that finds no peer fails with
    /// kind `internal`.
    #[must_use]
    pub fn peer(&self) -> Peer {
        let peer = Peer::default();
        self.world.peers.borrow_mut().push_back(peer.clone());
        peer
    }

    /// All attempts to connect so far.
    #[must_use]
    pub fn connects(&self) -> Vec<Connect> {
        self.world.connects.borrow().clone()
    }

    /// Lets time pass, as if the host had been busy elsewhere.
    pub fn advance(&self, by: Duration) {
        *self.world.elapsed.borrow_mut() += by;
    }

    /// Sets the wall clock forwards or backwards by so many milliseconds; the monotonic one does not care.
    pub fn shift_wall_clock(&self, millis: i64) {
        *self.world.unix_shift.borrow_mut() += millis;
    }

    /// How much time has passed since the harness was installed.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        *self.world.elapsed.borrow()
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<SentRequest> {
        self.world.sent.borrow().clone()
    }

    /// All log messages so far, with their context in front.
    #[must_use]
    pub fn logs(&self) -> Vec<(Level, String)> {
        self.world.logs.borrow().clone()
    }

    /// What has become of a metric, if it was ever used.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<Metric> {
        self.world.metrics.borrow().get(name).cloned()
    }

    /// The value of a counter; 0 when it was never used.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        match self.metric(name) {
            Some(Metric::Counter(value)) => value,
            _ => 0,
        }
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        native::install(self.before.take());
    }
}

impl Platform for World {
    fn monotonic(&self) -> Instant {
        Instant::from_nanos(0) + *self.elapsed.borrow()
    }

    fn unix_millis(&self) -> i64 {
        let elapsed = i64::try_from(self.elapsed.borrow().as_millis()).unwrap_or(i64::MAX);
        START_UNIX_MILLIS + elapsed + *self.unix_shift.borrow()
    }

    fn sleep(&self, wait: Duration) {
        *self.elapsed.borrow_mut() += wait;
    }

    fn exchange(&self, request: &Outgoing) -> Result<Box<dyn Exchange>> {
        self.sent.borrow_mut().push(SentRequest {
            method: request.method.clone(),
            url: request.url.to_string(),
            headers: request.headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
            body: request.body.to_vec(),
            at: *self.elapsed.borrow(),
        });
        match self.replies.borrow_mut().pop_front() {
            Some(reply) => reply.start(self.monotonic()),
            None => Err(Error::internal("the test has no answer for this request")),
        }
    }

    fn connect(&self, to: &Connect) -> Result<Box<dyn Dial>> {
        self.connects.borrow_mut().push(to.clone());
        match self.peers.borrow_mut().pop_front() {
            Some(peer) => Ok(peer.dial()),
            None => Err(Error::internal("the test has no peer for this connection")),
        }
    }

    fn wait(&self, progress: &[Progress], until: Instant) {
        let first = progress.iter().copied().fold(until, Instant::min);
        self.sleep(first - self.monotonic());
    }

    fn log(&self, level: Level, context: &str, message: &str) {
        let line = if context.is_empty() { message.to_owned() } else { format!("{context}: {message}") };
        self.logs.borrow_mut().push((level, line));
    }

    fn measure(&self, name: &str, value: Measurement) {
        let mut metrics = self.metrics.borrow_mut();
        let known = metrics.get_mut(name);
        let replaced = match (known, value) {
            (Some(Metric::Counter(sum)), Measurement::Counter(add)) => {
                *sum += add;
                return;
            }
            (Some(Metric::Histogram(all)), Measurement::Histogram(value)) => {
                all.push(value);
                return;
            }
            (None | Some(Metric::Gauge(_)), Measurement::Gauge(value)) => Metric::Gauge(value),
            (None, Measurement::Counter(add)) => Metric::Counter(add),
            (None, Measurement::Histogram(value)) => Metric::Histogram(vec![value]),
            (Some(known), _) => panic!("the metric {name} was {known:?} before: a name keeps its kind"),
        };
        metrics.insert(name.to_owned(), replaced);
    }
}

#[cfg(test)]
mod tests;
