//! A sink that acknowledges everything, but for records that say otherwise: the value `fail-data` or
//! `fail-throttled` becomes a failure of that kind, `refuse` makes the whole write an error, `lie` reports a
//! record that is not there. It logs `topic/partition@offset.part key=value` for each record, and with
//! `{"leak": BYTES}` keeps so much of its memory at each write. `{"always": KIND}` makes every write an error of
//! that kind, `{"once": KIND}` an instance's first one.

use std::cell::{Cell, RefCell};

use serde::Deserialize;

mod contract {
    //! The contract, from the guest's side.
    #![expect(unsafe_code, reason = "generated")]
    wit_bindgen::generate!({ path: "../../../wit", world: "sink-connector", generate_all });
    use super::EchoSink;
    export!(EchoSink);
}

use contract::exports::fluvio::connector::sink::{
    About, CheckResult, Delivery, Error, Failure, Guest, GuestWriter, Writer,
};
use contract::fluvio::connector::types::ErrorKind;
use contract::wasi::logging::logging::{Level, log};

struct EchoSink;

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    leak: usize,
    always: Option<String>,
    once: Option<String>,
}

struct Open {
    config: Config,
    leaked: RefCell<Vec<Vec<u8>>>,
    failed: Cell<bool>,
}

fn error(kind: ErrorKind, message: &str) -> Error {
    Error { kind, message: message.into(), retry_after_ms: None }
}

fn kind_named(name: &str) -> ErrorKind {
    match name {
        "config" => ErrorKind::Config,
        "auth" => ErrorKind::Auth,
        "unreachable" => ErrorKind::Unreachable,
        "throttled" => ErrorKind::Throttled,
        "data" => ErrorKind::Data,
        _ => ErrorKind::Internal,
    }
}

impl Guest for EchoSink {
    type Writer = Open;

    fn spec() -> About {
        About {
            name: "echo-sink".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: "Acknowledges".into(),
            section: "echo".into(),
            schema: r#"{"type": "object"}"#.into(),
        }
    }

    fn check(_: String) -> Result<CheckResult, Error> {
        Ok(CheckResult { steps: vec![] })
    }
}

impl GuestWriter for Open {
    fn open(config: String) -> Result<Writer, Error> {
        let config = serde_json::from_str(&config).map_err(|e| error(ErrorKind::Config, &e.to_string()))?;
        Ok(Writer::new(Self { config, leaked: RefCell::default(), failed: Cell::default() }))
    }

    fn write(&self, delivery: Delivery) -> Result<Vec<Failure>, Error> {
        let Delivery { batch, topic, partition, offsets, parts } = delivery;
        let once = self.config.once.as_ref().filter(|_| !self.failed.replace(true));
        if let Some(kind) = self.config.always.as_ref().or(once) {
            return Err(error(kind_named(kind), "as configured"));
        }
        self.leaked.borrow_mut().push(vec![1; self.config.leak]);
        let mut failures = vec![];
        let (mut value_start, mut key_start) = (0, 0);
        for (index, (&end, offset)) in batch.value_ends.iter().zip(offsets).enumerate() {
            let value = String::from_utf8_lossy(&batch.values[value_start..end as usize]).into_owned();
            value_start = end as usize;
            let key = match batch.key_ends.get(index) {
                None | Some(&u32::MAX) => String::new(),
                Some(&end) => {
                    let key = String::from_utf8_lossy(&batch.keys[key_start..end as usize]).into_owned();
                    key_start = end as usize;
                    key
                }
            };
            let part = parts.get(index).map(|part| format!(".{part}")).unwrap_or_default();
            log(Level::Info, "", &format!("{topic}/{partition}@{offset}{part} {key}={value}"));
            let index = index as u32;
            match value.as_str() {
                "fail-data" => failures.push(Failure { index, error: error(ErrorKind::Data, "not this one") }),
                "fail-throttled" => {
                    let error = Error { retry_after_ms: Some(7), ..error(ErrorKind::Throttled, "later") };
                    failures.push(Failure { index, error });
                }
                "lie" => failures.push(Failure { index: 4000, error: error(ErrorKind::Data, "which?") }),
                "refuse" => return Err(error(ErrorKind::Unreachable, "the destination is down")),
                _ => {}
            }
        }
        Ok(failures)
    }
}
