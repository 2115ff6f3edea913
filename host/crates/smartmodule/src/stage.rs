//! What a stage of a chain is made of: a module, its parameters, its state and its limits.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::look_back::{LookBack, Window};
use crate::module::Module;

/// What one stage may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory. The default, 256 MiB, is what a SmartModule needs for batches of 16 MiB with
    /// room to spare.
    pub memory: u64,
    /// How long one call into the module may take, `alloc` included; also the start function together with
    /// `init`. Exact to about 20 ms. Default: 30 s.
    pub call_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 256 << 20, call_timeout: Duration::from_secs(30) }
    }
}

/// One step of a chain.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The compiled module.
    pub module: Module,
    /// What `init` is given.
    pub params: BTreeMap<String, String>,
    /// How far back the module wants to look; without effect when it exports no `look_back`.
    pub look_back: Option<LookBack>,
    /// The value an aggregate starts from.
    pub accumulator: Vec<u8>,
    /// Memory and time.
    pub limits: Limits,
}

impl Stage {
    /// A stage without parameters, look-back or accumulator, and with the default limits.
    #[must_use]
    pub fn new(module: Module) -> Self {
        Self { module, params: BTreeMap::new(), look_back: None, accumulator: Vec::new(), limits: Limits::default() }
    }
}

/// What a stage must be given back to go on where it was. See [`crate::Chain::state`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageState {
    /// An aggregate's value; empty for the other kinds.
    pub accumulator: Vec<u8>,
    /// The stage's last inputs; empty without [`Stage::look_back`].
    pub window: Window,
}
