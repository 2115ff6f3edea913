//! Where things are: connectors and SmartModules by name, the cache, the state, the embedded broker's data.

use std::env;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};

/// Directories that are searched, after those of the environment variable, relative to the program: beside it
/// in development (`target/release/host`, `target/connectors`), below the prefix when installed.
const BESIDE_PROGRAM: [&str; 2] = ["..", "../lib/host"];

/// Where things of one kind are looked for.
fn search_path(kind: &str, variable: &str) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = env::var_os(variable).map(|v| env::split_paths(&v).collect()).unwrap_or_default();
    let program = env::current_exe().ok().and_then(|p| p.canonicalize().ok());
    if let Some(directory) = program.as_deref().and_then(Path::parent) {
        places.extend(BESIDE_PROGRAM.iter().map(|up| directory.join(up).join(kind)));
    }
    if let Some(home) = data_home() {
        places.push(home.join("host").join(kind));
    }
    places
}

/// Whether a reference is that of a package in the cluster, as in `group/name@0.1.0`, rather than a file.
fn looks_like_a_package(reference: &str) -> bool {
    reference.contains('@') && !reference.ends_with(".wasm") && !reference.starts_with(['.', '/'])
}

/// Whether a reference is plainly a file rather than a name.
fn looks_like_a_file(reference: &str) -> bool {
    reference.ends_with(".wasm") || reference.contains(std::path::MAIN_SEPARATOR)
}

/// Where connectors and transform components are looked for by name.
pub(crate) fn connector_path() -> Vec<PathBuf> {
    search_path("connectors", "HOST_CONNECTOR_PATH")
}

/// Finds a connector by path, or by name on the connector path. `direction` is tried as a suffix, so that the
/// `type: http` with `direction: source` of older configuration files finds `http-source`; without one, first
/// `-source`, then `-sink`.
pub(crate) fn connector(reference: &str, direction: Option<&str>) -> Outcome<PathBuf> {
    if looks_like_a_file(reference) {
        let path = PathBuf::from(reference);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(Failure::config(format!("there is no connector file {reference}")))
        };
    }
    let bare = reference.strip_suffix("-connector").unwrap_or(reference);
    let mut names = vec![reference.to_owned()];
    let directions = direction.map_or_else(|| vec!["source", "sink"], |direction| vec![direction]);
    for direction in directions {
        names.extend([format!("{reference}-{direction}"), format!("{bare}-{direction}")]);
    }
    names.dedup();
    let places = connector_path();
    let candidates = names.iter().flat_map(|name| places.iter().map(move |dir| dir.join(format!("{name}.wasm"))));
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        Failure::config(format!("no connector {} on the connector path", names.join(" or ")))
            .help(format!("looked in {}", shown(&places)))
            .help("name the file with --connector PATH, or its directory in HOST_CONNECTOR_PATH")
    })
}

/// Finds a transform component by name on the connector path.
pub(crate) fn transform(name: &str) -> Option<PathBuf> {
    connector_path().into_iter().map(|directory| directory.join(format!("{name}.wasm"))).find(|path| path.is_file())
}

/// The directories in which SmartModules are found by name, in the order in which they are looked through.
pub(crate) fn smartmodule_path() -> Vec<PathBuf> {
    search_path("smartmodules", "HOST_SMARTMODULE_PATH")
}

/// Finds a SmartModule's file: by path, or by name on the SmartModule path. `None` when it is neither, so that
/// the cluster may know it.
pub(crate) fn smartmodule(reference: &str) -> Outcome<Option<PathBuf>> {
    if looks_like_a_file(reference) {
        let path = PathBuf::from(reference);
        return if path.is_file() {
            Ok(Some(path))
        } else if looks_like_a_package(reference) {
            Ok(None)
        } else {
            Err(Failure::config(format!("there is no SmartModule file {reference}")))
        };
    }
    let places = smartmodule_path();
    Ok(places.iter().map(|dir| dir.join(format!("{reference}.wasm"))).find(|path| path.is_file()))
}

fn shown(places: &[PathBuf]) -> String {
    places.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn home() -> Option<PathBuf> {
    env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
}

fn base(variable: &str, below_home: &str) -> Option<PathBuf> {
    let set = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    set.or_else(|| home().map(|home| home.join(below_home)))
}

fn data_home() -> Option<PathBuf> {
    base("XDG_DATA_HOME", ".local/share")
}

/// Compiled components and SmartModules, if there is a place for them.
pub(crate) fn cache() -> Option<PathBuf> {
    base("XDG_CACHE_HOME", ".cache").map(|dir| dir.join("host"))
}

/// Cursors and locks.
pub(crate) fn state() -> Outcome<PathBuf> {
    base("XDG_STATE_HOME", ".local/state")
        .map(|dir| dir.join("host"))
        .ok_or_else(|| Failure::config("there is no home directory to keep state in").help("name one with --state DIR"))
}

/// The embedded broker's records.
pub(crate) fn broker_data() -> Outcome<PathBuf> {
    data_home().map(|dir| dir.join("host").join("broker")).ok_or_else(|| {
        Failure::config("there is no home directory for the broker's data").help("name one with --data DIR")
    })
}
