//! A run from a topic into a sink component.
//!
//! Where a partition starts: behind the offset that the cluster keeps for this consumer; before the first
//! commit, where the first run of this connector began, which the state remembers, so that nothing is passed
//! over when that run ended before it committed anything; else where the configuration says. Stages that
//! carry state go before all of that: their state and its offset are kept together.

use std::collections::BTreeMap;
use std::sync::Arc;

use host_cluster::{Cluster, Consumer, ConsumerOptions};
use host_config::{ConnectorConfig, Partitions, Strategy};
use host_pipeline::ends::{Checkpoint, Positions, Saved};
use host_pipeline::{Exchange, Lane, Partition, Progress, SinkRun};

use super::state::StateStore;
use super::{Prepared, Reload, Watched, dead_letters, settings};
use crate::cli::Shard;
use crate::cluster::Connected;
use crate::display::{Names, link};
use crate::ends::{ComponentSink, Offsets, TopicInput};
use crate::failure::{Failure, Outcome};
use crate::stages;

/// Writers of one run, where the configuration does not say: each costs an instance of the component.
const MAX_LANES: usize = 64;

/// Runs until a stop is asked for, or the topic was read to the end that it had, if that is wanted.
pub(super) async fn run(prepared: Prepared, connected: &Connected) -> Outcome {
    let Prepared { component, sandbox, section, config, wanted, state, stop, signals, until_end, shard, recipe } =
        prepared;
    let cluster = &connected.cluster;
    let topic = config.meta.topic.name.clone();
    let compiled = stages::compile(wanted, &config, cluster).await?;
    let keeps = config.meta.consumer.strategy != Some(Strategy::None);
    let consumer_id = config.meta.consumer.id.clone().unwrap_or_else(|| config.meta.name.clone());

    let partitions = partitions(cluster, &config, shard).await?;
    let mut slots = Slots::open(&state, cluster, &config, &partitions).await?;
    let stored: BTreeMap<u32, i64> = if keeps {
        let offsets = cluster.consumer_offsets(Some(&consumer_id)).await.map_err(Failure::failed)?;
        offsets.into_iter().filter(|o| o.topic == topic).map(|o| (o.partition, o.next_offset)).collect()
    } else {
        slots.forget();
        BTreeMap::new()
    };
    let options = ConsumerOptions {
        partitions: partitions.clone(),
        start: start(&config),
        consumer_id: keeps.then(|| consumer_id.clone()),
        resume: slots.resume(&stored),
        until_end,
        max_bytes: max_bytes(&config)?,
        ..ConsumerOptions::new(&topic)
    };
    let consumer = cluster.consumer(options).await.map_err(Failure::config)?;
    let starts = consumer.starts();
    if keeps {
        slots.remember(&starts, &stored).await?;
    }
    let (committer, status) = (consumer.committer(), consumer.status());
    let lanes = lanes(consumer, &mut slots, &compiled, cluster, &config, &starts).await?;
    let dead_letters = dead_letters(cluster, &config).await?;
    compiled.announce();
    tracing::info!(
        topic = %topic,
        partitions = ?starts.keys().collect::<Vec<_>>(),
        from = ?starts.values().collect::<Vec<_>>(),
        consumer = if keeps { &*consumer_id } else { "" },
        writers = lanes.len(),
        cluster = %cluster.address(),
        "topic ready"
    );

    let progress = Arc::<Progress>::default();
    let names = Names {
        input: format!("topic {topic}"),
        input_link: Some(link(status)),
        stages: compiled.describe(),
        output: config.meta.name.clone(),
        output_link: None,
    };
    let exchanges = lanes.iter().flat_map(|lane| lane.partitions.values()).map(|p| p.exchange.clone()).collect();
    let run = SinkRun {
        lanes,
        sink: Arc::new(ComponentSink { component, sandbox, section }),
        positions: keeps.then(|| Arc::new(Offsets(committer)) as Arc<dyn Positions>),
        commit_every: config.meta.consumer.flush_period.unwrap_or_default(),
        dead_letters: dead_letters.map(|topic| Box::new(topic) as Box<_>),
        settings: settings(&config),
        progress: Arc::clone(&progress),
        stop,
    };
    let reload = Reload { recipe, cluster: cluster.clone(), exchanges };
    let watched = Watched { names, progress, signals, grace: config.host.grace_period, reload };
    watched.until_it_ends(run.run()).await
}

