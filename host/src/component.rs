//! Loads components, through the one engine of the process and its cache.

use std::path::Path;

use host_connector::{Component, Engine, EngineOptions};

use crate::failure::{Failure, Outcome};
use crate::places;

/// The variable that names a PEM file with certificate authorities to trust beside the system's.
const CA_FILE: &str = "HOST_CA_FILE";

/// Loads a component from a file.
pub(crate) async fn load(path: &Path) -> Outcome<Component> {
    let ca_file = std::env::var_os(CA_FILE).map(Into::into);
    let options = EngineOptions { cache_dir: places::cache().map(|dir| dir.join("components")), ca_file };
    let engine = Engine::new(options).map_err(Failure::config)?;
    engine.load(path).await.map_err(Failure::config)
}
