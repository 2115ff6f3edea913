//! What holds for every sink: where it starts, what it commits, who may run it, what becomes of refused records.
//! The sink is `echo-sink`, which logs `topic/partition@offset key=value` for each record it takes.

use std::time::Duration;

use e2e::{Broker, Finished, Running, World, eventually};

const LIMIT: Duration = Duration::from_secs(60);

/// `host run` of the echo sink on a topic, with these arguments.
fn sink(world: &World, broker: &Broker, topic: &str, more: &[&str]) -> e2e::Host {
    let component = e2e::target_directory().join("test-components/echo-sink.wasm");
    let arguments = ["run", "--topic", topic, "--cluster", broker.address()];
    let host = world.host(arguments.iter().chain(more)).arg("--connector").arg(component);
    let named = more.iter().any(|argument| ["--name", "--config"].contains(argument));
    if named { host } else { host.arg("--name").arg(topic) }
}

/// A configuration of the echo sink.
fn config(world: &World, name: &str, rest: &str) -> String {
    let text = format!(
        "apiVersion: 0.1.0\nmeta:\n  name: {name}\n  type: echo-sink\n  version: 0.1.0\n  topic: {name}\n{rest}"
    );
    world.file(&format!("{name}.yaml"), text).display().to_string()
}

fn produce(world: &World, broker: &Broker, topic: &str, lines: &[&str]) {
    let file = world.file("lines.txt", lines.join("\n") + "\n");
    let run = world.host(["produce", topic, "--cluster", broker.address()]).stdin(&file);
    let _ = run.finish(LIMIT).success();
}

fn create(world: &World, broker: &Broker, topic: &str, partitions: u32) {
    let line = format!("topic create {topic} -p {partitions} --cluster {}", broker.address());
    let _ = world.run(&line).success();
}

/// Partition, offset and value of each record that the sink took, in order.
fn taken(log: &str, topic: &str) -> Vec<(u32, i64, String)> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let messages = lines.filter_map(|line| line["message"].as_str().map(str::to_owned));
    let parse = |message: String| {
        let (place, rest) = message.strip_prefix(&format!("{topic}/"))?.split_once(' ')?;
        let (partition, offset) = place.split_once('@')?;
        let value = rest.split_once('=')?.1.to_owned();
        Some((partition.parse().ok()?, offset.parse().ok()?, value))
    };
    messages.filter_map(parse).collect()
}

fn values(finished: &Finished, topic: &str) -> Vec<String> {
    taken(&finished.log, topic).into_iter().map(|(.., value)| value).collect()
}

#[test]
fn a_sink_goes_on_where_it_was_and_repeats_nothing() {
    let world = World::new();
    let broker = Broker::start(&world);
    create(&world, &broker, "echoed", 1);
    let config = config(&world, "echoed", "  consumer:\n    offset: {strategy: manual, start: beginning}\n");
    produce(&world, &broker, "echoed", &["a", "b", "c"]);
    let run = |more: &[&str]| sink(&world, &broker, "echoed", &[&["--config", &config], more].concat());
    let first = run(&["-d"]).finish(LIMIT).success();
    assert_eq!(values(&first, "echoed"), ["a", "b", "c"]);
    produce(&world, &broker, "echoed", &["d"]);
    let second = run(&["-d"]).finish(LIMIT).success();
    assert_eq!(taken(&second.log, "echoed"), [(0, 3, "d".to_owned())]);

    let running = run(&[]).start();
    running.wait_for_log("topic ready", LIMIT);
    produce(&world, &broker, "echoed", &["e"]);
    running.wait_for_log("echoed/0@4", LIMIT);
    running.terminate();
    let stopped = running.wait(LIMIT).success();
    assert!(stopped.log.contains("stopped, everything that was read is delivered"), "{}", stopped.log);
    assert_eq!(values(&run(&["-d"]).finish(LIMIT).success(), "echoed"), [""; 0]);
}

#[test]
fn a_sink_killed_before_its_first_commit_still_starts_where_it_began() {
    let world = World::new();
    let broker = Broker::start(&world);
    create(&world, &broker, "early", 2);
    let mut first = sink(&world, &broker, "early", &[]).start();
    first.wait_for_log("topic ready", LIMIT);
    first.kill();
    produce(&world, &broker, "early", &["a", "b", "c", "d"]);
    // The configuration says nothing of the start, so a new consumer would begin at the end.
    let mut all = values(&sink(&world, &broker, "early", &["-d"]).finish(LIMIT).success(), "early");
    all.sort();
    assert_eq!(all, ["a", "b", "c", "d"]);
}

