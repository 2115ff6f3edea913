//! Write connectors for `host` in Rust.
//!
//! A connector is a WebAssembly component that speaks one foreign protocol; `host` does everything else:
//! Fluvio, SmartModules, retries, checkpoints, the sandbox. An author implements [`Source`], [`Sink`] or
//! [`Transform`], calls [`export_source!`], [`export_sink!`] or [`export_transform!`], and builds with
//! `cargo build --target wasm32-wasip2`, crate type `cdylib`.
//!
//! * [`Batch`] holds records; an [`Outcome`] carries them from a source to the host, a [`Delivery`] from the
//!   host to a sink, [`Applied`] out of a transform.
//! * [`Error`] has one constructor for each thing that the host can do about a failure.
//! * [`http`], [`net`] and [`mod@time`] are what WASI offers, in plain blocking form; every wait can be bounded, since a
//!   reader must return within [`Limit::max_wait`].
//! * [`json`] finds its way through JSON text, [`template`] fills texts in from records; [`units`] has durations and sizes as people write them in
//!   configuration files.
//! * [`retry`], [`log`](mod@log) and [`metrics`] do what their names say.
//! * [`testing`] runs all of it natively, under plain `cargo test`: fake clock, canned HTTP, scripted peers.
//!
//! Nothing here panics on what comes from outside; what fails returns an [`Error`].

mod batch;
#[doc(hidden)]
pub mod bindings;
mod check;
pub mod config;
mod error;
#[doc(hidden)]
pub mod export;
pub mod http;
pub mod json;
pub mod log;
pub mod metrics;
pub mod net;
mod platform;
pub mod retry;
mod sink;
mod source;
pub mod template;
#[cfg(not(target_os = "wasi"))]
pub mod testing;
pub mod time;
mod transform;
pub mod units;

pub use batch::{Batch, NO_KEY, Record, RecordRef};
pub use check::{Check, CheckBuilder, Step};
pub use error::{Error, ErrorKind, Result};
pub use sink::{Delivered, Delivery, Failure, Sink};
pub use source::{Dataset, Limit, Outcome, Source, Spec};
pub use transform::{Applied, Refusal, Transform};

/// The example of the readme, kept working.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
