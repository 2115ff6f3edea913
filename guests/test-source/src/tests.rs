use std::time::{Duration, Instant as Clock};

use connector_sdk::ErrorKind;
use connector_sdk::testing::{Harness, SourceDriver};
use serde_json::json;

use super::*;

type Driver = SourceDriver<TestSource>;

#[test]
fn makes_count_records_then_ends() {
    let harness = Harness::install();
    let mut driver = Driver::open(json!({"count": 3}), None).expect("a fine section");
    let mut values = Vec::new();
    loop {
        let outcome = driver.read_some().expect("no failure");
        values.extend(outcome.values());
        if outcome.end {
            break;
        }
    }
    assert_eq!(values, ["record 0", "record 1", "record 2"]);
    assert_eq!(harness.elapsed(), Duration::from_secs(2), "the first at once, then one a second");
    let after = driver.read().expect("no failure");
    assert!(after.end && after.batch.is_empty());
}

#[test]
fn goes_on_where_it_was() {
    let _harness = Harness::install();
    let config = json!({"count": 10, "interval": "0s", "size": 8});
    let mut driver = Driver::open(config.clone(), None).expect("a fine section");
    driver.limit.max_records = 4;
    let first = driver.read().expect("no failure");
    assert_eq!(first.cursor, b"4");
    let mut driver = Driver::open(config.clone(), Some(&first.cursor)).expect("its own cursor");
    let second = driver.read().expect("no failure");
    assert_eq!(second.values(), ["00000004", "00000005", "00000006", "00000007", "00000008", "00000009"]);
    assert!(second.end);
    let outcome = Driver::open(config, Some(&second.cursor)).expect("its own cursor").read().expect("no failure");
    assert!(outcome.end && outcome.batch.is_empty());
}

#[test]
fn sizes_are_exact() {
    let _harness = Harness::install();
    for size in [1, 5, 19, 20, 21, 48, 100, 4096] {
        let mut driver = Driver::open(json!({"size": size, "interval": 0}), None).expect("a fine section");
        driver.limit.max_records = 12;
        let records = driver.read().expect("no failure").records();
        assert_eq!(records.len(), 12);
        assert!(records.iter().all(|record| record.value.len() == size), "size {size}");
    }
    let mut driver = Driver::open(json!({"size": 30, "interval": 0}), None).expect("a fine section");
    driver.limit.max_records = 2;
    assert_eq!(driver.read().expect("no failure").values()[1], "00000000000000000001 abcdefghi");

    let config = json!({"size": 12, "template": "{\"n\":{{n}}}", "interval": 0, "count": 1});
    let mut driver = Driver::open(config, None).expect("a fine section");
    assert_eq!(driver.read().expect("no failure").values(), ["{\"n\":0}     "]);
    let error = Driver::open(json!({"size": 2, "count": 101}), None).expect_err("99 is the last");
    assert_eq!(error.message(), "`test.size`: 2 bytes can't hold the numbers of 101 records");
}

#[test]
fn keys_and_time_come_from_templates() {
    let _harness = Harness::install();
    let config = json!({"template": "{{now}}", "key": "k{{seq}}", "interval": 0, "count": 2});
    let records = Driver::open(config, None).expect("fine").read().expect("no failure").records();
    assert_eq!(records[1].key.as_deref(), Some(&b"k1"[..]));
    assert_eq!(records[1].value, connector_sdk::testing::START_UNIX_MILLIS.to_string().as_bytes());
}

#[test]
fn limits_are_kept() {
    let harness = Harness::install();
    let mut driver = Driver::open(json!({"interval": "0s", "size": 100}), None).expect("a fine section");
    driver.limit.max_bytes = 250;
    assert_eq!(driver.read().expect("no failure").batch.len(), 3, "until the bytes are reached");
    driver.limit.max_records = 0;
    assert!(driver.read().expect("no failure").batch.is_empty());

    let mut driver = Driver::open(json!({"timeout": 60_000}), None).expect("a fine section");
    assert_eq!(driver.read().expect("no failure").batch.len(), 1);
    let outcome = driver.read().expect("no failure");
    assert!(outcome.batch.is_empty() && outcome.cursor.is_empty() && !outcome.end);
    assert_eq!(harness.elapsed(), driver.limit.max_wait);
}

#[test]
fn short_intervals_keep_their_rate_and_stalls_make_no_flood() {
    let harness = Harness::install();
    let mut driver = Driver::open(json!({"interval": "10ms"}), None).expect("a fine section");
    assert_eq!(driver.read().expect("no failure").batch.len(), 1);
    harness.advance(Duration::from_millis(105));
    assert_eq!(driver.read().expect("no failure").batch.len(), 10);
    assert_eq!(driver.read().expect("no failure").batch.len(), 1);
    harness.advance(Duration::from_secs(3600));
    assert_eq!(driver.read().expect("no failure").batch.len(), 1);
}

#[test]
fn odd_sections_are_refused() {
    for (config, message) in [
        (json!({"interval": "1s", "timeout": 5}), "`test.timeout` and `test.interval` mean the same"),
        (json!({"interval": "soon"}), "`test.interval`: `soon` is not a duration"),
        (json!({"count": -1}), "`test.count`: invalid value"),
        (json!({"cuont": 1}), "unknown field `cuont`"),
        (json!({"template": "{{x}}"}), "`test.template`: `{{x}}` is unknown"),
        (json!({"size": "1 TiB"}), "`test.size`: 1 TiB is more than a record can hold"),
    ] {
        let error = Driver::open(config, None).expect_err(message);
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.message().contains(message), "{error}");
    }
}

#[test]
fn a_million_records_are_cheap() {
    let mut driver = Driver::open(json!({"interval": 0, "size": 100, "count": 1_000_000}), None).expect("fine");
    let start = Clock::now();
    let mut made = 0;
    loop {
        let outcome = driver.read().expect("no failure");
        made += outcome.batch.len();
        if outcome.end {
            break;
        }
    }
    assert_eq!(made, 1_000_000);
    // Generous for a busy machine without optimisation; a slip to work per byte or allocation per record
    // is far beyond it.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
