//! Topics and SmartModules, and who isn't there.

use std::time::Duration;

use host_cluster::{Cluster, ConsumerOptions, Error, ProducerOptions, Target, TopicCompression, TopicSpec};

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_created_once_described_and_deleted() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster().await;
    let spec = TopicSpec {
        partitions: 3,
        retention: Some(Duration::from_secs(3600)),
        max_partition_size: Some(1 << 30),
        segment_size: Some(1 << 20),
        compression: TopicCompression::Zstd,
        ..TopicSpec::new("facts")
    };
    assert!(cluster.create_topic(&spec).await.expect("creates"));
    assert!(!cluster.create_topic(&spec).await.expect("exists"));
    cluster.create_topic(&TopicSpec::new("facts-about-cats")).await.expect("creates");

    let names: Vec<_> = cluster.topics().await.expect("lists").into_iter().map(|topic| topic.name).collect();
    assert_eq!(names, ["facts", "facts-about-cats"]);
    let topic = cluster.topic("facts").await.expect("describes");
    assert_eq!(
        (topic.partitions, topic.compression, topic.status.as_str()),
        (3, TopicCompression::Zstd, "provisioned")
    );
    assert_eq!((topic.retention, topic.max_partition_size), (Duration::from_secs(3600), Some(1 << 30)));
    let partitions = cluster.partitions("facts").await.expect("lists");
    assert_eq!(partitions.iter().map(|partition| partition.partition).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(partitions.iter().all(|partition| partition.online && partition.end_offset == 0));

    cluster.delete_topic("facts").await.expect("deletes");
    assert!(matches!(cluster.delete_topic("facts").await, Err(Error::TopicNotFound { .. })));
    assert!(matches!(cluster.topic("facts").await, Err(Error::TopicNotFound { .. })));
    assert!(cluster.topic("facts-about-cats").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn smartmodules_are_kept_and_given_back() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster().await;
    let wasm = [b"\0asm\x01\0\0\0".as_slice(), &[0; 5000]].concat();
    cluster.create_smartmodule("shout", &wasm).await.expect("creates");
    cluster.create_smartmodule("shout-louder", &wasm[..8]).await.expect("creates");
    assert_eq!(cluster.smartmodule("shout").await.expect("is there"), wasm);
    let listed = cluster.smartmodules().await.expect("lists");
    assert_eq!(listed.iter().map(|module| module.name.as_str()).collect::<Vec<_>>(), ["shout", "shout-louder"]);
    cluster.delete_smartmodule("shout").await.expect("deletes");
    assert!(matches!(cluster.smartmodule("shout").await, Err(Error::SmartModuleNotFound { .. })));
    assert!(matches!(cluster.delete_smartmodule("shout").await, Err(Error::SmartModuleNotFound { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_named_and_not_worth_retrying() {
    let broker = TestBroker::start().await;
    let cluster = broker.cluster_with_topic("facts", 2).await;
    let error = cluster.producer("fact", ProducerOptions::default()).await.expect_err("no such topic");
    assert!(matches!(&error, Error::TopicNotFound { name } if name == "fact") && !error.is_retryable());
    let error = cluster.consumer(ConsumerOptions::new("nothing")).await.expect_err("no such topic");
    assert!(matches!(error, Error::TopicNotFound { .. }));
    let error = cluster.log_offsets("nothing", &[0]).await.expect_err("no such topic");
    assert!(matches!(error, Error::TopicNotFound { .. }));
    let options = ConsumerOptions { partitions: vec![0, 2], ..ConsumerOptions::new("facts") };
    let error = cluster.consumer(options).await.expect_err("no such partition");
    assert!(matches!(error, Error::PartitionNotFound { partition: 2, partitions: 2, .. }));
    let options = ProducerOptions { partition: Some(7), ..ProducerOptions::default() };
    let error = cluster.producer("facts", options).await.expect_err("no such partition");
    assert!(matches!(error, Error::PartitionNotFound { partition: 7, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_nobody_listens_is_unreachable_and_worth_retrying() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        listener.local_addr().expect("has an address")
    };
    let error = Cluster::connect(Target::Address(port.to_string())).await.expect_err("nobody there");
    assert!(matches!(&error, Error::Unreachable { address, .. } if *address == port.to_string()));
    assert!(error.is_retryable());
    assert!(error.to_string().contains(&port.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_something_else_is_not_waited_for() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 64];
            if stream.read(&mut buffer).await.is_ok() {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("writes");
            }
        }
    });
    let error = Cluster::connect(Target::Address(address)).await.expect_err("not Fluvio");
    assert!(matches!(error, Error::Protocol { .. }), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_calls_work_again_after_the_controller_was_away() {
    let mut broker = TestBroker::start_own().await;
    let cluster = broker.cluster_with_topic("facts", 1).await;
    broker.stop().await;
    let error = cluster.topics().await.expect_err("away");
    assert!(error.is_retryable(), "{error}");
    broker.start_again().await;
    assert_eq!(cluster.topics().await.expect("back").len(), 1);
    broker.stop().await;
    broker.start_again().await;
    assert_eq!(cluster.topics().await.expect("an old connection is replaced").len(), 1);
}
