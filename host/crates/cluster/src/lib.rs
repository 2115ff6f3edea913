//! The Fluvio cluster: topics, producer, consumer, offsets and SmartModules.
//!
//! Addresses, profiles and TLS are the published client's; all requests and answers are the published
//! protocol crates' types. The way of the data is our own, because the published client's can't keep this
//! project's promises: its producer gives up a batch that failed, its consumer skips the batch that is cut
//! off at the end of a response and, after a reconnect, resumes all partitions from one offset. Here
//!
//! * [`Producer::send`] returns when every record is acknowledged, and sends again, in order and for as long
//!   as it takes, whatever was not;
//! * [`Consumer::next`] hands out every record of every partition once, in order, whatever happens to the
//!   connection, and [`Consumer::commit`] keeps positions in the cluster as the `fluvio` command line does.
//!
//! Everything runs on the caller's tokio runtime. A lost connection is waited out inside `send`, `next` and
//! `commit`; all other calls try once and leave the rest to [`Error::is_retryable`].
//!
//! ```no_run
//! use host_cluster::{Cluster, ConsumerOptions, ProducerOptions, Target, TopicSpec};
//!
//! # async fn example() -> Result<(), host_cluster::Error> {
//! let cluster = Cluster::connect(Target::Address("127.0.0.1:9003".into())).await?;
//! cluster.create_topic(&TopicSpec::new("facts")).await?;
//! let mut producer = cluster.producer("facts", ProducerOptions::default()).await?;
//! producer.send(&[(None::<&str>, "cats sleep 16 hours a day")].into_iter().collect()).await?;
//!
//! let mut consumer = cluster.consumer(ConsumerOptions { until_end: true, ..ConsumerOptions::new("facts") }).await?;
//! while let Some(fetched) = consumer.next().await? {
//!     for (offset, record) in (fetched.first_offset..).zip(&fetched.batch) {
//!         println!("{}-{offset}: {}", fetched.partition, String::from_utf8_lossy(record.value));
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod admin;
mod backoff;
mod connection;
mod consumer;
mod error;
mod leaders;
mod offsets;
mod partitioner;
mod producer;
mod smartmodules;
mod status;
mod target;
mod topics;
mod wire;

use std::sync::Arc;

pub use consumer::{Committer, Consumer, ConsumerOptions, Fetched, Start};
pub use error::Error;
pub use fluvio_compression::Compression;
pub use fluvio_protocol::link::ErrorCode;
pub use fluvio_spu_schema::Isolation;
pub use offsets::{LogOffsets, StoredOffset};
pub use producer::{Producer, ProducerOptions};
pub use smartmodules::SmartModuleInfo;
pub use status::{LinkState, Status};
pub use target::Target;
pub use topics::{Deduplication, PartitionInfo, TopicCompression, TopicInfo, TopicSpec};

/// A Fluvio cluster. Cheap to clone; clones share one connection to the controller.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    settings: target::Settings,
    admin: admin::Admin,
    leaders: leaders::News,
}

impl Cluster {
    /// Connects to the cluster's controller; one try.
    ///
    /// # Errors
    /// When the profile can't be used, or nobody who speaks Fluvio's protocol answers.
    pub async fn connect(target: Target) -> Result<Self, Error> {
        let settings = target::Settings::load(&target)?;
        let admin = admin::Admin::connect(settings.controller.clone()).await?;
        tracing::debug!(address = %settings.controller.address, "connected to the cluster");
        Ok(Self(Arc::new(Inner { settings, admin, leaders: leaders::News::default() })))
    }

    /// The controller's address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.settings.controller.address
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cluster").field(&self.address()).finish()
    }
}
