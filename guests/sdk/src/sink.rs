//! What an author of a sink writes: one type that implements [`Sink`], and
//! [`export_sink!`](crate::export_sink).

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::batch::{Batch, RecordRef};
use crate::check::Check;
use crate::error::{Error, Result};
use crate::source::Spec;

/// Records of one partition, in order, with their places of origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The records.
    pub batch: Batch,
    /// The topic they come from.
    pub topic: String,
    /// The partition they come from.
    pub partition: u32,
    /// The offset of the record that each one was made from; as many as records, never falling. Records
    /// that a stage made of one share it.
    pub offsets: Vec<i64>,
    /// The number of each record among those that were made from the same offset, from 0; empty when all are 0.
    pub parts: Vec<u32>,
}

/// One record of a [`Delivery`], borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered<'a> {
    /// Its index, which a [`Failure`] names it by.
    pub index: usize,
    /// Key, value and time.
    pub record: RecordRef<'a>,
    /// The offset of the record it was made from.
    pub offset: i64,
    /// Its number among the records that were made from the same offset, from 0. Topic, partition, offset and
    /// this number name a record for good, through retries and restarts: what an idempotent destination needs.
    pub part: u32,
}

impl Delivery {
    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// The records in order.
    ///
    /// ```
    /// use connector_sdk::{Batch, Delivery};
    /// let batch: Batch = ["a", "b", "c"].into_iter().collect();
    /// let delivery = Delivery { batch, offsets: vec![7, 7, 9], parts: vec![0, 1, 0], ..Delivery::default() };
    /// let places: Vec<_> = delivery.iter().map(|d| (d.record.value, d.offset, d.part)).collect();
    /// assert_eq!(places, [(&b"a"[..], 7, 0), (b"b", 7, 1), (b"c", 9, 0)]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Delivered<'_>> {
        self.batch.iter().zip(&self.offsets).enumerate().map(|(index, (record, &offset))| {
            let part = self.parts.get(index).copied().unwrap_or(0);
            Delivered { index, record, offset, part }
        })
    }
}

/// One record that was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its index in the delivery.
    pub index: usize,
    /// Kind `data`: a lost cause, which goes to the error policy. `unreachable` and `throttled`: handed in
    /// again. Any other kind counts for the whole delivery: return it as the error of
    /// [`Sink::write`] instead.
    pub error: Error,
}

impl Failure {
    /// A record that was not delivered, and why.
    #[must_use]
    pub fn new(index: usize, error: Error) -> Self {
        Self { index, error }
    }
}

/// A connector that delivers records to the outside. Plain blocking code: the host waits without holding a
/// thread.
///
/// ```
/// use connector_sdk::http::Request;
/// use connector_sdk::{Check, Delivery, Error, Failure, Result, Sink, Spec, spec};
///
/// /// Posts each record.
/// struct Webhook { config: Config }
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     /// Where to.
///     #[schemars(extend("x-network" = true))]
///     endpoint: String,
/// }
///
/// impl Sink for Webhook {
///     const SPEC: Spec = spec!("webhook");
///     type Config = Config;
///
///     fn check(config: Config) -> Check {
///         Check::builder().step("endpoint is an address", || Request::get(&config.endpoint).map(|_| ())).build()
///     }
///
///     fn open(config: Config) -> Result<Self> {
///         Ok(Self { config })
///     }
///
///     fn write(&mut self, delivery: &Delivery) -> Result<Vec<Failure>> {
///         let mut failures = Vec::new();
///         for delivered in delivery.iter() {
///             let response = Request::post(&self.config.endpoint, delivered.record.value)?.send()?;
///             match response.status() {
///                 400 | 422 => failures.push(Failure::new(delivered.index, Error::data("refused"))),
///                 _ => response.error_for_status()?,
///             }
///         }
///         Ok(failures)
///     }
/// }
///
/// connector_sdk::export_sink!(Webhook);
/// # fn main() {}
/// ```
pub trait Sink: Sized + 'static {
    /// What the connector is; see [`spec!`](crate::spec).
    const SPEC: Spec;

    /// The connector's own section of a configuration file; see [`Source::Config`](crate::Source::Config).
    type Config: DeserializeOwned + JsonSchema;

    /// Tries what [`Sink::open`] and a first write would need, leaving nothing behind.
    fn check(config: Self::Config) -> Check;

    /// Starts writing.
    ///
    /// # Errors
    /// When the configuration can't work (kind `config`), or the other side is not there.
    fn open(config: Self::Config) -> Result<Self>;

    /// Delivers the records. Returning is the acknowledgement: `Ok` says that every record not listed as a
    /// failure is durable at the destination.
    ///
    /// # Errors
    /// An error says that nothing is known, and the whole delivery is handed in again.
    fn write(&mut self, delivery: &Delivery) -> Result<Vec<Failure>>;
}
