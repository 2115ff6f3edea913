//! A source that does what its configuration says: `{"do": "loop"}` makes `read` loop, `{"at": "open", "do":
//! "trap"}` makes `open` trap. What it finds out (a response, an error) it returns as records, one text each.
//!
//! Each group of behaviours has its own file; all of them take the configuration and return the records.

mod batches;
mod compute;
mod http;
mod sockets;
mod speech;

use std::cell::Cell;

use serde::Deserialize;

mod contract {
    //! The contract, from the guest's side.
    #![expect(unsafe_code, reason = "generated")]
    wit_bindgen::generate!({ path: "../../../wit", world: "source-connector", generate_all });
    use super::Misbehave;
    export!(Misbehave);
}

use contract::exports::fluvio::connector::source::{
    About, Batch, CheckResult, Dataset, Error, Guest, GuestReader, Limit, Outcome, Reader,
};
use contract::fluvio::connector::types::{CheckStep, ErrorKind};

struct Misbehave;

/// What to do, and when.
#[derive(Debug, Clone, Deserialize)]
struct Config {
    #[serde(rename = "do")]
    action: String,
    #[serde(default)]
    at: At,
    /// The address, for whatever goes out.
    #[serde(default)]
    url: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    connect_ms: Option<u64>,
    #[serde(default)]
    first_byte_ms: Option<u64>,
    #[serde(default)]
    between_bytes_ms: Option<u64>,
    /// A size or a number of times, as the action has it.
    #[serde(default)]
    amount: u64,
    #[serde(default)]
    text: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum At {
    Open,
    #[default]
    Read,
    Commit,
    Check,
    Drop,
}

struct Open {
    config: Config,
    cursor: Option<Vec<u8>>,
    reads: Cell<u64>,
}

fn error(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error { kind, message: message.into(), retry_after_ms: None }
}

fn parse(config: &str) -> Result<Config, Error> {
    serde_json::from_str(config).map_err(|e| error(ErrorKind::Config, e.to_string()))
}

/// Records of these texts.
fn texts(texts: &[String]) -> Batch {
    let mut batch = empty();
    for text in texts {
        batch.values.extend_from_slice(text.as_bytes());
        batch.value_ends.push(batch.values.len() as u32);
    }
    batch
}

fn empty() -> Batch {
    Batch { values: vec![], value_ends: vec![], keys: vec![], key_ends: vec![], timestamps: vec![] }
}

fn act(config: &Config) -> Result<Batch, Error> {
    let found = match config.action.as_str() {
        "nothing" => vec![],
        "loop" | "trap" | "panic" | "recurse" | "allocate" | "sleep" | "exit" => compute::act(config),
        "http" | "http-many" | "http-slowly" | "http-hold" => http::act(config),
        "tcp" | "listen" | "udp" | "lookup" => sockets::act(config),
        "log" | "print" | "flood" | "metrics" | "surroundings" => speech::act(config),
        other => return batches::act(other, config),
    };
    Ok(texts(&found))
}

impl Guest for Misbehave {
    type Reader = Open;

    fn spec() -> About {
        About {
            name: "misbehave".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: "Does what it is told".into(),
            section: "misbehave".into(),
            schema: r#"{"type": "object", "properties": {"url": {"type": "string", "x-network": true}}}"#.into(),
        }
    }

    fn check(config: String) -> Result<CheckResult, Error> {
        let config = parse(&config)?;
        let mut steps = vec![CheckStep { name: "the configuration is read".into(), problem: None }];
        if config.at == At::Check {
            let problem = act(&config).err();
            steps.push(CheckStep { name: config.action, problem });
        }
        Ok(CheckResult { steps })
    }

    fn discover(config: String) -> Result<Vec<Dataset>, Error> {
        let config = parse(&config)?;
        Ok(vec![Dataset { name: config.action, description: "what it does".into(), schema: None }])
    }
}

impl GuestReader for Open {
    fn open(config: String, cursor: Option<Vec<u8>>) -> Result<Reader, Error> {
        let config = parse(&config)?;
        if config.at == At::Open {
            act(&config)?;
        }
        Ok(Reader::new(Self { config, cursor, reads: Cell::new(0) }))
    }

    fn read(&self, limit: Limit) -> Result<Outcome, Error> {
        self.reads.set(self.reads.get() + 1);
        let cursor = match self.config.action.as_str() {
            "cursor" => vec![0; self.config.amount as usize],
            _ => self.reads.get().to_string().into_bytes(),
        };
        let batch = match self.config.action.as_str() {
            "limit" => texts(&[
                format!("{} {} {}", limit.max_records, limit.max_bytes, limit.max_wait_ms),
                format!("{:?}", self.cursor.as_ref().map(|c| String::from_utf8_lossy(c).into_owned())),
            ]),
            _ if self.config.at == At::Read => act(&self.config)?,
            _ => empty(),
        };
        Ok(Outcome { batch, cursor, end: self.config.action == "end" })
    }

    fn commit(&self, _: Vec<u8>) -> Result<(), Error> {
        if self.config.at == At::Commit {
            act(&self.config)?;
        }
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.config.at == At::Drop {
            // What it returns has nowhere to go.
            let _ = act(&self.config);
        }
    }
}
