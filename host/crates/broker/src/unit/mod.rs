//! The storage unit's side of the protocol: producing, consuming, and consumers' offsets.
//!
//! Requests on one connection are taken one after the other. Producing is handed to the store in that order and
//! answered when it is on disk, while the next requests are already being taken; each consumer stream has a
//! task of its own until its connection ends.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::link::versions::VERSIONS_API_KEY;
use fluvio_protocol::record::{Offset, ReplicaKey};
use fluvio_spu_schema::server::SpuServerApiKey;
use fluvio_spu_schema::server::fetch_offset::{
    FetchOffsetPartitionResponse, FetchOffsetTopicResponse, FetchOffsetsRequest, FetchOffsetsResponse,
};
use fluvio_spu_schema::server::update_offset::{OffsetUpdateStatus, UpdateOffsetsRequest, UpdateOffsetsResponse};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::state::State;
use crate::versions;
use crate::wire::{self, Request, Responses};

mod consumers;
mod produce;
mod stream;

/// Serves one connection until it ends or the broker stops.
pub(crate) async fn serve(state: Arc<State>, stream: TcpStream) {
    let (mut requests, responses) = wire::split(stream);
    let (stopping, gone) = (state.stopping.clone(), state.ending.child_token());
    let mut connection =
        Connection { state, responses: Arc::new(responses), gone, sessions: HashMap::new(), last_session: 0 };
    let _gone = connection.gone.clone().drop_guard();
    loop {
        let request = tokio::select! {
            () = stopping.cancelled() => return,
            request = requests.next() => request,
        };
        let result = match request {
            None => return,
            Some(Ok(request)) => connection.handle(request).await,
            Some(Err(error)) => Err(error),
        };
        if let Err(error) = result {
            debug!(%error, "storage unit connection closed");
            return;
        }
    }
}

struct Connection {
    state: Arc<State>,
    responses: Arc<Responses>,
    /// Set when the connection ends.
    gone: CancellationToken,
    /// The consumer streams by their id, which is only known on this connection.
    sessions: HashMap<u32, Session>,
    last_session: u32,
}

/// What later requests need to know of a consumer stream.
struct Session {
    replica: ReplicaKey,
    consumer: Option<String>,
    /// The offset up to which the consumer has what it was sent.
    acknowledged: watch::Sender<Option<Offset>>,
}

impl Connection {
    async fn handle(&mut self, mut request: Request) -> io::Result<()> {
        const PRODUCE: u16 = SpuServerApiKey::Produce as u16;
        const FETCH_OFFSETS: u16 = SpuServerApiKey::FetchOffsets as u16;
        const STREAM_FETCH: u16 = SpuServerApiKey::StreamFetch as u16;
        const UPDATE_OFFSETS: u16 = SpuServerApiKey::UpdateOffsets as u16;
        const UPDATE_CONSUMER: u16 = SpuServerApiKey::UpdateConsumerOffset as u16;
        const DELETE_CONSUMER: u16 = SpuServerApiKey::DeleteConsumerOffset as u16;
        const FETCH_CONSUMERS: u16 = SpuServerApiKey::FetchConsumerOffsets as u16;

        let to = request.address();
        match request.header.api_key() {
            VERSIONS_API_KEY => self.responses.send(to, &versions::unit()).await,
            PRODUCE => self.produce(to, request).await,
            STREAM_FETCH => self.stream_fetch(to, request.decode()?).await,
            FETCH_OFFSETS => {
                let response = self.fetch_offsets(request.decode()?);
                self.responses.send(to, &response).await
            }
            UPDATE_OFFSETS => {
                let response = self.update_offsets(&request.decode()?);
                self.responses.send(to, &response).await
            }
            UPDATE_CONSUMER => self.update_consumer(to, &request.decode()?).await,
            DELETE_CONSUMER => self.delete_consumer(to, request.decode()?).await,
            FETCH_CONSUMERS => self.fetch_consumers(to, request.decode()?).await,
            other => Err(io::Error::new(io::ErrorKind::InvalidData, format!("there is no request {other}"))),
        }
    }

    fn fetch_offsets(&self, request: FetchOffsetsRequest) -> FetchOffsetsResponse {
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let index = partition.partition_index;
                match self.state.catalog.partition(&topic.name, index) {
                    Some(partition) => {
                        let extent = partition.extent();
                        FetchOffsetPartitionResponse {
                            error_code: ErrorCode::None,
                            partition_index: index,
                            start_offset: extent.start,
                            last_stable_offset: extent.end,
                        }
                    }
                    None => FetchOffsetPartitionResponse {
                        error_code: ErrorCode::PartitionNotLeader,
                        partition_index: index,
                        ..FetchOffsetPartitionResponse::default()
                    },
                }
            });
            FetchOffsetTopicResponse { partitions: partitions.collect(), name: topic.name }
        });
        FetchOffsetsResponse { topics: topics.collect() }
    }

    fn update_offsets(&self, request: &UpdateOffsetsRequest) -> UpdateOffsetsResponse {
        let status = request.offsets.iter().map(|update| {
            let error = match self.sessions.get(&update.session_id) {
                Some(session) => {
                    session.acknowledged.send_replace(Some(update.offset));
                    ErrorCode::None
                }
                None => ErrorCode::FetchSessionNotFoud,
            };
            OffsetUpdateStatus { session_id: update.session_id, error }
        });
        UpdateOffsetsResponse { status: status.collect() }
    }
}
