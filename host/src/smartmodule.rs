//! `host smartmodule`: the SmartModules of a cluster.

use host_smartmodule::{Engine, EngineOptions};
use serde::Serialize;

use crate::cli::{SmartmoduleArgs, SmartmoduleCommand};
use crate::failure::{Failure, Outcome};
use crate::format::{self, Format};
use crate::{cluster, places};

#[derive(Serialize)]
struct Row {
    name: String,
    package: Option<String>,
    bytes: Option<u64>,
}

/// Runs one of the SmartModule commands.
pub(crate) async fn smartmodule(arguments: SmartmoduleArgs) -> Outcome {
    match arguments.command {
        SmartmoduleCommand::Create { name, wasm_file, target } => {
            let wasm = std::fs::read(&wasm_file)
                .map_err(|e| Failure::failed(format!("can't read {}: {e}", wasm_file.display())))?;
            // What would be refused when a connector uses it is better refused now.
            let options = EngineOptions { cache_dir: places::cache().map(|dir| dir.join("smartmodules")) };
            let engine = Engine::new(options).map_err(Failure::failed)?;
            let module = engine.compile(&wasm_file.display().to_string(), &wasm).map_err(Failure::failed)?;
            let connected = cluster::connect(&target).await?;
            let created = connected.cluster.create_smartmodule(&name, &wasm).await.map_err(Failure::failed);
            connected.close().await?;
            created?;
            println!("smartmodule \"{name}\" created ({})", module.kind().name());
            Ok(())
        }
        SmartmoduleCommand::List { format, target } => {
            let connected = cluster::connect(&target).await?;
            let found = connected.cluster.smartmodules().await.map_err(Failure::failed);
            connected.close().await?;
            let row =
                |info: host_cluster::SmartModuleInfo| Row { name: info.name, package: info.package, bytes: info.size };
            let rows: Vec<Row> = found?.into_iter().map(row).collect();
            match format {
                Format::Json => format::json(&rows),
                Format::Text => {
                    let dash = || "-".to_owned();
                    let cells = |row: &Row| {
                        let bytes = row.bytes.map_or_else(dash, |bytes| bytes.to_string());
                        vec![row.name.clone(), row.package.clone().unwrap_or_else(dash), bytes]
                    };
                    format::table(&["NAME", "PACKAGE", "BYTES"], &rows.iter().map(cells).collect::<Vec<_>>());
                    Ok(())
                }
            }
        }
        SmartmoduleCommand::Delete { names, target } => {
            let connected = cluster::connect(&target).await?;
            let mut done = Ok(());
            for name in names {
                done = connected.cluster.delete_smartmodule(&name).await.map_err(|e| cluster::refused(&e));
                if done.is_err() {
                    break;
                }
                println!("smartmodule \"{name}\" deleted");
            }
            connected.close().await?;
            done
        }
    }
}
