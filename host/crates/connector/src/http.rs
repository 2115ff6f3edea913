//! `wasi:http` on one pooled client.
//!
//! All instances of an [`Engine`](crate::Engine) share one `reqwest` client, and with it its open
//! connections, HTTP/2, the proxy and the TLS roots. Redirects are not followed here: the guest
//! sees them, and whatever it asks for next is checked like any other request. Behind a proxy the name (or
//! the literal address) and the port are checked as ever, before the proxy hears of the request; but it is the
//! proxy that looks up a name's address, so that what a listed name leads to is for the proxy to police. The
//! proxy itself need not be listed: guests can't choose it, and reach nothing through it that is not.
//!
//! Bodies stream both ways; a guest that reads slowly slows the server down, it does not fill the host's
//! memory.

mod body;
mod connect;
mod error;

pub(crate) use error::wasi_code;

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error as HttpError, RequestOptions, WasiBody, WasiHttpHooks};

use crate::events::{GuestLog, Level};
use crate::network::{Network, host_of};
use crate::outlet::Proxy;
use crate::tls::Tls;

/// How long a connection may take (name lookup, TCP, TLS) when the guest does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a response's first byte, and then each next part, may take when the guest does not say. Never
/// more than three quarters of a call's time, so that the guest hears of it before the call is ended.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Idle connections are closed after so long: below the 75 s after which common servers close theirs, so
/// that a request seldom meets a connection which is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Idle connections that are kept for each authority. A connector's parallel requests seldom pass this; a
/// smaller pool makes a burst open and close connections all the time.
const IDLE_CONNECTIONS: usize = 32;

/// The client, made at the first request.
pub(crate) struct Client {
    tls: Arc<Tls>,
    proxy: Proxy,
    client: OnceLock<Result<reqwest::Client, String>>,
}

impl Client {
    pub(crate) fn new(tls: Arc<Tls>, proxy: Proxy) -> Self {
        Self { tls, proxy, client: OnceLock::new() }
    }

    fn get(&self) -> Result<reqwest::Client, HttpError> {
        self.client.get_or_init(|| self.build()).clone().map_err(|text| HttpError::InternalError(Some(text)))
    }

    fn build(&self) -> Result<reqwest::Client, String> {
        let mut tls = (*self.tls.config()?).clone();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let builder = match &self.proxy {
            Proxy::Environment => reqwest::Client::builder(),
            Proxy::Direct => reqwest::Client::builder().no_proxy(),
            Proxy::At(url) => {
                // The address stays out of the message: it may hold a password.
                let proxy = reqwest::Proxy::all(url).map_err(|_| "the proxy's address can't be used".to_owned())?;
                reqwest::Client::builder().proxy(proxy)
            }
        };
        builder
            .tls_backend_preconfigured(tls)
            .dns_resolver(connect::Resolver)
            .connector_layer(connect::TimeoutLayer)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // The guest sees a body as it was sent, whatever other crates switch on in reqwest.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .tcp_keepalive(Duration::from_secs(60))
            .http2_adaptive_window(true)
            .user_agent(concat!("host/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error::chain(&error))
    }
}

/// One instance's way to the client.
pub(crate) struct Hooks {
    pub(crate) client: Arc<Client>,
    pub(crate) network: Arc<Network>,
    pub(crate) log: Arc<GuestLog>,
    /// How long the instance's calls may take: the bound of the default timeouts.
    pub(crate) call_timeout: Duration,
}

/// A response, and what goes on beside it: nothing, since the client drives its connections itself.
type Answer = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), HttpError>> + Send>);

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Result<Answer, HttpError>> + Send> {
        let timeouts = Timeouts::new(options.unwrap_or_default(), self.call_timeout);
        let (client, network, log) = (self.client.clone(), self.network.clone(), self.log.clone());
        Box::new(async move {
            let response = send(&client, &network, &log, request, timeouts).await?;
            Ok((response, Box::new(async { Ok(()) }) as Box<dyn Future<Output = _> + Send>))
        })
    }

    fn set_host_header(&mut self) -> bool {
        // The client does, as each version of the protocol wants it.
        false
    }
}

#[derive(Clone, Copy)]
struct Timeouts {
    connect: Duration,
    first_byte: Duration,
    between_bytes: Duration,
}

impl Timeouts {
    fn new(options: RequestOptions, call: Duration) -> Self {
        let longest = call.mul_f64(0.75);
        let or = |asked: Option<Duration>, default: Duration| asked.unwrap_or(default.min(longest));
        Self {
            connect: or(options.connect_timeout, CONNECT_TIMEOUT),
            first_byte: or(options.first_byte_timeout, RESPONSE_TIMEOUT),
            between_bytes: or(options.between_bytes_timeout, RESPONSE_TIMEOUT),
        }
    }
}

async fn send(
    client: &Client,
    network: &Network,
    log: &GuestLog,
    request: http::Request<WasiBody>,
    timeouts: Timeouts,
) -> Result<http::Response<WasiBody>, HttpError> {
    let (parts, body) = request.into_parts();
    let url = url::Url::parse(&parts.uri.to_string()).map_err(|_| HttpError::HttpRequestUriInvalid)?;
    let host = url.host_str().and_then(host_of).ok_or(HttpError::HttpRequestUriInvalid)?;
    let port = url.port_or_known_default().ok_or(HttpError::HttpRequestUriInvalid)?;
    if !network.permit(&host, port) {
        return Err(HttpError::HttpRequestDenied);
    }
    let client = client.get()?;
    let authority = format!("{}://{host}:{port}", url.scheme());
    let mut outgoing = reqwest::Request::new(parts.method, url);
    *outgoing.headers_mut() = parts.headers;
    *outgoing.body_mut() = body::outgoing(body).await?;

    let answer = connect::with_timeout(timeouts.connect, client.execute(outgoing));
    let answer = tokio::time::timeout(timeouts.connect + timeouts.first_byte, answer).await;
    let failed = match answer {
        Ok(Ok(response)) => {
            let response = http::Response::<reqwest::Body>::from(response);
            return Ok(response.map(|inner| body::Incoming::new(inner, timeouts.between_bytes).boxed_unsync()));
        }
        Ok(Err(error)) => error,
        Err(_) => return Err(HttpError::HttpResponseTimeout),
    };
    let code = error::classify(&failed);
    // The code alone can't say which certificate, or which address: the log does. Never the whole URL,
    // which may hold a key.
    let level = match code {
        HttpError::TlsCertificateError | HttpError::TlsProtocolError | HttpError::DestinationIpProhibited => {
            Level::Warn
        }
        _ => Level::Debug,
    };
    if let Some(connect::Forbidden(address)) = error::find(&failed) {
        network.refuse_address(&host, *address);
    }
    log.log(level, "http", format!("{authority}: {}", error::chain(&failed.without_url())));
    Err(code)
}

/// A boxed future of the client's layers.
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

#[cfg(test)]
mod tests;
