//! Runs Fluvio SmartModules, a batch a call.
//!
//! A SmartModule is a core WebAssembly module that filters or reshapes records. This crate speaks the ABI of
//! the published `fluvio-smartmodule` crate (0.7 to 0.50) and runs existing modules unchanged: `filter`, `map`,
//! `filter_map`, `array_map` and `aggregate`, with `init` parameters and `look_back`. It knows nothing of
//! clusters, topics or components, so that any program can embed it:
//!
//! ```no_run
//! use std::collections::BTreeMap;
//! use host_batch::Batch;
//! use host_smartmodule::{Chain, Engine, EngineOptions, Stage};
//!
//! let engine = Engine::new(EngineOptions::default())?;
//! let module = engine.compile("json-filter", &std::fs::read("json-filter.wasm")?)?;
//! let params = BTreeMap::from([("field".to_owned(), "level".to_owned()), ("value".to_owned(), "error".to_owned())]);
//! let mut chain = Chain::new(vec![Stage { params, ..Stage::new(module) }])?;
//!
//! let mut batch = Batch::default();
//! batch.push(None, br#"{"level":"error"}"#, None);
//! let applied = chain.apply(&batch, 0, 1_700_000_000_000)?;
//! assert_eq!(applied.batch.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it differs from `fluvio-smartengine`
//!
//! Record for record the outcome is the same, but for what is wrong there:
//!
//! * A record that a module refuses is a [`Refusal`], and the records behind it are processed all the same;
//!   the reference engine leaves the rest of the batch unprocessed.
//! * Every pointer and length from the guest is checked. A wild one is an [`Error`]; the reference engine
//!   writes through it.
//! * Every call ends, by an epoch deadline ([`Limits::call_timeout`]); memory is limited per stage.
//! * Memory stays flat although guests leak: see the module documentation of `reclaim` in the sources.
//! * A timestamp more than 24 days off the batch's base survives (the published varint encoder, which is
//!   compiled into the guests, cuts it).
//!
//! # What a module says of itself
//!
//! [`Inspection::read`] tells a module's kind without compiling it, and reads the [`Spec`] of a module that brings
//! one: a description, the JSON Schema of its parameters, an example.
//!
//! # State
//!
//! A stage can carry state in three places: the accumulator of an `aggregate` (kept here, exported by
//! [`Chain::state`]), the look-back window (the stage's last inputs; kept here when [`Stage::look_back`] is set
//! and the module exports `look_back`), and the guest's own memory. The last is lost whenever the instance is
//! replaced, exactly as by a restart: a module that wants its memory back implements `look_back`. An instance is
//! replaced after an error, and when its memory has grown past half of [`Limits::memory`] and nothing better
//! helps.

mod cache;
mod chain;
mod engine;
mod error;
mod inspection;
mod instance;
mod limiter;
mod look_back;
mod module;
mod origin;
mod reclaim;
mod runner;
mod stage;
mod ticker;
mod wasi;
mod wire;

pub use chain::{Applied, Chain, Refusal, Tracking};
pub use engine::{Engine, EngineOptions};
pub use error::{Call, Error};
pub use inspection::{Inspection, Spec};
pub use look_back::{LookBack, Window};
pub use module::{Kind, Module};
pub use stage::{Limits, Stage, StageState};
