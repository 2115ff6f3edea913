//! Topics: create, list, describe, delete.

use std::collections::BTreeMap;
use std::time::Duration;

use fluvio_sc_schema::objects::Metadata;
use fluvio_sc_schema::partition::{PartitionSpec, PartitionStatus};
use fluvio_sc_schema::topic::{self, CleanupPolicy, SegmentBasedPolicy, TopicStorageConfig};

use crate::admin::Kind;
use crate::{Cluster, Error, ErrorCode};

pub use fluvio_sc_schema::topic::CompressionAlgorithm as TopicCompression;

/// What a new topic is to be like. What is not set is left to the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicSpec {
    /// Lower-case letters, digits and hyphens.
    pub name: String,
    /// The number of partitions.
    pub partitions: u32,
    /// How many storage units keep a copy.
    pub replication: u32,
    /// Whether copies may share a rack.
    pub ignore_rack: bool,
    /// How long records are kept.
    pub retention: Option<Duration>,
    /// The size of one segment of the log, in bytes.
    pub segment_size: Option<u32>,
    /// The size of a partition beyond which its oldest segments go, in bytes.
    pub max_partition_size: Option<u64>,
    /// How records must be compressed.
    pub compression: TopicCompression,
    /// Whether the cluster drops records that it has seen before.
    pub deduplication: Option<Deduplication>,
}

/// Records that repeat one of the last few are dropped by the cluster, as a SmartModule finds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deduplication {
    /// The SmartModule's name in the cluster.
    pub filter: String,
    /// Its parameters.
    pub with: BTreeMap<String, String>,
    /// How many of the last records are looked at.
    pub count: u64,
    /// How old these may be.
    pub age: Option<Duration>,
}

impl TopicSpec {
    /// One partition on one storage unit, everything else as the cluster likes.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            partitions: 1,
            replication: 1,
            ignore_rack: false,
            retention: None,
            segment_size: None,
            max_partition_size: None,
            compression: TopicCompression::Any,
            deduplication: None,
        }
    }

    fn to_wire(&self) -> topic::TopicSpec {
        let mut spec = topic::TopicSpec::new_computed(self.partitions, self.replication, Some(self.ignore_rack));
        if let Some(retention) = self.retention {
            let time_in_seconds = u32::try_from(retention.as_secs()).unwrap_or(u32::MAX);
            spec.set_cleanup_policy(CleanupPolicy::Segment(SegmentBasedPolicy { time_in_seconds }));
        }
        if self.segment_size.is_some() || self.max_partition_size.is_some() {
            spec.set_storage(TopicStorageConfig {
                segment_size: self.segment_size,
                max_partition_size: self.max_partition_size,
            });
        }
        spec.set_compression_type(self.compression.clone());
        spec.set_deduplication(self.deduplication.as_ref().map(|wanted| topic::Deduplication {
            bounds: topic::Bounds { count: wanted.count, age: wanted.age },
            filter: topic::Filter {
                transform: topic::Transform { uses: wanted.filter.clone(), with: wanted.with.clone() },
            },
        }));
        spec
    }
}

/// A topic as the cluster describes it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// The number of partitions.
    pub partitions: u32,
    /// How many storage units keep a copy, if that is the same for all partitions.
    pub replication: Option<u32>,
    /// How long records are kept.
    pub retention: Duration,
    /// The size of one segment of the log, in bytes, if it was set.
    pub segment_size: Option<u32>,
    /// The size of a partition beyond which its oldest segments go, in bytes, if it was set.
    pub max_partition_size: Option<u64>,
    /// How records must be compressed.
    pub compression: TopicCompression,
    /// Whether the cluster drops records that it has seen before.
    pub deduplication: bool,
    /// How far the cluster has got with it: `provisioned` when it can be used.
    pub status: String,
    /// Why it can't be used, if it can't.
    pub reason: String,
}

/// One partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// Its number.
    pub partition: u32,
    /// The storage unit that leads it.
    pub leader: i32,
    /// All storage units that keep it.
    pub replicas: Vec<i32>,
    /// Whether it can be written and read.
    pub online: bool,
    /// The first offset that is still there.
    pub start_offset: i64,
    /// The offset that the next committed record gets.
    pub end_offset: i64,
    /// Its size on disk in bytes, where the cluster tells.
    pub size: Option<u64>,
}

