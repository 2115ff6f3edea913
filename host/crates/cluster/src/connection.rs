//! One connection to a controller or a storage unit.
//!
//! A frame is a length and that many bytes; a request starts with its kind, version and a number that the
//! answer repeats. Plain connections run on the caller's own runtime; TLS ones on the published connector.
//! After any error the connection is of no use any more: drop it and open another. [`Connection::receive`]
//! may be cancelled and called again, everything else may not.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};
use fluvio_protocol::api::{Request, RequestMessage};
use fluvio_protocol::link::versions::{ApiVersionsRequest, ApiVersionsResponse};
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::TryEncodableFrom;
use fluvio_socket::Versions;
use futures_util::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::Error;
use crate::target::Endpoint;

/// How long a server may take to accept a connection and say what it can do.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A longer frame is no Fluvio.
const MAX_FRAME_BYTES: usize = 1 << 30;

/// An open connection, and what the server there understands.
pub(crate) struct Connection {
    address: String,
    client_id: String,
    versions: Versions,
    write: Box<dyn AsyncWrite + Send + Unpin>,
    frames: FrameReader,
    last_correlation: i32,
}

/// A request under way: what its answer will look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) correlation: i32,
    pub(crate) version: i16,
}

impl Connection {
    /// Connects, and asks for the versions of the requests that the server understands.
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Self, Error> {
        let unreachable = |source| Error::Unreachable { address: endpoint.address.clone(), source };
        let opened = timeout(CONNECT_TIMEOUT, Self::handshake(endpoint)).await;
        opened.unwrap_or_else(|_| {
            Err(unreachable(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {CONNECT_TIMEOUT:?}"))))
        })
    }

    async fn handshake(endpoint: &Endpoint) -> Result<Self, Error> {
        let address = endpoint.address.clone();
        let (write, read) =
            dial(endpoint).await.map_err(|source| Error::Unreachable { address: address.clone(), source })?;
        let mut connection = Self {
            address,
            client_id: endpoint.client_id.clone(),
            versions: Versions::new(ApiVersionsResponse::default()),
            write,
            frames: FrameReader::new(read),
            last_correlation: 0,
        };
        let hello = ApiVersionsRequest {
            client_version: env!("CARGO_PKG_VERSION").to_owned(),
            client_os: std::env::consts::OS.to_owned(),
            client_arch: std::env::consts::ARCH.to_owned(),
        };
        let sent = connection.send(hello, Some(ApiVersionsRequest::DEFAULT_API_VERSION)).await?;
        let (_, mut frame) = connection.receive().await?;
        let answer: ApiVersionsResponse = connection.decode(&mut frame, sent)?;
        connection.versions = Versions::new(answer);
        Ok(connection)
    }

    /// Where the other end is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The newest version of a request that both ends know, if there is one.
    pub(crate) fn version<R: Request>(&self) -> Option<i16> {
        self.versions.lookup_version::<R>()
    }

    /// Sends a request, in the given version or in the newest that both ends know. Storage units do not list
    /// every request that they answer; those are sent in their own default version, as the published client does.
    pub(crate) async fn send<R: Request>(&mut self, request: R, version: Option<i16>) -> Result<Sent, Error> {
        let version = version.or_else(|| self.version::<R>()).unwrap_or(R::DEFAULT_API_VERSION);
        self.last_correlation = self.last_correlation.wrapping_add(1);
        let mut message = RequestMessage::new_request(request);
        let header = message.get_mut_header();
        header.set_api_version(version).set_correlation_id(self.last_correlation).set_client_id(&self.client_id);
        let length = message.write_size(0);
        let mut frame = Vec::with_capacity(4 + length);
        let encoded = (length as i32).encode(&mut frame, 0).and_then(|()| message.encode(&mut frame, 0));
        encoded.map_err(|error| self.protocol(format!("a request can't be encoded: {error}")))?;
        let written = async {
            self.write.write_all(&frame).await?;
            self.write.flush().await
        };
        written.await.map_err(|source| self.lost(source))?;
        Ok(Sent { correlation: self.last_correlation, version })
    }

    /// The next frame: the number of the request that it answers, and its body. May be cancelled.
    pub(crate) async fn receive(&mut self) -> Result<(i32, Bytes), Error> {
        let mut frame = self.frames.next().await.map_err(|source| self.lost(source))?;
        if frame.len() < 4 {
            return Err(self.protocol(format!("a frame of {} bytes", frame.len())));
        }
        let correlation = frame.get_i32();
        Ok((correlation, frame))
    }

    /// Decodes a frame's body as the answer to an `R`.
    pub(crate) fn decode<T: Decoder>(&self, body: &mut Bytes, sent: Sent) -> Result<T, Error> {
        T::decode_from(body, sent.version)
            .map_err(|error| self.protocol(format!("an answer can't be decoded: {error}")))
    }

    /// Sends a request and waits for its answer; answers to other requests are passed over.
    pub(crate) async fn call<R: Request>(
        &mut self,
        name: &'static str,
        request: R,
        wait: Duration,
    ) -> Result<R::Response, Error> {
        let version = self.version::<R>();
        self.call_version(name, request, version, wait).await
    }

    async fn call_version<R: Request>(
        &mut self,
        name: &'static str,
        request: R,
        version: Option<i16>,
        wait: Duration,
    ) -> Result<R::Response, Error> {
        let answer = timeout(wait, async {
            let sent = self.send(request, version).await?;
            loop {
                let (correlation, mut body) = self.receive().await?;
                if correlation == sent.correlation {
                    return self.decode(&mut body, sent);
                }
            }
        })
        .await;
        answer.unwrap_or_else(|_| Err(Error::Timeout { address: self.address.clone(), request: name, waited: wait }))
    }

    /// Sends one of the controller's requests, which wrap an object of type `I`.
    pub(crate) async fn call_admin<R, I>(
        &mut self,
        name: &'static str,
        input: I,
        wait: Duration,
    ) -> Result<R::Response, Error>
    where
        R: Request + TryEncodableFrom<I>,
    {
        let version = self.version::<R>();
        let version = version.ok_or_else(|| Error::Incompatible { address: self.address.clone(), request: name })?;
        let request = R::try_encode_from(input, version)
            .map_err(|error| self.protocol(format!("a {name} request can't be encoded: {error}")))?;
        self.call_version(name, request, Some(version), wait).await
    }

    /// An error that says that the other end doesn't keep to the protocol.
    pub(crate) fn protocol(&self, reason: impl Into<String>) -> Error {
        Error::Protocol { address: self.address.clone(), reason: reason.into() }
    }

    fn lost(&self, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::InvalidData => self.protocol(source.to_string()),
            _ => Error::Disconnected { address: self.address.clone(), source },
        }
    }
}

type Halves = (Box<dyn AsyncWrite + Send + Unpin>, Box<dyn AsyncRead + Send + Unpin>);

async fn dial(endpoint: &Endpoint) -> io::Result<Halves> {
    if let Some(tls) = &endpoint.tls {
        let (write, read, _) = tls.connect(&endpoint.address).await?;
        return Ok((Box::new(write), Box::new(read)));
    }
    let stream = tokio::net::TcpStream::connect(&endpoint.address).await?;
    stream.set_nodelay(true)?;
    let (read, write) = stream.into_split();
    Ok((Box::new(write.compat_write()), Box::new(read.compat())))
}

/// Cuts the incoming bytes into frames, each read straight into a buffer of its own size.
struct FrameReader {
    read: Box<dyn AsyncRead + Send + Unpin>,
    length: [u8; 4],
    body: Option<Vec<u8>>,
    filled: usize,
}

impl FrameReader {
    fn new(read: Box<dyn AsyncRead + Send + Unpin>) -> Self {
        Self { read, length: [0; 4], body: None, filled: 0 }
    }

    /// Keeps what it has when it is cancelled.
    async fn next(&mut self) -> io::Result<Bytes> {
        loop {
            let target = self.body.as_deref_mut().unwrap_or(&mut self.length);
            if self.filled < target.len() {
                match self.read.read(&mut target[self.filled..]).await? {
                    0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the other end")),
                    read => self.filled += read,
                }
                continue;
            }
            self.filled = 0;
            if let Some(body) = self.body.take() {
                return Ok(Bytes::from(body));
            }
            let length = i32::from_be_bytes(self.length);
            let length = usize::try_from(length).ok().filter(|&length| length <= MAX_FRAME_BYTES);
            let length =
                length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a frame of impossible length"))?;
            self.body = Some(vec![0; length]);
        }
    }
}
