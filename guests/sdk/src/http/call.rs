//! A request on its way through redirects to an answer, in turns: each wait has an end, and what is not there
//! yet is asked for again.

use std::rc::Rc;

use url::Url;

use super::response::{Response, late};
use super::{Chunk, Exchange, Head, Outgoing, Request, place};
use crate::error::{Error, Result};
use crate::platform::{self, Progress};
use crate::time::{self, Instant};

/// A request that was sent, until its answer has come.
pub struct Call {
    request: Outgoing,
    exchange: Box<dyn Exchange>,
    redirects_left: u32,
    redirects: u32,
    keep_method: bool,
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
        let Request { outgoing, redirects, keep_method } = request;
        let deadline = outgoing.timeouts.total.map(|total| time::now() + total);
        let exchange = exchange(&outgoing).map_err(|error| error.context(place(&outgoing.url)))?;
        let (request, redirects_left) = (outgoing, redirects);
        Ok(Self { request, exchange, redirects_left, redirects, keep_method, origin: None, deadline })
    }

    /// Waits for the answer's head, following redirects; `None` when it did not come until then: ask
    /// again. After the answer or an error there is nothing more to ask for.
    ///
    /// # Errors
    /// `unreachable` when there is no answer, `config` when the sandbox does not allow an address on the
    /// way.
    pub fn wait(&mut self, until: Instant) -> Result<Option<Response>> {
        let mut waited = false;
        loop {
            if let Some(response) = self.answer()? {
                return Ok(Some(response));
            }
            if waited {
                self.in_time()?;
                if time::now() >= until {
                    return Ok(None);
                }
            }
            waited = true;
            let (progress, until) = self.progress(until);
            platform::with(|platform| platform.wait(progress.as_slice(), until));
        }
    }

    /// The answer, if it is there, without waiting for it.
    pub(super) fn answer(&mut self) -> Result<Option<Response>> {
        while let Some(head) = self.exchange.head().map_err(|error| error.context(self.here()))? {
            let Some(next) = self.redirection(&head)? else { return Ok(Some(self.response(head))) };
            self.origin.get_or_insert_with(|| place(&self.request.url));
            self.request = next;
            self.redirects_left -= 1;
            self.exchange = exchange(&self.request).map_err(|error| error.context(self.here()))?;
        }
        Ok(None)
    }

    /// Fails when the time for all of it is over.
    pub(super) fn in_time(&self) -> Result<()> {
        match self.deadline {
            Some(deadline) if time::now() >= deadline => Err(late(&self.request.timeouts, &self.here())),
            _ => Ok(()),
        }
    }

    /// What to wait for, and until when at most.
    pub(super) fn progress(&self, until: Instant) -> (Option<Progress>, Instant) {
        (self.exchange.progress(), self.deadline.map_or(until, |deadline| until.min(deadline)))
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
        if self.keep_method && becomes_get(head.status, &self.request.method) {
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
        let exchange = std::mem::replace(&mut self.exchange, Box::new(Spent));
        Response::new(&self.request, head, exchange, self.deadline)
    }
}

/// What is left of a call whose answer was handed out.
struct Spent;

impl Exchange for Spent {
    fn head(&mut self) -> Result<Option<Head>> {
        Err(Error::internal("the answer to this call was already taken"))
    }

    fn progress(&self) -> Option<Progress> {
        None
    }

    fn body(&mut self, _max: usize, _until: Instant) -> Result<Chunk> {
        Ok(Chunk::End)
    }
}

fn exchange(request: &Outgoing) -> Result<Box<dyn Exchange>> {
    platform::with(|platform| platform.exchange(request))
}

/// Whether browsers go on with a GET after this status.
fn becomes_get(status: u16, method: &str) -> bool {
    match status {
        303 => !matches!(method, "GET" | "HEAD"),
        301 | 302 => method == "POST",
        _ => false,
    }
}

/// The same request at another address, as browsers repeat it.
fn redirected(request: &Outgoing, status: u16, url: Url) -> Outgoing {
    let mut next = request.moved(url);
    if becomes_get(status, &next.method) {
        next.method = "GET".to_owned();
        next.body = Rc::default();
        for name in ["content-type", "content-length", "content-encoding", "content-language"] {
            next.headers.remove(name);
        }
    }
    next
}
