//! The pipeline's ends, made of a component and of the cluster.

use async_trait::async_trait;
use host_batch::Batch;
use host_cluster::{Cluster, Producer, ProducerOptions};
use host_connector::{Component, ErrorKind, Reader, Sandbox};
use host_pipeline::ends::{Limit, OpenSource, Output, Read, Source};
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
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn fault(error: host_connector::Error) -> Fault {
    let kind = match error.kind() {
        ErrorKind::Config => FaultKind::Config,
        ErrorKind::Auth => FaultKind::Auth,
        ErrorKind::Unreachable => FaultKind::Unreachable,
        ErrorKind::Throttled => FaultKind::Throttled,
        ErrorKind::Data => FaultKind::Data,
        ErrorKind::Internal => FaultKind::Internal,
    };
    Fault { kind, message: error.to_string(), retry_after: error.retry_after() }
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
