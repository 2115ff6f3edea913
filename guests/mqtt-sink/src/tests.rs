use std::time::Duration;

use connector_sdk::testing::{Harness, SinkDriver};
use connector_sdk::{Batch, Error, ErrorKind};
use mqtt_kit::testing::Broker;
use mqtt_kit::{Ack, Version};
use serde_json::{Value, json};

use super::*;

type Driver = SinkDriver<MqttSink>;

const SECOND: Duration = Duration::from_secs(1);

fn open(more: Value) -> Driver {
    let mut section = json!({"url": "mqtt://b.example", "topic": "t", "client_id": "me"});
    let Value::Object(more) = more else { panic!("an object") };
    section.as_object_mut().expect("an object").extend(more);
    Driver::open(section).expect("a fine section")
}

fn broker(harness: &Harness, version: Version) -> Broker {
    let broker = Broker::new(harness.peer(), version, false);
    broker.acknowledge(true);
    broker
}

fn batch(values: &[&str]) -> Batch {
    values.iter().collect()
}

/// Index and kind of each failure.
fn kinds(failures: &[Failure]) -> Vec<(usize, ErrorKind)> {
    failures.iter().map(|failure| (failure.index, failure.error.kind())).collect()
}

#[test]
fn a_record_is_delivered_when_the_broker_says_so() {
    for (version, protocol) in [(Version::V3, "3.1.1"), (Version::V5, "5")] {
        let harness = Harness::install();
        let broker = broker(&harness, version);
        let mut driver = open(json!({"protocol": protocol}));
        assert_eq!(driver.write(batch(&["a", "b"])), Ok(vec![]));
        assert_eq!(driver.write(batch(&["c"])), Ok(vec![]));
        let said = broker.said();
        assert_eq!(said[1..], ["PUBLISH t=a qos=1 id=1", "PUBLISH t=b qos=1 id=2", "PUBLISH t=c qos=1 id=1"]);
        assert_eq!(said[0], "CONNECT me clean", "one connection for all deliveries");
        assert_eq!(harness.counter("messages_total"), 3);
        drop(driver);
        assert_eq!(broker.said(), ["DISCONNECT"]);
    }
}

#[test]
fn quality_2_goes_all_the_way() {
    let harness = Harness::install();
    let broker = broker(&harness, Version::V5);
    let mut driver = open(json!({"qos": 2, "retain": true}));
    assert_eq!(driver.write(batch(&["a"])), Ok(vec![]));
    assert_eq!(broker.said()[1..], ["PUBLISH t=a qos=2 id=1 retain", "PUBREL 1"]);
}

#[test]
fn quality_0_waits_until_the_broker_has_had_it() {
    let harness = Harness::install();
    let healthy = broker(&harness, Version::V5);
    let mut driver = open(json!({"qos": 0}));
    assert_eq!(driver.write(batch(&["a", "b"])), Ok(vec![]));
    assert_eq!(healthy.said()[1..], ["PUBLISH t=a", "PUBLISH t=b", "PINGREQ"]);

    healthy.peer().close();
    let dead = harness.peer();
    dead.send([0x20, 3, 0, 0, 0]);
    let failures = driver.write(batch(&["c"])).expect("told one by one");
    assert_eq!(kinds(&failures), [(0, ErrorKind::Unreachable)], "nobody answered behind it");
}

