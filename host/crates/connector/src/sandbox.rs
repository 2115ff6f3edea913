//! What an instance gets, and what it is held to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::events::{GuestEvents, TracingEvents};
use crate::network::{Activity, Authority};
use crate::outlet::OwnOutlet;

/// The default of [`Sandbox::memory`]: a Python guest starts at 40 MiB and a batch is a few MiB.
pub const DEFAULT_MEMORY: u64 = 256 * 1024 * 1024;

/// The default of [`Sandbox::call_timeout`].
pub const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What an instance gets, and what it is held to. Cheap to clone; clones share the events and the activity.
#[derive(Clone)]
pub struct Sandbox {
    /// Bytes of linear memory, over all memories of the instance.
    pub memory: u64,
    /// How long a call may take, beyond what it is allowed to wait.
    pub call_timeout: Duration,
    /// The hosts that the configuration names. Nothing else can be reached.
    pub network: Vec<Authority>,
    /// Authorities, a client certificate and a proxy of the connector's own; the engine's when absent.
    pub outlet: Option<OwnOutlet>,
    /// Where messages and numbers go.
    pub events: Arc<dyn GuestEvents>,
    /// Values that must not be seen: taken out of every message and error.
    pub redact: Vec<String>,
    /// What the instances asked the network for.
    pub activity: Arc<Activity>,
}

impl Default for Sandbox {
    /// The default limits, no network, messages to `tracing`.
    fn default() -> Self {
        Self {
            memory: DEFAULT_MEMORY,
            call_timeout: DEFAULT_CALL_TIMEOUT,
            network: Vec::new(),
            outlet: None,
            events: Arc::new(TracingEvents),
            redact: Vec::new(),
            activity: Arc::default(),
        }
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the events, which have nothing to show, nor the secrets.
        f.debug_struct("Sandbox")
            .field("memory", &self.memory)
            .field("call_timeout", &self.call_timeout)
            .field("network", &self.network)
            .field("outlet", &self.outlet)
            .finish_non_exhaustive()
    }
}
