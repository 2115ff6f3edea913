//! What a delivery becomes on the wire, and what the answers make of it.

mod answers;
mod forms;
mod setup;

use connector_sdk::testing::{Harness, Reply, SinkDriver};
use connector_sdk::{Batch, Delivery, Failure};
use serde_json::{Value, json};

use super::*;

type Driver = SinkDriver<HttpSink>;

const SECOND: Duration = Duration::from_secs(1);

fn section(more: Value) -> Value {
    let mut section = json!({"endpoint": "http://a.example/in"});
    let Value::Object(more) = more else { panic!("an object") };
    section.as_object_mut().expect("an object").extend(more);
    section
}

fn open(more: Value) -> Driver {
    Driver::open(section(more)).expect("a fine section")
}

fn batch(values: &[&str]) -> Batch {
    values.iter().collect()
}

/// So many answers of this status.
fn answer(harness: &Harness, times: usize, status: u16) {
    for _ in 0..times {
        harness.reply(Reply::new(status, ""));
    }
}

/// The bodies that were sent, as text.
fn bodies(harness: &Harness) -> Vec<String> {
    harness.requests().into_iter().map(|sent| String::from_utf8_lossy(&sent.body).into_owned()).collect()
}

/// Index and kind of each failure.
fn kinds(failures: &[Failure]) -> Vec<(usize, ErrorKind)> {
    failures.iter().map(|failure| (failure.index, failure.error.kind())).collect()
}
