//! The connector's section against its schema: types, places, words, hosts and secrets.

use super::{load_with, shown};
use crate::{ConnectorConfig, Section};
use serde_json::{Value, json};

fn config(section: &str) -> ConnectorConfig {
    load_with(&format!("meta: {{name: n, type: t, topic: t}}\n{section}"), "", false).expect("accepted")
}

fn section(text: &str, schema: &Value) -> Section {
    config(text).section("http", schema).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str, schema: &Value) -> String {
    config(text).section("http", schema).expect_err("refused").to_string()
}

fn schema() -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "required": ["endpoint"],
        "additionalProperties": false,
        "properties": {
            "endpoint": {"$ref": "#/definitions/Endpoint", "description": "Where to ask."},
            "interval": {"type": ["string", "null"]},
            "count": {"type": "integer", "minimum": 1, "maximum": 100},
            "ratio": {"type": "number"},
            "stream": {"type": "boolean"},
            "method": {"enum": ["GET", "POST"]},
            "headers": {"type": "array", "items": {"type": "string", "x-secret": true}, "maxItems": 2},
            "timeout": {"anyOf": [{"type": "string"}, {"$ref": "#/definitions/Period"}]},
            "body": {"type": "string", "minLength": 1},
            "qos": {"oneOf": [{"const": 0}, {"const": 1}]},
            "name": {"allOf": [{"type": "string"}, {"pattern": "^[a-z]+$"}]},
        },
        "definitions": {
            "Endpoint": {"type": "string", "x-network": true},
            "Period": {
                "type": "object",
                "required": ["secs"],
                "properties": {"secs": {"type": "integer"}, "nanos": {"type": "integer"}},
                "additionalProperties": false,
            },
        },
    })
}

#[test]
fn scalars_become_what_the_schema_wants() {
    let text = "http:
  endpoint: https://example.com:8443/x
  interval: 10
  count: '7'
  ratio: '0.5'
  stream: \"true\"
  headers: [1.50, true]
  timeout: 30
  qos: \"1\"
  name: abc
";
    assert_eq!(
        section(text, &schema()).json,
        json!({
            "endpoint": "https://example.com:8443/x", "interval": "10", "count": 7, "ratio": 0.5, "stream": true,
            "headers": ["1.50", "true"], "timeout": "30", "qos": 1, "name": "abc",
        })
    );
    let section =
        section("http: {endpoint: a, count: 5.0, timeout: {secs: 1.0}, interval: null, body: , ratio: 3}", &schema());
    assert_eq!(
        section.json,
        json!({"endpoint": "a", "count": 5, "timeout": {"secs": 1}, "interval": null, "ratio": 3})
    );
    assert_eq!(section.json["count"].to_string(), "5");
}

#[test]
fn values_that_do_not_fit_are_told_with_their_place() {
    let text = "http:
  endpoint: [x]
  interval: {a: 1}
  count: 0
  ratio: much
  stream: yes
  method: GTE
  headers: [a, b, c]
  body: ''
  qos: 2
  name: ABC
";
    assert_eq!(
        refused(text, &schema()),
        "c.yaml:3:3: `http.endpoint` is a list, expected a string\n\
         c.yaml:4:3: `http.interval` is a map, expected a string\n\
         c.yaml:5:10: `http.count` is `0`, expected at least 1\n\
         c.yaml:6:10: `http.ratio` is `much`, expected a number\n\
         c.yaml:7:11: `http.stream` is `yes`, expected `true` or `false`\n\
         c.yaml:8:11: `http.method` is `GTE`, expected `GET` or `POST`\n  help: did you mean `GET`?\n\
         c.yaml:9:3: `http.headers` has too many items, expected at most 2\n\
         c.yaml:10:9: `http.body` is an empty string, expected a value\n\
         c.yaml:11:8: `http.qos` is `2`, expected `0` or `1`\n\
         c.yaml:12:9: `http.name` is `ABC`, expected a text that matches `^[a-z]+$`"
    );
}

