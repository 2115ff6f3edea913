//! Creating and deleting topics and SmartModules.

use std::io;

use bytes::Buf;
use fluvio_controlplane_metadata::core::Spec;
use fluvio_controlplane_metadata::smartmodule::{
    SmartModuleMetadata, SmartModuleSpec, SmartModuleWasm, SmartModuleWasmFormat, SmartModuleWasmSummary,
};
use fluvio_controlplane_metadata::topic::{ReplicaSpec, TopicSpec};
use fluvio_protocol::ByteBuf;
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ReplicaKey;
use fluvio_sc_schema::Status;
use fluvio_sc_schema::objects::{CommonCreateRequest, DeleteRequest};
use fluvio_sc_schema::shared::validate_resource_name;

use super::objects::Object;
use crate::catalog::{CatalogError, MAX_PARTITIONS};
use crate::state::State;

/// Creates what the object says.
pub(super) async fn create(state: &State, mut object: Object) -> io::Result<Status> {
    let common: CommonCreateRequest = object.decode()?;
    let name = common.name;
    match object.label.as_str() {
        TopicSpec::LABEL => {
            let spec: TopicSpec = object.decode()?;
            Ok(create_topic(state, name, spec, common.dry_run).await)
        }
        SmartModuleSpec::LABEL => {
            let spec = decode_smartmodule(&mut object)?;
            Ok(create_smartmodule(state, name, spec, common.dry_run).await)
        }
        other => Ok(unsupported(name, &format!("creating a {other}"))),
    }
}

/// Deletes what the object names.
pub(super) async fn delete(state: &State, mut object: Object) -> io::Result<Status> {
    match object.label.as_str() {
        TopicSpec::LABEL => {
            let name = object.decode::<DeleteRequest<TopicSpec>>()?.key();
            Ok(match state.catalog.delete_topic(&name).await {
                Ok(()) => {
                    state.clean_soon();
                    Status::new_ok(name)
                }
                Err(error) => topic_refused(name, &error),
            })
        }
        SmartModuleSpec::LABEL => {
            let name = object.decode::<DeleteRequest<SmartModuleSpec>>()?.key();
            Ok(match state.catalog.delete_smartmodule(&name).await {
                Ok(()) => Status::new_ok(name),
                Err(error) => smartmodule_refused(name, &error),
            })
        }
        other => Ok(unsupported(String::new(), &format!("deleting a {other}"))),
    }
}

/// The answer to what this broker does not do.
pub(super) fn unsupported(name: String, what: &str) -> Status {
    let message = format!("{what} is not supported by the embedded broker");
    Status::new(name, ErrorCode::Other(message.clone()), Some(message))
}

async fn create_topic(state: &State, name: String, spec: TopicSpec, dry_run: bool) -> Status {
    if let Some(refusal) = check_topic(&name, &spec) {
        return refusal;
    }
    if state.catalog.topic(&name).is_some() {
        return topic_refused(name, &CatalogError::Exists);
    }
    if dry_run {
        return Status::new_ok(name);
    }
    match state.catalog.create_topic(name.clone(), spec).await {
        Ok(()) => {
            state.catalog.spread().await;
            Status::new_ok(name)
        }
        Err(error) => topic_refused(name, &error),
    }
}

