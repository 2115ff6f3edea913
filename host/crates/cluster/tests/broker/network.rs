//! Connections that break anywhere, within requests, within answers and between them, or that just stall.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use host_cluster::{ConsumerOptions, ProducerOptions, Start};

use crate::proxy::{Fate, behind_proxy};
use crate::support::*;

/// Numbers that look random and are the same in every run.
fn scrambled(seed: usize, from: u64, to: u64) -> u64 {
    let mixed = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    from + (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) % (to - from)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_keeps_order_over_connections_that_break_anywhere() {
    const RECORDS: usize = 60_000;
    let (broker, counts) =
        behind_proxy(false, |connection| Some((Fate::Cut, scrambled(connection, 10, 900_000)))).await;
    let cluster = broker.cluster_with_topic("facts", 2).await;
    let mut producer = cluster.producer("facts", ProducerOptions::default()).await.expect("a producer");
    for first in (0..RECORDS).step_by(5000) {
        producer.send(&numbered(first, 5000, 100)).await.expect("sends");
    }
    let connections = counts.connections.load(Ordering::SeqCst);
    assert!(connections > 5, "only {connections} connections");
    // In small responses, for these connections don't live long enough for large ones.
    let all = read_all(&cluster, ConsumerOptions { max_bytes: 50_000, ..from_the_beginning("facts") }).await;
    let mut times: BTreeMap<usize, usize> = BTreeMap::new();
    for partition in 0..2 {
        let mut firsts = numbers(&all, partition);
        firsts.retain(|number| *times.entry(*number).and_modify(|times| *times += 1).or_insert(1) == 1);
        assert!(firsts.is_sorted());
    }
    assert_eq!(times.into_keys().collect::<Vec<_>>(), (0..RECORDS).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_reads_every_record_once_over_connections_that_break_anywhere() {
    const RECORDS: usize = 60_000;
    let (broker, counts) =
        behind_proxy(true, |connection| (connection >= 1).then(|| (Fate::Cut, scrambled(connection, 10, 800_000))))
            .await;
    let cluster = broker.cluster_with_topic("facts", 1).await;
    let mut producer = cluster.producer("facts", ProducerOptions::default()).await.expect("a producer");
    producer.send(&numbered(0, RECORDS, 100)).await.expect("sends");
    drop(producer);
    let options = ConsumerOptions { start: Start::Beginning, max_bytes: 150_000, ..ConsumerOptions::new("facts") };
    let mut consumer = loop {
        // Making a consumer is tried only once, and may meet a bad connection too.
        match cluster.consumer(options.clone()).await {
            Ok(consumer) => break consumer,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    };
    let mut expected = 0;
    while expected < RECORDS {
        let fetched = next(&mut consumer).await.expect("never ends");
        assert_eq!(fetched.first_offset, expected as i64);
        for record in &fetched.batch {
            assert_eq!(number(record.value), expected);
            expected += 1;
        }
    }
    let connections = counts.connections.load(Ordering::SeqCst);
    assert!(connections > 8, "only {connections} connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_stall_are_given_up() {
    let (broker, _counts) =
        behind_proxy(false, |connection| (connection % 2 == 0).then_some((Fate::Stall, 30_000))).await;
    let cluster = broker.cluster_with_topic("facts", 1).await;
    let request_timeout = Duration::from_millis(500);
    let options = ProducerOptions { request_timeout, ..ProducerOptions::default() };
    let mut producer = cluster.producer("facts", options).await.expect("a producer");
    tokio::time::timeout(LONG, producer.send(&numbered(0, 1000, 100))).await.expect("not in time").expect("sends");

    let options = ConsumerOptions { start: Start::Beginning, request_timeout, ..ConsumerOptions::new("facts") };
    let mut consumer = cluster.consumer(options).await.expect("a consumer");
    let mut count = 0;
    while count < 1000 {
        count += next(&mut consumer).await.expect("never ends").batch.len();
    }
    // The stream is idle now, is asked whether it is still there, and lives.
    tokio::time::sleep(request_timeout * 5).await;
    tokio::time::timeout(LONG, producer.send(&numbered(1000, 10, 100))).await.expect("not in time").expect("sends");
    assert_eq!(number(next(&mut consumer).await.expect("records").batch.value(0)), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_take_records_is_not_sent_more() {
    let (broker, counts) = behind_proxy(false, |_| None).await;
    let cluster = broker.cluster_with_topic("facts", 1).await;
    let mut producer = cluster.producer("facts", ProducerOptions::default()).await.expect("a producer");
    for first in (0..200_000).step_by(20_000) {
        producer.send(&numbered(first, 20_000, 100)).await.expect("sends");
    }
    counts.down.store(0, Ordering::SeqCst);
    let options = ConsumerOptions { max_bytes: 100_000, ..from_the_beginning("facts") };
    let mut consumer = cluster.consumer(options).await.expect("a consumer");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let waiting = counts.down.load(Ordering::SeqCst);
    assert!(waiting < 500_000, "{waiting} bytes were sent to who takes none");
    let mut count = 0;
    while let Some(fetched) = next(&mut consumer).await {
        count += fetched.batch.len();
    }
    assert_eq!(count, 200_000);
}