/// The partitions that the configuration names, less those of other shards.
async fn partitions(cluster: &Cluster, config: &ConnectorConfig, shard: Option<Shard>) -> Outcome<Vec<u32>> {
    let topic = &config.meta.topic.name;
    let count = cluster.topic(topic).await.map_err(Failure::config)?.partitions;
    let named: Vec<u32> = match &config.meta.consumer.partitions {
        Partitions::All => (0..count).collect(),
        Partitions::List(named) => {
            if let Some(missing) = named.iter().find(|&&partition| partition >= count) {
                return Err(Failure::config(format!(
                    "`meta.consumer.partition` names partition {missing}, and topic {topic} has {count}"
                )));
            }
            named.clone()
        }
    };
    let Some(shard) = shard else { return Ok(named) };
    let ours: Vec<u32> = named.iter().copied().filter(|partition| partition % shard.of == shard.index).collect();
    if ours.is_empty() {
        return Err(Failure::config(format!("no partition is left for --shard {shard}"))
            .help(format!("the connector reads {} partitions; run no more hosts than that", named.len())));
    }
    Ok(ours)
}

fn start(config: &ConnectorConfig) -> host_cluster::Start {
    use host_cluster::Start;
    match config.meta.consumer.start {
        None | Some(host_config::Start::End) => Start::End,
        Some(host_config::Start::Beginning) => Start::Beginning,
        Some(host_config::Start::Absolute(offset)) => Start::Absolute(offset),
        Some(host_config::Start::FromBeginning(records)) => Start::FromBeginning(records.into()),
        Some(host_config::Start::FromEnd(records)) => Start::FromEnd(records.into()),
    }
}

fn max_bytes(config: &ConnectorConfig) -> Outcome<u32> {
    match config.meta.consumer.max_bytes {
        None => Ok(1 << 20),
        Some(bytes) => u32::try_from(bytes)
            .ok()
            .filter(|bytes| (1..=i32::MAX as u32).contains(bytes))
            .ok_or_else(|| Failure::config("`meta.consumer.max-bytes` must lie between 1 byte and 2 GiB")),
    }
}

/// What the state keeps of each partition.
struct Slots(BTreeMap<u32, (Box<dyn Checkpoint>, Saved)>);

impl Slots {
    async fn open(
        state: &StateStore,
        cluster: &Cluster,
        config: &ConnectorConfig,
        partitions: &[u32],
    ) -> Outcome<Self> {
        let mut slots = BTreeMap::new();
        for &partition in partitions {
            let mut checkpoint = state.open(cluster, &config.meta.name, Some(partition)).await?;
            let saved = checkpoint.load().await.map_err(Failure::failed)?.unwrap_or_default();
            slots.insert(partition, (checkpoint, saved));
        }
        Ok(Self(slots))
    }

    /// Every start begins at the same place: what is kept has no say.
    fn forget(&mut self) {
        for (_, saved) in self.0.values_mut() {
            *saved = Saved::default();
        }
    }

    /// The partitions that start at a place which the state knows better than the cluster.
    fn resume(&self, stored: &BTreeMap<u32, i64>) -> BTreeMap<u32, i64> {
        let known = |saved: &Saved| std::str::from_utf8(&saved.cursor).ok()?.parse::<i64>().ok();
        let resume = self.0.iter().filter_map(|(&partition, (_, saved))| {
            let decides = !saved.stages.is_empty() || !stored.contains_key(&partition);
            Some((partition, known(saved).filter(|_| decides)?))
        });
        resume.collect()
    }

    /// Keeps where the first run began, until the cluster knows an offset.
    async fn remember(&mut self, starts: &BTreeMap<u32, i64>, stored: &BTreeMap<u32, i64>) -> Outcome {
        for (partition, (checkpoint, saved)) in &mut self.0 {
            if !saved.stages.is_empty() {
                continue;
            }
            let cursor = match (stored.get(partition), starts.get(partition)) {
                (None, Some(start)) => start.to_string().into_bytes(),
                _ => Vec::new(),
            };
            if saved.cursor != cursor {
                saved.cursor = cursor;
                checkpoint.save(saved).await.map_err(Failure::failed)?;
            }
        }
        Ok(())
    }
}

/// One lane for each partition, as far as the writers reach.
async fn lanes(
    consumer: Consumer,
    slots: &mut Slots,
    compiled: &stages::Compiled,
    cluster: &Cluster,
    config: &ConnectorConfig,
    starts: &BTreeMap<u32, i64>,
) -> Outcome<Vec<Lane>> {
    let most = config.host.parallelism.map_or(MAX_LANES, |most| most as usize);
    let mut lanes = Vec::new();
    for consumer in consumer.split(most) {
        let mut partitions = BTreeMap::new();
        for &number in consumer.starts().keys() {
            let Some((checkpoint, saved)) = slots.0.remove(&number) else { continue };
            let mut stages = compiled.sink_chain().await?;
            if saved.stages.is_empty() {
                let start = starts.get(&number).copied().unwrap_or_default();
                stages.look_back_partition(cluster, &config.meta.topic.name, number, start).await?;
            }
            let exchange = Exchange::default();
            let partition = Partition { stages: Box::new(stages), exchange, checkpoint, state: saved.stages };
            partitions.insert(number, partition);
        }
        lanes.push(Lane { input: Box::new(TopicInput(consumer)), partitions });
    }
    Ok(lanes)
}
