//! A small HTTP/1.1 server that misbehaves by path, over TCP or TLS.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What happened so far.
#[derive(Default)]
pub struct Seen {
    connections: AtomicUsize,
    sent: AtomicU64,
    heads: Mutex<Vec<String>>,
}

pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

impl Server {
    pub async fn start() -> Self {
        Self::listen(None).await
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Seen::default());
        let server = Self { address, seen: seen.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.connections.fetch_add(1, Ordering::Relaxed);
                let (seen, tls) = (seen.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &seen).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &seen).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// Bytes of endless bodies that the network has taken.
    pub fn sent(&self) -> u64 {
        self.seen.sent.load(Ordering::Relaxed)
    }

    /// The last request's head, in lower case.
    pub fn last_head(&self) -> String {
        self.seen.heads.lock().expect("no panic").last().cloned().unwrap_or_default()
    }
}

/// A server with a certificate of a new authority, and that authority's certificate.
pub async fn tls(name: &str) -> (Server, String) {
    let (config, ca) = certified(name);
    (Server::listen(Some(TlsAcceptor::from(Arc::new(config)))).await, ca)
}

/// The same, speaking HTTP/2 and nothing else: every answer is its request's path.
pub async fn http2(name: &str) -> (Server, String) {
    let (mut config, ca) = certified(name);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let seen = Arc::new(Seen::default());
    let server = Server { address, seen: seen.clone() };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            seen.connections.fetch_add(1, Ordering::Relaxed);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.ok()?;
                let mut connection = h2::server::handshake(stream).await.ok()?;
                while let Some(Ok((request, mut answer))) = connection.accept().await {
                    let mut body = answer.send_response(http::Response::new(()), false).ok()?;
                    body.send_data(request.uri().path().to_owned().into(), true).ok()?;
                }
                Some(())
            });
        }
    });
    (server, ca)
}

fn certified(name: &str) -> (ServerConfig, String) {
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).expect("a certificate");
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    let certificate = leaf.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a configuration");
    (config, ca_certificate.pem())
}

/// Answers requests until the other side or a path ends it.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, seen: &Seen) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.ok()? == 0 {
                return None;
            }
        }
        let head = head.to_ascii_lowercase();
        seen.heads.lock().expect("no panic").push(head.clone());
        let body = read_body(&mut stream, &head).await?;
        let path = head.split(' ').nth(1)?.to_owned();
        answer(&mut stream, &path, &body, seen).await?;
    }
}

async fn read_body<S: AsyncRead + Unpin>(stream: &mut BufReader<S>, head: &str) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(length) = head.split("content-length: ").nth(1) {
        body.resize(length.split("\r\n").next()?.parse().ok()?, 0);
        stream.read_exact(&mut body).await.ok()?;
    } else if head.contains("transfer-encoding: chunked") {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok()?;
            let length = usize::from_str_radix(line.trim(), 16).ok()?;
            let mut chunk = vec![0; length + 2];
            stream.read_exact(&mut chunk).await.ok()?;
            if length == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }
    Some(body)
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    path: &str,
    body: &[u8],
    seen: &Seen,
) -> Option<()> {
    let whole = |status: &str, body: &[u8]| {
        let mut answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend_from_slice(body);
        answer
    };
    match path {
        "/chunked" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.ok()?;
            for part in ["5\r\nhello\r\n", "7\r\n, world\r\n", "0\r\n\r\n"] {
                stream.write_all(part.as_bytes()).await.ok()?;
                stream.flush().await.ok()?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            return Some(());
        }
        "/truncated" | "/truncated-chunk" | "/stalls" => {
            let head = if path == "/truncated-chunk" {
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\n"
            } else {
                "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"
            };
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(b"a beginning").await.ok()?;
            stream.flush().await.ok()?;
            if path == "/stalls" {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            return None;
        }
        "/hangs" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return None;
        }
        "/closes" => return None,
        "/closes-after" => {
            stream.write_all(&whole("200 OK", b"hello")).await.ok()?;
            return None;
        }
        "/endless" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await.ok()?;
            loop {
                stream.write_all(&[b'x'; 65536]).await.ok()?;
                seen.sent.fetch_add(65536, Ordering::Relaxed);
            }
        }
        _ => {}
    }
    let answer = match path {
        "/nonsense" => b"this is not HTTP at all\r\n\r\n".to_vec(),
        "/echo" => whole("200 OK", body),
        "/gone" => whole("503 Service Unavailable", b"later"),
        "/large" => whole("200 OK", &vec![b'x'; 3_000_000]),
        path => match path.strip_prefix("/redirect/") {
            Some(to) => format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes(),
            None => whole("200 OK", b"hello"),
        },
    };
    stream.write_all(&answer).await.ok()?;
    stream.flush().await.ok()
}
