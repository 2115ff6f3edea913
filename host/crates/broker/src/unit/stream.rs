//! Consumer streams: records are sent in chunks, one at a time.
//!
//! A chunk is sent when the consumer has acknowledged the one before, which tells up to which offset it has
//! the records and so where the next chunk begins. At the end of the partition the stream waits for new
//! records and sends them as they come. A stream ends with its connection, with its topic, or with an error,
//! which is its last chunk.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use fluvio_protocol::bytes::BufMut;
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::{Offset, ReplicaKey};
use fluvio_protocol::{Decoder, Encoder, Version};
use fluvio_spu_schema::fetch::FetchablePartitionResponse;
use fluvio_spu_schema::server::stream_fetch::{DefaultStreamFetchRequest, StreamFetchResponse};
use tokio::sync::watch;

use super::{Connection, Session};
use crate::state::State;
use crate::store::read::Limit;
use crate::store::{Extent, Partition};
use crate::wire::{Address, Responses};

/// The longest chunk, whatever a consumer asks for: a chunk is put together in memory.
const MAX_CHUNK: usize = 128 << 20;

impl Connection {
    /// Starts a stream.
    pub(super) async fn stream_fetch(&mut self, to: Address, request: DefaultStreamFetchRequest) -> io::Result<()> {
        let replica = ReplicaKey::new(request.topic, request.partition);
        let partition = self.state.catalog.partition(&replica.topic, replica.partition);
        let refusal = if !request.smartmodules.is_empty() {
            Some(ErrorCode::Other("the embedded broker does not run SmartModules; run them in the host".to_owned()))
        } else if partition.is_none() {
            Some(ErrorCode::NotLeaderForPartition)
        } else {
            None
        };
        let (Some(partition), None) = (partition, &refusal) else {
            let code = refusal.unwrap_or(ErrorCode::NotLeaderForPartition);
            return refuse(&self.responses, to, &replica, 0, code).await;
        };
        self.last_session += 1;
        let acknowledged = watch::Sender::new(None);
        let stream = Stream {
            state: Arc::clone(&self.state),
            responses: Arc::clone(&self.responses),
            to,
            id: self.last_session,
            extent: partition.watch(),
            partition,
            acknowledged: acknowledged.subscribe(),
            limit: Limit {
                max_bytes: usize::try_from(request.max_bytes).unwrap_or(0).min(MAX_CHUNK),
                cut: self.state.options.cut_responses,
            },
        };
        let session = Session { replica, consumer: request.consumer_id, acknowledged };
        self.sessions.insert(self.last_session, session);
        self.state.spawn(&self.gone, async move {
            // An error here is an error on the whole connection, which ends where it is read.
            let _ = stream.run(request.fetch_offset).await;
        });
        Ok(())
    }
}

struct Stream {
    state: Arc<State>,
    responses: Arc<Responses>,
    to: Address,
    id: u32,
    partition: Arc<Partition>,
    extent: watch::Receiver<Extent>,
    acknowledged: watch::Receiver<Option<Offset>>,
    limit: Limit,
}

impl Stream {
    async fn run(mut self, first: Offset) -> io::Result<()> {
        let mut next = first;
        loop {
            let sent = match self.chunk(next).await {
                Ok((extent, records)) => self.send(extent, records).await,
                Err(code) => {
                    let replica = &self.partition.key;
                    return refuse(&self.responses, self.to, replica, self.id, code).await;
                }
            };
            sent?;
            if self.acknowledged.changed().await.is_err() {
                return Ok(());
            }
            next = self.acknowledged.borrow_and_update().unwrap_or(next);
        }
    }

    /// The next chunk, once there is something to put into it.
    async fn chunk(&mut self, from: Offset) -> Result<(Extent, Bytes), ErrorCode> {
        let mut from = from;
        loop {
            let extent = *self.extent.borrow_and_update();
            if extent.deleted {
                return Err(ErrorCode::TopicDeleted);
            }
            if from < extent.start {
                return Err(ErrorCode::OffsetEvicted { offset: from, next_available: extent.start });
            }
            if from > extent.end {
                return Err(ErrorCode::OffsetOutOfRange);
            }
            if from < extent.end {
                let partition = Arc::clone(&self.partition);
                let limit = self.limit;
                let read =
                    self.state.blocking(move |state| state.store.read(&partition, from, extent.end, limit)).await;
                let records = read.map_err(|error| error.code(&self.partition.key))?;
                if !records.is_empty() {
                    return Ok((extent, records));
                }
                // Retention has deleted them just now: the next look says so.
                if self.partition.extent().start <= from {
                    return Err(ErrorCode::StorageError);
                }
                continue;
            }
            tokio::select! {
                changed = self.extent.changed() => {
                    if changed.is_err() {
                        return Err(ErrorCode::TopicDeleted);
                    }
                }
                changed = self.acknowledged.changed() => {
                    if changed.is_err() {
                        return Err(ErrorCode::FetchSessionNotFoud);
                    }
                    from = self.acknowledged.borrow_and_update().unwrap_or(from);
                }
            }
        }
    }

    async fn send(&self, extent: Extent, records: Bytes) -> io::Result<()> {
        let response = response(
            &self.partition.key,
            self.id,
            FetchablePartitionResponse {
                high_watermark: extent.end,
                log_start_offset: extent.start,
                records: RecordsLength(records.len()),
                ..FetchablePartitionResponse::default()
            },
        );
        self.responses.send_with_tail(self.to, &response, &records).await
    }
}

async fn refuse(
    responses: &Responses,
    to: Address,
    replica: &ReplicaKey,
    stream: u32,
    error_code: ErrorCode,
) -> io::Result<()> {
    let partition = FetchablePartitionResponse { error_code, ..FetchablePartitionResponse::default() };
    responses.send(to, &response(replica, stream, partition)).await
}

fn response(
    replica: &ReplicaKey,
    stream_id: u32,
    partition: FetchablePartitionResponse<RecordsLength>,
) -> StreamFetchResponse<RecordsLength> {
    StreamFetchResponse {
        topic: replica.topic.clone(),
        stream_id,
        partition: FetchablePartitionResponse { partition_index: replica.partition, ..partition },
    }
}

/// Stands for the records at the end of a response: their length, which the bytes themselves follow.
#[derive(Debug, Default)]
struct RecordsLength(usize);

impl Encoder for RecordsLength {
    fn write_size(&self, _version: Version) -> usize {
        size_of::<u32>()
    }

    fn encode<B: BufMut>(&self, out: &mut B, version: Version) -> io::Result<()> {
        let length =
            u32::try_from(self.0).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "too many records"))?;
        length.encode(out, version)
    }
}

impl Decoder for RecordsLength {
    fn decode<B: bytes::Buf>(&mut self, src: &mut B, version: Version) -> io::Result<()> {
        self.0 = u32::decode_from(src, version)? as usize;
        Ok(())
    }
}
