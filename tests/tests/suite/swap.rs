//! Stages swapped while a run goes on, and transform components among them.

use std::process::Command;
use std::time::Duration;

use e2e::{Broker, Running, World};

const LIMIT: Duration = Duration::from_secs(120);

fn hang_up(running: &Running) {
    Command::new("kill").args(["-HUP", &running.id().to_string()]).status().expect("the kill command");
}

/// test-source with `count` records a millisecond or so apart, shaped by this version of the map.
fn config(count: u64, version: u64) -> String {
    format!(
        "apiVersion: 0.1.0\nmeta: {{name: swapped, type: test-source, version: 0.1.0, topic: swapped}}\n\
         test: {{count: {count}, interval: 0s, template: '{{\"n\":{{{{n}}}}}}'}}\n\
         transforms:\n  - uses: json-project\n    with: {{set: {{version: {version}}}}}\n\
         host: {{rate-limit: {{records-per-second: 20000}}}}\n"
    )
}

fn shaped(world: &World, broker: &Broker) -> Vec<(u64, u64)> {
    let out = world.run(&format!("consume -B -d swapped --cluster {}", broker.address())).success().out;
    let parse = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        (value["n"].as_u64().expect("a number"), value["version"].as_u64().expect("a version"))
    };
    out.lines().map(parse).collect()
}

/// Swaps so often while so many records pass, and looks at every one of them.
fn swap_under_way(count: u64, swaps: u64) {
    let world = World::new();
    let broker = Broker::start(&world);
    let file = world.file("c.yaml", config(count, 0));
    let running = world.host(["run", "--cluster", broker.address(), "--config"]).arg(&file).start();
    running.wait_for_log("topic ready", LIMIT);
    for version in 1..=swaps {
        std::thread::sleep(Duration::from_millis(150));
        world.file("c.yaml", config(count, version));
        hang_up(&running);
    }
    let ended = running.wait(LIMIT).success();
    assert!(ended.log.matches("stages swapped").count() as u64 >= swaps / 2, "{}", ended.log);
    let records = shaped(&world, &broker);
    assert!(records.iter().map(|(n, _)| *n).eq(0..count), "a record is missing, or came twice");
    assert!(records.is_sorted_by_key(|(_, version)| *version), "versions out of order");
    assert_eq!(records.last().expect("records").1, swaps);
}

#[test]
fn each_record_is_shaped_by_one_version_and_none_is_lost() {
    swap_under_way(60_000, 10);
}

#[test]
#[ignore = "takes ten seconds"]
fn fifty_swaps_in_200_000_records() {
    swap_under_way(200_000, 50);
}

#[test]
fn a_watched_file_swaps_by_itself_and_a_bad_one_changes_nothing() {
    let world = World::new();
    let broker = Broker::start(&world);
    let file = world.file("c.yaml", config(1_000_000, 1));
    let running = world.host(["run", "--watch", "--cluster", broker.address(), "--config"]).arg(&file).start();
    running.wait_for_log("topic ready", LIMIT);
    world.file("c.yaml", config(1_000_000, 2).replace("set:", "sett:"));
    running.wait_for_log("the stages stay as they are", LIMIT);
    assert!(running.log().contains("sett"), "{}", running.log());
    world.file("c.yaml", config(2_000_000, 2));
    running.wait_for_log("stages swapped", LIMIT);
    assert!(running.log().contains("takes effect with the next start"), "{}", running.log());
    running.terminate();
    let _ = running.wait(LIMIT).success();
    let records = shaped(&world, &broker);
    assert!(records.iter().map(|(n, _)| *n).eq(0..records.len() as u64), "a record is missing, or came twice");
    assert!(records.is_sorted_by_key(|(_, version)| *version), "versions out of order");
}

#[test]
fn a_transform_component_is_a_stage_like_any_other() {
    let world = World::new();
    let broker = Broker::start(&world);
    let transform = e2e::target_directory().join("test-components/echo-transform.wasm");
    let run = |name: &str, template: &str, policy: &str| {
        let text = format!(
            "apiVersion: 0.1.0\nmeta: {{name: {name}, type: test-source, version: 0.1.0, topic: {name}}}\n\
             test: {{count: 3, interval: 0s, template: '{template}'}}\n\
             transforms:\n  - uses: {}\nhost: {{on-error: {policy}}}\n",
            transform.display()
        );
        let file = world.file(&format!("{name}.yaml"), text);
        world.run(&format!("run --config {} --cluster {}", file.display(), broker.address()))
    };
    let consume =
        |topic: &str| world.run(&format!("consume -B -d {topic} --cluster {}", broker.address())).success().out;
    let twice = run("twice", "twice", "stop").success();
    assert!(twice.log.contains("transform echo-transform"), "{}", twice.log);
    assert_eq!(consume("twice"), "twice\n".repeat(6));
    let _ = run("dropped", "drop", "stop").success();
    assert_eq!(consume("dropped"), "");
    let refused = run("refused", "refuse", "stop");
    assert!(refused.log.contains("stage echo-transform refused record 0 of a batch"), "{}", refused.log);
    // It returns nonsense on this one: the instance is replaced, and the records are found to be at fault.
    let lied = run("lied", "lie", "dead-letter").success();
    assert!(lied.log.contains("\"dead_letters\":3"), "{}", lied.log);
}
