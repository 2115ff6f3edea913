//! What is refused, and in which words.

use super::{load_with, refused};
use crate::{Document, Options, Severity};
use std::path::Path;

#[test]
fn an_unknown_version() {
    assert_eq!(
        refused("apiVersion: v1\nmeta: {name: n, type: t, topic: t}\n"),
        "c.yaml:1:13: unknown apiVersion `v1`, expected one of `0.0.0`, `0.1.0` or `0.2.0`\n  help: `0.2.0` is the latest"
    );
}

#[test]
fn several_problems_at_once_in_order() {
    assert_eq!(
        refused(
            "apiVersion: 0.1.0\nmeta:\n  name: n\n  type: [a]\n  topic: t\n  producer:\n    linger: 1x\n    compression: gzp\n    batch-size: 1aoeu\n  consumer:\n    partition: some\nhost:\n  on-eror: skip\n"
        ),
        "c.yaml:4:9: `meta.type` is a list, expected a name\n\
         c.yaml:7:13: `meta.producer.linger` is `1x`, expected a duration\n  help: write a number and a unit, as in `500ms`, `10s` or `1m 30s`; a bare number is seconds\n\
         c.yaml:8:18: `meta.producer.compression` is `gzp`, expected `none`, `gzip`, `snappy`, `lz4` or `zstd`\n  help: did you mean `gzip`?\n\
         c.yaml:9:17: `meta.producer.batch-size` is `1aoeu`, expected a size in bytes\n  help: write a number and a unit, as in `512 KiB`, `16 MiB` or `44.0 MB`; a bare number is bytes\n\
         c.yaml:11:16: `meta.consumer.partition` is `some`, expected `all`, a partition's number or a list of numbers\n\
         c.yaml:13:3: unknown key `on-eror` in `host`\n  help: did you mean `on-error`?"
    );
}

#[test]
fn missing_keys() {
    assert_eq!(
        refused("apiVersion: 0.2.0\nmeta:\n  nme: n\n  topic:\n    partition: {count: 0}\n"),
        "c.yaml:2:1: missing key `name` in `meta`\n  help: is `nme` meant to be `name`?\n\
         c.yaml:2:1: missing key `type` in `meta`\n  help: add it, as in `type: http-source`\n\
         c.yaml:3:3: warning: unknown key `nme` in `meta`\n  help: did you mean `name`?\n\
         c.yaml:4:3: missing key `meta` in `meta.topic`\n  help: add it, as in `meta: {name: cat-facts}`\n\
         c.yaml:5:24: `meta.topic.partition.count` is `0`, expected a whole number from 1"
    );
    assert_eq!(
        refused("meta:\n  name:\n  type: t\n  topic: ''\n"),
        "c.yaml:2:3: the key `name` in `meta` has no value\n  help: add it, as in `name: cat-facts`\n\
         c.yaml:4:10: `meta.topic` is an empty string, expected a name"
    );
}

#[test]
fn a_missing_meta() {
    assert_eq!(
        refused("apiVersion: 0.1.0\nmata:\n  name: n\n"),
        "c.yaml: missing key `meta`\n  help: is `mata` meant to be `meta`?"
    );
    assert_eq!(
        refused("apiVersion: 0.1.0\nname: n\ntype: t\ntopic: t\n"),
        "c.yaml: missing key `meta`\n  help: add `meta:` with `name`, `type`, `topic` and `version`"
    );
    assert_eq!(
        refused("http: {}\n"),
        "c.yaml: missing key `meta`\n  help: add `meta:` with `name`, `type`, `topic` and `version`"
    );
    assert_eq!(refused("name: n\ntype: t\n"), "c.yaml: missing key `topic`\n  help: add it, as in `topic: cat-facts`");
    assert_eq!(
        refused("meta: x\n"),
        "c.yaml:1:7: `meta` is `x`, expected a map\n  help: its keys are `name`, `type`, `version`, `topic`, `secrets`, `producer`, `consumer`, `direction` or `create_topic`"
    );
}

#[test]
fn what_is_no_configuration() {
    let help = "\n  help: begin with `apiVersion: 0.2.0`, then `meta:` and the connector's own section";
    assert_eq!(refused(""), format!("c.yaml: this configuration is empty{help}"));
    assert_eq!(refused("# nothing\n"), format!("c.yaml: this configuration is empty{help}"));
    assert_eq!(refused("- a\n- b\n"), format!("c.yaml:1:1: this is a list, expected a map{help}"));
    assert_eq!(refused("hello"), format!("c.yaml:1:1: this is `hello`, expected a map{help}"));
    assert_eq!(
        refused("meta: {}\n---\nmeta: {}\n"),
        "c.yaml:2:1: a second YAML document begins here\n  help: keep one connector a file; remove the line `---`"
    );
}

#[test]
fn duplicate_keys() {
    assert_eq!(
        refused("meta:\n  name: a\n  type: t\n  name: b\n  topic: t\nmeta: {}\n"),
        "c.yaml:4:3: the key `name` stands here for the second time\n  help: the first is in line 2; remove one of them\n\
         c.yaml:6:1: the key `meta` stands here for the second time\n  help: the first is in line 1; remove one of them"
    );
    assert_eq!(
        refused("meta:\n  name: a\n  type: t\n  topic: t\n  producer:\n    batch-size: 1\n    batch_size: 2\n"),
        "c.yaml:7:5: `batch-size` and `batch_size` are the same key\n  help: remove one of them"
    );
}

