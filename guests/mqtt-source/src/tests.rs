use std::time::Duration;

use connector_sdk::ErrorKind;
use connector_sdk::testing::{Harness, SourceDriver};
use mqtt_kit::testing::Broker;
use mqtt_kit::{Ack, Qos, Version};
use serde_json::{Value, json};

use super::*;

type Driver = SourceDriver<MqttSource>;

const SECOND: Duration = Duration::from_secs(1);
const ZERO: Qos = Qos::AtMostOnce;
const ONE: Qos = Qos::AtLeastOnce;
const TWO: Qos = Qos::ExactlyOnce;

fn section(more: Value) -> Value {
    let mut section = json!({"url": "mqtt://b.example", "topic": "a/#", "client_id": "me", "payload": "raw"});
    let Value::Object(more) = more else { panic!("an object") };
    section.as_object_mut().expect("an object").extend(more);
    section
}

fn open(more: Value) -> Driver {
    Driver::open(section(more), None).expect("a fine section")
}

fn broker(harness: &Harness, version: Version, session_present: bool) -> Broker {
    Broker::new(harness.peer(), version, session_present)
}

fn cursor(outcome: &connector_sdk::testing::ReadOutcome) -> u64 {
    serde_json::from_slice::<Cursor>(&outcome.cursor).expect("a cursor").messages
}