impl Cluster {
    /// Creates a topic and waits until its partitions are there. `Ok(false)`: it existed before, and may be
    /// different from what was asked for.
    ///
    /// # Errors
    /// When the cluster can't be reached or refuses it.
    pub async fn create_topic(&self, spec: &TopicSpec) -> Result<bool, Error> {
        let created = self.create(format!("create topic {:?}", spec.name), &spec.name, spec.to_wire()).await;
        match created {
            Ok(()) => Ok(true),
            Err(Error::Server { code: ErrorCode::TopicAlreadyExists, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All topics, by name; not the cluster's own.
    ///
    /// # Errors
    /// When the cluster can't be reached.
    pub async fn topics(&self) -> Result<Vec<TopicInfo>, Error> {
        let mut topics: Vec<_> = self.list(None, Kind::Whole).await?.into_iter().map(TopicInfo::from).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// One topic.
    ///
    /// # Errors
    /// When there is none of that name, or the cluster can't be reached.
    pub async fn topic(&self, name: &str) -> Result<TopicInfo, Error> {
        let found = self.list(Some(name), Kind::Whole).await?.into_iter().find(|topic| topic.name == name);
        found.map(TopicInfo::from).ok_or_else(|| Error::TopicNotFound { name: name.to_owned() })
    }

    /// The partitions of a topic, by number, with offsets as of the controller's last news.
    ///
    /// # Errors
    /// When there is no such topic, or the cluster can't be reached.
    pub async fn partitions(&self, topic: &str) -> Result<Vec<PartitionInfo>, Error> {
        let mut partitions = self.list_partitions(topic, Kind::Whole).await?;
        if partitions.is_empty() {
            self.topic(topic).await?;
        }
        partitions.sort_by_key(|partition| partition.partition);
        Ok(partitions)
    }

    pub(crate) async fn list_partitions(&self, topic: &str, kind: Kind) -> Result<Vec<PartitionInfo>, Error> {
        let all: Vec<Metadata<PartitionSpec>> = self.list(None, kind).await?;
        let of_topic = all.into_iter().filter_map(|found| {
            let partition = found.name.strip_prefix(topic)?.strip_prefix('-')?.parse().ok()?;
            Some(PartitionInfo::new(partition, found.spec, &found.status))
        });
        Ok(of_topic.collect())
    }

    /// Deletes a topic and all its records.
    ///
    /// # Errors
    /// When there is none of that name, the cluster can't be reached, or refuses it.
    pub async fn delete_topic(&self, name: &str) -> Result<(), Error> {
        match self.delete::<topic::TopicSpec>(format!("delete topic {name:?}"), name).await {
            Err(Error::Server { code: ErrorCode::TopicNotFound, .. }) => {
                Err(Error::TopicNotFound { name: name.to_owned() })
            }
            other => other,
        }
    }
}

impl From<Metadata<topic::TopicSpec>> for TopicInfo {
    fn from(topic: Metadata<topic::TopicSpec>) -> Self {
        let Metadata { name, spec, status } = topic;
        let storage = spec.get_storage().cloned().unwrap_or_default();
        Self {
            name,
            partitions: spec.partitions(),
            replication: spec.replication_factor(),
            retention: Duration::from_secs(spec.retention_secs().into()),
            segment_size: storage.segment_size,
            max_partition_size: storage.max_partition_size,
            compression: spec.get_compression_type().clone(),
            deduplication: spec.get_deduplication().is_some(),
            status: status.resolution.resolution_label().to_lowercase(),
            reason: status.reason,
        }
    }
}

impl PartitionInfo {
    fn new(partition: u32, spec: PartitionSpec, status: &PartitionStatus) -> Self {
        Self {
            partition,
            leader: spec.leader,
            replicas: spec.replicas,
            online: status.is_online(),
            start_offset: status.base_offset,
            end_offset: status.leader.hw.max(0),
            size: u64::try_from(status.size).ok(),
        }
    }
}
