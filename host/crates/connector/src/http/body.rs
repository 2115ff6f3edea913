//! Bodies on their way through the host.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyDataStream, BodyExt};
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

use super::error::classify;

/// A request body of up to so many bytes goes out whole, with its length in the header.
const WHOLE_BYTES: usize = 64 * 1024;

/// How long the host waits for the end of such a body before it begins to send what is there. Guests write
/// and finish a small body in one go, within microseconds; one that streams loses this once.
const WHOLE_WAIT: Duration = Duration::from_millis(20);

/// What the client is to send.
///
/// Some servers refuse a body without a length, and an empty one with `Transfer-Encoding: chunked` on a GET
/// is odd to many; also, only a whole body can be sent again when a pooled connection turns out to be
/// closed. So a body that ends soon is sent whole (or not at all, when empty), and any other is streamed.
pub(super) async fn outgoing(mut body: WasiBody) -> Result<Option<reqwest::Body>, HttpError> {
    if body.is_end_stream() {
        return Ok(None);
    }
    let mut head = BytesMut::new();
    let patience = tokio::time::sleep(WHOLE_WAIT);
    tokio::pin!(patience);
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = &mut patience => break,
        };
        match frame {
            None if head.is_empty() => return Ok(None),
            None => return Ok(Some(head.freeze().into())),
            Some(frame) => {
                if let Ok(data) = frame?.into_data() {
                    head.extend_from_slice(&data);
                }
                if head.len() > WHOLE_BYTES {
                    break;
                }
            }
        }
    }
    let head = stream::iter((!head.is_empty()).then(|| Ok(head.freeze())));
    Ok(Some(reqwest::Body::wrap_stream(head.chain(BodyDataStream::new(body)))))
}

/// A response body, with a limit on how long each next part may take.
pub(super) struct Incoming {
    inner: reqwest::Body,
    limit: Duration,
    /// Runs while a part is awaited.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    pub(super) fn new(inner: reqwest::Body, limit: Duration) -> Self {
        Self { inner, limit, waiting: None }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| classify(&error))));
        }
        let limit = this.limit;
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Some(Err(HttpError::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
