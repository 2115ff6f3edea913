//! Sending records to a topic, acknowledged and in order.
//!
//! [`Producer::send`] turns a batch into wire batches, one queue a partition, and empties the queues towards
//! the partitions' leaders: all leaders at once, one request at a time to each. A queue's head leaves it only
//! when the leader has acknowledged it, so whatever happens in between, what is sent again is what was not
//! acknowledged, in the same order. A request whose answer got lost may have been stored: those records are
//! then in the topic twice.
//!
//! A request carries one record set a partition. The published client sends one a batch instead, which a
//! storage unit may refuse and accept independently, out of order.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::marker::PhantomData;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fluvio_spu_schema::Isolation;
use fluvio_spu_schema::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use futures_util::future::join_all;
use host_batch::Batch;

use crate::backoff::Backoff;
use crate::connection::Connection;
use crate::leaders::Leaders;
use crate::partitioner::Partitioner;
use crate::status::Status;
use crate::target::Endpoint;
use crate::topics::TopicCompression;
use crate::wire::RawBatches;
use crate::wire::encode::{BatchWriter, single_size};
use crate::{Cluster, Compression, Error, ErrorCode};

/// How long a topic may be missing, say while the controller restarts, before that is taken as final.
pub(crate) const TOPIC_GRACE: Duration = Duration::from_secs(10);
/// How long replicas may take to confirm a request that asks for that.
const REPLICATION_TIMEOUT: Duration = Duration::from_secs(10);

/// How to produce.
#[derive(Debug, Clone)]
pub struct ProducerOptions {
    /// How to compress; by default as the topic asks, or not at all.
    pub compression: Option<Compression>,
    /// How large a wire batch may grow, in bytes before compression. Published clients, when they read a
    /// backlog, lose the batch that a response's end cuts off: the smaller batches are, the less they lose.
    pub batch_size: usize,
    /// How large a request, and with it a record, may be, in bytes.
    pub max_request_size: usize,
    /// Whether an acknowledgement means that the leader has the records (`ReadUncommitted`), or that enough
    /// replicas have (`ReadCommitted`).
    pub isolation: Isolation,
    /// Send everything to this partition.
    pub partition: Option<u32>,
    /// How long to wait for an acknowledgement before the connection is given up and the request sent again.
    pub request_timeout: Duration,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            compression: None,
            batch_size: 64 << 10,
            max_request_size: 1 << 20,
            isolation: Isolation::ReadUncommitted,
            partition: None,
            request_timeout: Duration::from_secs(30),
        }
    }
}

/// Sends batches to one topic.
pub struct Producer {
    cluster: Cluster,
    topic: String,
    options: ProducerOptions,
    compression: Compression,
    leaders: Leaders,
    stale: bool,
    missing_since: Option<Instant>,
    partitioner: Partitioner,
    connections: HashMap<i32, Connection>,
    backoff: Backoff,
    status: Status,
}

/// Wire batches of one partition.
type Queue = VecDeque<Bytes>;

impl Cluster {
    /// A producer for a topic; one try.
    ///
    /// # Errors
    /// When there is no such topic or partition, the topic wants another compression, or the cluster can't
    /// be reached.
    pub async fn producer(&self, topic: &str, options: ProducerOptions) -> Result<Producer, Error> {
        let info = self.topic(topic).await?;
        let compression = agree(topic, &info.compression, options.compression)?;
        if let Some(partition) = options.partition.filter(|&partition| partition >= info.partitions) {
            return Err(Error::PartitionNotFound { topic: topic.to_owned(), partition, partitions: info.partitions });
        }
        let status = Status::default();
        let leaders = self.leaders(topic).await?;
        Ok(Producer {
            cluster: self.clone(),
            topic: topic.to_owned(),
            options,
            compression,
            stale: leaders.partitions.is_empty(),
            leaders,
            missing_since: None,
            partitioner: Partitioner::default(),
            connections: HashMap::new(),
            backoff: Backoff::new(format!("producing to topic {topic:?}"), 0, status.clone()),
            status,
        })
    }
}

