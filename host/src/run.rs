//! `host run`: reads the configuration, wires a connector to its topic, and runs until it ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use host_cluster::{Cluster, ProducerOptions};
use host_config::{ConnectorConfig, StateStore};
use host_connector::Kind;
use host_pipeline::checkpoint::LocalCheckpoint;
use host_pipeline::{OnError, PipelineError, Progress, RetryPolicy, Settings, SourceRun, Stopped};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::{RunArgs, StageFlag};
use crate::cluster::{self, Connected};
use crate::display::{self, Live, Names};
use crate::ends::{ComponentSource, Topic};
use crate::failure::{Failure, Outcome};
use crate::logging::Redaction;
use crate::{component, configuration, places, stages};

/// How often a run without a terminal says how it is doing.
const REPORT_EVERY: Duration = Duration::from_secs(30);

/// Runs a connector.
pub(crate) async fn run(arguments: Box<RunArgs>, order: Vec<(StageFlag, usize)>, redaction: Redaction) -> Outcome {
    let stop = CancellationToken::new();
    let signals = Signals::listen(stop.clone())?;
    let mut config = configuration::read(&arguments.connector, true)?;
    let reference = configuration::connector_reference(&arguments.connector, &config);
    let path = places::connector(reference, configuration::direction(&config))?;
    let component = component::load(&path).await?;
    if component.kind() != Kind::Source {
        return Err(Failure::config(format!("{} is a {}", path.display(), component.kind().as_str()))
            .help("this version runs sources"));
    }
    let spec = configuration::spec(&component).await?;
    let section = configuration::section(&mut config, &spec, &redaction)?;
    configuration::warn(&config.warnings);
    let wanted = stages::wanted(&config, &arguments, &order)?;
    check_supported(&config)?;

    let checkpoint =
        LocalCheckpoint::open(&state_directory(&arguments, &config)?, &config.meta.name).map_err(Failure::failed)?;
    let connected = tokio::select! {
        connected = cluster::connect_patiently(&arguments.target) => connected?,
        () = stop.cancelled() => return Ok(()),
    };
    tracing::info!(
        connector = %config.meta.name,
        component = %spec.name,
        version = %spec.version,
        cached = component.from_cache(),
        "source ready"
    );
    let sandbox = configuration::sandbox(&config, &section);
    let source = ComponentSource { component, sandbox, section: section.json.to_string() };
    let prepared = Prepared { source, checkpoint, config, wanted, stop, signals };
    let ended = prepared.run(&connected).await;
    let closed = connected.close().await;
    ended.and(closed)
}

/// Everything but the cluster.
struct Prepared {
    source: ComponentSource,
    checkpoint: LocalCheckpoint,
    config: ConnectorConfig,
    wanted: Vec<stages::Wanted>,
    stop: CancellationToken,
    signals: Signals,
}

impl Prepared {
    async fn run(self, connected: &Connected) -> Outcome {
        let Self { source, checkpoint, config, wanted, stop, mut signals } = self;
        let cluster = &connected.cluster;
        prepare_topic(cluster, &config).await?;
        let stages = stages::build(wanted, &config, cluster).await?;
        let described = stages.describe();
        let topic = Topic::open(cluster, &config.meta.topic.name, producer_options(&config)?).await?;
        let dead_letters = dead_letters(cluster, &config).await?;
        if !described.is_empty() {
            tracing::info!(stages = %described, "stages ready");
        }
        tracing::info!(topic = %config.meta.topic.name, cluster = %cluster.address(), "topic ready");

        let progress = Arc::<Progress>::default();
        let names = Names {
            connector: config.meta.name.clone(),
            stages: described,
            topic: config.meta.topic.name.clone(),
            link: topic.0.status(),
        };
        let run = SourceRun {
            source: Box::new(source),
            stages: Box::new(stages),
            output: Box::new(topic),
            dead_letters: dead_letters.map(|topic| Box::new(topic) as Box<_>),
            checkpoint: Box::new(checkpoint),
            settings: settings(&config),
            progress: Arc::clone(&progress),
            stop,
        };
        let started = Instant::now();
        let live = Live::start(names, Arc::clone(&progress));
        let reports = tokio::spawn(report(Arc::clone(&progress)));
        let ended = tokio::select! {
            ended = run.run() => ended.map_err(failure),
            () = signals.out_of_patience(config.host.grace_period) => Err(Failure::failed(format!(
                "stopped before everything was delivered; {} records that were read will be read again",
                display::thousands(progress.read_records.get().saturating_sub(progress.sent_records.get()))
            ))),
        };
        reports.abort();
        drop(live);
        summary(&progress, started.elapsed(), ended.as_ref().ok());
        ended.map(|_| ())
    }
}

