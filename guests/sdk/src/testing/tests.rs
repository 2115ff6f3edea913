use super::*;
use crate::http::Request;
use crate::{metrics, time};

#[test]
fn time_passes_only_by_waiting() {
    let harness = Harness::install();
    let start = time::now();
    time::sleep(Duration::from_secs(3600));
    assert_eq!(time::now() - start, Duration::from_secs(3600));
    assert_eq!(time::unix_millis(), START_UNIX_MILLIS + 3_600_000);
    harness.shift_wall_clock(-3_600_000);
    assert_eq!(time::unix_millis(), START_UNIX_MILLIS);
    assert_eq!(harness.elapsed(), Duration::from_secs(3600));
}

#[test]
fn an_unexpected_request_is_an_error() {
    let harness = Harness::install();
    let error = Request::get("http://a.example/x").expect("an address").send().expect_err("no answer is there");
    assert_eq!(error.message(), "http://a.example/x: the test has no answer for this request");
    assert_eq!(harness.requests().len(), 1);
}

#[test]
fn harnesses_nest_and_go() {
    let outer = Harness::install();
    {
        let inner = Harness::install();
        crate::info!(context: "part", "inside {}", 1);
        assert_eq!(inner.logs(), [(Level::Info, "part: inside 1".to_owned())]);
    }
    metrics::counter("things_total", 2);
    metrics::counter("things_total", 3);
    metrics::gauge("level", 1.0);
    metrics::gauge("level", 2.0);
    metrics::histogram("seconds", 0.5);
    assert!(outer.logs().is_empty());
    assert_eq!(outer.counter("things_total"), 5);
    assert_eq!(outer.metric("level"), Some(Metric::Gauge(2.0)));
    assert_eq!(outer.metric("seconds"), Some(Metric::Histogram(vec![0.5])));
}
