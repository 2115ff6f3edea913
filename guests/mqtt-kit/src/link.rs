//! One connection to a broker: packets in order, and signs of life whenever it is asked for anything.

use std::time::Duration;

use connector_sdk::net::{Chunk, TcpStream};
use connector_sdk::time::{self, Instant};
use connector_sdk::{Error, Result};

use crate::codec::{self, Decoder, Version};
use crate::dial::Limits;
use crate::packet::{Ack, Incoming, Outgoing};

/// How much is asked for in one piece; what the host hands over in one piece is no more.
const PIECE: usize = 64 << 10;

/// How long a broker may take to answer a ping. Longer than any network takes that still carries messages.
const PONG: Duration = Duration::from_secs(20);

/// A connection on which the login was sent.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    version: Version,
    decoder: Decoder,
    /// The longest packet that the broker takes.
    max_sent: usize,
    /// The broker hangs up when it hears nothing for one and a half of these; zero when it never does.
    keep_alive: Duration,
    sent: Instant,
    /// When the first ping was sent that nothing was heard after.
    pinged: Option<Instant>,
    /// Pings that were not answered yet. Answers come in order, and behind those to what was sent before.
    pings: u32,
}

impl Link {
    pub(crate) fn new(stream: TcpStream, version: Version, max_packet: usize, keep_alive: Duration) -> Self {
        let decoder = Decoder::new(version, max_packet);
        Self { stream, version, decoder, max_sent: usize::MAX, keep_alive, sent: time::now(), pinged: None, pings: 0 }
    }

    /// The broker's `host:port`, for messages.
    #[must_use]
    pub fn place(&self) -> &str {
        self.stream.place()
    }

    /// Which version is spoken.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Keeps to what the broker asked for.
    pub(crate) fn set_limits(&mut self, limits: &Limits) {
        self.max_sent = limits.max_packet;
        if let Some(seconds) = limits.keep_alive {
            self.keep_alive = Duration::from_secs(seconds.into());
        }
    }

    /// The next packet, if it has been received already.
    ///
    /// # Errors
    /// `unreachable` when what came is not MQTT.
    pub fn received(&mut self) -> Result<Option<Incoming>> {
        let packet = self.decoder.next().map_err(|error| error.context(self.stream.place()))?;
        if matches!(packet, Some(Incoming::Pingresp)) {
            self.pings = self.pings.saturating_sub(1);
        }
        Ok(packet)
    }

    /// Sends a ping now.
    ///
    /// # Errors
    /// `unreachable` when the connection is broken.
    pub fn ping(&mut self) -> Result<()> {
        self.send(Outgoing::Pingreq)?;
        self.pings += 1;
        self.pinged.get_or_insert(time::now());
        Ok(())
    }

    /// Whether every ping was answered, and with it everything that was sent before.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.pings == 0
    }

    /// The next packet, waiting for it until then.
    ///
    /// # Errors
    /// `unreachable` when the connection is closed or broken, or the broker no longer answers.
    pub fn next(&mut self, until: Instant) -> Result<Option<Incoming>> {
        loop {
            if let Some(packet) = self.received()? {
                return Ok(Some(packet));
            }
            self.ping_if_due()?;
            let wake = self.next_duty().map_or(until, |duty| duty.min(until));
            match self.stream.read(PIECE, wake)? {
                Chunk::Data(bytes) => {
                    self.pinged = None;
                    self.decoder.push(&bytes);
                }
                Chunk::End => {
                    return Err(Error::unreachable(format!("{}: the broker closed the connection", self.place())));
                }
                Chunk::Pending => {
                    let now = time::now();
                    if self.pinged.is_some_and(|pinged| now.since(pinged) >= PONG) {
                        let text = format!("{}: the broker has not answered a ping for 20s", self.place());
                        return Err(Error::unreachable(text));
                    }
                    if now >= until {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Whether the connection stands and the broker has nothing to say but answers to pings. For a client that
    /// is owed nothing: whatever else there is to read is the end.
    pub fn is_quiet(&mut self) -> bool {
        loop {
            match self.next(time::now()) {
                Ok(Some(Incoming::Pingresp)) => {}
                other => return matches!(other, Ok(None)),
            }
        }
    }

    /// Does what keeps the connection alive, without waiting and without taking anything in.
    ///
    /// # Errors
    /// `unreachable` when the connection is broken.
    pub fn serve(&mut self) -> Result<()> {
        self.ping_if_due()?;
        self.stream.flush(time::now()).map(drop)
    }

    /// Sends a packet, without waiting: it goes with the next that is waited for, flushed or served.
    ///
    /// # Errors
    /// `unreachable` when the connection is broken; `data` when the packet can't be.
    pub fn send(&mut self, packet: Outgoing<'_>) -> Result<()> {
        let bytes = codec::encode(self.version, packet)?;
        if bytes.len() > self.max_sent {
            let most = self.max_sent;
            return Err(Error::data(format!("a packet of {} bytes; the broker takes {most}", bytes.len())));
        }
        self.send_bytes(&bytes)
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.sent = time::now();
        self.stream.write(bytes)
    }

    /// Sends steps of acknowledgements, in this order, in one piece.
    ///
    /// # Errors
    /// `unreachable` when the connection is broken.
    pub fn send_acks(&mut self, acks: impl IntoIterator<Item = (Ack, u16)>) -> Result<()> {
        let mut bytes = Vec::new();
        for (ack, id) in acks {
            bytes.extend(codec::encode(self.version, Outgoing::Ack(ack, id))?);
        }
        if bytes.is_empty() { Ok(()) } else { self.send_bytes(&bytes) }
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.stream.unsent()
    }

    /// Waits until all that was sent is on its way; says whether it is.
    ///
    /// # Errors
    /// `unreachable` when the connection is broken.
    pub fn flush(&mut self, until: Instant) -> Result<bool> {
        self.stream.flush(until)
    }

    /// Says goodbye, as well as that can be done without waiting for long.
    pub fn disconnect(mut self) {
        let until = time::now() + Duration::from_millis(500);
        // Whoever leaves does not mind that the other side is gone already.
        let _ = self.send(Outgoing::Disconnect).and_then(|()| self.flush(until));
    }

    /// Half of the time is left for a host that is busy elsewhere.
    fn ping_due(&self) -> Option<Instant> {
        (!self.keep_alive.is_zero()).then(|| self.sent + self.keep_alive / 2)
    }

    fn next_duty(&self) -> Option<Instant> {
        let given_up = self.pinged.map(|pinged| pinged + PONG);
        given_up.into_iter().chain(self.ping_due()).min()
    }

    fn ping_if_due(&mut self) -> Result<()> {
        let now = time::now();
        if self.ping_due().is_some_and(|due| now >= due) {
            self.ping()?;
        }
        Ok(())
    }
}
