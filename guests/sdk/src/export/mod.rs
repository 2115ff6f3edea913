//! Glue between the contract's exports and what an author writes: conversions, and nothing else.

mod sink;
mod source;
mod transform;

use std::sync::Once;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use sink::{SinkComponent, Writer};
pub use source::{Reader, SourceComponent};
pub use transform::{Stage, TransformComponent};

use crate::bindings::fluvio::connector::types;
use crate::check::Check;
use crate::error::{Error, ErrorKind};
use crate::source::Spec;
use crate::{batch, config};

/// Makes a component of a type that implements [`Source`](crate::Source). Outside of WebAssembly it exports nothing, so
/// that the same crate can be tested natively.
///
/// See [`Source`](crate::Source) for an example.
#[macro_export]
macro_rules! export_source {
    ($source:ty) => {
        const _: () = {
            type Component = $crate::export::SourceComponent<$source>;
            #[cfg(target_os = "wasi")]
    $crate::bindings::export_source_component!(Component with_types_in $crate::bindings);
            #[cfg(not(target_os = "wasi"))]
            const _: ::core::option::Option<Component> = ::core::option::Option::None;
        };
    };
}

/// Makes a component of a type that implements [`Sink`](crate::Sink). Outside of WebAssembly it exports
/// nothing, so that the same crate can be tested natively.
///
/// See [`Sink`](crate::Sink) for an example.
#[macro_export]
macro_rules! export_sink {
    ($sink:ty) => {
        const _: () = {
            type Component = $crate::export::SinkComponent<$sink>;
            #[cfg(target_os = "wasi")]
    $crate::bindings::sink::export_sink_component!(Component with_types_in $crate::bindings::sink);
            #[cfg(not(target_os = "wasi"))]
            const _: ::core::option::Option<Component> = ::core::option::Option::None;
        };
    };
}

/// Makes a component of a type that implements [`Transform`](crate::Transform). Outside of WebAssembly it
/// exports nothing, so that the same crate can be tested natively.
///
/// See [`Transform`](crate::Transform) for an example.
#[macro_export]
macro_rules! export_transform {
    ($transform:ty) => {
        const _: () = {
            type Component = $crate::export::TransformComponent<$transform>;
            #[cfg(target_os = "wasi")]
            $crate::bindings::transform::export_transform_component!(
                Component with_types_in $crate::bindings::transform
            );
            #[cfg(not(target_os = "wasi"))]
            const _: ::core::option::Option<Component> = ::core::option::Option::None;
        };
    };
}

/// What a connector is, with the schema of its section.
fn spec<C: JsonSchema>(spec: &Spec) -> types::Spec {
    types::Spec {
        name: spec.name.to_owned(),
        version: spec.version.to_owned(),
        description: spec.description.to_owned(),
        section: spec.section.to_owned(),
        schema: config::schema::<C>().to_string(),
    }
}

/// What a person got wrong in the configuration is a step that failed, not a check that could not be made.
fn check_steps<C: DeserializeOwned>(
    section: &str,
    json: &str,
    check: impl FnOnce(C) -> Check,
) -> Result<types::CheckResult, types::Error> {
    let check = match config::parse(section, json) {
        Ok(config) => check(config),
        Err(error) if error.kind() == ErrorKind::Config => {
            Check::builder().step("configuration is valid", || Err(error)).build()
        }
        Err(error) => return Err(error.into()),
    };
    let steps = check.steps().iter().cloned();
    let steps = steps.map(|step| types::CheckStep { name: step.name, problem: step.problem.map(Into::into) });
    Ok(types::CheckResult { steps: steps.collect() })
}

impl From<batch::Batch> for types::Batch {
    fn from(batch: batch::Batch) -> Self {
        let batch::Batch { values, value_ends, keys, key_ends, timestamps } = batch;
        Self { values, value_ends, keys, key_ends, timestamps }
    }
}

impl From<types::Batch> for batch::Batch {
    fn from(batch: types::Batch) -> Self {
        let types::Batch { values, value_ends, keys, key_ends, timestamps } = batch;
        Self { values, value_ends, keys, key_ends, timestamps }
    }
}

impl From<Error> for types::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Config => types::ErrorKind::Config,
            ErrorKind::Auth => types::ErrorKind::Auth,
            ErrorKind::Unreachable => types::ErrorKind::Unreachable,
            ErrorKind::Throttled => types::ErrorKind::Throttled,
            ErrorKind::Data => types::ErrorKind::Data,
            ErrorKind::Internal => types::ErrorKind::Internal,
        };
        let retry_after_ms = error.wait().map(|wait| u32::try_from(wait.as_millis()).unwrap_or(u32::MAX));
        Self { kind, message: error.message().to_owned(), retry_after_ms }
    }
}

/// Sends the words of a panic to the host's log before the component traps: the trap itself has none.
fn report_panics() {
    static ONCE: Once = Once::new();
    if cfg!(target_os = "wasi") {
        ONCE.call_once(|| {
            std::panic::set_hook(Box::new(|panic| {
                crate::log::log(crate::log::Level::Critical, "panic", &panic.to_string());
            }));
        });
    }
}
