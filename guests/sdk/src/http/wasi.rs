//! HTTP by `wasi:http`: one exchange, driven by polling with an end to every wait.
//!
//! Resources that come from each other must go in reverse order (a stream before its body, a pollable
//! before its stream), or the host traps: hence the order of fields, and the short life of pollables.

use std::rc::Rc;

use wasip2::clocks::monotonic_clock;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, HeaderError, IncomingBody, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme, http_error_code,
};
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use super::{Chunk, Exchange, Head, Headers, Outgoing};
use crate::error::{Error, Result};
use crate::time::{Instant, now};

pub(crate) fn start(request: &Outgoing) -> Result<Box<dyn Exchange>> {
    let outgoing = OutgoingRequest::new(fields(request)?);
    let refused = |what: &str| Error::config(format!("the host does not take the request's {what}"));
    outgoing.set_method(&method(&request.method)).map_err(|()| refused("method"))?;
    let scheme = if request.url.scheme() == "https" { Scheme::Https } else { Scheme::Http };
    outgoing.set_scheme(Some(&scheme)).map_err(|()| refused("scheme"))?;
    outgoing.set_authority(Some(request.url.authority())).map_err(|()| refused("address"))?;
    let path = match request.url.query() {
        Some(query) => format!("{}?{query}", request.url.path()),
        None => request.url.path().to_owned(),
    };
    outgoing.set_path_with_query(Some(&path)).map_err(|()| refused("path"))?;
    let upload = if request.body.is_empty() {
        None
    } else {
        let taken = |()| Error::internal("the request's body is already taken");
        let body = outgoing.body().map_err(taken)?;
        let stream = body.write().map_err(taken)?;
        Some(Upload { stream, body, bytes: Rc::clone(&request.body), sent: 0 })
    };
    let answer = outgoing_handler::handle(outgoing, Some(options(request)?)).map_err(|code| error(&code))?;
    let mut exchange = WasiExchange { upload, answer: Some(answer), download: None };
    // On its way before anybody waits, since other exchanges may be started first.
    exchange.push();
    Ok(Box::new(exchange))
}

/// What the host tells by that an exchange has got further.
pub(crate) struct Progress {
    ready: Pollable,
    writable: Option<Pollable>,
}

struct WasiExchange {
    upload: Option<Upload>,
    answer: Option<FutureIncomingResponse>,
    download: Option<Download>,
}

struct Upload {
    stream: OutputStream,
    body: OutgoingBody,
    bytes: Rc<Vec<u8>>,
    sent: usize,
}

struct Download {
    stream: InputStream,
    _body: IncomingBody,
}

impl Exchange for WasiExchange {
    fn head(&mut self) -> Result<Option<Head>> {
        let gone = || Error::internal("the answer was already taken");
        self.push();
        let Some(result) = self.answer.as_ref().ok_or_else(gone)?.get() else { return Ok(None) };
        let response = result.map_err(|()| gone())?.map_err(|code| error(&code))?;
        self.answer = None;
        let head = Head { status: response.status(), headers: Headers::from_entries(response.headers().entries()) };
        let body = response.consume().map_err(|()| gone())?;
        let stream = body.stream().map_err(|()| gone())?;
        self.download = Some(Download { stream, _body: body });
        Ok(Some(head))
    }

    fn progress(&self) -> Option<Progress> {
        let ready = self.answer.as_ref()?.subscribe();
        Some(Progress { ready, writable: self.upload.as_ref().map(|upload| upload.stream.subscribe()) })
    }

    fn body(&mut self, max: usize, until: Instant) -> Result<Chunk> {
        let mut waited = false;
        loop {
            self.push();
            let Some(download) = &self.download else { return Ok(Chunk::End) };
            match download.stream.read(max as u64) {
                Ok(bytes) if !bytes.is_empty() => return Ok(Chunk::Data(bytes)),
                Ok(_) => {}
                Err(StreamError::Closed) => {
                    self.download = None;
                    return Ok(Chunk::End);
                }
                Err(StreamError::LastOperationFailed(failure)) => {
                    return Err(match http_error_code(&failure) {
                        Some(code) => error(&code),
                        None => Error::unreachable(failure.to_debug_string()),
                    });
                }
            }
            if waited && now() >= until {
                return Ok(Chunk::Pending);
            }
            waited = true;
            wait(&[Progress { ready: download.stream.subscribe(), writable: None }], until);
        }
    }
}

impl WasiExchange {
    /// Sends as much of the request's body as the host takes now. A failure shows in the answer.
    fn push(&mut self) {
        if self.upload.as_mut().is_none_or(Upload::push) {
            return;
        }
        if let Some(Upload { stream, body, bytes, sent }) = self.upload.take() {
            drop(stream);
            if sent == bytes.len() {
                // A refusal shows in the answer, with its reason.
                let _ = OutgoingBody::finish(body, None);
            }
        }
    }
}

