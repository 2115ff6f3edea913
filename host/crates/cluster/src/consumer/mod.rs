//! Reading a topic, every record once and in order.
//!
//! Each partition has a [`fetcher`] task with a connection and a position of its own, which hands over one
//! response's records at a time and reads the next response only then: at most three responses a partition
//! are in memory. [`Consumer::next`] goes round the partitions that have something. Positions in the cluster
//! are the business of [`Committer`].
//!
//! The partitions are those that the topic has when the consumer is made; partitions added later are read
//! after a restart.

mod committer;
mod fetcher;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fluvio_spu_schema::Isolation;
use host_batch::Batch;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use committer::Committer;

use crate::offsets::LogOffsets;
use crate::status::Status;
use crate::{Cluster, Error};

/// Where to start reading a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// The oldest record there is.
    Beginning,
    /// The next record that comes.
    #[default]
    End,
    /// This very offset.
    Absolute(i64),
    /// So many records after the oldest.
    FromBeginning(u64),
    /// So many records before the end.
    FromEnd(u64),
}

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// The topic.
    pub topic: String,
    /// These partitions; all if there are none.
    pub partitions: Vec<u32>,
    /// Where to start, if the cluster doesn't know how far `consumer_id` got. If it does, that is where this
    /// consumer goes on, whatever `start` says.
    pub start: Start,
    /// The name under which the cluster keeps how far this consumer got.
    pub consumer_id: Option<String>,
    /// Partitions that start at this offset, whatever the cluster knows and `start` says.
    pub resume: BTreeMap<u32, i64>,
    /// How many bytes one response may have. More is asked for, once, where a single batch is larger.
    pub max_bytes: u32,
    /// Whether to read what only the leader has yet.
    pub isolation: Isolation,
    /// Stop at what was the end of each partition when the consumer was made.
    pub until_end: bool,
    /// How long a storage unit may be silent before it is asked whether it is still there, and how long it
    /// then has to answer before the connection is given up and another opened.
    pub request_timeout: Duration,
}

impl ConsumerOptions {
    /// Everything new in all partitions of a topic.
    #[must_use]
    pub fn new(topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            partitions: Vec::new(),
            start: Start::End,
            consumer_id: None,
            resume: BTreeMap::new(),
            max_bytes: 1 << 20,
            isolation: Isolation::ReadUncommitted,
            until_end: false,
            request_timeout: Duration::from_secs(30),
        }
    }
}

/// Records that follow each other in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The partition.
    pub partition: u32,
    /// The offset of the first record; the others follow one by one.
    pub first_offset: i64,
    /// Where this partition goes on: what to commit once these records are dealt with.
    pub next_offset: i64,
    /// The records.
    pub batch: Batch,
}

/// Reads a topic. Dropped, it stops reading at once.
#[derive(Debug)]
pub struct Consumer {
    topic: String,
    lanes: Vec<Lane>,
    turn: usize,
    committer: Committer,
    status: Status,
    /// Ends with the last consumer that reads from one of them.
    fetchers: Arc<JoinSet<()>>,
}

/// What comes from one partition's fetcher.
#[derive(Debug)]
struct Lane {
    partition: u32,
    start: i64,
    events: mpsc::Receiver<Result<Event, Error>>,
}

/// What a fetcher has to say.
#[derive(Debug)]
enum Event {
    /// Records.
    Fetched(Fetched),
    /// All that was wanted has been handed over.
    End,
}

impl Cluster {
    /// A consumer; one try.
    ///
    /// # Errors
    /// When there is no such topic or partition, the start lies outside of a partition's log, or the cluster
    /// can't be reached.
    pub async fn consumer(&self, options: ConsumerOptions) -> Result<Consumer, Error> {
        let topic = options.topic.as_str();
        let info = self.topic(topic).await?;
        let partitions =
            if options.partitions.is_empty() { (0..info.partitions).collect() } else { options.partitions.clone() };
        let logs = self.log_offsets(topic, &partitions).await?;
        let stored = match &options.consumer_id {
            Some(id) => self.consumer_offsets(Some(id)).await?,
            None => Vec::new(),
        };
        let status = Status::default();
        let mut fetchers = JoinSet::new();
        let mut lanes = Vec::with_capacity(logs.len());
        for (&partition, &log) in &logs {
            let known = stored.iter().find(|found| found.topic == topic && found.partition == partition);
            let known = options.resume.get(&partition).copied().or(known.map(|found| found.next_offset));
            let position = position(topic, partition, log, options.start, known)?;
            let (sender, events) = mpsc::channel(1);
            let until = options.until_end.then_some(log.end);
            fetchers.spawn(
                fetcher::Fetcher::new(self.clone(), &options, partition, position, until, sender, status.clone()).run(),
            );
            lanes.push(Lane { partition, start: position, events });
        }
        let committer = Committer::new(self.clone(), topic, options.consumer_id.clone(), logs.keys().copied());
        let (topic, fetchers) = (topic.to_owned(), Arc::new(fetchers));
        Ok(Consumer { topic, lanes, turn: 0, committer, status, fetchers })
    }
}

