//! Everything that can go wrong with a component, as one flat enum.
//!
//! The caller acts on [`Error::kind`], never on a text: it says whether to stop, to wait and try again, or
//! to open a fresh instance. What a guest says of itself arrives as [`GuestError`], already free of secrets.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What is to be done about an error; the contract's `error-kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The configuration can't work: stop and show the message.
    Config,
    /// The other side refuses the credentials: stop and show the message.
    Auth,
    /// The other side can't be reached, or failed in a way that may pass: back off and try again.
    Unreachable,
    /// The other side asks for less: try again, not before what it asked for.
    Throttled,
    /// This input can't be used and never will be: the error policy decides.
    Data,
    /// The connector is at fault: open a fresh instance, with backoff.
    Internal,
}

impl ErrorKind {
    /// Its name in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Auth => "auth",
            Self::Unreachable => "unreachable",
            Self::Throttled => "throttled",
            Self::Data => "data",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error as the connector reports it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct GuestError {
    /// What is to be done about it.
    pub kind: ErrorKind,
    /// What happened and where, in the connector's words, secrets taken out.
    pub message: String,
    /// With `Unreachable` and `Throttled`: not before so long from now.
    pub retry_after: Option<Duration>,
}

/// What can go wrong with a component.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connector itself reports an error. Its instance lives on.
    #[error(transparent)]
    Guest(#[from] GuestError),

    /// The instance trapped and is gone.
    #[error("the connector crashed in `{call}`: {reason}{}", said(output))]
    Trap {
        /// The contract's function it was in.
        call: &'static str,
        /// What the sandbox says of it.
        reason: String,
        /// The last lines it wrote to its standard output and error: a Rust guest's panic message.
        output: Vec<String>,
        /// The functions it was in, innermost first, where the component has kept their names.
        stack: Vec<String>,
    },

    /// The instance did not return in time and is gone.
    #[error(
        "the connector did not return from `{call}` within {}; \
         `host.sandbox.call-timeout` sets how long a call may take beyond what it may wait",
        Seconds(*allowed)
    )]
    Deadline {
        /// The contract's function it was in.
        call: &'static str,
        /// How long it had.
        allowed: Duration,
    },

    /// The instance wanted more memory than it may have, and is gone.
    #[error(
        "the connector needs more than its {} MiB of memory (in `{call}`); `host.sandbox.memory` raises it",
        limit / (1024 * 1024)
    )]
    Memory {
        /// The contract's function it was in.
        call: &'static str,
        /// What it may have, in bytes.
        limit: u64,
    },

    /// The instance returned columns that make no batch, or names records that don't exist; it is gone.
    #[error("the connector returned nonsense from `{call}`: {reason}")]
    Nonsense {
        /// The contract's function it was in.
        call: &'static str,
        /// What does not fit.
        reason: String,
    },

    /// The instance is gone since an earlier call; a new one must be opened.
    #[error("this instance of the connector can't be used any more: {reason}")]
    Poisoned {
        /// What the earlier call came to.
        reason: String,
    },

    /// The file is no component.
    #[error("{name} is not a component: {found}")]
    NotAComponent {
        /// The file.
        name: String,
        /// What it is instead, and what to do about it.
        found: String,
    },

    /// The component is none that this host can run.
    #[error("{name} is not a connector for this host: {reason}")]
    Contract {
        /// The file.
        name: String,
        /// What does not fit, and what to do about it.
        reason: String,
    },

    /// The component does not compile.
    #[error("{name} does not compile: {reason}")]
    Compile {
        /// The file.
        name: String,
        /// What the compiler says.
        reason: String,
    },

    /// This call does not fit what the component is.
    #[error("{name} is a {is}, not a {wanted}")]
    WrongKind {
        /// The file.
        name: String,
        /// What it is.
        is: crate::Kind,
        /// What the call needs.
        wanted: crate::Kind,
    },

    /// A file can't be read.
    #[error("can't read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },

    /// The file with extra certificate authorities holds none.
    #[error("can't use {} as certificate authorities: {reason}", path.display())]
    CertificateAuthority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The connector's own TLS settings can't be used.
    #[error("can't use this {what} for TLS: {reason}")]
    Tls {
        /// Which of them.
        what: String,
        /// What is wrong with it.
        reason: String,
    },

    /// The sandbox can't be set up on this machine.
    #[error("can't set up the sandbox: {reason}")]
    Setup {
        /// What stands in the way.
        reason: String,
    },
}

impl Error {
    /// What is to be done about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Guest(error) => error.kind,
            Self::Trap { .. }
            | Self::Deadline { .. }
            | Self::Memory { .. }
            | Self::Nonsense { .. }
            | Self::Poisoned { .. } => ErrorKind::Internal,
            Self::NotAComponent { .. }
            | Self::Contract { .. }
            | Self::Compile { .. }
            | Self::WrongKind { .. }
            | Self::Io { .. }
            | Self::CertificateAuthority { .. }
            | Self::Tls { .. }
            | Self::Setup { .. } => ErrorKind::Config,
        }
    }

    /// How long the other side asks to be left alone, if it does.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Guest(error) => error.retry_after,
            _ => None,
        }
    }

    /// Whether the instance it came from can't be called again.
    #[must_use]
    pub fn ends_instance(&self) -> bool {
        !matches!(self, Self::Guest(_))
    }

    pub(crate) fn setup(error: impl fmt::Display) -> Self {
        Self::Setup { reason: error.to_string() }
    }
}

/// A duration in whole or decimal seconds.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_millis() as f64 / 1000.0)
    }
}

fn said(output: &[String]) -> String {
    if output.is_empty() { String::new() } else { format!("; its last words: {}", output.join(" | ")) }
}
