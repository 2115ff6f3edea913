//! Where a partition's log begins and ends, and how far named consumers have got.
//!
//! The cluster keeps a consumer's *last consumed* offset under its id; here positions are always those of
//! the *next* record, and the difference of one is dealt with in this file alone.

use std::collections::BTreeMap;
use std::time::Duration;

use fluvio_protocol::record::ReplicaKey;
use fluvio_spu_schema::server::consumer_offset::{DeleteConsumerOffsetRequest, FetchConsumerOffsetsRequest};
use fluvio_spu_schema::server::fetch_offset::{
    FetchOffsetPartition, FetchOffsetPartitionResponse, FetchOffsetTopic, FetchOffsetsRequest,
};
use fluvio_types::defaults::CONSUMER_STORAGE_TOPIC;

use crate::connection::Connection;
use crate::{Cluster, Error, ErrorCode};

/// How long a storage unit may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// What there is of a partition's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOffsets {
    /// The first offset that is still there.
    pub start: i64,
    /// The offset that the next record gets.
    pub end: i64,
}

/// How far a consumer has got with a partition, as the cluster keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredOffset {
    /// The consumer's id.
    pub consumer_id: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset of the first record that it has not consumed yet: one more than what the cluster keeps and
    /// the `fluvio` command line shows.
    pub next_offset: i64,
    /// When it was stored, in Unix seconds.
    pub modified: u64,
}

impl Cluster {
    /// Where the logs of some of a topic's partitions begin and end.
    ///
    /// # Errors
    /// When there is no such topic or partition, or it can't be reached.
    pub async fn log_offsets(&self, topic: &str, partitions: &[u32]) -> Result<BTreeMap<u32, LogOffsets>, Error> {
        let leaders = self.leaders(topic).await?;
        if leaders.partitions.is_empty() {
            self.topic(topic).await?;
        }
        let known = leaders.partitions.len() as u32;
        if let Some(&partition) = partitions.iter().find(|&partition| !leaders.partitions.contains_key(partition)) {
            let missing = Error::PartitionNotFound { topic: topic.to_owned(), partition, partitions: known };
            return Err(if known == 0 { Error::NoLeader { topic: topic.to_owned(), partition } } else { missing });
        }
        let mut offsets = BTreeMap::new();
        for group in leaders.group(topic, partitions.iter().copied())?.into_values() {
            let Some(&first) = group.first() else { continue };
            let mut connection = Connection::open(leaders.endpoint(topic, first)?).await?;
            let answer = connection.call("fetch offsets", request(topic, &group), ANSWER_TIMEOUT).await?;
            for found in answer.topics.into_iter().flat_map(|topic| topic.partitions) {
                offsets.insert(found.partition_index, checked(topic, &found)?);
            }
        }
        match partitions.iter().find(|&partition| !offsets.contains_key(partition)) {
            Some(&partition) => Err(Error::NoLeader { topic: topic.to_owned(), partition }),
            None => Ok(offsets),
        }
    }

    /// How far consumers have got: all of them, or one.
    ///
    /// # Errors
    /// When the cluster can't be reached.
    pub async fn consumer_offsets(&self, consumer_id: Option<&str>) -> Result<Vec<StoredOffset>, Error> {
        let mut connection = self.connect_to_system_leader(CONSUMER_STORAGE_TOPIC, 0).await?;
        let request = FetchConsumerOffsetsRequest::with_opts(None, consumer_id.map(str::to_owned));
        let answer = connection.call("fetch consumer offsets", request, ANSWER_TIMEOUT).await?;
        if answer.error_code.is_error() {
            return Err(Error::server("list consumer offsets", answer.error_code));
        }
        // Storage units before API version 24 don't filter.
        let wanted = answer.consumers.into_iter().filter(|found| consumer_id.is_none_or(|id| id == found.consumer_id));
        Ok(wanted
            .map(|found| StoredOffset {
                consumer_id: found.consumer_id,
                topic: found.replica_id.topic,
                partition: found.replica_id.partition,
                next_offset: found.offset.saturating_add(1),
                modified: found.modified_time,
            })
            .collect())
    }

    /// Forgets how far a consumer has got with a partition.
    ///
    /// # Errors
    /// When the cluster can't be reached or refuses it.
    pub async fn delete_consumer_offset(&self, consumer_id: &str, topic: &str, partition: u32) -> Result<(), Error> {
        let mut connection = self.connect_to_system_leader(CONSUMER_STORAGE_TOPIC, 0).await?;
        let request = DeleteConsumerOffsetRequest {
            replica_id: ReplicaKey::new(topic, partition),
            consumer_id: consumer_id.to_owned(),
        };
        let answer = connection.call("delete consumer offset", request, ANSWER_TIMEOUT).await?;
        match answer.error_code {
            ErrorCode::None => Ok(()),
            code => Err(Error::server(format!("delete the offset of consumer {consumer_id:?}"), code)),
        }
    }
}

/// The request for the offsets of some partitions of a topic.
pub(crate) fn request(topic: &str, partitions: &[u32]) -> FetchOffsetsRequest {
    let partitions = partitions.iter().map(|&partition_index| FetchOffsetPartition { partition_index }).collect();
    FetchOffsetsRequest {
        topics: vec![FetchOffsetTopic { name: topic.to_owned(), partitions }],
        ..FetchOffsetsRequest::default()
    }
}

/// One partition's answer.
pub(crate) fn checked(topic: &str, found: &FetchOffsetPartitionResponse) -> Result<LogOffsets, Error> {
    match &found.error_code {
        ErrorCode::None => Ok(LogOffsets { start: found.start_offset, end: found.last_stable_offset }),
        code => Err(Error::server(
            format!("tell the offsets of partition {} of topic {topic:?}", found.partition_index),
            code.clone(),
        )),
    }
}