#[test]
fn official_configuration_gives_official_records() {
    let harness = Harness::install();
    let broker = broker(&harness, Version::V5, false);
    let config = json!({"url": "mqtt://u:p@b.example", "topic": "a", "timeout": {"secs": 60, "nanos": 0}});
    let mut driver = Driver::open(config, None).expect("fine");
    assert!(driver.read().expect("no failure").batch.is_empty());
    let said = broker.said();
    assert!(said[0].starts_with("CONNECT fluvio") && said[0].ends_with(" user=u password=p clean"), "{said:?}");
    assert_eq!(said[1..], ["SUBSCRIBE 1 a:0"]);
    broker.publish("a", "hi", ZERO, 0, false);
    broker.publish("a", "", ZERO, 0, false);
    let outcome = driver.read().expect("no failure");
    assert_eq!(outcome.values(), [r#"{"mqtt_topic":"a","payload":[104,105]}"#, r#"{"mqtt_topic":"a","payload":[]}"#]);
    assert!(outcome.cursor.is_empty(), "nothing to acknowledge, nothing to remember");
    let seen = &harness.connects()[0];
    assert_eq!(seen.place(), "b.example:1883");
}

#[test]
fn a_message_is_acknowledged_when_it_is_durable() {
    for version in [Version::V3, Version::V5] {
        let harness = Harness::install();
        let broker = broker(&harness, version, false);
        let protocol = if version == Version::V3 { "3.1.1" } else { "5" };
        let mut driver = open(json!({"qos": 1, "protocol": protocol}));
        for id in 1..=3 {
            broker.publish("a/b", format!("m{id}"), ONE, id, false);
        }
        driver.limit.max_records = 2;
        let first = driver.read_some().expect("no failure");
        let second = driver.read_some().expect("no failure");
        assert_eq!((first.values(), second.values()), (vec!["m1".into(), "m2".into()], vec!["m3".into()]));
        assert_eq!((cursor(&first), cursor(&second)), (2, 3));
        assert_eq!(broker.said(), ["CONNECT me", "SUBSCRIBE 1 a/#:1"], "nothing is acknowledged yet");
        driver.commit(&first.cursor).expect("taken");
        assert_eq!(broker.said(), ["PUBACK 1", "PUBACK 2"]);
        driver.commit(&second.cursor).expect("taken");
        driver.commit(&second.cursor).expect("twice does no harm");
        assert_eq!(broker.said(), ["PUBACK 3"]);
    }
}

#[test]
fn quality_2_goes_all_the_way() {
    let harness = Harness::install();
    let broker = broker(&harness, Version::V5, false);
    let mut driver = open(json!({"qos": 2}));
    broker.publish("a", "x", TWO, 7, false);
    let outcome = driver.read_some().expect("no failure");
    driver.commit(&outcome.cursor).expect("taken");
    assert_eq!(broker.said()[2..], ["PUBREC 7"]);
    broker.ack(Ack::Pubrel, 7);
    assert!(driver.read().expect("no failure").batch.is_empty());
    assert_eq!(broker.said(), ["PUBCOMP 7"]);
    // The number is free again.
    broker.publish("a", "x", TWO, 7, true);
    assert_eq!(driver.read_some().expect("no failure").values(), ["x"]);
}

#[test]
fn a_lost_connection_repeats_nothing_when_the_session_goes_on() {
    let harness = Harness::install();
    let before = broker(&harness, Version::V5, false);
    let mut driver = open(json!({"qos": 2}));
    before.publish("a", "one", TWO, 1, false);
    before.publish("a", "two", TWO, 2, false);
    before.publish("a", "three", TWO, 3, false);
    driver.limit.max_records = 1;
    let one = driver.read_some().expect("no failure");
    driver.commit(&one.cursor).expect("taken");
    let two = driver.read_some().expect("no failure");
    before.peer().close();
    let three = driver.read_some().expect("what came before the end still counts");
    assert_eq!(three.values(), ["three"]);
    let error = driver.read().expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.message().starts_with("b.example:1883: the broker closed"), "{error}");
    driver.commit(&two.cursor).expect("kept for later");

    let after = broker(&harness, Version::V5, true);
    for (id, text) in [(1, "one"), (2, "two"), (3, "three")] {
        after.publish("a", text, TWO, id, true);
    }
    after.publish("a", "four", TWO, 4, false);
    let four = driver.read_some().expect("no failure");
    assert_eq!((four.values(), cursor(&four)), (vec!["four".to_owned()], 4));
    assert_eq!(after.said(), ["CONNECT me", "SUBSCRIBE 1 a/#:2", "PUBREC 1", "PUBREC 2"]);
    driver.commit(&four.cursor).expect("taken");
    assert_eq!(after.said(), ["PUBREC 3", "PUBREC 4"]);
    assert_eq!((harness.counter("connections_total"), harness.counter("repeats_total")), (2, 3));
}

#[test]
fn a_lost_session_is_handed_out_anew() {
    let harness = Harness::install();
    let before = broker(&harness, Version::V5, false);
    let mut driver = open(json!({"qos": 1}));
    before.publish("a", "one", ONE, 1, false);
    let one = driver.read_some().expect("no failure");
    before.peer().close();
    driver.read().expect_err("closed");
    let after = broker(&harness, Version::V5, false);
    after.publish("a", "two", ONE, 1, false);
    assert_eq!(driver.read_some().expect("no failure").values(), ["two"]);
    driver.commit(&one.cursor).expect("taken");
    assert_eq!(after.said()[2..], [""; 0], "1 is another message here");
}

#[test]
fn a_client_without_an_id_keeps_its_session_through_a_lost_connection() {
    for (version, protocol, second) in [(Version::V5, "5", ""), (Version::V3, "3.1.1", " clean")] {
        let harness = Harness::install();
        let before = broker(&harness, version, false);
        let mut driver = open(json!({"qos": 1, "client_id": null, "protocol": protocol}));
        driver.read().expect("no failure");
        before.peer().close();
        driver.read().expect_err("closed");
        let first = before.said().remove(0);
        let id = first.strip_suffix(" clean").expect("a new client begins anew");
        let after = broker(&harness, version, true);
        driver.read().expect("no failure");
        assert_eq!(after.said()[0], format!("{id}{second}"), "3.1.1 can't begin anew and then go on");
    }
}

#[test]
fn a_broker_without_version_5_is_spoken_to_in_3_1_1() {
    let harness = Harness::install();
    let old = broker(&harness, Version::V3, false);
    let new = broker(&harness, Version::V3, false);
    let mut driver = open(json!({"qos": 1}));
    new.publish("a", "x", ONE, 1, false);
    assert_eq!(driver.read_some().expect("no failure").values(), ["x"]);
    assert_eq!(old.said(), ["CONNECT of version 5"]);
    assert_eq!(new.said(), ["CONNECT me", "SUBSCRIBE 1 a/#:1"]);
    new.peer().close();
    driver.read().expect_err("closed");
    let again = broker(&harness, Version::V3, false);
    driver.read().expect("no failure");
    assert_eq!(again.said()[0], "CONNECT me", "it is remembered what the broker speaks");
}

#[test]
fn a_broker_that_hangs_up_is_tried_in_the_other_version_next() {
    let harness = Harness::install();
    harness.peer().close();
    let mut driver = open(json!({}));
    assert_eq!(driver.read().expect_err("closed").kind(), ErrorKind::Unreachable);
    let second = broker(&harness, Version::V3, false);
    driver.read().expect("no failure");
    assert_eq!(second.said()[0], "CONNECT me clean");
}

#[test]
fn refusals_have_their_kinds() {
    let refused = |protocol: &str, code: u8| {
        let harness = Harness::install();
        let broker = broker(&harness, if protocol == "5" { Version::V5 } else { Version::V3 }, false);
        broker.refuse_login(code);
        open(json!({"protocol": protocol})).read().expect_err("refused")
    };
    for (protocol, code, kind) in [
        ("5", 0x86, ErrorKind::Auth),
        ("5", 0x87, ErrorKind::Auth),
        ("5", 0x84, ErrorKind::Config),
        ("5", 0x85, ErrorKind::Config),
        ("5", 0x88, ErrorKind::Unreachable),
        ("5", 0x9f, ErrorKind::Throttled),
        ("3.1.1", 5, ErrorKind::Auth),
        ("3.1.1", 4, ErrorKind::Auth),
        ("3.1.1", 2, ErrorKind::Config),
        ("3.1.1", 3, ErrorKind::Unreachable),
    ] {
        let error = refused(protocol, code);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().starts_with("b.example:1883: the broker"), "{error}");
    }
    for (version, code) in [(Version::V3, 0x80), (Version::V5, 0x87)] {
        let harness = Harness::install();
        let broker = broker(&harness, version, false);
        broker.answer_subscriptions(code);
        let protocol = if version == Version::V3 { "3.1.1" } else { "5" };
        let error = open(json!({"protocol": protocol})).read().expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("`a/#`"), "{error}");
    }
}

