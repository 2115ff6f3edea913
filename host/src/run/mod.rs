//! `host run`: reads the configuration, wires a connector to its topic, and runs until it ends.

mod cluster_state;
mod reload;
mod signals;
mod sink;
mod source;
mod state;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use host_cluster::{Cluster, ProducerOptions};
use host_config::ConnectorConfig;
use host_connector::{Component, Kind, Sandbox};
use host_pipeline::{FaultKind, OnError, PipelineError, Progress, RateLimit, RetryPolicy, Settings, Stopped};
use tokio_util::sync::CancellationToken;

use self::reload::{Recipe, Reload};
use self::signals::Signals;
use self::state::StateStore;
use crate::cli::{RunArgs, Shard, StageFlag};
use crate::cluster;
use crate::display::{self, Live, Names};
use crate::ends::Topic;
use crate::failure::{Failure, Outcome};
use crate::logging::Redaction;
use crate::{component, configuration, places, stages};

/// How often a run without a terminal says how it is doing.
const REPORT_EVERY: Duration = Duration::from_secs(30);

/// Runs a connector.
pub(crate) async fn run(arguments: Box<RunArgs>, order: Vec<(StageFlag, usize)>, redaction: Redaction) -> Outcome {
    let stop = CancellationToken::new();
    let signals = Signals::listen(stop.clone())?;
    let seen = reload::stamps(&arguments);
    let mut config = configuration::read(&arguments.connector, true)?;
    let reference = configuration::connector_reference(&arguments.connector, &config);
    let path = places::connector(reference, configuration::direction(&config))?;
    let component = component::load(&path).await?;
    let kind = component.kind();
    if kind == Kind::Transform {
        return Err(Failure::config(format!("{} is a transform", path.display()))
            .help("name it in `transforms`, or with --map, beside a source or a sink"));
    }
    if kind == Kind::Source && (arguments.until_end || arguments.shard.is_some()) {
        return Err(Failure::config(format!("{} is a source", path.display()))
            .help("--disable-continuous and --shard are for sinks"));
    }
    let spec = configuration::spec(&component).await?;
    let section = configuration::section(&mut config, &spec, &redaction)?;
    configuration::warn(&config.warnings);
    let sandbox = configuration::sandbox(&config, &section, &component)?;
    let wanted = stages::wanted(&config, &arguments, &order)?;
    let state = StateStore::of(&arguments, &config)?;

    let connected = tokio::select! {
        connected = cluster::connect_patiently(&arguments.target) => connected?,
        () = stop.cancelled() => return Ok(()),
    };
    tracing::info!(
        connector = %config.meta.name,
        component = %spec.name,
        version = %spec.version,
        cached = component.from_cache(),
        "{} ready",
        kind.as_str()
    );
    let prepared = Prepared {
        sandbox,
        section: section.json.to_string(),
        component,
        config: config.clone(),
        wanted,
        state,
        stop,
        signals,
        until_end: arguments.until_end,
        shard: arguments.shard,
        recipe: Recipe { arguments, order, kind, spec, section: section.json, config, seen },
    };
    let ended = prepared.run(kind, &connected).await;
    let closed = connected.close().await;
    ended.and(closed)
}

/// Everything but the cluster.
struct Prepared {
    component: Component,
    sandbox: Sandbox,
    /// The connector's section as JSON text.
    section: String,
    config: ConnectorConfig,
    wanted: Vec<stages::Wanted>,
    state: StateStore,
    stop: CancellationToken,
    signals: Signals,
    until_end: bool,
    shard: Option<Shard>,
    /// How to make the stages again.
    recipe: Recipe,
}

impl Prepared {
    async fn run(self, kind: Kind, connected: &cluster::Connected) -> Outcome {
        prepare_topic(&connected.cluster, &self.config).await?;
        let state = self.state.clone();
        let ended = match kind {
            Kind::Sink => sink::run(self, connected).await,
            _ => source::run(self, connected).await,
        };
        state.release().await;
        ended
    }
}

/// The topic must be there, or be made.
async fn prepare_topic(cluster: &Cluster, config: &ConnectorConfig) -> Outcome {
    if !config.meta.create_topic {
        return cluster.topic(&config.meta.topic.name).await.map(|_| ()).map_err(Failure::config);
    }
    let spec = cluster::topic_spec(&config.meta.topic)?;
    if cluster.create_topic(&spec).await.map_err(Failure::failed)? {
        tracing::info!(topic = %spec.name, partitions = spec.partitions, "topic created");
    }
    Ok(())
}

