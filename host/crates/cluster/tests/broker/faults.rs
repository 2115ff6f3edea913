//! The broker goes away in the middle of everything, and comes back.

use std::collections::BTreeMap;
use std::time::Duration;

use host_cluster::{ConsumerOptions, LinkState, ProducerOptions, Start};

use crate::support::*;

/// How often the broker goes away in each test.
const OUTAGES: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn producing_goes_on_in_order_and_nothing_is_lost() {
    let mut broker = TestBroker::start_own().await;
    let cluster = broker.cluster_with_topic("facts", 3).await;
    let mut producer = cluster.producer("facts", ProducerOptions::default()).await.expect("a producer");
    let status = producer.status();
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        while sent < 200_000 {
            producer.send(&numbered(sent, 2000, 100)).await.expect("sends");
            sent += 2000;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sent
    });
    let mut waited = 0;
    for _ in 0..OUTAGES {
        tokio::time::sleep(Duration::from_millis(150)).await;
        broker.stop().await;
        tokio::time::sleep(Duration::from_millis(250)).await;
        waited += usize::from(matches!(status.get(), LinkState::Waiting { .. }));
        broker.start_again().await;
    }
    let sent = tokio::time::timeout(LONG, sending).await.expect("not in time").expect("no panic");
    assert!(waited > 0, "nobody noticed that the broker was away");
    assert_eq!(status.get(), LinkState::Connected);

    let all = read_all(&cluster, from_the_beginning("facts")).await;
    let mut times: BTreeMap<usize, usize> = BTreeMap::new();
    for partition in 0..3 {
        let numbers = numbers(&all, partition);
        let mut firsts = numbers.clone();
        firsts.retain(|number| *times.entry(*number).and_modify(|times| *times += 1).or_insert(1) == 1);
        assert!(firsts.is_sorted(), "order within partition {partition}");
    }
    assert_eq!(times.len(), sent);
    let repeated = times.values().filter(|&&times| times > 1).count();
    assert!(repeated <= OUTAGES * 2000, "{repeated} repeated, more than was in flight");
}

