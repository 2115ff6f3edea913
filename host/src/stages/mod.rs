//! Builds the stages that the configuration and the command line name.

mod list;
mod state;

use std::collections::BTreeMap;

use host_cluster::Cluster;
use host_config::{ConnectorConfig, TransformStep};
use host_smartmodule::{Chain, Kind, Limits, LookBack, Module, Stage, Tracking};

pub(crate) use self::list::StageList;
use crate::cli::{RunArgs, StageFlag};
use crate::failure::{Failure, Outcome};
use crate::{component, configuration, modules, places};

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
    entries: Vec<Entry>,
    names: Vec<String>,
}

/// One stage, ready to be instantiated.
enum Entry {
    Module(Stage),
    Component(Box<list::Transform>),
}

/// Fetches and compiles the stages.
pub(crate) async fn compile(wanted: Vec<Wanted>, config: &ConnectorConfig, cluster: &Cluster) -> Outcome<Compiled> {
    let mut entries = Vec::with_capacity(wanted.len());
    let mut names = Vec::with_capacity(wanted.len());
    let mut engine = None;
    for Wanted { step, flag } in wanted {
        let name = modules::short_name(&step.uses);
        let wasm = fetch(&step.uses, cluster).await?;
        if component::is_component(&wasm) {
            let transform = transform(&name, wasm, step, flag, config).await?;
            names.push(format!("transform {name}"));
            entries.push(Entry::Component(Box::new(transform)));
            continue;
        }
        modules::check_parameters(config, &step, &wasm)?;
        let engine = match &engine {
            Some(engine) => engine,
            None => engine.insert(modules::engine()?),
        };
        let module = modules::compile(engine, &name, wasm).await?;
        check_kind(&module, flag, &step.uses)?;
        names.push(format!("{} {name}", module.kind().name()));
        let mut stage = Stage::new(module);
        stage.look_back = step.lookback.map(|l| LookBack { last: l.last, age: l.age });
        stage.params = step.with;
        stage.limits = Limits { memory: config.host.sandbox.memory, call_timeout: config.host.sandbox.call_timeout };
        entries.push(Entry::Module(stage));
    }
    Ok(Compiled { entries, names })
}

/// Whether a step of the configuration would start: its parameters fit, and the module accepts them. The stage in words,
/// or `None` when it isn't on this machine, so that only the cluster may know it.
pub(crate) async fn check(step: &TransformStep, config: &ConnectorConfig) -> Outcome<Option<String>> {
    let Some(path) = places::smartmodule(&step.uses)?.or_else(|| places::transform(&step.uses)) else {
        return Ok(None);
    };
    let name = modules::short_name(&step.uses);
    let wasm = modules::read(&path)?;
    if component::is_component(&wasm) {
        transform(&name, wasm, step.clone(), None, config).await?;
        return Ok(Some(format!("transform {name}")));
    }
    modules::check_parameters(config, step, &wasm)?;
    let module = modules::compile(&modules::engine()?, &name, wasm).await?;
    let kind = module.kind().name();
    let stage = Stage { params: step.with.clone(), ..Stage::new(module) };
    let started = tokio::task::spawn_blocking(move || Chain::new(vec![stage]).map(drop)).await;
    started.map_err(Failure::failed)?.map_err(Failure::config)?;
    Ok(Some(format!("{kind} {name}")))
}

/// A transform component with what stands under `with`, checked against its schema.
async fn transform(
    name: &str,
    wasm: Vec<u8>,
    step: TransformStep,
    flag: Option<StageFlag>,
    config: &ConnectorConfig,
) -> Outcome<list::Transform> {
    let component = component::load_bytes(name, wasm).await?;
    if component.kind() != host_connector::Kind::Transform {
        return Err(Failure::config(format!("{} is a {}, and no stage", step.uses, component.kind().as_str()))
            .help("a stage is a SmartModule, or a component that exports `transform`"));
    }
    if let Some(StageFlag::Filter | StageFlag::ArrayMap) = flag {
        return Err(Failure::config(format!("{} is a transform component", step.uses)).help("give it with --map"));
    }
    let spec = component.spec().await.map_err(Failure::config)?;
    let section = config.parameters(&step, &spec.schema);
    let section = section.map_err(|error| Failure::config(format!("stage {name}: {error}")))?;
    let sandbox = configuration::sandbox(config, &section, &component)?;
    Ok(list::Transform { name: name.to_owned(), component, sandbox, config: section.json.to_string() })
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
    pub(crate) async fn source_chain(&self) -> Outcome<StageList> {
        self.chain(Tracking::Coarse).await
    }

    /// The chain of one partition of a sink, where every output's own offset counts.
    pub(crate) async fn sink_chain(&self) -> Outcome<StageList> {
        self.chain(Tracking::Exact).await
    }

    /// Instantiates the stages; SmartModules that follow each other share a chain, where nothing is encoded
    /// between them.
    async fn chain(&self, tracking: Tracking) -> Outcome<StageList> {
        let mut list = StageList::new(self.describe());
        let mut modules = Vec::new();
        for entry in &self.entries {
            match entry {
                Entry::Module(stage) => modules.push(stage.clone()),
                Entry::Component(transform) => {
                    list.push_modules(std::mem::take(&mut modules), tracking)?;
                    list.push_component((**transform).clone()).await?;
                }
            }
        }
        list.push_modules(modules, tracking)?;
        Ok(list)
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
        return modules::read(path);
    }
    match (cluster.smartmodule(uses).await, local) {
        (Ok(wasm), _) => Ok(wasm),
        (Err(host_cluster::Error::SmartModuleNotFound { .. }), Some(path)) => modules::read(&path),
        (Err(host_cluster::Error::SmartModuleNotFound { .. }), None) if places::transform(uses).is_some() => {
            modules::read(&places::transform(uses).unwrap_or_default())
        }
        (Err(error @ host_cluster::Error::SmartModuleNotFound { .. }), None) => Err(Failure::config(error)
            .help("put it there with `host smartmodule create NAME --wasm-file FILE`, or name the file itself")),
        (Err(error), _) => Err(Failure::failed(error)),
    }
}
