//! The way to the cluster that the arguments name, which may be a broker inside this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host_broker::Broker;
use host_cluster::{Cluster, Compression, Error, Target, TopicCompression, TopicSpec};
use host_config::TopicSettings;

use crate::cli::TargetArgs;
use crate::failure::{Failure, Outcome};
use crate::places;

/// The file in a broker's data directory that says where it listens.
const ADDRESS_FILE: &str = "address";

/// The longest wait between two attempts to connect.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// A cluster, and the broker inside this process if it is one.
pub(crate) struct Connected {
    pub(crate) cluster: Cluster,
    broker: Option<(Broker, PathBuf)>,
}

impl Connected {
    /// Stops the broker if there is one, so that its data directory is free.
    pub(crate) async fn close(self) -> Outcome {
        drop(self.cluster);
        match self.broker {
            Some((broker, data)) => stop_broker(broker, &data).await,
            None => Ok(()),
        }
    }
}

/// Stops a broker and takes its address back.
pub(crate) async fn stop_broker(broker: Broker, data: &Path) -> Outcome {
    // Whoever looks for the broker from now on must start one.
    let _ = fs::remove_file(data.join(ADDRESS_FILE));
    broker.stop().await.map_err(Failure::failed)
}

/// Starts a broker and writes down where it listens, so that `--embedded` in another process finds it.
pub(crate) async fn start_broker(options: host_broker::Options) -> Result<Broker, host_broker::Error> {
    let file = options.data.join(ADDRESS_FILE);
    let broker = Broker::start(options).await?;
    if let Err(error) = fs::write(&file, broker.address().to_string()) {
        tracing::warn!(%error, file = %file.display(), "other processes won't find this broker by its data");
    }
    Ok(broker)
}

/// Connects once; what can't be reached is an error.
pub(crate) async fn connect(arguments: &TargetArgs) -> Outcome<Connected> {
    let (target, broker) = resolve(arguments).await?;
    let cluster = Cluster::connect(target).await.map_err(|e| unreachable(&e))?;
    Ok(Connected { cluster, broker })
}

/// Connects, and keeps trying for as long as it takes; what can't be mended by waiting is an error.
pub(crate) async fn connect_patiently(arguments: &TargetArgs) -> Outcome<Connected> {
    let (target, broker) = resolve(arguments).await?;
    let mut wait = Duration::from_millis(250);
    loop {
        match Cluster::connect(target.clone()).await {
            Ok(cluster) => return Ok(Connected { cluster, broker }),
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, wait_ms = wait.as_millis() as u64, "waiting for the cluster");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(MAX_WAIT);
            }
            Err(error) => return Err(unreachable(&error)),
        }
    }
}

fn unreachable(error: &Error) -> Failure {
    match error {
        Error::Profile { .. } | Error::Tls { .. } => {
            Failure::config(error).help("--embedded runs a broker inside this process, for trying things")
        }
        Error::Unreachable { .. } => Failure::failed(error).help(
            "is it running? `host broker` starts one; name another with --cluster ADDR, --profile NAME or --embedded",
        ),
        _ => Failure::failed(error),
    }
}

/// What a cluster did not do, and what to do about it.
pub(crate) fn refused(error: &Error) -> Failure {
    let failure = Failure::failed(error);
    match error {
        Error::TopicNotFound { name } => {
            failure.help(format!("`host topic list` shows what there is, `host topic create {name}` makes it"))
        }
        Error::SmartModuleNotFound { .. } => failure.help("`host smartmodule list` shows what there is"),
        _ => failure,
    }
}

async fn resolve(arguments: &TargetArgs) -> Outcome<(Target, Option<(Broker, PathBuf)>)> {
    if let Some(address) = &arguments.cluster {
        return Ok((Target::Address(address.clone()), None));
    }
    if !arguments.embedded {
        return Ok((Target::Profile(arguments.profile.clone()), None));
    }
    let data = data_directory(arguments)?;
    let mut options = host_broker::Options::new(&data);
    options.listen = ([127, 0, 0, 1], 0).into();
    match start_broker(options).await {
        Ok(broker) => Ok((Target::Address(broker.address().to_string()), Some((broker, data)))),
        Err(host_broker::Error::Locked { .. }) => {
            let file = data.join(ADDRESS_FILE);
            let address = fs::read_to_string(&file).map_err(|e| {
                Failure::failed(format!("another broker uses {}, but {}: {e}", data.display(), file.display()))
                    .help("stop it, or give this one a directory of its own with --data DIR")
            })?;
            tracing::debug!(%address, "using the broker that runs on this data");
            Ok((Target::Address(address.trim().to_owned()), None))
        }
        Err(error) => Err(Failure::failed(error)),
    }
}

/// Where the embedded broker keeps its records.
pub(crate) fn data_directory(arguments: &TargetArgs) -> Outcome<PathBuf> {
    arguments.data.clone().map_or_else(places::broker_data, Ok)
}

/// The topic as the configuration wants it.
pub(crate) fn topic_spec(settings: &TopicSettings) -> Outcome<TopicSpec> {
    let mut spec = TopicSpec::new(&settings.name);
    spec.partitions = settings.partitions;
    spec.replication = settings.replication;
    spec.ignore_rack = settings.ignore_rack;
    spec.retention = settings.retention;
    spec.max_partition_size = settings.max_partition_size;
    spec.segment_size = match settings.segment_size.map(u32::try_from).transpose() {
        Ok(size) => size,
        Err(_) => return Err(Failure::config("the topic's `segment-size` can't be more than 4 GiB")),
    };
    spec.compression = settings.compression.map_or(TopicCompression::Any, |compression| match compression {
        host_config::Compression::None => TopicCompression::None,
        host_config::Compression::Gzip => TopicCompression::Gzip,
        host_config::Compression::Snappy => TopicCompression::Snappy,
        host_config::Compression::Lz4 => TopicCompression::Lz4,
        host_config::Compression::Zstd => TopicCompression::Zstd,
    });
    spec.deduplication = settings.deduplication.as_ref().map(|wanted| host_cluster::Deduplication {
        filter: wanted.uses.clone(),
        with: wanted.with.clone(),
        count: wanted.count,
        age: wanted.age,
    });
    Ok(spec)
}

/// The producer's compression.
pub(crate) fn compression(wanted: host_config::Compression) -> Compression {
    match wanted {
        host_config::Compression::None => Compression::None,
        host_config::Compression::Gzip => Compression::Gzip,
        host_config::Compression::Snappy => Compression::Snappy,
        host_config::Compression::Lz4 => Compression::Lz4,
        host_config::Compression::Zstd => Compression::Zstd,
    }
}
