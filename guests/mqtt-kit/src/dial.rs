//! Logging in: TCP, TLS, CONNECT, CONNACK, in turns that end in time; and the version that the broker speaks.

use std::time::Duration;

use connector_sdk::config::Secret;
use connector_sdk::net::{Connect, Connecting};
use connector_sdk::time::{self, Instant};
use connector_sdk::{Error, Result, debug, info};
use mqtt_protocol_core::mqtt::packet::{Properties, Property};

use crate::address::Address;
use crate::codec::{self, Version};
use crate::link::Link;
use crate::packet::Incoming;
use crate::reason::{connect_error, disconnect_error};
use crate::settings::{Protocol, Qos};

/// Everything that a login needs.
#[derive(Debug, Clone)]
pub struct Login {
    /// Where the broker is.
    pub address: Address,
    /// By what the broker knows this client.
    pub client_id: String,
    /// The user, if the broker wants one.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// Begin with a new session, instead of going on with the one that the broker may have. With version 5
    /// and a `session_expiry` that goes for the first login only: those that follow a lost connection go on.
    pub clean_start: bool,
    /// Seconds that the broker keeps the session after the connection has ended; [`u32::MAX`]: for good.
    /// Version 3.1.1 has no such time, and keeps it for good unless `clean_start` is set.
    pub session_expiry: u32,
    /// Seconds after which the broker may take a silent client for dead; 0: never.
    pub keep_alive: u16,
    /// How long a login may take.
    pub timeout: Duration,
    /// The most messages of quality 1 and 2 that the broker sends without an acknowledgement; version 5.
    pub receive_maximum: Option<u16>,
    /// The longest packet that is taken.
    pub max_packet: usize,
    /// The version to speak.
    pub protocol: Protocol,
}

/// What a broker can do; version 3.1.1 says nothing of it, and can do everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most messages of quality 1 and 2 that it takes without having acknowledged them.
    pub receive_maximum: u16,
    /// The longest packet that it takes.
    pub max_packet: usize,
    /// The highest quality of service.
    pub max_qos: Qos,
    /// Whether it keeps retained messages.
    pub retain: bool,
    /// The seconds of silence that it asks for, in place of the client's.
    pub keep_alive: Option<u16>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            receive_maximum: u16::MAX,
            max_packet: usize::MAX,
            max_qos: Qos::ExactlyOnce,
            retain: true,
            keep_alive: None,
        }
    }
}

impl Limits {
    pub(crate) fn of(properties: &Properties) -> Self {
        let mut limits = Self::default();
        for property in properties {
            match property {
                Property::ReceiveMaximum(most) => limits.receive_maximum = most.val(),
                Property::MaximumPacketSize(most) => limits.max_packet = most.val() as usize,
                Property::MaximumQos(most) if most.val() == 0 => limits.max_qos = Qos::AtMostOnce,
                Property::MaximumQos(_) => limits.max_qos = Qos::AtLeastOnce,
                Property::RetainAvailable(available) => limits.retain = available.val() != 0,
                Property::ServerKeepAlive(seconds) => limits.keep_alive = Some(seconds.val()),
                _ => {}
            }
        }
        limits
    }
}

/// A connection on which the broker has said welcome.
#[derive(Debug)]
pub struct Session {
    /// The connection.
    pub link: Link,
    /// Whether the broker goes on with an earlier session.
    pub present: bool,
    /// What the broker can do.
    pub limits: Limits,
}

/// Makes connections with one login, one after the other.
#[derive(Debug)]
pub struct Dialer {
    login: Login,
    /// What the next attempt speaks.
    version: Version,
    /// Whether a broker was found to speak it, or nothing else is allowed.
    settled: bool,
    /// Whether a login has succeeded before.
    welcome: bool,
}

/// A login under way.
#[derive(Debug)]
pub struct Opening {
    step: Step,
    deadline: Instant,
}

#[derive(Debug)]
enum Step {
    Connecting(Connecting),
    Answer(Link),
    Over,
}

impl Dialer {
    /// A dialer that has not tried anything yet.
    #[must_use]
    pub fn new(login: Login) -> Self {
        let version = if login.protocol == Protocol::V3 { Version::V3 } else { Version::V5 };
        let settled = login.protocol != Protocol::Auto;
        Self { login, version, settled, welcome: false }
    }

