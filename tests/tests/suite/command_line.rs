//! What a user does wrong gets a clear answer: what, where, what to do, and the right exit code.

use std::time::Duration;

use e2e::{Broker, World};

fn config(world: &World, text: &str) -> String {
    world.file("c.yaml", text).display().to_string()
}

const GOOD: &str = "apiVersion: 0.1.0\nmeta: {name: a, type: test-source, version: 0.1.0, topic: t}\n";

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn refused_configurations_name_the_place() {
    let world = World::new();
    let cases = [
        ("apiVersion: 0.3.0\nmeta: {name: a, type: test-source, version: 1, topic: t}\n", "0.3.0"),
        ("meta: {name: a, type: test-source, version: 0.1.0}\n", "topic"),
        ("apiVersion: 0.1.0\nmeta: [\n", "c.yaml:"),
        (&format!("{GOOD}test: {{interval: 3 parsecs}}\n"), "interval"),
        (&format!("{GOOD}test: {{count: many}}\n"), "count"),
        (&format!("{GOOD}test: {{template: '${{{{ secrets.NOT_THERE }}}}'}}\n"), "NOT_THERE"),
        (&format!("{GOOD}host: {{on-eror: skip}}\n"), "on-error"),
        ("apiVersion: 0.1.0\nmeta: {name: a, type: no-such-source, version: 0.1.0, topic: t}\n", "no connector"),
    ];
    for (text, expected) in cases {
        let path = config(&world, text);
        let refused = world.run(&format!("run --config {path} --cluster 127.0.0.1:1"));
        assert_eq!(refused.code, Some(78), "{text}\n{}", refused.log);
        assert!(refused.log.contains(expected), "{text}\nshould name {expected}:\n{}", refused.log);
        assert!(!refused.log.contains("panicked"), "{}", refused.log);
    }
}

#[test]
fn misspelt_keys_are_warned_of_and_refused_when_strict() {
    let world = World::new();
    let path = config(&world, &format!("{GOOD}test: {{cuont: 1, interval: 0s}}\ntransfroms: []\n"));
    let checked = world.run(&format!("check --config {path} --offline")).success();
    for word in ["transfroms", "did you mean `transforms`", "cuont", "did you mean `count`"] {
        assert!(checked.out.contains(word), "{word}: {}", checked.out);
    }
    assert_eq!(world.run(&format!("check --config {path} --offline --strict")).code, Some(78));
}

#[test]
fn files_that_are_no_connectors_are_told_apart() {
    let world = World::new();
    let garbage = world.file("garbage.wasm", "hello").display().to_string();
    let module = e2e::target_directory().join("smartmodules/json-filter.wasm").display().to_string();
    let missing = world.path("missing.wasm").display().to_string();
    for (file, expected) in
        [(&garbage, "is not a component"), (&module, "core WebAssembly module"), (&missing, "no connector file")]
    {
        let refused = world.run(&format!("metadata {file}"));
        assert_eq!(refused.code, Some(78), "{}", refused.log);
        assert!(refused.log.contains(expected), "{}", refused.log);
    }
}

#[test]
fn metadata_has_the_catalogue_s_form() {
    let world = World::new();
    let printed = world.run("metadata test-source").success().out;
    let metadata: serde_json::Value = serde_json::from_str(&printed).expect("metadata is JSON");
    assert_eq!(metadata["name"], "test-source");
    assert_eq!(metadata["direction"], "Source");
    assert_eq!(metadata["schema"]["$schema"], "http://json-schema.org/draft-07/schema#");
    assert!(metadata["schema"]["properties"]["count"].is_object());
    assert!(metadata["version"].is_string() && metadata["description"].is_string());
}

#[test]
fn inspect_says_what_the_sandbox_allows() {
    let world = World::new();
    let text = "apiVersion: 0.1.0\nmeta: {name: a, type: http-source, version: 0.1.0, topic: t}\n\
                http: {endpoint: 'https://example.org/x'}\n";
    let path = config(&world, text);
    let printed = world.run(&format!("inspect http-source --config {path} --format json")).success().out;
    let inspected: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(inspected["sandbox"]["hosts"], serde_json::json!(["example.org:443"]));
    assert_eq!(inspected["sandbox"]["host_fields"], serde_json::json!(["http.auth.token-url", "http.endpoint"]));
    assert_eq!(inspected["sha256"].as_str().map(str::len), Some(64));
}

