//! Reading one partition, whatever happens.
//!
//! A fetcher keeps one number, the offset of the next record to hand over, and opens streams at it until it
//! is stopped. A stream is left, and the next opened at that number, when the connection breaks, when the
//! leader moves, when a batch is larger than a whole response, and when an offset is missing. Each response
//! ends where its bytes end: the batch that is cut off there is not acknowledged, so that the next response
//! begins with it. The acknowledgement goes out before the records are decoded: the storage unit reads ahead
//! while they are dealt with.
//!
//! A stream that says nothing for a while is asked for its offsets: no answer means that the other end is
//! gone, and an end behind our position that something got lost.

use std::time::Duration;

use bytes::Bytes;
use fluvio_spu_schema::Isolation;
use fluvio_spu_schema::fetch::FetchablePartitionResponse;
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsResponse;
use fluvio_spu_schema::server::stream_fetch::{StreamFetchRequest, StreamFetchResponse};
use fluvio_spu_schema::server::update_offset::{OffsetUpdate, UpdateOffsetsRequest};
use host_batch::Batch;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{ConsumerOptions, Event, Fetched};
use crate::backoff::Backoff;
use crate::connection::{Connection, Sent};
use crate::offsets::{self, LogOffsets};
use crate::producer::TOPIC_GRACE;
use crate::status::Status;
use crate::wire::RawBatches;
use crate::wire::decode::{Malformed, WireBatchRef, scan};
use crate::{Cluster, Error, ErrorCode};

/// A gap in the log is fetched again so often before it is believed.
const MAX_GAPS: u32 = 3;
/// Records are handed over once they take so many bytes decompressed, even if the response has more.
const HANDOVER_BYTES: usize = 4 << 20;

/// Reads one partition.
pub(super) struct Fetcher {
    cluster: Cluster,
    topic: String,
    partition: u32,
    position: i64,
    until: Option<i64>,
    max_bytes: u32,
    isolation: Isolation,
    request_timeout: Duration,
    out: mpsc::Sender<Result<Event, Error>>,
    backoff: Backoff,
    gaps: u32,
}

/// Why a stream was left.
enum Left {
    /// Everything that is wanted was handed over.
    Done,
    /// Nobody wants the records any more.
    Unwanted,
    /// To open another at the position, which may have been moved.
    Again,
}

impl Fetcher {
    pub(super) fn new(
        cluster: Cluster,
        options: &ConsumerOptions,
        partition: u32,
        position: i64,
        until: Option<i64>,
        out: mpsc::Sender<Result<Event, Error>>,
        status: Status,
    ) -> Self {
        Self {
            cluster,
            topic: options.topic.clone(),
            partition,
            position,
            until,
            max_bytes: options.max_bytes.clamp(1, i32::MAX as u32),
            isolation: options.isolation,
            request_timeout: options.request_timeout,
            out,
            backoff: Backoff::new(
                format!("consuming partition {partition} of topic {:?}", options.topic),
                partition,
                status,
            ),
            gaps: 0,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let last = match self.stream().await {
                Ok(Left::Again) => continue,
                Ok(Left::Unwanted) => return,
                Ok(Left::Done) => Ok(Event::End),
                Err(error) if error.is_retryable() => {
                    self.backoff.wait(&error).await;
                    continue;
                }
                Err(error) => Err(error),
            };
            // Nobody listening any more is as good an end as any.
            self.out.send(last).await.unwrap_or_default();
            return;
        }
    }

    fn is_done(&self) -> bool {
        self.until.is_some_and(|until| self.position >= until)
    }

