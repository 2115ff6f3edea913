//! mqtt-sink against Eclipse Mosquitto.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use e2e::{Broker, Cutter, Mailbox, Mosquitto, Running, World};

const PATIENCE: Duration = Duration::from_secs(60);

/// The configuration of a sink of the topic `records`, with further lines for its section and the file.
fn sink(world: &World, url: &str, section: &str, rest: &str) -> PathBuf {
    let text = format!(
        "apiVersion: 0.1.0\nmeta:\n  name: mqtt-out\n  type: mqtt-sink\n  version: 0.1.0\n  topic: records\n\
         \x20 consumer:\n    offset: {{strategy: manual, start: beginning}}\nmqtt:\n  url: {url}\n{section}{rest}"
    );
    world.file("sink.yaml", text)
}

fn start(world: &World, broker: &Broker, config: &PathBuf) -> Running {
    world.host(["run", "--cluster", broker.address(), "--config"]).arg(config).start()
}

/// Runs the sink until it has delivered what is there.
fn deliver(world: &World, broker: &Broker, config: &PathBuf) -> e2e::Finished {
    world.host(["run", "-d", "--cluster", broker.address(), "--config"]).arg(config).finish(PATIENCE)
}

fn produce(world: &World, broker: &Broker, lines: &[String]) {
    let file = world.file("lines.txt", lines.join("\n") + "\n");
    let run = world.host(["produce", "records", "--cluster", broker.address()]).stdin(&file);
    let _ = run.finish(PATIENCE).success();
}

fn create(world: &World, broker: &Broker) {
    let _ = world.run(&format!("topic create records --cluster {}", broker.address())).success();
}

fn numbers(count: u64) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// Each number when it came first.
fn firsts(seen: &[String]) -> Vec<u64> {
    let mut firsts: Vec<u64> = Vec::new();
    for number in seen.iter().map(|line| line.parse().expect("a number")) {
        if firsts.last().is_none_or(|&newest| number > newest) {
            firsts.push(number);
        }
    }
    firsts
}

#[test]
fn records_become_messages_in_order_in_every_quality_and_version() {
    for protocol in ["3.1.1", "5"] {
        for qos in 0..3 {
            let world = World::new();
            let (broker, mosquitto) = (Broker::start(&world), Mosquitto::start(&world, "max_inflight_messages 0"));
            let mailbox = Mailbox::open(mosquitto.port(), "out/#");
            create(&world, &broker);
            produce(&world, &broker, &numbers(2000));
            let section = format!("  topic: out/n\n  qos: {qos}\n  protocol: \"{protocol}\"\n");
            let config = sink(&world, &mosquitto.url(), &section, "");
            let _ = deliver(&world, &broker, &config).success();
            if qos == 0 {
                continue; // what the broker keeps for a client that is away is of quality 1 and 2
            }
            let expected: Vec<_> = (0..2000).map(|number| format!("out/n {qos} {number}")).collect();
            assert_eq!(mailbox.collect(2000, "%t %q %p"), expected, "{protocol}");
            assert_eq!(mailbox.rest(1, "%p"), [""; 0], "each came once");
        }
    }
}

