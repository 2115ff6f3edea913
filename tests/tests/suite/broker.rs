//! The broker from outside: the published client, and responses that are cut off.

use std::time::Duration;

use e2e::{Broker, World, numbers};
use fluvio::consumer::ConsumerConfigExtBuilder;
use fluvio::metadata::topic::TopicSpec;
use fluvio::{Compression, Fluvio, FluvioClusterConfig, Offset, RecordKey, TopicProducerConfigBuilder};
use futures_util::StreamExt as _;

async fn client(broker: &Broker) -> Fluvio {
    let config = FluvioClusterConfig::new(broker.address());
    Fluvio::connect_with_config(&config).await.expect("the published client connects")
}

async fn create(client: &Fluvio, topic: &str, partitions: u32) {
    let admin = client.admin().await;
    let spec = TopicSpec::new_computed(partitions, 1, None);
    admin.create(topic.to_owned(), false, spec).await.expect("the published client creates a topic");
}

async fn produce(client: &Fluvio, topic: &str, count: u64, batch_size: usize) {
    let config = TopicProducerConfigBuilder::default()
        .batch_size(batch_size)
        .linger(Duration::from_millis(50))
        .compression(Compression::None)
        .build()
        .expect("valid settings");
    let producer = client.topic_producer_with_config(topic, config).await.expect("a producer");
    for n in 0..count {
        producer.send(RecordKey::NULL, format!("{n:0>100}")).await.expect("send");
    }
    producer.flush().await.expect("flush");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_client_creates_produces_and_consumes() {
    let world = World::new();
    let broker = Broker::start(&world);
    let client = client(&broker).await;
    create(&client, "thirds", 3).await;
    produce(&client, "thirds", 100_000, 16_384).await;
    let config = ConsumerConfigExtBuilder::default()
        .topic("thirds")
        .offset_start(Offset::beginning())
        .disable_continuous(true)
        .max_bytes(64 << 20)
        .build()
        .expect("valid settings");
    let mut stream = client.consumer_with_config(config).await.expect("a stream");
    let mut seen = Vec::new();
    while let Some(record) = stream.next().await {
        let record = record.expect("a record");
        seen.push(String::from_utf8_lossy(record.value()).parse::<u64>().expect("a number"));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..100_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn our_consumer_misses_nothing_where_the_published_one_does() {
    const COUNT: u64 = 100_000;
    let world = World::new();
    let broker = Broker::start_with(&world, &["--cut-responses"]);
    let client = client(&broker).await;
    create(&client, "backlog", 1).await;
    produce(&client, "backlog", COUNT, 1_000_000).await;

    let read = world.run(&format!("consume -B -d backlog --cluster {}", broker.address())).success();
    assert_eq!(numbers(&read.out), (0..COUNT).collect::<Vec<_>>());

    // The same without the guard: the published client's own stream loses what each response's end cuts off.
    let config = ConsumerConfigExtBuilder::default()
        .topic("backlog")
        .offset_start(Offset::beginning())
        .disable_continuous(true)
        .max_bytes(1_000_000)
        .build()
        .expect("valid settings");
    let mut stream = client.consumer_with_config(config).await.expect("a stream");
    let mut delivered = 0;
    while let Ok(Some(Ok(_))) = tokio::time::timeout(Duration::from_secs(10), stream.next()).await {
        delivered += 1;
    }
    assert!(delivered < COUNT, "the broker did not cut, or the published client has learnt: {delivered}");
}
