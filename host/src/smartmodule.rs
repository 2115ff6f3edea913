//! `host smartmodule`: the SmartModules that can be used, those of the cluster and those on the SmartModule path.

mod describe;
mod list;

use crate::cli::{SmartmoduleArgs, SmartmoduleCommand};
use crate::failure::{Failure, Outcome};
use crate::{cluster, modules};

pub(crate) use describe::page;

/// Runs one of the SmartModule commands.
pub(crate) async fn smartmodule(arguments: SmartmoduleArgs) -> Outcome {
    match arguments.command {
        SmartmoduleCommand::Create { name, wasm_file, target } => {
            let wasm = std::fs::read(&wasm_file)
                .map_err(|e| Failure::failed(format!("can't read {}: {e}", wasm_file.display())))?;
            // What would be refused when a connector uses it is better refused now.
            let module = modules::compile(&modules::engine()?, &name, wasm.clone()).await?;
            let connected = cluster::connect(&target).await?;
            let created = connected.cluster.create_smartmodule(&name, &wasm).await.map_err(Failure::failed);
            connected.close().await?;
            created?;
            println!("smartmodule \"{name}\" created ({})", module.kind().name());
            Ok(())
        }
        SmartmoduleCommand::List { format, local, target } => list::list(format, local, &target).await,
        SmartmoduleCommand::Describe { name, format, target } => describe::describe(&name, format, &target).await,
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
