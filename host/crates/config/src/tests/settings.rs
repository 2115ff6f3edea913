//! The `host:` map, and that the reference tells the truth about every table.

use super::{load, load_with, refused, warnings};
use crate::fields::{Fields, Unknown};
use crate::reference::GROUPS;
use crate::{HostSettings, OnError, Proxy, StateStore, reference_markdown};
use std::time::Duration;

const HEAD: &str = "meta: {name: n, type: t, topic: t}\n";

#[test]
fn every_setting() {
    let config = load(&format!(
        "{HEAD}host:
  on-error: dead-letter
  dead-letter-topic: refused
  retry: {{max: 3, initial: 1, max-delay: 5m}}
  batch: {{max-records: 5, max-bytes: 4 MiB, linger: 1s}}
  sandbox:
    memory: 512 MiB
    call-timeout: 1m
    allow: [cdn.example.com, 'https://x.example', '10.0.0.1:8080']
    proxy: http://user:pass@proxy.example:3128
  rate-limit: {{records-per-second: 10, bytes-per-second: 1 MB}}
  state: {{store: cluster, directory: /tmp/x}}
  grace-period: 5s
"
    ));
    let host = &config.host;
    assert_eq!(host.on_error, OnError::DeadLetter);
    assert_eq!(host.dead_letter_topic.as_deref(), Some("refused"));
    let seconds = Duration::from_secs;
    assert_eq!((host.retry.max, host.retry.initial, host.retry.max_delay), (Some(3), seconds(1), seconds(300)));
    assert_eq!((host.batch.max_records, host.batch.max_bytes, host.batch.linger), (5, 4 << 20, seconds(1)));
    assert_eq!((host.sandbox.memory, host.sandbox.call_timeout), (512 << 20, seconds(60)));
    let allowed: Vec<String> = host.sandbox.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["cdn.example.com", "x.example:443", "10.0.0.1:8080"]);
    assert_eq!(host.sandbox.proxy, Proxy::At("http://user:pass@proxy.example:3128".to_owned()));
    assert!(!format!("{host:?}").contains("pass"));
    assert_eq!((host.rate_limit.records_per_second, host.rate_limit.bytes_per_second), (Some(10), Some(1_000_000)));
    assert_eq!(host.state.store, StateStore::Cluster);
    assert_eq!(host.state.directory.as_deref(), Some("/tmp/x".as_ref()));
    assert_eq!(host.grace_period, seconds(5));
}

#[test]
fn unknown_and_impossible_settings_are_errors() {
    assert_eq!(
        refused(&format!(
            "{HEAD}host:
  onerror: skip
  retry: {{maximum: 3, initial: 0s}}
  batch: {{max-records: 0, max-bytes: 0}}
  sandbox: {{memory: 1 KB, call-timeout: forever, allow: ['http://', 5]}}
  rate-limit: {{records-per-second: -1}}
  state: {{store: nowhere}}
  zzz: 1
"
        )),
        "c.yaml:3:3: unknown key `onerror` in `host`\n  help: did you mean `on-error`?\n\
         c.yaml:4:11: unknown key `maximum` in `host.retry`\n  help: known are `max`, `initial` and `max-delay`\n\
         c.yaml:4:32: `host.retry.initial` is `0s`, expected more than nothing\n\
         c.yaml:5:24: `host.batch.max-records` is `0`, expected a whole number from 1\n\
         c.yaml:5:38: `host.batch.max-bytes` is `0`, expected more than nothing\n\
         c.yaml:6:21: `host.sandbox.memory` is `1 KB`, expected at least 1 MiB and at most 4 GiB\n\
         c.yaml:6:41: `host.sandbox.call-timeout` is `forever`, expected a duration\n  help: write a number and a unit, as in `500ms`, `10s` or `1m 30s`; a bare number is seconds\n\
         c.yaml:6:58: `host.sandbox.allow[0]` is `http://`, expected a host, `host:port` or a URL\n  help: this is not a URL: empty host\n\
         c.yaml:7:36: `host.rate-limit.records-per-second` is `-1`, expected a whole number from 1\n\
         c.yaml:8:18: `host.state.store` is `nowhere`, expected `local` or `cluster`\n\
         c.yaml:9:3: unknown key `zzz` in `host`\n  help: known are `on-error`, `dead-letter-topic`, `retry`, `batch`, `sandbox`, `tls`, `rate-limit`, `parallelism`, `state` and `grace-period`"
    );
    assert_eq!(
        refused(&format!("{HEAD}host:\n  retry: {{initial: 10s, max-delay: 5s}}\n")),
        "c.yaml:3:36: `host.retry.max-delay` is `5s`, expected at least `initial`, 10s"
    );
    for wrong in ["socks5://proxy.example", "proxy.example:3128", "no", "http://"] {
        let refusal = refused(&format!("{HEAD}host: {{sandbox: {{proxy: '{wrong}'}}}}\n"));
        assert!(refusal.contains("expected `none`, or the address of an HTTP proxy"), "{wrong}: {refusal}");
    }
    let direct = load(&format!("{HEAD}host: {{sandbox: {{proxy: none}}}}\n"));
    assert_eq!(direct.host.sandbox.proxy, Proxy::Direct);
}