#[test]
fn shards_cover_every_record_once_and_may_change_in_number() {
    let world = World::new();
    let broker = Broker::start(&world);
    create(&world, &broker, "shared", 3);
    let config = config(&world, "shared", "  consumer:\n    offset: {strategy: auto, start: beginning}\n");
    let lines: Vec<String> = (0..60).map(|n| format!("r{n}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    produce(&world, &broker, "shared", &lines[..30]);
    let share = |shard: &str| sink(&world, &broker, "shared", &["-d", "--config", &config, "--shard", shard]);
    let mut all = Vec::new();
    for shard in ["0/2", "1/2"] {
        all.extend(values(&share(shard).finish(LIMIT).success(), "shared"));
    }
    produce(&world, &broker, "shared", &lines[30..]);
    for shard in ["2/3", "0/3", "1/3"] {
        all.extend(values(&share(shard).finish(LIMIT).success(), "shared"));
    }
    all.sort_by_key(|value| value[1..].parse::<u32>().expect("a number"));
    assert_eq!(all, lines);
    let none = share("3/4").finish(LIMIT);
    assert_eq!(none.code, Some(78));
    assert!(none.log.contains("no partition is left for --shard 3/4"), "{}", none.log);
}

#[test]
fn a_second_host_is_refused_and_a_dead_one_makes_room() {
    for state in [&[][..], &["--state", "cluster"]] {
        let world = World::new();
        let broker = Broker::start(&world);
        create(&world, &broker, "leased", 1);
        let mut first = sink(&world, &broker, "leased", state).start();
        first.wait_for_log("topic ready", LIMIT);
        let second = sink(&world, &broker, "leased", &[state, &["-d"]].concat()).finish(LIMIT);
        assert_eq!(second.code, Some(1), "{}", second.log);
        assert!(second.log.contains("connector leased is already running"), "{}", second.log);
        first.kill();
        let third = sink(&world, &broker, "leased", &[state, &["-d"]].concat());
        let _ = third.finish(Duration::from_secs(10)).success();
    }
}

#[test]
fn a_source_goes_on_from_the_state_in_the_cluster() {
    let world = World::new();
    let broker = Broker::start(&world);
    let run = || {
        let arguments = ["run", "--connector", "test-source", "--topic", "roaming", "--name", "roaming"];
        let more = ["--set", "count=50", "--set", "interval=0s", "--state", "cluster", "--cluster", broker.address()];
        world.host(arguments.iter().chain(&more)).finish(LIMIT).success()
    };
    assert!(run().log.contains("\"sent\":50"));
    assert!(run().log.contains("\"sent\":0"), "the second run found the first one's cursor");
}

#[test]
fn refused_records_become_dead_letters_and_go_back_once() {
    let world = World::new();
    let broker = Broker::start(&world);
    create(&world, &broker, "mail", 1);
    let config = config(
        &world,
        "mail",
        "  consumer:\n    offset: {strategy: manual, start: beginning}\nhost:\n  on-error: dead-letter\n",
    );
    produce(&world, &broker, "mail", &["a", "fail-data", "b"]);
    let run = || sink(&world, &broker, "mail", &["-d", "--config", &config]).finish(LIMIT).success();
    let first = run();
    assert!(first.log.contains("\"dead_letters\":1"), "{}", first.log);

    let list = format!("dead-letter list mail-dead-letters --cluster {}", broker.address());
    let listed = world.run(&list).success().out;
    assert!(listed.contains("mail 0/1") && listed.contains("not this one"), "{listed}");
    let as_json = world.run(&format!("{list} -O json")).success().out;
    let letters: serde_json::Value = serde_json::from_str(&as_json).expect("JSON");
    assert_eq!(letters[0]["value"]["data"], "fail-data");
    assert_eq!(letters[0]["attempts"], 1);

    let replay = format!("dead-letter replay mail-dead-letters --cluster {}", broker.address());
    assert_eq!(world.run(&replay).success().out, "1 records put back into mail\n");
    assert_eq!(world.run(&replay).success().out, "nothing to put back\n");
    let again = run();
    assert_eq!(taken(&again.log, "mail"), [(0, 3, "fail-data".to_owned())]);
}

/// One test a row of the table in docs/operations.md.
#[test]
fn what_each_kind_of_error_makes_the_host_do() {
    let world = World::new();
    let broker = Broker::start(&world);
    let start = "  consumer:\n    offset: {strategy: manual, start: beginning}\n";
    let run = |name: &str, section: &str, host: &str| {
        create(&world, &broker, name, 1);
        produce(&world, &broker, name, &["one"]);
        let config = config(
            &world,
            name,
            &format!(
                "{start}echo: {{{section}}}\nhost: {{retry: {{initial: 10ms, max-delay: 20ms, max: 3}}, {host}}}\n"
            ),
        );
        sink(&world, &broker, name, &["-d", "--config", &config]).finish(LIMIT)
    };
    for kind in ["config", "auth"] {
        let ended = run(&format!("row-{kind}"), &format!("always: {kind}"), "on-error: skip");
        assert_eq!(ended.code, Some(78), "{kind}: {}", ended.log);
        assert!(ended.log.contains(&format!("the connector stopped ({kind})")), "{}", ended.log);
    }
    for kind in ["unreachable", "throttled"] {
        let once = run(&format!("row-once-{kind}"), &format!("once: {kind}"), "on-error: stop").success();
        assert!(once.log.contains("\"sent\":1"), "{kind}: {}", once.log);
    }
    let gave_up = run("row-unreachable-stop", "always: unreachable", "on-error: stop");
    assert_eq!(gave_up.code, Some(1), "{}", gave_up.log);
    assert!(gave_up.log.contains("gave up after 3 attempts"), "{}", gave_up.log);
    let skipped = run("row-unreachable-skip", "always: unreachable", "on-error: skip").success();
    assert!(skipped.log.contains("\"skipped\":1"), "{}", skipped.log);
    let stopped = run("row-data-stop", "always: data", "on-error: stop");
    assert_eq!(stopped.code, Some(1), "{}", stopped.log);
    assert!(stopped.log.contains("refused record at offset 0 of partition 0"), "{}", stopped.log);
    let passed = run("row-data-skip", "always: data", "on-error: skip").success();
    assert!(passed.log.contains("\"skipped\":1"), "{}", passed.log);
    let crashed = run("row-internal-letter", "always: internal", "on-error: dead-letter").success();
    assert!(crashed.log.contains("\"dead_letters\":1"), "{}", crashed.log);
}

#[test]
fn a_broker_that_dies_in_the_middle_costs_nothing() {
    let world = World::new();
    let mut broker = Broker::start(&world);
    if broker.process().is_none() {
        return; // somebody else's cluster is not ours to kill
    }
    create(&world, &broker, "shaky", 2);
    let running = sink(&world, &broker, "shaky", &[]).start();
    running.wait_for_log("topic ready", LIMIT);
    let mut sent = Vec::new();
    for round in 0..3 {
        let lines: Vec<String> = (0..20).map(|n| format!("s{round}-{n}")).collect();
        produce(&world, &broker, "shaky", &lines.iter().map(String::as_str).collect::<Vec<_>>());
        sent.extend(lines);
        broker.kill();
        std::thread::sleep(Duration::from_millis(200));
        broker.restart(&world);
    }
    let arrived = |running: &Running| {
        let mut values: Vec<String> = taken(&running.log(), "shaky").into_iter().map(|(.., v)| v).collect();
        values.sort();
        values.dedup();
        values.len()
    };
    eventually("every record arrives", LIMIT, || arrived(&running) == sent.len());
    running.terminate();
    let _ = running.wait(LIMIT).success();
}

#[test]
fn a_rate_limit_holds_for_a_source_and_a_sink() {
    let world = World::new();
    let broker = Broker::start(&world);
    create(&world, &broker, "slow", 1);
    let source = "apiVersion: 0.1.0\nmeta: {name: slow-source, type: test-source, version: 0.1.0, topic: slow}\n\
                  test: {count: 100, interval: 0s}\nhost: {rate-limit: {records-per-second: 100}}\n";
    let file = world.file("source.yaml", source);
    let started = std::time::Instant::now();
    let _ = world.run(&format!("run --config {} --cluster {}", file.display(), broker.address())).success();
    assert!(started.elapsed() >= Duration::from_millis(700), "the source took {:?}", started.elapsed());

    let config = config(
        &world,
        "slow",
        "  consumer:\n    offset: {strategy: manual, start: beginning}\nhost: {rate-limit: {bytes-per-second: 1000}}\n",
    );
    let started = std::time::Instant::now();
    let ended = sink(&world, &broker, "slow", &["-d", "--config", &config]).finish(LIMIT).success();
    assert_eq!(values(&ended, "slow").len(), 100);
    assert!(started.elapsed() >= Duration::from_millis(600), "the sink took {:?}", started.elapsed());
}

#[test]
fn a_backlog_from_a_broker_that_cuts_its_responses_is_delivered_whole() {
    let world = World::new();
    let broker = Broker::start_with(&world, &["--cut-responses"]);
    let source = "apiVersion: 0.1.0\nmeta: {name: cut-source, type: test-source, version: 0.1.0, topic: cut}\n\
                  test: {count: 50000, interval: 0s, size: 100}\n";
    let file = world.file("source.yaml", source);
    let _ = world.run(&format!("run --config {} --cluster {}", file.display(), broker.address())).success();
    let start = "  consumer:\n    offset: {strategy: manual, start: beginning}\n    max-bytes: 100000\n";
    let config = config(&world, "cut", start);
    let run = || sink(&world, &broker, "cut", &["-d", "--config", &config]).finish(LIMIT).success();
    let ended = run();
    assert!(ended.log.contains("\"read\":50000,\"sent\":50000"), "{}", ended.log);
    assert!(run().log.contains("\"read\":0,\"sent\":0"), "the offset behind the last record was committed");
}
