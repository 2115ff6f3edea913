//! How fast this crate produces and consumes, beside the published client, on one embedded broker.
//!
//! `cargo run --release -p host-cluster --example throughput -- [records] [size] [rounds]`
//!
//! The two take turns. Rates are records a second, the median over the rounds; for consumers it also says how
//! many of the records came, since the published client skips some when responses are cut in mid-batch.

use std::time::{Duration, Instant};

use fluvio::consumer::ConsumerConfigExtBuilder;
use fluvio::{Fluvio, FluvioClusterConfig, Offset, RecordKey, TopicProducerConfigBuilder};
use futures_util::StreamExt;
use host_batch::Batch;
use host_broker::{Broker, Options};
use host_cluster::{Cluster, ConsumerOptions, ProducerOptions, Start, Target, TopicSpec};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Records in one call of `send`.
const BATCH: usize = 10_000;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let records = arguments.next().transpose()?.unwrap_or(500_000);
    let size = arguments.next().transpose()?.unwrap_or(100);
    let rounds = arguments.next().transpose()?.unwrap_or(5);
    println!("{records} records of {size} bytes, {rounds} rounds");

    let data = tempfile::tempdir()?;
    let broker = Broker::start(Options { cut_responses: true, ..Options::new(data.path()) }).await?;
    let address = broker.address().to_string();
    let cluster = Cluster::connect(Target::Address(address.clone())).await?;
    let published = Fluvio::connect_with_config(&FluvioClusterConfig::new(address)).await?;
    let value = "x".repeat(size);
    let batch: Batch = (0..BATCH).map(|_| (None::<&str>, value.as_str())).collect();

    let (mut ours, mut theirs, mut theirs_tuned) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let topic = topic(&cluster, format!("ours-{round}")).await?;
        let mut producer = cluster.producer(&topic, ProducerOptions::default()).await?;
        let started = Instant::now();
        for _ in 0..records / BATCH {
            producer.send(&batch).await?;
        }
        ours.push(started.elapsed());
        for (times, tuned) in [(&mut theirs, false), (&mut theirs_tuned, true)] {
            let topic = self::topic(&cluster, format!("theirs-{round}-{tuned}")).await?;
            times.push(produce_published(&published, &topic, &value, records, tuned).await?);
        }
    }
    report("producer, ours", records, &mut ours, None);
    report("producer, published, defaults", records, &mut theirs, None);
    report("producer, published, 1 MB batches, linger 100 ms", records, &mut theirs_tuned, None);

    for (label, topic) in [("64 KiB batches", "ours-0"), ("1 MB batches", "theirs-0-true")] {
        for max_bytes in [256 << 10, 1 << 20, 4 << 20] {
            let (mut ours, mut theirs, mut came) = (Vec::new(), Vec::new(), (0, 0));
            for _ in 0..rounds {
                let started = Instant::now();
                came.0 = consume_ours(&cluster, topic, max_bytes).await?;
                ours.push(started.elapsed());
                let started = Instant::now();
                came.1 = consume_published(&published, topic, max_bytes).await?;
                theirs.push(started.elapsed());
            }
            println!("responses of {} KiB, {label}", max_bytes >> 10);
            report("  consumer, ours", came.0, &mut ours, Some(records));
            report("  consumer, published", came.1, &mut theirs, Some(records));
        }
    }
    broker.stop().await?;
    Ok(())
}

async fn topic(cluster: &Cluster, name: String) -> Outcome<String> {
    cluster.create_topic(&TopicSpec::new(name.as_str())).await?;
    // The published client hears of new topics by and by.
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(name)
}

async fn produce_published(
    fluvio: &Fluvio,
    topic: &str,
    value: &str,
    records: usize,
    tuned: bool,
) -> Outcome<Duration> {
    let mut config = TopicProducerConfigBuilder::default();
    if tuned {
        config.batch_size(1_000_000).linger(Duration::from_millis(100));
    }
    let producer = fluvio.topic_producer_with_config(topic, config.build()?).await?;
    let started = Instant::now();
    for _ in 0..records {
        producer.send(RecordKey::NULL, value).await?;
    }
    producer.flush().await?;
    Ok(started.elapsed())
}

async fn consume_ours(cluster: &Cluster, topic: &str, max_bytes: usize) -> Outcome<usize> {
    let options = ConsumerOptions {
        start: Start::Beginning,
        until_end: true,
        max_bytes: u32::try_from(max_bytes)?,
        ..ConsumerOptions::new(topic)
    };
    let mut consumer = cluster.consumer(options).await?;
    let mut came = 0;
    while let Some(fetched) = consumer.next().await? {
        came += fetched.batch.iter().filter(|record| !record.value.is_empty()).count();
    }
    Ok(came)
}

async fn consume_published(fluvio: &Fluvio, topic: &str, max_bytes: usize) -> Outcome<usize> {
    let mut config = ConsumerConfigExtBuilder::default();
    config
        .topic(topic)
        .partition(0u32)
        .offset_start(Offset::beginning())
        .disable_continuous(true)
        .max_bytes(i32::try_from(max_bytes)?);
    let mut stream = fluvio.consumer_with_config(config.build()?).await?;
    let mut came = 0;
    // It counts what it skipped as still to come, and waits for it: the last of these waits is not its fault.
    while let Ok(Some(record)) = tokio::time::timeout(Duration::from_millis(500), stream.next()).await {
        came += usize::from(!record?.value().is_empty());
    }
    Ok(came)
}

fn report(what: &str, records: usize, times: &mut [Duration], of: Option<usize>) {
    times.sort_unstable();
    let median = times[times.len() / 2];
    let rate = records as f64 / median.as_secs_f64();
    let delivered = of.map_or_else(String::new, |of| format!(", {records} of {of} delivered"));
    println!("{what}: {rate:.0} records/s ({median:?}){delivered}");
}
