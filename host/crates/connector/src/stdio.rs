//! A guest's standard output and error, as lines of its log.
//!
//! The streams never block the guest and never fail. A line longer than [`MESSAGE_BYTES`] is passed on in
//! pieces, so that the buffer stays bounded.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::events::{GuestLog, Level, MESSAGE_BYTES};

/// One of the two streams; its clones share the unfinished line.
#[derive(Clone)]
pub(crate) struct LineStream(Arc<Inner>);

struct Inner {
    log: Arc<GuestLog>,
    level: Level,
    context: &'static str,
    line: Mutex<Vec<u8>>,
}

impl LineStream {
    pub(crate) fn new(log: Arc<GuestLog>, level: Level, context: &'static str) -> Self {
        Self(Arc::new(Inner { log, level, context, line: Mutex::default() }))
    }

    fn add(&self, bytes: &[u8]) {
        let inner = &self.0;
        let mut line = inner.line.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            for part in piece.chunks(MESSAGE_BYTES) {
                line.extend_from_slice(part);
                let whole = line.ends_with(b"\n");
                if whole || line.len() >= MESSAGE_BYTES {
                    let end = line.len() - usize::from(whole);
                    inner.log.line(inner.level, inner.context, &line[..end]);
                    line.clear();
                }
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let line = self.line.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !line.is_empty() {
            self.log.line(self.level, self.context, line);
        }
    }
}

impl IsTerminal for LineStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LineStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for LineStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.add(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait::async_trait]
impl OutputStream for LineStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.add(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 * 1024)
    }
}

#[async_trait::async_trait]
impl Pollable for LineStream {
    async fn ready(&mut self) {}
}
