//! Producing: batches are checked here, stored by the store's writer, and acknowledged when they are on disk.
//!
//! One request may hold several partitions, and the same one several times; each entry has an answer of its
//! own. An entry is stored whole or not at all.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use fluvio_controlplane_metadata::topic::CompressionAlgorithm;
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ReplicaKey;
use fluvio_protocol::{Decoder, Version};
use fluvio_spu_schema::produce::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse};
use fluvio_spu_schema::server::smartmodule::SmartModuleInvocation;
use tokio::sync::oneshot;

use super::Connection;
use crate::batch::{self, CheckedBatch};
use crate::catalog::Topic;
use crate::state::State;
use crate::store::StoreError;
use crate::wire::{Address, Request};

/// A produce request as far as it concerns the broker. The published type copies the records about and
/// forgets what it can't decode.
#[derive(Debug)]
struct Produce {
    topics: Vec<(String, Vec<(u32, Bytes)>)>,
    wants_smartmodules: bool,
}

/// An entry that waits for the store, or is answered already.
enum Pending {
    Waiting(oneshot::Receiver<Result<i64, StoreError>>),
    Answered(ErrorCode),
}

impl Connection {
    pub(super) async fn produce(&self, to: Address, mut request: Request) -> io::Result<()> {
        let produce = parse(&mut request.body, to.version)?;
        let mut pending = Vec::new();
        for (name, entries) in produce.topics {
            let topic = self.state.catalog.topic(&name);
            let mut waiting = Vec::with_capacity(entries.len());
            for (index, records) in entries {
                let result = if produce.wants_smartmodules {
                    Err(ErrorCode::Other(
                        "the embedded broker does not run SmartModules; run them in the host".to_owned(),
                    ))
                } else {
                    store(&self.state, topic.as_deref(), index, &records).await
                };
                waiting.push((index, result.unwrap_or_else(Pending::Answered)));
            }
            pending.push((name, waiting));
        }
        let state = Arc::clone(&self.state);
        let responses = Arc::clone(&self.responses);
        self.state.spawn(&self.state.ending, async move {
            let response = collect(&state, pending).await;
            // An error here is an error on the whole connection, which ends where it is read.
            let _ = responses.send(to, &response).await;
        });
        Ok(())
    }
}

/// Checks one entry and hands it to the store.
async fn store(state: &State, topic: Option<&Topic>, index: u32, records: &Bytes) -> Result<Pending, ErrorCode> {
    let topic = topic.ok_or(ErrorCode::TopicNotFound)?;
    if topic.spec.is_system() {
        return Err(ErrorCode::PermissionDenied);
    }
    let partition = usize::try_from(index)
        .ok()
        .and_then(|index| topic.partitions.get(index))
        .ok_or(ErrorCode::NotLeaderForPartition)?;
    let batches = batch::check(records)?;
    if !batches.iter().all(|batch| is_allowed(batch, topic.spec.get_compression_type())) {
        return Err(ErrorCode::CompressionError);
    }
    if batches.is_empty() {
        return Ok(Pending::Answered(ErrorCode::None));
    }
    let stored = state.store.append(Arc::clone(partition), batches).await;
    stored.map(Pending::Waiting).map_err(|error| error.code(&partition.key))
}

/// Whether a topic takes batches of this compression.
fn is_allowed(batch: &CheckedBatch, allowed: &CompressionAlgorithm) -> bool {
    match allowed {
        CompressionAlgorithm::Any => true,
        CompressionAlgorithm::None => batch.codec == 0,
        CompressionAlgorithm::Gzip => batch.codec == 1,
        CompressionAlgorithm::Snappy => batch.codec == 2,
        CompressionAlgorithm::Lz4 => batch.codec == 3,
        CompressionAlgorithm::Zstd => batch.codec == 4,
    }
}

async fn collect(state: &State, pending: Vec<(String, Vec<(u32, Pending)>)>) -> ProduceResponse {
    let mut responses = Vec::with_capacity(pending.len());
    for (name, entries) in pending {
        let mut partitions = Vec::with_capacity(entries.len());
        for (partition_index, entry) in entries {
            let (base_offset, error_code) = match entry {
                Pending::Answered(code) => (-1, code),
                Pending::Waiting(stored) => match stored.await {
                    Ok(Ok(base)) => (base, ErrorCode::None),
                    Ok(Err(error)) => (-1, error.code(&ReplicaKey::new(name.as_str(), partition_index))),
                    Err(_) => (-1, ErrorCode::SpuOffline),
                },
            };
            let extent = state.catalog.partition(&name, partition_index).map(|partition| partition.extent());
            partitions.push(PartitionProduceResponse {
                partition_index,
                error_code,
                base_offset,
                log_append_time_ms: -1,
                log_start_offset: extent.map_or(0, |extent| extent.start),
            });
        }
        responses.push(TopicProduceResponse { name, partitions });
    }
    ProduceResponse { responses, throttle_time_ms: 0 }
}

fn parse(body: &mut Bytes, version: Version) -> io::Result<Produce> {
    let _transaction = Option::<String>::decode_from(body, version)?;
    let _isolation = i16::decode_from(body, version)?;
    let _timeout = i32::decode_from(body, version)?;
    let mut topics = Vec::new();
    for _ in 0..count(body, version)? {
        let name = String::decode_from(body, version)?;
        let mut entries = Vec::new();
        for _ in 0..count(body, version)? {
            let index = u32::decode_from(body, version)?;
            let length = count(body, version)?;
            if body.remaining() < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            entries.push((index, body.split_to(length)));
        }
        topics.push((name, entries));
    }
    let smartmodules = Vec::<SmartModuleInvocation>::decode_from(body, version)?;
    Ok(Produce { topics, wants_smartmodules: !smartmodules.is_empty() })
}

fn count(body: &mut Bytes, version: Version) -> io::Result<usize> {
    let count = i32::decode_from(body, version)?;
    Ok(usize::try_from(count).unwrap_or(0))
}
