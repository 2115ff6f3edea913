//! What no good client sends, and what goes wrong around a broker.

mod common;

use std::time::Duration;

use common::{Bare, connect, consume, create_topic, next, number, produce, start, start_with};
use fluvio::metadata::topic::TopicSpec;
use fluvio::{Fluvio, Offset};
use fluvio_protocol::Encoder;
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::{Batch, RawRecords, Record, RecordData, RecordSet};
use fluvio_spu_schema::fetch::FetchablePartitionResponse;
use fluvio_spu_schema::produce::{
    DefaultPartitionRequest, DefaultProduceRequest, DefaultTopicRequest, ProduceResponse,
};
use fluvio_spu_schema::server::consumer_offset::UpdateConsumerOffsetRequest;
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsRequest;
use fluvio_spu_schema::server::smartmodule::SmartModuleInvocation;
use fluvio_spu_schema::server::stream_fetch::DefaultStreamFetchRequest;
use fluvio_spu_schema::server::update_offset::{OffsetUpdate, UpdateOffsetsRequest};
use host_broker::{Broker, Error, Options};

async fn still_works(broker: &Broker, client: &Fluvio, topic: &str, from: u32) {
    let producer = client.topic_producer(topic).await.expect("a producer");
    produce(&producer, from..from + 10).await;
    let client = connect(broker).await;
    let offset = Offset::absolute(from.into()).expect("an offset");
    let mut stream = consume(&client, topic, offset).await;
    for expected in from..from + 10 {
        assert_eq!(number(&next(&mut stream).await), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_hurts_nobody_else() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    create_topic(&client, "calm", 1).await;
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut noise = |length: usize| -> Vec<u8> {
        let mut byte = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as u8
        };
        (0..length).map(|_| byte()).collect()
    };
    for address in [broker.address(), broker.unit_address()] {
        for hello in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), b"\x16\x03\x01\x02\x00\x01", &[0xff; 64]] {
            let mut bare = Bare::connect(address).await;
            bare.write(hello).await;
        }
        for key in [0_u16, 1, 18, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 2000, 9999] {
            for version in [0_i16, 13, 19, 25, -1, i16::MAX] {
                let mut frame = Vec::new();
                frame.extend(key.to_be_bytes());
                frame.extend(version.to_be_bytes());
                frame.extend(7_i32.to_be_bytes());
                frame.extend([0, 1, b'x']);
                frame.extend(noise(60));
                let mut bare = Bare::connect(address).await;
                bare.write_frame(&frame).await;
                bare.write(&noise(40)).await;
            }
        }
        let mut silent = Bare::connect(address).await;
        silent.write(&[0, 0, 1]).await;
    }
    still_works(&broker, &client, "calm", 0).await;
    broker.stop().await.expect("the broker stops");
}

/// A record set with one batch.
fn records(values: &[&str]) -> RecordSet<RawRecords> {
    let records: Vec<Record> = values.iter().map(|value| Record::new(RecordData::from(*value))).collect();
    let batch = Batch::from(records);
    RecordSet::default().add(batch.try_into().expect("a batch"))
}

fn produce_request(entries: Vec<(&str, u32, RecordSet<RawRecords>)>) -> DefaultProduceRequest {
    let topics = entries.into_iter().map(|(topic, partition_index, records)| DefaultTopicRequest {
        name: topic.to_owned(),
        partitions: vec![DefaultPartitionRequest { partition_index, records }],
        ..Default::default()
    });
    DefaultProduceRequest { topics: topics.collect(), ..Default::default() }
}

