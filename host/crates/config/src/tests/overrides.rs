//! `--set`, with a file and without one.

use crate::{ConnectorConfig, Document, Error, Options, Secrets};
use serde_json::{Value, json};

fn options(sets: &[(&str, &str)]) -> Options {
    let overrides = sets.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Options { overrides, secrets: Secrets::from_text("secrets.txt", "A=s3cret"), ..Options::default() }
}

fn with_file(file: &str, sets: &[(&str, &str)], schema: &Value) -> Result<Value, Error> {
    let text = format!("meta: {{name: n, type: t, topic: t}}\n{file}");
    let mut config = Document::parse("c.yaml", &text)?.load(&options(sets))?;
    config.section("http", schema).map(|section| section.json)
}

fn without_file(sets: &[(&str, &str)], schema: &Value) -> Result<Value, Error> {
    let mut config = ConnectorConfig::without_file("n", "http-source", "t", &options(sets))?;
    config.section("http", schema).map(|section| section.json)
}

#[test]
fn values_are_scalars_or_flow() {
    let sets = [
        ("number", "5"),
        ("text", "a: b # c"),
        ("truth", "true"),
        ("list", "[1, a]"),
        ("map", "{a: {b: 1}}"),
        ("quoted", "\"5\""),
        ("comment", "#x"),
        ("empty", ""),
        ("half", "[not yaml"),
        ("two", "\"a\" and \"b\""),
        ("secret", "<${{ secrets.A }}>"),
        ("at", "@%`"),
    ];
    assert_eq!(
        without_file(&sets, &json!({})).expect("fits"),
        json!({
            "number": 5, "text": "a: b # c", "truth": true, "list": [1, "a"], "map": {"a": {"b": 1}}, "quoted": "5",
            "comment": "#x", "empty": null, "half": "[not yaml", "two": "\"a\" and \"b\"", "secret": "<s3cret>", "at": "@%`",
        })
    );
}

#[test]
fn they_come_before_the_file() {
    let file = "http:\n  endpoint: old\n  websocket: {ping: 1, other: 2}\n  headers: [a, b]\n";
    let sets = [
        ("endpoint", "new"),
        ("websocket.ping", "5"),
        ("headers.1", "B"),
        ("headers.2", "c"),
        ("deep.er.key", "1"),
        ("endpoint", "newest"),
    ];
    assert_eq!(
        with_file(file, &sets, &json!({})).expect("fits"),
        json!({
            "endpoint": "newest", "websocket": {"ping": 5, "other": 2}, "headers": ["a", "B", "c"], "deep": {"er": {"key": 1}},
        })
    );
    assert_eq!(with_file("", &[("a", "1")], &json!({})).expect("fits"), json!({"a": 1}));
    assert_eq!(with_file("http:\n", &[("a", "1")], &json!({})).expect("fits"), json!({"a": 1}));
}

#[test]
fn a_body_of_json_is_a_text_where_a_text_is_wanted() {
    let schema = json!({"properties": {"body": {"type": "string"}, "any": {}}});
    assert_eq!(
        without_file(&[("body", r#"{"a":  [1]}"#), ("any", "[1]")], &schema).expect("fits"),
        json!({"body": r#"{"a":  [1]}"#, "any": [1]})
    );
}

#[test]
fn problems_name_the_flag() {
    let schema = json!({"properties": {"count": {"type": "integer"}, "name": {"type": "string"}}, "additionalProperties": false});
    assert_eq!(
        without_file(&[("count", "many"), ("nome", "x")], &schema).expect_err("refused").to_string(),
        "--set nome=x: unknown key `nome` in `http`\n  help: did you mean `name`?\n\
         --set count=many: `http.count` is `many`, expected a whole number"
    );
    let error =
        |sets: &[(&str, &str)]| with_file("http: {a: x, l: [1]}\n", sets, &json!({})).expect_err("refused").to_string();
    assert_eq!(error(&[("a.b", "1")]), "--set a.b=1: there is no `http.a.b` to set: `http.a` is `x`");
    assert_eq!(error(&[("l.5", "1")]), "--set l.5=1: there is no `http.l.5` to set: `http.l` is a list");
    assert_eq!(
        error(&[("a..b", "1")]),
        "--set a..b=1: a key is empty\n  help: write `--set KEY=VALUE`, with dots between the keys of maps within each other"
    );
    assert_eq!(
        error(&[("k", "${{ secrets.B }}")]),
        "--set k=${{ secrets.B }}: the secret `B` is not in secrets.txt\n  help: add the line `B=…` to secrets.txt"
    );
    let required = json!({"required": ["endpoint"]});
    assert_eq!(
        without_file(&[], &required).expect_err("refused").to_string(),
        "command line: missing key `endpoint`: there is no section `http`"
    );
}

#[test]
fn without_a_file_all_else_is_default() {
    let config = ConnectorConfig::without_file("n", "http-source", "t", &options(&[])).expect("accepted");
    assert_eq!((config.meta.name.as_str(), config.meta.kind.as_str()), ("n", "http-source"));
    assert_eq!(config.meta.topic.name, "t");
    assert_eq!(config.meta.direction, Some(crate::Direction::Source));
    assert_eq!(config.host, crate::HostSettings::default());
    assert!(config.meta.create_topic);
}
