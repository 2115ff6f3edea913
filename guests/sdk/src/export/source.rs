//! Glue between the contract's exports and the author's [`Source`]: conversions, and nothing else.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::time::Duration;

use super::{check_steps, report_panics, spec};
use crate::bindings::exports::fluvio::connector::source as wit;
use crate::bindings::fluvio::connector::types;
use crate::source::{Limit, Source};
use crate::{batch, config};

/// The exports of a source component.
#[derive(Debug)]
pub struct SourceComponent<S>(PhantomData<S>);

impl<S: Source> wit::Guest for SourceComponent<S> {
    type Reader = Reader<S>;

    fn spec() -> types::Spec {
        report_panics();
        spec::<S::Config>(&S::SPEC)
    }

    fn check(config: String) -> Result<types::CheckResult, types::Error> {
        report_panics();
        check_steps(S::SPEC.section, &config, S::check)
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
