//! Positions kept in the cluster, shared with the published client.

use fluvio::Offset;
use fluvio::consumer::{ConsumerConfigExtBuilder, ConsumerStream, OffsetManagementStrategy};
use futures_util::StreamExt;
use host_cluster::{ConsumerOptions, Error, ProducerOptions, Start};

use crate::support::*;

fn named(topic: &str) -> ConsumerOptions {
    ConsumerOptions { consumer_id: Some("reader".into()), ..from_the_beginning(topic) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_goes_on_where_it_committed_partition_by_partition() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("facts", 3).await;
    cluster
        .producer("facts", ProducerOptions::default())
        .await
        .expect("a producer")
        .send(&numbered(0, 3000, 50))
        .await
        .expect("sends");
    let consumer = cluster.consumer(named("facts")).await.expect("a consumer");
    for (partition, offset) in [(0, 10), (0, 20), (1, 1000), (0, 20)] {
        consumer.commit(partition, offset).await.expect("commits");
    }
    drop(consumer);
    let mut stored = cluster.consumer_offsets(Some("reader")).await.expect("lists");
    stored.sort_by_key(|stored| stored.partition);
    assert_eq!(
        stored.iter().map(|stored| (stored.partition, stored.next_offset)).collect::<Vec<_>>(),
        [(0, 20), (1, 1000)]
    );

    for start in [Start::Beginning, Start::End, Start::Absolute(3)] {
        let mut consumer = cluster
            .consumer(ConsumerOptions { start, partitions: vec![0, 1], ..named("facts") })
            .await
            .expect("a consumer");
        let fetched = next(&mut consumer).await.expect("records");
        assert_eq!((fetched.partition, fetched.first_offset), (0, 20));
        while let Some(fetched) = next(&mut consumer).await {
            assert_eq!(fetched.partition, 0, "partition 1 was done");
        }
    }
    cluster.delete_consumer_offset("reader", "facts", 0).await.expect("deletes");
    let mut consumer =
        cluster.consumer(ConsumerOptions { partitions: vec![0], ..named("facts") }).await.expect("a consumer");
    assert_eq!(next(&mut consumer).await.expect("records").first_offset, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_client_means_the_same_by_a_stored_offset() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("facts", 1).await;
    cluster
        .producer("facts", ProducerOptions::default())
        .await
        .expect("a producer")
        .send(&numbered(0, 100, 50))
        .await
        .expect("sends");
    let published = broker.published().await;
    let config = || {
        ConsumerConfigExtBuilder::default()
            .topic("facts")
            .partition(0)
            .offset_start(Offset::beginning())
            .offset_consumer("reader")
            .offset_strategy(OffsetManagementStrategy::Manual)
            .build()
            .expect("complete")
    };
    let mut stream = published.consumer_with_config(config()).await.expect("a consumer");
    for _ in 0..30 {
        stream.next().await.expect("a record").expect("no error");
    }
    stream.offset_commit().await.expect("commits");
    stream.offset_flush().await.expect("flushes");
    drop(stream);

    let mut consumer = cluster.consumer(named("facts")).await.expect("a consumer");
    assert_eq!(next(&mut consumer).await.expect("records").first_offset, 30);
    consumer.commit(0, 42).await.expect("commits");

    let mut stream = published.consumer_with_config(config()).await.expect("a consumer");
    let record = stream.next().await.expect("a record").expect("no error");
    assert_eq!((record.offset(), number(record.value())), (42, 42));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_needs_a_name_and_a_partition_of_its_own() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("facts", 2).await;
    let consumer = cluster.consumer(ConsumerOptions::new("facts")).await.expect("a consumer");
    assert!(matches!(consumer.commit(0, 1).await, Err(Error::NotManaged { .. })));
    let consumer =
        cluster.consumer(ConsumerOptions { partitions: vec![1], ..named("facts") }).await.expect("a consumer");
    assert!(matches!(consumer.commit(0, 1).await, Err(Error::NotManaged { partition: 0, .. })));
    assert!(cluster.consumer_offsets(None).await.expect("lists").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_read_nothing_of_an_empty_partition_starts_there_and_not_at_the_end() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("facts", 1).await;
    let at_the_end = || ConsumerOptions { start: Start::End, until_end: true, ..named("facts") };
    cluster.consumer(at_the_end()).await.expect("a consumer").commit(0, 0).await.expect("commits");
    let stored = cluster.consumer_offsets(Some("reader")).await.expect("lists");
    assert_eq!(stored.iter().map(|stored| stored.next_offset).collect::<Vec<_>>(), [0]);
    let mut producer = cluster.producer("facts", ProducerOptions::default()).await.expect("a producer");
    producer.send(&numbered(0, 10, 50)).await.expect("sends");

    let mut consumer = cluster.consumer(at_the_end()).await.expect("a consumer");
    assert_eq!(next(&mut consumer).await.expect("records").first_offset, 0);
    let config = ConsumerConfigExtBuilder::default()
        .topic("facts")
        .partition(0)
        .offset_start(Offset::end())
        .offset_consumer("reader")
        .offset_strategy(OffsetManagementStrategy::Manual)
        .build()
        .expect("complete");
    let mut stream = broker.published().await.consumer_with_config(config).await.expect("a consumer");
    assert_eq!(stream.next().await.expect("a record").expect("no error").offset(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_offset_behind_the_end_is_moved_to_the_end() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("facts", 1).await;
    let mut producer = cluster.producer("facts", ProducerOptions::default()).await.expect("a producer");
    producer.send(&numbered(0, 100, 50)).await.expect("sends");
    cluster.consumer(named("facts")).await.expect("a consumer").commit(0, 100).await.expect("commits");
    cluster.delete_topic("facts").await.expect("deletes");
    let cluster = broker.cluster_with_topic("facts", 1).await;
    let mut producer = cluster.producer("facts", ProducerOptions::default()).await.expect("a producer");
    producer.send(&numbered(0, 10, 50)).await.expect("sends");
    assert!(cluster.consumer(named("facts")).await.is_ok());
}
