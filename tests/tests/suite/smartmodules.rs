//! The SmartModules that come with the host: their examples run as they stand, and they say what they take.

use std::path::{Path, PathBuf};

use e2e::{Broker, World};

/// The line of an example under which the records stand that come out.
const GIVES: &str = "# The topic then holds";

/// The example of each module, by name.
fn examples() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../smartmodules");
    let folders = std::fs::read_dir(folder).expect("the modules").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<_> = folders
        .filter(|path| path.join("example.yaml").is_file())
        .map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path.join("example.yaml")))
        .collect();
    found.sort();
    assert!(found.len() >= 14, "{found:?}");
    found
}

#[test]
fn every_example_gives_what_it_says() {
    let world = World::new();
    let broker = Broker::start(&world);
    for (name, path) in examples() {
        let text = std::fs::read_to_string(&path).expect("an example");
        let (_, gives) = text.split_once(GIVES).unwrap_or_else(|| panic!("{name} does not say what it gives"));
        let expected: Vec<&str> = gives.lines().skip(1).filter_map(|line| line.strip_prefix("#   ")).collect();
        assert!(!expected.is_empty(), "{name}");
        let config = path.display().to_string();
        let _ = world.run(&format!("check --strict --offline --config {config}")).success();
        let _ = world.run(&format!("run --strict --config {config} --cluster {}", broker.address())).success();
        let keys = if gives.starts_with(", with keys") { "-k" } else { "" };
        let read = world.run(&format!("consume -B -d {keys} {name}-example --cluster {}", broker.address())).success();
        assert_eq!(read.out.lines().collect::<Vec<_>>(), expected, "{name}");
    }
}

#[test]
fn dedup_knows_what_the_topic_has() {
    let world = World::new();
    let broker = Broker::start(&world);
    let run = |name: &str, count: u32| {
        let text = format!(
            "apiVersion: 0.1.0\nmeta: {{name: {name}, type: test-source, version: 0.1.0, topic: once}}\n\
             test: {{count: {count}, interval: 0s, template: 'record {{{{n}}}}'}}\n\
             transforms:\n  - uses: dedup\n    lookback: {{last: 100}}\n"
        );
        let path = world.file(&format!("{name}.yaml"), text);
        let _ = world.run(&format!("run --config {} --cluster {}", path.display(), broker.address())).success();
    };
    run("first", 3);
    run("second", 5);
    let read = world.run(&format!("consume -B -d once --cluster {}", broker.address())).success();
    assert_eq!(read.out, "record 0\nrecord 1\nrecord 2\nrecord 3\nrecord 4\n");
}

#[test]
fn parameters_are_checked_before_anything_runs() {
    let world = World::new();
    let config = |with: &str| {
        let text = format!(
            "apiVersion: 0.1.0\nmeta: {{name: a, type: test-source, version: 0.1.0, topic: t}}\ntest: {{count: 1}}\n\
             transforms:\n  - uses: json-filter\n    with: {with}\n"
        );
        world.file("c.yaml", text).display().to_string()
    };
    let cases = [
        ("{feild: n, value: 1}", "c.yaml:6:12: unknown key `feild` in `transforms[0].with`"),
        ("{feild: n, value: 1}", "did you mean `field`?"),
        ("{value: 1}", "missing key `field` in `transforms[0].with`"),
        ("{field: n, op: equals}", "`transforms[0].with.op` is `equals`, expected"),
        ("{field: n, op: equals}", "`host smartmodule describe json-filter` shows what it takes"),
        // what no schema can say, the module says when it starts
        ("{field: n}", "`json-filter` refuses its parameters: parameter `value` is missing"),
        ("{field: n, op: matches, value: '('}", "is not a regular expression"),
    ];
    for (with, expected) in cases {
        let path = config(with);
        let refused = world.run(&format!("check --offline --config {path}"));
        assert_eq!(refused.code, Some(78), "{with}: {}", refused.log);
        assert!(refused.log.contains(expected), "{with}\nshould say {expected}:\n{}", refused.log);
    }
    let broker = Broker::start(&world);
    let refused = world.run(&format!("run --config {} --cluster {}", config("{feild: n}"), broker.address()));
    assert_eq!(refused.code, Some(78), "{}", refused.log);
    assert!(refused.log.contains("c.yaml:6:12: unknown key `feild` in `transforms[0].with`"), "{}", refused.log);

    let good = world.run(&format!("check --offline --config {}", config("{field: n, value: 1}"))).success();
    assert!(good.out.contains("ok      stage filter json-filter"), "{}", good.out);
    let text = "apiVersion: 0.1.0\nmeta: {name: a, type: test-source, version: 0.1.0, topic: t}\n\
                transforms:\n  - uses: group/elsewhere@0.1.0\n";
    let path = world.file("elsewhere.yaml", text).display().to_string();
    let later = world.run(&format!("check --offline --config {path}")).success();
    assert!(later.out.contains("later   stage group/elsewhere@0.1.0"), "{}", later.out);
}

