//! Topics, SmartModules and consumer offsets, as the published client manages them.

mod common;

use common::{connect, consume, consume_as, create_topic, next, number, produce, start};
use fluvio::consumer::ConsumerStream;
use fluvio::metadata::customspu::CustomSpuSpec;
use fluvio::metadata::partition::PartitionSpec;
use fluvio::metadata::smartmodule::{SmartModuleSpec, SmartModuleWasm};
use fluvio::metadata::spu::SpuSpec;
use fluvio::metadata::tableformat::TableFormatSpec;
use fluvio::metadata::topic::TopicSpec;
use fluvio::{Fluvio, Offset};
use fluvio_protocol::link::ErrorCode;
use fluvio_sc_schema::ApiError;

async fn topics(client: &Fluvio) -> Vec<String> {
    let admin = client.admin().await;
    let all = admin.all::<TopicSpec>().await.expect("listed");
    all.into_iter().map(|topic| topic.name).collect()
}

/// The code of the error that the broker answered with.
fn code<T: std::fmt::Debug>(result: anyhow::Result<T>) -> ErrorCode {
    let error = result.expect_err("an error");
    match error.downcast_ref::<ApiError>() {
        Some(ApiError::Code(code, _)) => code.clone(),
        other => panic!("no code: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_what_was_created_until_it_is_deleted() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    let admin = client.admin().await;
    assert!(topics(&client).await.is_empty(), "the system's topic is not shown");
    create_topic(&client, "beta", 3).await;
    create_topic(&client, "alpha", 1).await;
    assert_eq!(topics(&client).await, ["alpha", "beta"]);

    let partitions = admin.all::<PartitionSpec>().await.expect("listed");
    let names: Vec<_> = partitions.iter().map(|each| each.name.as_str()).collect();
    assert_eq!(names, ["alpha-0", "beta-0", "beta-1", "beta-2"]);
    let found = admin.list::<TopicSpec, _>(vec!["bet".to_owned()]).await;
    assert_eq!(found.expect("listed").len(), 1);

    let units = admin.all::<SpuSpec>().await.expect("listed");
    assert_eq!(units.len(), 1);
    assert!(units[0].status.is_online());
    assert_eq!(units[0].spec.public_endpoint.port, broker.unit_address().port());
    assert_eq!(admin.all::<CustomSpuSpec>().await.expect("listed").len(), 1);
    assert!(admin.all::<TableFormatSpec>().await.expect("listed").is_empty());

    admin.delete::<TopicSpec>("beta").await.expect("deleted");
    assert_eq!(topics(&client).await, ["alpha"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_created_again_is_empty() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    create_topic(&client, "again", 1).await;
    let producer = client.topic_producer("again").await.expect("a producer");
    produce(&producer, 0..10_000).await;
    let admin = client.admin().await;
    admin.delete::<TopicSpec>("again").await.expect("deleted");

    create_topic(&client, "again", 1).await;
    let client = connect(&broker).await;
    let producer = client.topic_producer("again").await.expect("a producer");
    produce(&producer, 77..78).await;
    let mut stream = consume(&client, "again", Offset::beginning()).await;
    let record = next(&mut stream).await;
    assert_eq!((number(&record), record.offset()), (77, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_with_codes_what_can_not_be() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    let admin = client.admin().await;
    let create = async |name: &str, spec: TopicSpec| code(admin.create(name.to_owned(), false, spec).await);
    let one = || TopicSpec::new_computed(1, 1, None);
    create_topic(&client, "taken", 1).await;
    assert_eq!(create("taken", one()).await, ErrorCode::TopicAlreadyExists);
    assert_eq!(create("No Good", one()).await, ErrorCode::TopicInvalidName);
    assert_eq!(create("", one()).await, ErrorCode::TopicInvalidName);
    for (partitions, replicas) in [(0, 1), (4_000_000, 1), (1, 3)] {
        let spec = TopicSpec::new_computed(partitions, replicas, None);
        assert_eq!(create("odd", spec).await, ErrorCode::TopicInvalidConfiguration);
    }
    let missing = admin.delete::<TopicSpec>("missing").await;
    assert_eq!(code(missing), ErrorCode::TopicNotFound);
    let system = admin.force_delete::<TopicSpec>("consumer-offset").await;
    let refused = code(system);
    assert!(matches!(refused, ErrorCode::SystemSpecDeletionAttempt { .. }), "{refused:?}");
    let missing = admin.delete::<SmartModuleSpec>("missing").await;
    let refused = code(missing);
    assert!(matches!(refused, ErrorCode::SmartModuleNotFound { .. }), "{refused:?}");
    let format = TableFormatSpec::default();
    let refused = code(admin.create("format".to_owned(), false, format).await);
    assert!(matches!(refused, ErrorCode::Other(_)), "{refused:?}");

    admin.create("dry".to_owned(), true, one()).await.expect("it would do");
    assert_eq!(topics(&client).await, ["taken"]);
    assert!(client.topic_producer("missing").await.is_err());
}

fn smartmodule(payload: &[u8]) -> SmartModuleSpec {
    SmartModuleSpec { wasm: SmartModuleWasm::from_compressed_gzip(payload.to_vec()), ..SmartModuleSpec::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_smartmodules_on_disk() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    let admin = client.admin().await;
    let big = vec![7; 3_000_000];
    for (name, payload) in [("small", b"wasm".as_slice()), ("big", &big), ("gone", b"x")] {
        admin.create(name.to_owned(), false, smartmodule(payload)).await.expect("created");
    }
    admin.create("small".to_owned(), false, smartmodule(b"newer")).await.expect("replaced");
    admin.delete::<SmartModuleSpec>("gone").await.expect("deleted");
    broker.stop().await.expect("the broker stops");

    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    let admin = client.admin().await;
    let all = admin.all::<SmartModuleSpec>().await.expect("listed");
    let shown: Vec<_> = all.iter().map(|module| (module.name.as_str(), module.spec.wasm.payload.len())).collect();
    assert_eq!(shown, [("big", big.len()), ("small", 5)]);
    let found = admin.list::<SmartModuleSpec, _>(vec!["big".to_owned()]).await;
    let found = found.expect("listed");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].spec.wasm.payload.as_ref(), big.as_slice());
    let summaries = admin.list_with_params::<SmartModuleSpec, String>(Vec::new(), true).await.expect("listed");
    let lengths: Vec<_> =
        summaries.iter().map(|module| module.spec.summary.as_ref().map(|summary| summary.wasm_length)).collect();
    assert_eq!(lengths, [Some(3_000_000), Some(5)]);
    assert!(summaries.iter().all(|module| module.spec.wasm.payload.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_go_on_where_they_committed() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    create_topic(&client, "managed", 1).await;
    let producer = client.topic_producer("managed").await.expect("a producer");
    produce(&producer, 0..100).await;

    let mut stream = consume_as(&client, "managed", "reader").await;
    for expected in 0..40 {
        assert_eq!(number(&next(&mut stream).await), expected);
    }
    stream.offset_commit().await.expect("committed");
    stream.offset_flush().await.expect("flushed");
    drop(stream);
    let mut other = consume_as(&client, "managed", "other").await;
    assert_eq!(number(&next(&mut other).await), 0, "each consumer has its own offset");
    broker.stop().await.expect("the broker stops");

    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    let mut stream = consume_as(&client, "managed", "reader").await;
    assert_eq!(number(&next(&mut stream).await), 40);
    let offsets = client.consumer_offsets().await.expect("listed");
    assert_eq!(offsets.len(), 1);
    assert_eq!((offsets[0].consumer_id.as_str(), offsets[0].offset), ("reader", 39));
    assert_eq!((offsets[0].topic.as_str(), offsets[0].partition), ("managed", 0));
    client.delete_consumer_offset("reader", ("managed", 0)).await.expect("deleted");
    assert!(client.consumer_offsets().await.expect("listed").is_empty());
    let mut stream = consume_as(&client, "managed", "reader").await;
    assert_eq!(number(&next(&mut stream).await), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumer_offsets_go_with_their_topic() {
    let folder = tempfile::tempdir().expect("a directory");
    let broker = start(folder.path()).await;
    let client = connect(&broker).await;
    for name in ["going", "staying"] {
        create_topic(&client, name, 1).await;
        let producer = client.topic_producer(name).await.expect("a producer");
        produce(&producer, 0..10).await;
        let mut stream = consume_as(&client, name, "reader").await;
        next(&mut stream).await;
        stream.offset_commit().await.expect("committed");
        stream.offset_flush().await.expect("flushed");
    }
    let admin = client.admin().await;
    admin.delete::<TopicSpec>("going").await.expect("deleted");
    let offsets = client.consumer_offsets().await.expect("listed");
    let topics: Vec<_> = offsets.iter().map(|offset| offset.topic.as_str()).collect();
    assert_eq!(topics, ["staying"]);
}