/// What this version can't do yet is refused rather than ignored.
fn check_supported(config: &ConnectorConfig) -> Outcome {
    if config.host.state.store != StateStore::Local {
        return Err(Failure::config("`host.state.store: cluster` is not available yet: cursors are kept locally")
            .help("leave it out; --state DIR or `host.state.directory` says where"));
    }
    if config.host.rate_limit.records_per_second.is_some() || config.host.rate_limit.bytes_per_second.is_some() {
        return Err(Failure::config("`host.rate-limit` is not available yet").help("leave it out"));
    }
    Ok(())
}

fn state_directory(arguments: &RunArgs, config: &ConnectorConfig) -> Outcome<PathBuf> {
    if let Some(directory) = arguments.state.as_ref().or(config.host.state.directory.as_ref()) {
        return Ok(directory.clone());
    }
    if arguments.target.embedded {
        // Records and cursors belong together: who removes the one starts the other anew as well.
        return Ok(cluster::data_directory(&arguments.target)?.join("state"));
    }
    places::state()
}

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

fn producer_options(config: &ConnectorConfig) -> Outcome<ProducerOptions> {
    let wanted = &config.meta.producer;
    let mut options =
        ProducerOptions { compression: wanted.compression.map(cluster::compression), ..Default::default() };
    let bytes = |value: u64, key: &str| {
        usize::try_from(value)
            .ok()
            .filter(|&value| (1..=1 << 30).contains(&value))
            .ok_or_else(|| Failure::config(format!("`meta.producer.{key}` must lie between 1 byte and 1 GiB")))
    };
    if let Some(size) = wanted.batch_size {
        options.batch_size = bytes(size, "batch-size")?;
    }
    if let Some(size) = wanted.max_request_size {
        options.max_request_size = bytes(size, "max-request-size")?;
    }
    Ok(options)
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
    }
}

fn failure(error: PipelineError) -> Failure {
    match &error {
        PipelineError::Source(fault) if fault.kind == host_pipeline::FaultKind::Config => Failure::config(error),
        PipelineError::Refused { value, .. } => Failure::failed(&error)
            .help(format!("the record begins: {value}"))
            .help("`host.on-error: skip` or `dead-letter` lets the run go on past such records"),
        PipelineError::Source(fault) if fault.kind == host_pipeline::FaultKind::Data => {
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
            Some(Stopped::End) => "source came to its end, everything is delivered",
            Some(Stopped::Asked) => "stopped, everything that was read is delivered",
            None => "ended early",
        }
    );
}

/// The signals that ask a run to stop.
struct Signals {
    asked: tokio::sync::watch::Receiver<u32>,
}

impl Signals {
    /// Counts SIGINT and SIGTERM from now on; the first one cancels `stop`.
    fn listen(stop: CancellationToken) -> Outcome<Self> {
        let refused = |e| Failure::failed(format!("can't listen for signals: {e}"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
        let (count, asked) = tokio::sync::watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                stop.cancel();
                count.send_modify(|count| *count += 1);
                if *count.borrow() == 1 {
                    tracing::info!("stopping: what was read is still delivered; a second signal ends at once");
                }
            }
        });
        Ok(Self { asked })
    }

    /// Returns at a second signal, or when the grace period after the first is over.
    async fn out_of_patience(&mut self, grace: Duration) {
        let first = self.asked.wait_for(|&count| count >= 1).await.is_ok();
        let second = self.asked.wait_for(|&count| count >= 2);
        if first && tokio::time::timeout(grace, second).await.is_ok_and(|counted| counted.is_ok()) {
            return;
        }
        if !first {
            // The listener went with the runtime; there is nobody left to ask.
            std::future::pending::<()>().await;
        }
    }
}