#[tokio::test(flavor = "multi_thread")]
async fn consuming_goes_on_from_each_partitions_own_offset() {
    const RECORDS: usize = 120_000;
    let mut broker = TestBroker::start_own_cutting().await;
    let cluster = broker.cluster_with_topic("facts", 3).await;
    // Partitions of very different length, so that a common position would be wrong.
    for (partition, first, count) in [(0, 0, 90_000), (1, 90_000, 29_000), (2, 119_000, 1000)] {
        let options = ProducerOptions { partition: Some(partition), ..ProducerOptions::default() };
        cluster
            .producer("facts", options)
            .await
            .expect("a producer")
            .send(&numbered(first, count, 100))
            .await
            .expect("sends");
    }
    let options = ConsumerOptions { start: Start::Beginning, max_bytes: 100_000, ..ConsumerOptions::new("facts") };
    let mut consumer = cluster.consumer(options).await.expect("a consumer");
    let mut all = Vec::new();
    let mut count = 0;
    let mut outages = 0;
    while count < RECORDS {
        let fetched = next(&mut consumer).await.expect("never ends");
        count += fetched.batch.len();
        all.push(fetched);
        if count * (OUTAGES + 1) > RECORDS * (outages + 1) {
            outages += 1;
            broker.stop().await;
            broker.start_again().await;
        }
    }
    assert_eq!(numbers(&all, 0), (0..90_000).collect::<Vec<_>>());
    assert_eq!(numbers(&all, 1), (90_000..119_000).collect::<Vec<_>>());
    assert_eq!(numbers(&all, 2), (119_000..120_000).collect::<Vec<_>>());

    // At the end of the log, too: what comes after an outage arrives.
    broker.stop().await;
    broker.start_again().await;
    let options = ProducerOptions { partition: Some(2), ..ProducerOptions::default() };
    cluster.producer("facts", options).await.expect("a producer").send(&numbered(5, 1, 100)).await.expect("sends");
    let fetched = next(&mut consumer).await.expect("a record");
    assert_eq!((fetched.partition, fetched.first_offset, number(fetched.batch.value(0))), (2, 1000, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn producing_and_consuming_at_once_through_outages() {
    const RECORDS: usize = 60_000;
    let mut broker = TestBroker::start_own_cutting().await;
    let cluster = broker.cluster_with_topic("facts", 2).await;
    let options = ConsumerOptions { start: Start::Beginning, max_bytes: 70_000, ..ConsumerOptions::new("facts") };
    let mut consumer = cluster.consumer(options).await.expect("a consumer");
    let mut producer = cluster.producer("facts", ProducerOptions::default()).await.expect("a producer");
    let sending = tokio::spawn(async move {
        for first in (0..RECORDS).step_by(1000) {
            producer.send(&numbered(first, 1000, 100)).await.expect("sends");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    });
    let outages = tokio::spawn(async move {
        for _ in 0..OUTAGES {
            tokio::time::sleep(Duration::from_millis(300)).await;
            broker.stop().await;
            broker.start_again().await;
        }
        broker
    });
    let mut all = Vec::new();
    let mut seen = vec![false; RECORDS];
    let mut left = RECORDS;
    while left > 0 {
        let fetched = next(&mut consumer).await.expect("never ends");
        for record in &fetched.batch {
            left -= usize::from(!std::mem::replace(&mut seen[number(record.value)], true));
        }
        all.push(fetched);
    }
    sending.await.expect("no panic");
    drop(outages.await.expect("no panic"));
    // `numbers` checks that no offset is missing or handed out twice.
    assert!(numbers(&all, 0).len() + numbers(&all, 1).len() >= RECORDS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_waits_for_the_broker_to_come_back() {
    let mut broker = TestBroker::start_own().await;
    let cluster = broker.cluster_with_topic("facts", 1).await;
    cluster
        .producer("facts", ProducerOptions::default())
        .await
        .expect("a producer")
        .send(&numbered(0, 10, 50))
        .await
        .expect("sends");
    let options = ConsumerOptions {
        consumer_id: Some("reader".into()),
        start: Start::Beginning,
        ..ConsumerOptions::new("facts")
    };
    let mut consumer = cluster.consumer(options).await.expect("a consumer");
    let fetched = next(&mut consumer).await.expect("records");
    consumer.commit(0, fetched.next_offset - 5).await.expect("commits");
    broker.stop().await;
    let committer = consumer.committer();
    let committing = tokio::spawn(async move { committer.commit(0, fetched.next_offset).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!committing.is_finished());
    broker.start_again().await;
    tokio::time::timeout(LONG, committing).await.expect("not in time").expect("no panic").expect("commits");
    let stored = cluster.consumer_offsets(Some("reader")).await.expect("lists");
    assert_eq!(stored[0].next_offset, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_ends_its_consumer_and_producer() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("facts", 1).await;
    let mut producer = cluster.producer("facts", ProducerOptions::default()).await.expect("a producer");
    producer.send(&numbered(0, 10, 50)).await.expect("sends");
    let mut consumer = cluster.consumer(ConsumerOptions::new("facts")).await.expect("a consumer");
    tokio::time::sleep(Duration::from_millis(200)).await;
    cluster.delete_topic("facts").await.expect("deletes");
    let error = tokio::time::timeout(LONG, consumer.next()).await.expect("not in time").expect_err("the topic is gone");
    assert!(matches!(error, host_cluster::Error::TopicNotFound { .. }), "{error}");
    let error = tokio::time::timeout(LONG, producer.send(&numbered(10, 1, 50)))
        .await
        .expect("not in time")
        .expect_err("the topic is gone");
    assert!(matches!(error, host_cluster::Error::TopicNotFound { .. }), "{error}");
}
