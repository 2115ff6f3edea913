//! A real HTTP server on loopback whose every answer a test decides: keep-alive, chunked, slow, cut off, TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What a client asks.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path with the query.
    pub path: String,
    /// The body.
    pub body: Bytes,
    headers: http::HeaderMap,
}

impl Asked {
    /// A header, when it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A parameter of the query, as it is written.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.path.split_once('?')?;
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }
}

/// A body that is made while it is sent.
type Pieces = Arc<dyn Fn() -> Box<dyn Iterator<Item = Vec<u8>> + Send> + Send + Sync>;

/// What a server answers.
#[derive(Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    pieces: Option<Pieces>,
    chunk: Option<usize>,
    delay: Duration,
    cut_after: Option<usize>,
}

impl Answer {
    /// 200 with this body, its length declared.
    #[must_use]
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200, body)
    }

    /// Any status.
    #[must_use]
    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self { status, headers: Vec::new(), body, pieces: None, chunk: None, delay: Duration::ZERO, cut_after: None }
    }

    /// 200 with a body that is made while it is sent, as fast as the client takes it.
    #[must_use]
    pub fn stream<I>(pieces: impl Fn() -> I + Send + Sync + 'static) -> Self
    where
        I: Iterator<Item = Vec<u8>> + Send + 'static,
    {
        Self { pieces: Some(Arc::new(move || Box::new(pieces()))), ..Self::ok("") }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sends the body in chunks of so many bytes, its length not declared.
    #[must_use]
    pub fn chunked(mut self, bytes: usize) -> Self {
        self.chunk = Some(bytes);
        self
    }

    /// Waits before the answer, and in front of each chunk.
    #[must_use]
    pub fn slow(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Closes the connection after so many bytes of the body.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut_after = Some(bytes);
        self
    }
}

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// The certificate authority that a TLS server's certificate is from.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// PEM.
    pub authority: String,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    connections: AtomicU64,
    sent: AtomicU64,
}

/// A server on a free port. It lives as long as the value.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    scheme: &'static str,
    counts: Arc<Counts>,
    _runtime: tokio::runtime::Runtime,
}

impl HttpServer {
    /// Starts a server that answers what `answer` says to each path and query.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::serve(move |asked| answer(&asked.path), None)
    }

    /// Starts a server that answers what `answer` says to each request.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start_with(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::serve(answer, None)
    }

    /// The same behind TLS, for the name `localhost`, with a certificate authority of its own.
    ///
    /// # Panics
    /// When no certificate can be made.
    #[must_use]
    pub fn start_tls(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> (Self, TlsFiles) {
        let (acceptor, files) = certificates();
        (Self::serve(move |asked| answer(&asked.path), Some(acceptor)), files)
    }

    fn serve(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static, tls: Option<TlsAcceptor>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the server");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let counts = Arc::<Counts>::default();
        let counted = Arc::clone(&counts);
        let answer = Arc::new(answer);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                let (answer, counted, tls) = (Arc::clone(&answer), Arc::clone(&counted), tls.clone());
                let stream = Counted { stream, counts: Arc::clone(&counted) };
                tokio::spawn(async move {
                    match tls {
                        None => connection(stream, answer, counted).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                connection(stream, answer, counted).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, scheme, counts, _runtime: runtime }
    }

    /// The server's address, as in `http://127.0.0.1:8080`; TLS servers go by `localhost`.
    #[must_use]
    pub fn url(&self) -> String {
        let host = if self.scheme == "https" { "localhost".to_owned() } else { self.address.ip().to_string() };
        format!("{}://{host}:{}", self.scheme, self.address.port())
    }

    /// Requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// Bytes so far that went onto the wire, heads included.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::SeqCst)
    }
}

/// A connection whose outgoing bytes are counted.
struct Counted {
    stream: TcpStream,
    counts: Arc<Counts>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.counts.sent.fetch_add(written as u64, Ordering::SeqCst);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

async fn connection<S, F>(stream: S, answer: Arc<F>, counts: Arc<Counts>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(&Asked) -> Answer + Send + Sync + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        counts.requests.fetch_add(1, Ordering::SeqCst);
        let answer = Arc::clone(&answer);
        async move {
            let (parts, body) = request.into_parts();
            let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
            let body = body.collect().await.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
            let asked = Asked { method: parts.method.to_string(), path, body, headers: parts.headers };
            Ok::<_, Infallible>(respond(answer(&asked)).await)
        }
    });
    // A client that goes away, or an answer cut off on purpose, ends the connection with an error.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(answer: Answer) -> Response<Body> {
    tokio::time::sleep(answer.delay).await;
    let mut response = Response::builder().status(StatusCode::from_u16(answer.status).expect("a status"));
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    let body: Body = if let Some(pieces) = answer.pieces {
        made(pieces())
    } else if answer.chunk.is_none() && answer.cut_after.is_none() {
        Full::new(Bytes::from(answer.body)).map_err(|never| match never {}).boxed_unsync()
    } else {
        if answer.chunk.is_none() {
            response = response.header("content-length", answer.body.len());
        }
        pieces(answer)
    };
    response.body(body).expect("the test's headers are valid")
}

/// The body as it is made.
fn made(pieces: Box<dyn Iterator<Item = Vec<u8>> + Send>) -> Body {
    let frames = pieces.map(|piece| Ok(Frame::data(Bytes::from(piece))));
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

/// The body piece by piece, with an error at its end when it is to be cut off.
fn pieces(answer: Answer) -> Body {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(1);
    tokio::spawn(async move {
        let end = answer.cut_after.unwrap_or(answer.body.len()).min(answer.body.len());
        for piece in answer.body[..end].chunks(answer.chunk.unwrap_or(16 * 1024)) {
            if sender.send(Ok(Frame::data(Bytes::copy_from_slice(piece)))).await.is_err() {
                return;
            }
            tokio::time::sleep(answer.delay).await;
        }
        if answer.cut_after.is_some() {
            let _ = sender.send(Err(std::io::Error::other("cut off on purpose"))).await;
        }
    });
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|frame| (frame, receiver))
    });
    StreamBody::new(stream).boxed_unsync()
}

fn certificates() -> (TlsAcceptor, TlsFiles) {
    let mut authority = CertificateParams::new(Vec::new()).expect("an authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let authority_certificate = authority.self_signed(&authority_key).expect("a certificate");
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .and_then(|params| params.signed_by(&key, &issuer))
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
        )
        .expect("a server certificate");
    (TlsAcceptor::from(Arc::new(config)), TlsFiles { authority: authority_certificate.pem() })
}
