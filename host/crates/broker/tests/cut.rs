//! The test switch: responses cut in mid-batch, as a real storage unit sends them.

mod common;

use std::time::Duration;

use common::{connect, consume, create_topic, number, produce, start_with};
use fluvio::{Offset, TopicProducerConfigBuilder};
use futures_util::StreamExt;
use host_broker::Options;

const RECORDS: u32 = 300_000;

/// Produces a backlog and reads it back with the published client: how many records arrive, and how many
/// gaps there are between their offsets.
async fn read_backlog(cut_responses: bool, batch_size: usize) -> (usize, usize) {
    let folder = tempfile::tempdir().expect("a directory");
    let options = Options { cut_responses, ..Options::new(folder.path()) };
    let broker = start_with(options).await;
    let client = connect(&broker).await;
    create_topic(&client, "backlog", 1).await;
    let config = TopicProducerConfigBuilder::default()
        .batch_size(batch_size)
        .linger(Duration::from_secs(30))
        .build()
        .expect("a configuration");
    // Batches go out when they are full, and the last one when it is flushed.
    let producer = client.topic_producer_with_config("backlog", config).await.expect("a producer");
    produce(&producer, 0..RECORDS).await;

    let mut stream = consume(&client, "backlog", Offset::beginning()).await;
    let (mut count, mut gaps, mut next) = (0, 0, 0);
    while next < i64::from(RECORDS) {
        let Ok(record) = tokio::time::timeout(Duration::from_secs(3), stream.next()).await else {
            break;
        };
        let record = record.expect("the stream goes on").expect("no error");
        assert_eq!(i64::from(number(&record)), record.offset(), "what arrives is right");
        gaps += usize::from(record.offset() != next);
        next = record.offset() + 1;
        count += 1;
    }
    (count, gaps)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_client_loses_records_of_cut_responses() {
    let (count, gaps) = read_backlog(true, 16_384).await;
    assert!(count < RECORDS as usize, "a defect of the client that this reproduces");
    assert!(gaps > 0, "the records are missing at the ends of responses");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_loses_more_of_big_batches() {
    let (count, _) = read_backlog(true, 700_000).await;
    assert!(count < RECORDS as usize * 9 / 10, "only {count} of {RECORDS} were expected to get lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_gets_every_record_of_whole_batches() {
    assert_eq!(read_backlog(false, 16_384).await, (RECORDS as usize, 0));
    assert_eq!(read_backlog(false, 700_000).await, (RECORDS as usize, 0));
}
