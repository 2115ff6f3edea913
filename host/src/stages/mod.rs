//! Builds the stages that the configuration and the command line name.

mod state;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use host_batch::Batch;
use host_cluster::{Cluster, ConsumerOptions, Start};
use host_config::{ConnectorConfig, TransformStep};
use host_pipeline::ends::{Applied, Refusal, StageFault, Stages};
use host_smartmodule::{Chain, Engine, EngineOptions, Kind, Limits, LookBack, Module, Stage, StageState, Tracking};

use crate::cli::{RunArgs, StageFlag};
use crate::failure::{Failure, Outcome};
use crate::places;

/// A stage as it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    step: TransformStep,
    /// What the flag that named it takes; anything from a configuration file.
    flag: Option<StageFlag>,
}

/// The stages of the configuration, then those of the command line in the order they were given.
pub(crate) fn wanted(
    config: &ConnectorConfig,
    arguments: &RunArgs,
    order: &[(StageFlag, usize)],
) -> Outcome<Vec<Wanted>> {
    let mut wanted: Vec<Wanted> =
        config.transforms.iter().map(|step| Wanted { step: step.clone(), flag: None }).collect();
    let from_file = wanted.len();
    for &(flag, nth) in order {
        let uses = match flag {
            StageFlag::Filter => &arguments.filter[nth],
            StageFlag::Map => &arguments.map[nth],
            StageFlag::ArrayMap => &arguments.arraymap[nth],
            StageFlag::With => {
                let (key, value) = arguments.with[nth].clone();
                let Some(stage) = wanted[from_file..].last_mut() else {
                    return Err(Failure::config(format!("--with {key}={value} stands in front of any stage"))
                        .help("put it behind the --filter, --map or --arraymap that it belongs to"));
                };
                stage.step.with.insert(key, value);
                continue;
            }
        };
        wanted.push(Wanted { step: TransformStep::new(uses.as_str(), BTreeMap::new()), flag: Some(flag) });
    }
    Ok(wanted)
}

/// Stages that were fetched and compiled, from which chains are made: one for a source, one for each partition
/// of a sink.
pub(crate) struct Compiled {
    stages: Vec<Stage>,
    names: Vec<String>,
}

/// Fetches and compiles the stages.
pub(crate) async fn compile(wanted: Vec<Wanted>, config: &ConnectorConfig, cluster: &Cluster) -> Outcome<Compiled> {
    let mut stages = Vec::with_capacity(wanted.len());
    let mut names = Vec::with_capacity(wanted.len());
    if !wanted.is_empty() {
        let options = EngineOptions { cache_dir: places::cache().map(|dir| dir.join("smartmodules")) };
        let engine = Engine::new(options).map_err(Failure::config)?;
        let limits = Limits { memory: config.host.sandbox.memory, call_timeout: config.host.sandbox.call_timeout };
        for Wanted { step, flag } in wanted {
            let name = stage_name(&step.uses);
            let wasm = fetch(&step.uses, cluster).await?;
            let (compiler, called) = (engine.clone(), name.clone());
            let compiled = tokio::task::spawn_blocking(move || compiler.compile(&called, &wasm)).await;
            let module = compiled.map_err(Failure::failed)?.map_err(Failure::config)?;
            check_kind(&module, flag, &step.uses)?;
            names.push(format!("{} {name}", module.kind().name()));
            let look_back = step.lookback.map(|l| LookBack { last: l.last, age: l.age });
            let mut stage = Stage::new(module);
            stage.params = step.with;
            stage.look_back = look_back;
            stage.limits = limits;
            stages.push(stage);
        }
    }
    Ok(Compiled { stages, names })
}

impl Compiled {
    /// What the stages are, as in `filter json-filter → map json-project`; empty for none.
    pub(crate) fn describe(&self) -> String {
        self.names.join(" → ")
    }

    /// Says so in the log, if there are any.
    pub(crate) fn announce(&self) {
        if !self.names.is_empty() {
            tracing::info!(stages = %self.describe(), "stages ready");
        }
    }

