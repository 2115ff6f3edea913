//! Every record, once, in order, from wherever one starts.

use fluvio::Offset;
use fluvio::consumer::ConsumerConfigExtBuilder;
use futures_util::StreamExt;
use host_cluster::{ConsumerOptions, Error, ProducerOptions, Start};

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn half_a_million_records_survive_responses_cut_in_mid_batch() {
    const RECORDS: usize = 500_000;
    let broker = TestBroker::start_cutting().await;
    let cluster = broker.cluster_with_topic("backlog", 1).await;
    let options = ProducerOptions { batch_size: 1_000_000, ..ProducerOptions::default() };
    let mut producer = cluster.producer("backlog", options).await.expect("a producer");
    for first in (0..RECORDS).step_by(50_000) {
        producer.send(&numbered(first, 50_000, 100)).await.expect("sends");
    }
    let mut consumer = cluster
        .consumer(ConsumerOptions { max_bytes: 1 << 20, ..from_the_beginning("backlog") })
        .await
        .expect("a consumer");
    let mut expected = 0;
    while let Some(fetched) = next(&mut consumer).await {
        assert_eq!(fetched.first_offset, expected as i64);
        for record in &fetched.batch {
            assert_eq!(number(record.value), expected);
            expected += 1;
        }
    }
    assert_eq!(expected, RECORDS);

    // The same log through the published client, which doesn't notice what it skips.
    let published = broker.published().await;
    let config = ConsumerConfigExtBuilder::default()
        .topic("backlog")
        .partition(0)
        .offset_start(Offset::beginning())
        .disable_continuous(true)
        .build()
        .expect("complete");
    let mut stream = published.consumer_with_config(config).await.expect("a consumer");
    let mut delivered = 0;
    while let Ok(Some(Ok(_))) = tokio::time::timeout(std::time::Duration::from_secs(5), stream.next()).await {
        delivered += 1;
    }
    println!("the published client delivered {delivered} of {RECORDS}");
    assert!(delivered < RECORDS, "if it delivers all, this broker no longer cuts as the real one does");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_larger_than_a_response_is_asked_for_whole() {
    let broker = TestBroker::start_cutting().await;
    let cluster = broker.cluster_with_topic("large", 1).await;
    let options = ProducerOptions { batch_size: 300_000, ..ProducerOptions::default() };
    cluster.producer("large", options).await.expect("a producer").send(&numbered(0, 20_000, 100)).await.expect("sends");
    for max_bytes in [1, 20, 60, 5000, 299_999] {
        let all = read_all(&cluster, ConsumerOptions { max_bytes, ..from_the_beginning("large") }).await;
        assert_eq!(numbers(&all, 0), (0..20_000).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_start_gives_the_right_first_record() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("facts", 1).await;
    let mut producer = cluster.producer("facts", ProducerOptions::default()).await.expect("a producer");
    producer.send(&numbered(0, 1000, 50)).await.expect("sends");
    for (start, first) in [
        (Start::Beginning, 0),
        (Start::FromBeginning(17), 17),
        (Start::FromEnd(3), 997),
        (Start::FromEnd(5000), 0),
        (Start::Absolute(500), 500),
    ] {
        let all = read_all(&cluster, ConsumerOptions { start, ..from_the_beginning("facts") }).await;
        assert_eq!(numbers(&all, 0), (first..1000).collect::<Vec<_>>(), "{start:?}");
        assert_eq!(all[0].first_offset, first as i64);
    }
    assert!(read_all(&cluster, ConsumerOptions { start: Start::End, ..from_the_beginning("facts") }).await.is_empty());
    let options = ConsumerOptions { start: Start::Absolute(1001), ..ConsumerOptions::new("facts") };
    let error = cluster.consumer(options).await.expect_err("behind the end");
    assert!(matches!(error, Error::StartOutOfRange { offset: 1001, start: 0, end: 1000, .. }), "{error}");

    // Without an end, what comes later comes too.
    let mut consumer = cluster.consumer(ConsumerOptions::new("facts")).await.expect("a consumer");
    producer.send(&numbered(1000, 5, 50)).await.expect("sends");
    let fetched = next(&mut consumer).await.expect("records");
    assert_eq!((fetched.first_offset, number(fetched.batch.value(0))), (1000, 1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn until_end_stops_at_what_was_the_end_then() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("facts", 1).await;
    let mut producer = cluster.producer("facts", ProducerOptions::default()).await.expect("a producer");
    producer.send(&numbered(0, 100, 50)).await.expect("sends");
    let mut consumer = cluster.consumer(from_the_beginning("facts")).await.expect("a consumer");
    producer.send(&numbered(100, 100, 50)).await.expect("sends");
    let mut count = 0;
    while let Some(fetched) = next(&mut consumer).await {
        count += fetched.batch.len();
    }
    assert_eq!(count, 100);
    assert!(next(&mut consumer).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_take_turns() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("turns", 3).await;
    let mut producer = cluster.producer("turns", ProducerOptions::default()).await.expect("a producer");
    producer.send(&numbered(0, 60_000, 200)).await.expect("sends");
    let mut consumer = cluster
        .consumer(ConsumerOptions { max_bytes: 100_000, ..from_the_beginning("turns") })
        .await
        .expect("a consumer");
    let mut seen = Vec::new();
    while let Some(fetched) = next(&mut consumer).await {
        seen.push(fetched.partition);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for window in seen[3..seen.len() - 20].windows(6) {
        assert!((0..3).all(|partition| window.contains(&partition)), "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chosen_partitions_only() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("some", 4).await;
    let mut producer = cluster.producer("some", ProducerOptions::default()).await.expect("a producer");
    producer.send(&numbered(0, 400, 50)).await.expect("sends");
    let all = read_all(&cluster, ConsumerOptions { partitions: vec![3, 1], ..from_the_beginning("some") }).await;
    assert_eq!(numbers(&all, 1).len() + numbers(&all, 3).len(), 200);
    assert!(all.iter().all(|fetched| [1, 3].contains(&fetched.partition)));
}
