//! Consumers' offsets: where a consumer with an id goes on after it was away.
//!
//! A consumer commits on a stream it has open, which says whose offset and of which partition it is.

use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ReplicaKey;
use fluvio_spu_schema::server::consumer_offset::{
    ConsumerOffset, DeleteConsumerOffsetRequest, DeleteConsumerOffsetResponse, FetchConsumerOffsetsRequest,
    FetchConsumerOffsetsResponse, UpdateConsumerOffsetRequest, UpdateConsumerOffsetResponse,
};

use super::Connection;
use crate::store::Change;
use crate::wire::Address;

impl Connection {
    pub(super) async fn update_consumer(&self, to: Address, request: &UpdateConsumerOffsetRequest) -> io::Result<()> {
        let offset = request.offset;
        let change = self.sessions.get(&request.session_id).map(|session| {
            let consumer = session.consumer.clone()?;
            Some(Change::PutOffset { consumer, replica: session.replica.clone(), offset, seconds: unix_seconds() })
        });
        let error_code = match change {
            None => ErrorCode::FetchSessionNotFoud,
            // In the words of a real storage unit.
            Some(None) => ErrorCode::Other("stream without consumer id".to_owned()),
            Some(Some(change)) => self.change(change).await,
        };
        let offset = if error_code.is_ok() { offset } else { 0 };
        let response = UpdateConsumerOffsetResponse { offset, error_code };
        self.responses.send(to, &response).await
    }

    pub(super) async fn delete_consumer(&self, to: Address, request: DeleteConsumerOffsetRequest) -> io::Result<()> {
        let change = Change::RemoveOffset { consumer: request.consumer_id, replica: request.replica_id };
        let error_code = self.change(change).await;
        let response = DeleteConsumerOffsetResponse { error_code };
        self.responses.send(to, &response).await
    }

    pub(super) async fn fetch_consumers(&self, to: Address, request: FetchConsumerOffsetsRequest) -> io::Result<()> {
        let filter = request.filter_opts.unwrap_or_default();
        let state = Arc::clone(&self.state);
        let found = state
            .blocking(move |state| {
                state.store.offsets(|consumer, topic, partition| {
                    let wanted = filter.consumer_id.as_deref();
                    let replica = filter.replica_id.as_ref();
                    wanted.is_none_or(|wanted| wanted == consumer)
                        && replica.is_none_or(|key| key.topic == topic && key.partition == partition)
                })
            })
            .await;
        let response = match found {
            Ok(found) => FetchConsumerOffsetsResponse {
                error_code: ErrorCode::None,
                consumers: found
                    .into_iter()
                    .map(|stored| {
                        let replica = ReplicaKey::new(stored.topic, stored.partition);
                        ConsumerOffset::new(stored.consumer, replica, stored.offset, stored.seconds)
                    })
                    .collect(),
            },
            Err(error) => {
                FetchConsumerOffsetsResponse { error_code: error.code(&ReplicaKey::default()), consumers: Vec::new() }
            }
        };
        self.responses.send(to, &response).await
    }

    async fn change(&self, change: Change) -> ErrorCode {
        match self.state.store.change(change).await {
            Ok(()) => ErrorCode::None,
            Err(error) => ErrorCode::OffsetFlushRequestError(error.to_string()),
        }
    }
}

fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
