//! Speaks MQTT: logs in, subscribes, takes messages, acknowledges what is durable; and begins again when the
//! connection is lost.

use std::time::Duration;

use connector_sdk::time::{self, Instant};
use connector_sdk::{Error, Result, metrics, warn};
use mqtt_kit::{
    Ack, Dialer, Incoming, Link, Login, Opening, Outgoing, Publish, Qos, Session, Subscription, reason_name,
};

use crate::ledger::{Arrival, Ledger, Verdict};

/// Numbers of our own packets; the broker's messages are numbered by the broker.
const SUBSCRIBE: u16 = 1;
const UNSUBSCRIBE: u16 = 2;

/// How long a commit may wait for the network to take its acknowledgements. Mostly it takes them at once; what
/// it does not take goes with the next read.
const FLUSH: Duration = Duration::from_millis(100);

/// A client that is subscribed, or about to be.
#[derive(Debug)]
pub struct Subscriber {
    dialer: Dialer,
    subscriptions: Vec<Subscription>,
    /// Filters of an earlier configuration, which a session may still have.
    stale: Vec<String>,
    state: State,
    ledger: Ledger,
    connections: u64,
}

#[derive(Debug)]
enum State {
    Idle,
    Opening(Opening),
    Open(Link),
}

/// What a subscriber brings.
#[derive(Debug)]
pub enum Message {
    /// A message.
    Whole(Publish),
    /// One that is too long to be taken, and why in words.
    Unusable(Error),
}

impl Subscriber {
    /// A subscriber that has not connected yet, and goes on counting after `count`.
    pub fn new(login: Login, subscriptions: Vec<Subscription>, stale: Vec<String>, count: u64) -> Self {
        Self {
            dialer: Dialer::new(login),
            subscriptions,
            stale,
            state: State::Idle,
            ledger: Ledger::new(count),
            connections: 0,
        }
    }

    /// How many messages of quality 1 and 2 were brought.
    pub fn count(&self) -> u64 {
        self.ledger.count()
    }

    /// How many of those are not durable yet.
    pub fn unacknowledged(&self) -> usize {
        self.ledger.waiting()
    }

    /// The next message that has been received already.
    ///
    /// # Errors
    /// As [`Subscriber::next`].
    pub fn received(&mut self) -> Result<Option<Message>> {
        loop {
            let State::Open(link) = &mut self.state else { return Ok(None) };
            let packet = link.received();
            let Some(packet) = self.or_closed(packet)? else { return Ok(None) };
            if let Some(message) = self.take(packet)? {
                return Ok(Some(message));
            }
        }
    }

    /// The next message, waiting for it until then; connects first where there is no connection.
    ///
    /// # Errors
    /// `auth` for a refused login, `config` for a refused subscription, `unreachable` and `throttled` when
    /// the next call begins anew.
    pub fn next(&mut self, until: Instant) -> Result<Option<Message>> {
        loop {
            match &mut self.state {
                State::Idle => {
                    self.state = State::Opening(self.dialer.start()?);
                }
                State::Opening(opening) => {
                    let session = self.dialer.wait(opening, until);
                    let Some(session) = self.or_closed(session)? else { return Ok(None) };
                    let subscribed = self.subscribe(session);
                    self.or_closed(subscribed)?;
                }
                State::Open(link) => {
                    let packet = link.next(until);
                    let Some(packet) = self.or_closed(packet)? else { return Ok(None) };
                    if let Some(message) = self.take(packet)? {
                        return Ok(Some(message));
                    }
                }
            }
        }
    }

    /// Keeps the connection alive, without waiting.
    ///
    /// # Errors
    /// `unreachable` when it is broken.
    pub fn serve(&mut self) -> Result<()> {
        if let State::Open(link) = &mut self.state {
            let served = link.serve();
            self.or_closed(served)?;
        }
        Ok(())
    }

    /// Sends what answers messages that were taken, without waiting.
    ///
    /// # Errors
    /// `unreachable` when the connection is broken.
    pub fn push(&mut self) -> Result<()> {
        if let State::Open(link) = &mut self.state
            && link.unsent() > 0
        {
            let pushed = link.flush(time::now());
            self.or_closed(pushed)?;
        }
        Ok(())
    }

    /// Acknowledges what is durable: everything up to this count.
    pub fn commit(&mut self, count: u64) {
        let acks = self.ledger.commit(count);
        metrics::gauge("unacknowledged", self.ledger.waiting() as f64);
        if let State::Open(link) = &mut self.state {
            let sent = link.send_acks(acks).and_then(|()| link.flush(time::now() + FLUSH));
            if let Err(error) = sent {
                // The records are safe, and the broker sends again what it got no acknowledgement for.
                warn!("{error}");
                self.state = State::Idle;
            }
        }
    }

    /// Says goodbye.
    pub fn close(&mut self) {
        if let State::Open(link) = std::mem::replace(&mut self.state, State::Idle) {
            link.disconnect();
        }
    }

    /// A failure ends the connection; the next call makes another.
    fn or_closed<T>(&mut self, result: Result<T>) -> Result<T> {
        result.inspect_err(|_| self.state = State::Idle)
    }

