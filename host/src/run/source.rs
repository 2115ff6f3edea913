//! A run from a source component into a topic.

use std::sync::Arc;

use host_cluster::ProducerOptions;
use host_config::ConnectorConfig;
use host_pipeline::{Exchange, Progress, SourceRun};

use super::{Prepared, Reload, Watched, dead_letters, settings};
use crate::cluster::Connected;
use crate::display::{Names, link};
use crate::ends::{ComponentSource, Topic};
use crate::failure::{Failure, Outcome};
use crate::{cluster, stages};

/// Runs until the source ends or a stop is asked for.
pub(super) async fn run(prepared: Prepared, connected: &Connected) -> Outcome {
    let Prepared { component, sandbox, section, config, wanted, state, stop, signals, recipe, .. } = prepared;
    let cluster = &connected.cluster;
    let topic_name = config.meta.topic.name.clone();
    let mut checkpoint = state.open(cluster, &config.meta.name, None).await?;
    let saved = checkpoint.load().await.map_err(Failure::failed)?.unwrap_or_default();
    let compiled = stages::compile(wanted, &config, cluster).await?;
    let mut stages = compiled.source_chain().await?;
    if saved.stages.is_empty() {
        stages.look_back_topic(cluster, &topic_name).await?;
    }
    let topic = Topic::open(cluster, &topic_name, producer_options(&config)?).await?;
    let dead_letters = dead_letters(cluster, &config).await?;
    compiled.announce();
    tracing::info!(topic = %topic_name, cluster = %cluster.address(), "topic ready");

    let progress = Arc::<Progress>::default();
    let names = Names {
        input: config.meta.name.clone(),
        input_link: None,
        stages: compiled.describe(),
        output: format!("topic {topic_name}"),
        output_link: Some(link(topic.0.status())),
    };
    let exchange = Exchange::default();
    let run = SourceRun {
        source: Box::new(ComponentSource { component, sandbox, section }),
        stages: Box::new(stages),
        exchange: exchange.clone(),
        output: Box::new(topic),
        dead_letters: dead_letters.map(|topic| Box::new(topic) as Box<_>),
        checkpoint,
        settings: settings(&config),
        progress: Arc::clone(&progress),
        stop,
    };
    let reload = Reload { recipe, cluster: cluster.clone(), exchanges: vec![exchange] };
    let watched = Watched { names, progress, signals, grace: config.host.grace_period, reload };
    watched.until_it_ends(run.run()).await
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
