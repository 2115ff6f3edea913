//! `host catalog`: the connectors found on the connector path, by their own description.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::cli::CatalogArgs;
use crate::failure::Outcome;
use crate::format::{self, Format};
use crate::{component, places};

#[derive(Serialize)]
struct Row {
    name: String,
    kind: &'static str,
    version: String,
    description: String,
    section: String,
    path: PathBuf,
}

/// Lists them; a file that is no connector is named, and no reason to stop.
pub(crate) async fn catalog(arguments: CatalogArgs) -> Outcome {
    let mut rows = Vec::new();
    for (name, path) in found() {
        let described = match component::load(&path).await {
            Ok(component) => component.spec().await.map(|spec| (component.kind(), spec)).map_err(|e| e.to_string()),
            Err(failure) => Err(failure.to_string()),
        };
        match described {
            Ok((kind, spec)) => rows.push(Row {
                name,
                kind: kind.as_str(),
                version: spec.version,
                description: spec.description,
                section: spec.section,
                path,
            }),
            Err(error) => tracing::warn!(path = %path.display(), "{error}"),
        }
    }
    if arguments.format == Format::Json {
        return format::json(&rows);
    }
    let cells = |row: &Row| vec![row.name.clone(), row.kind.to_owned(), row.version.clone(), row.description.clone()];
    format::table(&["NAME", "TYPE", "VERSION", "DESCRIPTION"], &rows.iter().map(cells).collect::<Vec<_>>());
    Ok(())
}

/// The files by the names that find them: the first directory of the path that has a name wins, as for `run`.
fn found() -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for directory in places::connector_path() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let is_wasm = path.extension().is_some_and(|extension| extension == "wasm");
            if let Some(name) = path.file_stem().and_then(|stem| stem.to_str()).filter(|_| is_wasm) {
                found.entry(name.to_owned()).or_insert(path);
            }
        }
    }
    found
}
