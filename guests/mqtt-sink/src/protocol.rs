//! Publishes messages, a window of them at a time, and collects what the broker says of each.

use std::time::Duration;

use connector_sdk::time::{self, Instant};
use connector_sdk::{Delivery, Error, Failure, Result, metrics, warn};
use mqtt_kit::{Ack, Dialer, Incoming, Limits, Link, Login, Outgoing, Qos, Session, Version, publish_error};

use crate::extract::{Extractor, Message};
use crate::window::Window;

/// Bytes that may wait for the network before no more are added.
const BACKLOG: usize = 256 << 10;

/// A client that publishes.
#[derive(Debug)]
pub struct Publisher {
    dialer: Dialer,
    open: Option<Open>,
    qos: Qos,
    retain: bool,
    max_inflight: usize,
    timeout: Duration,
    /// Whether properties are wanted; they are left out where the broker speaks 3.1.1.
    properties: bool,
}

#[derive(Debug)]
struct Open {
    link: Link,
    limits: Limits,
    /// When something was last heard or sent.
    used: Instant,
}

impl Publisher {
    /// A publisher that has not connected yet.
    pub fn new(login: Login, qos: Qos, retain: bool, max_inflight: u16, timeout: Duration, properties: bool) -> Self {
        let max_inflight = usize::from(max_inflight.max(1));
        Self { dialer: Dialer::new(login), open: None, qos, retain, max_inflight, timeout, properties }
    }

    /// Delivers the records.
    ///
    /// # Errors
    /// When nothing was sent: `auth`, `config` for a refused login, `unreachable`, `throttled` for what may
    /// pass.
    pub fn deliver(&mut self, extractor: &Extractor, delivery: &Delivery) -> Result<Vec<Failure>> {
        let until = time::now() + self.timeout;
        let mut open = self.connection()?;
        let mut sending = Sending {
            open: &mut open,
            dialer: &self.dialer,
            qos: self.qos,
            retain: self.retain,
            max_inflight: self.max_inflight,
            window: Window::default(),
            until,
        };
        let mut sent = 0;
        let ended = sending.all(extractor, delivery, &mut sent);
        let mut window = sending.window;
        let keep = ended.is_ok() && !window.is_broken();
        if let Err(error) = ended {
            if !error.is_retryable() {
                return Err(error);
            }
            // With quality 0 nothing is acknowledged before everything is.
            window.break_off(if self.qos == Qos::AtMostOnce { 0 } else { sent }, error);
        }
        if keep {
            open.used = time::now();
            self.open = Some(open);
        }
        // Otherwise the connection goes: what is still on its way there must not be acknowledged to a
        // delivery that has given it up.
        let failures = window.into_failures(delivery.len());
        metrics::counter("messages_total", (delivery.len() - failures.len()) as u64);
        Ok(failures)
    }

    /// Says goodbye.
    pub fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.link.disconnect();
        }
    }

    /// The connection, made anew when it is gone or was silent for too long.
    fn connection(&mut self) -> Result<Open> {
        if let Some(mut open) = self.open.take() {
            let keep_alive = open.limits.keep_alive.unwrap_or(self.dialer.login().keep_alive);
            let silence = Duration::from_secs(keep_alive.into());
            let fresh = silence.is_zero() || time::now() - open.used < silence;
            if fresh && open.link.is_quiet() {
                return Ok(open);
            }
            if fresh {
                metrics::counter("connections_lost_total", 1);
            } else {
                open.link.disconnect();
            }
        }
        let Session { link, limits, .. } = self.dialer.open()?;
        metrics::counter("connections_total", 1);
        self.check(&link, &limits)?;
        Ok(Open { link, limits, used: time::now() })
    }

    fn check(&mut self, link: &Link, limits: &Limits) -> Result<()> {
        if self.qos > limits.max_qos {
            let text = format!("{}: the broker has no quality of service {}", link.place(), self.qos);
            return Err(Error::config(format!("{text}; set `mqtt.qos: {}`", limits.max_qos)));
        }
        if self.retain && !limits.retain {
            let text = format!("{}: the broker keeps no retained messages", link.place());
            return Err(Error::config(format!("{text}; leave out `mqtt.retain`")));
        }
        if self.properties && link.version() == Version::V3 {
            warn!("{}: the broker speaks MQTT 3.1.1, so messages go without their properties", link.place());
            self.properties = false;
        }
        Ok(())
    }
}

