//! Glue between the contract's exports and the author's [`Transform`]: conversions, and nothing else.

use std::cell::RefCell;
use std::marker::PhantomData;

use super::{report_panics, spec};
use crate::batch::Batch;
use crate::bindings::fluvio::connector::types;
use crate::bindings::transform::exports::fluvio::connector::transform as wit;
use crate::config;
use crate::transform::{Applied, Transform};

/// The exports of a transform component.
#[derive(Debug)]
pub struct TransformComponent<T>(PhantomData<T>);

impl<T: Transform> wit::Guest for TransformComponent<T> {
    type Stage = Stage<T>;

    fn spec() -> types::Spec {
        report_panics();
        spec::<T::Config>(&T::SPEC)
    }
}

/// One opened stage. The contract never overlaps two calls on an instance.
#[derive(Debug)]
pub struct Stage<T>(RefCell<T>);

impl<T: Transform> Stage<T> {
    pub(crate) fn start(config: &str) -> crate::Result<Self> {
        Ok(Self(RefCell::new(T::open(config::parse(T::SPEC.section, config)?)?)))
    }

    pub(crate) fn put_through(&self, batch: &Batch) -> crate::Result<Applied> {
        self.0.borrow_mut().apply(batch)
    }
}

impl<T: Transform> wit::GuestStage for Stage<T> {
    fn open(config: String) -> Result<wit::Stage, types::Error> {
        report_panics();
        Ok(wit::Stage::new(Self::start(&config)?))
    }

    fn apply(&self, batch: types::Batch) -> Result<wit::Applied, types::Error> {
        let Applied { batch, sources, refusals } = self.put_through(&batch.into())?;
        let refusals = refusals.into_iter().map(|r| wit::Refusal { index: r.index as u32, reason: r.reason });
        Ok(wit::Applied { batch: batch.into(), sources, refusals: refusals.collect() })
    }
}