/// Refuses what a cluster would refuse too, and what only a cluster could do.
fn check_topic(name: &str, spec: &TopicSpec) -> Option<Status> {
    let refuse = |code: ErrorCode, message: String| Some(Status::new(name.to_owned(), code, Some(message)));
    if name.is_empty() {
        let message = "a topic needs a name".to_owned();
        return refuse(ErrorCode::TopicInvalidName, message);
    }
    if let Err(error) = validate_resource_name(name) {
        let message = format!("Invalid topic name: '{name}'. {error}");
        return refuse(ErrorCode::TopicInvalidName, message);
    }
    if let Some(message) = spec.validate_config() {
        return refuse(ErrorCode::TopicInvalidConfiguration, message);
    }
    if matches!(spec.replicas(), ReplicaSpec::Mirror(_)) {
        let message = "the embedded broker has no mirror topics".to_owned();
        return refuse(ErrorCode::TopicInvalidReplicaType, message);
    }
    if spec.get_deduplication().is_some() {
        let message = "the embedded broker does not deduplicate".to_owned();
        return refuse(ErrorCode::TopicInvalidConfiguration, message);
    }
    let partitions = spec.replicas().partitions();
    if partitions == 0 || partitions > MAX_PARTITIONS {
        let message = format!("a topic has 1 to {MAX_PARTITIONS} partitions, not {partitions}");
        return refuse(ErrorCode::TopicInvalidConfiguration, message);
    }
    let replication = spec.replicas().replication_factor().unwrap_or(1);
    if replication != 1 {
        let message = format!("the embedded broker keeps one replica of a partition, not {replication}");
        return refuse(ErrorCode::TopicInvalidConfiguration, message);
    }
    None
}

async fn create_smartmodule(state: &State, name: String, spec: SmartModuleSpec, dry_run: bool) -> Status {
    let name = match &spec.meta {
        Some(meta) if meta.package.is_valid() => meta.store_id(),
        Some(_) => {
            let message = "the SmartModule's package has no name or no group".to_owned();
            return Status::new(name, ErrorCode::SmartModuleError, Some(message));
        }
        None if name.is_empty() => {
            let message = "a SmartModule needs a name".to_owned();
            return Status::new(name, ErrorCode::SmartModuleError, Some(message));
        }
        None => name,
    };
    if dry_run {
        return Status::new_ok(name);
    }
    match state.catalog.put_smartmodule(name.clone(), spec).await {
        Ok(()) => Status::new_ok(name),
        Err(error) => smartmodule_refused(name, &error),
    }
}

/// Decodes field by field: the published decoder trusts the length that stands before the payload.
fn decode_smartmodule(object: &mut Object) -> io::Result<SmartModuleSpec> {
    let meta: Option<SmartModuleMetadata> = object.decode()?;
    let summary: Option<SmartModuleWasmSummary> = object.decode()?;
    let format: SmartModuleWasmFormat = object.decode()?;
    let length: u32 = object.decode()?;
    if object.body.remaining() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let payload = object.body.split_to(length as usize);
    Ok(SmartModuleSpec { meta, summary, wasm: SmartModuleWasm { format, payload: ByteBuf::from(payload) } })
}

fn topic_refused(name: String, error: &CatalogError) -> Status {
    let (code, message) = match error {
        CatalogError::Exists => (ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists")),
        CatalogError::Missing => (ErrorCode::TopicNotFound, format!("Topic '{name}' was not found")),
        CatalogError::System => (
            ErrorCode::SystemSpecDeletionAttempt { kind: TopicSpec::LABEL.to_owned(), name: name.clone() },
            format!("Topic '{name}' belongs to the system"),
        ),
        CatalogError::Encode(error) => (ErrorCode::InvalidCreateRequest, error.to_string()),
        CatalogError::Store(error) => (error.code(&ReplicaKey::new(name.as_str(), 0_u32)), error.to_string()),
    };
    Status::new(name, code, Some(message))
}

fn smartmodule_refused(name: String, error: &CatalogError) -> Status {
    let (code, message) = match error {
        CatalogError::Encode(error) => (ErrorCode::InvalidCreateRequest, error.to_string()),
        CatalogError::Store(error) => (ErrorCode::SmartModuleError, error.to_string()),
        CatalogError::Missing | CatalogError::Exists | CatalogError::System => {
            (ErrorCode::SmartModuleNotFound { name: name.clone() }, format!("SmartModule '{name}' was not found"))
        }
    };
    Status::new(name, code, Some(message))
}
