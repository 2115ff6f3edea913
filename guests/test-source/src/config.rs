//! The section `test` of a configuration file.

use connector_sdk::units::{ByteSize, Duration};
use connector_sdk::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// What is made, how many, and how fast.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many records to make; then the run ends. Without it, it goes on for ever.
    #[serde(default)]
    pub count: Option<u64>,

    /// Time from one record to the next; `0s`: as fast as it goes. 1s unless given.
    #[serde(default)]
    pub interval: Option<Duration>,

    /// The same in milliseconds, as the first test-connector had it.
    #[serde(default)]
    pub timeout: Option<u64>,

    /// Bytes of each record. Without a template a record is its number, with leading zeros (at most 20
    /// digits), and letters up to the size; with one, spaces follow what it makes.
    #[serde(default)]
    pub size: Option<ByteSize>,

    /// The record's text. `{{n}}` is its number, counted from 0, `{{now}}` the time in milliseconds since
    /// 1970. Without it, `record {{n}}`.
    #[serde(default)]
    pub template: Option<String>,

    /// The record's key, written like the template. Without it records have none.
    #[serde(default)]
    pub key: Option<String>,

    /// The topic, which the first test-connector wanted repeated here; not used.
    #[serde(default)]
    #[schemars(extend("deprecated" = true))]
    pub topic: Option<String>,
}

impl Config {
    /// Time from one record to the next.
    ///
    /// # Errors
    /// Kind `config` when it is given twice.
    pub fn interval(&self) -> Result<std::time::Duration> {
        match (self.interval, self.timeout) {
            (Some(_), Some(_)) => Err(Error::config(
                "`test.timeout` and `test.interval` mean the same (milliseconds, and `1s` or the like); give one",
            )),
            (Some(interval), None) => Ok(interval.get()),
            (None, Some(millis)) => Ok(std::time::Duration::from_millis(millis)),
            (None, None) => Ok(std::time::Duration::from_secs(1)),
        }
    }
}