#[test]
fn topics_payloads_and_properties_are_made_of_the_record() {
    let world = World::new();
    let (broker, mosquitto) = (Broker::start(&world), Mosquitto::start(&world, ""));
    let mailbox = Mailbox::open(mosquitto.port(), "#");
    create(&world, &broker);
    let lines = [r#"{"id": "a", "data": {"t": 1.50}}"#, "no JSON", r#"{"id": "b+", "data": 0}"#, r#"{"id": "c", "data": "text"}"#];
    produce(&world, &broker, &lines.map(str::to_owned));
    let section = "  topic: sensors/{{/id}}\n  payload: /data\n  retain: true\n  content-type: application/json\n\
                   \x20 user-properties: {place: \"{{topic}}/{{partition}}/{{offset}}\"}\n";
    let config = sink(&world, &mosquitto.url(), section, "host: {on-error: dead-letter}\n");
    let _ = deliver(&world, &broker, &config).success();
    let seen = mailbox.collect(2, "%t %p %P %C");
    assert_eq!(
        seen,
        [
            r#"sensors/a {"t": 1.50} place:records/0/0 application/json"#,
            "sensors/c text place:records/0/3 application/json"
        ]
    );
    let line = format!("consume -B -d records-dead-letters --cluster {}", broker.address());
    let letters = world.run(&line).success().out;
    assert_eq!(letters.lines().count(), 2, "{letters}");
    assert!(letters.contains("not JSON") && letters.contains("which only filters may"), "{letters}");
    let late = Mailbox::open(mosquitto.port(), "sensors/c");
    assert_eq!(late.collect(1, "%r %p"), ["1 text"], "the broker keeps it for those who come later");
}

#[test]
fn a_broker_that_restarts_and_a_wire_that_breaks_lose_nothing() {
    const COUNT: u64 = 20_000;
    for protocol in ["3.1.1", "5"] {
        let world = World::new();
        let (broker, mut mosquitto) = (Broker::start(&world), Mosquitto::start(&world, "max_inflight_messages 100"));
        let mailbox = Mailbox::open(mosquitto.port(), "out");
        create(&world, &broker);
        produce(&world, &broker, &numbers(COUNT));
        let mut wire = Cutter::to(mosquitto.port());
        let section = format!("  topic: out\n  protocol: \"{protocol}\"\n");
        let rest = "host: {retry: {initial: 20ms, max-delay: 200ms}, batch: {max-records: 1000}}\n";
        let config = sink(&world, &wire.url(), &section, rest);
        let mut run = start(&world, &broker, &config);
        for round in 0..8 {
            std::thread::sleep(Duration::from_millis(150));
            match round {
                3 => {
                    mosquitto.down();
                    std::thread::sleep(Duration::from_millis(200));
                    mosquitto.up();
                }
                5 => {
                    run.kill();
                    run = start(&world, &broker, &config);
                }
                _ => wire.cut(),
            }
        }
        let mut seen = Vec::new();
        e2e::eventually("every record at the broker", PATIENCE, || {
            seen.extend(mailbox.rest(1, "%p"));
            firsts(&seen).len() as u64 == COUNT
        });
        assert_eq!(firsts(&seen), (0..COUNT).collect::<Vec<_>>(), "nothing lost, nothing overtaken");
        println!("{protocol}: {} repeats", seen.len() as u64 - COUNT);
        run.terminate();
        let _ = run.wait(PATIENCE).success();
    }
}

#[test]
fn what_the_broker_does_not_allow_is_refused_one_by_one() {
    let world = World::new();
    let broker = Broker::start(&world);
    let rules = world.file("rules", "topic read #\ntopic write open/#\n");
    let access = format!("allow_anonymous true\nacl_file {}", rules.display());
    let mosquitto = Mosquitto::with(&world, &access, "");
    let mailbox = Mailbox::open(mosquitto.port(), "#");
    create(&world, &broker);
    produce(&world, &broker, &["open", "closed", "open"].map(|room| format!("{{\"room\": \"{room}\"}}")));
    let section = "  topic: \"{{/room}}/door\"\n  payload: /room\n  protocol: \"5\"\n";
    let config = sink(&world, &mosquitto.url(), section, "");
    let stopped = deliver(&world, &broker, &config);
    assert_eq!(stopped.code, Some(1), "{}", stopped.log);
    assert!(stopped.log.contains("offset 1") && stopped.log.contains("not authorized (0x87)"), "{}", stopped.log);
    let config = sink(&world, &mosquitto.url(), section, "host: {on-error: skip}\n");
    let _ = deliver(&world, &broker, &config).success();
    let seen = mailbox.rest(1, "%t");
    assert!(seen.len() >= 2 && seen.iter().all(|topic| topic == "open/door"), "{seen:?}");
}

#[test]
fn every_partition_has_a_connection_of_its_own() {
    let world = World::new();
    let (broker, mosquitto) = (Broker::start(&world), Mosquitto::start(&world, ""));
    let mailbox = Mailbox::open(mosquitto.port(), "out/#");
    let _ = world.run(&format!("topic create records -p 3 --cluster {}", broker.address())).success();
    produce(&world, &broker, &numbers(300));
    let section = "  topic: out/{{partition}}\n  client_id: \"sink-{{random}}\"\n  username: me\n";
    let config = sink(&world, &mosquitto.url(), section, "");
    let _ = deliver(&world, &broker, &config).success();
    let mut seen: Vec<u64> = mailbox.collect(300, "%p").iter().map(|line| line.parse().expect("a number")).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..300).collect::<Vec<_>>());
    let log = mosquitto.log();
    assert_eq!(log.matches("as sink-").count(), 3, "{log}");
    let checked = world.host(["check", "--config"]).arg(&config).finish(PATIENCE).success();
    assert!(checked.out.contains("ok      broker takes the login"), "{}", checked.out);
}

#[test]
fn mosquitto_is_there() {
    // The other tests would say so too; this one says it alone.
    let found = Command::new("mosquitto_sub").arg("--version").output();
    assert!(found.is_ok(), "run `just setup`, or install the packages `mosquitto` and `mosquitto-clients`");
}
