//! Publishes records to an MQTT broker.
//!
//! Two stages, as everywhere: [`extract`] makes a message of each record, [`protocol`] publishes it and waits
//! for the broker's acknowledgement; the [`window`] knows what is on its way.
//!
//! **What is promised.** A record counts as delivered when the broker has acknowledged it: PUBACK, PUBCOMP, or
//! with quality 0 the answer to a ping that was sent behind it. The order of a partition is kept: when a
//! record has to be handed in again, so is everything behind it. A record that can't be a message is refused
//! alone.

mod config;
mod extract;
mod protocol;
mod window;

use connector_sdk::{Check, Delivery, Failure, Result, Sink, Spec, spec};
use mqtt_kit::{Dialer, random_client_id};

use config::Config;
use extract::Extractor;
use protocol::Publisher;

/// The sink.
#[derive(Debug)]
pub struct MqttSink {
    extractor: Extractor,
    publisher: Publisher,
}

impl MqttSink {
    fn new(config: &Config) -> Result<Self> {
        let extractor = Extractor::new(config)?;
        let login = config.login()?;
        let properties =
            !config.user_properties.is_empty() || config.content_type.is_some() || config.message_expiry.is_some();
        let timeout = config.delivery_timeout.get();
        let publisher = Publisher::new(login, config.qos, config.retain, config.max_inflight, timeout, properties);
        Ok(Self { extractor, publisher })
    }
}

impl Sink for MqttSink {
    const SPEC: Spec = spec!("mqtt");
    type Config = Config;

    fn check(config: Config) -> Check {
        let check = Check::builder().step("configuration is valid", || MqttSink::new(&config).map(drop));
        let check = check.step("broker takes the login", || {
            // As a stranger: a host that runs with this configuration is not to be disturbed.
            let mut login = config.login()?;
            login.client_id = random_client_id();
            Dialer::new(login).open()?.link.disconnect();
            Ok(())
        });
        check.build()
    }

    fn open(config: Config) -> Result<Self> {
        Self::new(&config)
    }

    fn write(&mut self, delivery: &Delivery) -> Result<Vec<Failure>> {
        self.publisher.deliver(&self.extractor, delivery)
    }
}

impl Drop for MqttSink {
    fn drop(&mut self) {
        self.publisher.close();
    }
}

connector_sdk::export_sink!(MqttSink);

#[cfg(test)]
mod tests;