#[test]
fn broken_yaml_is_told_with_its_place_and_its_usual_cause() {
    let found = refused("meta:\n  name: [a\n  type: b\n");
    assert!(found.starts_with("c.yaml:3:"), "{found}");
    let found = refused("meta:\n  headers: [${{ secrets.A }}]\n");
    assert!(found.starts_with("c.yaml:2:"), "{found}");
    assert!(found.ends_with("help: put a template within [ ] or { } into quotes: \"${{ secrets.NAME }}\""), "{found}");
    let found = refused("meta:\n\tname: a\n");
    assert!(found.ends_with("help: indent with spaces: YAML forbids tabs there"), "{found}");
    let found = refused("meta:\n  name: a: b\n");
    assert!(found.starts_with("c.yaml:2:") && found.ends_with("help: put the value into quotes"), "{found}");
}

#[test]
fn bounded_growth() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", before.trim_end_matches(", ")));
    }
    assert!(refused(&bomb).contains("aliases make this document larger than 100000 values"));
    let deep = |depth: usize| format!("a: {}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(refused(&deep(100)).contains("lists and maps nest deeper than 64 levels"));
    assert!(refused(&deep(5000)).starts_with("c.yaml:1:"), "{}", refused(&deep(5000)));
    assert!(!refused(&deep(60)).contains("deeper"));
    let blocks: String = (0..100).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    assert!(refused(&blocks).contains("lists and maps nest deeper than 64 levels"));
    assert!(refused("a: &a [*a]\n").contains("alias"), "{}", refused("a: &a [*a]\n"));
}

#[test]
fn wrong_secrets_and_offsets() {
    assert_eq!(
        refused(
            "meta:\n  name: n\n  type: t\n  topic: t\n  secrets:\n    - name: secret name\n    - name: 1secret\n    - [a]\n  consumer:\n    offset:\n      strategy: never\n      start: {absolute: x}\n      flush-period: {secs: -1}\n"
        ),
        "c.yaml:6:13: `secret name` can't name a secret: only ASCII letters, digits and `_` may stand in it\n  help: rename it, as in `API_KEY`\n\
         c.yaml:7:13: `1secret` can't name a secret: it begins with a digit\n  help: rename it, as in `API_KEY`\n\
         c.yaml:8:7: `meta.secrets[2]` is a list, expected `name: NAME`\n\
         c.yaml:11:17: `meta.consumer.offset.strategy` is `never`, expected `none`, `manual` or `auto`\n\
         c.yaml:12:25: `meta.consumer.offset.start.absolute` is `x`, expected an offset\n\
         c.yaml:13:28: `meta.consumer.offset.flush-period.secs` is `-1`, expected a whole number"
    );
    assert!(refused("meta:\n  name: n\n  type: t\n  topic: t\n  consumer: {offset: {start: middle}}\n").starts_with(
        "c.yaml:5:30: `meta.consumer.offset.start` is `middle`, expected a place to begin\n  help: write `beginning`"
    ));
}

#[test]
fn wrong_transforms() {
    assert_eq!(
        refused(
            "meta: {name: n, type: t, topic: t}\ntransforms:\n  - use: x\n  - uses: a\n    with: [b]\n    lookback: {last: many}\n"
        ),
        "c.yaml:3:5: missing key `uses` in `transforms[0]`\n  help: is `use` meant to be `uses`?\n\
         c.yaml:3:5: warning: unknown key `use` in `transforms[0]`\n  help: did you mean `uses`?\n\
         c.yaml:5:11: `transforms[1].with` is a list, expected a map\n  help: write one `NAME: VALUE` a line\n\
         c.yaml:6:22: `transforms[1].lookback.last` is `many`, expected a number of records"
    );
    assert_eq!(
        refused("meta: {name: n, type: t, topic: t}\ntransforms: {uses: x}\n"),
        "c.yaml:2:13: `transforms` is a map, expected a list\n  help: begin each step with `- uses: NAME`"
    );
}

#[test]
fn strictness_makes_errors_of_warnings() {
    let text = "meta: {name: n, type: t, topic: t, nome: x}\n";
    assert_eq!(load_with(text, "", false).expect("accepted").warnings[0].severity, Severity::Warning);
    let error = load_with(text, "", true).expect_err("refused");
    assert_eq!(error.diagnostics()[0].severity, Severity::Error);
    assert_eq!(error.to_string(), "c.yaml:1:36: unknown key `nome` in `meta`\n  help: did you mean `name`?");
}

#[test]
fn files_that_can_not_be_read() {
    let error = Document::open(Path::new("no/such/file.yaml")).expect_err("it is not there").to_string();
    assert!(error.starts_with("no/such/file.yaml: can't read this configuration: "), "{error}");
    let path = std::env::temp_dir().join(format!("host-config-{}.yaml", std::process::id()));
    std::fs::write(&path, b"meta:\n  name: \xff\n").expect("a temporary file");
    let error = Document::open(&path).expect_err("not UTF-8").to_string();
    std::fs::write(&path, "meta: {name: n, type: t, topic: t}").expect("a temporary file");
    let config = Document::open(&path).and_then(|document| document.load(&Options::default()));
    std::fs::remove_file(&path).expect("the file is there");
    assert!(error.contains("line 2 is not UTF-8 text"), "{error}");
    assert_eq!(config.expect("accepted").meta.name, "n");
}
