//! What the project promises in numbers, at full size. Each takes a minute or more: `just test-long`.

mod mqtt;

use std::time::{Duration, Instant};

use e2e::{Broker, World};

fn numbered(name: &str, count: u64, transforms: &str) -> String {
    format!(
        "apiVersion: 0.1.0\nmeta: {{name: {name}, type: test-source, version: 0.1.0, topic: {name}}}\n\
         test: {{count: {count}, interval: 0s, template: '{{\"n\":{{{{n}}}},\"text\":\"a record of about a hundred bytes\"}}', size: 100}}\n{transforms}"
    )
}

/// The numbers of the records in a topic, in order of arrival.
fn consume(world: &World, broker: &Broker, topic: &str) -> Vec<u64> {
    let line = format!("consume -B -d {topic} --cluster {}", broker.address());
    let read = world.host(line.split(' ')).finish(Duration::from_secs(300)).success();
    let number = |line: &str| {
        let digits = line.strip_prefix("{\"n\":").expect("a record begins with its number");
        digits[..digits.find([',', '}']).expect("the number ends")].parse().expect("a number")
    };
    read.out.lines().map(number).collect()
}

#[test]
#[ignore = "takes a minute"]
fn a_million_records_through_a_filter_and_a_map() {
    let world = World::new();
    let broker = Broker::start(&world);
    let transforms = "transforms:\n  - {uses: json-filter, with: {field: n, op: ge, value: 0}}\n\
                      \x20 - {uses: json-project, with: {fields: [n]}}\n";
    let config = world.file("c.yaml", numbered("million", 1_000_000, transforms));
    let started = Instant::now();
    let mut run = world.host(["run", "--cluster", broker.address(), "--config"]).arg(&config).start();
    let mut memory = 0;
    while run.is_running() {
        memory = memory.max(run.peak_memory().unwrap_or(0));
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = started.elapsed();
    let ended = run.wait(Duration::from_secs(1)).success();
    println!("{}", ended.log.lines().last().unwrap_or_default());
    println!(
        "1,000,000 records in {took:?}, {:.0} records/s, peak memory {} MiB",
        1e6 / took.as_secs_f64(),
        memory >> 20
    );
    assert!(memory < 300 << 20, "{memory} bytes of memory");
    assert_eq!(consume(&world, &broker, "million"), (0..1_000_000).collect::<Vec<_>>());
}

#[test]
#[ignore = "takes minutes"]
fn twenty_kills_in_a_million_records() {
    let world = World::new();
    let broker = Broker::start(&world);
    let config = world.file("c.yaml", numbered("killed", 1_000_000, ""));
    let line = format!("run --config {} --cluster {}", config.display(), broker.address());
    // Pauses that look random and are the same every time.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut kills = 0_u64;
    while kills < 20 {
        let mut run = world.host(line.split(' ')).start();
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_millis(35 + (state >> 33) % 45));
        if !run.is_running() {
            break;
        }
        run.kill();
        kills += 1;
    }
    let _ = world.host(line.split(' ')).finish(Duration::from_secs(300)).success();
    let mut seen = consume(&world, &broker, "killed");
    let total = seen.len() as u64;
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(kills, 20, "the run was over before the last kill");
    println!("{kills} kills, {} repeats", total - seen.len() as u64);
    assert_eq!(seen, (0..1_000_000).collect::<Vec<_>>());
    assert!(total - 1_000_000 <= kills * 80_000, "more repeats than eight batches a kill");
}

#[test]
#[ignore = "takes a minute"]
fn half_a_million_records_from_a_broker_that_cuts_its_responses() {
    let world = World::new();
    let broker = Broker::start_with(&world, &["--cut-responses"]);
    let config = world
        .file("c.yaml", numbered("cut", 500_000, "").replace("topic: cut", "topic: cut, producer: {batch-size: 1MB}"));
    let line = format!("run --config {} --cluster {}", config.display(), broker.address());
    let _ = world.host(line.split(' ')).finish(Duration::from_secs(300)).success();
    assert_eq!(consume(&world, &broker, "cut"), (0..500_000).collect::<Vec<_>>());
}