impl Upload {
    /// Whether there is more to come.
    fn push(&mut self) -> bool {
        while self.sent < self.bytes.len() {
            let room = match self.stream.check_write() {
                Ok(0) => return true,
                Ok(room) => usize::try_from(room).unwrap_or(usize::MAX),
                Err(_) => return false,
            };
            let end = self.bytes.len().min(self.sent.saturating_add(room));
            if self.stream.write(&self.bytes[self.sent..end]).is_err() {
                return false;
            }
            self.sent = end;
        }
        false
    }
}

/// Waits for one of these, or the time.
pub(crate) fn wait(progress: &[Progress], until: Instant) {
    let timer = monotonic_clock::subscribe_instant(until.as_nanos());
    let mut all: Vec<&Pollable> = Vec::with_capacity(2 * progress.len() + 1);
    all.extend(progress.iter().flat_map(|progress| std::iter::once(&progress.ready).chain(&progress.writable)));
    all.push(&timer);
    poll(&all);
}

fn fields(request: &Outgoing) -> Result<Fields> {
    let entries = request.headers.entries();
    // All at once is quicker; one by one tells which of them is wrong.
    let fields = match Fields::from_list(entries) {
        Ok(fields) => fields,
        Err(_) => {
            let fields = Fields::new();
            for (name, value) in entries {
                append(&fields, name, value)?;
            }
            fields
        }
    };
    let sends_body = !request.body.is_empty() || matches!(request.method.as_str(), "POST" | "PUT" | "PATCH");
    if sends_body && request.headers.get("content-length").is_none() {
        append(&fields, "content-length", request.body.len().to_string().as_bytes())?;
    }
    Ok(fields)
}

fn append(fields: &Fields, name: &str, value: &[u8]) -> Result<()> {
    fields.append(name, value).map_err(|error| {
        let why = match error {
            HeaderError::Forbidden => "is the host's own business",
            HeaderError::InvalidSyntax => "is not well-formed",
            _ => "is not taken by the host",
        };
        Error::config(format!("the HTTP header `{name}` {why}; leave it out"))
    })
}

fn options(request: &Outgoing) -> Result<RequestOptions> {
    let options = RequestOptions::new();
    let nanos = |span: std::time::Duration| Some(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    let timeouts = &request.timeouts;
    options
        .set_connect_timeout(nanos(timeouts.connect))
        .and_then(|()| options.set_first_byte_timeout(nanos(timeouts.first_byte)))
        .and_then(|()| options.set_between_bytes_timeout(nanos(timeouts.between_bytes)))
        .map_err(|()| Error::internal("the host does not support HTTP timeouts"))?;
    Ok(options)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

/// What went wrong on the way, in words, and by what can be done about it.
fn error(code: &ErrorCode) -> Error {
    use ErrorCode as C;
    match code {
        C::HttpRequestDenied | C::DestinationIpProhibited => Error::config(
            "the sandbox does not allow this address; only what the configuration names is open (see \
             host.sandbox.allow)",
        ),
        C::HttpRequestUriInvalid | C::HttpRequestUriTooLong => Error::config("the address is not valid"),
        C::HttpRequestMethodInvalid => Error::config("the method is not valid"),
        C::HttpRequestHeaderSectionSize(_) | C::HttpRequestHeaderSize(_) => {
            Error::config("the request's headers are too long")
        }
        C::HttpRequestLengthRequired
        | C::HttpRequestBodySize(_)
        | C::HttpRequestTrailerSectionSize(_)
        | C::HttpRequestTrailerSize(_) => Error::internal(format!("the host refuses the request: {code}")),
        C::ConfigurationError => Error::config(format!("the host refuses the request: {code}")),
        C::DnsTimeout => Error::unreachable("the name could not be resolved in time"),
        C::DnsError(payload) => {
            let why = payload.rcode.as_deref().unwrap_or("no such name");
            Error::unreachable(format!("the name could not be resolved ({why})"))
        }
        C::DestinationNotFound => Error::unreachable("the name could not be resolved"),
        C::DestinationUnavailable | C::DestinationIpUnroutable => Error::unreachable("there is no way to the host"),
        C::ConnectionRefused => Error::unreachable("the connection was refused"),
        C::ConnectionTerminated => Error::unreachable("the connection was closed"),
        C::ConnectionTimeout => Error::unreachable("the connection did not stand in time"),
        C::ConnectionReadTimeout | C::HttpResponseTimeout => Error::unreachable("the other side fell silent"),
        C::ConnectionWriteTimeout => Error::unreachable("the other side does not take the request"),
        C::ConnectionLimitReached => Error::unreachable("too many connections are open"),
        C::TlsProtocolError => Error::unreachable("TLS failed"),
        C::TlsCertificateError => Error::unreachable("the TLS certificate is not valid for this address"),
        C::TlsAlertReceived(payload) => {
            let why = payload.alert_message.as_deref().unwrap_or("no reason given");
            Error::unreachable(format!("the other side ended TLS ({why})"))
        }
        C::HttpResponseIncomplete => Error::unreachable("the answer broke off"),
        C::InternalError(Some(why)) => Error::unreachable(why.as_str()),
        C::InternalError(None) => Error::unreachable("the request failed; the host gives no reason"),
        other => Error::unreachable(format!("the answer is not proper HTTP ({other})")),
    }
}
