//! What can go wrong at an end, by what is to be done about it, and what ends a run.

use std::time::Duration;

/// What is to be done about a [`Fault`]: the contract's error kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The configuration can't work: stop.
    Config,
    /// The credentials are refused: stop.
    Auth,
    /// May pass: try again with backoff.
    Unreachable,
    /// Less is asked for: try again, not before the given time.
    Throttled,
    /// This input can't be used: the error policy decides.
    Data,
    /// The end itself is at fault: make a new one, with backoff.
    Internal,
}

impl FaultKind {
    /// The word for it in logs, metrics and dead letters.
    #[must_use]
    pub fn name(self) -> &'static str {
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

/// A failure of one end of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Decides what happens next.
    pub kind: FaultKind,
    /// What happened and where, for the person who runs the connector.
    pub message: String,
    /// Not before so long from now.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// A fault without a time to wait for.
    #[must_use]
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }
}

/// Why a run ended before its time. Nothing is lost by any of these: what was not acknowledged is read again
/// at the next start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The connector reported something that trying again does not mend.
    #[error("the connector stopped ({}): {}", .0.kind.name(), .0.message)]
    Connector(Fault),
    /// Retrying came to its configured end.
    #[error("gave up after {attempts} attempts: {}", .fault.message)]
    RetriesExhausted {
        /// How often it was tried.
        attempts: u32,
        /// The last failure.
        fault: Fault,
    },
    /// A stage refused a record, and the policy is to stop.
    #[error("stage {stage} refused record {place}: {reason}")]
    Refused {
        /// The stage, as the configuration names it; `protocol` for the connector itself.
        stage: String,
        /// Which record, in words.
        place: String,
        /// The stage's own words.
        reason: String,
        /// The beginning of the record's value, readable.
        value: String,
    },
    /// A stage can't be run at all.
    #[error("stage {stage} failed: {reason}")]
    Stage {
        /// The stage, as the configuration names it.
        stage: String,
        /// What it said.
        reason: String,
    },
    /// The topic refuses the records for good.
    #[error("can't write to {topic}: {}", .fault.message)]
    Output {
        /// The topic.
        topic: String,
        /// What the cluster said.
        fault: Fault,
    },
    /// The topic can't be read, or its positions not be kept.
    #[error("can't read {topic}: {}", .fault.message)]
    Input {
        /// The topic.
        topic: String,
        /// What the cluster said.
        fault: Fault,
    },
    /// The cursor can't be kept.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::CheckpointError),
    /// A part of the pipeline panicked: a defect of this program.
    #[error("a part of the pipeline ended unexpectedly ({part}); this is a defect, please report it")]
    Defect {
        /// Which part.
        part: &'static str,
    },
}