    /// Opens a stream at the position and reads it for as long as it goes well.
    async fn stream(&mut self) -> Result<Left, Error> {
        if self.is_done() {
            return Ok(Left::Done);
        }
        let mut connection = match self.cluster.connect_to_leader(&self.topic, self.partition).await {
            // A controller that has just started may not know its topics yet.
            Err(Error::TopicNotFound { name: topic }) if self.backoff.waited() < TOPIC_GRACE => {
                return Err(Error::NoLeader { topic, partition: self.partition });
            }
            connected => connected?,
        };
        let log = self.log_offsets(&mut connection).await?;
        self.backoff.success();
        self.skip_deleted(log);
        let sent = connection.send(self.request(), None).await?;
        let mut asked: Option<Sent> = None;
        loop {
            if self.is_done() {
                return Ok(Left::Done);
            }
            let Ok(frame) = timeout(self.request_timeout, connection.receive()).await else {
                if asked.is_some() {
                    return Err(Error::Timeout {
                        address: connection.address().to_owned(),
                        request: "fetch offsets",
                        waited: self.request_timeout,
                    });
                }
                asked = Some(connection.send(offsets::request(&self.topic, &[self.partition]), None).await?);
                continue;
            };
            let (correlation, mut body) = frame?;
            if correlation == sent.correlation {
                asked = None;
                let response: StreamFetchResponse<RawBatches> = connection.decode(&mut body, sent)?;
                match self.response(&mut connection, response).await? {
                    Some(left) => return Ok(left),
                    None => continue,
                }
            }
            if let Some(question) = asked.take_if(|question| question.correlation == correlation) {
                let answer: FetchOffsetsResponse = connection.decode(&mut body, question)?;
                if self.find(&connection, &answer)?.end > self.position {
                    tracing::warn!(
                        topic = self.topic,
                        partition = self.partition,
                        position = self.position,
                        "the stream stalled, opening another"
                    );
                    return Ok(Left::Again);
                }
            }
        }
    }

    fn request(&self) -> StreamFetchRequest<RawBatches> {
        StreamFetchRequest::builder()
            .topic(self.topic.clone())
            .partition(self.partition)
            .fetch_offset(self.position)
            .max_bytes(self.max_bytes as i32)
            .isolation(self.isolation)
            .build()
            .expect("the builder only misses the topic, which is given")
    }

    /// Deals with one response; returns why the stream is to be left, if it is.
    async fn response(
        &mut self,
        connection: &mut Connection,
        response: StreamFetchResponse<RawBatches>,
    ) -> Result<Option<Left>, Error> {
        let StreamFetchResponse { stream_id, partition, .. } = response;
        let FetchablePartitionResponse { error_code, mut records, .. } = partition;
        let found = scan(records.0.pop().unwrap_or_else(Bytes::new)).map_err(|error| self.damaged(error))?;
        let (good, gap) = self.contiguous(found.batches);
        let before = self.position;
        if let Some(next) = good.last().map(|batch| batch.next_offset).filter(|_| gap.is_none() && error_code.is_ok()) {
            // No answer is waited for: it comes between the responses and is passed over there.
            let offsets = vec![OffsetUpdate { offset: next, session_id: stream_id }];
            connection.send(UpdateOffsetsRequest { offsets }, None).await?;
        }
        if !self.hand_over(good).await? {
            return Ok(Some(Left::Unwanted));
        }
        if self.position > before {
            self.gaps = 0;
        }
        if error_code.is_error() {
            return self.refused(connection, error_code).await.map(Some);
        }
        if let Some(found) = gap {
            return self.missing(connection, found).await.map(Some);
        }
        if self.position > before {
            return Ok(None);
        }
        if let Some(needed) = found.cut_off {
            let needed = u32::try_from(needed).unwrap_or(u32::MAX);
            self.max_bytes = self.max_bytes.saturating_mul(2).max(needed).min(i32::MAX as u32);
            tracing::debug!(
                topic = self.topic,
                partition = self.partition,
                max_bytes = self.max_bytes,
                "a batch is larger than a response, asking for more"
            );
        }
        Ok(Some(Left::Again))
    }

    /// The batches that continue at the position one after the other, and the offset at which the first one
    /// that doesn't begins.
    fn contiguous(&self, batches: Vec<WireBatchRef>) -> (Vec<WireBatchRef>, Option<i64>) {
        let mut expected = self.position;
        let mut good = Vec::with_capacity(batches.len());
        for batch in batches {
            if batch.base_offset > expected {
                return (good, Some(batch.base_offset));
            }
            if batch.next_offset > expected {
                expected = batch.next_offset;
                good.push(batch);
            }
        }
        (good, None)
    }

