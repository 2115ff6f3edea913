//! MQTT at full size: kills, restarts, a minute without Fluvio.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{Broker, Cutter, Mosquitto, Publisher, Running, World, eventually};

const PATIENCE: Duration = Duration::from_secs(300);
const COUNT: u64 = 100_000;

fn source(world: &World, url: &str, section: &str) -> PathBuf {
    let text = format!(
        "apiVersion: 0.1.0\nmeta: {{name: mqtt-in, type: mqtt-source, version: 0.1.0, topic: messages}}\n\
         mqtt:\n  url: {url}\n  topic: t\n  client_id: me\n  payload: raw\n{section}\
         host: {{retry: {{initial: 50ms, max-delay: 500ms}}}}\n"
    );
    world.file("source.yaml", text)
}

fn start(world: &World, broker: &Broker, config: &Path) -> Running {
    let run = world.host(["run", "--cluster", broker.address(), "--config"]).arg(config).start();
    run.wait_for_log("connected to", PATIENCE);
    run
}

/// A message of 100 bytes with a number in it.
fn numbered(number: u64) -> (String, Vec<u8>) {
    ("t".to_owned(), format!("{number:<100}").into_bytes())
}

fn everything(world: &World, broker: &Broker) -> Vec<u64> {
    let line = format!("consume -B -d messages --cluster {}", broker.address());
    let read = world.host(line.split(' ')).finish(PATIENCE).success();
    read.out.lines().map(|line| line.trim().parse().expect("a number")).collect()
}

/// Waits until the topic holds every number.
fn wait_for_all(world: &World, broker: &Broker) -> Vec<u64> {
    let mut seen = Vec::new();
    eventually("every message in the topic", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(500));
        seen = everything(world, broker);
        seen.iter().collect::<BTreeSet<_>>().len() as u64 == COUNT
    });
    seen
}

#[test]
#[ignore = "takes minutes"]
fn a_hundred_thousand_messages_ten_kills_and_three_restarts() {
    for protocol in ["5", "3.1.1"] {
        let world = World::new();
        let broker = Broker::start(&world);
        let mut mosquitto = Mosquitto::start(&world, "max_inflight_messages 1000");
        let section = format!("  qos: 1\n  protocol: \"{protocol}\"\n");
        let config = source(&world, &mosquitto.url(), &section);
        let mut run = start(&world, &broker, &config);
        let publisher = Publisher::start(mosquitto.port(), 1, COUNT, numbered);
        for fault in 1..=13_u64 {
            eventually("progress", PATIENCE, || publisher.acknowledged() >= COUNT * fault / 14);
            if fault % 4 == 0 {
                mosquitto.down();
                std::thread::sleep(Duration::from_millis(500));
                mosquitto.up();
            } else {
                run.kill();
                run = start(&world, &broker, &config);
            }
        }
        publisher.finish(PATIENCE);
        let seen = wait_for_all(&world, &broker);
        println!("MQTT {protocol}: 10 kills, 3 restarts, {} repeats of {COUNT}", seen.len() as u64 - COUNT);
        run.terminate();
        let _ = run.wait(PATIENCE).success();
    }
}

#[test]
#[ignore = "takes a minute"]
fn a_hundred_thousand_messages_of_quality_2_exactly_once_and_in_order() {
    for protocol in ["5", "3.1.1"] {
        let world = World::new();
        let broker = Broker::start(&world);
        let mosquitto = Mosquitto::start(&world, "max_inflight_messages 1000");
        let mut wire = Cutter::to(mosquitto.port());
        let section = format!("  qos: 2\n  protocol: \"{protocol}\"\n");
        let config = source(&world, &wire.url(), &section);
        let run = start(&world, &broker, &config);
        let started = Instant::now();
        let publisher = Publisher::start(mosquitto.port(), 2, COUNT, numbered);
        for tenth in 1..10 {
            eventually("progress", PATIENCE, || publisher.acknowledged() >= COUNT * tenth / 10);
            wire.cut();
        }
        publisher.finish(PATIENCE);
        let seen = wait_for_all(&world, &broker);
        println!("MQTT {protocol}: quality 2, {} cuts, {:?}", wire.cuts(), started.elapsed());
        assert!(seen == (0..COUNT).collect::<Vec<_>>(), "not exactly once, or not in order");
        run.terminate();
        let _ = run.wait(PATIENCE).success();
        assert_eq!(everything(&world, &broker).len() as u64, COUNT, "nothing more came");
    }
}

#[test]
#[ignore = "takes two minutes"]
fn a_minute_without_fluvio() {
    let world = World::new();
    let mut broker = Broker::start(&world);
    if broker.process().is_none() {
        return; // somebody else's cluster is not ours to kill
    }
    let mosquitto = Mosquitto::start(&world, "sys_interval 1");
    let config = source(&world, &mosquitto.url(), "  qos: 1\n  receive-maximum: 1000\n");
    let run = start(&world, &broker, &config);
    let publisher = Publisher::start(mosquitto.port(), 1, COUNT, numbered);
    eventually("the first messages", PATIENCE, || publisher.acknowledged() > 1000);
    broker.kill();
    let down = Instant::now();
    publisher.finish(PATIENCE);
    std::thread::sleep(Duration::from_secs(10));
    let before = run.peak_memory().expect("a running process");
    let held = Command::new("mosquitto_sub")
        .args(["-t", "$SYS/broker/store/messages/count", "-C", "1", "-p", &mosquitto.port().to_string()])
        .output()
        .expect("mosquitto_sub, of the package mosquitto-clients");
    let held: u64 = String::from_utf8_lossy(&held.stdout).trim().parse().expect("a number");
    std::thread::sleep(Duration::from_secs(60).saturating_sub(down.elapsed()));
    let after = run.peak_memory().expect("a running process");
    broker.restart(&world);
    let seen = wait_for_all(&world, &broker);
    println!(
        "{held} messages waited in Mosquitto; memory {} MiB after 10 s, {} MiB after a minute; {} repeats",
        before >> 20,
        after >> 20,
        seen.len() as u64 - COUNT
    );
    assert!(held > COUNT / 2, "the messages must wait in Mosquitto, and {held} do");
    assert!(after - before < 4 << 20, "memory grew from {before} to {after} bytes in a minute of waiting");
    run.terminate();
    let _ = run.wait(PATIENCE).success();
}
