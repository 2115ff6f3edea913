//! A broker in a temporary directory that can be stopped and started again at the same address, or, for the
//! tests that do neither, the cluster that `HOST_TEST_CLUSTER` names.

use std::fs::File;
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
    outside: Option<Outside>,
    _data: TempDir,
}

impl TestBroker {
    /// A broker that is only used, never stopped: the cluster from outside, if there is one.
    pub async fn start() -> Self {
        match Outside::take().await {
            Some(outside) => Self::around(outside),
            None => Self::start_own().await,
        }
    }

    /// The same, where responses are cut in mid-batch, as every real storage unit does.
    pub async fn start_cutting() -> Self {
        match Outside::take().await {
            Some(outside) => Self::around(outside),
            None => Self::start_own_cutting().await,
        }
    }

    /// A broker that can be stopped.
    pub async fn start_own() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A broker that can be stopped and cuts its responses.
    pub async fn start_own_cutting() -> Self {
        Self::start_with(|options| options.cut_responses = true).await
    }

    fn around(outside: Outside) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let address = outside.address;
        Self {
            broker: None,
            options: Options::new(data.path()),
            address,
            unit: address,
            outside: Some(outside),
            _data: data,
        }
    }

    pub async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let mut options = Options { sync: false, ..Options::new(data.path()) };
        change(&mut options);
        let broker = Broker::start(options.clone()).await.expect("the broker starts");
        let (address, unit) = (broker.address(), broker.unit_address());
        (options.listen, options.listen_unit) = (address, Some(unit));
        Self { broker: Some(broker), options, address, unit, outside: None, _data: data }
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

impl Drop for TestBroker {
    fn drop(&mut self) {
        if let Some(outside) = self.outside.take() {
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(outside.clear()));
        }
    }
}

/// The cluster from outside. The tests take turns on it, for they use the same names; each wants it empty and
/// leaves it empty.
struct Outside {
    address: SocketAddr,
    _turn: File,
}

impl Outside {
    async fn take() -> Option<Self> {
        let address = std::env::var("HOST_TEST_CLUSTER").ok()?;
        let address = address.parse().expect("HOST_TEST_CLUSTER is an address and a port");
        // In the directory of the build, where the end-to-end tests look for their turn as well.
        let test = std::env::current_exe().expect("a test has a path");
        let target = test.ancestors().nth(3).expect("a test lies in target/<profile>/deps").to_owned();
        let turn = tokio::task::spawn_blocking(move || {
            let turn = File::create(target.join("test-cluster.lock")).expect("a file to take turns by");
            turn.lock().map(|()| turn)
        });
        let outside = Self { address, _turn: turn.await.expect("no panic").expect("a turn") };
        let cluster = outside.cluster().await;
        let topics = cluster.topics().await.expect("lists");
        assert!(topics.is_empty(), "HOST_TEST_CLUSTER wants a cluster without topics, for tests delete them all");
        Some(outside)
    }

    async fn cluster(&self) -> Cluster {
        Cluster::connect(Target::Address(self.address.to_string())).await.expect("connects")
    }

    async fn clear(self) {
        let cluster = self.cluster().await;
        for stored in cluster.consumer_offsets(None).await.unwrap_or_default() {
            let _ = cluster.delete_consumer_offset(&stored.consumer_id, &stored.topic, stored.partition).await;
        }
        for module in cluster.smartmodules().await.unwrap_or_default() {
            let _ = cluster.delete_smartmodule(&module.name).await;
        }
        for topic in cluster.topics().await.unwrap_or_default() {
            let _ = cluster.delete_topic(&topic.name).await;
        }
        // A topic that gets a name while the controller is still forgetting the last one of that name may
        // never come online.
        tokio::time::sleep(Duration::from_millis(1500)).await;
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
