//! Durations, byte sizes and authorities: examples, and both ways for any value.

use crate::{NetworkTarget, format_bytes, format_duration, parse_bytes, parse_duration};
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn durations() {
    for (text, milliseconds) in [
        ("1ms", 1),
        ("10s", 10_000),
        ("1m 30s", 90_000),
        ("1h30m", 5_400_000),
        (" 7days ", 604_800_000),
        ("10", 10_000),
        ("0", 0),
        ("0.5", 500),
        ("2 min", 120_000),
    ] {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
    }
    for text in ["", " ", "1x", "-1s", "s", "1 000", "1.2.3", "1e3", "99999999999999999999999", "∞", "."] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}

#[test]
fn byte_sizes() {
    for (text, bytes) in [
        ("0", 0),
        ("1600", 1600),
        ("44.0 MB", 44_000_000),
        ("44.0mb", 44_000_000),
        ("16 MiB", 16 << 20),
        ("1k", 1000),
        ("1ki", 1024),
        ("1 Kib", 1024),
        ("3 B", 3),
        ("0.5 GiB", 1 << 29),
        ("1 PB", 1_000_000_000_000_000),
        ("18446744073709551615", u64::MAX),
        ("1.", 1),
    ] {
        assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
    }
    for text in ["", "MB", "1aoeu", "-1", "1 M B", "1..5 KB", "99999999 PB", "18446744073709551616", "1,5 MB"] {
        assert!(parse_bytes(text).is_err(), "{text}");
    }
    assert_eq!(format_bytes(0), "0");
    assert_eq!(format_bytes(256 << 20), "256 MiB");
    assert_eq!(format_bytes(1_500_000), "1500 KB");
    assert_eq!(format_bytes(1001), "1001");
}

proptest! {
    #[test]
    fn durations_go_both_ways(seconds in 0..u64::MAX / 4, nanos in 0..1_000_000_000u32) {
        let duration = Duration::new(seconds, nanos);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn byte_sizes_go_both_ways(bytes in any::<u64>(), shift in 0..64u32) {
        for bytes in [bytes, bytes >> shift, 1u64 << shift, bytes >> shift << (shift / 2)] {
            prop_assert_eq!(parse_bytes(&format_bytes(bytes)), Ok(bytes));
        }
    }

    #[test]
    fn no_text_makes_the_units_panic(text in any::<String>(), tail in "[0-9. a-zA-Z]{0,24}") {
        for text in [&text, &tail] {
            let _ = (parse_duration(text), parse_bytes(text), NetworkTarget::parse(text));
        }
    }

    #[test]
    fn targets_go_both_ways(host in "[a-z][a-z0-9]{0,8}(\\.[a-z]{2,5}){0,2}", port in proptest::option::of(1..u16::MAX)) {
        let target = NetworkTarget { host, port };
        prop_assert_eq!(NetworkTarget::parse(&target.to_string()), Ok(vec![target]));
    }
}

#[test]
fn targets() {
    for (text, expected) in [
        ("https://Example.com/path?x", "example.com:443"),
        ("http://example.com:80", "example.com:80"),
        ("ws://h", "h:80"),
        ("wss://u:p@h/x", "h:443"),
        ("mqtt://h", "h:1883"),
        ("mqtts://H:1", "h:1"),
        ("ssl://h", "h:8883"),
        ("unknown://h/x", "h"),
        ("http://[::1]:8080/", "[::1]:8080"),
        ("mqtt://[::1]", "[::1]:1883"),
        ("mqtt.hsl.fi", "mqtt.hsl.fi"),
        ("host:9000/path", "host:9000"),
        ("[::1]:5", "[::1]:5"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("https://bücher.example", "xn--bcher-kva.example:443"),
        ("example.com.", "example.com"),
        ("mongodb://u:p@a:1,b/db", "a:1 b"),
        ("mqtt://a,b:2", "a:1883 b:2"),
    ] {
        let targets = NetworkTarget::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), expected, "{text}");
    }
    for text in ["", "http://", ":80", "h:x", "h:70000", "a b", "a,,b", "/path", "file:///etc/passwd", "h:"] {
        assert!(NetworkTarget::parse(text).is_err(), "{text}: {:?}", NetworkTarget::parse(text));
    }
}
