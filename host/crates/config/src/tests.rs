//! Tests of whole configurations, through the public interface where there is one.

mod errors;
mod forms;
mod overrides;
mod parameters;
mod redaction;
mod secrets;
mod section;
mod settings;
mod units;
mod yaml;

use crate::{ConnectorConfig, Document, Error, Options, Secrets};

/// Loads a text called `c.yaml` with the secrets of a file called `secrets.txt`.
fn load_with(text: &str, secrets: &str, strict: bool) -> Result<ConnectorConfig, Error> {
    let options = Options { secrets: Secrets::from_text("secrets.txt", secrets), strict, ..Options::default() };
    Document::parse("c.yaml", text)?.load(&options)
}

/// Loads a text that has to be accepted without a warning, strictly.
fn load(text: &str) -> ConnectorConfig {
    match load_with(text, "", true) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    }
}

/// The messages of a text that has to be refused.
fn refused(text: &str) -> String {
    match load_with(text, "", false) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

/// The warnings of a text that has to be accepted.
fn warnings(text: &str) -> String {
    match load_with(text, "", false) {
        Ok(config) => shown(&config),
        Err(error) => panic!("{error}"),
    }
}

fn shown(config: &ConnectorConfig) -> String {
    config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
