//! What is sent is there, once, in order, where the published client would have put it.

use std::time::{SystemTime, UNIX_EPOCH};

use fluvio::consumer::ConsumerConfigExtBuilder;
use fluvio::{Offset, RecordKey};
use futures_util::StreamExt;
use host_batch::Batch;
use host_cluster::{Compression, Error, LinkState, ProducerOptions, TopicCompression, TopicSpec};

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_compression_and_size_of_batch_keeps_records_and_order() {
    let broker = TestBroker::start().await;
    for (name, compression) in [
        ("none", Compression::None),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ] {
        let cluster = broker.cluster_with_topic(name, 1).await;
        for batch_size in [200, 4096, 1 << 20] {
            let options = ProducerOptions { compression: Some(compression), batch_size, ..ProducerOptions::default() };
            let mut producer = cluster.producer(name, options).await.expect("a producer");
            producer.send(&numbered(0, 3000, 100)).await.expect("sends");
            assert_eq!(producer.status().get(), LinkState::Connected);
        }
        let all = read_all(&cluster, from_the_beginning(name)).await;
        let expected: Vec<_> = (0..3000).chain(0..3000).chain(0..3000).collect();
        assert_eq!(numbers(&all, 0), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_timestamps_and_empty_values_arrive_as_they_left() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("mixed", 1).await;
    let mut batch = Batch::default();
    batch.push(Some(b"key"), b"value", Some(1_600_000_000_000));
    batch.push(Some(b""), b"", Some(1_500_000_000_000));
    batch.push(None, b"", None);
    batch.push(None, &[0xff, 0x00], Some(1_600_000_000_001));
    let before = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    cluster.producer("mixed", ProducerOptions::default()).await.expect("a producer").send(&batch).await.expect("sends");

    let mut read = Batch::default();
    read_all(&cluster, from_the_beginning("mixed")).await.iter().for_each(|fetched| read.append(&fetched.batch));
    let stamped = read.timestamp(2).expect("stamped by the producer");
    assert!((before..before + 60_000).contains(&stamped));
    batch.stamp(stamped);
    assert_eq!(read, batch);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_client_reads_what_is_produced() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("facts", 1).await;
    let options = ProducerOptions { compression: Some(Compression::Lz4), ..ProducerOptions::default() };
    let mut batch = Batch::default();
    for n in 0..1000u32 {
        batch.push((n % 2 == 0).then_some(b"k"), n.to_string().as_bytes(), Some(1_600_000_000_000 + i64::from(n)));
    }
    cluster.producer("facts", options).await.expect("a producer").send(&batch).await.expect("sends");

    let published = broker.published().await;
    let config = ConsumerConfigExtBuilder::default()
        .topic("facts")
        .partition(0)
        .offset_start(Offset::beginning())
        .disable_continuous(true)
        .build()
        .expect("complete");
    let mut stream = published.consumer_with_config(config).await.expect("a consumer");
    for (offset, expected) in batch.iter().enumerate() {
        let record = stream.next().await.expect("a record").expect("no error");
        assert_eq!((record.offset(), record.key(), record.value()), (offset as i64, expected.key, expected.value));
        assert_eq!(Some(record.timestamp()), expected.timestamp);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_lead_to_the_partitions_of_the_published_client() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("ours", 5).await;
    broker.cluster_with_topic("theirs", 5).await;
    let keys: Vec<_> = (0..200).map(|n| format!("key-{n}")).collect();
    let batch: Batch = keys.iter().enumerate().map(|(n, key)| (Some(key), format!("{n:0>9}"))).collect();
    cluster.producer("ours", ProducerOptions::default()).await.expect("a producer").send(&batch).await.expect("sends");
    let producer = broker.published().await.topic_producer("theirs").await.expect("a producer");
    for (key, record) in keys.iter().zip(&batch) {
        producer.send(RecordKey::from(key.as_str()), record.value).await.expect("sends");
    }
    producer.flush().await.expect("flushes");
    let (ours, theirs) =
        (read_all(&cluster, from_the_beginning("ours")).await, read_all(&cluster, from_the_beginning("theirs")).await);
    for partition in 0..5 {
        assert_eq!(numbers(&ours, partition), numbers(&theirs, partition));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_keys_are_spread_over_the_partitions() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("spread", 3).await;
    let mut producer = cluster.producer("spread", ProducerOptions::default()).await.expect("a producer");
    producer.send(&numbered(0, 9000, 50)).await.expect("sends");
    for n in 0..30 {
        producer.send(&numbered(9000 + n, 1, 50)).await.expect("sends");
    }
    let all = read_all(&cluster, from_the_beginning("spread")).await;
    let mut together = Vec::new();
    for partition in 0..3 {
        let numbers = numbers(&all, partition);
        assert!(numbers.is_sorted());
        assert_eq!(numbers.len(), 3010);
        together.extend(numbers);
    }
    together.sort_unstable();
    assert_eq!(together, (0..9030).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_is_named_and_nothing_is_sent() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("large", 1).await;
    let mut producer = cluster.producer("large", ProducerOptions::default()).await.expect("a producer");
    let mut batch = numbered(0, 2, 100);
    batch.push(None, &vec![0; 1 << 20], None);
    let error = producer.send(&batch).await.expect_err("too large");
    assert!(matches!(error, Error::RecordTooLarge { index: 2, size, limit: 1_048_576 } if size > 1 << 20), "{error}");
    assert!(read_all(&cluster, from_the_beginning("large")).await.is_empty());

    // A little smaller, and it goes, as a batch of its own.
    let mut batch = numbered(0, 2, 100);
    batch.push(None, &vec![b'0'; (1 << 20) - 100], None);
    producer.send(&batch).await.expect("fits");
    assert_eq!(numbers(&read_all(&cluster, from_the_beginning("large")).await, 0).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_has_the_word_on_compression() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster().await;
    cluster
        .create_topic(&TopicSpec { compression: TopicCompression::Gzip, ..TopicSpec::new("zipped") })
        .await
        .expect("creates");
    let options = ProducerOptions { compression: Some(Compression::Lz4), ..ProducerOptions::default() };
    let error = cluster.producer("zipped", options).await.expect_err("another compression");
    assert!(matches!(error, Error::CompressionMismatch { .. }), "{error}");
    let mut producer = cluster.producer("zipped", ProducerOptions::default()).await.expect("follows the topic");
    producer.send(&numbered(0, 10, 100)).await.expect("sends");
}
