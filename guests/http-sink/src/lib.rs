//! Sends records to an HTTP endpoint.
//!
//! Two stages, as everywhere: [`extract`] makes of each record what is to be sent,
//! [`request`] puts that into requests ([`sign`]), and [`protocol`] sends them and judges the answers.
//!
//! **What is promised.** A record counts as delivered when the endpoint has answered the request that carried
//! it with 2xx, and never before. Every other record of a delivery is reported: refused for good, or to be
//! handed in again. With `concurrency: 1` the records of a partition arrive in order, repeats left aside. A
//! record may arrive more than once (its answer may get lost on the way); `idempotency-header` lets the other
//! side tell.

mod config;
mod extract;
mod protocol;
mod request;
mod sign;

use std::time::Duration;

use connector_sdk::time;
use connector_sdk::{Check, Delivery, Error, ErrorKind, Failure, Result, Sink, Spec, spec};

use config::Config;
use extract::Extractor;
use protocol::Sender;
use request::{Origin, Requests};

/// A check answers sooner than the host's patience with one call (30 s) ends.
const CHECK_PATIENCE: Duration = Duration::from_secs(20);

/// The sink.
#[derive(Debug)]
pub struct HttpSink {
    extractor: Extractor,
    requests: Requests,
    sender: Sender,
}

impl HttpSink {
    fn new(config: &Config) -> Result<Self> {
        config.check()?;
        Ok(Self {
            extractor: Extractor::new(config)?,
            requests: Requests::new(config)?,
            sender: Sender::new(config.concurrency, config.http_request_timeout.get()),
        })
    }
}

impl Sink for HttpSink {
    const SPEC: Spec = spec!("http");
    type Config = Config;

    fn check(config: Config) -> Check {
        let mut sink = None;
        let check = Check::builder().step("configuration is valid", || {
            sink = Some(HttpSink::new(&config)?);
            Ok(())
        });
        let check = check.step("endpoint answers", || {
            let Some(sink) = &sink else { return Ok(()) };
            probe(sink, &config)
        });
        check.build()
    }

    fn open(config: Config) -> Result<Self> {
        let sink = Self::new(&config)?;
        config.warn();
        Ok(sink)
    }

    fn write(&mut self, delivery: &Delivery) -> Result<Vec<Failure>> {
        let mut failures = Vec::new();
        let pieces = self.extractor.pieces(delivery, &mut failures);
        let origin = Origin { topic: &delivery.topic, partition: delivery.partition };
        self.sender.send(&self.requests, origin, &pieces, &mut failures)?;
        failures.sort_by_key(|failure| failure.index);
        Ok(failures)
    }
}

/// Asks the endpoint for its options, which changes nothing there. Any answer will do, for many servers know
/// only the method that records are sent with; but refused credentials are a problem.
fn probe(sink: &HttpSink, config: &Config) -> Result<()> {
    let request = sink.requests.probe("OPTIONS", extract::fixed_address(&config.endpoint))?;
    let place = request.place();
    let response = request.start()?.wait(time::now() + CHECK_PATIENCE)?;
    let response = response.ok_or_else(|| Error::unreachable(format!("{place}: no answer within 20s")))?;
    match response.error_for_status() {
        Err(error) if error.kind() == ErrorKind::Auth => Err(error),
        _ => Ok(()),
    }
}

connector_sdk::export_sink!(HttpSink);

#[cfg(test)]
mod tests;
