//! Glue between the contract's exports and the author's [`Source`]: conversions, and nothing else.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Once;
use std::time::Duration;

use crate::bindings::exports::fluvio::connector::source as wit;
use crate::bindings::fluvio::connector::types;
use crate::error::{Error, ErrorKind};
use crate::source::{Limit, Source};
use crate::{batch, check, config};

/// Makes a component of a type that implements [`Source`]. Outside of WebAssembly it exports nothing, so
/// that the same crate can be tested natively.
///
/// See [`Source`] for an example.
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

/// The exports of a source component.
#[derive(Debug)]
pub struct SourceComponent<S>(PhantomData<S>);

impl<S: Source> wit::Guest for SourceComponent<S> {
    type Reader = Reader<S>;

    fn spec() -> types::Spec {
        report_panics();
        types::Spec {
            name: S::SPEC.name.to_owned(),
            version: S::SPEC.version.to_owned(),
            description: S::SPEC.description.to_owned(),
            section: S::SPEC.section.to_owned(),
            schema: config::schema::<S::Config>().to_string(),
        }
    }

    fn check(config: String) -> Result<types::CheckResult, types::Error> {
        report_panics();
        // What a person got wrong in the configuration is a step that failed, not a check that could not
        // be made.
        let check = match config::parse(S::SPEC.section, &config) {
            Ok(config) => S::check(config),
            Err(error) if error.kind() == ErrorKind::Config => {
                check::Check::builder().step("configuration is valid", || Err(error)).build()
            }
            Err(error) => return Err(error.into()),
        };
        let steps = check.steps().iter().cloned();
        let steps = steps.map(|step| types::CheckStep { name: step.name, problem: step.problem.map(Into::into) });
        Ok(types::CheckResult { steps: steps.collect() })
    }

    fn discover(config: String) -> Result<Vec<types::Dataset>, types::Error> {
        report_panics();
        let datasets = S::discover(config::parse(S::SPEC.section, &config)?)?;
        let datasets = datasets.into_iter().map(|dataset| types::Dataset {
            name: dataset.name,
            description: dataset.description,
            schema: dataset.schema.map(|schema| schema.to_string()),
        });
        Ok(datasets.collect())
    }
}

/// One opened source. The contract never overlaps two calls on an instance.
#[derive(Debug)]
pub struct Reader<S>(RefCell<S>);

impl<S: Source> Reader<S> {
    pub(crate) fn start(config: &str, cursor: Option<&[u8]>) -> crate::Result<Self> {
        let config = config::parse(S::SPEC.section, config)?;
        Ok(Self(RefCell::new(S::open(config, config::decode_cursor(cursor)?)?)))
    }

    pub(crate) fn next(&self, limit: Limit) -> crate::Result<(batch::Batch, Vec<u8>, bool)> {
        let outcome = self.0.borrow_mut().read(limit)?;
        Ok((outcome.batch, config::encode_cursor(outcome.cursor.as_ref())?, outcome.end))
    }

    pub(crate) fn acknowledge(&self, cursor: &[u8]) -> crate::Result<()> {
        match config::decode_cursor(Some(cursor))? {
            Some(cursor) => self.0.borrow_mut().commit(cursor),
            None => Ok(()),
        }
    }
}

impl<S: Source> wit::GuestReader for Reader<S> {
    fn open(config: String, cursor: Option<Vec<u8>>) -> Result<wit::Reader, types::Error> {
        report_panics();
        Ok(wit::Reader::new(Self::start(&config, cursor.as_deref())?))
    }

    fn read(&self, limit: wit::Limit) -> Result<wit::Outcome, types::Error> {
        let (batch, cursor, end) = self.next(Limit {
            max_records: limit.max_records as usize,
            max_bytes: limit.max_bytes as usize,
            max_wait: Duration::from_millis(limit.max_wait_ms.into()),
        })?;
        Ok(wit::Outcome { batch: batch.into(), cursor, end })
    }

    fn commit(&self, cursor: Vec<u8>) -> Result<(), types::Error> {
        Ok(self.acknowledge(&cursor)?)
    }
}

impl From<batch::Batch> for types::Batch {
    fn from(batch: batch::Batch) -> Self {
        let batch::Batch { values, value_ends, keys, key_ends, timestamps } = batch;
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
