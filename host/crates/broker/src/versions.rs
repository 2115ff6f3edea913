//! Which requests the broker answers, and in which versions: what a client asks for first.

use fluvio_protocol::api::Request;
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::link::versions::{ApiVersionKey, ApiVersionsRequest, ApiVersionsResponse, PlatformVersion};
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::objects::{
    ObjectApiCreateRequest, ObjectApiDeleteRequest, ObjectApiListRequest, ObjectApiUpdateRequest, ObjectApiWatchRequest,
};
use fluvio_spu_schema::produce::DefaultProduceRequest;
use fluvio_spu_schema::server::consumer_offset::{
    DeleteConsumerOffsetRequest, FetchConsumerOffsetsRequest, UpdateConsumerOffsetRequest,
};
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsRequest;
use fluvio_spu_schema::server::stream_fetch::DefaultStreamFetchRequest;
use fluvio_spu_schema::server::update_offset::UpdateOffsetsRequest;

/// The release of Fluvio whose protocol this is.
const PLATFORM: &str = "0.18.1";

/// The oldest version of requests about objects: older ones are laid out in another way.
const OLDEST_OBJECTS: i16 = 13;

/// What the controller answers.
pub(crate) fn controller() -> ApiVersionsResponse {
    response(vec![
        key::<ApiVersionsRequest>(0),
        key::<ObjectApiCreateRequest>(OLDEST_OBJECTS),
        key::<ObjectApiDeleteRequest>(OLDEST_OBJECTS),
        key::<ObjectApiListRequest>(OLDEST_OBJECTS),
        key::<ObjectApiWatchRequest>(OLDEST_OBJECTS),
        key::<ObjectApiUpdateRequest>(OLDEST_OBJECTS),
    ])
}

/// What the storage unit answers.
pub(crate) fn unit() -> ApiVersionsResponse {
    response(vec![
        key::<ApiVersionsRequest>(0),
        key::<DefaultProduceRequest>(0),
        key::<FetchOffsetsRequest>(0),
        key::<DefaultStreamFetchRequest>(0),
        key::<UpdateOffsetsRequest>(0),
        key::<UpdateConsumerOffsetRequest>(0),
        key::<DeleteConsumerOffsetRequest>(0),
        key::<FetchConsumerOffsetsRequest>(0),
    ])
}

fn key<R: Request>(oldest: i16) -> ApiVersionKey {
    ApiVersionKey {
        api_key: i16::try_from(R::API_KEY).unwrap_or(i16::MAX),
        min_version: R::MIN_API_VERSION.max(oldest),
        max_version: R::MAX_API_VERSION,
    }
}

fn response(api_keys: Vec<ApiVersionKey>) -> ApiVersionsResponse {
    ApiVersionsResponse { error_code: ErrorCode::None, api_keys, platform_version: platform() }
}

/// The type can only be made from a crate of its own or off the wire.
fn platform() -> PlatformVersion {
    let mut bytes = Vec::new();
    let encoded = PLATFORM.to_owned().encode(&mut bytes, 0);
    let decoded = encoded.and_then(|()| PlatformVersion::decode_from(&mut bytes.as_slice(), 0));
    decoded.unwrap_or_default()
}