impl Producer {
    /// Sends all records of a batch, and returns when every one is acknowledged.
    ///
    /// While the cluster is away this waits, logs and tries again for ever. Cancelled, some of the records may
    /// have been stored and others not; so it is after an error.
    ///
    /// # Errors
    /// What no waiting mends: a record that is too large (then nothing of the batch was sent), a topic that
    /// is gone, a request that the cluster refuses.
    pub async fn send(&mut self, batch: &Batch) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        self.check_sizes(batch)?;
        let mut queues: Option<BTreeMap<u32, Queue>> = None;
        loop {
            match self.attempt(batch, &mut queues).await {
                Ok(()) => {
                    self.backoff.success();
                    return Ok(());
                }
                Err(error) if error.is_retryable() => {
                    self.stale = true;
                    self.backoff.wait(&error).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether it is connected or waits, for showing it.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    fn check_sizes(&self, batch: &Batch) -> Result<(), Error> {
        let limit = self.options.max_request_size;
        let too_large = |(_, size): &(usize, usize)| *size > limit;
        let sizes = batch.iter().map(|record| single_size(record.key, record.value)).enumerate();
        match sizes.into_iter().find(too_large) {
            Some((index, size)) => Err(Error::RecordTooLarge { index, size, limit }),
            None => Ok(()),
        }
    }

    /// Sends what is left, until all is acknowledged or something fails.
    async fn attempt(&mut self, batch: &Batch, queues: &mut Option<BTreeMap<u32, Queue>>) -> Result<(), Error> {
        if self.stale {
            self.refresh().await?;
        }
        let queues = match queues {
            Some(queues) => queues,
            None => queues.insert(self.encode(batch)?),
        };
        let known = self.leaders.partitions.len() as u32;
        if let Some(&partition) = queues.keys().find(|partition| !self.leaders.partitions.contains_key(partition)) {
            return Err(Error::PartitionNotFound { topic: self.topic.clone(), partition, partitions: known });
        }
        let groups = self.leaders.group(&self.topic, queues.keys().copied())?;
        let mut deliveries = Vec::with_capacity(groups.len());
        for (unit, partitions) in groups {
            let Some(endpoint) = partitions.first().and_then(|&first| self.leaders.of(first)).map(|(_, to)| to.clone())
            else {
                continue;
            };
            deliveries.push(Delivery {
                unit,
                endpoint,
                topic: &self.topic,
                options: &self.options,
                connection: self.connections.remove(&unit),
                queues: partitions.into_iter().filter_map(|partition| queues.remove_entry(&partition)).collect(),
            });
        }
        let mut failure: Option<Error> = None;
        for (unit, connection, rest, outcome) in join_all(deliveries.into_iter().map(Delivery::run)).await {
            queues.extend(rest);
            match outcome {
                Ok(()) => self.connections.extend(connection.map(|connection| (unit, connection))),
                // What retrying can't mend is told before what it can.
                Err(error) if failure.as_ref().is_none_or(Error::is_retryable) => failure = Some(error),
                Err(_) => {}
            }
        }
        failure.map_or(Ok(()), Err)
    }

    async fn refresh(&mut self) -> Result<(), Error> {
        let leaders = self.cluster.leaders(&self.topic).await?;
        if leaders.partitions.is_empty() {
            let since = *self.missing_since.get_or_insert_with(Instant::now);
            let name = self.topic.clone();
            return Err(if since.elapsed() > TOPIC_GRACE {
                Error::TopicNotFound { name }
            } else {
                Error::NoLeader { topic: name, partition: 0 }
            });
        }
        self.leaders = leaders;
        self.missing_since = None;
        self.stale = false;
        Ok(())
    }

    fn encode(&mut self, batch: &Batch) -> Result<BTreeMap<u32, Queue>, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let partitions = self.leaders.partitions.len() as u32;
        let fixed = self.options.partition.or((partitions == 1).then_some(0));
        let mut deal = self.partitioner.deal(batch.len(), partitions, &self.leaders.writable);
        let mut writers: BTreeMap<u32, BatchWriter> = BTreeMap::new();
        let new_writer =
            || BatchWriter::new(self.compression, self.options.batch_size.min(self.options.max_request_size));
        if let Some(partition) = fixed {
            let writer = writers.entry(partition).or_insert_with(new_writer);
            for record in batch {
                writer.push(record, now)?;
            }
        } else {
            for record in batch {
                let partition = deal.partition(record.key);
                writers.entry(partition).or_insert_with(new_writer).push(record, now)?;
            }
        }
        let queues = writers.into_iter().map(|(partition, writer)| Ok((partition, writer.into_batches()?.into())));
        queues.collect()
    }
}

/// The queues of one leader's partitions on their way there.
struct Delivery<'a> {
    unit: i32,
    endpoint: Endpoint,
    topic: &'a str,
    options: &'a ProducerOptions,
    connection: Option<Connection>,
    queues: Vec<(u32, Queue)>,
}

/// The leader, the connection to it if it is still good, what was not acknowledged, and why.
type Delivered = (i32, Option<Connection>, Vec<(u32, Queue)>, Result<(), Error>);

impl Delivery<'_> {
    async fn run(mut self) -> Delivered {
        let outcome = self.empty().await;
        (self.unit, self.connection, self.queues, outcome)
    }