impl Consumer {
    /// The next records of any partition, each partition in its turn; nothing when everything was read that
    /// [`until_end`](ConsumerOptions::until_end) asks for. May be cancelled without losing records.
    ///
    /// While the cluster is away this waits, logs and tries again for ever.
    ///
    /// # Errors
    /// What no waiting mends: a topic that is gone, a log that is damaged. The consumer is of no use then.
    pub async fn next(&mut self) -> Result<Option<Fetched>, Error> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Fetched>, Error>> {
        let mut visited = 0;
        while visited < self.lanes.len() {
            let index = self.turn % self.lanes.len();
            match self.lanes[index].events.poll_recv(context) {
                Poll::Pending => {
                    visited += 1;
                    self.turn = index + 1;
                }
                Poll::Ready(Some(Ok(Event::Fetched(fetched)))) => {
                    self.turn = index + 1;
                    return Poll::Ready(Ok(Some(fetched)));
                }
                Poll::Ready(Some(Ok(Event::End))) => {
                    self.lanes.remove(index);
                    self.turn = index;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => {
                    let partition = self.lanes[index].partition;
                    return Poll::Ready(Err(Error::ReaderGone { partition }));
                }
            }
        }
        if self.lanes.is_empty() { Poll::Ready(Ok(None)) } else { Poll::Pending }
    }

    /// Stores in the cluster that all records of a partition before `next_offset` are dealt with; see
    /// [`Committer::commit`].
    ///
    /// # Errors
    /// As [`Committer::commit`].
    pub async fn commit(&self, partition: u32, next_offset: i64) -> Result<(), Error> {
        self.committer.commit(partition, next_offset).await
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partitions that are still read, and where the reading of each began.
    #[must_use]
    pub fn starts(&self) -> BTreeMap<u32, i64> {
        self.lanes.iter().map(|lane| (lane.partition, lane.start)).collect()
    }

    /// Splits it into as many consumers as there are partitions, but at most so many: each reads some of the
    /// partitions, and none waits for another.
    #[must_use]
    pub fn split(self, most: usize) -> Vec<Self> {
        let Self { topic, lanes, committer, status, fetchers, .. } = self;
        let consumer = |_| Self {
            topic: topic.clone(),
            lanes: Vec::new(),
            turn: 0,
            committer: committer.clone(),
            status: status.clone(),
            fetchers: Arc::clone(&fetchers),
        };
        let count = most.clamp(1, lanes.len().max(1));
        let mut consumers: Vec<Self> = (0..count).map(consumer).collect();
        for (index, lane) in lanes.into_iter().enumerate() {
            consumers[index % count].lanes.push(lane);
        }
        consumers
    }

    /// What commits, for use beside [`next`](Self::next), from another task if need be.
    #[must_use]
    pub fn committer(&self) -> Committer {
        self.committer.clone()
    }

    /// Whether it is connected or waits, for showing it.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.clone()
    }
}

/// Where to start, given the log and how far the cluster says the consumer got.
fn position(topic: &str, partition: u32, log: LogOffsets, start: Start, stored: Option<i64>) -> Result<i64, Error> {
    let LogOffsets { start: first, end } = log;
    let clamp = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    if let Some(stored) = stored {
        if stored < first {
            tracing::warn!(
                topic,
                partition,
                stored,
                first,
                lost = first - stored,
                "records were deleted by the topic's retention before they were consumed"
            );
        } else if stored > end {
            tracing::warn!(
                topic,
                partition,
                stored,
                end,
                "the stored offset lies behind the end of the partition, which must have been made anew: going on at its end"
            );
        }
        return Ok(stored.clamp(first, end));
    }
    match start {
        Start::Beginning => Ok(first),
        Start::End => Ok(end),
        Start::FromBeginning(count) => Ok(first.saturating_add(clamp(count)).min(end)),
        Start::FromEnd(count) => Ok(end.saturating_sub(clamp(count)).max(first)),
        Start::Absolute(offset) if (first..=end).contains(&offset) => Ok(offset),
        Start::Absolute(offset) => {
            Err(Error::StartOutOfRange { topic: topic.to_owned(), partition, offset, start: first, end })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_start_finds_its_offset() {
        let log = LogOffsets { start: 10, end: 20 };
        let at = |start, stored| position("t", 0, log, start, stored).expect("in range");
        assert_eq!(at(Start::Beginning, None), 10);
        assert_eq!(at(Start::End, None), 20);
        assert_eq!(at(Start::FromBeginning(3), None), 13);
        assert_eq!(at(Start::FromBeginning(u64::MAX), None), 20);
        assert_eq!(at(Start::FromEnd(3), None), 17);
        assert_eq!(at(Start::FromEnd(u64::MAX), None), 10);
        assert_eq!(at(Start::Absolute(20), None), 20);
        assert!(matches!(
            position("t", 0, log, Start::Absolute(9), None),
            Err(Error::StartOutOfRange { start: 10, .. })
        ));
    }

    #[test]
    fn a_stored_offset_goes_before_the_start_and_stays_within_the_log() {
        let log = LogOffsets { start: 10, end: 20 };
        for (stored, expected) in [(15, 15), (3, 10), (20, 20), (99, 20)] {
            for start in [Start::Beginning, Start::End, Start::Absolute(4), Start::FromEnd(1)] {
                assert_eq!(position("t", 0, log, start, Some(stored)).expect("in range"), expected);
            }
        }
    }
}