#[test]
fn a_lower_quality_than_asked_for_is_said() {
    let harness = Harness::install();
    let broker = broker(&harness, Version::V5, false);
    broker.answer_subscriptions(0);
    open(json!({"qos": 2})).read().expect("no failure");
    assert!(harness.logs().iter().any(|(_, line)| line.contains("quality of service 0 only, not 2")));
}

#[test]
fn who_takes_the_session_over_is_named() {
    let harness = Harness::install();
    let broker = broker(&harness, Version::V5, false);
    let mut driver = open(json!({}));
    driver.read().expect("no failure");
    broker.peer().send([0xe0, 2, 0x8e, 0]);
    let error = driver.read().expect_err("ended");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.message().contains("client id `me`"), "{error}");
}

#[test]
fn the_connection_is_kept_alive_while_the_pipeline_waits() {
    let harness = Harness::install();
    let broker = broker(&harness, Version::V5, false);
    let mut driver = open(json!({"qos": 1, "keep-alive": "10s"}));
    broker.publish("a", "x", ONE, 1, false);
    driver.read_some().expect("no failure");
    let _ = broker.said();
    driver.limit.max_records = 0;
    for _ in 0..30 {
        harness.advance(SECOND);
        let before = harness.elapsed();
        assert!(driver.read().expect("no failure").batch.is_empty());
        assert_eq!(harness.elapsed(), before, "serving does not wait");
    }
    assert_eq!(broker.said(), ["PINGREQ"; 6], "every five seconds, whether the answers are looked at or not");
    driver.limit.max_records = 10;
    for _ in 0..20 {
        driver.read().expect("the answer was there");
    }
    let pings = broker.said();
    assert!(pings.len() >= 2 && pings.iter().all(|said| said == "PINGREQ"), "{pings:?}");
}

#[test]
fn a_broker_that_answers_no_ping_is_gone() {
    let harness = Harness::install();
    let peer = harness.peer();
    // Welcomes, subscribes, and is silent from then on.
    peer.send([0x20, 3, 0, 0, 0, 0x90, 4, 0, 1, 0, 0]);
    let mut driver = open(json!({"keep-alive": "10s"}));
    let error = (0..100).find_map(|_| driver.read().err()).expect("it is noticed");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert_eq!(error.message(), "b.example:1883: the broker has not answered a ping for 20s");
    assert_eq!(harness.elapsed(), 25 * SECOND);
}

