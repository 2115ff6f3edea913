//! Producing and consuming with the published client.

mod common;

use std::time::Duration;

use common::{connect, connect_to, consume, create_topic, next, number, produce, start, start_with};
use fluvio::{Compression, Offset, RecordKey, TopicProducerConfigBuilder};
use futures_util::StreamExt;
use host_broker::Options;

const RECORDS: u32 = 100_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn produces_and_consumes_100_000_records_on_3_partitions() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    create_topic(&client, "numbers", 3).await;
    let producer = client.topic_producer("numbers").await.expect("a producer");
    produce(&producer, 0..RECORDS).await;

    let mut stream = consume(&client, "numbers", Offset::beginning()).await;
    let mut seen = vec![false; RECORDS as usize];
    let mut offsets = [0; 3];
    let mut last = [None; 3];
    for _ in 0..RECORDS {
        let record = next(&mut stream).await;
        let partition = record.partition() as usize;
        assert_eq!(record.offset(), offsets[partition], "offsets have no gaps");
        offsets[partition] += 1;
        let number = number(&record);
        assert!(!seen[number as usize], "{number} came twice");
        seen[number as usize] = true;
        assert!(last[partition] < Some(number), "order is kept in a partition");
        last[partition] = Some(number);
    }
    assert!(offsets.iter().all(|count| *count > 0), "all partitions are used");
    broker.stop().await.expect("the broker stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_keys_times_and_every_compression() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    create_topic(&client, "mixed", 1).await;
    let all = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for compression in all {
        let config = TopicProducerConfigBuilder::default().compression(compression).build().expect("a configuration");
        let producer = client.topic_producer_with_config("mixed", config).await.expect("a producer");
        for _ in 0..100 {
            let key = RecordKey::from(compression.to_string());
            producer.send(key, "value ".repeat(20)).await.expect("sent");
        }
        producer.send(RecordKey::NULL, "").await.expect("sent");
        producer.flush().await.expect("flushed");
    }
    let mut stream = consume(&client, "mixed", Offset::beginning()).await;
    for compression in all {
        for _ in 0..100 {
            let record = next(&mut stream).await;
            let key = record.key().expect("a key");
            assert_eq!(key, compression.to_string().as_bytes());
            assert_eq!(record.value(), "value ".repeat(20).as_bytes());
            assert!(record.timestamp() > 1_500_000_000_000);
        }
        let record = next(&mut stream).await;
        assert_eq!((record.key(), record.value()), (None, b"".as_slice()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_everything_when_stopped_and_started() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    create_topic(&client, "kept", 2).await;
    let producer = client.topic_producer("kept").await.expect("a producer");
    produce(&producer, 0..5_000).await;
    broker.stop().await.expect("the broker stops");

    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    let producer = client.topic_producer("kept").await.expect("a producer");
    produce(&producer, 5_000..10_000).await;
    let mut stream = consume(&client, "kept", Offset::beginning()).await;
    let mut numbers = Vec::new();
    for _ in 0..10_000 {
        numbers.push(number(&next(&mut stream).await));
    }
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..10_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loses_nothing_acknowledged_when_dropped() {
    let folder = tempfile::tempdir().expect("a directory");
    let mut acknowledged = 0;
    for round in 0..5 {
        let broker = start(folder.path()).await;
        let client = connect(&broker).await;
        if round == 0 {
            create_topic(&client, "dropped", 1).await;
        }
        let producer = client.topic_producer("dropped").await.expect("a producer");
        produce(&producer, acknowledged..acknowledged + 1_000).await;
        acknowledged += 1_000;
        drop(broker);
    }
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    let mut stream = consume(&client, "dropped", Offset::beginning()).await;
    for expected in 0..acknowledged {
        assert_eq!(number(&next(&mut stream).await), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_new_records_to_a_consumer_that_waits() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    create_topic(&client, "live", 1).await;
    let mut stream = consume(&client, "live", Offset::end()).await;
    let early = tokio::time::timeout(Duration::from_millis(200), stream.next()).await;
    assert!(early.is_err(), "there is nothing yet");
    let producer = client.topic_producer("live").await.expect("a producer");
    for round in 0..50 {
        produce(&producer, round..round + 1).await;
        assert_eq!(number(&next(&mut stream).await), round);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_a_consumer_in_the_middle_of_a_batch() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    create_topic(&client, "middle", 1).await;
    let config = TopicProducerConfigBuilder::default()
        .batch_size(100_000)
        .linger(Duration::from_millis(500))
        .build()
        .expect("a configuration");
    let producer = client.topic_producer_with_config("middle", config).await.expect("a producer");
    produce(&producer, 0..1_000).await;
    for start in [0, 1, 499, 999] {
        let offset = Offset::absolute(start.into()).expect("an offset");
        let mut stream = consume(&client, "middle", offset).await;
        for expected in start..1_000 {
            let record = next(&mut stream).await;
            assert_eq!((number(&record), record.offset()), (expected, expected.into()));
        }
    }
    let from_end = Offset::from_end(10);
    let mut stream = consume(&client, "middle", from_end).await;
    assert_eq!(number(&next(&mut stream).await), 990);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tells_connected_clients_of_new_topics() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let waiting = connect(&broker).await;
    let busy = connect(&broker).await;
    for name in ["first", "second", "third"] {
        create_topic(&busy, name, 2).await;
        let producer = loop {
            match waiting.topic_producer(name).await {
                Ok(producer) => break producer,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        produce(&producer, 0..10).await;
        let mut stream = consume(&waiting, name, Offset::beginning()).await;
        let mut numbers = Vec::new();
        for _ in 0..10 {
            numbers.push(number(&next(&mut stream).await));
        }
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..10));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_find_a_broker_that_was_away() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let options =
        Options { listen: broker.address(), listen_unit: Some(broker.unit_address()), ..Options::new(folder.path()) };
    let client = connect(&broker).await;
    create_topic(&client, "away", 1).await;
    let producer = client.topic_producer("away").await.expect("a producer");
    produce(&producer, 0..10).await;
    broker.stop().await.expect("the broker stops");

    let broker = start_with(options).await;
    let client = connect_to(broker.address()).await;
    let producer = client.topic_producer("away").await.expect("a producer");
    produce(&producer, 10..20).await;
    let mut stream = consume(&client, "away", Offset::beginning()).await;
    for expected in 0..20 {
        assert_eq!(number(&next(&mut stream).await), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_many_partitions_and_producers_at_once() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let address = broker.address();
    let client = connect(&broker).await;
    create_topic(&client, "wide", 1_000).await;
    let mut producing = Vec::new();
    for worker in 0..4_u32 {
        producing.push(tokio::spawn(async move {
            let client = connect_to(address).await;
            let producer = client.topic_producer("wide").await.expect("a producer");
            produce(&producer, worker * 1_000..(worker + 1) * 1_000).await;
        }));
    }
    for worker in producing {
        worker.await.expect("produced");
    }
    let admin = client.admin().await;
    let partitions =
        admin.list::<fluvio::metadata::partition::PartitionSpec, String>(Vec::new()).await.expect("listed");
    assert_eq!(partitions.len(), 1_000);
    let ends: i64 = partitions.iter().map(|each| each.status.leader.leo).sum();
    assert_eq!(ends, 4_000);
}
