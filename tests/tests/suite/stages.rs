//! SmartModules between a source and its topic: order, parameters, refusals, modules that misbehave.

use e2e::{Broker, World};

const BODY: &str = "{\"n\":{{n}},\"word\":\"w{{n}}\"}";

/// Runs test-source with JSON records and these arguments onto `topic`; returns what was logged.
fn run(world: &World, broker: &Broker, topic: &str, more: &[&str]) -> e2e::Finished {
    let template = format!("template={BODY}");
    let mut arguments = vec!["run", "--connector", "test-source", "--topic", topic, "--name", topic];
    arguments.extend(["--set", "count=20", "--set", "interval=0s", "--set", &template]);
    arguments.extend(["--cluster", broker.address()]);
    arguments.extend(more);
    world.host(arguments).finish(std::time::Duration::from_secs(60))
}

fn consume(world: &World, broker: &Broker, topic: &str) -> Vec<String> {
    let line = format!("consume -B -d {topic} --cluster {}", broker.address());
    world.run(&line).success().out.lines().map(str::to_owned).collect()
}

#[test]
fn a_filter_and_a_map_apply_in_the_order_given() {
    let world = World::new();
    let broker = Broker::start(&world);
    let flags = ["--filter", "json-filter", "--with", "field=n", "--with", "op=ge", "--with", "value=17"];
    let shape = ["--map", "json-project", "--with", "fields=word"];
    let ended = run(&world, &broker, "shaped", &[&flags[..], &shape[..]].concat()).success();
    assert!(ended.log.contains("filter json-filter → map json-project"), "{}", ended.log);
    assert_eq!(consume(&world, &broker, "shaped"), [r#"{"word":"w17"}"#, r#"{"word":"w18"}"#, r#"{"word":"w19"}"#]);
}

#[test]
fn a_smartmodule_of_the_cluster_is_found_by_name() {
    let world = World::new();
    let broker = Broker::start(&world);
    let file = e2e::target_directory().join("smartmodules/json-filter.wasm");
    let create = format!("smartmodule create few --wasm-file {} --cluster {}", file.display(), broker.address());
    assert_eq!(world.run(&create).success().out, "smartmodule \"few\" created (filter)\n");
    let listed = world.run(&format!("smartmodule list -O json --cluster {}", broker.address())).success();
    assert!(listed.out.contains("\"name\": \"few\""), "{}", listed.out);
    let flags = ["--filter", "few", "--with", "field=n", "--with", "op=lt", "--with", "value=1"];
    let _ = run(&world, &broker, "few-records", &flags).success();
    assert_eq!(consume(&world, &broker, "few-records"), [r#"{"n":0,"word":"w0"}"#]);
    let _ = world.run(&format!("smartmodule delete few --cluster {}", broker.address())).success();
}

#[test]
fn a_refused_record_stops_the_run_or_becomes_a_dead_letter() {
    let world = World::new();
    let broker = Broker::start(&world);
    let config = |name: &str, policy: &str| {
        let text = format!(
            "apiVersion: 0.1.0\nmeta: {{name: {name}, type: test-source, version: 0.1.0, topic: {name}}}\n\
             test: {{count: 5, interval: 0s, template: 'not json {{{{n}}}}'}}\n\
             transforms:\n  - uses: json-filter\n    with: {{field: n, op: exists}}\n\
             host: {{on-error: {policy}}}\n"
        );
        let path = world.file(&format!("{name}.yaml"), text);
        world.run(&format!("run --config {} --cluster {}", path.display(), broker.address()))
    };
    let stopped = config("strict", "stop");
    assert_eq!(stopped.code, Some(1));
    assert!(stopped.log.contains("stage json-filter refused record 0"), "{}", stopped.log);
    assert!(stopped.log.contains("not json 0"), "{}", stopped.log);

    let _ = config("lenient", "skip").success();
    assert_eq!(consume(&world, &broker, "lenient"), [""; 0]);

    let _ = config("careful", "dead-letter").success();
    let letters = consume(&world, &broker, "careful-dead-letters");
    assert_eq!(letters.len(), 5);
    let letter: serde_json::Value = serde_json::from_str(&letters[3]).expect("a dead letter is JSON");
    assert_eq!(letter["value"]["data"], "not json 3");
    assert_eq!(letter["stage"], "json-filter");
}

#[test]
fn a_stage_that_cannot_work_is_refused_before_anything_runs() {
    let world = World::new();
    let broker = Broker::start(&world);
    let garbage = world.file("garbage.wasm", "this is no module").display().to_string();
    let cases: [(&[&str], &str); 6] = [
        (&["--filter", "json-filter", "--with", "feild=n"], "feild"),
        (&["--filter", "json-project", "--with", "fields=n"], "give it with --map"),
        (&["--filter", "no-such-module"], "host smartmodule create"),
        (&["--filter", "group/no-such-module@0.1.0"], "host smartmodule create"),
        (&["--map", &garbage], "is not a WebAssembly module"),
        (&["--with", "a=b"], "stands in front of any stage"),
    ];
    for (flags, expected) in cases {
        let refused = run(&world, &broker, "refused", flags);
        assert_eq!(refused.code, Some(78), "{flags:?}: {}", refused.log);
        assert!(refused.log.contains(expected), "{flags:?}: {}", refused.log);
    }
}
