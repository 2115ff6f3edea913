//! What a command failed of, for the person at the terminal: what happened, where, what to do next, and the
//! exit code that scripts go by.

use std::fmt;
use std::process::ExitCode;

/// Exit codes: 0 done, 1 failed, 2 wrong usage (from the argument parser), 78 configuration refused
/// (`EX_CONFIG` of sysexits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It was tried and did not work.
    Failed,
    /// The configuration, or what it names, can't work.
    Config,
}

/// A command's failure.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    what: String,
    help: Vec<String>,
}

/// The result of a command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Something was tried and did not work.
    pub(crate) fn failed(what: impl fmt::Display) -> Self {
        Self { kind: Kind::Failed, what: what.to_string(), help: Vec::new() }
    }

    /// The configuration can't work.
    pub(crate) fn config(what: impl fmt::Display) -> Self {
        Self { kind: Kind::Config, what: what.to_string(), help: Vec::new() }
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }

    /// The code that the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.kind {
            Kind::Failed => ExitCode::FAILURE,
            Kind::Config => ExitCode::from(78),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for line in &self.help {
            write!(f, "\n  help: {line}")?;
        }
        Ok(())
    }
}
