//! An embedded, single-process broker that speaks Fluvio's wire protocol.
//!
//! It is both of a cluster's parts in one process: the controller, which knows the topics, and one storage
//! unit, which keeps the records. Each has a TCP port of its own, because the protocol gives the same number
//! to different requests of the two. The unmodified `fluvio` client and command line work against it. It is
//! for trying, developing and testing, on one machine: there are no replicas, no TLS and no users, and it
//! does not run SmartModules, it only keeps them.
//!
//! ```text
//! client ── controller   what exists: topics, partitions, SmartModules   ── catalog ─┐
//!        └─ unit         records and consumer offsets                    ────────────┴─ store ── one file
//! ```
//!
//! An acknowledged record is on disk. A request that fails is answered with Fluvio's own error codes and
//! concerns only who sent it; an [`Error`] is only for what keeps the whole broker from starting or stopping.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use host_broker::{Broker, Options};
//!
//! let folder = tempfile::tempdir()?;
//! let broker = Broker::start(Options::new(folder.path())).await?;
//! println!("a Fluvio client connects to {}", broker.address());
//! broker.stop().await?;
//! # Ok(())
//! # }
//! ```

mod batch;
mod broker;
mod catalog;
mod controller;
mod error;
mod options;
mod state;
mod store;
mod unit;
mod versions;
mod wire;

pub use broker::Broker;
pub use error::Error;
pub use options::Options;