    /// The login.
    #[must_use]
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// The broker's `host:port`, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        self.connect().place()
    }

    fn connect(&self) -> Connect {
        let Login { address, timeout, .. } = &self.login;
        Connect::new(&address.host, address.port).tls(address.tls).timeout(*timeout)
    }

    fn clean_start(&self) -> bool {
        let goes_on = self.welcome && self.version == Version::V5 && self.login.session_expiry > 0;
        self.login.clean_start && !goes_on
    }

    /// What it means that the broker has ended the connection with this code.
    #[must_use]
    pub fn ended(&self, code: u8, text: Option<&str>) -> Error {
        disconnect_error(code, text, &self.login.client_id).context(self.place())
    }

    /// Begins a login, and returns without waiting.
    ///
    /// # Errors
    /// Kind `config` when the sandbox does not allow the address.
    pub fn start(&self) -> Result<Opening> {
        Ok(Opening { step: Step::Connecting(self.connect().start()?), deadline: time::now() + self.login.timeout })
    }

    /// Waits until the login is through; `None` when it was not until then: ask again.
    ///
    /// # Errors
    /// `auth` when the broker refuses the credentials, `config` when it refuses the rest, `unreachable` or
    /// `throttled` when another attempt may succeed.
    pub fn wait(&mut self, opening: &mut Opening, until: Instant) -> Result<Option<Session>> {
        loop {
            let until = until.min(opening.deadline);
            match &mut opening.step {
                Step::Connecting(connecting) => {
                    let Some(stream) = connecting.wait(until)? else { return Ok(None) };
                    let hello = codec::connect(self.version, &self.login, self.clean_start())?;
                    let keep_alive = Duration::from_secs(self.login.keep_alive.into());
                    let mut link = Link::new(stream, self.version, self.login.max_packet, keep_alive);
                    link.send_bytes(&hello)?;
                    opening.step = Step::Answer(link);
                }
                Step::Answer(link) => {
                    let answer = match link.next(until) {
                        Ok(answer) => answer,
                        // Some brokers that do not know version 5 just hang up. So the next attempt speaks
                        // the other version, until one of them is answered.
                        Err(error) if !self.settled => {
                            self.version = other(self.version);
                            return Err(error);
                        }
                        Err(error) => return Err(error),
                    };
                    match answer {
                        None if time::now() >= opening.deadline => {
                            let text = format!("{}: the broker does not answer the login", link.place());
                            return Err(Error::unreachable(text));
                        }
                        None => return Ok(None),
                        Some(Incoming::Connack { code: 0x84, .. }) if !self.settled => {
                            debug!("{}: the broker does not speak {:?}", link.place(), self.version);
                            self.version = other(self.version);
                            self.settled = true;
                            opening.step = Step::Connecting(self.connect().start()?);
                        }
                        Some(answer) => return self.answered(opening, answer).map(Some),
                    }
                }
                Step::Over => return Err(Error::internal("this login is through")),
            }
        }
    }

    /// Logs in, waiting as long as the timeout allows.
    ///
    /// # Errors
    /// As [`Dialer::wait`].
    pub fn open(&mut self) -> Result<Session> {
        let mut opening = self.start()?;
        loop {
            if let Some(session) = self.wait(&mut opening, time::now() + self.login.timeout)? {
                return Ok(session);
            }
        }
    }

    fn answered(&mut self, opening: &mut Opening, answer: Incoming) -> Result<Session> {
        let place = self.place();
        let client_id = &self.login.client_id;
        let (code, text, present, limits) = match answer {
            Incoming::Connack { session_present, code, text, limits } => (code, text, session_present, limits),
            Incoming::Disconnect { code, text } => {
                return Err(self.ended(code, text.as_deref()));
            }
            other => {
                let text = format!("{place}: the broker answers a login with {}", other.name());
                return Err(Error::unreachable(text));
            }
        };
        if code != 0 {
            return Err(connect_error(code, text.as_deref(), client_id).context(place));
        }
        self.settled = true;
        self.welcome = true;
        let Step::Answer(mut link) = std::mem::replace(&mut opening.step, Step::Over) else {
            return Err(Error::internal("a login was answered before it was sent"));
        };
        link.set_limits(&limits);
        let version = match self.version {
            Version::V3 => "3.1.1",
            Version::V5 => "5",
        };
        let session = if present { "its session goes on" } else { "its session is new" };
        info!("connected to {place} with MQTT {version} as `{client_id}`; {session}");
        Ok(Session { link, present, limits })
    }
}

fn other(version: Version) -> Version {
    match version {
        Version::V3 => Version::V5,
        Version::V5 => Version::V3,
    }
}
