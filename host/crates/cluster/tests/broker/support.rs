//! A broker in a temporary directory that can be stopped and started again at the same address.

use std::net::SocketAddr;
use std::time::Duration;

use host_batch::Batch;
use host_broker::{Broker, Options};
use host_cluster::{Cluster, Consumer, ConsumerOptions, Fetched, Start, Target, TopicSpec};
use tempfile::TempDir;

/// Nothing in these tests takes as long unless it hangs.
pub const LONG: Duration = Duration::from_secs(120);

pub struct TestBroker {
    broker: Option<Broker>,
    options: Options,
    pub address: SocketAddr,
    pub unit: SocketAddr,
    _data: TempDir,
}

impl TestBroker {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A broker that cuts its responses in mid-batch, as a real storage unit does.
    pub async fn start_cutting() -> Self {
        Self::start_with(|options| options.cut_responses = true).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let mut options = Options { sync: false, ..Options::new(data.path()) };
        change(&mut options);
        let broker = Broker::start(options.clone()).await.expect("the broker starts");
        let (address, unit) = (broker.address(), broker.unit_address());
        (options.listen, options.listen_unit) = (address, Some(unit));
        Self { broker: Some(broker), options, address, unit, _data: data }
    }

    pub async fn stop(&mut self) {
        self.broker.take().expect("it runs").stop().await.expect("the broker stops");
    }

    pub async fn start_again(&mut self) {
        for _ in 0..100 {
            if let Ok(broker) = Broker::start(self.options.clone()).await {
                self.broker = Some(broker);
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the broker doesn't start again");
    }

    pub fn target(&self) -> Target {
        Target::Address(self.address.to_string())
    }

    pub async fn cluster(&self) -> Cluster {
        Cluster::connect(self.target()).await.expect("connects")
    }

    pub async fn cluster_with_topic(&self, name: &str, partitions: u32) -> Cluster {
        let cluster = self.cluster().await;
        let spec = TopicSpec { partitions, ..TopicSpec::new(name) };
        assert!(cluster.create_topic(&spec).await.expect("creates"));
        cluster
    }

    /// The published client, for comparison.
    pub async fn published(&self) -> fluvio::Fluvio {
        let config = fluvio::FluvioClusterConfig::new(self.address.to_string());
        fluvio::Fluvio::connect_with_config(&config).await.expect("connects")
    }
}

/// `count` records of `size` bytes, that begin with their number, counted from `first`.
pub fn numbered(first: usize, count: usize, size: usize) -> Batch {
    (first..first + count)
        .map(|number| (None::<&str>, format!("{number:0>9}{}", "x".repeat(size.saturating_sub(9)))))
        .collect()
}

pub fn number(value: &[u8]) -> usize {
    std::str::from_utf8(&value[..9]).expect("digits").parse().expect("a number")
}

/// Everything in a topic.
pub fn from_the_beginning(topic: &str) -> ConsumerOptions {
    ConsumerOptions { start: Start::Beginning, until_end: true, ..ConsumerOptions::new(topic) }
}

pub async fn read_all(cluster: &Cluster, options: ConsumerOptions) -> Vec<Fetched> {
    let mut consumer = cluster.consumer(options).await.expect("a consumer");
    let mut all = Vec::new();
    while let Some(fetched) = next(&mut consumer).await {
        all.push(fetched);
    }
    all
}

pub async fn next(consumer: &mut Consumer) -> Option<Fetched> {
    tokio::time::timeout(LONG, consumer.next()).await.expect("not in time").expect("no error")
}

/// The numbers of one partition's records; fails if offsets are missing or repeated.
pub fn numbers(all: &[Fetched], partition: u32) -> Vec<usize> {
    let mut expected = None;
    let mut numbers = Vec::new();
    for fetched in all.iter().filter(|fetched| fetched.partition == partition) {
        assert_eq!(fetched.first_offset, expected.unwrap_or(fetched.first_offset), "offsets follow each other");
        assert_eq!(fetched.next_offset, fetched.first_offset + fetched.batch.len() as i64);
        expected = Some(fetched.next_offset);
        numbers.extend(fetched.batch.iter().map(|record| number(record.value)));
    }
    numbers
}
