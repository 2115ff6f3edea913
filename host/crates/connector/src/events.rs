//! What a guest says while it runs: log messages and numbers.
//!
//! The embedder takes them through [`GuestEvents`]. Everything passes [`GuestLog`] first, which takes
//! secrets out, bounds each message and the messages a second, and remembers the last lines for the error
//! report of a crash. A guest that floods its log costs itself messages and nobody else anything.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much a message matters; the levels of `wasi:logging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Steps of the way.
    Trace,
    /// What helps in debugging.
    Debug,
    /// What a running system says of itself.
    Info,
    /// Something is odd, and it goes on.
    Warn,
    /// Something failed.
    Error,
    /// It can't go on.
    Critical,
}

/// Takes what a guest says. Called from inside a guest's call: return quickly, and never block.
pub trait GuestEvents: Send + Sync + 'static {
    /// One message, bounded and without secrets. `context` is the part that speaks; it may be empty.
    fn log(&self, level: Level, context: &str, message: &str);

    /// Adds to a number that only grows.
    fn counter(&self, name: &str, add: u64) {
        let _ = (name, add);
    }

    /// Sets a number that goes up and down.
    fn gauge(&self, name: &str, value: f64) {
        let _ = (name, value);
    }

    /// Notes one measurement.
    fn histogram(&self, name: &str, value: f64) {
        let _ = (name, value);
    }
}

/// Hands everything to `tracing`, under the target `guest`: messages at their own level, numbers at TRACE.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingEvents;

impl GuestEvents for TracingEvents {
    fn log(&self, level: Level, context: &str, message: &str) {
        match level {
            Level::Trace => tracing::trace!(target: "guest", context, "{message}"),
            Level::Debug => tracing::debug!(target: "guest", context, "{message}"),
            Level::Info => tracing::info!(target: "guest", context, "{message}"),
            Level::Warn => tracing::warn!(target: "guest", context, "{message}"),
            Level::Error | Level::Critical => tracing::error!(target: "guest", context, "{message}"),
        }
    }

    fn counter(&self, name: &str, add: u64) {
        tracing::trace!(target: "guest", name, add, "counter");
    }

    fn gauge(&self, name: &str, value: f64) {
        tracing::trace!(target: "guest", name, value, "gauge");
    }

    fn histogram(&self, name: &str, value: f64) {
        tracing::trace!(target: "guest", name, value, "histogram");
    }
}

/// The longest message that is passed on, in bytes: longer than a panic with its stack, short enough for
/// any log collector's line.
pub(crate) const MESSAGE_BYTES: usize = 8 * 1024;

/// Messages a second and instance that are passed on; what goes beyond is counted and reported once.
const MESSAGES_A_SECOND: u32 = 500;

/// Lines that are kept for the report of a crash.
const TAIL_LINES: usize = 20;

/// Takes secrets out of texts. A value in its percent-encoded form is taken out as well, since it may be
/// part of a URL.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    /// The longest first, so that a secret that contains another one goes as a whole.
    values: Arc<[String]>,
}

impl Redactor {
    pub(crate) fn new(secrets: &[String]) -> Self {
        let mut values: Vec<String> = Vec::new();
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            values.push(secret.clone());
            values.push(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect());
            // As it stands in JSON text, without the quotes around it.
            let json = serde_json::Value::from(secret.as_str()).to_string();
            values.push(json[1..json.len() - 1].to_owned());
        }
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        Self { values: values.into() }
    }

    pub(crate) fn clean(&self, text: String) -> String {
        let mut text = text;
        for value in &*self.values {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), "***");
            }
        }
        text
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} values)", self.values.len())
    }
}

/// One instance's way out for messages.
pub(crate) struct GuestLog {
    events: Arc<dyn GuestEvents>,
    redactor: Redactor,
    state: Mutex<LogState>,
}

struct LogState {
    tail: VecDeque<String>,
    second: Instant,
    passed: u32,
    suppressed: u32,
}

impl GuestLog {
    pub(crate) fn new(events: Arc<dyn GuestEvents>, redactor: Redactor) -> Self {
        let state = LogState { tail: VecDeque::new(), second: Instant::now(), passed: 0, suppressed: 0 };
        Self { events, redactor, state: Mutex::new(state) }
    }

    pub(crate) fn events(&self) -> &dyn GuestEvents {
        &*self.events
    }

    /// Takes secrets out of a text that leaves by another way, such as an error.
    pub(crate) fn clean(&self, text: String) -> String {
        self.redactor.clean(bounded(text))
    }

    pub(crate) fn log(&self, level: Level, context: &str, message: String) {
        let message = self.clean(message);
        let suppressed = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let mut before = 0;
            if state.second.elapsed() >= Duration::from_secs(1) {
                before = std::mem::take(&mut state.suppressed);
                state.second = Instant::now();
                state.passed = 0;
            }
            if state.passed >= MESSAGES_A_SECOND {
                state.suppressed += 1;
                return;
            }
            state.passed += 1;
            before
        };
        if suppressed > 0 {
            let text = format!("{suppressed} messages left out: more than {MESSAGES_A_SECOND} a second");
            self.events.log(Level::Warn, "host", &text);
        }
        self.events.log(level, &self.redactor.clean(bounded(context.to_owned())), &message);
    }

    /// A line of standard output or error: logged, and remembered for the report of a crash.
    pub(crate) fn line(&self, level: Level, context: &str, line: &[u8]) {
        let text = String::from_utf8_lossy(line).into_owned();
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.tail.len() == TAIL_LINES {
                state.tail.pop_front();
            }
            let clean = self.clean(text.clone());
            state.tail.push_back(clean);
        }
        self.log(level, context, text);
    }

    /// The remembered lines, which are then forgotten; without empty ones, and without the hint that Rust
    /// adds to a panic: a guest has no environment to set it in.
    pub(crate) fn take_tail(&self) -> Vec<String> {
        let telling = |line: &String| !line.trim().is_empty() && !line.starts_with("note: run with `RUST_BACKTRACE");
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tail.drain(..).filter(telling).collect()
    }
}

/// Cuts a text to [`MESSAGE_BYTES`] and says how much is gone.
fn bounded(mut text: String) -> String {
    if text.len() > MESSAGE_BYTES {
        let end = text.floor_char_boundary(MESSAGE_BYTES);
        let gone = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("… ({gone} bytes more)"));
    }
    text
}

#[cfg(test)]
mod tests;