/// One delivery being sent.
struct Sending<'a> {
    open: &'a mut Open,
    dialer: &'a Dialer,
    qos: Qos,
    retain: bool,
    max_inflight: usize,
    window: Window,
    until: Instant,
}

impl Sending<'_> {
    /// Sends all records and waits until each is settled. `sent` counts how many were looked at.
    fn all(&mut self, extractor: &Extractor, delivery: &Delivery, sent: &mut usize) -> Result<()> {
        let most = self.max_inflight.min(usize::from(self.open.limits.receive_maximum));
        for delivered in delivery.iter() {
            match extractor.message(delivery, delivered) {
                Ok(message) => {
                    while self.window.len() >= most {
                        self.turn()?;
                    }
                    while self.open.link.unsent() > BACKLOG {
                        self.turn()?;
                    }
                    if self.window.is_broken() {
                        return Ok(());
                    }
                    self.send(message)?;
                }
                Err(error) => self.window.refuse(delivered.index, error),
            }
            *sent += 1;
        }
        if self.qos == Qos::AtMostOnce {
            return self.barrier();
        }
        while self.window.len() > 0 && !self.window.is_broken() {
            self.turn()?;
        }
        Ok(())
    }

    fn send(&mut self, message: Message<'_>) -> Result<()> {
        let Message { index, topic, payload, properties } = message;
        let id = (self.qos > Qos::AtMostOnce).then(|| self.window.take(index));
        let (qos, retain) = (self.qos, self.retain);
        let packet = Outgoing::Publish { topic: &topic, payload: &payload, qos, id, retain, dup: false, properties };
        match self.open.link.send(packet) {
            Ok(()) => Ok(()),
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => {
                let error = error.context(format_args!("a message to `{topic}`"));
                match id {
                    Some(id) => self.window.settled(id, Some(error)),
                    None => self.window.refuse(index, error),
                }
                Ok(())
            }
        }
    }

    /// Waits for the next packet of the broker, and deals with it.
    fn turn(&mut self) -> Result<()> {
        match self.open.link.next(self.until)? {
            Some(packet) => self.take(packet),
            None => {
                let (waiting, place) = (self.window.len(), self.open.link.place());
                let text =
                    format!("{place}: {waiting} messages are not acknowledged in time (`mqtt.delivery-timeout`)");
                Err(Error::unreachable(text))
            }
        }
    }

    fn take(&mut self, packet: Incoming) -> Result<()> {
        match packet {
            Incoming::Ack { ack: Ack::Pubrec, id, code, .. } if code < 0x80 && self.window.received(id) => {
                self.open.link.send(Outgoing::Ack(Ack::Pubrel, id))?;
            }
            Incoming::Ack { ack: Ack::Puback | Ack::Pubrec, id, code, text } if code >= 0x80 => {
                let error = publish_error(code, text.as_deref());
                self.window.settled(id, Some(error));
            }
            Incoming::Ack { ack: Ack::Puback | Ack::Pubcomp, id, .. } => self.window.settled(id, None),
            Incoming::Disconnect { code, text } => {
                return Err(self.dialer.ended(code, text.as_deref()));
            }
            _ => {}
        }
        Ok(())
    }

    /// With quality 0 the broker acknowledges nothing. But it takes packets in their order: when it answers a
    /// ping, it has had what was sent before.
    fn barrier(&mut self) -> Result<()> {
        self.open.link.ping()?;
        while !self.open.link.is_answered() {
            match self.open.link.next(self.until)? {
                Some(packet) => self.take(packet)?,
                None => {
                    let text = format!("{}: the broker does not answer in time", self.open.link.place());
                    return Err(Error::unreachable(text));
                }
            }
        }
        Ok(())
    }
}