#[test]
fn topics_are_made_of_records() {
    let harness = Harness::install();
    let broker = broker(&harness, Version::V5);
    let mut driver = open(json!({"topic": "{{topic}}/{{/site}}/{{key}}", "payload": "/data"}));
    let mut batch = Batch::default();
    for (key, value) in [
        (Some("k/1"), r#"{"site": "a", "data": {"n": 1.50}}"#),
        (None, r#"{"site": "a", "data": 1}"#),
        (Some("x+"), r#"{"site": "a", "data": 1}"#),
        (Some("k"), r#"{"data": 1}"#),
        (Some("k"), "plain"),
        (Some("k"), r#"{"site": 7}"#),
        (Some("k"), r#"{"site": 7, "data": "text"}"#),
    ] {
        batch.push_record(key.map(str::as_bytes), value.as_bytes(), None);
    }
    let failures = driver.write(batch).expect("some of it");
    assert_eq!(broker.said()[1..], ["PUBLISH test/a/k/1={\"n\": 1.50} qos=1 id=1", "PUBLISH test/7/k=text qos=1 id=2"]);
    let told: Vec<_> = failures.iter().map(|failure| (failure.index, failure.error.message())).collect();
    assert_eq!(kinds(&failures), (1..6).map(|index| (index, ErrorKind::Data)).collect::<Vec<_>>());
    assert_eq!(told[0].1, "`topic`: the record has no key");
    assert_eq!(told[1].1, "`topic`: `test/a/x+` holds `+`, which only filters may");
    assert!(told[2].1.starts_with("`topic`: `/site` finds nothing"), "{told:?}");
    assert!(told[3].1.contains("not JSON"), "{told:?}");
    assert!(told[4].1.starts_with("`payload`: `/data` finds nothing"), "{told:?}");
}

#[test]
fn a_lost_connection_hands_in_again_what_was_not_acknowledged() {
    let harness = Harness::install();
    let first = Broker::new(harness.peer(), Version::V5, false);
    let mut driver = open(json!({}));
    first.ack(Ack::Puback, 1);
    first.close_after_login();
    let failures = driver.write(batch(&["a", "b", "c"])).expect("told one by one");
    assert_eq!(kinds(&failures), [(1, ErrorKind::Unreachable), (2, ErrorKind::Unreachable)]);
    assert!(failures[0].error.message().starts_with("b.example:1883: "), "{failures:?}");
    let second = broker(&harness, Version::V5);
    assert_eq!(driver.write(batch(&["b", "c"])), Ok(vec![]));
    assert_eq!(second.said(), ["CONNECT me clean", "PUBLISH t=b qos=1 id=1", "PUBLISH t=c qos=1 id=2"]);
}

#[test]
fn what_the_broker_refuses_fails_alone_and_what_it_postpones_takes_the_rest_along() {
    let harness = Harness::install();
    let broker = Broker::new(harness.peer(), Version::V5, false);
    let mut driver = open(json!({}));
    broker.refuse_message(Ack::Puback, 1, 0x87);
    broker.ack(Ack::Puback, 2);
    broker.refuse_message(Ack::Puback, 3, 0x97);
    broker.ack(Ack::Puback, 4);
    let failures = driver.write(batch(&["a", "b", "c", "d"])).expect("told one by one");
    use ErrorKind::{Data, Throttled};
    assert_eq!(kinds(&failures), [(0, Data), (2, Throttled), (3, Throttled)]);
    assert!(failures[0].error.message().contains("not authorized (0x87)"), "{failures:?}");
}

#[test]
fn no_more_is_on_its_way_than_the_broker_takes() {
    use mqtt_protocol_core::mqtt::packet::ReceiveMaximum;
    let harness = Harness::install();
    let broker = Broker::new(harness.peer(), Version::V5, false);
    broker.announce(ReceiveMaximum::new(2).expect("two"));
    let mut driver = open(json!({"delivery-timeout": "5s"}));
    let failures = driver.write(batch(&["a", "b", "c"])).expect("told one by one");
    assert_eq!(harness.elapsed(), 5 * SECOND);
    assert_eq!(broker.said()[1..], ["PUBLISH t=a qos=1 id=1", "PUBLISH t=b qos=1 id=2"]);
    assert_eq!(kinds(&failures), [0, 1, 2].map(|index| (index, ErrorKind::Unreachable)));
    assert!(failures[0].error.message().contains("2 messages are not acknowledged in time"), "{failures:?}");
    assert!(!broker.peer().is_connected(), "late acknowledgements must not count for the next delivery");
}

#[test]
fn a_packet_that_the_broker_does_not_take_is_refused_here() {
    use mqtt_protocol_core::mqtt::packet::MaximumPacketSize;
    let harness = Harness::install();
    let broker = broker(&harness, Version::V5);
    broker.announce(MaximumPacketSize::new(40).expect("forty"));
    let mut driver = open(json!({}));
    let long = "x".repeat(40);
    let failures = driver.write(batch(&["a", &long, "b"])).expect("told one by one");
    assert_eq!(kinds(&failures), [(1, ErrorKind::Data)]);
    assert!(failures[0].error.message().starts_with("a message to `t`: a packet of 48 bytes"), "{failures:?}");
}

#[test]
fn properties_go_with_version_5_only() {
    let harness = Harness::install();
    let new = broker(&harness, Version::V5);
    let more =
        json!({"user-properties": {"from": "{{topic}}", "b": "x"}, "content-type": "a/b", "message-expiry": "1m"});
    let mut driver = open(more.clone());
    assert_eq!(driver.write(batch(&["a"])), Ok(vec![]));
    assert_eq!(new.said()[1..], ["PUBLISH t=a qos=1 id=1 b:x from:test"]);

    let (refusing, old) = (broker(&harness, Version::V3), broker(&harness, Version::V3));
    let mut driver = open(more.clone());
    assert_eq!(driver.write(batch(&["a"])), Ok(vec![]));
    assert_eq!((refusing.said().len(), old.said()[1].as_str()), (1, "PUBLISH t=a qos=1 id=1"));
    assert!(harness.logs().iter().any(|(_, line)| line.contains("go without their properties")));

    let mut section = json!({"url": "b", "topic": "t", "protocol": "3.1.1"});
    section.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let error = Driver::open(section).expect_err("can't be");
    assert!(error.message().contains("needs MQTT 5"), "{error}");
}

#[test]
fn a_connection_that_was_idle_for_too_long_is_made_anew() {
    let harness = Harness::install();
    let first = broker(&harness, Version::V5);
    let mut driver = open(json!({"keep-alive": "60s"}));
    assert_eq!(driver.write(batch(&["a"])), Ok(vec![]));
    harness.advance(50 * SECOND);
    assert_eq!(driver.write(batch(&["b"])), Ok(vec![]), "still good");
    harness.advance(61 * SECOND);
    let second = broker(&harness, Version::V5);
    assert_eq!(driver.write(batch(&["c"])), Ok(vec![]));
    second.peer().close();
    let third = broker(&harness, Version::V5);
    assert_eq!(driver.write(batch(&["d"])), Ok(vec![]), "a closed one is noticed before anything is sent");
    let published = |broker: &Broker| broker.said().iter().filter(|said| said.starts_with("PUBLISH")).count();
    assert_eq!((published(&first), published(&second), published(&third)), (2, 1, 1));
}

#[test]
fn refusals_have_their_kinds() {
    for (code, kind) in [(0x87, ErrorKind::Auth), (0x85, ErrorKind::Config), (0x88, ErrorKind::Unreachable)] {
        let harness = Harness::install();
        let broker = broker(&harness, Version::V5);
        broker.refuse_login(code);
        let error = open(json!({"protocol": "5"})).write(batch(&["a"])).expect_err("refused");
        assert_eq!(error.kind(), kind, "{error}");
    }
    let harness = Harness::install();
    harness.peer().refuse(Error::unreachable("the connection was refused"));
    let error = open(json!({})).write(batch(&["a"])).expect_err("nobody there");
    assert_eq!(error.to_string(), "b.example:1883: the connection was refused");
}

#[test]
fn what_is_wrong_shows_before_anything_is_sent() {
    let refused = |more: Value| {
        let mut section = json!({"url": "b", "topic": "t"});
        section.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        Driver::open(section).expect_err("refused").to_string()
    };
    assert_eq!(refused(json!({"topic": "a/#"})), "`mqtt.topic`: `a/#` holds `#`, which only filters may");
    assert_eq!(refused(json!({"topic": ""})), "`mqtt.topic`: it is empty");
    assert!(refused(json!({"topic": "a/{{kay}}"})).contains("there is no placeholder `{{kay}}`"));
    assert!(refused(json!({"delivery-timeout": 0})).contains("`mqtt.delivery-timeout`"));
}

#[test]
fn client_ids_can_be_unique() {
    let harness = Harness::install();
    let ids: Vec<String> = ["bridge-{{random}}", "bridge-{{random}}"]
        .map(|id| {
            let broker = broker(&harness, Version::V5);
            assert_eq!(open(json!({"client_id": id})).write(batch(&["a"])), Ok(vec![]));
            broker.said().remove(0)
        })
        .into();
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.starts_with("CONNECT bridge-")), "{ids:?}");
}

#[test]
fn a_check_logs_in_as_a_stranger() {
    let harness = Harness::install();
    let broker = broker(&harness, Version::V5);
    let config = serde_json::from_value(json!({"url": "b", "topic": "t", "client_id": "me"})).expect("fine");
    assert!(MqttSink::check(config).passed());
    let said = broker.said();
    assert!(said[0].starts_with("CONNECT fluvio"), "{said:?}");
    assert_eq!(said[1..], ["DISCONNECT"]);
}
