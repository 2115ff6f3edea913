//! HTTP as a connector needs it: blocking, every wait bounded, every failure an [`Error`] of the right kind.
//!
//! [`Request::send`] is the simple way. A reader that must return within the host's patience while the
//! other side takes its time uses [`Request::start`], and asks the [`Call`] again at its next turn:
//!
//! ```
//! use connector_sdk::http::Request;
//! use connector_sdk::testing::{Harness, Reply};
//!
//! let harness = Harness::install();
//! harness.reply(Reply::ok("21 degrees"));
//! let response = Request::get("http://weather.example/now")?.header("Accept", "text/plain")?.send()?;
//! response.error_for_status()?;
//! assert_eq!(response.bytes(1 << 20)?, b"21 degrees");
//! # Ok::<(), connector_sdk::Error>(())
//! ```
//!
//! Redirects are followed (ten, unless told otherwise) as browsers do it: 303 always becomes a GET, 301 and
//! 302 turn a POST into one, 307 and 308 repeat the request as it was; credentials are not taken along to
//! another origin. A body that ends before its announced length is `unreachable`, never a short body.

mod call;
mod calls;
mod headers;
mod response;
mod status;
#[cfg(target_os = "wasi")]
pub(crate) mod wasi;

use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

pub use call::Call;
pub use calls::Calls;
pub use headers::Headers;
pub use response::Response;
pub use status::{explain, reason, retry_after};

use crate::error::{Error, Result};
use crate::platform::Progress;
use crate::time::{self, Instant};

/// How long each part of an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// From there until the answer's first byte.
    pub first_byte: Duration,
    /// Between two pieces of the answer's body.
    pub between_bytes: Duration,
    /// For everything, redirects and body included; `None` for an answer without an end, such as a stream.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    /// 10 s to connect, 30 s for each wait, 60 s for everything.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(30),
            between_bytes: Duration::from_secs(30),
            total: Some(Duration::from_secs(60)),
        }
    }
}

/// A request before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub(crate) outgoing: Outgoing,
    pub(crate) redirects: u32,
    pub(crate) keep_method: bool,
}

/// One request as it goes onto the wire; no redirects at this level.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outgoing {
    pub(crate) method: String,
    pub(crate) url: Url,
    pub(crate) headers: Headers,
    /// Names of headers that stay with this origin, beside those that always do.
    pub(crate) private: Vec<String>,
    /// Shared with the exchange that sends it, since a redirect may ask for it again.
    pub(crate) body: Rc<Vec<u8>>,
    pub(crate) timeouts: Timeouts,
}

impl Outgoing {
    /// The same at another address, without the credentials of this one if that is at another origin.
    fn moved(&self, mut url: Url) -> Self {
        url.set_fragment(None);
        let credentials = take_credentials(&mut url);
        let mut next = Self { url, ..self.clone() };
        if next.url.origin() != self.url.origin() {
            for name in ["authorization", "cookie", "proxy-authorization"] {
                next.headers.remove(name);
            }
            for name in std::mem::take(&mut next.private) {
                next.headers.remove(&name);
            }
        }
        if let Some(credentials) = credentials {
            // Base64 can stand in any header.
            let _ = next.headers.set("authorization", credentials.as_bytes());
        }
        next
    }
}

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
}

/// A piece of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// The next bytes; at least one.
    Data(Vec<u8>),
    /// The body is complete.
    End,
    /// Nothing within the time given; ask again.
    Pending,
}

/// One exchange under way: what a platform has to offer.
pub(crate) trait Exchange {
    /// The answer's head, or `None` when it is not there yet: wait for [`Exchange::progress`] first.
    fn head(&mut self) -> Result<Option<Head>>;
    /// What to wait for until the head is there; `None` when it will never be.
    fn progress(&self) -> Option<Progress>;
    /// The next piece of the body, at most `max` bytes. After the head only.
    fn body(&mut self, max: usize, until: Instant) -> Result<Chunk>;
}

impl Request {
    /// A request. `http://user:password@host` becomes basic authentication, as everywhere.
    ///
    /// # Errors
    /// Kind `config` when the method is not a token, or the address no absolute `http` or `https` one.
    pub fn new(method: &str, address: &str) -> Result<Self> {
        let method = checked_method(method)?;
        let mut url = parse_address(address)?;
        let mut headers = Headers::default();
        if let Some(credentials) = take_credentials(&mut url) {
            headers.set("authorization", credentials.as_bytes())?;
        }
        let (private, body) = (Vec::new(), Rc::default());
        let outgoing = Outgoing { method, url, headers, private, body, timeouts: Timeouts::default() };
        Ok(Self { outgoing, redirects: 10, keep_method: false })
    }

    /// A GET request.
    ///
    /// # Errors
    /// As [`Request::new`].
    pub fn get(address: &str) -> Result<Self> {
        Self::new("GET", address)
    }

    /// A POST request with this body.
    ///
    /// # Errors
    /// As [`Request::new`].
    pub fn post(address: &str, body: impl Into<Vec<u8>>) -> Result<Self> {
        Ok(Self::new("POST", address)?.body(body))
    }

