//! What can go wrong with a cluster, sorted by what the caller can do about it.
//!
//! Whether trying again can help is decided by [`Error::is_retryable`], by variant and server code, never by
//! reading a message.

use std::io;
use std::time::Duration;

use fluvio_protocol::link::ErrorCode;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The profile file can't be read, or has no such profile.
    #[error("the Fluvio profile can't be used: {reason}; name another with --profile, or an address with --cluster")]
    Profile {
        /// What is wrong with it.
        reason: String,
    },
    /// The TLS settings of the profile can't be used.
    #[error("the profile's TLS settings can't be used: {reason}")]
    Tls {
        /// What is wrong with them.
        reason: String,
    },
    /// Nobody answers at the address.
    #[error("can't reach the Fluvio cluster at {address}: {source}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The connection broke while it was in use.
    #[error("lost the connection to {address}: {source}")]
    Disconnected {
        /// Where to.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// No answer in time.
    #[error("no answer from {address} to a {request} request within {waited:?}")]
    Timeout {
        /// Who did not answer.
        address: String,
        /// What was asked.
        request: &'static str,
        /// How long that was waited for.
        waited: Duration,
    },
    /// Whoever listens there is no Fluvio, or too old or too new.
    #[error(
        "{address} doesn't offer the {request} request in a version that is understood here; is it a Fluvio cluster of 0.11 or later?"
    )]
    Incompatible {
        /// Who.
        address: String,
        /// The request it lacks.
        request: &'static str,
    },
    /// An answer that can't be decoded.
    #[error("{address} answered something that is not Fluvio's protocol: {reason}")]
    Protocol {
        /// Who.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such topic.
    #[error("there is no topic {name:?} in the cluster")]
    TopicNotFound {
        /// Its name.
        name: String,
    },
    /// The topic has no such partition.
    #[error("topic {topic:?} has no partition {partition}: it has {partitions}, counted from 0")]
    PartitionNotFound {
        /// The topic.
        topic: String,
        /// The partition that was asked for.
        partition: u32,
        /// How many there are.
        partitions: u32,
    },
    /// There is no such SmartModule in the cluster.
    #[error("there is no SmartModule {name:?} in the cluster")]
    SmartModuleNotFound {
        /// Its name.
        name: String,
    },
    /// The SmartModule in the cluster can't be unpacked.
    #[error("the SmartModule {name:?} in the cluster is damaged: {source}")]
    SmartModuleDamaged {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A partition has no leader that could be asked at the moment.
    #[error("partition {partition} of topic {topic:?} has no leader at the moment")]
    NoLeader {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
    },
    /// A record is larger than one request may be.
    #[error(
        "record {index} of the batch takes {size} bytes, more than the {limit} allowed in one request (producer.max-request-size); nothing of its batch was sent"
    )]
    RecordTooLarge {
        /// Which record of the batch that was to be sent.
        index: usize,
        /// How large it is, with its header.
        size: usize,
        /// How large it may be.
        limit: usize,
    },
    /// The topic asks for another compression than the producer was told to use.
    #[error(
        "topic {topic:?} takes records compressed as {wanted}, not as {configured}; leave producer.compression out to follow the topic"
    )]
    CompressionMismatch {
        /// The topic.
        topic: String,
        /// What it takes.
        wanted: String,
        /// What the producer was told.
        configured: String,
    },
    /// Compressing a batch failed.
    #[error("can't compress a batch of records: {source}")]
    Compression {
        /// Why.
        source: fluvio_compression::CompressionError,
    },
    /// The start offset lies outside of the partition's log.
    #[error("partition {partition} of topic {topic:?} has no offset {offset}: it goes from {start} to {end}")]
    StartOutOfRange {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// The offset that was asked for.
        offset: i64,
        /// The first offset there is.
        start: i64,
        /// The offset that the next record will get.
        end: i64,
    },
    /// The log of a partition holds bytes that are no records.
    #[error(
        "the log of partition {partition} of topic {topic:?} can't be read at offset {offset}: {reason}; start behind it with an absolute start offset to go on without it"
    )]
    Damaged {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// The first offset that couldn't be read.
        offset: i64,
        /// What is wrong there.
        reason: String,
    },
    /// A partition isn't one of those that this consumer reads, or no consumer id was given.
    #[error("no offset can be committed for partition {partition} of topic {topic:?}: {reason}")]
    NotManaged {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// Why not.
        reason: &'static str,
    },
    /// The task that reads a partition ended without saying why: a bug, or the runtime is shutting down.
    #[error("the reader of partition {partition} is gone")]
    ReaderGone {
        /// The partition.
        partition: u32,
    },
    /// The cluster says no.
    #[error("the cluster refuses to {action}: {code}")]
    Server {
        /// What it was asked to do.
        action: String,
        /// Its answer.
        code: ErrorCode,
    },
}

impl Error {
    /// Whether the same call may succeed later, without anybody changing what was asked.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Disconnected { .. } | Self::Timeout { .. } | Self::NoLeader { .. } => true,
            Self::Server { code, .. } => matches!(
                code,
                ErrorCode::UnknownServerError
                    | ErrorCode::NotLeaderForPartition
                    | ErrorCode::RequestTimedOut { .. }
                    | ErrorCode::StorageError
                    | ErrorCode::PartitionFull { .. }
                    | ErrorCode::PartitionShortCircuited
                    | ErrorCode::SpuError
                    | ErrorCode::SpuOffline
                    | ErrorCode::SpuNotFound
                    | ErrorCode::TopicPendingInitialization
                    | ErrorCode::TopicNotProvisioned
                    | ErrorCode::PartitionPendingInitialization
                    | ErrorCode::PartitionNotLeader
                    | ErrorCode::FetchSessionNotFoud
                    | ErrorCode::OffsetFlushRequestError(_)
            ),
            _ => false,
        }
    }

    pub(crate) fn server(action: impl Into<String>, code: ErrorCode) -> Self {
        Self::Server { action: action.into(), code }
    }
}
