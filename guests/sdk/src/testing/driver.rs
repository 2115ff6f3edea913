//! Drives a source, a sink or a transform as the host does.

use std::time::Duration;

use serde_json::Value;

use crate::batch::{Batch, Record};
use crate::error::Result;
use crate::export::{Reader, Stage, Writer};
use crate::sink::{Delivery, Failure, Sink};
use crate::source::{Limit, Source};
use crate::transform::{Applied, Transform};

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

/// A sink under test, opened from JSON and handed records as the host hands them.
///
/// ```no_run
/// # use connector_sdk::{Sink, testing::SinkDriver};
/// # fn test<MySink: Sink>() -> connector_sdk::Result<()> {
/// let mut driver = SinkDriver::<MySink>::open(serde_json::json!({"endpoint": "http://a.example"}))?;
/// let failures = driver.write(["one", "two"].into_iter().collect())?;
/// assert!(failures.is_empty());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct SinkDriver<S> {
    writer: Writer<S>,
    next_offset: i64,
}

impl<S: Sink> SinkDriver<S> {
    /// Opens the sink with this section of a configuration.
    ///
    /// # Errors
    /// What the sink returns, and `config` when the section does not fit.
    #[expect(clippy::needless_pass_by_value, reason = "tests pass `json!` literals")]
    pub fn open(config: Value) -> Result<Self> {
        Ok(Self { writer: Writer::start(&config.to_string())?, next_offset: 0 })
    }

    /// Hands over records of partition 0 of the topic `test`, with offsets that count on from write to write.
    ///
    /// # Errors
    /// What the sink returns.
    pub fn write(&mut self, batch: Batch) -> Result<Vec<Failure>> {
        let first = self.next_offset;
        self.next_offset += batch.len() as i64;
        let offsets = (first..self.next_offset).collect();
        self.deliver(&Delivery { batch, topic: "test".to_owned(), partition: 0, offsets, parts: Vec::new() })
    }

    /// Hands over this very delivery.
    ///
    /// # Errors
    /// What the sink returns.
    pub fn deliver(&mut self, delivery: &Delivery) -> Result<Vec<Failure>> {
        self.writer.deliver(delivery)
    }
}

/// A transform under test, opened from JSON.
#[derive(Debug)]
pub struct TransformDriver<T>(Stage<T>);

impl<T: Transform> TransformDriver<T> {
    /// Opens the transform with what would stand under `with`.
    ///
    /// # Errors
    /// What the transform returns, and `config` when the configuration does not fit.
    #[expect(clippy::needless_pass_by_value, reason = "tests pass `json!` literals")]
    pub fn open(config: Value) -> Result<Self> {
        Stage::start(&config.to_string()).map(Self)
    }

    /// Puts a batch through.
    ///
    /// # Errors
    /// What the transform returns.
    pub fn apply(&mut self, batch: &Batch) -> Result<Applied> {
        self.0.put_through(batch)
    }
}