/// A run with somebody who looks at it.
struct Watched {
    names: Names,
    progress: Arc<Progress>,
    signals: Signals,
    grace: Duration,
    reload: Reload,
}

impl Watched {
    /// Shows how it is doing until it ends, or until a stop takes longer than it may.
    async fn until_it_ends(self, run: impl Future<Output = Result<Stopped, PipelineError>>) -> Outcome {
        let Self { names, progress, mut signals, grace, reload } = self;
        let started = Instant::now();
        let live = Live::start(names, Arc::clone(&progress));
        let reports = tokio::spawn(report(Arc::clone(&progress)));
        let reloads = tokio::spawn(reload.run());
        let ended = tokio::select! {
            ended = run => ended.map_err(failure),
            () = signals.out_of_patience(grace) => Err(Failure::failed(format!(
                "stopped before everything was delivered; {} records that were read will be read again",
                display::thousands(progress.read_records.get().saturating_sub(progress.sent_records.get()))
            ))),
        };
        reports.abort();
        reloads.abort();
        drop(live);
        summary(&progress, started.elapsed(), ended.as_ref().ok());
        ended.map(|_| ())
    }
}

async fn dead_letters(cluster: &Cluster, config: &ConnectorConfig) -> Outcome<Option<Topic>> {
    if config.host.on_error != host_config::OnError::DeadLetter {
        return Ok(None);
    }
    let default = || format!("{}-dead-letters", config.meta.topic.name);
    let name = config.host.dead_letter_topic.clone().unwrap_or_else(default);
    cluster.create_topic(&host_cluster::TopicSpec::new(&name)).await.map_err(Failure::failed)?;
    Topic::open(cluster, &name, ProducerOptions::default()).await.map(Some)
}

fn settings(config: &ConnectorConfig) -> Settings {
    let host = &config.host;
    Settings {
        connector: config.meta.name.clone(),
        on_error: match host.on_error {
            host_config::OnError::Stop => OnError::Stop,
            host_config::OnError::Skip => OnError::Skip,
            host_config::OnError::DeadLetter => OnError::DeadLetter,
        },
        retry: RetryPolicy { max: host.retry.max, initial: host.retry.initial, max_delay: host.retry.max_delay },
        max_records: host.batch.max_records,
        max_bytes: u32::try_from(host.batch.max_bytes).unwrap_or(u32::MAX),
        linger: config.meta.producer.linger.unwrap_or(host.batch.linger),
        rate_limit: RateLimit::new(host.rate_limit.records_per_second, host.rate_limit.bytes_per_second).map(Arc::new),
    }
}

fn failure(error: PipelineError) -> Failure {
    match &error {
        PipelineError::Connector(fault) if matches!(fault.kind, FaultKind::Config | FaultKind::Auth) => {
            Failure::config(error)
        }
        PipelineError::Refused { value, .. } => Failure::failed(&error)
            .help(format!("the record begins: {value}"))
            .help("`host.on-error: skip` or `dead-letter` lets the run go on past such records"),
        PipelineError::Connector(fault) if fault.kind == FaultKind::Data => {
            Failure::failed(&error).help("`host.on-error: skip` or `dead-letter` lets the run go on past such input")
        }
        _ => Failure::failed(error),
    }
}

/// Says now and then how a run is doing, for logs that nobody looks at live.
async fn report(progress: Arc<Progress>) {
    let mut ticks = tokio::time::interval(REPORT_EVERY);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let now = progress.snapshot();
        tracing::info!(
            read = now.read_records,
            shaped = now.shaped_records,
            refused = now.refused_records,
            sent = now.sent_records,
            retries = now.retries,
            waiting = now.waiting.as_deref().unwrap_or(""),
            "progress"
        );
    }
}

fn summary(progress: &Progress, took: Duration, stopped: Option<&Stopped>) {
    let now = progress.snapshot();
    let rate = (now.sent_records as f64 / took.as_secs_f64().max(0.001)) as u64;
    tracing::info!(
        read = now.read_records,
        sent = now.sent_records,
        refused = now.refused_records,
        skipped = now.skipped,
        dead_letters = now.dead_letters,
        retries = now.retries,
        restarts = now.restarts,
        seconds = took.as_millis() as f64 / 1000.0,
        records_per_second = rate,
        "{}",
        match stopped {
            Some(Stopped::End) => "input came to its end, everything is delivered",
            Some(Stopped::Asked) => "stopped, everything that was read is delivered",
            Some(Stopped::Short) => "stopped, what could not be delivered will be read again",
            None => "ended early",
        }
    );
}
