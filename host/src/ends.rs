//! The pipeline's ends, made of a component and of the cluster.

use async_trait::async_trait;
use host_batch::Batch;
use host_cluster::{Cluster, Committer, Consumer, Producer, ProducerOptions};
use host_connector::{Component, ErrorKind, GuestError, Reader, Sandbox, Writer};
use host_pipeline::ends::{
    Delivery, Failure as Undelivered, Fetched, Input, Limit, OpenSink, OpenSource, Output, Positions, Read, Sink,
    Source,
};
use host_pipeline::{Fault, FaultKind};

use crate::failure::{Failure, Outcome};

/// Opens readers of a source component.
pub(crate) struct ComponentSource {
    pub(crate) component: Component,
    pub(crate) sandbox: Sandbox,
    /// The connector's section as JSON text.
    pub(crate) section: String,
}

#[async_trait]
impl OpenSource for ComponentSource {
    async fn open(&mut self, cursor: Option<&[u8]>) -> Result<Box<dyn Source>, Fault> {
        let cursor = cursor.map(<[u8]>::to_vec);
        let reader = Reader::open(&self.component, &self.sandbox, &self.section, cursor).await.map_err(fault)?;
        Ok(Box::new(ComponentReader(reader)))
    }
}

struct ComponentReader(Reader);

#[async_trait]
impl Source for ComponentReader {
    async fn read(&mut self, limit: Limit) -> Result<Read, Fault> {
        let Limit { max_records, max_bytes, max_wait } = limit;
        let limit = host_connector::Limit { max_records, max_bytes, max_wait };
        let outcome = self.0.read(limit).await.map_err(fault)?;
        Ok(Read { batch: outcome.batch, cursor: outcome.cursor, end: outcome.end })
    }

    async fn commit(&mut self, cursor: &[u8]) -> Result<(), Fault> {
        self.0.commit(cursor).await.map_err(fault)
    }

    async fn close(self: Box<Self>) {
        self.0.close().await;
    }
}

/// Opens writers of a sink component.
pub(crate) struct ComponentSink {
    pub(crate) component: Component,
    pub(crate) sandbox: Sandbox,
    /// The connector's section as JSON text.
    pub(crate) section: String,
}

#[async_trait]
impl OpenSink for ComponentSink {
    async fn open(&self) -> Result<Box<dyn Sink>, Fault> {
        let writer = Writer::open(&self.component, &self.sandbox, &self.section).await.map_err(fault)?;
        Ok(Box::new(ComponentWriter(writer)))
    }
}

struct ComponentWriter(Writer);

#[async_trait]
impl Sink for ComponentWriter {
    async fn write(&mut self, delivery: &Delivery) -> Result<Vec<Undelivered>, Fault> {
        let Delivery { batch, topic, partition, offsets, parts } = delivery;
        let handed = host_connector::Delivery { batch, topic, partition: *partition, offsets, parts };
        let failures = self.0.write(handed).await.map_err(fault)?;
        let undelivered = |failure: host_connector::Failure| {
            let GuestError { kind, message, retry_after } = failure.error;
            Undelivered { index: failure.index, fault: Fault { kind: fault_kind(kind), message, retry_after } }
        };
        Ok(failures.into_iter().map(undelivered).collect())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn fault(error: host_connector::Error) -> Fault {
    Fault { kind: fault_kind(error.kind()), message: error.to_string(), retry_after: error.retry_after() }
}

fn fault_kind(kind: ErrorKind) -> FaultKind {
    match kind {
        ErrorKind::Config => FaultKind::Config,
        ErrorKind::Auth => FaultKind::Auth,
        ErrorKind::Unreachable => FaultKind::Unreachable,
        ErrorKind::Throttled => FaultKind::Throttled,
        ErrorKind::Data => FaultKind::Data,
        ErrorKind::Internal => FaultKind::Internal,
    }
}

/// A topic of the cluster.
pub(crate) struct Topic(pub(crate) Producer);

impl Topic {
    /// Gets ready to write to a topic.
    pub(crate) async fn open(cluster: &Cluster, topic: &str, options: ProducerOptions) -> Outcome<Self> {
        cluster.producer(topic, options).await.map(Self).map_err(Failure::failed)
    }
}

#[async_trait]
impl Output for Topic {
    fn name(&self) -> &str {
        self.0.topic()
    }

    async fn send(&mut self, batch: &Batch) -> Result<(), Fault> {
        self.0.send(batch).await.map_err(|error| Fault::new(FaultKind::Config, error.to_string()))
    }
}

/// Some partitions of a topic, to be read.
pub(crate) struct TopicInput(pub(crate) Consumer);

#[async_trait]
impl Input for TopicInput {
    fn topic(&self) -> &str {
        self.0.topic()
    }

    async fn next(&mut self) -> Result<Option<Fetched>, Fault> {
        let fetched = self.0.next().await.map_err(|error| Fault::new(FaultKind::Config, error.to_string()))?;
        Ok(fetched.map(|host_cluster::Fetched { partition, first_offset, next_offset, batch }| Fetched {
            partition,
            first_offset,
            next_offset,
            batch,
        }))
    }
}

/// How far a sink got, kept by the cluster.
pub(crate) struct Offsets(pub(crate) Committer);

#[async_trait]
impl Positions for Offsets {
    async fn commit(&self, partition: u32, next_offset: i64) -> Result<(), Fault> {
        let committed = self.0.commit(partition, next_offset).await;
        committed.map_err(|error| Fault::new(FaultKind::Config, error.to_string()))
    }
}
