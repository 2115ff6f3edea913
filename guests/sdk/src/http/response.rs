//! An answer and its body, read in turns: each wait has an end, and what is not there yet is asked for again.

use url::Url;

use super::{Chunk, Exchange, Head, Headers, Outgoing, Timeouts, place, status};
use crate::error::{Error, Result};
use crate::time::{self, Instant};

/// How much is asked for in one piece; what the host hands over in one piece is no more.
const PIECE: usize = 64 << 10;

/// An answer; its body is still on its way.
pub struct Response {
    status: u16,
    headers: Headers,
    url: Url,
    exchange: Box<dyn Exchange>,
    timeouts: Timeouts,
    deadline: Option<Instant>,
    announced: Option<u64>,
    received: u64,
    collected: Vec<u8>,
    ended: bool,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Response({} from {}, {} bytes so far)", self.status, self.place(), self.received)
    }
}

impl Response {
    /// The answer to `request`; its body comes out of `exchange`.
    pub(super) fn new(request: &Outgoing, head: Head, exchange: Box<dyn Exchange>, deadline: Option<Instant>) -> Self {
        let has_body = request.method != "HEAD" && !matches!(head.status, 204 | 304);
        let announced = head.headers.get_str("content-length").and_then(|length| length.trim().parse().ok());
        Self {
            status: head.status,
            headers: head.headers,
            url: request.url.clone(),
            exchange,
            timeouts: request.timeouts,
            deadline,
            announced: announced.filter(|_| has_body),
            received: 0,
            collected: Vec::new(),
            ended: !has_body,
        }
    }

    /// The status, as in 200.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Where it came from in the end; without credentials, but with the query.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Where it came from in the end, without query: fit for messages.
    #[must_use]
    pub fn place(&self) -> String {
        place(&self.url)
    }

    /// How many bytes of the body have arrived.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The answer turned out to have no end, such as a stream of events: [`Timeouts::total`] no longer holds.
    pub fn endless(&mut self) {
        self.deadline = None;
    }

    /// Makes an error of every status but 2xx: 401, 403 and 407 are `auth`; 429, and 503 with a
    /// `Retry-After`, `throttled`; 408, 421, 425 and all other 5xx `unreachable`; the rest `config`.
    ///
    /// # Errors
    /// So.
    pub fn error_for_status(&self) -> Result<()> {
        match status::error_for(self.status, &self.headers, time::unix_millis()) {
            Some(error) => Err(error.context(self.place())),
            None => Ok(()),
        }
    }

    /// The next piece of the body, or [`Chunk::Pending`] when none came until then.
    ///
    /// # Errors
    /// `unreachable` when the body breaks off, takes longer than the timeouts allow, or ends before its
    /// announced length.
    pub fn read(&mut self, until: Instant) -> Result<Chunk> {
        if self.ended {
            return Ok(Chunk::End);
        }
        let bounded = self.deadline.map_or(until, |deadline| until.min(deadline));
        let chunk = self.exchange.body(PIECE, bounded).map_err(|error| error.context(self.broken()))?;
        match &chunk {
            Chunk::Data(bytes) => self.received += bytes.len() as u64,
            Chunk::End => {
                self.ended = true;
                if let Some(announced) = self.announced.filter(|&announced| announced != self.received) {
                    let received = self.received;
                    let broken = self.broken();
                    return Err(Error::unreachable(format!(
                        "{broken}: {announced} bytes were announced, {received} came"
                    )));
                }
            }
            Chunk::Pending if self.deadline.is_some_and(|deadline| time::now() >= deadline) => {
                return Err(late(&self.timeouts, &self.place()));
            }
            Chunk::Pending => {}
        }
        Ok(chunk)
    }

    /// Reads until the body is complete, and returns it; `None` when it is not until then: call it again,
    /// what has come is kept.
    ///
    /// # Errors
    /// As [`Response::read`]; `data` when the body is longer than `limit` bytes.
    pub fn collect(&mut self, limit: usize, until: Instant) -> Result<Option<Vec<u8>>> {
        let too_long =
            |place: String| Error::data(format!("{place}: the body is longer than the limit of {limit} bytes"));
        if self.announced.is_some_and(|announced| announced > limit as u64) {
            return Err(too_long(self.place()));
        }
        if self.received == 0 {
            // No more than the limit, as was just seen: growing by doubling would cost twice as much.
            self.collected.reserve_exact(self.announced.map_or(0, |length| length as usize));
        }
        loop {
            match self.read(until)? {
                Chunk::Data(bytes) if bytes.len() > limit - self.collected.len().min(limit) => {
                    return Err(too_long(self.place()));
                }
                Chunk::Data(bytes) => self.collected.extend_from_slice(&bytes),
                Chunk::End => return Ok(Some(std::mem::take(&mut self.collected))),
                Chunk::Pending => return Ok(None),
            }
        }
    }

    /// Waits for the whole body, at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Response::collect`].
    pub fn bytes(mut self, limit: usize) -> Result<Vec<u8>> {
        loop {
            let patience = self.timeouts.total.unwrap_or(self.timeouts.between_bytes);
            if let Some(body) = self.collect(limit, time::now() + patience)? {
                return Ok(body);
            }
        }
    }

    /// Reads the rest of the body and forgets it, so that the connection can serve the next request; gives up
    /// after `limit` bytes, at `until`, or when the body breaks off: the connection is closed then.
    pub fn discard(mut self, limit: u64, until: Instant) {
        if self.announced == Some(0) || self.announced.is_some_and(|announced| announced > limit) {
            return;
        }
        while self.received <= limit {
            if !matches!(self.read(until), Ok(Chunk::Data(_))) {
                return;
            }
        }
    }

    fn broken(&self) -> String {
        format!("{}: the body broke off after {} bytes", self.place(), self.received)
    }
}

/// The error for a time limit of the whole.
pub(super) fn late(timeouts: &Timeouts, place: &str) -> Error {
    let total = humantime::format_duration(timeouts.total.unwrap_or_default());
    Error::unreachable(format!("{place}: no complete answer within {total}"))
}
