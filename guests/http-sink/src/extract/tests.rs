use connector_sdk::{Batch, ErrorKind};
use proptest::prelude::*;
use serde_json::{Value, json};
use url::Url;

use super::*;

fn config(more: Value) -> Config {
    let mut section = json!({"endpoint": "http://a.example/in"});
    let Value::Object(more) = more else { panic!("an object") };
    section.as_object_mut().expect("an object").extend(more);
    serde_json::from_value(section).expect("a fine section")
}

fn delivery(records: &[(Option<&[u8]>, &[u8])]) -> Delivery {
    let mut batch = Batch::default();
    for (key, value) in records {
        batch.push_record(*key, value, None);
    }
    let offsets = (0..records.len() as i64).collect();
    Delivery { topic: "t".to_owned(), partition: 3, offsets, parts: Vec::new(), batch }
}

/// The address for a key, in a template.
fn address_for(endpoint: &str, key: &[u8]) -> Result<String, String> {
    let extractor = Extractor::new(&config(json!({"endpoint": endpoint}))).expect("a fine template");
    let delivery = delivery(&[(Some(key), b"{}")]);
    let mut failures = Vec::new();
    match extractor.pieces(&delivery, &mut failures).pop() {
        Some(piece) => Ok(piece.head.address.expect("it has placeholders")),
        None => Err(failures.pop().expect("one or the other").error.to_string()),
    }
}

#[test]
fn a_plain_record_is_borrowed_as_it_is() {
    let extractor = Extractor::new(&config(json!({"headers": ["X-A: b"]}))).expect("nothing to get wrong");
    let delivery = delivery(&[(None, b"\xff\0"), (Some(b"k"), b"")]);
    let mut failures = Vec::new();
    let pieces = extractor.pieces(&delivery, &mut failures);
    assert!(failures.is_empty());
    assert!(pieces.iter().all(|piece| matches!(piece.body, Cow::Borrowed(_)) && piece.head == Head::default()));
    assert_eq!(pieces.iter().map(|piece| &*piece.body).collect::<Vec<_>>(), [&b"\xff\0"[..], b""]);
}

#[test]
fn a_record_that_can_not_be_used_fails_alone() {
    let extractor = Extractor::new(&config(json!({"batch": "ndjson"}))).expect("fine");
    let delivery = delivery(&[(None, b"1"), (None, b"one"), (None, b" {\"a\":\n2} ")]);
    let mut failures = Vec::new();
    let pieces = extractor.pieces(&delivery, &mut failures);
    assert_eq!(pieces.iter().map(|piece| piece.index).collect::<Vec<_>>(), [0, 2]);
    assert_eq!((failures[0].index, failures[0].error.kind()), (1, ErrorKind::Data));
    let words = failures[0].error.message();
    assert!(words.starts_with("`http.body`: the record's value is not JSON: expected value at line 1"), "{words}");
}

#[test]
fn addresses_lead_where_the_template_says() {
    let endpoint = "http://a.example/users/{{key}}/items?from={{key}}&p={{partition}}";
    assert_eq!(
        address_for(endpoint, b"a/../b?c=d&e").expect("fine"),
        "http://a.example/users/a%2F..%2Fb%3Fc%3Dd%26e/items?from=a%2F..%2Fb%3Fc%3Dd%26e&p=3"
    );
    for dots in [&b"."[..], b".."] {
        let error = address_for(endpoint, dots).expect_err("it would lead elsewhere");
        assert_eq!(error, "`http.endpoint`: the record would make a `.` or `..` of a part of the path");
    }
    assert!(address_for("http://a.example/.{{key}}", b".").is_err());
    assert!(address_for("http://a.example/{{key}}?x=1", b"").expect_err("no name").contains("is empty"));
    assert_eq!(address_for("http://a.example/x?k={{key}}", b"..").expect("harmless"), "http://a.example/x?k=..");
    assert_eq!(address_for("http://a.example?k={{key}}", b"1").expect("fine"), "http://a.example?k=1");
    assert_eq!(address_for("http://a.example/x?k={{/a?b}}", b"").expect_err("nothing there").lines().count(), 1);
    let error = address_for("http://a.example/{{key}}", &[b'a'; 40_000]).expect_err("too long");
    assert!(error.contains("bytes are too long for an address"), "{error}");
}

