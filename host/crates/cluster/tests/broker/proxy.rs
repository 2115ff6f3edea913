//! A bad network in front of a storage unit.
//!
//! The broker tells its clients to look for the storage unit at another loopback address; there, at the same
//! port, this proxy listens.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::support::TestBroker;

/// What clients are told to connect to.
pub const HOST: &str = "127.0.0.2";

/// What happens to a connection after so many bytes in both directions together.
#[derive(Clone, Copy)]
pub enum Fate {
    /// Both ends see it closed.
    Cut,
    /// Nothing comes through any more, and nobody is told.
    Stall,
}

/// The proxy's books.
#[derive(Default)]
pub struct Counts {
    pub connections: AtomicUsize,
    /// Bytes from the storage unit to clients.
    pub down: AtomicU64,
}

/// A broker whose storage unit is reached through a proxy. Of every connection, `plan` is asked for its fate
/// and after how many bytes it befalls.
pub async fn behind_proxy(
    cut_responses: bool,
    plan: impl Fn(usize) -> Option<(Fate, u64)> + Send + 'static,
) -> (TestBroker, Arc<Counts>) {
    let broker = TestBroker::start_with(|options| {
        options.cut_responses = cut_responses;
        options.advertise = Some(HOST.to_owned());
    })
    .await;
    let unit = broker.unit;
    let listener =
        TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), unit.port())).await.expect("a second loopback address");
    let counts = Arc::new(Counts::default());
    tokio::spawn(accept(listener, unit, plan, Arc::clone(&counts)));
    (broker, counts)
}

async fn accept(
    listener: TcpListener,
    unit: SocketAddr,
    plan: impl Fn(usize) -> Option<(Fate, u64)>,
    counts: Arc<Counts>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let fate = plan(counts.connections.fetch_add(1, Ordering::SeqCst));
        let Ok(server) = TcpStream::connect(unit).await else { continue };
        let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
        let left = Arc::new(AtomicU64::new(fate.map_or(u64::MAX, |(_, after)| after)));
        let fate = fate.map_or(Fate::Cut, |(fate, _)| fate);
        let end = CancellationToken::new();
        tokio::spawn(pump(client_in, server_out, Arc::clone(&left), fate, end.clone(), None));
        tokio::spawn(pump(server_in, client_out, left, fate, end, Some(Arc::clone(&counts))));
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    left: Arc<AtomicU64>,
    fate: Fate,
    end: CancellationToken,
    counts: Option<Arc<Counts>>,
) {
    let mut buffer = vec![0; 4096];
    loop {
        let read = tokio::select! {
            () = end.cancelled() => return,
            read = from.read(&mut buffer) => read.unwrap_or(0),
        };
        let before =
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(read as u64)));
        let allowed = before.unwrap_or(0).min(read as u64) as usize;
        let written = to.write_all(&buffer[..allowed]).await;
        if let Some(counts) = &counts {
            counts.down.fetch_add(allowed as u64, Ordering::SeqCst);
        }
        if read == 0 || written.is_err() {
            end.cancel();
            return;
        }
        if allowed < read {
            if matches!(fate, Fate::Stall) {
                // Keeps both sockets, says nothing.
                std::future::pending::<()>().await;
            }
            end.cancel();
            return;
        }
    }
}
