//! Compiles, sandboxes and calls connector components.
//!
//! An [`Engine`] loads a `.wasm` file into a [`Component`], from a cache when it can. The component is then
//! opened as what it is, a [`Reader`] (source), a [`Writer`] (sink) or a [`TransformStage`], each in an
//! instance of its own, inside of a [`Sandbox`]: so much memory, so much time a call, and no way out but to
//! the hosts that the configuration names.
//!
//! Nothing a guest does reaches beyond its instance. One that loops, traps, eats memory or returns nonsense
//! gives an [`Error`] whose [`kind`](Error::kind) is [`ErrorKind::Internal`]; the instance is then gone, and
//! the caller opens another.
//!
//! ```no_run
//! # async fn example() -> Result<(), host_connector::Error> {
//! use std::time::Duration;
//! use host_connector::{Engine, EngineOptions, Limit, Reader, Sandbox};
//!
//! let engine = Engine::new(EngineOptions::default())?;
//! let component = engine.load("http-source.wasm".as_ref()).await?;
//! let sandbox = Sandbox { network: vec!["catfact.ninja:443".into()], ..Sandbox::default() };
//! let config = r#"{"endpoint": "https://catfact.ninja/fact"}"#;
//! let mut reader = Reader::open(&component, &sandbox, config, None).await?;
//! let limit = Limit { max_records: 1000, max_bytes: 1 << 20, max_wait: Duration::from_secs(1) };
//! let outcome = reader.read(limit).await?;
//! println!("{} records", outcome.batch.len());
//! # Ok(())
//! # }
//! ```

mod bindings;
mod cache;
mod component;
mod contract;
mod engine;
mod error;
mod events;
mod http;
mod instance;
mod limits;
mod network;
mod outlet;
mod reader;
mod sandbox;
mod sockets;
mod stage;
mod state;
mod stdio;
mod tls;
mod writer;

pub use component::{CheckStep, Component, Dataset, Spec};
pub use contract::Kind;
pub use engine::{Engine, EngineOptions};
pub use error::{Error, ErrorKind, GuestError};
pub use events::{GuestEvents, Level, TracingEvents};
pub use network::{Access, Activity, Authority};
pub use outlet::{OutletOptions, OwnOutlet, Proxy};
pub use reader::{Limit, Outcome, Reader};
pub use sandbox::{DEFAULT_CALL_TIMEOUT, DEFAULT_MEMORY, Sandbox};
pub use stage::{Applied, Refusal, TransformStage};
pub use tls::TlsOptions;
pub use writer::{Delivery, Failure, Writer};
