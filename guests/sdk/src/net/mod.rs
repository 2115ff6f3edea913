//! TCP and TLS for connectors that speak a protocol of their own.
//!
//! A connection is made to a host by its name: the sandbox resolves names itself, and lets through what the
//! configuration names, nothing else. TLS is the host's work too: it checks the server's certificate, and
//! keys and authorities (`host.tls`) never enter the sandbox.
//!
//! Nothing here waits without an end, so that one thread of control can serve a connection and return to
//! the host in time: [`Connecting::wait`] and [`TcpStream::read`] come back when their time is over, and
//! are asked again at the next turn. What is written goes into a buffer, and from there to the other side
//! whenever the stream is read or flushed, so that many small writes make few calls of the host.
//!
//! ```
//! use std::time::Duration;
//! use connector_sdk::net::{Chunk, Connect};
//! use connector_sdk::{testing::Harness, time};
//!
//! let harness = Harness::install();
//! let peer = harness.peer();
//! peer.answer(|said, peer| peer.send(said.to_ascii_uppercase()));
//!
//! let mut stream = Connect::new("echo.example", 7).connect()?;
//! stream.write(b"hello")?;
//! let until = time::now() + Duration::from_secs(1);
//! assert_eq!(stream.read(1024, until)?, Chunk::Data(b"HELLO".to_vec()));
//! # Ok::<(), connector_sdk::Error>(())
//! ```

#[cfg(target_os = "wasi")]
pub(crate) mod wasi;

use std::time::Duration;

pub use crate::http::Chunk;

use crate::error::{Error, Result};
use crate::platform;
use crate::time::{self, Instant};

/// Written bytes go out without being asked for once there are so many; the host takes as much in one call.
const ENOUGH: usize = 64 << 10;

/// Where to connect to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    timeout: Duration,
}

/// A connection that is being made.
pub struct Connecting {
    dial: Box<dyn Dial>,
    place: String,
    deadline: Instant,
    timeout: Duration,
}

/// A connection, with or without TLS.
pub struct TcpStream {
    line: Box<dyn Line>,
    place: String,
    out: Vec<u8>,
    /// How much of `out` the host has taken.
    taken: usize,
}

/// A connection in the making: what a platform has to offer.
pub(crate) trait Dial {
    /// The connection, or `None` when it did not stand until then.
    fn wait(&mut self, until: Instant) -> Result<Option<Box<dyn Line>>>;
}

/// A connection: what a platform has to offer.
pub(crate) trait Line {
    /// Takes what it can of these bytes, without waiting.
    fn write(&mut self, bytes: &[u8]) -> Result<usize>;
    /// Whether everything that was written is on its way; goes on sending it.
    fn flush(&mut self) -> Result<bool>;
    /// What has come, at most so many bytes, without waiting.
    fn read(&mut self, max: usize) -> Result<Chunk>;
    /// Waits until there may be something to read (or, with `write`, room to write), or that moment.
    fn wait(&mut self, read: bool, write: bool, until: Instant);
}

impl Connect {
    /// To this host and port, without TLS, within ten seconds. The host is a name or an address.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        // Addresses of version 6 stand in brackets where a port follows, and only there.
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self { host: bare.to_owned(), port, tls: false, timeout: Duration::from_secs(10) }
    }

    /// Whether to speak TLS.
    #[must_use]
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// How long it may take until the connection stands: looking up the name, TCP, TLS.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// `host:port`, fit for messages.
    #[must_use]
    pub fn place(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Begins, and returns without waiting.
    ///
    /// # Errors
    /// Kind `config` when the sandbox does not allow it.
    pub fn start(self) -> Result<Connecting> {
        let place = self.place();
        let dial = platform::with(|platform| platform.connect(&self)).map_err(|error| error.context(&place))?;
        Ok(Connecting { dial, place, deadline: time::now() + self.timeout, timeout: self.timeout })
    }

    /// Connects, waiting as long as the timeout allows.
    ///
    /// # Errors
    /// `unreachable` when there is no connection, `config` when the sandbox does not allow it.
    pub fn connect(self) -> Result<TcpStream> {
        let mut connecting = self.start()?;
        let until = connecting.deadline;
        loop {
            if let Some(stream) = connecting.wait(until)? {
                return Ok(stream);
            }
        }
    }
}

impl Connecting {
    /// Waits for the connection; `None` when it did not stand until then: ask again.
    ///
    /// # Errors
    /// `unreachable` when there is none, in time or at all; `config` when the sandbox does not allow it.
    pub fn wait(&mut self, until: Instant) -> Result<Option<TcpStream>> {
        let line = self.dial.wait(until.min(self.deadline)).map_err(|error| error.context(&self.place))?;
        match line {
            Some(line) => Ok(Some(TcpStream { line, place: self.place.clone(), out: Vec::new(), taken: 0 })),
            None if time::now() >= self.deadline => {
                let timeout = crate::units::Duration::from(self.timeout);
                Err(Error::unreachable(format!("{}: no connection within {timeout}", self.place)))
            }
            None => Ok(None),
        }
    }
}

impl TcpStream {
    /// `host:port`, fit for messages.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Bytes that were written and that the host has not taken yet. They are kept in memory, so whoever
    /// writes a lot looks at this.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.out.len() - self.taken
    }

    /// Writes without waiting. The bytes go out with the next read or flush, or when enough have come together.
    ///
    /// # Errors
    /// `unreachable` when the connection is broken.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.extend_from_slice(bytes);
        if self.unsent() >= ENOUGH {
            self.push()?;
        }
        Ok(())
    }

    /// Waits until everything that was written is on its way; says whether it is.
    ///
    /// # Errors
    /// `unreachable` when the connection is broken.
    pub fn flush(&mut self, until: Instant) -> Result<bool> {
        let mut waited = false;
        while !self.push()? {
            if waited && time::now() >= until {
                return Ok(false);
            }
            waited = true;
            self.line.wait(false, true, until);
        }
        Ok(true)
    }

    /// The next bytes, at most `max` of them, waiting for them until then. Goes on sending what was written
    /// meanwhile.
    ///
    /// # Errors
    /// `unreachable` when the connection is broken. A connection that the other side has closed is
    /// [`Chunk::End`].
    pub fn read(&mut self, max: usize, until: Instant) -> Result<Chunk> {
        let mut waited = false;
        loop {
            let pushed = self.push()?;
            match self.line.read(max).map_err(|error| error.context(&self.place))? {
                Chunk::Pending => {}
                other => return Ok(other),
            }
            if waited && time::now() >= until {
                return Ok(Chunk::Pending);
            }
            waited = true;
            self.line.wait(true, !pushed, until);
        }
    }

    /// Hands over what the host takes now; says whether everything is on its way.
    fn push(&mut self) -> Result<bool> {
        while self.taken < self.out.len() {
            let taken = self.line.write(&self.out[self.taken..]).map_err(|error| error.context(&self.place))?;
            if taken == 0 {
                return Ok(false);
            }
            self.taken += taken;
        }
        self.out.clear();
        self.taken = 0;
        self.line.flush().map_err(|error| error.context(&self.place))
    }
}

impl std::fmt::Debug for Connecting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connecting({})", self.place)
    }
}

impl std::fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TcpStream({}, {} bytes unsent)", self.place, self.unsent())
    }
}

#[cfg(test)]
mod tests;
