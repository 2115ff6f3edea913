//! Stages swapped while a run goes on: on SIGHUP, and with `--watch` when the configuration or a module's file
//! changes.
//!
//! The new stages are fetched, compiled and initialised beside the old ones. Only when all of them stand do they
//! take over, each lane between two of its batches; when anything is wrong with them the old ones stay. What
//! else has changed in the configuration is named: it needs a restart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use host_cluster::Cluster;
use host_config::ConnectorConfig;
use host_connector::{Kind, Spec};
use host_pipeline::Exchange;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{RunArgs, StageFlag};
use crate::failure::Outcome;
use crate::{configuration, places, stages};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What it takes to make the stages again.
#[derive(Clone)]
pub(super) struct Recipe {
    pub(super) arguments: Box<RunArgs>,
    pub(super) order: Vec<(StageFlag, usize)>,
    pub(super) kind: Kind,
    pub(super) spec: Spec,
    /// The connector's section as it runs.
    pub(super) section: serde_json::Value,
    pub(super) config: ConnectorConfig,
    /// The files as they were before the configuration was read: a change since then counts.
    pub(super) seen: Stamps,
}

/// Waits for reasons to swap, for as long as the run goes on.
pub(super) struct Reload {
    pub(super) recipe: Recipe,
    pub(super) cluster: Cluster,
    /// One for each lane's stages.
    pub(super) exchanges: Vec<Exchange>,
}

/// When a file was written last, and how long it is.
type Stamp = Option<(SystemTime, u64)>;

/// The files that decide what the stages are.
pub(super) type Stamps = BTreeMap<PathBuf, Stamp>;

impl Reload {
    pub(super) async fn run(self) {
        let mut hangups = match signal(SignalKind::hangup()) {
            Ok(hangups) => hangups,
            Err(error) => {
                tracing::warn!(%error, "SIGHUP won't swap stages");
                return;
            }
        };
        let watch = self.recipe.arguments.watch;
        let arguments = &self.recipe.arguments;
        let mut seen = self.recipe.seen.clone();
        let mut settling = false;
        loop {
            tokio::select! {
                _ = hangups.recv() => {}
                () = tokio::time::sleep(LOOK_EVERY), if watch => {
                    let now = stamps(arguments);
                    if now != seen {
                        // Somebody is writing: not before two looks find the same.
                        (seen, settling) = (now, true);
                        continue;
                    }
                    if !std::mem::take(&mut settling) {
                        continue;
                    }
                }
            }
            seen = stamps(arguments);
            if let Err(failure) = self.swap().await {
                tracing::error!("the stages stay as they are: {failure}");
            }
        }
    }

    async fn swap(&self) -> Outcome {
        let Recipe { arguments, order, .. } = &self.recipe;
        let mut config = configuration::read(&arguments.connector, true)?;
        let wanted = stages::wanted(&config, arguments, order)?;
        self.name_other_changes(&mut config);
        let compiled = stages::compile(wanted, &self.recipe.config, &self.cluster).await?;
        let mut chains = Vec::with_capacity(self.exchanges.len());
        for _ in &self.exchanges {
            chains.push(match self.recipe.kind {
                Kind::Sink => compiled.sink_chain().await?,
                _ => compiled.source_chain().await?,
            });
        }
        for (exchange, chain) in self.exchanges.iter().zip(chains) {
            exchange.put(Box::new(chain));
        }
        tracing::info!(stages = %compiled.describe(), "new stages ready, they take over with the next batch");
        Ok(())
    }

    /// Says what has changed beside the stages.
    fn name_other_changes(&self, config: &mut ConnectorConfig) {
        let Recipe { spec, section, config: running, .. } = &self.recipe;
        let mut changed = Vec::new();
        if config.meta != running.meta {
            changed.push("meta".to_owned());
        }
        if config.host != running.host {
            changed.push("host".to_owned());
        }
        match config.section(&spec.section, &spec.schema) {
            Ok(new) if new.json == *section => {}
            Ok(_) => changed.push(spec.section.clone()),
            Err(error) => tracing::warn!("the connector's section would be refused at the next start: {error}"),
        }
        if !changed.is_empty() {
            tracing::warn!(changed = %changed.join(", "), "takes effect with the next start; only stages are swapped");
        }
    }
}

/// Looks at the files.
pub(super) fn stamps(arguments: &RunArgs) -> Stamps {
    let RunArgs { connector, filter, map, arraymap, .. } = arguments;
    let from_file = connector.config.as_deref().and_then(|_| configuration::read(connector, true).ok());
    let steps = from_file.iter().flat_map(|config| &config.transforms).map(|step| step.uses.as_str());
    let given = [filter, map, arraymap].into_iter().flatten().map(String::as_str);
    let modules = steps.chain(given).filter_map(|uses| places::smartmodule(uses).ok().flatten());
    let files = connector.config.iter().cloned().chain(modules);
    files.map(|path| (path.clone(), stamp(&path))).collect()
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
