//! A real HTTP server on loopback whose every answer a test decides: keep-alive, chunked, slow, cut off, none at
//! all, TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a server answers.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    chunk: Option<usize>,
    delay: Duration,
    cut_after: Option<usize>,
    none: bool,
}

/// A request as a server got it.
#[derive(Debug, Clone)]
pub struct Received {
    /// The method, as in `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The body.
    pub body: Vec<u8>,
    headers: http::HeaderMap,
}

impl Received {
    /// The first value of a field, when it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
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
        let (chunk, cut_after) = (None, None);
        Self { status, headers: Vec::new(), body, chunk, delay: Duration::ZERO, cut_after, none: false }
    }

    /// No answer: the connection is closed.
    #[must_use]
    pub fn none() -> Self {
        Self { none: true, ..Self::ok("") }
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

/// A server on a free port. It lives as long as the value.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    scheme: &'static str,
    requests: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
    _runtime: tokio::runtime::Runtime,
}

impl HttpServer {
    /// Starts a server that answers what `answer` says to each path and query.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::receive(move |request| answer(&request.path))
    }

    /// Starts a server that answers what `answer` says to each request.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn receive(answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::receive_at("127.0.0.1:0", answer)
    }

    /// Starts a server at this address, as one that comes back.
    ///
    /// # Panics
    /// When the address is taken.
    #[must_use]
    pub fn receive_at(address: &str, answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::serve(address, answer, None)
    }

    /// The same behind TLS, for the name `localhost`, with a certificate authority of its own.
    ///
    /// # Panics
    /// When no certificate can be made.
    #[must_use]
    pub fn start_tls(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> (Self, TlsFiles) {
        let (acceptor, files) = certificates();
        (Self::serve("127.0.0.1:0", move |request| answer(&request.path), Some(acceptor)), files)
    }

    fn serve(
        address: &str,
        answer: impl Fn(&Received) -> Answer + Send + Sync + 'static,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the server");
        let listener = runtime.block_on(TcpListener::bind(address)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (requests, connections) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (counted, connected) = (Arc::clone(&requests), Arc::clone(&connections));
        let answer = Arc::new(answer);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connected.fetch_add(1, Ordering::SeqCst);
                let (answer, counted, tls) = (Arc::clone(&answer), Arc::clone(&counted), tls.clone());
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
        Self { address, scheme, requests, connections, _runtime: runtime }
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
        self.requests.load(Ordering::SeqCst)
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn connection<S, F>(stream: S, answer: Arc<F>, counted: Arc<AtomicU64>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(&Received) -> Answer + Send + Sync + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        counted.fetch_add(1, Ordering::SeqCst);
        let answer = Arc::clone(&answer);
        async move {
            let answer = answer(&received(request).await?);
            if answer.none { Err(std::io::Error::other("no answer, on purpose")) } else { Ok(respond(answer).await) }
        }
    });
    // A client that goes away, or an answer cut off on purpose, ends the connection with an error.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn received(request: Request<Incoming>) -> std::io::Result<Received> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes().to_vec();
    Ok(Received { method: parts.method.to_string(), path, body, headers: parts.headers })
}

async fn respond(answer: Answer) -> Response<Body> {
    tokio::time::sleep(answer.delay).await;
    let mut response = Response::builder().status(StatusCode::from_u16(answer.status).expect("a status"));
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    let body: Body = if answer.chunk.is_none() && answer.cut_after.is_none() {
        Full::new(Bytes::from(answer.body)).map_err(|never| match never {}).boxed_unsync()
    } else {
        if answer.chunk.is_none() {
            response = response.header("content-length", answer.body.len());
        }
        pieces(answer)
    };
    response.body(body).expect("the test's headers are valid")
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
