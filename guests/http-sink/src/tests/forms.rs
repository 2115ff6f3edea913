//! The forms of requests.

use std::io::Read as _;

use connector_sdk::testing::Metric;

use super::*;

#[test]
fn a_record_is_a_request_as_the_official_connector_sends_it() {
    let harness = Harness::install();
    let mut driver = open(json!({}));
    answer(&harness, 3, 200);
    assert_eq!(driver.write(batch(&["one", "", "three"])).expect("delivered"), []);
    let sent = harness.requests();
    assert_eq!(bodies(&harness), ["one", "", "three"]);
    for sent in &sent {
        assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", "http://a.example/in"));
        assert_eq!(sent.header("content-type"), Some("text/html"));
        let agent = sent.header("user-agent").expect("always sent");
        assert!(agent.starts_with("fluvio/http-sink "), "{agent}");
        assert_eq!(sent.headers.len(), 2);
    }
    assert!(matches!(harness.metric("request_duration_seconds"), Some(Metric::Histogram(all)) if all.len() == 3));
}

#[test]
fn the_request_is_the_configurations() {
    let harness = Harness::install();
    let mut driver = open(json!({
        "endpoint": "http://a.example/{{key}}?at={{timestamp}}", "method": "put", "user-agent": "me/1",
        "headers": ["Content-Type: text/plain", "X-From:{{topic}}/{{partition}}", "X-Id: {{/id}}", "X-Id: fixed"],
        "body": "{{offset}}: {{value}}", "bearer-token": "s3cr3t",
    }));
    answer(&harness, 1, 200);
    let mut records = Batch::default();
    records.push_record(Some(b"a/b"), br#"{"id": 7}"#, Some(5));
    assert_eq!(driver.write(records).expect("delivered"), []);
    let sent = harness.requests().remove(0);
    assert_eq!((sent.method.as_str(), sent.url.as_str()), ("PUT", "http://a.example/a%2Fb?at=5"));
    assert_eq!(sent.body, br#"0: {"id": 7}"#);
    for (name, value) in [
        ("content-type", "text/plain"),
        ("user-agent", "me/1"),
        ("x-from", "test/0"),
        ("authorization", "Bearer s3cr3t"),
    ] {
        assert_eq!(sent.header(name), Some(value));
    }
    let ids: Vec<_> =
        sent.headers.iter().filter(|(name, _)| name == "x-id").map(|(_, value)| value.as_slice()).collect();
    assert_eq!(ids, [&b"fixed"[..], b"7"]);
}

#[test]
fn batches_are_json_and_bounded() {
    let harness = Harness::install();
    let mut driver = open(json!({"batch": "json-array", "batch-max-records": 2}));
    answer(&harness, 2, 200);
    assert_eq!(driver.write(batch(&["1", "\"two\"", " {\"n\":\n3.0} "])).expect("delivered"), []);
    assert_eq!(bodies(&harness), ["[1,\"two\"]", "[{\"n\":\n3.0}]"]);
    assert_eq!(harness.requests()[0].header("content-type"), Some("application/json"));

    let harness = Harness::install();
    let mut driver = open(json!({"batch": "ndjson", "batch_max_bytes": "10 B", "body": "\"{{value}}\""}));
    answer(&harness, 3, 200);
    assert_eq!(driver.write(batch(&["a\n", "b", "longer than that", "c"])).expect("delivered"), []);
    assert_eq!(bodies(&harness), ["\"a\\n\"\n\"b\"\n", "\"longer than that\"\n", "\"c\"\n"]);
    assert_eq!(harness.requests()[0].header("content-type"), Some("application/x-ndjson"));

    let harness = Harness::install();
    let mut driver = open(json!({"batch": "ndjson"}));
    answer(&harness, 1, 200);
    let failures = driver.write(batch(&["{\"a\":\r\n 1}", "no json", "2"])).expect("delivered");
    assert_eq!(kinds(&failures), [(1, ErrorKind::Data)]);
    assert_eq!(bodies(&harness), ["{\"a\":   1}\n2\n"], "one line each");
}

#[test]
fn only_neighbours_for_the_same_place_share_a_request() {
    let harness = Harness::install();
    let mut driver = open(json!({"endpoint": "http://a.example/{{key}}", "batch": "json-array"}));
    answer(&harness, 3, 200);
    let mut records = Batch::default();
    for (key, value) in [("x", "1"), ("x", "2"), ("y", "3"), ("x", "4")] {
        records.push_record(Some(key.as_bytes()), value.as_bytes(), None);
    }
    assert_eq!(driver.write(records).expect("delivered"), []);
    let sent: Vec<_> = harness.requests().into_iter().map(|sent| sent.url).zip(bodies(&harness)).collect();
    let expected = [("x", "[1,2]"), ("y", "[3]"), ("x", "[4]")];
    assert_eq!(sent, expected.map(|(key, body)| (format!("http://a.example/{key}"), body.to_owned())));
}

#[test]
fn names_of_records_survive_restarts() {
    let records = Delivery {
        batch: batch(&["1", "2", "3", "4"]),
        topic: "orders".to_owned(),
        partition: 2,
        offsets: vec![7, 7, 7, 9],
        parts: vec![0, 1, 2, 0],
    };
    let names = |more: Value, statuses: &[u16]| {
        let harness = Harness::install();
        for status in statuses {
            answer(&harness, 1, *status);
        }
        open(more).deliver(&records).expect("known of each");
        let name =
            |sent: connector_sdk::testing::SentRequest| sent.header("idempotency-key").expect("named").to_owned();
        harness.requests().into_iter().map(name).collect::<Vec<_>>()
    };
    let one = json!({"idempotency-header": "Idempotency-Key"});
    let expected = ["orders-2-7", "orders-2-7-1", "orders-2-7-2", "orders-2-9"];
    assert_eq!(names(one.clone(), &[200; 4]), expected);
    assert_eq!(names(one, &[200; 4]), expected, "the same after a restart");
    let many = json!({"idempotency_header": "Idempotency-Key", "batch": "ndjson"});
    assert_eq!(
        names(many, &[400, 200, 400, 200, 200]),
        ["orders-2-7..9", "orders-2-7..7-1", "orders-2-7-2..9", "orders-2-7-2", "orders-2-9"],
        "other contents, another name"
    );
}

#[test]
fn bodies_are_signed_as_they_are_sent() {
    // The example of GitHub's documentation.
    let secret = json!({"secret": "It's a Secret to Everybody", "header": "X-Hub-Signature-256"});
    let harness = Harness::install();
    answer(&harness, 1, 200);
    open(json!({"signature": secret})).write(batch(&["Hello, World!"])).expect("delivered");
    assert_eq!(
        harness.requests()[0].header("x-hub-signature-256"),
        Some("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
    );

    // RFC 4231, test case 2, in Base64; the time in front is part of what is signed.
    let config = json!({"secret": "Jefe", "prefix": "", "encoding": "base64"});
    answer(&harness, 2, 200);
    open(json!({"signature": config})).write(batch(&["what do ya want for nothing?"])).expect("delivered");
    assert_eq!(harness.requests()[1].header("x-signature-256"), Some("W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="));

    let config = json!({"secret": "Jefe", "timestamp-header": "X-Time"});
    harness.advance(3 * SECOND);
    open(json!({"signature": config, "compression": "gzip"})).write(batch(&["Hi"])).expect("delivered");
    let sent = harness.requests().remove(2);
    let time = sent.header("x-time").expect("sent");
    assert_eq!(time, "1704067203");
    let signer = sign::Signer::new(&serde_json::from_value(json!({"secret": "Jefe"})).expect("fine")).expect("fine");
    let expected = signer.sign(&[b"1704067203.", sent.body.as_slice()].concat(), None);
    assert_eq!(sent.header("x-signature-256").map(str::as_bytes), Some(expected.as_slice()));
}

#[test]
fn bodies_can_be_compressed() {
    let harness = Harness::install();
    answer(&harness, 2, 200);
    let value = "a word and ".repeat(100);
    open(json!({"compression": "gzip"})).write(batch(&[&value, ""])).expect("delivered");
    for (sent, expected) in harness.requests().iter().zip([value.as_str(), ""]) {
        assert_eq!(sent.header("content-encoding"), Some("gzip"));
        let mut body = String::new();
        flate2::read::GzDecoder::new(sent.body.as_slice()).read_to_string(&mut body).expect("gzip");
        assert_eq!(body, expected);
    }
    assert!(harness.requests()[0].body.len() < 100);
}

#[test]
fn a_large_batch_goes_at_once() {
    let harness = Harness::install();
    let mut driver = open(json!({"batch": "ndjson", "batch-max-records": 10_000}));
    let values: Vec<String> = (0..10_000).map(|n| format!("{{\"n\":{n}}}")).collect();
    answer(&harness, 1, 200);
    assert_eq!(driver.write(values.iter().collect()).expect("delivered"), []);
    assert_eq!(bodies(&harness), [values.join("\n") + "\n"]);
}
