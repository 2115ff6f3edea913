//! What the end-to-end tests share: the real binary in a world of its own, and servers that misbehave.
//!
//! The binary under test is the one beside the test's own executable, built by `just test` before. With
//! `HOST_TEST_CLUSTER=ADDR` the tests that need a cluster use that one instead of a broker of their own.

mod cluster;
mod host;
mod http;
mod mqtt;
mod tls;

pub use cluster::Broker;
pub use host::{Finished, Host, Running, World, numbers, target_directory};
pub use http::{Answer, HttpServer, TlsFiles};
pub use mqtt::{Cutter, Mailbox, Mosquitto, Publisher, free_port};
pub use tls::Certificates;

use std::time::{Duration, Instant};

/// Waits until `done` holds, and fails with `what` when it does not within `limit`.
///
/// # Panics
/// When the time is over.
pub fn eventually(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
