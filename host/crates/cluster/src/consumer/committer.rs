//! Keeping a consumer's positions in the cluster.
//!
//! A storage unit takes a consumer's offset only over a connection that has a stream of that partition open
//! in the consumer's name, and tells the stream's number only with its first response. Streams at the end of
//! a partition have none, so commits have a stream of their own, opened a record back: it answers at once,
//! with a few bytes that nobody looks at, and is never asked for more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fluvio_spu_schema::server::consumer_offset::UpdateConsumerOffsetRequest;
use fluvio_spu_schema::server::stream_fetch::{OFFSET_MANAGEMENT_API, StreamFetchRequest, StreamFetchResponse};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::backoff::Backoff;
use crate::connection::Connection;
use crate::status::Status;
use crate::wire::RawBatches;
use crate::{Cluster, Error, ErrorCode};

/// How long a storage unit may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// The response that opens a stream is not read: it may be this short.
const STREAM_BYTES: i32 = 512;
/// How often an answer without a code of its own, such as "another storage unit did not answer", is retried.
const MAX_VAGUE_REFUSALS: u32 = 8;

/// Commits positions of a consumer; cheap to clone.
#[derive(Clone)]
pub struct Committer(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    topic: String,
    consumer_id: Option<String>,
    partitions: HashMap<u32, Mutex<Session>>,
}

/// The stream in whose name one partition's offsets are committed.
#[derive(Default)]
struct Session {
    open: Option<(Connection, u32)>,
    committed: Option<i64>,
}

impl Committer {
    pub(super) fn new(
        cluster: Cluster,
        topic: &str,
        consumer_id: Option<String>,
        partitions: impl Iterator<Item = u32>,
    ) -> Self {
        let partitions = partitions.map(|partition| (partition, Mutex::default())).collect();
        Self(Arc::new(Inner { cluster, topic: topic.to_owned(), consumer_id, partitions }))
    }

    /// Stores in the cluster that all records of a partition before `next_offset` are dealt with, and returns
    /// when the cluster has it. A consumer of the same id then starts there.
    ///
    /// While the cluster is away this waits, logs and tries again for ever.
    ///
    /// # Errors
    /// When the consumer has no id or doesn't read the partition, or the cluster refuses.
    pub async fn commit(&self, partition: u32, next_offset: i64) -> Result<(), Error> {
        let inner = &*self.0;
        let not_managed = |reason| Error::NotManaged { topic: inner.topic.clone(), partition, reason };
        let consumer_id = inner.consumer_id.as_deref().ok_or_else(|| not_managed("the consumer has no id"))?;
        let session = inner.partitions.get(&partition).ok_or_else(|| not_managed("this consumer doesn't read it"))?;
        let mut session = session.lock().await;
        let next_offset = next_offset.max(0);
        if session.committed == Some(next_offset) {
            return Ok(());
        }
        let what = format!("committing offset {next_offset} of partition {partition} of topic {:?}", inner.topic);
        let mut backoff = Backoff::new(what, partition, Status::default());
        loop {
            match inner.attempt(&mut session, consumer_id, partition, next_offset).await {
                Ok(()) => {
                    backoff.success();
                    session.committed = Some(next_offset);
                    return Ok(());
                }
                Err(error) if error.is_retryable() || (is_vague(&error) && backoff.attempts() < MAX_VAGUE_REFUSALS) => {
                    backoff.wait(&error).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Inner {
    async fn attempt(
        &self,
        session: &mut Session,
        consumer_id: &str,
        partition: u32,
        next_offset: i64,
    ) -> Result<(), Error> {
        let (mut connection, session_id) = match session.open.take() {
            Some(open) => open,
            None => self.open(consumer_id, partition, next_offset - 1).await?,
        };
        let request = UpdateConsumerOffsetRequest { offset: next_offset - 1, session_id };
        let answer = connection.call("update consumer offset", request, ANSWER_TIMEOUT).await?;
        match answer.error_code {
            ErrorCode::None => {
                session.open = Some((connection, session_id));
                Ok(())
            }
            code => Err(Error::server(format!("store the offset of consumer {consumer_id:?}"), code)),
        }
    }

    /// Opens a stream at a record that exists; returns its connection and number.
    async fn open(&self, consumer_id: &str, partition: u32, offset: i64) -> Result<(Connection, u32), Error> {
        let mut connection = self.cluster.connect_to_leader(&self.topic, partition).await?;
        let request = StreamFetchRequest::<RawBatches>::builder()
            .topic(self.topic.clone())
            .partition(partition)
            .fetch_offset(offset)
            .max_bytes(STREAM_BYTES)
            .consumer_id(Some(consumer_id.to_owned()))
            .build();
        let request = request.map_err(|error| connection.protocol(error.to_string()))?;
        let version = connection.version::<StreamFetchRequest<RawBatches>>();
        if version.is_some_and(|version| version < OFFSET_MANAGEMENT_API) {
            return Err(Error::Incompatible {
                address: connection.address().to_owned(),
                request: "managed consumer offsets",
            });
        }
        let answer = timeout(ANSWER_TIMEOUT, async {
            let sent = connection.send(request, version).await?;
            loop {
                let (correlation, mut body) = connection.receive().await?;
                if correlation == sent.correlation {
                    return connection.decode::<StreamFetchResponse<RawBatches>>(&mut body, sent);
                }
            }
        });
        let answer = answer.await.unwrap_or_else(|_| {
            Err(Error::Timeout {
                address: connection.address().to_owned(),
                request: "stream fetch",
                waited: ANSWER_TIMEOUT,
            })
        })?;
        match answer.partition.error_code {
            // The record may be gone or unreadable: the stream's number is good all the same.
            ErrorCode::None | ErrorCode::OffsetEvicted { .. } | ErrorCode::OffsetOutOfRange | ErrorCode::Other(_) => {
                Ok((connection, answer.stream_id))
            }
            code => Err(Error::server(format!("open a stream for consumer {consumer_id:?}"), code)),
        }
    }
}

fn is_vague(error: &Error) -> bool {
    matches!(error, Error::Server { code: ErrorCode::Other(_), .. })
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer")
            .field("topic", &self.0.topic)
            .field("consumer_id", &self.0.consumer_id)
            .finish_non_exhaustive()
    }
}
