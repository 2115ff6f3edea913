//! Logs go to standard error: readable lines on a terminal, JSON elsewhere; secrets are taken out of both.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, RwLock};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Readable lines on a terminal, JSON elsewhere.
    Auto,
    /// Readable lines.
    Text,
    /// One JSON object a line.
    Json,
}

/// What must never be shown; filled once the configuration is read.
pub(crate) type Redaction = Arc<RwLock<host_config::Redactor>>;

/// The crates whose own words matter to a user of this program.
const DEFAULT_FILTER: &str = "info,fluvio=warn,fluvio_socket=warn,fluvio_future=warn,wasmtime=warn,cranelift=warn";

/// Starts logging. `filter` is in the form of `RUST_LOG`, and replaces it.
pub(crate) fn start(filter: Option<&str>, format: LogFormat, quiet: bool) -> Redaction {
    let redaction = Redaction::default();
    let default = if quiet { "warn,fluvio=error,fluvio_socket=error" } else { DEFAULT_FILTER };
    let environment = std::env::var("RUST_LOG").ok();
    let filter = EnvFilter::new(filter.or(environment.as_deref()).filter(|f| !f.is_empty()).unwrap_or(default));
    let terminal = io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Redacting(Arc::clone(&redaction)))
        .with_target(false)
        .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none());
    if json {
        builder.json().flatten_event(true).init();
    } else {
        builder.init();
    }
    redaction
}

/// Standard error, with secrets replaced. One write is one line, so a secret can't hide on a boundary.
struct Redacting(Redaction);

impl<'a> MakeWriter<'a> for Redacting {
    type Writer = RedactedLine;
    fn make_writer(&'a self) -> RedactedLine {
        RedactedLine(Arc::clone(&self.0))
    }
}

struct RedactedLine(Redaction);

impl Write for RedactedLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let shown = match (std::str::from_utf8(line), self.0.read()) {
            (Ok(text), Ok(redactor)) => redactor.redact(text).into_owned().into_bytes(),
            _ => line.to_vec(),
        };
        crate::display::write_above(&shown)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
