//! What an author of a transform writes: one type that implements [`Transform`], and
//! [`export_transform!`](crate::export_transform).

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::batch::Batch;
use crate::error::Result;
use crate::source::Spec;

/// One input that a transform refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its index in the input.
    pub index: usize,
    /// Why, in words.
    pub reason: String,
}

/// What became of a batch. An input that was neither kept nor refused was filtered out on purpose.
///
/// ```
/// let mut applied = connector_sdk::Applied::default();
/// applied.keep(0, None, b"shaped", None);
/// applied.refuse(2, "no number");
/// assert_eq!(applied.sources, [0]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The records that go on, in order.
    pub batch: Batch,
    /// For each of them, the index of the input it came from; never falling.
    pub sources: Vec<u32>,
    /// The inputs that could not be used, by rising index.
    pub refusals: Vec<Refusal>,
}

impl Applied {
    /// A record that goes on, made from the input at `index`. One input may give several.
    #[inline]
    pub fn keep(&mut self, index: usize, key: Option<&[u8]>, value: &[u8], timestamp: Option<i64>) {
        self.batch.push_record(key, value, timestamp);
        self.sources.push(index as u32);
    }

    /// The input at `index` can't be used.
    pub fn refuse(&mut self, index: usize, reason: impl Into<String>) {
        self.refusals.push(Refusal { index, reason: reason.into() });
    }
}

/// A stage between the two ends, as a component.
///
/// ```
/// use connector_sdk::{Applied, Batch, Result, Spec, Transform, spec};
///
/// /// Keeps the records that are long enough.
/// struct Longer(Config);
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     /// The fewest bytes.
///     than: usize,
/// }
///
/// impl Transform for Longer {
///     const SPEC: Spec = spec!("with");
///     type Config = Config;
///
///     fn open(config: Config) -> Result<Self> {
///         Ok(Self(config))
///     }
///
///     fn apply(&mut self, batch: &Batch) -> Result<Applied> {
///         let mut applied = Applied::default();
///         for (index, record) in batch.iter().enumerate().filter(|(_, record)| record.value.len() > self.0.than) {
///             applied.keep(index, record.key, record.value, record.timestamp);
///         }
///         Ok(applied)
///     }
/// }
///
/// connector_sdk::export_transform!(Longer);
/// # fn main() {}
/// ```
pub trait Transform: Sized + 'static {
    /// What the transform is; see [`spec!`](crate::spec). Its section is what stands under `with`.
    const SPEC: Spec;

    /// What the transform's entry has under `with`; see [`Source::Config`](crate::Source::Config).
    type Config: DeserializeOwned + JsonSchema;

    /// Prepares the stage.
    ///
    /// # Errors
    /// When the configuration can't work (kind `config`).
    fn open(config: Self::Config) -> Result<Self>;

    /// Puts a batch through. The host may replace the instance between any two calls, so nothing may depend
    /// on what earlier calls left in memory.
    ///
    /// # Errors
    /// When the stage failed as a whole; what it refuses record by record is in [`Applied::refusals`].
    fn apply(&mut self, batch: &Batch) -> Result<Applied>;
}
