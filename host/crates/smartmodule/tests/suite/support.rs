//! Fixtures, batches and the published engine, each in one line.

use std::path::PathBuf;
use std::sync::LazyLock;

use fluvio_smartengine::{SmartEngine, SmartModuleChainBuilder, SmartModuleChainInstance, SmartModuleConfig};
use host_batch::Batch;
use host_smartmodule::{Applied, Chain, Engine, EngineOptions, Module, Stage};

/// A plausible base timestamp.
pub const NOW: i64 = 1_700_000_000_000;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(EngineOptions::default()).expect("an engine"));
static REFERENCE: LazyLock<SmartEngine> = LazyLock::new(SmartEngine::new);

pub fn engine() -> &'static Engine {
    &ENGINE
}

/// Where everything built is left.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../target")), PathBuf::from)
}

/// The wasm of a module built by `just guests`.
pub fn wasm(name: &str) -> Vec<u8> {
    let path = target().join("smartmodules").join(name).with_extension("wasm");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `just guests` first", path.display()))
}

pub fn module(name: &str) -> Module {
    engine().compile(name, &wasm(name)).expect("a SmartModule")
}

/// A stage with parameters.
pub fn stage(name: &str, params: &[(&str, &str)]) -> Stage {
    let params = params.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Stage { params, ..Stage::new(module(name)) }
}

pub fn chain(stages: Vec<Stage>) -> Chain {
    Chain::new(stages).expect("a chain")
}

/// A chain of one module given as WebAssembly text.
pub fn wat(text: &str) -> Stage {
    Stage::new(engine().compile("wat", text.as_bytes()).expect("a SmartModule"))
}

/// The published engine with one module.
pub fn reference(name: &str, params: &[(&str, &str)]) -> SmartModuleChainInstance {
    reference_chain(&[(name, params)])
}

/// The published engine with a chain.
pub fn reference_chain(stages: &[(&str, &[(&str, &str)])]) -> SmartModuleChainInstance {
    let mut builder = SmartModuleChainBuilder::default();
    for (name, params) in stages {
        let mut config = SmartModuleConfig::builder();
        config.smartmodule_names(vec![(*name).to_owned()]);
        for &(param, value) in *params {
            config.param(param, value);
        }
        builder.add_smart_module(config.build().expect("a configuration"), wasm(name));
    }
    builder.initialize(&REFERENCE).expect("a chain")
}

/// Records without keys or timestamps.
pub fn values<V: AsRef<[u8]>>(values: &[V]) -> Batch {
    values.iter().map(|value| (None::<&[u8]>, value)).collect()
}

/// The values of a batch as text.
pub fn texts(batch: &Batch) -> Vec<String> {
    batch.iter().map(|record| String::from_utf8_lossy(record.value).into_owned()).collect()
}

/// Applies values and returns the values that come out.
pub fn run<V: AsRef<[u8]>>(chain: &mut Chain, input: &[V]) -> Applied {
    chain.apply(&values(input), 0, NOW).expect("applied")
}