    /// Sets a header, in place of what was there under this name.
    ///
    /// # Errors
    /// Kind `config` when the name or the value can't stand in a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self> {
        self.outgoing.headers.set(name, value.as_ref())?;
        Ok(self)
    }

    /// Adds a header beside those of the same name.
    ///
    /// # Errors
    /// As [`Request::header`].
    pub fn add_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self> {
        self.outgoing.headers.append(name, value.as_ref())?;
        Ok(self)
    }

    /// Leaves a header out.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.outgoing.headers.remove(name);
        self
    }

    /// Sets a header that holds a credential: like `authorization` and `cookie` it is not taken along to
    /// another origin.
    ///
    /// # Errors
    /// As [`Request::header`].
    pub fn private_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self> {
        self.outgoing.headers.set(name, value.as_ref())?;
        self.outgoing.private.push(name.to_ascii_lowercase());
        Ok(self)
    }

    /// The same request at another address, which may be relative to this one. As with a redirect, credentials
    /// are not taken along to another origin.
    ///
    /// ```
    /// use connector_sdk::http::Request;
    /// let first = Request::get("https://a.example/list?size=10")?;
    /// assert_eq!(first.at("?page=2")?.url(), "https://a.example/list?page=2");
    /// # Ok::<(), connector_sdk::Error>(())
    /// ```
    ///
    /// # Errors
    /// Kind `config` when it is no `http` or `https` address.
    pub fn at(&self, address: &str) -> Result<Self> {
        let joined = self.outgoing.url.join(address);
        let url = parse_address(joined.as_ref().map_or(address, Url::as_str))?;
        Ok(Self { outgoing: self.outgoing.moved(url), ..*self })
    }

    /// The address, without credentials, but with the query, which may hold some.
    #[must_use]
    pub fn url(&self) -> &str {
        self.outgoing.url.as_str()
    }

    /// The fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.outgoing.headers
    }

    /// Whether it goes to the same scheme, host and port as another one.
    #[must_use]
    pub fn same_origin(&self, other: &Self) -> bool {
        self.outgoing.url.origin() == other.outgoing.url.origin()
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.outgoing.body = Rc::new(body.into());
        self
    }

    /// Sets how long each part may take.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.outgoing.timeouts = timeouts;
        self
    }

    /// Sets how many redirects are followed; with 0 a redirect is an answer like any other.
    #[must_use]
    pub fn redirects(mut self, redirects: u32) -> Self {
        self.redirects = redirects;
        self
    }

    /// Follows only those redirects that repeat the request as it was. One that would make a GET of it, and
    /// drop its body, is an answer like any other.
    #[must_use]
    pub fn keep_method(mut self) -> Self {
        self.keep_method = true;
        self
    }

    /// Sends it with another method.
    ///
    /// # Errors
    /// Kind `config` when it is not a token.
    pub fn method(mut self, method: &str) -> Result<Self> {
        self.outgoing.method = checked_method(method)?;
        Ok(self)
    }

    /// Sends it to another address. User and password in it take the place of an `Authorization` header.
    ///
    /// # Errors
    /// Kind `config` when it is no absolute `http` or `https` address.
    pub fn address(mut self, address: &str) -> Result<Self> {
        let mut url = parse_address(address)?;
        if let Some(credentials) = take_credentials(&mut url) {
            self.outgoing.headers.set("authorization", credentials.as_bytes())?;
        }
        self.outgoing.url = url;
        Ok(self)
    }

    /// The address, without credentials and query: fit for messages.
    #[must_use]
    pub fn place(&self) -> String {
        place(&self.outgoing.url)
    }

    /// Sends it, and returns without waiting for the answer.
    ///
    /// # Errors
    /// When it can't even be sent: the address is not allowed, a header is.
    pub fn start(self) -> Result<Call> {
        Call::start(self)
    }

    /// Sends it, and waits for the answer's head as long as the timeouts allow.
    ///
    /// # Errors
    /// `unreachable` when there is no answer, `config` when the sandbox does not allow the address.
    pub fn send(self) -> Result<Response> {
        let timeouts = self.outgoing.timeouts;
        let until = time::now() + timeouts.total.unwrap_or(timeouts.connect + timeouts.first_byte);
        let place = self.place();
        let mut call = self.start()?;
        match call.wait(until)? {
            Some(response) => Ok(response),
            None => Err(Error::unreachable(format!("{place}: no answer in time"))),
        }
    }
}

/// An address without credentials, query and fragment: fit for messages, since secrets like to hide there.
pub(crate) fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

fn checked_method(method: &str) -> Result<String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if method.is_empty() || !method.bytes().all(is_token) {
        return Err(Error::config(format!("`{method}` is not an HTTP method; write GET, POST or the like")));
    }
    // Standard methods are upper case, and nobody means anything else by `get`.
    Ok(method.to_ascii_uppercase())
}

fn parse_address(address: &str) -> Result<Url> {
    let wrong = |what: &str| Error::config(format!("{what}; write an address such as https://example.com/path"));
    let mut url = Url::parse(address).map_err(|error| wrong(&format!("the address is not a URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(&format!("`{}` addresses are not spoken here, only http and https", url.scheme())));
    }
    url.set_fragment(None);
    Ok(url)
}

/// Takes user and password out of an address; returns the header that says the same.
fn take_credentials(url: &mut Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text: &str| -> Vec<u8> { percent_decode(text) };
    let mut pair = decode(url.username());
    pair.push(b':');
    pair.extend(decode(url.password().unwrap_or_default()));
    // Neither fails for a URL with a host, and http(s) URLs have one.
    let _ = (url.set_username(""), url.set_password(None));
    Some(format!("Basic {}", STANDARD.encode(pair)))
}

fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let hex = bytes.get(index + 1..index + 3).filter(|_| bytes[index] == b'%');
        let decoded =
            hex.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match decoded {
            Some(byte) => {
                out.push(byte);
                index += 3;
            }
            None => {
                out.push(bytes[index]);
                index += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
