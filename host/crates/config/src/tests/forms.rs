//! One configuration for each accepted form and key.

use super::{load, load_with, warnings};
use crate::{
    ApiVersion, Compression, ConsumerSettings, Deduplication, Direction, HostSettings, Lookback, Partitions,
    ProducerSettings, Start, Strategy, TopicSettings,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn without_api_version() {
    let mut config = load("meta:\n  name: my-sink\n  type: test-sink\n  topic: t\n  version: 0.1.0\n");
    assert_eq!(config.version, ApiVersion::V0_0_0);
    let meta = &config.meta;
    assert_eq!((meta.name.as_str(), meta.kind.as_str(), meta.version.as_str()), ("my-sink", "test-sink", "0.1.0"));
    assert_eq!(meta.topic, TopicSettings::named("t"));
    assert_eq!(meta.direction, Some(Direction::Sink));
    assert_eq!(meta.producer, ProducerSettings::default());
    assert_eq!(meta.consumer, ConsumerSettings::default());
    assert!(meta.create_topic && meta.secrets.is_empty());
    assert_eq!(config.host, HostSettings::default());
    assert!(config.transforms.is_empty() && config.warnings.is_empty());
    let section = config.section("test", &json!({"type": "object"})).expect("an absent section is an empty one");
    assert_eq!(section.json, json!({}));
}

#[test]
fn version_0_0_0_is_the_same_as_none() {
    let config = load("apiVersion: 0.0.0\nmeta: {name: n, type: mqtt, topic: t, version: latest}");
    assert_eq!((config.version, config.meta.direction), (ApiVersion::V0_0_0, None));
}

#[test]
fn version_0_1_0_in_full() {
    let text = "
apiVersion: 0.1.0
meta:
  name: weather
  type: http-source
  topic: forecast
  version: 0.5.0
  producer:
    linger: 1m 30s
    compression: gzip
    batch-size: 44.0 MB
  consumer:
    partition: 10
    max_bytes: 1 MB
    id: group
    offset:
      strategy: auto
      start: beginning
      flush-period:
        secs: 160
        nanos: 500000000
  secrets:
    - name: USER_NAME
    - name: user_2
custom:
  login: ${{ secrets.USER_NAME }}:${{secrets.user_2}}
";
    let mut config = load_with(text, "USER_NAME=ann\nuser_2=bob", true).expect("accepted");
    assert_eq!(config.version, ApiVersion::V0_1_0);
    assert_eq!(config.meta.direction, Some(Direction::Source));
    assert_eq!(
        config.meta.producer,
        ProducerSettings {
            linger: Some(90 * SECOND),
            compression: Some(Compression::Gzip),
            batch_size: Some(44_000_000),
            max_request_size: None,
        }
    );
    assert_eq!(
        config.meta.consumer,
        ConsumerSettings {
            id: Some("group".to_owned()),
            partitions: Partitions::List(vec![10]),
            max_bytes: Some(1_000_000),
            start: Some(Start::Beginning),
            strategy: Some(Strategy::Auto),
            flush_period: Some(Duration::from_millis(160_500)),
        }
    );
    assert_eq!(config.meta.secrets, ["USER_NAME", "user_2"]);
    assert_eq!(config.section("custom", &json!({})).expect("fits").json, json!({"login": "ann:bob"}));
}

#[test]
fn version_0_2_0_in_full() {
    let config = load(
        "
apiVersion: 0.2.0
meta:
  name: weather
  type: http-sink
  topic:
    version: 0.1.0
    meta:
      name: forecast
    partition:
      count: 3
      max-size: 4.0 KB
      replication: 2
      ignore-rack-assignment: true
      maps:
        - id: 0
          replicas: [5001, 5002]
    retention:
      time: 2m
      segment-size: 2.0 KB
    compression:
      type: Lz4
    deduplication:
      bounds:
        count: 100
        age: 1m
      filter:
        transform:
          uses: dedup-filter@0.1.0
          with:
            limit: '5'
  version: 0.1.0
  producer:
    max-request-size: 5 MiB
    batch_size: 1600
  consumer:
    partition: [3, 1, 1]
",
    );
    assert_eq!(config.version, ApiVersion::V0_2_0);
    let mut expected = TopicSettings::named("forecast");
    expected.partitions = 3;
    expected.replication = 2;
    expected.ignore_rack = true;
    expected.maps = vec![crate::PartitionMap { id: 0, replicas: vec![5001, 5002] }];
    expected.max_partition_size = Some(4000);
    expected.retention = Some(120 * SECOND);
    expected.segment_size = Some(2000);
    expected.compression = Some(Compression::Lz4);
    expected.deduplication = Some(Deduplication {
        count: 100,
        age: Some(60 * SECOND),
        uses: "dedup-filter@0.1.0".to_owned(),
        with: map(&[("limit", "5")]),
    });
    assert_eq!(config.meta.topic, expected);
    assert_eq!(config.meta.producer.max_request_size, Some(5 << 20));
    assert_eq!(config.meta.producer.batch_size, Some(1600));
    assert_eq!(config.meta.consumer.partitions, Partitions::List(vec![1, 3]));
}

#[test]
fn a_topic_map_with_empty_parts_has_the_defaults() {
    let config = load(
        "apiVersion: 0.2.0\nmeta:\n  name: n\n  type: t-sink\n  topic:\n    meta: {name: t}\n    partition: {}\n    compression: {type: Any}\n    retention:\n",
    );
    assert_eq!(config.meta.topic, TopicSettings::named("t"));
}

#[test]
fn topics_as_names_and_maps_work_under_every_version() {
    for version in ["0.0.0", "0.1.0", "0.2.0"] {
        for topic in ["t", "{meta: {name: t}}"] {
            let config = load(&format!("apiVersion: {version}\nmeta: {{name: n, type: k, topic: {topic}}}"));
            assert_eq!(config.meta.topic, TopicSettings::named("t"), "{version} {topic}");
        }
    }
}

#[test]
fn the_flat_form() {
    let mut config = load(
        "
# connect.yml
version: v1
name: cat-facts
type: http
topic: cat-facts
create_topic: true
direction: source
parameters:
  endpoint: https://catfact.ninja/fact
  interval: 10
",
    );
    assert_eq!(config.version, ApiVersion::Flat);
    assert_eq!(config.meta.version, "v1");
    assert_eq!(config.meta.direction, Some(Direction::Source));
    assert!(config.meta.create_topic);
    let schema =
        json!({"properties": {"endpoint": {"type": "string", "x-network": true}, "interval": {"type": "string"}}});
    let section = config.section("http", &schema).expect("fits");
    assert_eq!(section.json, json!({"endpoint": "https://catfact.ninja/fact", "interval": "10"}));
    assert_eq!(section.network[0].to_string(), "catfact.ninja:443");
}

#[test]
fn the_flat_form_with_the_topic_among_the_parameters() {
    let text = |topic: &str| {
        format!(
            "version: latest\nname: m\ntype: mqtt\ndirection: source\ntopic: my-mqtt\nparameters:\n  mqtt-url: \"mqtt.hsl.fi\"\n  mqtt-topic: \"/hfp/v2/journey/#\"\n  fluvio-topic: {topic}\n"
        )
    };
    let schema = json!({
        "properties": {"mqtt-url": {"type": "string", "x-network": true}, "mqtt-topic": {"type": "string"}},
        "additionalProperties": false,
    });
    let mut config = load(&text("my-mqtt"));
    assert!(!config.meta.create_topic);
    let section = config.section("mqtt", &schema).expect("the topic is known to the host");
    assert_eq!(section.json, json!({"mqtt-url": "mqtt.hsl.fi", "mqtt-topic": "/hfp/v2/journey/#"}));
    assert_eq!(section.network[0].to_string(), "mqtt.hsl.fi");

    let error = load(&text("other")).section("mqtt", &schema).expect_err("another topic, strictly");
    assert_eq!(
        error.to_string(),
        "c.yaml:9:3: `parameters.fluvio-topic` is `other`, but the topic is `my-mqtt`\n  help: it has no effect; remove it"
    );
}

#[test]
fn the_flat_form_with_secrets_and_settings() {
    let text = "
name: pg
type: postgres-sink
topic: t
version: 0.1.0
secrets:
  PASSWORD: ${{ secrets.OUTSIDE }}
  USER: 'a: b'
producer: {linger: 10ms, compression: zstd, batch-size: '1.5 KiB'}
consumer:
  partition: 2
parameters:
  url: postgres://${{ secrets.USER }}:${{ secrets.PASSWORD }}@db
";
    let mut config = load_with(text, "OUTSIDE=${{ secrets.USER }}", true).expect("accepted");
    assert_eq!(config.meta.secrets, ["PASSWORD", "USER"]);
    assert_eq!(config.meta.producer.batch_size, Some(1536));
    assert_eq!(config.meta.consumer.partitions, Partitions::List(vec![2]));
    let section = config.section("postgres", &json!({})).expect("fits");
    // A value that looks like a template is a value.
    assert_eq!(section.json, json!({"url": "postgres://a: b:${{ secrets.USER }}@db"}));
}

#[test]
fn every_place_to_begin() {
    for (text, start) in [
        ("beginning", Start::Beginning),
        ("end", Start::End),
        ("{absolute: -1}", Start::Absolute(-1)),
        ("{from-beginning: 5}", Start::FromBeginning(5)),
        ("{from-end: 7}", Start::FromEnd(7)),
        ("!absolute 10", Start::Absolute(10)),
        ("!from-end 3", Start::FromEnd(3)),
    ] {
        let config = load(&format!(
            "meta:\n  name: n\n  type: t\n  topic: t\n  consumer:\n    partition: all\n    offset:\n      strategy: none\n      start: {text}\n"
        ));
        assert_eq!(config.meta.consumer.start, Some(start), "{text}");
        assert_eq!(config.meta.consumer.partitions, Partitions::All);
    }
}

#[test]
fn lenient_durations() {
    for (text, duration) in [
        ("10s", 10 * SECOND),
        ("10", 10 * SECOND),
        ("0.25", SECOND / 4),
        ("{secs: 3}", 3 * SECOND),
        ("{secs: 1, nanos: 5}", Duration::new(1, 5)),
    ] {
        let config = load(&format!(
            "meta:\n  name: n\n  type: t\n  topic: t\n  consumer:\n    offset:\n      flush-period: {text}\n"
        ));
        assert_eq!(config.meta.consumer.flush_period, Some(duration), "{text}");
    }
}

#[test]
fn transforms_of_every_shape() {
    let config = load(
        r#"
meta: {name: n, type: t-source, topic: t}
transforms:
  - uses: infinyon/jolt@0.4.1
    lookback:
      last: 100
      age: 10m
    with:
      spec:
        - operation: shift
          spec:
            b: "x"
            a: [1, true, null, 1.5]
      text: "it's"
      quoted: '1'
      number: 1.50
      big: 007
      truth: true
      nothing: null
      empty:
  - uses: ./local.wasm
  - uses: last
    lookback: {last: 1}
"#,
    );
    let [jolt, local, last] = &config.transforms[..] else { panic!("three steps") };
    assert_eq!(jolt.uses, "infinyon/jolt@0.4.1");
    assert_eq!(jolt.lookback, Some(Lookback { last: 100, age: Some(600 * SECOND) }));
    assert_eq!(
        jolt.with,
        map(&[
            ("spec", r#"[{"operation":"shift","spec":{"a":[1,true,null,1.5],"b":"x"}}]"#),
            ("text", "it's"),
            ("quoted", "1"),
            ("number", "1.50"),
            ("big", "007"),
            ("truth", "true"),
            ("nothing", "null"),
            ("empty", "null"),
        ])
    );
    assert_eq!((local.uses.as_str(), local.lookback, local.with.len()), ("./local.wasm", None, 0));
    assert_eq!(last.lookback, Some(Lookback { last: 1, age: None }));
}

#[test]
fn what_fluvio_passes_over_is_a_warning() {
    assert_eq!(
        warnings(
            "apiVersion: 0.1.0\nmeta:\n  name: n\n  type: t\n  topic: t\n  producr: {linger: 1s}\n  producer:\n    compresion: gzip\ntransforms:\n  - uses: x\n    invoke: insert\n"
        ),
        "c.yaml:6:3: warning: unknown key `producr` in `meta`\n  help: did you mean `producer`?\n\
         c.yaml:8:5: warning: unknown key `compresion` in `meta.producer`\n  help: did you mean `compression`?\n\
         c.yaml:11:5: warning: `transforms[0].invoke` has no effect\n  help: remove it"
    );
}

#[test]
fn scalars_keep_their_text() {
    let config = load("meta:\n  name: 007\n  type: 1.10\n  topic: 2024-01-01\n  version: 0.10\n");
    let meta = &config.meta;
    assert_eq!((meta.name.as_str(), meta.kind.as_str(), meta.version.as_str()), ("007", "1.10", "0.10"));
    assert_eq!(meta.topic.name, "2024-01-01");
}

#[test]
fn anchors_and_aliases_work() {
    let config = load("meta: &m\n  name: &n same\n  type: *n\n  topic: *n\n");
    assert_eq!((config.meta.kind.as_str(), config.meta.topic.name.as_str()), ("same", "same"));
}

#[test]
fn the_caller_may_name_the_topic() {
    let options = crate::Options { topic: Some("other".to_owned()), ..crate::Options::default() };
    let load = |text| crate::Document::parse("c.yaml", text).and_then(|d| d.load(&options)).expect("accepted");
    assert_eq!(load("meta: {name: n, type: t}").meta.topic.name, "other");
    assert_eq!(load("meta: {name: n, type: t, topic: t}").meta.topic.name, "other");
    let map = load("meta: {name: n, type: t, topic: {partition: {count: 4}}}");
    assert_eq!((map.meta.topic.name.as_str(), map.meta.topic.partitions), ("other", 4));
}
