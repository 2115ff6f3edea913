//! SmartModules as far as they say what they are: found by name, their parameters checked before they run.

use std::path::{Path, PathBuf};

use host_config::{ConnectorConfig, TransformStep};
use host_smartmodule::{Engine, EngineOptions, Error, Inspection, Module, Spec};

use crate::failure::{Failure, Outcome};
use crate::places;

/// The engine that SmartModules are compiled with, and its cache.
pub(crate) fn engine() -> Outcome<Engine> {
    let options = EngineOptions { cache_dir: places::cache().map(|dir| dir.join("smartmodules")) };
    Engine::new(options).map_err(Failure::config)
}

/// Compiles a module, away from the threads that serve connections.
pub(crate) async fn compile(engine: &Engine, name: &str, wasm: Vec<u8>) -> Outcome<Module> {
    let (engine, name) = (engine.clone(), name.to_owned());
    let compiled = tokio::task::spawn_blocking(move || engine.compile(&name, &wasm)).await;
    compiled.map_err(Failure::failed)?.map_err(Failure::config)
}

/// A module's bytes.
pub(crate) fn read(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|e| Failure::config(format!("can't read {}: {e}", path.display())))
}

/// A short name for messages: the file's, or the reference itself.
pub(crate) fn short_name(uses: &str) -> String {
    match uses.strip_suffix(".wasm") {
        Some(path) => Path::new(path).file_name().map_or(path.into(), |name| name.to_string_lossy()).into_owned(),
        None => uses.to_owned(),
    }
}

/// Checks a step's parameters against what the module says it takes.
///
/// A module that says nothing checks them itself when it starts.
pub(crate) fn check_parameters(config: &ConnectorConfig, step: &TransformStep, wasm: &[u8]) -> Outcome {
    let name = short_name(&step.uses);
    match Inspection::read(&name, wasm) {
        Ok(Inspection { spec: Some(Spec { schema, .. }), .. }) if schema.is_object() => {
            let help = format!("`host smartmodule describe {name}` shows what it takes");
            config.parameters(step, &schema).map(drop).map_err(|error| Failure::config(error).help(help))
        }
        Ok(_) => Ok(()),
        Err(error @ Error::Spec { .. }) => {
            tracing::warn!(%error, "a SmartModule's parameters are not checked before it starts");
            Ok(())
        }
        // what is no SmartModule is refused by whoever compiles it
        Err(_) => Ok(()),
    }
}

/// A module on the SmartModule path.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// The modules on the SmartModule path, by name; of two with the same name the one that `uses` would find.
pub(crate) fn on_path() -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for directory in places::smartmodule_path() {
        let entries = std::fs::read_dir(&directory).into_iter().flatten().filter_map(Result::ok);
        for path in entries.map(|entry| entry.path()) {
            let name = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
            let wasm = path.extension().is_some_and(|extension| extension == "wasm") && path.is_file();
            if let Some(name) = name.filter(|name| wasm && found.iter().all(|other| other.name != *name)) {
                found.push(Found { name, path });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}
