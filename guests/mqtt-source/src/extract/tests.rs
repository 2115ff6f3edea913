use connector_sdk::ErrorKind;
use connector_sdk::testing::{Harness, SourceDriver};
use mqtt_kit::testing::Broker;
use mqtt_kit::{Property, Qos, Version};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::MqttSource;

/// What comes of one message: key and value, or the error.
fn record(more: Value, payload: &[u8], properties: Vec<Property>) -> Result<(Option<String>, String), String> {
    let harness = Harness::install();
    let broker = Broker::new(harness.peer(), Version::V5, false);
    let mut section = json!({"url": "b", "topic": "#", "qos": 1, "client_id": "me"});
    let Value::Object(more) = more else { panic!("an object") };
    section.as_object_mut().expect("an object").extend(more);
    let mut driver = SourceDriver::<MqttSource>::open(section, None).expect("a fine section");
    broker.publish_with("a/\"b\"", payload, Qos::AtLeastOnce, 1, false, true, properties);
    let outcome = driver.read_some().map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::Data);
        error.message().to_owned()
    })?;
    let record = outcome.records().remove(0);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ok((record.key.map(text), text(record.value)))
}

fn value(more: Value, payload: &[u8]) -> Result<String, String> {
    record(more, payload, Vec::new()).map(|(_, value)| value)
}

fn key(pointer: &str, payload: &str) -> Result<Option<String>, String> {
    record(json!({"payload": "raw", "key": pointer}), payload.as_bytes(), Vec::new()).map(|(key, _)| key)
}

#[test]
fn the_five_forms() {
    let all = |form: &str, payload: &[u8]| value(json!({"payload": form}), payload);
    assert_eq!(all("raw", b"{ }").as_deref(), Ok("{ }"));
    assert_eq!(all("binary", b"\x00\xff").as_deref(), Ok(r#"{"mqtt_topic":"a/\"b\"","payload":[0,255]}"#));
    let json = all("json", b" {\"b\": 1.0,\n \"a\": [ \"x y\" ]} ");
    assert_eq!(json.as_deref(), Ok(r#"{"mqtt_topic":"a/\"b\"","payload":{"b":1.0,"a":["x y"]}}"#));
    assert_eq!(all("text", "\"ü\"\n".as_bytes()).as_deref(), Ok(r#"{"mqtt_topic":"a/\"b\"","payload":"\"ü\"\n"}"#));
    assert_eq!(all("base64", b"hi").as_deref(), Ok(r#"{"mqtt_topic":"a/\"b\"","payload":"aGk="}"#));
    assert_eq!(value(json!({}), b"").as_deref(), Ok(r#"{"mqtt_topic":"a/\"b\"","payload":[]}"#));
}

#[test]
fn what_is_not_what_it_should_be() {
    let json = value(json!({"payload": "json"}), b"{\"a\": 1} x").expect_err("a rest");
    assert!(json.starts_with("a message to `a/\"b\"`: its payload is not JSON (trailing characters"), "{json}");
    assert!(value(json!({"payload": "json"}), b"").expect_err("nothing").contains("not JSON"));
    let text = value(json!({"payload": "text"}), b"\xff").expect_err("no text");
    assert!(text.contains("its payload is not UTF-8"), "{text}");
    let long = value(json!({"payload": "json"}), &[b'x'; 1000]).expect_err("no JSON");
    assert!(long.len() < 500 && long.ends_with("…`"), "{long}");
}

#[test]
fn keys_are_the_topic_or_a_place_in_the_payload() {
    assert_eq!(key("topic", "x"), Ok(Some("a/\"b\"".to_owned())));
    let payload = r#"{"id": "m\u00fc", "n": 1.50, "o": {"p": [1, 2]}, "z": null}"#;
    assert_eq!(key("/id", payload), Ok(Some("mü".to_owned())));
    assert_eq!(key("/n", payload), Ok(Some("1.50".to_owned())));
    assert_eq!(key("/o", payload), Ok(Some(r#"{"p":[1,2]}"#.to_owned())));
    assert_eq!(key("/z", payload), Ok(None));
    let error = key("/o/q", payload).expect_err("nothing there");
    assert!(error.ends_with("`key: /o/q` finds nothing: `/o` is an object with `p`"), "{error}");
    assert!(key("/id", "plain").expect_err("no JSON").contains("not JSON"));
}

#[test]
fn what_else_a_message_has_on_request() {
    use mqtt_protocol_core::mqtt::packet::{ContentType, CorrelationData, MessageExpiryInterval, UserProperty};
    let pair = |name: &str, value: &str| UserProperty::new(name, value).expect("a pair").into();
    let properties = vec![
        ContentType::new("text/plain").expect("text").into(),
        MessageExpiryInterval::new(60).expect("a minute").into(),
        CorrelationData::new("\u{1}\u{2}").expect("bytes").into(),
        pair("k", "1"),
        pair("k", "2"),
    ];
    let include = json!({"payload": "text", "include": ["properties", "qos", "retain"]});
    let (_, record) = record(include, b"x", properties).expect("a record");
    assert_eq!(
        record,
        concat!(
            r#"{"mqtt_topic":"a/\"b\"","payload":"x","qos":1,"retain":true,"properties":{"content_type":"text/plain","#,
            r#""message_expiry":60,"correlation_data":"AQI=","user":[["k","1"],["k","2"]]}}"#
        )
    );
}

proptest! {
    #[test]
    fn every_record_is_json_that_holds_the_payload(payload in prop::collection::vec(any::<u8>(), 0..40)) {
        let binary: Value = serde_json::from_str(&value(json!({}), &payload).expect("always")).expect("JSON");
        prop_assert_eq!(&binary["payload"], &json!(payload));
        match (value(json!({"payload": "json"}), &payload), serde_json::from_slice::<Value>(&payload)) {
            (Ok(record), Ok(expected)) => {
                let record: Value = serde_json::from_str(&record).expect("JSON");
                prop_assert_eq!(&record["payload"], &expected);
            }
            (Err(_), Err(_)) => {}
            (ours, theirs) => prop_assert!(false, "{:?} against {:?}", ours, theirs),
        }
    }
}
