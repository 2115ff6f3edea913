//! A request on its way through redirects to an answer, and the answer's body. Everything here works in
//! turns: each wait has an end, and what is not there yet is asked for again.

use url::Url;

use super::{Chunk, Exchange, Head, Headers, Outgoing, Request, Timeouts, place, status};
use crate::error::{Error, Result};
use crate::platform;
use crate::time::{self, Instant};

/// How much is asked for in one piece; what the host hands over in one piece is no more.
const PIECE: usize = 64 << 10;

/// A request that was sent, until its answer has come.
pub struct Call {
    request: Outgoing,
    exchange: Box<dyn Exchange>,
    redirects_left: u32,
    redirects: u32,
    /// Where the first redirect came from.
    origin: Option<String>,
    deadline: Option<Instant>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Call({} {})", self.request.method, place(&self.request.url))
    }
}

impl Call {
    pub(super) fn start(request: Request) -> Result<Self> {
        let Request { outgoing, redirects } = request;
        let deadline = outgoing.timeouts.total.map(|total| time::now() + total);
        let exchange = exchange(&outgoing).map_err(|error| error.context(place(&outgoing.url)))?;
        Ok(Self { request: outgoing, exchange, redirects_left: redirects, redirects, origin: None, deadline })
    }

    /// Waits for the answer's head, following redirects; `None` when it did not come until then: ask
    /// again. After the answer or an error there is nothing more to ask for.
    ///
    /// # Errors
    /// `unreachable` when there is no answer, `config` when the sandbox does not allow an address on the
    /// way.
    pub fn wait(&mut self, until: Instant) -> Result<Option<Response>> {
        loop {
            let Some(head) = self.turn(until)? else { return Ok(None) };
            match self.redirection(&head)? {
                Some(next) => {
                    self.origin.get_or_insert_with(|| place(&self.request.url));
                    self.request = next;
                    self.redirects_left -= 1;
                    self.exchange = exchange(&self.request).map_err(|error| error.context(self.here()))?;
                }
                None => return Ok(Some(self.response(head))),
            }
        }
    }

    /// One wait for one head, bounded by the deadline of the whole.
    fn turn(&mut self, until: Instant) -> Result<Option<Head>> {
        let bounded = self.deadline.map_or(until, |deadline| until.min(deadline));
        match self.exchange.head(bounded).map_err(|error| error.context(self.here()))? {
            Some(head) => Ok(Some(head)),
            None if self.deadline.is_some_and(|deadline| time::now() >= deadline) => {
                Err(late(&self.request.timeouts, &self.here()))
            }
            None => Ok(None),
        }
    }

    /// The address asked now, for messages.
    fn here(&self) -> String {
        let here = place(&self.request.url);
        match &self.origin {
            Some(origin) => format!("{here} (redirected from {origin})"),
            None => here,
        }
    }

    /// The request that a redirect asks for; `None` when the answer is none, or is to be taken as it is.
    fn redirection(&self, head: &Head) -> Result<Option<Outgoing>> {
        if !matches!(head.status, 301 | 302 | 303 | 307 | 308) || self.redirects == 0 {
            return Ok(None);
        }
        let Some(location) = head.headers.get("location") else { return Ok(None) };
        let place = self.here();
        if self.redirects_left == 0 {
            let redirects = self.redirects;
            return Err(Error::unreachable(format!("{place}: still redirected after {redirects} redirects")));
        }
        let wrong = || Error::unreachable(format!("{place}: redirects to what is no http or https address"));
        let location = std::str::from_utf8(location).map_err(|_| wrong())?;
        let url = self.request.url.join(location).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong());
        }
        Ok(Some(redirected(&self.request, head.status, url)))
    }

    fn response(&mut self, head: Head) -> Response {
        let has_body = self.request.method != "HEAD" && !matches!(head.status, 204 | 304);
        let announced = head.headers.get_str("content-length").and_then(|length| length.trim().parse().ok());
        Response {
            status: head.status,
            headers: head.headers,
            url: self.request.url.clone(),
            exchange: std::mem::replace(&mut self.exchange, Box::new(Spent)),
            timeouts: self.request.timeouts,
            deadline: self.deadline,
            announced: announced.filter(|_| has_body),
            received: 0,
            collected: Vec::new(),
            ended: false,
        }
    }
}

/// What is left of a call whose answer was handed out.
struct Spent;

impl Exchange for Spent {
    fn head(&mut self, _until: Instant) -> Result<Option<Head>> {
        Err(Error::internal("the answer to this call was already taken"))
    }

    fn body(&mut self, _max: usize, _until: Instant) -> Result<Chunk> {
        Ok(Chunk::End)
    }
}

fn exchange(request: &Outgoing) -> Result<Box<dyn Exchange>> {
    platform::with(|platform| platform.exchange(request))
}

/// The same request at another address, as browsers repeat it.
fn redirected(request: &Outgoing, status: u16, mut url: Url) -> Outgoing {
    url.set_fragment(None);
    let credentials = super::take_credentials(&mut url);
    let mut next = Outgoing { url, ..request.clone() };
    let becomes_get = match status {
        303 => next.method != "HEAD",
        301 | 302 => next.method == "POST",
        _ => false,
    };
    if becomes_get {
        next.method = "GET".to_owned();
        next.body.clear();
        for name in ["content-type", "content-length", "content-encoding", "content-language"] {
            next.headers.remove(name);
        }
    }
    if next.url.origin() != request.url.origin() {
        for name in ["authorization", "cookie", "proxy-authorization"] {
            next.headers.remove(name);
        }
    }
    if let Some(credentials) = credentials {
        // Base64 can stand in any header.
        let _ = next.headers.set("authorization", credentials.as_bytes());
    }
    next
}

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

    fn broken(&self) -> String {
        format!("{}: the body broke off after {} bytes", self.place(), self.received)
    }
}

fn late(timeouts: &Timeouts, place: &str) -> Error {
    let total = humantime::format_duration(timeouts.total.unwrap_or_default());
    Error::unreachable(format!("{place}: no complete answer within {total}"))
}
