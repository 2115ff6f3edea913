//! The SmartModule host from outside: against the published engine, against hostile modules, over long runs.
//!
//! The test modules under `tests/smartmodules` must have been built: `just guests`.

mod cache;
mod differential;
mod foreign;
mod hostile;
mod library;
mod memory;
mod state;
mod support;
mod tracking;
mod wasi;
