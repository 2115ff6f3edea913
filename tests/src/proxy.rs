//! A real HTTP proxy on loopback: forwards requests, opens tunnels, and remembers what was asked of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// A proxy on a free port. It lives as long as the value.
#[derive(Debug)]
pub struct ProxyServer {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

impl ProxyServer {
    /// Starts a proxy.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the proxy");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&heads);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, Arc::clone(&seen)));
            }
        });
        Self { address, heads, _runtime: runtime }
    }

    /// Its host and port.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The heads of the requests so far: request lines and headers.
    ///
    /// # Panics
    /// Never, unless a connection did.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("heads").clone()
    }
}

/// Serves one connection: a tunnel, or one request that is passed on as it is, and closed by its server.
async fn forward(mut client: TcpStream, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    seen.lock().expect("heads").push(text.clone());
    let mut words = text.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let authority = target.trim_start_matches("http://").split('/').next().unwrap_or_default().to_owned();
    let Ok(mut server) = TcpStream::connect(&authority).await else {
        let _ = client.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
        return;
    };
    let begun = match method {
        "CONNECT" => client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await,
        _ => server.write_all(&head).await,
    };
    if begun.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}