    fn subscribe(&mut self, session: Session) -> Result<()> {
        let Session { mut link, present, limits } = session;
        self.connections += 1;
        metrics::counter("connections_total", 1);
        self.ledger.connected(present);
        let wanted = self.subscriptions.iter().map(|wanted| wanted.qos).max().unwrap_or_default();
        if wanted > limits.max_qos {
            warn!("{}: the broker has no quality of service above {}", link.place(), limits.max_qos);
        }
        if present && !self.stale.is_empty() {
            link.send(Outgoing::Unsubscribe { id: UNSUBSCRIBE, filters: &self.stale })?;
        }
        self.stale.clear();
        // In a session that goes on too: the broker may have lost what it should remember.
        link.send(Outgoing::Subscribe { id: SUBSCRIBE, subscriptions: &self.subscriptions })?;
        self.state = State::Open(link);
        Ok(())
    }

    /// Takes a packet; returns a message that is to be handed out.
    fn take(&mut self, packet: Incoming) -> Result<Option<Message>> {
        match packet {
            Incoming::Publish(publish) => {
                let Some(id) = publish.id() else { return Ok(Some(Message::Whole(publish))) };
                let (topic, payload) = (publish.topic(), publish.payload());
                let arrival = Arrival { id, qos: publish.qos(), dup: publish.dup(), topic, payload };
                let is_new = self.arrived(&arrival)?;
                Ok(is_new.then_some(Message::Whole(publish)))
            }
            Incoming::Oversized { topic, qos, id, length } => {
                let message = format!(
                    "a message of {length} bytes to `{topic}` is longer than `mqtt.max-message` and was not taken"
                );
                if let Some(id) = id {
                    // The beginning of a long message tells it from others well enough.
                    let payload = length.to_be_bytes();
                    let arrival = Arrival { id, qos, dup: true, topic: &topic, payload: &payload };
                    if !self.arrived(&arrival)? {
                        return Ok(None);
                    }
                }
                Ok(Some(Message::Unusable(Error::data(message))))
            }
            Incoming::Ack { ack: Ack::Pubrel, id, .. } => {
                self.ledger.released(id);
                self.answer(Ack::Pubcomp, id)?;
                Ok(None)
            }
            Incoming::Suback { codes, text, .. } => {
                let granted = self.granted(&codes, text.as_deref());
                self.or_closed(granted)?;
                Ok(None)
            }
            Incoming::Disconnect { code, text } => {
                let error = self.dialer.ended(code, text.as_deref());
                self.or_closed(Err(error))
            }
            // Nothing to say about what answers our own packets, and nothing to fear from the rest.
            _ => Ok(None),
        }
    }

    /// Notes a message of quality 1 or 2; says whether it is to be handed out.
    fn arrived(&mut self, arrival: &Arrival<'_>) -> Result<bool> {
        match self.ledger.arrived(arrival) {
            Verdict::New => Ok(true),
            Verdict::Repeated(ack) => {
                metrics::counter("repeats_total", 1);
                if let Some(ack) = ack {
                    self.answer(ack, arrival.id)?;
                }
                Ok(false)
            }
        }
    }

    fn answer(&mut self, ack: Ack, id: u16) -> Result<()> {
        let State::Open(link) = &mut self.state else { return Ok(()) };
        let sent = link.send_acks([(ack, id)]);
        self.or_closed(sent)
    }

    fn granted(&self, codes: &[u8], text: Option<&str>) -> Result<()> {
        for (subscription, &code) in self.subscriptions.iter().zip(codes) {
            let Subscription { filter, qos } = subscription;
            if code >= 0x80 {
                let said = text.map(|text| format!(", \"{text}\"")).unwrap_or_default();
                let reason = reason_name(code);
                let text = format!("the broker refuses the subscription to `{filter}`: {reason} (0x{code:02x}{said})");
                // These may pass; what the broker does not allow or does not have will not.
                return Err(match code {
                    0x97 => Error::throttled(text, None),
                    _ => Error::config(text),
                });
            }
            if code < u8::from(*qos) {
                warn!("the broker grants `{filter}` quality of service {code} only, not {qos}");
            }
        }
        Ok(())
    }
}

/// Logs in and subscribes as a stranger would, for a check: under an id of its own, so that a host which runs
/// with this configuration is not disturbed.
pub fn try_login(mut login: Login) -> Result<Session> {
    login.client_id = mqtt_kit::random_client_id();
    login.clean_start = true;
    login.session_expiry = 0;
    Dialer::new(login).open()
}

/// Waits for the broker's answer to a subscription.
pub fn try_subscribe(link: &mut Link, subscriptions: &[Subscription], until: Instant) -> Result<()> {
    // A member of a group would take messages away from the others; a stranger beside it does not.
    let alone = |subscription: &Subscription| {
        let shared = subscription.filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
        let filter = shared.map_or(subscription.filter.as_str(), |(_, filter)| filter);
        Subscription { filter: filter.to_owned(), qos: Qos::AtMostOnce }
    };
    let subscriptions: Vec<_> = subscriptions.iter().map(alone).collect();
    link.send(Outgoing::Subscribe { id: SUBSCRIBE, subscriptions: &subscriptions })?;
    loop {
        match link.next(until)? {
            Some(Incoming::Suback { codes, .. }) => {
                let refused = subscriptions.iter().zip(codes).find(|(_, code)| *code >= 0x80);
                return match refused {
                    None => Ok(()),
                    Some((Subscription { filter, .. }, code)) => Err(Error::config(format!(
                        "the broker refuses the subscription to `{filter}`: {} (0x{code:02x})",
                        reason_name(code)
                    ))),
                };
            }
            Some(_) => {}
            None => return Err(Error::unreachable("the broker does not answer the subscription")),
        }
    }
}