#[test]
fn unknown_and_missing_keys_are_told_with_what_was_meant() {
    assert_eq!(
        refused("http:\n  endpont: x\n  timeout: {sec: 1}\n", &schema()),
        "c.yaml:2:1: missing key `endpoint` in `http`\n  help: `endpoint`: Where to ask.\n\
         c.yaml:3:3: warning: unknown key `endpont` in `http`\n  help: did you mean `endpoint`?\n\
         c.yaml:4:3: missing key `secs` in `http.timeout`\n\
         c.yaml:4:13: warning: unknown key `sec` in `http.timeout`\n  help: did you mean `secs`?"
    );
    assert_eq!(
        refused("htp:\n  endpoint: x\n", &schema()),
        "c.yaml:2:1: warning: unknown key `htp`\n  help: did you mean `http`?\n\
         c.yaml: missing key `endpoint`: there is no section `http`\n  help: `endpoint`: Where to ask."
    );
    assert_eq!(
        refused("http: {endpoint: x, timeout: [1]}\n", &schema()),
        "c.yaml:2:21: `http.timeout` is a list, expected a string or a map"
    );
    assert_eq!(refused("http: [a]\n", &schema()), "c.yaml:2:1: `http` is a list, expected a map");
}

#[test]
fn keys_that_the_schema_neither_knows_nor_forbids_are_warned_of() {
    let schema = json!({"properties": {"endpoint": {}, "user_agent": {}, "any": {"type": "object"}}});
    let mut found = config("http: {user-agent: x, zzz: 1, any: {thing: 1}}\nextra: 1\n");
    found.section("http", &schema).expect("accepted");
    assert_eq!(
        shown(&found),
        "c.yaml:2:8: warning: unknown key `user-agent` in `http`\n  help: did you mean `user_agent`?\n\
         c.yaml:2:23: warning: unknown key `zzz` in `http`\n  help: known are `any`, `endpoint` and `user_agent`\n\
         c.yaml:3:1: warning: unknown key `extra`\n  help: known are `apiVersion`, `meta`, `transforms`, `host` and `http`"
    );
    let again = shown(&found);
    found.section("http", &schema).expect("accepted");
    assert_eq!(shown(&found), again, "told once");
    let open = json!({"properties": {"a": {}}, "additionalProperties": true});
    let mut found = config("http: {b: 1}\n");
    found.section("http", &open).expect("accepted");
    assert_eq!(shown(&found), "");
}

#[test]
fn strictness_holds_for_the_section() {
    let text = "meta: {name: n, type: t, topic: t}\nhttp: {b: 1}\n";
    let mut config = load_with(text, "", true).expect("nothing to warn of yet");
    let error = config.section("http", &json!({"properties": {"a": {}, "c": {}}})).expect_err("strict");
    assert_eq!(error.to_string(), "c.yaml:2:8: unknown key `b` in `http`\n  help: known are `a` and `c`");
}

