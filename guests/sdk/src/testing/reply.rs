//! A canned HTTP answer, with the ways in which real ones go wrong.

use std::collections::VecDeque;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::http::{Chunk, Exchange, Head, Headers};
use crate::platform::Progress;
use crate::time::{self, Instant};

/// An answer that a [`Harness`](super::Harness) gives.
///
/// ```
/// use std::time::Duration;
/// use connector_sdk::{Error, testing::Reply};
/// let fine = Reply::ok(r#"{"fact": "cats purr"}"#).header("Content-Type", "application/json");
/// let busy = Reply::new(503, "busy").header("Retry-After", "30");
/// let slow = Reply::ok("body").delay(Duration::from_secs(5));
/// let torn = Reply::ok("").piece("the first half").broken(Error::unreachable("connection reset"));
/// let dead = Reply::failure(Error::unreachable("the connection was refused"));
/// ```
#[derive(Debug, Clone)]
pub struct Reply {
    head: Result<Head>,
    delay: Duration,
    pieces: VecDeque<(Duration, Result<Vec<u8>>)>,
}

impl Reply {
    /// An answer with this status and body.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let head = Head { status, headers: Headers::default() };
        let reply = Self { head: Ok(head), delay: Duration::ZERO, pieces: VecDeque::new() };
        reply.piece(body)
    }

    /// 200 with this body.
    #[must_use]
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body)
    }

    /// No answer: the request fails like this.
    #[must_use]
    pub fn failure(error: Error) -> Self {
        Self { head: Err(error), delay: Duration::ZERO, pieces: VecDeque::new() }
    }

    /// Adds a header.
    ///
    /// # Panics
    /// When it can't stand in a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let Ok(head) = &mut self.head {
            head.headers.append(name, value.as_ref()).expect("a test's header is well-formed");
        }
        self
    }

    /// The head takes so long.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Another piece of the body, at once.
    #[must_use]
    pub fn piece(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.piece_after(Duration::ZERO, bytes)
    }

    /// Another piece of the body, so long after the one before it was read.
    #[must_use]
    pub fn piece_after(mut self, delay: Duration, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        if !bytes.is_empty() || !delay.is_zero() {
            self.pieces.push_back((delay, Ok(bytes)));
        }
        self
    }

    /// The body breaks off here.
    #[must_use]
    pub fn broken(mut self, error: Error) -> Self {
        self.pieces.push_back((Duration::ZERO, Err(error)));
        self
    }

    pub(super) fn start(self, now: Instant) -> Result<Box<dyn Exchange>> {
        Ok(Box::new(Canned { head: Some(self.head), ready: now + self.delay, pieces: self.pieces }))
    }
}

struct Canned {
    head: Option<Result<Head>>,
    ready: Instant,
    pieces: VecDeque<(Duration, Result<Vec<u8>>)>,
}

impl Exchange for Canned {
    fn head(&mut self) -> Result<Option<Head>> {
        if time::now() < self.ready {
            return Ok(None);
        }
        self.ready = time::now() + self.pieces.front().map_or(Duration::ZERO, |(delay, _)| *delay);
        let taken = || Error::internal("the answer was already taken");
        self.head.take().ok_or_else(taken)?.map(Some)
    }

    fn progress(&self) -> Option<Progress> {
        Some(self.ready)
    }

    fn body(&mut self, max: usize, until: Instant) -> Result<Chunk> {
        if self.pieces.is_empty() {
            return Ok(Chunk::End);
        }
        if !time::sleep_until(self.ready, until) {
            return Ok(Chunk::Pending);
        }
        let Some((_, piece)) = self.pieces.pop_front() else { return Ok(Chunk::End) };
        let mut bytes = piece?;
        if bytes.len() > max {
            let rest = bytes.split_off(max);
            self.pieces.push_front((Duration::ZERO, Ok(rest)));
        }
        self.ready = time::now() + self.pieces.front().map_or(Duration::ZERO, |(delay, _)| *delay);
        if bytes.is_empty() { self.body(max, until) } else { Ok(Chunk::Data(bytes)) }
    }
}