    async fn empty(&mut self) -> Result<(), Error> {
        loop {
            let counts = self.next_request();
            if counts.is_empty() {
                return Ok(());
            }
            // The connection comes back only after a good answer: all others leave it in an unknown state.
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => Connection::open(&self.endpoint).await?,
            };
            let request = self.request(&counts);
            let answer = connection.call("produce", request, self.options.request_timeout).await?;
            self.acknowledge(&counts, &answer, &connection)?;
            self.connection = Some(connection);
        }
    }

    /// How many batches of each partition go into the next request: in turns, up to the request's size.
    fn next_request(&self) -> BTreeMap<u32, usize> {
        let mut counts = BTreeMap::new();
        let mut room = self.options.max_request_size;
        for turn in 0.. {
            let mut added = false;
            for (partition, queue) in &self.queues {
                if counts.get(partition).copied().unwrap_or(0) != turn {
                    continue;
                }
                let Some(size) = queue.get(turn).map(Bytes::len) else { continue };
                if size > room && !counts.is_empty() {
                    continue;
                }
                room = room.saturating_sub(size);
                counts.insert(*partition, turn + 1);
                added = true;
            }
            if !added {
                break;
            }
        }
        counts
    }

    fn request(&self, counts: &BTreeMap<u32, usize>) -> ProduceRequest<RawBatches> {
        let partitions = self.queues.iter().filter_map(|(partition, queue)| {
            let count = *counts.get(partition)?;
            let batches = queue.iter().take(count).cloned().collect();
            Some(PartitionProduceData { partition_index: *partition, records: RawBatches(batches) })
        });
        ProduceRequest {
            transactional_id: None,
            isolation: self.options.isolation,
            timeout: REPLICATION_TIMEOUT,
            topics: vec![TopicProduceData {
                name: self.topic.to_owned(),
                partitions: partitions.collect(),
                data: PhantomData,
            }],
            smartmodules: Vec::new(),
            data: PhantomData,
        }
    }

    /// Takes what the leader acknowledged out of the queues.
    fn acknowledge(
        &mut self,
        counts: &BTreeMap<u32, usize>,
        answer: &ProduceResponse,
        connection: &Connection,
    ) -> Result<(), Error> {
        let mut failure = None;
        for (partition, queue) in &mut self.queues {
            let Some(&count) = counts.get(partition) else { continue };
            let mut answers =
                answer.responses.iter().filter(|found| found.name == self.topic).flat_map(|found| &found.partitions);
            let Some(found) = answers.find(|found| found.partition_index == *partition) else {
                return Err(
                    connection.protocol(format!("the answer to a produce request leaves out partition {partition}"))
                );
            };
            if found.error_code.is_ok() {
                queue.drain(..count);
            } else {
                let error = match found.error_code.clone() {
                    ErrorCode::TopicNotFound | ErrorCode::TopicDeleted => {
                        Error::TopicNotFound { name: self.topic.to_owned() }
                    }
                    code => {
                        Error::server(format!("store records in partition {partition} of topic {:?}", self.topic), code)
                    }
                };
                if failure.as_ref().is_none_or(Error::is_retryable) {
                    failure = Some(error);
                }
            }
        }
        self.queues.retain(|(_, queue)| !queue.is_empty());
        failure.map_or(Ok(()), Err)
    }
}

/// The topic's word on compression goes before the producer's, which may only agree.
fn agree(topic: &str, wanted: &TopicCompression, configured: Option<Compression>) -> Result<Compression, Error> {
    let wanted_here = match wanted {
        TopicCompression::Any => return Ok(configured.unwrap_or_default()),
        TopicCompression::None => Compression::None,
        TopicCompression::Gzip => Compression::Gzip,
        TopicCompression::Snappy => Compression::Snappy,
        TopicCompression::Lz4 => Compression::Lz4,
        TopicCompression::Zstd => Compression::Zstd,
    };
    match configured.filter(|&configured| configured != wanted_here) {
        None => Ok(wanted_here),
        Some(configured) => Err(Error::CompressionMismatch {
            topic: topic.to_owned(),
            wanted: wanted.to_string(),
            configured: configured.to_string(),
        }),
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer")
            .field("topic", &self.topic)
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}
