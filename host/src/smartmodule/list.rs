//! `host smartmodule list`.

use host_cluster::Cluster;
use host_smartmodule::Inspection;
use serde::Serialize;

use crate::cli::TargetArgs;
use crate::failure::{Failure, Outcome};
use crate::format::{self, Format};
use crate::{cluster, modules};

#[derive(Serialize)]
struct Row {
    name: String,
    /// `path` or `cluster`.
    from: &'static str,
    kind: Option<&'static str>,
    version: Option<String>,
    description: Option<String>,
    file: Option<String>,
    package: Option<String>,
    bytes: Option<u64>,
    /// Why there is nothing else to tell.
    problem: Option<String>,
}

impl Row {
    fn new(name: String, from: &'static str) -> Self {
        Self {
            name,
            from,
            kind: None,
            version: None,
            description: None,
            file: None,
            package: None,
            bytes: None,
            problem: None,
        }
    }

    /// With what the module tells of itself.
    fn read(mut self, wasm: Result<Vec<u8>, String>) -> Self {
        let read = wasm.and_then(|wasm| Inspection::read(&self.name, &wasm).map_err(|error| error.to_string()));
        match read {
            Ok(inspection) => {
                self.kind = Some(inspection.kind.name());
                if let Some(spec) = inspection.spec {
                    self.version = Some(spec.version).filter(|version| !version.is_empty());
                    self.description = Some(spec.description).filter(|description| !description.is_empty());
                }
            }
            Err(problem) => self.problem = Some(problem),
        }
        self
    }
}

/// Lists the modules on the path, then the cluster's.
pub(crate) async fn list(format: Format, local: bool, target: &TargetArgs) -> Outcome {
    let mut rows: Vec<Row> = modules::on_path().into_iter().map(on_path).collect();
    if !local {
        match of_cluster(target).await {
            Ok(more) => rows.extend(more),
            // Whoever names a cluster wants to know what is in it; whoever doesn't may have none.
            Err(failure) if target.is_named() => return Err(failure),
            Err(failure) => tracing::warn!("the cluster's SmartModules are not shown: {failure}"),
        }
    }
    match format {
        Format::Json => format::json(&rows),
        Format::Text => {
            let cells = |row: &Row| {
                let about = match (&row.description, &row.package, &row.problem) {
                    (_, _, Some(problem)) => problem.clone(),
                    (Some(description), ..) => description.clone(),
                    (None, Some(package), None) => package.clone(),
                    (None, None, None) => String::new(),
                };
                vec![row.name.clone(), row.kind.unwrap_or("-").to_owned(), row.from.to_owned(), about]
            };
            format::table(&["NAME", "KIND", "FROM", "DESCRIPTION"], &rows.iter().map(cells).collect::<Vec<_>>());
            Ok(())
        }
    }
}

fn on_path(found: modules::Found) -> Row {
    let wasm = std::fs::read(&found.path).map_err(|error| error.to_string());
    let mut row = Row::new(found.name, "path");
    row.file = Some(found.path.display().to_string());
    row.bytes = wasm.as_ref().ok().map(|wasm| wasm.len() as u64);
    row.read(wasm)
}

async fn of_cluster(target: &TargetArgs) -> Outcome<Vec<Row>> {
    let connected = cluster::connect(target).await?;
    let rows = read_cluster(&connected.cluster).await;
    connected.close().await?;
    rows
}

async fn read_cluster(cluster: &Cluster) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for info in cluster.smartmodules().await.map_err(Failure::failed)? {
        // Only the module itself knows its kind.
        let wasm = cluster.smartmodule(&info.name).await.map_err(|error| error.to_string());
        let mut row = Row::new(info.name, "cluster");
        row.package = info.package;
        row.bytes = info.size;
        rows.push(row.read(wasm));
    }
    Ok(rows)
}
