use mqtt_protocol_core::mqtt::packet::UserProperty;
use proptest::prelude::*;

use super::*;

fn publish(version: Version, topic: &str, payload: &[u8], qos: Qos, properties: Properties) -> Vec<u8> {
    let id = (qos != Qos::AtMostOnce).then_some(7);
    let packet = Outgoing::Publish { topic, payload, qos, id, retain: true, dup: false, properties };
    encode(version, packet).expect("a message")
}

/// Everything that comes out of these bytes, handed in piece by piece, in words.
fn decode(version: Version, bytes: &[u8], pieces: &[usize], max: usize) -> Result<Vec<String>> {
    let mut decoder = Decoder::new(version, max);
    let (mut rest, mut packets, mut pieces) = (bytes, Vec::new(), pieces.iter().cycle());
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(pieces.next().map_or(rest.len(), |&size| size.clamp(1, rest.len())));
        rest = behind;
        decoder.push(piece);
        while let Some(packet) = decoder.next()? {
            packets.push(match packet {
                Incoming::Publish(message) => format!(
                    "{} {:?} {:?} {:?} {} {}",
                    message.topic(),
                    message.payload(),
                    message.qos(),
                    message.id(),
                    message.retain(),
                    message.properties().len()
                ),
                other => format!("{other:?}"),
            });
        }
    }
    Ok(packets)
}

#[test]
fn a_broker_without_version_5_is_understood() {
    let packets = decode(Version::V5, &[0x20, 2, 0, 1], &[], 100).expect("an answer");
    assert!(packets[0].starts_with("Connack { session_present: false, code: 132,"), "{packets:?}");
}

#[test]
fn what_is_no_mqtt_is_an_error_that_says_so() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"\x20\xff\xff\xff\xff\x01",
        b"\x32\x05\x00\x01a\x00\x00",
        b"\x30\x02\x00\x00",
    ] {
        for version in [Version::V3, Version::V5] {
            let error = decode(version, bytes, &[], 1 << 20).expect_err("no MQTT");
            assert!(error.message().contains("does it speak MQTT?"), "{error}");
        }
    }
}

#[test]
fn long_messages_are_skipped_and_short_ones_around_them_kept() {
    for version in [Version::V3, Version::V5] {
        let one = |text: &str, size| publish(version, text, &vec![1; size], Qos::AtLeastOnce, Properties::new());
        let bytes = [one("a", 1), one("long", 500_000), one("b", 2), one("edge", 1_500), one("c", 0)].concat();
        for pieces in [&[][..], &[1], &[1000], &[65_536]] {
            let packets = decode(version, &bytes, pieces, 1_000).expect("MQTT");
            assert_eq!(packets.len(), 5, "{pieces:?}");
            assert!(packets[1].starts_with("Oversized { topic: \"long\", qos: AtLeastOnce, id: Some(7), length: 50"));
            assert!(packets[3].starts_with("Oversized { topic: \"edge\""), "{packets:?}");
            assert!(packets[4].starts_with("c []"), "{packets:?}");
        }
    }
}

fn any_qos() -> impl Strategy<Value = Qos> {
    prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)]
}

proptest! {
    #[test]
    fn messages_survive_any_cut(
        messages in prop::collection::vec(("[a-z/]{1,9}", prop::collection::vec(any::<u8>(), 0..300), any_qos(), 0usize..3), 1..6),
        pieces in prop::collection::vec(1usize..200, 1..5),
        old: bool,
    ) {
        let version = if old { Version::V3 } else { Version::V5 };
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (topic, payload, qos, pairs) in &messages {
            let pair = || UserProperty::new("k", "v").expect("a pair").into();
            let properties: Properties = (0..*pairs).map(|_| pair()).collect();
            bytes.extend(publish(version, topic, payload, *qos, properties));
            let id = (*qos != Qos::AtMostOnce).then_some(7u16);
            let pairs = if old { 0 } else { *pairs };
            expected.push(format!("{topic} {payload:?} {qos:?} {id:?} true {pairs}"));
        }
        prop_assert_eq!(decode(version, &bytes, &pieces, 1 << 20).expect("MQTT"), expected);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), first in 1u8..16, old: bool) {
        let version = if old { Version::V3 } else { Version::V5 };
        let _ = decode(version, &bytes, &[], 32);
        let body = bytes.len() as u8;
        let packet = [vec![first << 4 | (bytes.first().copied().unwrap_or(0) & 0x0f), body], bytes].concat();
        let _ = decode(version, &packet, &[3], 1 << 20);
    }
}