#[test]
fn the_host_is_never_the_records() {
    for endpoint in [
        "http://{{key}}/x",
        "http://{{key}}.example/x",
        "http://a.example:{{partition}}/x",
        "http://{{/host}}/x",
        "{{key}}",
        "http:/{{key}}",
        "http:///{{key}}",
        "http:\\\\{{key}}/x",
        "http://a.example\\{{key}}",
        "ftp://a.example/{{key}}",
    ] {
        let error = Extractor::new(&config(json!({"endpoint": endpoint}))).expect_err(endpoint);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().starts_with("`http.endpoint`: "), "{error}");
    }
    let dots = Extractor::new(&config(json!({"endpoint": "http://a.example/../{{key}}"}))).expect_err("dots");
    assert!(dots.message().contains("`.` or `..`"), "{dots}");
}

#[test]
fn the_type_of_content_follows_the_body() {
    for (more, expected) in [
        (json!({}), Some("text/html")),
        (json!({"headers": []}), None),
        (json!({"headers": ["content-type:text/plain"]}), None),
        (json!({"batch": "json-array"}), Some("application/json")),
        (json!({"batch": "ndjson", "headers": ["X-A: b"]}), Some("application/x-ndjson")),
        (json!({"body": "{\"v\": {{value}}}"}), Some("application/json")),
        (json!({"body": "{\"v\": {{value}}}", "headers": ["X-A: b"]}), Some("application/json")),
        (json!({"body": "{{key}}: {{value}}"}), Some("text/html")),
    ] {
        assert_eq!(content_type(&config(more.clone())).expect("fine headers"), expected, "{more}");
    }
}

#[test]
fn a_body_is_json_when_it_looks_so_or_is_called_so() {
    let piece = |more: Value| {
        let extractor = Extractor::new(&config(more))?;
        let delivery = delivery(&[(Some(b"k\""), b"[1]")]);
        let mut failures = Vec::new();
        let body = extractor.pieces(&delivery, &mut failures).pop().expect("fine").body.into_owned();
        Ok::<_, Error>(String::from_utf8(body).expect("text"))
    };
    assert_eq!(piece(json!({"body": " {\"k\": {{key}}}"})).expect("JSON"), " {\"k\": \"k\\\"\"}");
    assert_eq!(piece(json!({"body": "{{key}}={{value}}"})).expect("text"), "k\"=[1]");
    let typed = |kind: &str, body: &str| piece(json!({"headers": [format!("Content-Type: {kind}")], "body": body}));
    assert_eq!(typed("application/vnd.a+JSON; charset=utf-8", "{{key}}").expect("JSON"), "\"k\\\"\"");
    assert_eq!(typed("text/plain", "[{{key}}").expect("text"), "[k\"");
    assert_eq!(piece(json!({"batch": "ndjson", "body": "\"{{key}}\""})).expect("JSON"), "\"k\\\"\"");
    let guessed = piece(json!({"body": "{\"k\": {{key}}"})).expect_err("it looks like JSON");
    assert!(guessed.message().contains("not JSON") && guessed.message().contains("Content-Type"), "{guessed}");
    let called = typed("application/json", "{{key}} {{key}}").expect_err("it is called JSON");
    assert!(called.message().contains("not JSON") && !called.message().contains("Content-Type"), "{called}");
}

#[test]
fn a_check_asks_the_part_that_is_fixed() {
    for (endpoint, expected) in [
        ("http://a.example/x?y=1", "http://a.example/x?y=1"),
        ("http://a.example/users/u-{{key}}/x", "http://a.example/users/"),
        ("http://a.example/{{key}}", "http://a.example/"),
        ("http://a.example/x?k={{key}}", "http://a.example/x"),
        ("http://a.example?k={{key}}", "http://a.example"),
    ] {
        assert_eq!(fixed_address(endpoint), expected);
    }
}

proptest! {
    #[test]
    fn no_key_leads_astray(key in prop_oneof![any::<Vec<u8>>(), "[./%2eE\\\\?#@:]{0,6}".prop_map(String::into_bytes)]) {
        let made = address_for("https://a.example:8443/u/{{key}}/x?k={{key}}&z=1", &key);
        let dots = matches!(key.as_slice(), b"." | b"..");
        prop_assert_eq!(made.is_ok(), !(key.is_empty() || dots), "{:?}", made);
        if let Ok(address) = made {
            let url = Url::parse(&address).expect("an address");
            prop_assert_eq!((url.host_str(), url.port(), url.fragment()), (Some("a.example"), Some(8443), None));
            let path: Vec<_> = url.path_segments().expect("a path").collect();
            prop_assert_eq!((path.len(), path[0], path[2]), (3, "u", "x"));
            prop_assert_eq!(url.query_pairs().count(), 2);
            let (name, value) = url.query_pairs().next().expect("two");
            prop_assert_eq!((&*name, &*value), ("k", &*String::from_utf8_lossy(&key)));
        }
    }
}