fn answers(response: &ProduceResponse) -> Vec<(ErrorCode, i64)> {
    let topics = response.responses.iter();
    let entries = topics.flat_map(|topic| &topic.partitions);
    entries.map(|entry| (entry.error_code.clone(), entry.base_offset)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_each_entry_of_a_produce_request() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    create_topic(&client, "entries", 2).await;
    let mut bare = Bare::connect(broker.unit_address()).await;
    let mut damaged = records(&["damaged"]);
    damaged.batches[0].header.last_offset_delta = 7;
    let request = produce_request(vec![
        ("entries", 0, records(&["a", "b"])),
        ("entries", 0, records(&["c"])),
        ("missing", 0, records(&["d"])),
        ("entries", 9, records(&["e"])),
        ("consumer-offset", 0, records(&["f"])),
        ("entries", 1, records(&["g"])),
        ("entries", 0, RecordSet::default()),
        ("entries", 0, damaged),
        ("entries", 0, records(&["h"])),
    ]);
    let answers = answers(&bare.ask(request).await);
    let none = ErrorCode::None;
    assert_eq!(answers[0], (none.clone(), 0));
    assert_eq!(answers[1], (none.clone(), 2));
    assert_eq!(answers[2], (ErrorCode::TopicNotFound, -1));
    assert_eq!(answers[3], (ErrorCode::NotLeaderForPartition, -1));
    assert_eq!(answers[4], (ErrorCode::PermissionDenied, -1));
    assert_eq!(answers[5], (none.clone(), 0));
    assert_eq!(answers[6], (none.clone(), -1));
    assert!(matches!(answers[7], (ErrorCode::Other(_), -1)), "{:?}", answers[7]);
    assert_eq!(answers[8], (none, 3));

    let mut with_modules = produce_request(vec![("entries", 0, records(&["i"]))]);
    with_modules.smartmodules = vec![SmartModuleInvocation::default()];
    let response = bare.ask(with_modules).await;
    let (code, _) = &self::answers(&response)[0];
    assert!(matches!(code, ErrorCode::Other(_)), "{code:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_a_batch_that_was_damaged_on_the_way() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    create_topic(&client, "damage", 1).await;
    let request = produce_request(vec![("damage", 0, records(&["a value to be damaged"]))]);
    let mut message = fluvio_protocol::api::RequestMessage::new_request(request);
    let mut bytes = Vec::new();
    message.get_mut_header().set_client_id("test");
    message.encode(&mut bytes, 0).expect("encoded");
    let at = bytes.windows(7).position(|window| window == b"a value").expect("the value");
    bytes[at] ^= 1;
    let mut bare = Bare::connect(broker.unit_address()).await;
    bare.write_frame(&bytes).await;
    let response = bare.receive::<DefaultProduceRequest>().await;
    let (code, offset) = &answers(&response)[0];
    assert!(code.to_string().contains("checksum"), "{code}");
    assert_eq!(*offset, -1);
    still_works(&broker, &client, "damage", 0).await;
}

fn fetch(topic: &str, offset: i64) -> DefaultStreamFetchRequest {
    DefaultStreamFetchRequest::builder().topic(topic.to_owned()).fetch_offset(offset).build().expect("a request")
}

async fn fetched(bare: &mut Bare) -> FetchablePartitionResponse<RecordSet<RawRecords>> {
    bare.receive::<DefaultStreamFetchRequest>().await.partition
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_what_can_not_be_fetched_with_codes() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    create_topic(&client, "fetched", 1).await;
    let mut bare = Bare::connect(broker.unit_address()).await;
    bare.send(fetch("missing", 0)).await;
    assert_eq!(fetched(&mut bare).await.error_code, ErrorCode::NotLeaderForPartition);
    bare.send(fetch("fetched", 5)).await;
    assert_eq!(fetched(&mut bare).await.error_code, ErrorCode::OffsetOutOfRange);
    bare.send(fetch("fetched", -5)).await;
    let code = fetched(&mut bare).await.error_code;
    assert!(matches!(code, ErrorCode::OffsetEvicted { next_available: 0, .. }), "{code:?}");
    let mut with_modules = fetch("fetched", 0);
    with_modules.smartmodules = vec![SmartModuleInvocation::default()];
    bare.send(with_modules).await;
    let code = fetched(&mut bare).await.error_code;
    assert!(matches!(code, ErrorCode::Other(_)), "{code:?}");

    let offsets = bare.ask(FetchOffsetsRequest::new("missing".to_owned(), 0)).await;
    let code = &offsets.topics[0].partitions[0].error_code;
    assert_eq!(*code, ErrorCode::PartitionNotLeader);
    let unknown = OffsetUpdate { offset: 1, session_id: 99 };
    let updated = bare.ask(UpdateOffsetsRequest::new(vec![unknown])).await;
    assert_eq!(updated.status[0].error, ErrorCode::FetchSessionNotFoud);
    let updated = bare.ask(UpdateConsumerOffsetRequest::new(1, 99)).await;
    assert_eq!(updated.error_code, ErrorCode::FetchSessionNotFoud);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_one_chunk_at_a_time_and_tells_when_the_topic_goes() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    create_topic(&client, "chunks", 1).await;
    let mut bare = Bare::connect(broker.unit_address()).await;
    for value in ["a", "b", "c"] {
        bare.ask(produce_request(vec![("chunks", 0, records(&[value]))])).await;
    }
    let mut request = fetch("chunks", 0);
    request.max_bytes = 1;
    bare.send(request).await;
    let first = bare.receive::<DefaultStreamFetchRequest>().await;
    let stream = first.stream_id;
    assert_eq!(first.partition.records.base_offset(), 0);
    assert_eq!(first.partition.records.batches.len(), 1, "at least a whole batch");
    assert_eq!(first.partition.high_watermark, 3);
    for offset in [1, 2] {
        let unasked = tokio::time::timeout(Duration::from_millis(50), bare.read_frame()).await;
        assert!(unasked.is_err(), "the next chunk waits for the acknowledgement");
        let update = OffsetUpdate { offset, session_id: stream };
        bare.send(UpdateOffsetsRequest::new(vec![update])).await;
        // The answer and the chunk may come in either order.
        let frames = [bare.read_frame().await, bare.read_frame().await];
        let lengths = frames.map(|frame| frame.expect("a frame").len());
        assert_ne!(lengths[0], lengths[1]);
    }
    let update = OffsetUpdate { offset: 3, session_id: stream };
    bare.ask(UpdateOffsetsRequest::new(vec![update])).await;
    let admin = client.admin().await;
    admin.delete::<TopicSpec>("chunks").await.expect("deleted");
    assert_eq!(fetched(&mut bare).await.error_code, ErrorCode::TopicDeleted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_broker_has_a_directory() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let second = Broker::start(Options::new(folder.path())).await;
    assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
    broker.stop().await.expect("the broker stops");
    let third = Broker::start(Options::new(folder.path())).await;
    third.expect("the directory is free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn says_why_it_can_not_start() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let other = tempfile::tempdir().expect("a directory");
    let taken = Options { listen: broker.address(), ..Options::new(other.path()) };
    let error = Broker::start(taken).await.expect_err("the port is taken");
    assert!(matches!(error, Error::Listen { .. }), "{error}");
    let file = other.path().join("file");
    std::fs::write(&file, "no directory").expect("written");
    let error = Broker::start(Options::new(&file)).await.expect_err("no directory");
    assert!(matches!(error, Error::Directory { .. }), "{error}");
    let garbage = tempfile::tempdir().expect("a directory");
    std::fs::write(garbage.path().join("broker.redb"), [7; 10_000]).expect("written");
    let error = Broker::start(Options::new(garbage.path())).await;
    let error = error.expect_err("no store");
    assert!(matches!(error, Error::Store { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletes_old_records_by_age_and_by_size() {
    for (retention, retention_bytes) in [(Some(Duration::from_millis(500)), None), (None, Some(100_000))] {
        let folder = tempfile::tempdir().expect("a directory");
        let options = Options {
            retention,
            retention_bytes,
            retention_interval: Duration::from_millis(100),
            ..Options::new(folder.path())
        };
        let broker = start_with(options).await;
        let client = connect(&broker).await;
        create_topic(&client, "short", 1).await;
        let producer = client.topic_producer("short").await.expect("a producer");
        produce(&producer, 0..50_000).await;
        let mut bare = Bare::connect(broker.unit_address()).await;
        let start = loop {
            let request = FetchOffsetsRequest::new("short".to_owned(), 0);
            let offsets = bare.ask(request).await;
            let partition = &offsets.topics[0].partitions[0];
            assert_eq!(partition.last_stable_offset, 50_000);
            let is_done = retention.is_none() || partition.start_offset == 50_000;
            if partition.start_offset > 0 && is_done {
                break partition.start_offset;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        bare.send(fetch("short", 0)).await;
        let code = fetched(&mut bare).await.error_code;
        let next_available = match code {
            ErrorCode::OffsetEvicted { next_available, .. } => next_available,
            other => panic!("{other:?}"),
        };
        assert!(next_available >= start);
        if retention.is_none() {
            let mut stream = consume(&client, "short", Offset::beginning()).await;
            let first = next(&mut stream).await;
            assert!(first.offset() >= start);
            assert_eq!(i64::from(number(&first)), first.offset());
        }
        still_works(&broker, &client, "short", 50_000).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stops_although_a_client_does_not_read() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    create_topic(&client, "stuck", 1).await;
    let mut bare = Bare::connect(broker.unit_address()).await;
    let value = "x".repeat(1_000_000);
    for _ in 0..30 {
        bare.ask(produce_request(vec![("stuck", 0, records(&[&value]))])).await;
    }
    let mut request = fetch("stuck", 0);
    request.max_bytes = 30_000_000;
    bare.send(request).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stopping = tokio::time::timeout(Duration::from_secs(20), broker.stop());
    stopping.await.expect("in time").expect("the broker stops");
}
