//! The contract as Rust sees it: generated types, and their way from and to this crate's own.
//!
//! One world holds all three of the contract's interfaces, so that their types exist once. No component
//! has all of them: each interface is looked up in a component by itself.

use std::time::Duration;

use host_batch::{Batch, BatchError, Columns};

use crate::component::{CheckStep, Dataset, Spec};
use crate::error::{ErrorKind, GuestError};
use crate::events::GuestLog;

wasmtime::component::bindgen!({
    path: "../../../wit",
    inline: "
        package fluvio:host;

        world connectors {
            import wasi:logging/logging@0.1.0-draft;
            import fluvio:connector/metrics@0.1.0;
            export fluvio:connector/source@0.1.0;
            export fluvio:connector/sink@0.1.0;
            export fluvio:connector/transform@0.1.0;
        }
    ",
    world: "fluvio:host/connectors",
    exports: { default: async },
});

pub(crate) use exports::fluvio::connector::{sink, source, transform};
pub(crate) use fluvio::connector::{metrics, types};
pub(crate) use wasi::logging::logging;

/// A guest's batch, checked; the columns are moved, not copied.
pub(crate) fn batch_in(batch: types::Batch) -> Result<Batch, BatchError> {
    let types::Batch { values, value_ends, keys, key_ends, timestamps } = batch;
    Batch::from_columns(Columns { values, value_ends, keys, key_ends, timestamps })
}

/// A batch for a guest.
pub(crate) fn batch_out(batch: Batch) -> types::Batch {
    let Columns { values, value_ends, keys, key_ends, timestamps } = batch.into_columns();
    types::Batch { values, value_ends, keys, key_ends, timestamps }
}

/// A guest's error, free of secrets.
pub(crate) fn error_in(error: types::Error, log: &GuestLog) -> GuestError {
    let kind = match error.kind {
        types::ErrorKind::Config => ErrorKind::Config,
        types::ErrorKind::Auth => ErrorKind::Auth,
        types::ErrorKind::Unreachable => ErrorKind::Unreachable,
        types::ErrorKind::Throttled => ErrorKind::Throttled,
        types::ErrorKind::Data => ErrorKind::Data,
        types::ErrorKind::Internal => ErrorKind::Internal,
    };
    let retry_after = error.retry_after_ms.map(|ms| Duration::from_millis(ms.into()));
    GuestError { kind, message: log.clean(error.message), retry_after }
}

/// What a component says of itself; an `Err` says what is wrong with it.
pub(crate) fn spec_in(spec: types::Spec) -> Result<Spec, String> {
    let types::Spec { name, version, description, section, schema } = spec;
    if name.is_empty() || section.is_empty() {
        return Err("its `spec` has an empty name or section".to_owned());
    }
    match serde_json::from_str(&schema) {
        Ok(schema @ serde_json::Value::Object(_)) => Ok(Spec { name, version, description, section, schema }),
        Ok(_) => Err("the schema in its `spec` is not a JSON object".to_owned()),
        Err(error) => Err(format!("the schema in its `spec` is not JSON: {error}")),
    }
}

pub(crate) fn steps_in(result: types::CheckResult, log: &GuestLog) -> Vec<CheckStep> {
    let step = |step: types::CheckStep| CheckStep {
        name: log.clean(step.name),
        problem: step.problem.map(|error| error_in(error, log)),
    };
    result.steps.into_iter().map(step).collect()
}

pub(crate) fn dataset_in(dataset: types::Dataset) -> Dataset {
    let types::Dataset { name, description, schema } = dataset;
    Dataset { name, description, schema }
}