#[test]
fn an_unreachable_cluster_is_said_and_waited_for() {
    let world = World::new();
    let listed = world.run("topic list --cluster 127.0.0.1:1");
    assert_eq!(listed.code, Some(1));
    assert!(listed.log.contains("127.0.0.1:1") && listed.log.contains("host broker"), "{}", listed.log);

    let path = config(&world, &format!("{GOOD}test: {{count: 1}}\n"));
    let run = world.host(["run", "--cluster", "127.0.0.1:1", "--config", &path]).start();
    run.wait_for_log("waiting for the cluster", Duration::from_secs(20));
    run.terminate();
    let _ = run.wait(Duration::from_secs(10)).success();
}

#[test]
fn topics_and_records_by_hand() {
    let world = World::new();
    let broker = Broker::start(&world);
    let cluster = format!("--cluster {}", broker.address());
    let created = world.run(&format!("topic create letters --partitions 2 {cluster}")).success();
    assert_eq!(created.out, "topic \"letters\" created\n");
    let again = world.run(&format!("topic create letters {cluster}")).success();
    assert_eq!(again.out, "topic \"letters\" exists already\n");
    let other = world.run(&format!("topic create letters --partitions 3 {cluster}"));
    assert_eq!(other.code, Some(1), "{}", other.out);
    assert!(other.log.contains("another number of partitions: 2, not 3"), "{}", other.log);
    let input = world.file("in.txt", "a:1\nb:2\na:3\n");
    let produce = format!("produce letters --key-separator : {cluster}");
    let _ = world.host(produce.split(' ')).stdin(&input).finish(Duration::from_secs(20)).success();
    let read = world.run(&format!("consume -B -d -k letters {cluster}")).success();
    let mut lines: Vec<&str> = read.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["[a] 1", "[a] 3", "[b] 2"]);
    let described = world.run(&format!("topic describe letters -O json {cluster}")).success();
    assert_eq!(described.out.matches("\"partitions\":").count(), 1, "{}", described.out);
    let description: serde_json::Value = serde_json::from_str(&described.out).expect("JSON");
    let ends: i64 = description["partitions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| p["end_offset"].as_i64().expect("an offset"))
        .sum();
    assert_eq!(ends, 3);
    let one = world.run(&format!("consume -B -d -n 1 -O json letters {cluster}")).success();
    assert_eq!(one.out.lines().count(), 1);
    let _ = world.run(&format!("topic delete letters {cluster}")).success();
    let gone = world.run(&format!("consume -B -d letters {cluster}"));
    assert_eq!(gone.code, Some(1));
    assert!(gone.log.contains("there is no topic \"letters\""), "{}", gone.log);
    assert!(gone.log.contains("help: `host topic list`"), "{}", gone.log);
}

#[test]
fn generated_pages_are_up_to_date() {
    let world = World::new();
    for (page, file) in
        [("configuration", "configuration.md"), ("connectors", "connectors.md"), ("smartmodules", "smartmodules.md")]
    {
        let generated = world.run(&format!("reference {page}")).success().out;
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file);
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == generated, "docs/{file} is not what the code says: run `just docs`");
    }
}

#[test]
fn the_catalogue_shows_what_is_on_the_path_and_names_what_is_no_connector() {
    let world = World::new();
    std::fs::create_dir(world.path("more")).expect("a directory");
    world.file("more/broken.wasm", "no component at all");
    let path = std::env::join_paths([e2e::target_directory().join("connectors"), world.path("more")]).expect("a path");
    let listed = world.host(["catalog", "-O", "json"]).env("HOST_CONNECTOR_PATH", &path).finish(LIMIT).success();
    let rows: serde_json::Value = serde_json::from_str(&listed.out).expect("JSON");
    let source = rows.as_array().expect("a list").iter().find(|row| row["name"] == "http-source").expect("is there");
    assert_eq!((source["kind"].as_str(), source["section"].as_str()), (Some("source"), Some("http")));
    assert!(listed.log.contains("broken.wasm"), "{}", listed.log);
}