#[test]
fn hosts_are_collected_wherever_they_are_marked() {
    let schema = json!({
        "properties": {
            "url": {"anyOf": [{"$ref": "#/$defs/Url"}, {"type": "null"}]},
            "brokers": {"type": "array", "x-network": true, "items": {"type": "string"}},
            "peers": {"type": "array", "items": {"$ref": "#/$defs/Peer"}},
            "map": {"type": "object", "additionalProperties": {"type": "string", "x-network": true}},
            "fallback": {"type": "string", "x-network": true, "default": "https://fallback.example"},
            "set": {"type": "string", "x-network": true, "default": "https://unused.example"},
            "loop": {"$ref": "#/$defs/Loop"},
            "other": {"type": "string"},
        },
        "$defs": {
            "Url": {"type": "string", "x-network": true},
            "Peer": {"type": "object", "properties": {"host": {"$ref": "#/$defs/Url"}}},
            "Loop": {"properties": {"next": {"$ref": "#/$defs/Loop"}, "at": {"$ref": "#/$defs/Url"}}},
        },
    });
    let text = "http:
  url: mqtts://broker.example
  brokers: ['k1:9092', 'k2:9092,k3:9092']
  peers: [{host: '[::1]:80'}, {host: 10.0.0.1}]
  map: {a: 'WSS://Web.example/x'}
  set: set.example
  loop: {next: {next: {at: 'loop.example:1'}}}
  other: https://not.example
";
    let mut found: Vec<String> = section(text, &schema).network.iter().map(ToString::to_string).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "10.0.0.1",
            "[::1]:80",
            "broker.example:8883",
            "fallback.example:443",
            "k1:9092",
            "k2:9092",
            "k3:9092",
            "loop.example:1",
            "set.example",
            "web.example:443"
        ]
    );
    assert_eq!(
        refused("http: {url: 'http://'}\n", &schema),
        "c.yaml:2:13: `http.url` is `http://`, expected a URL, `host:port` or a host\n  help: this is not a URL: empty host"
    );
    assert_eq!(
        refused("http: {set: 'host:99999'}\n", &schema),
        "c.yaml:2:13: `http.set` is `host:99999`, expected a URL, `host:port` or a host\n  help: `99999` is not a port: expected a number up to 65535"
    );
}

#[test]
fn a_broken_schema_is_the_connectors_fault() {
    let error = refused("http: {}\n", &json!({"type": "nonsense"}));
    assert!(error.starts_with("the connector's schema: the schema of `http` can't be used: "), "{error}");
    assert!(error.ends_with("help: this is a fault of the connector: tell its author"), "{error}");
    let error = refused("http: {}\n", &json!({"$ref": "https://example.com/schema.json"}));
    assert!(error.contains("can't be used"), "{error}");
    let error = config("").section("meta", &json!({})).expect_err("reserved").to_string();
    assert!(error.starts_with("c.yaml: the connector's section can't be called `meta`"), "{error}");
}

#[test]
fn keys_that_look_like_numbers_have_places() {
    let schema = json!({"properties": {"0": {"type": "string"}, "a/b": {"type": "integer"}}});
    assert_eq!(
        refused("http:\n  0: [x]\n  a/b: c\n", &schema),
        "c.yaml:3:3: `http[0]` is a list, expected a string\nc.yaml:4:8: `http.a/b` is `c`, expected a whole number"
    );
}

#[test]
fn tuples_and_recursive_schemas_end() {
    let schema = json!({
        "properties": {"pair": {"items": [{"type": "string"}, {"type": "integer"}], "additionalItems": {"type": "string"}}},
        "allOf": [{"$ref": "#"}],
    });
    assert_eq!(
        section("http: {pair: [1, '2', 3]}", &json!({"properties": schema["properties"]})).json,
        json!({"pair": ["1", 2, "3"]})
    );
}

#[test]
fn a_key_by_another_name_is_that_key() {
    let schema = json!({
        "type": "object",
        "required": ["url"],
        "additionalProperties": false,
        "properties": {
            "url": {"type": "string", "x-network": true},
            "mqtt-url": {"type": "string", "x-network": true, "x-alias-of": "url"},
            "inner": {"type": "array", "items": {
                "type": "object",
                "properties": {"max-size": {"type": "integer"}, "max_size": {"type": "integer", "x-alias-of": "max-size"}},
            }},
        },
    });
    let section = section("http:\n  mqtt-url: b.example\n  inner: [{max_size: '7'}, {max-size: 8}]\n", &schema);
    assert_eq!(section.json, json!({"url": "b.example", "inner": [{"max-size": 7}, {"max-size": 8}]}));
    assert_eq!(section.network.len(), 1);
    assert_eq!(
        refused("http:\n  url: a\n  mqtt-url: b\n", &schema),
        "c.yaml:4:3: `url` and `mqtt-url` are the same key\n  help: remove one of them"
    );
    assert!(refused("http: {inner: []}\n", &schema).contains("missing key `url` in `http`"));
}