    /// The chain of a source. One acknowledgement covers a batch there, so it is enough to know which batch an
    /// output came from.
    pub(crate) fn source_chain(&self) -> Outcome<SmartModules> {
        self.chain(Tracking::Coarse)
    }

    /// The chain of one partition of a sink, where every output's own offset counts.
    pub(crate) fn sink_chain(&self) -> Outcome<SmartModules> {
        self.chain(Tracking::Exact)
    }

    fn chain(&self, tracking: Tracking) -> Outcome<SmartModules> {
        let mut chain = Chain::new(self.stages.clone()).map_err(Failure::config)?;
        chain.set_tracking(tracking);
        Ok(SmartModules { chain, described: self.describe() })
    }
}

/// A short name for messages: the file's, or the reference itself.
fn stage_name(uses: &str) -> String {
    match uses.strip_suffix(".wasm") {
        Some(path) => Path::new(path).file_name().map_or(path.into(), |name| name.to_string_lossy()).into_owned(),
        None => uses.to_owned(),
    }
}

fn check_kind(module: &Module, flag: Option<StageFlag>, uses: &str) -> Outcome {
    let (name, fits) = match flag {
        None | Some(StageFlag::With) => return Ok(()),
        Some(StageFlag::Filter) => ("--filter", matches!(module.kind(), Kind::Filter)),
        Some(StageFlag::Map) => ("--map", matches!(module.kind(), Kind::Map | Kind::FilterMap | Kind::Aggregate)),
        Some(StageFlag::ArrayMap) => ("--arraymap", matches!(module.kind(), Kind::ArrayMap)),
    };
    if fits {
        return Ok(());
    }
    let right = match module.kind() {
        Kind::Filter => "--filter",
        Kind::ArrayMap => "--arraymap",
        _ => "--map",
    };
    Err(Failure::config(format!("{uses} is of kind {}, and {name} does not take that", module.kind().name()))
        .help(format!("give it with {right}")))
}

/// The module's bytes: a file, a SmartModule of the cluster, or a name on the SmartModule path.
async fn fetch(uses: &str, cluster: &Cluster) -> Outcome<Vec<u8>> {
    if uses.starts_with("https://") || uses.starts_with("http://") || uses.starts_with("oci://") {
        return Err(Failure::config(format!("{uses}: SmartModules can't be fetched from there yet"))
            .help("download it and name the file, or put it into the cluster with `host smartmodule create`"));
    }
    let local = places::smartmodule(uses)?;
    if let Some(path) = local.as_deref().filter(|path| path.as_os_str() == uses) {
        return read(path);
    }
    match (cluster.smartmodule(uses).await, local) {
        (Ok(wasm), _) => Ok(wasm),
        (Err(host_cluster::Error::SmartModuleNotFound { .. }), Some(path)) => read(&path),
        (Err(error @ host_cluster::Error::SmartModuleNotFound { .. }), None) => Err(Failure::config(error)
            .help("put it there with `host smartmodule create NAME --wasm-file FILE`, or name the file itself")),
        (Err(error), _) => Err(Failure::failed(error)),
    }
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|e| Failure::config(format!("can't read {}: {e}", path.display())))
}

/// The SmartModules of a run, one behind the other.
pub(crate) struct SmartModules {
    chain: Chain,
    described: String,
}

impl SmartModules {
    /// Shows each stage that looks back the newest records of the topic which a source helps to fill.
    pub(crate) async fn look_back_topic(&mut self, cluster: &Cluster, topic: &str) -> Outcome {
        for (index, window) in self.windows() {
            let start = if window.last > 0 { Start::FromEnd(window.last) } else { Start::Beginning };
            let options = ConsumerOptions { start, until_end: true, ..ConsumerOptions::new(topic) };
            self.show(index, window, cluster, options, i64::MAX).await?;
        }
        Ok(())
    }

