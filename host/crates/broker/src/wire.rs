//! Frames on a connection: what comes in is cut into requests, what goes out is put together here.
//!
//! A frame is a length (4 bytes) and so many bytes. A request's frame begins with its header, a response's
//! with the correlation id of the request it answers. Bytes that are no request end the connection they came
//! by, and nothing else.

use std::io;

use bytes::{Bytes, BytesMut};
use fluvio_protocol::api::RequestHeader;
use fluvio_protocol::{Decoder, Encoder, Version};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

/// The longest request. It is well above what clients send in one request by default (1 MB), and below
/// what the first bytes of HTTP or TLS would mean as a length.
const MAX_REQUEST: usize = 128 << 20;

/// One request: its header, and the bytes behind it.
#[derive(Debug)]
pub(crate) struct Request {
    pub header: RequestHeader,
    pub body: Bytes,
}

impl Request {
    /// Decodes the body, in the version that the header names.
    pub(crate) fn decode<R: Decoder>(&mut self) -> io::Result<R> {
        R::decode_from(&mut self.body, self.header.api_version())
    }

    /// Where the answer goes to, and how it is written.
    pub(crate) fn address(&self) -> Address {
        Address { correlation: self.header.correlation_id(), version: self.header.api_version() }
    }
}

/// Which request a response answers, and in which version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address {
    pub correlation: i32,
    pub version: Version,
}

/// The incoming side of a connection.
pub(crate) struct Requests {
    frames: FramedRead<OwnedReadHalf, LengthDelimitedCodec>,
}

impl Requests {
    /// The next request; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Request>> {
        let frame = match self.frames.next().await? {
            Ok(frame) => frame,
            Err(error) => return Some(Err(error)),
        };
        Some(parse(frame))
    }
}

fn parse(frame: BytesMut) -> io::Result<Request> {
    let mut body = frame.freeze();
    let header = RequestHeader::decode_from(&mut body, 0)?;
    Ok(Request { header, body })
}

/// The outgoing side of a connection, shared by everything that answers on it.
#[derive(Debug)]
pub(crate) struct Responses {
    stream: Mutex<Outgoing>,
}

#[derive(Debug)]
struct Outgoing {
    half: OwnedWriteHalf,
    /// A frame was begun and not finished, because it failed or its task was ended: whatever came next would
    /// be taken for the rest of it.
    is_torn: bool,
}

impl Responses {
    /// Sends a response.
    pub(crate) async fn send<R: Encoder>(&self, to: Address, response: &R) -> io::Result<()> {
        self.send_with_tail(to, response, &[]).await
    }

    /// Sends a response whose last part is `tail`: the response itself only encodes what comes before it.
    pub(crate) async fn send_with_tail<R: Encoder>(&self, to: Address, response: &R, tail: &[u8]) -> io::Result<()> {
        let head = head(to, response, tail.len())?;
        let mut stream = self.stream.lock().await;
        if stream.is_torn {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        stream.is_torn = true;
        stream.half.write_all(&head).await?;
        stream.half.write_all(tail).await?;
        stream.is_torn = false;
        Ok(())
    }
}

fn head<R: Encoder>(to: Address, response: &R, tail: usize) -> io::Result<Vec<u8>> {
    let mut head = vec![0; 8];
    response.encode(&mut head, to.version)?;
    let length = i32::try_from(head.len() - 4 + tail)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the response is too long"))?;
    head[..4].copy_from_slice(&length.to_be_bytes());
    head[4..8].copy_from_slice(&to.correlation.to_be_bytes());
    Ok(head)
}

/// Takes a connection apart.
pub(crate) fn split(stream: TcpStream) -> (Requests, Responses) {
    let (read, write) = stream.into_split();
    let codec = LengthDelimitedCodec::builder().max_frame_length(MAX_REQUEST).new_codec();
    let requests = Requests { frames: FramedRead::with_capacity(read, codec, 64 << 10) };
    let responses = Responses { stream: Mutex::new(Outgoing { half: write, is_torn: false }) };
    (requests, responses)
}
