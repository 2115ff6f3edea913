//! What the tests share: a broker in a fresh directory, the published client, and a bare connection.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use fluvio::consumer::{ConsumerConfigExtBuilder, ConsumerStream};
use fluvio::metadata::topic::TopicSpec;
use fluvio::{Fluvio, FluvioClusterConfig, Offset, RecordKey, TopicProducerPool};
use fluvio_protocol::api::{Request, RequestMessage};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ConsumerRecord;
use fluvio_protocol::{Decoder, Encoder};
use futures_util::{Stream, StreamExt};
use host_broker::{Broker, Error, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a broker with the default options.
pub async fn start(folder: &Path) -> Broker {
    start_with(Options::new(folder)).await
}

/// Starts a broker; if the one before it was only dropped, once that has let go of the directory.
pub async fn start_with(options: Options) -> Broker {
    for _ in 0..200 {
        match Broker::start(options.clone()).await {
            Ok(broker) => return broker,
            Err(Error::Locked { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("the broker starts: {error}"),
        }
    }
    panic!("the directory stays locked");
}

/// Connects the published client.
pub async fn connect(broker: &Broker) -> Fluvio {
    connect_to(broker.address()).await
}

pub async fn connect_to(address: SocketAddr) -> Fluvio {
    let config = FluvioClusterConfig::new(address.to_string());
    Fluvio::connect_with_config(&config).await.expect("the client connects")
}

/// Creates a topic.
pub async fn create_topic(client: &Fluvio, name: &str, partitions: u32) {
    let admin = client.admin().await;
    let spec = TopicSpec::new_computed(partitions, 1, None);
    admin.create(name.to_owned(), false, spec).await.expect("the topic is created");
}

/// Produces numbers as text and waits until they are acknowledged.
pub async fn produce(producer: &TopicProducerPool, numbers: std::ops::Range<u32>) {
    for number in numbers {
        producer.send(RecordKey::NULL, number.to_string()).await.expect("sent");
    }
    producer.flush().await.expect("flushed");
}

/// A stream of all partitions of a topic.
pub async fn consume(
    client: &Fluvio,
    topic: &str,
    start: Offset,
) -> impl Stream<Item = Result<ConsumerRecord, ErrorCode>> + Unpin + use<> {
    let config = ConsumerConfigExtBuilder::default().topic(topic).offset_start(start).build().expect("a configuration");
    client.consumer_with_config(config).await.expect("a stream")
}

/// A stream with a consumer id, whose offset is committed by hand.
pub async fn consume_as(client: &Fluvio, topic: &str, id: &str) -> impl ConsumerStream + use<> {
    use fluvio::consumer::OffsetManagementStrategy;
    let config = ConsumerConfigExtBuilder::default()
        .topic(topic)
        .offset_start(Offset::beginning())
        .offset_consumer(id.to_owned())
        .offset_strategy(OffsetManagementStrategy::Manual)
        .build()
        .expect("a configuration");
    client.consumer_with_config(config).await.expect("a stream")
}

/// The next record.
pub async fn next<S>(stream: &mut S) -> ConsumerRecord
where
    S: Stream<Item = Result<ConsumerRecord, ErrorCode>> + Unpin,
{
    tokio::time::timeout(PATIENCE, stream.next())
        .await
        .expect("in time")
        .expect("the stream goes on")
        .expect("no error")
}

/// The number in a record.
pub fn number(record: &ConsumerRecord) -> u32 {
    let text = std::str::from_utf8(record.value()).expect("text");
    text.parse().expect("a number")
}

/// A connection without a client, to say what no client would.
pub struct Bare {
    stream: TcpStream,
}

impl Bare {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.expect("connected") }
    }

    /// Sends bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) {
        // The broker may have hung up on what came before.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Sends bytes as one frame.
    pub async fn write_frame(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).expect("a short frame");
        self.write(&length.to_be_bytes()).await;
        self.write(bytes).await;
    }

    /// The next frame; `None` when the broker hangs up.
    pub async fn read_frame(&mut self) -> Option<Vec<u8>> {
        let reading = async {
            let length = self.stream.read_u32().await.ok()?;
            let mut frame = vec![0; length as usize];
            self.stream.read_exact(&mut frame).await.ok()?;
            Some(frame)
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("in time")
    }

    /// Sends a request.
    pub async fn send<R: Request>(&mut self, request: R) {
        let mut bytes = Vec::new();
        RequestMessage::new_request(request).encode(&mut bytes, 0).expect("encoded");
        self.write_frame(&bytes).await;
    }

    /// The next response, which is of this type.
    pub async fn receive<R: Request>(&mut self) -> R::Response {
        let frame = self.read_frame().await.expect("a response");
        let mut body = &frame[4..];
        R::Response::decode_from(&mut body, R::DEFAULT_API_VERSION).expect("decoded")
    }

    /// Sends a request and waits for its response.
    pub async fn ask<R: Request>(&mut self, request: R) -> R::Response {
        self.send(request).await;
        self.receive::<R>().await
    }
}
