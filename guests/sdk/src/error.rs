//! What a connector reports when something goes wrong: a kind, which decides what the host does, and words
//! for the person who runs the connector.
//!
//! The kinds are the contract's; one constructor each. A message says what and where (the address, the
//! field, the status), and never holds a secret.

use std::fmt::Display;
use std::time::Duration;

/// What went wrong, by what is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The configuration can't work: the host stops.
    Config,
    /// The other side refuses the credentials: the host stops.
    Auth,
    /// The other side can't be reached, or failed in a way that may pass: the host tries again.
    Unreachable,
    /// The other side asks for less: the host tries again, later.
    Throttled,
    /// This input can't be used, now or ever: the host follows its error policy.
    Data,
    /// The connector is at fault: the host makes a new instance.
    Internal,
}

/// A failure, as the host gets it.
///
/// ```
/// use connector_sdk::{Error, ErrorKind};
/// let error = Error::data("not JSON").context("answer of weather.example");
/// assert_eq!(error.kind(), ErrorKind::Data);
/// assert_eq!(error.to_string(), "answer of weather.example: not JSON");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    retry_after: Option<Duration>,
}

/// What fallible functions of a connector return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    /// The configuration can't work; name the field.
    #[must_use]
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// The other side refuses the credentials.
    #[must_use]
    pub fn auth(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Auth, message)
    }

    /// The other side can't be reached, or failed in a way that may pass.
    #[must_use]
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unreachable, message)
    }

    /// The other side asks for less, perhaps saying for how long.
    #[must_use]
    pub fn throttled(message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..Self::new(ErrorKind::Throttled, message) }
    }

    /// This input can't be used, and the same input never will be.
    #[must_use]
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// The connector itself is at fault.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Puts where it happened in front of the message.
    #[must_use]
    pub fn context(mut self, place: impl Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Puts something behind the message.
    pub(crate) fn add(mut self, words: impl Display) -> Self {
        self.message = format!("{}{words}", self.message);
        self
    }

    /// Asks the host to wait so long before it tries again; only `unreachable` and `throttled` are retried.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What is to be done about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The words, without the kind.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How long the host is asked to wait at least.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unreachable | ErrorKind::Throttled)
    }
}