    /// Decodes the batches and hands them over; `false` when nobody takes them.
    async fn hand_over(&mut self, batches: Vec<WireBatchRef>) -> Result<bool, Error> {
        let until = self.until.unwrap_or(i64::MAX);
        let mut batches = batches.into_iter().peekable();
        while batches.peek().is_some() && !self.is_done() {
            let mut fetched = Fetched {
                partition: self.partition,
                first_offset: self.position,
                next_offset: self.position,
                batch: Batch::with_capacity(0, batches.peek().map_or(0, WireBatchRef::payload_len)),
            };
            // A batch that holds fewer records than offsets can only be the last one: records are counted on.
            let mut whole = true;
            while let Some(batch) = batches.next_if(|_| whole && fetched.batch.byte_len() < HANDOVER_BYTES) {
                let end = batch.next_offset.min(until);
                let read = batch
                    .read_into(fetched.next_offset, end, &mut fetched.batch)
                    .map_err(|error| self.damaged(error))?;
                whole = read as i64 == end.saturating_sub(fetched.next_offset);
                fetched.next_offset = end.max(fetched.next_offset);
            }
            self.position = fetched.next_offset;
            if !fetched.batch.is_empty() && self.out.send(Ok(Event::Fetched(fetched))).await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The storage unit refuses to go on: because our position is outside of its log, or for good.
    async fn refused(&mut self, connection: &mut Connection, code: ErrorCode) -> Result<Left, Error> {
        if matches!(code, ErrorCode::OffsetEvicted { .. } | ErrorCode::OffsetOutOfRange | ErrorCode::Other(_)) {
            let log = self.log_offsets(connection).await?;
            let before = self.position;
            self.skip_deleted(log);
            if self.position > log.end {
                tracing::warn!(
                    topic = self.topic,
                    partition = self.partition,
                    position = self.position,
                    end = log.end,
                    "the partition is shorter than it was: going on at its end"
                );
                self.position = log.end;
            }
            if self.position != before {
                return Ok(Left::Again);
            }
        }
        let (topic, partition) = (self.topic.clone(), self.partition);
        match code {
            ErrorCode::TopicNotFound | ErrorCode::TopicDeleted => Err(Error::TopicNotFound { name: topic }),
            code => Err(Error::server(
                format!("read partition {partition} of topic {topic:?} at offset {}", self.position),
                code,
            )),
        }
    }

    /// The records before `found` did not come: deleted, or to be fetched again.
    async fn missing(&mut self, connection: &mut Connection, found: i64) -> Result<Left, Error> {
        let log = self.log_offsets(connection).await?;
        let before = self.position;
        self.skip_deleted(log);
        if self.position == before {
            self.gaps += 1;
            if self.gaps > MAX_GAPS {
                return Err(self.damaged(Malformed(format!("the log goes on at offset {found}"))));
            }
            tracing::warn!(
                topic = self.topic,
                partition = self.partition,
                position = self.position,
                found,
                "records are missing from a response, fetching them again"
            );
        }
        Ok(Left::Again)
    }

    /// Moves the position to the beginning of the log, if that has passed it.
    fn skip_deleted(&mut self, log: LogOffsets) {
        if log.start > self.position {
            tracing::warn!(
                topic = self.topic,
                partition = self.partition,
                position = self.position,
                first = log.start,
                lost = log.start - self.position,
                "records were deleted by the topic's retention before they were consumed"
            );
            self.position = log.start;
        }
    }

    async fn log_offsets(&self, connection: &mut Connection) -> Result<LogOffsets, Error> {
        let answer = connection
            .call("fetch offsets", offsets::request(&self.topic, &[self.partition]), self.request_timeout)
            .await?;
        self.find(connection, &answer)
    }

    fn find(&self, connection: &Connection, answer: &FetchOffsetsResponse) -> Result<LogOffsets, Error> {
        let mut found = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let found = found.find(|found| found.partition_index == self.partition);
        offsets::checked(
            &self.topic,
            found.ok_or_else(|| connection.protocol("the answer leaves out the partition that was asked for"))?,
        )
    }

    fn damaged(&self, Malformed(reason): Malformed) -> Error {
        Error::Damaged { topic: self.topic.clone(), partition: self.partition, offset: self.position, reason }
    }
}