#[test]
fn the_waits_keep_their_order() {
    let retry = |text: &str| load(&format!("{HEAD}host: {{retry: {text}}}")).host.retry;
    let long = retry("{initial: 1h}");
    assert_eq!((long.initial, long.max_delay), (Duration::from_secs(3600), Duration::from_secs(3600)));
    let short = retry("{max-delay: 1ms}");
    assert_eq!((short.initial, short.max_delay), (Duration::from_millis(1), Duration::from_millis(1)));
}

#[test]
fn a_topic_for_dead_letters_that_are_not_asked_for() {
    assert_eq!(
        warnings(&format!("{HEAD}host: {{dead-letter-topic: x}}\n")),
        "c.yaml:2:8: warning: `host.dead-letter-topic` has no effect without `on-error: dead-letter`\n  help: add `on-error: dead-letter`, or remove it"
    );
}

/// A configuration in which the map at `path` has this key, and every map what it needs besides.
fn document_with(flat: bool, path: &str, key: &str, value: &str) -> String {
    let needed: &[(&str, &str)] = match path {
        "" if flat => &[("name", "n"), ("type", "t"), ("topic", "t")],
        "" => &[("meta", "{name: n, type: t, topic: t}")],
        "meta" => &[("name", "n"), ("type", "t"), ("topic", "t")],
        "meta.topic" => &[("meta", "{name: t}")],
        "meta.topic.deduplication" => &[("bounds", "{count: 1}"), ("filter", "{transform: {uses: x}}")],
        "transforms" => &[("uses", "x")],
        _ => &[],
    };
    let others = needed.iter().filter(|(name, _)| *name != key).map(|(name, value)| format!("{name}: {value}"));
    let entries: Vec<String> = others.chain([format!("{key}: {value}")]).collect();
    let map = format!("{{{}}}", entries.join(", "));
    match path.rsplit_once('.') {
        _ if path.is_empty() => map,
        _ if path == "transforms" => document_with(flat, "", path, &format!("[{map}]")),
        Some((parent, name)) => document_with(flat, parent, name, &map),
        None => document_with(flat, "", path, &map),
    }
}

#[test]
fn every_example_in_the_reference_is_accepted() {
    let mut tried = 0;
    for group in GROUPS {
        for key in group.keys {
            let text = document_with(std::ptr::eq(group, &crate::meta::FLAT), group.path, key.name, key.example);
            tried += 1;
            let config = load_with(&text, "API_KEY=abc\nHTTP_KEY=abc", false);
            let config = config.unwrap_or_else(|error| panic!("{}.{}: {text}: {error}", group.path, key.name));
            let told: Vec<_> = config.warnings.iter().filter(|w| !w.message.contains("never used")).collect();
            let expected = if key.name == "dead-letter-topic" { 1 } else { 0 };
            assert_eq!(told.len(), expected, "{}.{}: {told:?}", group.path, key.name);
        }
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn the_defaults_in_the_reference_are_the_defaults() {
    use crate::{format_bytes, format_duration};
    let text = reference_markdown();
    let host = HostSettings::default();
    for row in [
        format!("| `grace-period` | duration | {} |", format_duration(host.grace_period)),
        format!("| `max-bytes` | bytes | {} |", format_bytes(host.batch.max_bytes)),
        format!("| `memory` | bytes | {} |", format_bytes(host.sandbox.memory)),
        format!("| `initial` | duration | {} |", format_duration(host.retry.initial)),
        "| `on-error` | `stop`, `skip` or `dead-letter` | `stop` |".to_owned(),
    ] {
        assert!(text.contains(&row), "{row}");
    }
    assert!(text.lines().filter(|line| line.starts_with("| `")).all(|line| line.matches(" | ").count() >= 4));
    assert_eq!(load(HEAD).host, host);
}

#[test]
fn the_yaml_in_the_reference_is_accepted() {
    let text = reference_markdown();
    let yaml = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let config = load_with(yaml, "API_KEY=abc", true).expect("accepted");
    assert_eq!(config.transforms[0].with["value"], "80");
}

#[test]
fn tables_have_no_key_twice() {
    for group in GROUPS {
        let mut names: Vec<&str> =
            group.keys.iter().flat_map(|key| key.aliases.iter().copied().chain([key.name])).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{}", group.path);
    }
}

#[test]
fn a_map_that_is_none_is_told_once() {
    let mut report = crate::error::Report::new(false);
    let node = crate::yaml::parse("c.yaml", "x", &mut report).expect("a scalar");
    let at = node.at.clone();
    assert!(Fields::open(&node, &at, "host", &crate::settings::HOST, Unknown::Refuse, &mut report).is_none());
    assert!(report.finish(&crate::Redactor::default()).is_err());
}