#[test]
fn what_can_not_be_used_is_reported_in_its_place_and_then_acknowledged() {
    let harness = Harness::install();
    let broker = broker(&harness, Version::V5, false);
    let mut driver = open(json!({"qos": 1, "payload": "json"}));
    broker.publish("a", "{\"n\": 1}", ONE, 1, false);
    broker.publish("a/b", "not json", ONE, 2, false);
    broker.publish("a", "3", ONE, 3, false);
    let first = driver.read_some().expect("no failure");
    assert_eq!((first.values(), cursor(&first)), (vec![r#"{"mqtt_topic":"a","payload":{"n":1}}"#.to_owned()], 1));
    let error = driver.read().expect_err("not JSON");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().contains("`a/b`") && error.message().contains("not json"), "{error}");
    let third = driver.read().expect("no failure");
    assert_eq!((third.batch.len(), cursor(&third)), (1, 3));

    // Alone, it still gets a cursor, or it would be in the broker's way for ever.
    broker.publish("a", "{", ONE, 4, false);
    assert_eq!(driver.read().expect_err("not JSON").kind(), ErrorKind::Data);
    let before = harness.elapsed();
    let after = driver.read().expect("no failure");
    assert_eq!((after.batch.len(), cursor(&after)), (0, 4));
    assert_eq!(harness.elapsed(), before, "without waiting");
    let _ = broker.said();
    driver.commit(&after.cursor).expect("taken");
    assert_eq!(broker.said().last().expect("acknowledged"), "PUBACK 4");
}

#[test]
fn a_message_that_is_too_long_is_skipped_and_reported() {
    for version in [Version::V3, Version::V5] {
        let harness = Harness::install();
        let broker = broker(&harness, version, false);
        let protocol = if version == Version::V3 { "3.1.1" } else { "5" };
        let mut driver = open(json!({"qos": 1, "protocol": protocol, "max-message": "1kB"}));
        driver.read().expect("no failure");
        broker.publish("a", vec![b'x'; 1 << 20], ONE, 1, false);
        broker.publish("a", "fits", ONE, 2, false);
        let error = driver.read().expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.message().contains("to `a` is longer than `mqtt.max-message`"), "{error}");
        let mut outcome = driver.read_some().expect("no failure");
        if outcome.batch.is_empty() {
            outcome = driver.read_some().expect("no failure");
        }
        assert_eq!(outcome.values(), ["fits"]);
        driver.commit(&outcome.cursor).expect("taken");
        assert_eq!(broker.said()[2..], ["PUBACK 1", "PUBACK 2"]);
    }
}

#[test]
fn acknowledgements_that_are_owed_make_reads_short() {
    let harness = Harness::install();
    let broker = broker(&harness, Version::V5, false);
    let mut driver = open(json!({"qos": 1}));
    broker.publish("a", "x", ONE, 1, false);
    let outcome = driver.read_some().expect("no failure");
    let mut waits = Vec::new();
    for _ in 0..12 {
        let before = harness.elapsed();
        driver.read().expect("no failure");
        waits.push((harness.elapsed() - before).as_millis());
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000]);
    driver.commit(&outcome.cursor).expect("taken");
    let before = harness.elapsed();
    driver.read().expect("no failure");
    assert_eq!(harness.elapsed() - before, SECOND, "nothing is owed");
}

#[test]
fn a_slow_broker_does_not_hold_the_host_up() {
    let harness = Harness::install();
    let peer = harness.peer();
    peer.connect_after(4 * SECOND);
    let broker = Broker::new(peer, Version::V5, false);
    let mut driver = open(json!({}));
    for _ in 0..4 {
        let before = harness.elapsed();
        driver.read().expect("no failure");
        assert!(harness.elapsed() - before <= driver.limit.max_wait);
    }
    broker.publish("a", "x", ZERO, 0, false);
    assert_eq!(driver.read_some().expect("no failure").values(), ["x"]);
    assert_eq!(harness.connects().len(), 1);

    // And one that never answers the login is given up.
    let _silent = harness.peer();
    let mut driver = open(json!({"connect-timeout": "3s"}));
    let error = (0..9).find_map(|_| driver.read().err()).expect("given up");
    assert_eq!(error.message(), "b.example:1883: the broker does not answer the login");
}

#[test]
fn topics_that_are_named_no_more_are_unsubscribed() {
    let harness = Harness::install();
    let first = broker(&harness, Version::V5, false);
    let mut driver = open(json!({"qos": 1, "topic": ["a", "b"]}));
    first.publish("b", "x", ONE, 1, false);
    let outcome = driver.read_some().expect("no failure");
    drop(driver);
    assert_eq!(first.said().last().expect("it said goodbye"), "DISCONNECT");
    let second = broker(&harness, Version::V5, true);
    let config = section(json!({"qos": 1, "topic": ["b", "c"]}));
    let mut driver = Driver::open(config, Some(&outcome.cursor)).expect("its own cursor");
    second.publish("b", "x", ONE, 1, true);
    let outcome = driver.read_some().expect("no failure");
    assert_eq!(cursor(&outcome), 2, "counting goes on");
    assert_eq!(second.said(), ["CONNECT me", "UNSUBSCRIBE 2 a", "SUBSCRIBE 1 b:1 c:1"]);
}

#[test]
fn a_check_logs_in_as_a_stranger() {
    let harness = Harness::install();
    let broker = broker(&harness, Version::V5, false);
    let config: Config = serde_json::from_value(section(json!({"qos": 1, "topic": "$share/g/a"}))).expect("fine");
    let check = MqttSource::check(config.clone());
    assert!(check.passed(), "{check:?}");
    let said = broker.said();
    assert!(said[0].starts_with("CONNECT fluvio") && said[0].ends_with(" clean"), "{said:?}");
    assert_eq!(said[1..], ["SUBSCRIBE 1 a:0", "DISCONNECT"]);

    let refusing = Broker::new(harness.peer(), Version::V5, false);
    refusing.refuse_login(0x87);
    let check = MqttSource::check(config);
    assert_eq!((check.passed(), check.steps().len()), (false, 2));
    assert_eq!(check.steps()[1].problem.as_ref().expect("refused").kind(), ErrorKind::Auth);
}
