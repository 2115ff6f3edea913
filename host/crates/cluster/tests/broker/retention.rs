//! Records that the topic's retention deletes before they are read are counted and passed over.

use std::time::Duration;

use host_cluster::{Cluster, ConsumerOptions, Error, ProducerOptions, Start};

use crate::support::*;

/// Waits until the log no longer begins at 0; returns where it does.
async fn deleted(cluster: &Cluster) -> i64 {
    for _ in 0..200 {
        let start = cluster.log_offsets("facts", &[0]).await.expect("tells")[&0].start;
        if start > 0 {
            return start;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing was deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_overtaken_by_retention_goes_on_at_what_is_left() {
    let mut broker = TestBroker::start_with(|options| {
        options.retention_bytes = Some(300_000);
        options.retention_interval = Duration::from_millis(50);
    })
    .await;
    let cluster = broker.cluster_with_topic("facts", 1).await;
    let mut producer = cluster.producer("facts", ProducerOptions::default()).await.expect("a producer");
    producer.send(&numbered(0, 100, 100)).await.expect("sends");
    let options = ConsumerOptions {
        start: Start::Beginning,
        consumer_id: Some("late".into()),
        max_bytes: 5000,
        ..ConsumerOptions::new("facts")
    };
    let mut consumer = cluster.consumer(options.clone()).await.expect("a consumer");
    let fetched = next(&mut consumer).await.expect("records");
    consumer.commit(0, fetched.next_offset).await.expect("commits");

    for first in (100..50_100).step_by(5000) {
        producer.send(&numbered(first, 5000, 100)).await.expect("sends");
    }
    let start = deleted(&cluster).await;
    // What was on its way still comes; then it goes on at, or behind, where the log begins now.
    let mut position = fetched.next_offset;
    let mut skipped = false;
    while position < 50_100 {
        let fetched = next(&mut consumer).await.expect("never ends");
        assert!(
            fetched.first_offset == position
                || (fetched.first_offset >= start && !skipped)
                || fetched.first_offset > start
        );
        skipped |= fetched.first_offset != position;
        assert_eq!(number(fetched.batch.value(0)) as i64, fetched.first_offset);
        position = fetched.next_offset;
    }
    assert!(skipped);
    drop(consumer);

    // The stored offset is of a record that is gone: the oldest there is comes next.
    broker.stop().await;
    broker.start_again().await;
    let start = cluster.log_offsets("facts", &[0]).await.expect("tells")[&0].start;
    let mut consumer = cluster.consumer(options.clone()).await.expect("a consumer");
    assert!(next(&mut consumer).await.expect("records").first_offset >= start);
    // A commit of an offset that is gone still counts.
    consumer.commit(0, 5).await.expect("commits");
    assert_eq!(cluster.consumer_offsets(Some("late")).await.expect("lists")[0].next_offset, 5);
    let options = ConsumerOptions { start: Start::Absolute(0), consumer_id: None, ..options };
    assert!(matches!(cluster.consumer(options).await, Err(Error::StartOutOfRange { .. })));
}
