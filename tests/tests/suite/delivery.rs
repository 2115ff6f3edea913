//! Nothing is lost, whatever is killed.

use std::time::{Duration, Instant};

use e2e::{Broker, World, numbers};

/// A configuration of test-source: `count` numbered records of 100 bytes.
fn numbered(count: u64, interval: &str) -> String {
    format!(
        "apiVersion: 0.1.0\nmeta:\n  name: numbers\n  type: test-source\n  version: 0.1.0\n  topic: numbers\n\
         test:\n  count: {count}\n  interval: {interval}\n  size: 100\n"
    )
}

fn consume(world: &World, broker: &Broker, topic: &str) -> Vec<u64> {
    let line = format!("consume -B -d {topic} --cluster {}", broker.address());
    numbers(&world.run(&line).success().out.replace(|c: char| c.is_ascii_alphabetic(), " "))
}

#[test]
fn every_record_arrives_once_and_in_order() {
    let world = World::new();
    let broker = Broker::start(&world);
    let config = world.file("c.yaml", numbered(20_000, "0s"));
    let ended = world.run(&format!("run --config {} --cluster {}", config.display(), broker.address())).success();
    assert!(ended.log.contains("input came to its end, everything is delivered"), "{}", ended.log);
    assert_eq!(consume(&world, &broker, "numbers"), (0..20_000).collect::<Vec<_>>());

    let again = world.run(&format!("run --config {} --cluster {}", config.display(), broker.address())).success();
    assert!(again.log.contains("\"sent\":0"), "a finished source has nothing more to say:\n{}", again.log);
}

#[test]
fn kill_9_repeats_at_most_what_was_in_flight() {
    let world = World::new();
    let broker = Broker::start(&world);
    let config = world.file("c.yaml", numbered(200_000, "0s"));
    let line = format!("run --config {} --cluster {}", config.display(), broker.address());
    let mut kills = 0;
    for after_ms in [60, 110, 90, 150, 75, 130, 200, 85] {
        let mut run = world.host(line.split(' ')).start();
        std::thread::sleep(Duration::from_millis(after_ms));
        if run.is_running() {
            run.kill();
            kills += 1;
        }
    }
    let _ = world.run(&line).success();
    assert!(kills > 0, "the run was over before anything could be killed");
    let mut seen = consume(&world, &broker, "numbers");
    let repeated = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 200_000, "a record is missing");
    let repeated = repeated - seen.len();
    // Eight batches of 10,000 may be on their way at any moment.
    assert!(repeated <= kills * 80_000, "{repeated} repeats after {kills} kills");
}

#[test]
fn a_broker_that_dies_is_waited_for() {
    let world = World::new();
    let mut broker = Broker::start(&world);
    if broker.process().is_none() {
        return; // somebody else's cluster is not ours to kill
    }
    let config = world.file("c.yaml", numbered(300, "10ms"));
    let run = world.host(["run", "--cluster", broker.address(), "--config"]).arg(&config).start();
    run.wait_for_log("topic ready", Duration::from_secs(20));
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(500));
        broker.kill();
        std::thread::sleep(Duration::from_millis(700));
        broker.restart(&world);
    }
    let _ = run.wait(Duration::from_secs(60)).success();
    let mut seen = consume(&world, &broker, "numbers");
    seen.dedup();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (0..300).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_is_said_and_waited_out() {
    const COUNT: u64 = 50_000;
    let world = World::new();
    let Some(broker) = Broker::start_on_disk(&world, 8 << 20) else {
        eprintln!("not tested: this system lets nobody mount a small disk (unshare --user --mount)");
        return;
    };
    let process = broker.process().expect("a broker of its own");
    let ballast = process.inside(&world.path("disk/ballast"));
    std::fs::write(&ballast, vec![0; 4 << 20]).expect("half of the disk");
    let config = world.file("c.yaml", numbered(COUNT, "0s"));
    let mut run = world.host(["run", "--cluster", broker.address(), "--config"]).arg(&config).start();
    run.wait_for_log("Partition storage is full", Duration::from_secs(30));
    process.wait_for_log("the disk is full", Duration::from_secs(5));

    // What is there can be read all the same.
    let before = consume(&world, &broker, "numbers");
    assert!(before.len() < COUNT as usize, "the disk was not full");
    assert_eq!(before, (0..before.len() as u64).collect::<Vec<_>>());
    assert!(run.is_running(), "it waits:\n{}", run.log());

    std::fs::remove_file(&ballast).expect("room again");
    let _ = run.wait(Duration::from_secs(60)).success();
    assert_eq!(consume(&world, &broker, "numbers"), (0..COUNT).collect::<Vec<_>>());
    assert!(!process.log().contains("panicked"), "{}", process.log());
}

#[test]
fn sigterm_delivers_what_was_read_and_the_next_start_goes_on() {
    let world = World::new();
    let broker = Broker::start(&world);
    let config = world.file("c.yaml", numbered(400, "5ms"));
    let run = world.host(["run", "--cluster", broker.address(), "--config"]).arg(&config).start();
    run.wait_for_log("topic ready", Duration::from_secs(20));
    std::thread::sleep(Duration::from_millis(600));
    run.terminate();
    let stopped = run.wait(Duration::from_secs(20)).success();
    assert!(stopped.log.contains("stopped, everything that was read is delivered"), "{}", stopped.log);
    let _ = world.run(&format!("run --config {} --cluster {}", config.display(), broker.address())).success();
    assert_eq!(consume(&world, &broker, "numbers"), (0..400).collect::<Vec<_>>(), "a drained stop repeats nothing");
}

#[test]
fn a_second_run_of_the_same_connector_is_refused() {
    let world = World::new();
    let broker = Broker::start(&world);
    let config = world.file("c.yaml", numbered(100_000, "10ms"));
    let first = world.host(["run", "--cluster", broker.address(), "--config"]).arg(&config).start();
    first.wait_for_log("topic ready", Duration::from_secs(20));
    let second = world.run(&format!("run --config {} --cluster {}", config.display(), broker.address()));
    assert_eq!(second.code, Some(1));
    assert!(second.log.contains("connector numbers is already running"), "{}", second.log);
}

#[test]
fn a_warm_start_is_quick() {
    let world = World::new();
    let config = world.file("c.yaml", numbered(1, "0s"));
    let data = world.path("data").display().to_string();
    let mut best = Duration::MAX;
    for round in 0..5 {
        let started = Instant::now();
        let line = format!("run --config {} --embedded --data {data} --name round-{round}", config.display());
        let _ = world.run(&line).success();
        best = best.min(started.elapsed());
    }
    // The whole process: start, embedded broker, topic, one record, a clean stop.
    assert!(best < Duration::from_millis(400), "the quickest of five starts took {best:?}");
}