#[test]
fn what_there_is_is_listed() {
    let world = World::new();
    let local = world.run("smartmodule list --local").success().out;
    let line = local.lines().find(|line| line.starts_with("json-filter ")).expect("a line");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..4], ["json-filter", "filter", "path", "Keeps"], "{local}");

    let broker = Broker::start(&world);
    let file = e2e::target_directory().join("smartmodules/csv-to-json.wasm").display().to_string();
    let cluster = format!("--cluster {}", broker.address());
    let _ = world.run(&format!("smartmodule create tables --wasm-file {file} {cluster}")).success();
    let listed = world.run(&format!("smartmodule list -O json {cluster}")).success().out;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&listed).expect("JSON");
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).expect("a row");
    assert_eq!((&row("tables")["from"], &row("tables")["kind"]), (&"cluster".into(), &"array_map".into()));
    assert_eq!(row("tables")["description"], "Makes one JSON object of each row of CSV.");
    assert_eq!((&row("dedup")["from"], &row("dedup")["kind"]), (&"path".into(), &"filter".into()));

    // without a cluster there is still the path; a cluster that is named must be there
    let alone = world.run("smartmodule list").success();
    assert!(alone.out.contains("json-filter") && alone.log.contains("the cluster's SmartModules are not shown"));
    let gone = world.run("smartmodule list --cluster 127.0.0.1:1");
    assert_eq!((gone.code, gone.out.as_str()), (Some(1), ""), "{}", gone.log);
}

#[test]
fn a_module_is_described() {
    let world = World::new();
    let shown = world.run("smartmodule describe json-mask").success().out;
    for expected in [
        "json-mask 0.1.0, map: Hides fields of JSON records",
        "Three ways to hide what a field says.",
        "  key: secret; not given",
        "  keep-last: whole number; default: 0",
        "  - uses: json-mask",
    ] {
        assert!(shown.contains(expected), "{expected}:\n{shown}");
    }
    let file = e2e::target_directory().join("smartmodules/fixture-map.wasm").display().to_string();
    let silent = world.run(&format!("smartmodule describe {file}")).success().out;
    assert!(silent.starts_with("fixture-map, map\n") && silent.contains("it takes no parameters"), "{silent}");
    let json = world.run("smartmodule describe sample -O json").success().out;
    let described: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(described["kind"], "filter");
    assert_eq!(described["spec"]["schema"]["properties"]["rate"]["maximum"], 1);

    let broker = Broker::start(&world);
    let cluster = format!("--cluster {}", broker.address());
    let file = e2e::target_directory().join("smartmodules/sample.wasm").display().to_string();
    let _ = world.run(&format!("smartmodule create part --wasm-file {file} {cluster}")).success();
    let part = world.run(&format!("smartmodule describe part {cluster}")).success().out;
    assert!(part.starts_with("part 0.1.0, filter: Keeps a part of the records.\n  in the cluster"), "{part}");
    let unknown = world.run(&format!("smartmodule describe no-such-one {cluster}"));
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.log.contains("no-such-one") && unknown.log.contains("host smartmodule list"), "{}", unknown.log);
}
