//! How fast messages get from Mosquitto into a topic: `host run` beside a native loop (the client `rumqttc`
//! straight into the producer of the crate `fluvio`), on the same brokers, in one run.
//!
//! Both have a session of their own in which the same messages wait; each drains it. Build everything in release
//! form first (`just build`), then `cargo run --release --example mqtt_throughput -p e2e [MESSAGES [ROUNDS]]`.

use std::time::{Duration, Instant};

use e2e::{Broker, Mosquitto, Publisher, World, eventually};
use fluvio::metadata::partition::PartitionSpec;
use fluvio::{Fluvio, FluvioConfig, RecordKey, TopicProducerConfigBuilder};
use rumqttc::{AsyncClient, Client, Event, Incoming, MqttOptions, QoS};

const PATIENCE: Duration = Duration::from_secs(300);
const SIZE: usize = 100;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let (count, rounds) = (arguments.next().unwrap_or(200_000), arguments.next().unwrap_or(3));
    for qos in [0, 1] {
        let mut rates: Vec<(f64, f64)> = Vec::new();
        for _ in 0..rounds {
            let (native, ours, memory) = round(qos, count);
            println!(
                "quality {qos}: native {native:.0} messages/s, host {ours:.0} messages/s, {:.2} of it; host's memory {} MiB",
                ours / native,
                memory >> 20
            );
            rates.push((native, ours));
        }
        let best = |of: fn(&(f64, f64)) -> f64| rates.iter().map(of).fold(0.0, f64::max);
        let (native, ours) = (best(|rate| rate.0), best(|rate| rate.1));
        println!("quality {qos}, the best of each: native {native:.0}, host {ours:.0}, {:.2} of it", ours / native);
    }
}

/// Messages a second of either, and the peak memory of `host run`.
fn round(qos: u8, count: u64) -> (f64, f64, u64) {
    let world = World::new();
    let mosquitto = Mosquitto::start(&world, "max_inflight_messages 0\nqueue_qos0_messages true");
    let broker = Broker::start(&world);
    for topic in ["native", "ours"] {
        let _ = world.run(&format!("topic create {topic} --cluster {}", broker.address())).success();
    }
    let config = world.file(
        "ours.yaml",
        format!(
            "apiVersion: 0.1.0\nmeta: {{name: ours, type: mqtt-source, version: 0.1.0, topic: ours}}\n\
             mqtt: {{url: \"{}\", topic: t, client_id: ours, clean-start: false, qos: {qos}, payload: raw}}\n",
            mosquitto.url()
        ),
    );
    let host = || world.host(["run", "--cluster", broker.address(), "--config"]).arg(&config).start();
    let first = host();
    first.wait_for_log("connected to", PATIENCE);
    std::thread::sleep(Duration::from_millis(500));
    first.terminate();
    let _ = first.wait(PATIENCE).success();
    subscribe(mosquitto.port(), qos);
    Publisher::start(mosquitto.port(), qos, count, |_| ("t".to_owned(), vec![b'x'; SIZE])).finish(PATIENCE);
    std::thread::sleep(Duration::from_secs(1));

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let native = runtime.block_on(native(mosquitto.port(), qos, broker.address(), count));

    let run = host();
    run.wait_for_log("connected to", PATIENCE);
    let started = Instant::now();
    runtime.block_on(async {
        let config = FluvioConfig::new(broker.address());
        let admin = Fluvio::connect_with_config(&config).await.expect("the broker").admin().await;
        while started.elapsed() < PATIENCE {
            let partitions = admin.all::<PartitionSpec>().await.expect("the partitions");
            let ours = partitions.iter().find(|partition| partition.name.starts_with("ours")).expect("a partition");
            if ours.status.leader.leo as u64 >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the messages did not all arrive");
    });
    let took = started.elapsed();
    let memory = run.peak_memory().unwrap_or_default();
    run.terminate();
    let ended = run.wait(PATIENCE).success();
    assert!(ended.log.contains(&format!("\"sent\":{count},")), "{}", ended.log);
    (count as f64 / native.as_secs_f64(), count as f64 / took.as_secs_f64(), memory)
}

fn options(port: u16) -> MqttOptions {
    let mut options = MqttOptions::new("native", "127.0.0.1", port);
    options.set_clean_session(false).set_keep_alive(Duration::from_secs(30));
    options
}

fn quality(qos: u8) -> QoS {
    rumqttc::qos(qos).expect("0 or 1")
}

/// Makes the native client's session.
fn subscribe(port: u16, qos: u8) {
    let (client, mut connection) = Client::new(options(port), 10);
    client.subscribe("t", quality(qos)).expect("a subscription");
    for event in connection.iter() {
        if let Event::Incoming(Incoming::SubAck(_)) = event.expect("a connection") {
            break;
        }
    }
    let _ = client.disconnect();
    eventually("the end of the connection", PATIENCE, || connection.iter().next().is_none_or(|event| event.is_err()));
}

/// The native loop: every message, as it comes, into the producer.
async fn native(port: u16, qos: u8, cluster: &str, count: u64) -> Duration {
    let fluvio = Fluvio::connect_with_config(&FluvioConfig::new(cluster)).await.expect("the broker");
    let config = TopicProducerConfigBuilder::default()
        .batch_size(64 << 10)
        .linger(Duration::from_millis(10))
        .build()
        .expect("a configuration");
    let producer = fluvio.topic_producer_with_config("native", config).await.expect("a producer");
    let (client, mut events) = AsyncClient::new(options(port), 10);
    let started = Instant::now();
    client.subscribe("t", quality(qos)).await.expect("a subscription");
    let mut seen = 0;
    while seen < count {
        if let Event::Incoming(Incoming::Publish(message)) = events.poll().await.expect("a connection") {
            producer.send(RecordKey::NULL, message.payload.to_vec()).await.expect("it is taken");
            seen += 1;
        }
    }
    producer.flush().await.expect("everything is acknowledged");
    started.elapsed()
}
