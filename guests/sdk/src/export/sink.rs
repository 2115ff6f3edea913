//! Glue between the contract's exports and the author's [`Sink`]: conversions, and nothing else.

use std::cell::RefCell;
use std::marker::PhantomData;

use super::{check_steps, report_panics, spec};
use crate::bindings::fluvio::connector::types;
use crate::bindings::sink::exports::fluvio::connector::sink as wit;
use crate::config;
use crate::sink::{Delivery, Failure, Sink};

/// The exports of a sink component.
#[derive(Debug)]
pub struct SinkComponent<S>(PhantomData<S>);

impl<S: Sink> wit::Guest for SinkComponent<S> {
    type Writer = Writer<S>;

    fn spec() -> types::Spec {
        report_panics();
        spec::<S::Config>(&S::SPEC)
    }

    fn check(config: String) -> Result<types::CheckResult, types::Error> {
        report_panics();
        check_steps(S::SPEC.section, &config, S::check)
    }
}

/// One opened sink. The contract never overlaps two calls on an instance.
#[derive(Debug)]
pub struct Writer<S>(RefCell<S>);

impl<S: Sink> Writer<S> {
    pub(crate) fn start(config: &str) -> crate::Result<Self> {
        Ok(Self(RefCell::new(S::open(config::parse(S::SPEC.section, config)?)?)))
    }

    pub(crate) fn deliver(&self, delivery: &Delivery) -> crate::Result<Vec<Failure>> {
        self.0.borrow_mut().write(delivery)
    }
}

impl<S: Sink> wit::GuestWriter for Writer<S> {
    fn open(config: String) -> Result<wit::Writer, types::Error> {
        report_panics();
        Ok(wit::Writer::new(Self::start(&config)?))
    }

    fn write(&self, delivery: wit::Delivery) -> Result<Vec<wit::Failure>, types::Error> {
        let wit::Delivery { batch, topic, partition, offsets, parts } = delivery;
        let failures = self.deliver(&Delivery { batch: batch.into(), topic, partition, offsets, parts })?;
        let failures = failures.into_iter();
        Ok(failures.map(|f| wit::Failure { index: f.index as u32, error: f.error.into() }).collect())
    }
}
