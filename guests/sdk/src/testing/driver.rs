//! Drives a source as the host does.

use std::time::Duration;

use serde_json::Value;

use crate::batch::{Batch, Record};
use crate::error::Result;
use crate::export::Reader;
use crate::source::{Limit, Source};

/// A source under test, opened from JSON and asked for records as the host asks.
///
/// ```no_run
/// # use connector_sdk::{Source, testing::SourceDriver};
/// # fn test<MySource: Source>() -> connector_sdk::Result<()> {
/// let mut driver = SourceDriver::<MySource>::open(serde_json::json!({"endpoint": "http://a.example"}), None)?;
/// let first = driver.read()?;
/// assert_eq!(first.values(), ["one", "two"]);
/// // As after a crash: a new instance, from the last durable cursor.
/// let driver = SourceDriver::<MySource>::open(serde_json::json!({}), Some(&first.cursor))?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct SourceDriver<S> {
    reader: Reader<S>,
    /// What is passed to [`Source::read`]; 1000 records, 1 MiB and one second unless changed.
    pub limit: Limit,
}

/// What one read gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOutcome {
    /// The records.
    pub batch: Batch,
    /// The cursor as the host stores it; empty when there is nothing new to remember.
    pub cursor: Vec<u8>,
    /// Whether the source has ended.
    pub end: bool,
}

impl ReadOutcome {
    /// The records, copied out.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.batch.records()
    }

    /// The values as text, with a replacement for what is none.
    #[must_use]
    pub fn values(&self) -> Vec<String> {
        let text = |record: Record| String::from_utf8_lossy(&record.value).into_owned();
        self.batch.records().into_iter().map(text).collect()
    }
}

impl<S: Source> SourceDriver<S> {
    /// Opens the source with this section of a configuration, and the cursor of an earlier run.
    ///
    /// # Errors
    /// What the source returns, and `config` when the section does not fit.
    #[expect(clippy::needless_pass_by_value, reason = "tests pass `json!` literals")]
    pub fn open(config: Value, cursor: Option<&[u8]>) -> Result<Self> {
        let reader = Reader::start(&config.to_string(), cursor)?;
        Ok(Self { reader, limit: Limit { max_records: 1000, max_bytes: 1 << 20, max_wait: Duration::from_secs(1) } })
    }

    /// One read.
    ///
    /// # Errors
    /// What the source returns.
    pub fn read(&mut self) -> Result<ReadOutcome> {
        let (batch, cursor, end) = self.reader.next(self.limit)?;
        Ok(ReadOutcome { batch, cursor, end })
    }

    /// Reads until there is a record, a cursor, or the end.
    ///
    /// # Errors
    /// What the source returns.
    ///
    /// # Panics
    /// After a thousand reads without anything.
    pub fn read_some(&mut self) -> Result<ReadOutcome> {
        for _ in 0..1000 {
            let outcome = self.read()?;
            if !outcome.batch.is_empty() || !outcome.cursor.is_empty() || outcome.end {
                return Ok(outcome);
            }
        }
        panic!("a thousand reads gave nothing");
    }

    /// Tells the source that everything up to this cursor is durable.
    ///
    /// # Errors
    /// What the source returns.
    pub fn commit(&mut self, cursor: &[u8]) -> Result<()> {
        self.reader.acknowledge(cursor)
    }
}
