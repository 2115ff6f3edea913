//! The way of a batch from one end to the other, and what is promised on it.
//!
//! A source runs as three parts with bounded queues between them, so that reading, shaping and delivering
//! overlap and a slow part stops the ones before it ([`SourceRun`]); a sink the other way round, in as many
//! lanes as it has writers ([`SinkRun`]):
//!
//! ```text
//!  reader ──(2 batches)──▶ stages ──(2 batches)──▶ writer ──▶ topic
//!    ▲                    (a thread)                 │
//!    └──────────── what is durable now ──────────────┘
//! ```
//!
//! Invariants:
//!
//! * A cursor is made durable only after the topic has acknowledged every record up to it and every dead
//!   letter of it; the source's `commit` follows that, never precedes it. Hence at least once.
//! * A sink's offset is committed only after every record before it was delivered, or given up by the policy
//!   and its dead letter acknowledged.
//! * A record that a stage or a sink refuses is never dropped in silence: the error policy decides, and whatever it
//!   decides is counted and logged.
//! * Order is kept: one reader, one thread of stages, one writer; for a sink, within each partition.
//! * Memory is bounded: what is on its way is at most eight times what one read may return.
//! * Nothing here knows how an end is made: a source, a stage, a topic and a store for cursors are the
//!   traits in [`ends`], and the tests run the loops on ends that fail on purpose.

pub mod checkpoint;
pub mod dead_letter;
pub mod ends;
mod error;
mod policy;
mod progress;
mod rate;
mod retry;
mod shape;
mod sink;
mod source;
mod stages;

pub use error::{Fault, FaultKind, PipelineError};
pub use progress::{Counter, Progress, Snapshot};
pub use rate::RateLimit;
pub use retry::{Backoff, RetryPolicy};
pub use shape::Exchange;
pub use sink::{Lane, Partition, SinkRun};
pub use source::{OnError, Settings, SourceRun, Stopped};
