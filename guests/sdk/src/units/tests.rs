use proptest::prelude::*;

use super::*;

fn duration(text: &str) -> Option<StdDuration> {
    text.parse::<Duration>().ok().map(Duration::get)
}

fn size(text: &str) -> Option<u64> {
    text.parse::<ByteSize>().ok().map(ByteSize::get)
}

#[test]
fn durations_as_people_write_them() {
    assert_eq!(duration("10s"), Some(StdDuration::from_secs(10)));
    assert_eq!(duration(" 500ms "), Some(StdDuration::from_millis(500)));
    assert_eq!(duration("1h 2m"), Some(StdDuration::from_secs(3720)));
    assert_eq!(duration("10"), Some(StdDuration::from_secs(10)));
    assert_eq!(duration("0.25"), Some(StdDuration::from_millis(250)));
    assert_eq!(duration("0s"), Some(StdDuration::ZERO));
    for wrong in ["", "s", "-1", "-1s", "1x", "1e999", "nan", "inf", "ten"] {
        assert_eq!(duration(wrong), None, "{wrong}");
    }
    let error = "1x".parse::<Duration>().expect_err("no such unit").to_string();
    assert_eq!(error, "`1x` is not a duration: write `10s`, `500ms`, `1m 30s`, or a number of seconds");
}

#[test]
fn durations_in_json() {
    let parse = |text: &str| serde_json::from_str::<Duration>(text).map(Duration::get);
    assert_eq!(parse("1.5").expect("a float"), StdDuration::from_millis(1500));
    assert_eq!(parse("\"2m\"").expect("a string"), StdDuration::from_secs(120));
    for wrong in ["-1", "-0.5", "null", "true", "[]", "\"x\"", "1e300"] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
    assert_eq!(serde_json::to_string(&Duration::from_millis(90_500)).expect("a string"), "\"1m 30s 500ms\"");
}

#[test]
fn sizes_as_people_write_them() {
    assert_eq!(size("44.0 MB"), Some(44_000_000));
    assert_eq!(size("1600"), Some(1600));
    assert_eq!(size("1KiB"), Some(1024));
    assert_eq!(size("1k"), Some(1000));
    assert_eq!(size("2 Gi"), Some(2 << 30));
    assert_eq!(size("7b"), Some(7));
    for wrong in ["", "MB", "-1", "1aoeu", "1..2 MB", "99999999999999999999", "99999999 TiB", "1 bbq"] {
        assert_eq!(size(wrong), None, "{wrong}");
    }
    assert_eq!(ByteSize::from_bytes(64 << 20).to_string(), "64 MiB");
    assert_eq!(ByteSize::from_bytes(0).to_string(), "0 B");
    assert_eq!(ByteSize::from_bytes(1001).to_string(), "1001 B");
}

proptest! {
    #[test]
    fn written_durations_read_back(millis in 0u64..10_000_000_000) {
        let span = Duration::from_millis(millis);
        prop_assert_eq!(span.to_string().parse::<Duration>(), Ok(span));
    }

    #[test]
    fn written_sizes_read_back(bytes: u64) {
        let size = ByteSize::from_bytes(bytes);
        prop_assert_eq!(size.to_string().parse::<ByteSize>(), Ok(size));
    }

    #[test]
    fn no_text_panics(text in ".{0,24}") {
        let _ = (text.parse::<Duration>(), text.parse::<ByteSize>());
    }
}
