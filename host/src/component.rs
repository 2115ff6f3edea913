//! Loads components, through the one engine of the process and its cache.

use std::path::Path;
use std::sync::OnceLock;

use host_connector::{Component, Engine, EngineOptions};

use crate::failure::{Failure, Outcome};
use crate::places;

/// The variable that names a PEM file with certificate authorities to trust beside the system's.
const CA_FILE: &str = "HOST_CA_FILE";

/// The engine, made at its first use.
fn engine() -> Outcome<&'static Engine> {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    if let Some(engine) = ENGINE.get() {
        return Ok(engine);
    }
    let ca_file = std::env::var_os(CA_FILE).map(Into::into);
    let options = EngineOptions { cache_dir: places::cache().map(|dir| dir.join("components")), ca_file };
    let engine = Engine::new(options).map_err(Failure::config)?;
    Ok(ENGINE.get_or_init(|| engine))
}

/// Loads a component from a file.
pub(crate) async fn load(path: &Path) -> Outcome<Component> {
    engine()?.load(path).await.map_err(Failure::config)
}

/// Loads a component from its bytes; `name` is for messages.
pub(crate) async fn load_bytes(name: &str, bytes: Vec<u8>) -> Outcome<Component> {
    engine()?.load_bytes(name, bytes).await.map_err(Failure::config)
}

/// Whether these bytes are a component rather than a core module; their first eight say so.
pub(crate) fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm") && bytes.get(6) == Some(&1)
}
