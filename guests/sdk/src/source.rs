//! What an author of a source writes: one type that implements [`Source`], and
//! [`export_source!`](crate::export_source).

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::batch::Batch;
use crate::check::Check;
use crate::error::Result;
use crate::time::{self, Instant};

/// What a connector is. [`spec!`](crate::spec) fills it from the author's `Cargo.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// Its name, as in `http-source`: lower case, digits and hyphens.
    pub name: &'static str,
    /// Its version, as semantic versioning writes it.
    pub version: &'static str,
    /// What it does, in one sentence.
    pub description: &'static str,
    /// The key of the connector's own section in a configuration file, as in `http`.
    pub section: &'static str,
}

/// Makes a [`Spec`] of the package that calls it: name, version and description stand in its `Cargo.toml`,
/// the argument is the name of its section in a configuration file.
///
/// ```
/// const SPEC: connector_sdk::Spec = connector_sdk::spec!("feed");
/// assert_eq!(SPEC.section, "feed");
/// ```
#[macro_export]
macro_rules! spec {
    ($section:expr) => {
        $crate::Spec {
            name: ::core::env!("CARGO_PKG_NAME"),
            version: ::core::env!("CARGO_PKG_VERSION"),
            description: ::core::env!("CARGO_PKG_DESCRIPTION"),
            section: $section,
        }
    };
}

/// How much one [`Source::read`] may return, and how long it may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// At most so many records. 0: serve the connection without waiting, and return no records.
    pub max_records: usize,
    /// Stop adding records once their keys and values reach so many bytes.
    pub max_bytes: usize,
    /// Return within this time, if need be with no records.
    pub max_wait: Duration,
}

impl Limit {
    /// Until when a read that starts now may wait.
    #[must_use]
    pub fn until(&self) -> Instant {
        time::now() + self.max_wait
    }

    /// Whether a batch has reached one of the bounds.
    #[must_use]
    #[inline]
    pub fn is_full(&self, batch: &Batch) -> bool {
        batch.len() >= self.max_records || batch.byte_len() >= self.max_bytes
    }
}

/// What one [`Source::read`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<C> {
    /// The records, in order. May be empty.
    pub batch: Batch,
    /// Where the reader stands after these records, when there is a new place to remember.
    pub cursor: Option<C>,
    /// True when there will never be more.
    pub end: bool,
}

impl<C> Outcome<C> {
    /// Nothing yet.
    #[must_use]
    pub fn nothing() -> Self {
        Self { batch: Batch::default(), cursor: None, end: false }
    }

    /// Records, and the place behind them.
    #[must_use]
    pub fn records(batch: Batch, cursor: C) -> Self {
        Self { batch, cursor: Some(cursor), end: false }
    }

    /// There will never be more.
    #[must_use]
    pub fn ended(mut self) -> Self {
        self.end = true;
        self
    }
}

/// One collection that a source can read, such as a table or a feed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dataset {
    /// The name that the configuration uses for it.
    pub name: String,
    /// What it holds, in one sentence; may be empty.
    pub description: String,
    /// JSON Schema (draft-07) of one record's value, when it is known.
    pub schema: Option<serde_json::Value>,
}

/// A connector that reads from the outside. Plain blocking code: the host waits without holding a thread.
///
/// ```
/// use connector_sdk::{Batch, Check, Limit, Outcome, Result, Source, Spec, spec};
///
/// /// Counts up to a number.
/// struct Counter { next: u64, to: u64 }
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     /// The last number.
///     to: u64,
/// }
///
/// impl Source for Counter {
///     const SPEC: Spec = spec!("counter");
///     type Config = Config;
///     type Cursor = u64;
///
///     fn check(_: Config) -> Check {
///         Check::builder().build()
///     }
///
///     fn open(config: Config, cursor: Option<u64>) -> Result<Self> {
///         Ok(Self { next: cursor.unwrap_or(1), to: config.to })
///     }
///
///     fn read(&mut self, limit: Limit) -> Result<Outcome<u64>> {
///         let mut batch = Batch::default();
///         while self.next <= self.to && !limit.is_full(&batch) {
///             batch.push(self.next.to_string().as_bytes());
///             self.next += 1;
///         }
///         Ok(Outcome { batch, cursor: Some(self.next), end: self.next > self.to })
///     }
/// }
///
/// connector_sdk::export_source!(Counter);
/// # fn main() {}
/// ```
pub trait Source: Sized + 'static {
    /// What the connector is; see [`spec!`](crate::spec).
    const SPEC: Spec;

    /// The connector's own section of a configuration file. Derive `Deserialize` and `JsonSchema`, and set
    /// `#[serde(deny_unknown_fields)]`.
    ///
    /// Three annotations tell the host more: `#[schemars(extend("x-network" = true))]` on a string that
    /// names what the connector will talk to (everything else stays closed), `"x-secret" = true` on one
    /// that must never be shown, and `"x-aliases" = ["old-name"]`, beside `#[serde(alias = "old-name")]`,
    /// on a field that has several spellings.
    type Config: DeserializeOwned + JsonSchema;

    /// Where a reader stands; kept by the host as JSON. Keep it small: it is stored after every batch.
    type Cursor: Serialize + DeserializeOwned;

    /// Tries what [`Source::open`] and a first read would need, leaving nothing behind.
    fn check(config: Self::Config) -> Check;

    /// What can be read with this configuration; an empty list where there is only one thing to read.
    ///
    /// # Errors
    /// When the other side can't be asked.
    fn discover(config: Self::Config) -> Result<Vec<Dataset>> {
        let _ = config;
        Ok(Vec::new())
    }

    /// Starts reading, from the newest cursor that was made durable.
    ///
    /// # Errors
    /// When the configuration can't work (kind `config`), or the other side is not there.
    fn open(config: Self::Config, cursor: Option<Self::Cursor>) -> Result<Self>;

    /// The next records. With [`Limit::max_records`] 0 it only serves the connection, without waiting.
    ///
    /// # Errors
    /// It is called again after `unreachable`, `throttled` and `data`; after `data` the reader must have
    /// moved past what it could not use.
    fn read(&mut self, limit: Limit) -> Result<Outcome<Self::Cursor>>;

    /// Every record up to this cursor is durable in Fluvio: what the outside holds back may now be
    /// acknowledged. Some cursors are left out, when a later one covers them.
    ///
    /// # Errors
    /// When the outside refuses the acknowledgement.
    fn commit(&mut self, cursor: Self::Cursor) -> Result<()> {
        let _ = cursor;
        Ok(())
    }
}