    /// Shows each stage that looks back the records of a partition before the offset that a sink starts at.
    pub(crate) async fn look_back_partition(
        &mut self,
        cluster: &Cluster,
        topic: &str,
        partition: u32,
        before: i64,
    ) -> Outcome {
        for (index, window) in self.windows() {
            let records = i64::try_from(window.last).ok().filter(|&records| records > 0).unwrap_or(i64::MAX);
            let from = before.saturating_sub(records).max(0);
            let options = ConsumerOptions {
                partitions: vec![partition],
                resume: BTreeMap::from([(partition, from)]),
                until_end: true,
                ..ConsumerOptions::new(topic)
            };
            if before > from {
                self.show(index, window, cluster, options, before).await?;
            }
        }
        Ok(())
    }

    /// The stages that look back, and how far.
    fn windows(&self) -> Vec<(usize, LookBack)> {
        let stages = self.chain.stages().enumerate();
        let looking = stages.filter(|(_, stage)| stage.module.wants_look_back());
        looking.filter_map(|(index, stage)| Some((index, stage.look_back?))).collect()
    }

    async fn show(
        &mut self,
        index: usize,
        window: LookBack,
        cluster: &Cluster,
        options: ConsumerOptions,
        before: i64,
    ) -> Outcome {
        let mut consumer = cluster.consumer(options).await.map_err(Failure::failed)?;
        let oldest = window.age.map(|age| now_ms() - i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        while let Some(fetched) = consumer.next().await.map_err(Failure::failed)? {
            let recent = |i: usize| oldest.is_none_or(|oldest| fetched.batch.timestamp(i).is_none_or(|t| t >= oldest));
            // Timestamps rise with offsets, so what is left out is at the front.
            let first = (0..fetched.batch.len()).find(|&i| recent(i)).unwrap_or(fetched.batch.len());
            let end = usize::try_from(before.saturating_sub(fetched.first_offset)).unwrap_or(0);
            let end = end.min(fetched.batch.len());
            let records = fetched.batch.slice(first.min(end)..end);
            if !records.is_empty() {
                let offset = fetched.first_offset + first as i64;
                self.chain.look_back(index, &records, offset).map_err(Failure::config)?;
            }
            if end < fetched.batch.len() {
                break;
            }
        }
        Ok(())
    }
}

impl Stages for SmartModules {
    fn apply(&mut self, batch: &Batch, first_offset: i64) -> Result<Applied, StageFault> {
        let applied = self
            .chain
            .apply(batch, first_offset, now_ms())
            .map_err(|error| StageFault { stage: self.described.clone(), reason: error.to_string() })?;
        let refusal = |r: host_smartmodule::Refusal| Refusal {
            index: r.index,
            stage: r.module,
            reason: r.reason,
            key: r.key,
            value: r.value,
        };
        let refusals = applied.refusals.into_iter().map(refusal).collect();
        Ok(Applied { batch: applied.batch, sources: applied.sources, refusals })
    }

    fn renew(&mut self) -> Result<(), StageFault> {
        // A chain replaces what failed by itself, and takes its state back to before the batch.
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.described.is_empty()
    }

    fn state(&self) -> Vec<u8> {
        let names = self.chain.stages().map(|stage| stage.module.name().to_owned());
        state::encode(names.zip(self.chain.state()))
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StageFault> {
        let fault = |reason: String| StageFault { stage: self.described.clone(), reason };
        let kept = state::decode(state).map_err(|e| fault(format!("the state that was kept can't be read: {e}")))?;
        let names: Vec<String> = self.chain.stages().map(|stage| stage.module.name().to_owned()).collect();
        for (index, (module, state)) in kept.into_iter().enumerate() {
            if names.get(index) != Some(&module) {
                if state != StageState::default() {
                    tracing::warn!(module, stage = index, "the stages have changed: the state of this one is given up");
                }
                continue;
            }
            let restored = self.chain.restore(index, &state);
            restored.map_err(|error| StageFault { stage: module, reason: error.to_string() })?;
        }
        Ok(())
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
