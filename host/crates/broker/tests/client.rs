//! The published client against the broker, in one process.

use std::time::Duration;

use fluvio::consumer::ConsumerConfigExtBuilder;
use fluvio::metadata::topic::TopicSpec;
use fluvio::{Fluvio, FluvioClusterConfig, Offset, RecordKey};
use futures_util::StreamExt;
use host_broker::{Broker, Options};

const PATIENCE: Duration = Duration::from_secs(60);

async fn connect(broker: &Broker) -> Fluvio {
    let config = FluvioClusterConfig::new(broker.address().to_string());
    Fluvio::connect_with_config(&config).await.expect("the client connects")
}

async fn create_topic(client: &Fluvio, name: &str, partitions: u32) {
    let admin = client.admin().await;
    let spec = TopicSpec::new_computed(partitions, 1, None);
    admin.create(name.to_owned(), false, spec).await.expect("the topic is created");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn produces_and_consumes_100_000_records_on_3_partitions() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = Broker::start(Options::new(folder.path())).await.expect("the broker starts");
    let client = connect(&broker).await;
    create_topic(&client, "numbers", 3).await;

    let producer = client.topic_producer("numbers").await.expect("a producer");
    for number in 0..100_000_u32 {
        producer.send(RecordKey::NULL, number.to_string()).await.expect("sent");
    }
    producer.flush().await.expect("flushed");

    let config = ConsumerConfigExtBuilder::default()
        .topic("numbers")
        .offset_start(Offset::beginning())
        .build()
        .expect("a configuration");
    let mut stream = client.consumer_with_config(config).await.expect("a stream");
    let mut seen = vec![false; 100_000];
    for _ in 0..100_000 {
        let record =
            tokio::time::timeout(PATIENCE, stream.next()).await.expect("in time").expect("a record").expect("no error");
        let number: usize = std::str::from_utf8(record.value()).expect("text").parse().expect("a number");
        assert!(!seen[number], "{number} came twice");
        seen[number] = true;
    }
    broker.stop().await.expect("the broker stops");
}
