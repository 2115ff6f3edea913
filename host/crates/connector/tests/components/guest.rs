//! What the tests share: an engine, the test components, and a way to see what a guest says.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host_connector::{
    Authority, Component, Engine, EngineOptions, Error, GuestEvents, Level, Limit, Outcome, Reader, Sandbox,
};

/// A limit that a test's guest does not reach.
pub const LIMIT: Limit = Limit { max_records: 10_000, max_bytes: 1 << 24, max_wait: Duration::ZERO };

/// An engine with a cache that all tests share.
pub fn engine() -> Engine {
    engine_with(None)
}

pub fn engine_with(ca_file: Option<PathBuf>) -> Engine {
    let cache_dir = Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compiled"));
    Engine::new(EngineOptions { cache_dir, ca_file }).expect("an engine")
}

pub fn path(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../target/test-components").join(name);
    let path = path.with_extension("wasm");
    assert!(path.exists(), "{} is missing: run `just guests`", path.display());
    path
}

pub async fn component(name: &str) -> Component {
    engine().load(&path(name)).await.expect("it loads")
}

/// A sandbox that reaches these hosts.
pub fn sandbox(network: &[&str]) -> Sandbox {
    Sandbox { network: network.iter().map(|&host| Authority::from(host)).collect(), ..Sandbox::default() }
}

pub async fn open(sandbox: &Sandbox, config: &str) -> Result<Reader, Error> {
    Reader::open(&component("misbehave").await, sandbox, config, None).await
}

pub async fn read(sandbox: &Sandbox, config: &str) -> Result<Outcome, Error> {
    open(sandbox, config).await?.read(LIMIT).await
}

/// Opens, reads once, and returns the records as texts.
pub async fn texts(sandbox: &Sandbox, config: &str) -> Vec<String> {
    let outcome = read(sandbox, config).await.expect("it reads");
    outcome.batch.iter().map(|record| String::from_utf8_lossy(record.value).into_owned()).collect()
}

/// The one record that it returns.
pub async fn text(sandbox: &Sandbox, config: &str) -> String {
    texts(sandbox, config).await.pop().expect("a record")
}

/// Keeps everything that a guest says.
#[derive(Default)]
pub struct Heard(Mutex<Vec<String>>);

impl Heard {
    pub fn sandbox() -> (Arc<Self>, Sandbox) {
        let heard = Arc::new(Self::default());
        (heard.clone(), Sandbox { events: heard, ..Sandbox::default() })
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }

    fn add(&self, line: String) {
        self.0.lock().expect("no panic").push(line);
    }
}

impl GuestEvents for Heard {
    fn log(&self, level: Level, context: &str, message: &str) {
        self.add(format!("{level:?} [{context}] {message}"));
    }

    fn counter(&self, name: &str, add: u64) {
        self.add(format!("counter {name} {add}"));
    }

    fn gauge(&self, name: &str, value: f64) {
        self.add(format!("gauge {name} {value}"));
    }

    fn histogram(&self, name: &str, value: f64) {
        self.add(format!("histogram {name} {value}"));
    }
}
