//! What an answer, or none, makes of the records.

use super::*;

#[test]
fn every_status_has_its_meaning() {
    use ErrorKind::{Auth, Config, Data, Throttled, Unreachable};
    for (reply, expected, words) in [
        (Reply::new(200, "thanks"), None, ""),
        (Reply::new(201, ""), None, ""),
        (Reply::new(204, ""), None, ""),
        (Reply::new(400, "no such colour"), Some(Data), "answered 400 Bad Request: no such colour"),
        (Reply::new(404, ""), Some(Data), "answered 404 Not Found"),
        (Reply::new(409, ""), Some(Data), "answered 409 Conflict"),
        (Reply::new(413, ""), Some(Data), "answered 413 Payload Too Large"),
        (Reply::new(422, "{\"error\":\n\"x\"}"), Some(Data), "answered 422 Unprocessable Entity: {\"error\": \"x\"}"),
        (Reply::new(408, ""), Some(Unreachable), "answered 408"),
        (Reply::new(421, ""), Some(Unreachable), "answered 421"),
        (Reply::new(425, ""), Some(Unreachable), "answered 425"),
        (Reply::new(429, "slow down"), Some(Throttled), "answered 429 Too Many Requests: slow down"),
        (Reply::new(500, "oops"), Some(Unreachable), "answered 500 Internal Server Error: oops"),
        (Reply::new(502, ""), Some(Unreachable), "answered 502"),
        (Reply::new(503, ""), Some(Unreachable), "answered 503"),
        (Reply::new(503, "").header("Retry-After", "7"), Some(Throttled), "answered 503"),
        (Reply::failure(Error::unreachable("the connection was refused")), Some(Unreachable), "connection was refused"),
        (Reply::ok("late").delay(20 * SECOND), Some(Unreachable), "no complete answer within 15s"),
        (Reply::new(401, "who?"), Some(Auth), "answered 401 Unauthorized: who?"),
        (Reply::new(403, ""), Some(Auth), "answered 403"),
        (Reply::new(407, ""), Some(Auth), "answered 407"),
        (
            Reply::new(302, "").header("Location", "https://b.example/login?secret=1"),
            Some(Config),
            "answered 302 Found, to `https://b.example/login`, where",
        ),
        (Reply::new(301, "").header("Location", "/there"), Some(Config), "make it the `endpoint`"),
        (Reply::new(303, "").header("Location", "/there"), Some(Config), "without its body"),
        (Reply::new(304, ""), Some(Config), "answered 304 Not Modified, which says nothing of the record"),
        (Reply::new(307, "no location"), Some(Config), "answered 307"),
        (Reply::failure(Error::config("the sandbox does not allow this address")), Some(Config), "the sandbox"),
    ] {
        let harness = Harness::install();
        let name = format!("{reply:?}");
        harness.reply(reply);
        let outcome = open(json!({})).write(batch(&["x"]));
        let error = match outcome {
            Ok(failures) => failures.into_iter().next().map(|failure| failure.error),
            Err(error) => {
                assert!(matches!(error.kind(), Auth | Config), "{name}: {error}");
                Some(error)
            }
        };
        assert_eq!(error.as_ref().map(Error::kind), expected, "{name}: {error:?}");
        if let Some(error) = error {
            assert!(error.message().starts_with("http://a.example/in: "), "{error}");
            assert!(error.message().contains(words) && !error.message().contains("secret"), "{error}");
        }
        assert_eq!(harness.requests().len(), 1);
    }
}

#[test]
fn what_may_pass_stops_the_delivery_in_order() {
    let harness = Harness::install();
    let mut driver = open(json!({}));
    for status in [200, 422, 200] {
        answer(&harness, 1, status);
    }
    harness.reply(Reply::new(429, "").header("Retry-After", "30"));
    let failures = driver.write(batch(&["a", "b", "c", "d", "e", "f"])).expect("known of each");
    use ErrorKind::{Data, Throttled};
    assert_eq!(kinds(&failures), [(1, Data), (3, Throttled), (4, Throttled), (5, Throttled)]);
    assert!(failures[1..].iter().all(|failure| failure.error.wait() == Some(30 * SECOND)));
    assert_eq!(bodies(&harness), ["a", "b", "c", "d"], "nothing behind the failure was sent");
    assert_eq!(harness.counter("requests_total"), 4);
    assert_eq!(harness.counter("request_errors_total"), 2);
    assert_eq!(harness.elapsed(), Duration::ZERO, "waiting is the host's business");
}

#[test]
fn several_requests_are_under_way_and_each_counts_for_itself() {
    let harness = Harness::install();
    let mut driver = open(json!({"concurrency": 3}));
    for (seconds, status) in [(3, 200), (1, 400), (2, 200), (3, 200), (1, 200)] {
        harness.reply(Reply::new(status, "").delay(seconds * SECOND));
    }
    let failures = driver.write(batch(&["a", "b", "c", "d", "e"])).expect("known of each");
    assert_eq!(kinds(&failures), [(1, ErrorKind::Data)]);
    let sent: Vec<_> = harness.requests().iter().map(|sent| sent.at.as_secs()).collect();
    assert_eq!(sent, [0, 0, 0, 1, 2], "the next goes when one has its answer");
    assert_eq!(harness.elapsed(), 4 * SECOND);

    // What is under way when one fails is waited for, and nothing more is started.
    for (seconds, status) in [(2, 200), (1, 500), (3, 500)] {
        harness.reply(Reply::new(status, "").delay(seconds * SECOND));
    }
    let failures = driver.write(batch(&["a", "b", "c", "d", "e"])).expect("known of each");
    use ErrorKind::Unreachable;
    assert_eq!(kinds(&failures), [(1, Unreachable), (2, Unreachable), (3, Unreachable), (4, Unreachable)]);
    assert_eq!(harness.requests().len(), 5 + 3);
}

#[test]
fn refused_credentials_are_everybodys_business() {
    let harness = Harness::install();
    let mut driver = open(json!({}));
    answer(&harness, 1, 200);
    answer(&harness, 1, 401);
    let error = driver.write(batch(&["a", "b", "c"])).expect_err("nothing else can be said");
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert_eq!(harness.requests().len(), 2);
}

#[test]
fn a_batch_that_is_refused_is_halved_until_the_record_at_fault_is_alone() {
    for form in ["json-array", "ndjson"] {
        let harness = Harness::install();
        let mut driver = open(json!({"batch": form}));
        // 0..8, 0..4, 4..8, 4..6, 6..8, 6, 7: record 6 is at fault.
        for status in [422, 200, 422, 200, 422] {
            answer(&harness, 1, status);
        }
        harness.reply(Reply::new(422, "six is too much"));
        answer(&harness, 1, 200);
        let failures = driver.write(batch(&["0", "1", "2", "3", "4", "5", "6", "7"])).expect("known of each");
        assert_eq!(kinds(&failures), [(6, ErrorKind::Data)]);
        assert!(failures[0].error.message().ends_with("Unprocessable Entity: six is too much"));
        let sent = bodies(&harness);
        let numbers = sent.iter().map(|body| body.chars().filter(char::is_ascii_digit).collect::<String>());
        assert_eq!(numbers.collect::<Vec<_>>(), ["01234567", "0123", "4567", "45", "67", "6", "7"]);
        assert_eq!(driver.write(Batch::default()).expect("nothing to send"), []);
    }
}

#[test]
fn a_failure_that_may_pass_ends_the_halving_too() {
    let harness = Harness::install();
    let mut driver = open(json!({"batch": "ndjson"}));
    for status in [400, 200, 503] {
        answer(&harness, 1, status);
    }
    let failures = driver.write(batch(&["0", "1", "2", "3"])).expect("known of each");
    assert_eq!(kinds(&failures), [(2, ErrorKind::Unreachable), (3, ErrorKind::Unreachable)]);
}

#[test]
fn a_slow_endpoint_gets_what_fits_into_a_call() {
    let harness = Harness::install();
    let mut driver = open(json!({}));
    for _ in 0..3 {
        harness.reply(Reply::ok("").delay(4 * SECOND));
    }
    let failures = driver.write(batch(&["a", "b", "c", "d", "e"])).expect("known of each");
    use ErrorKind::Throttled;
    assert_eq!(kinds(&failures), [(3, Throttled), (4, Throttled)]);
    assert_eq!(failures[0].error.message(), "not sent yet: what was before it has taken 10s");
    assert_eq!(failures[0].error.wait(), Some(Duration::ZERO), "there is nothing to wait for");
    assert_eq!(harness.elapsed(), 12 * SECOND);

    // One request is made in any case, and the answer's body does not hold things up.
    harness.reply(Reply::ok("begins").delay(14 * SECOND).piece_after(60 * SECOND, "and ends"));
    let failures = driver.write(batch(&["d", "e"])).expect("known of each");
    assert_eq!(kinds(&failures), [(1, Throttled)]);
    assert!(harness.elapsed() <= 12 * SECOND + 16 * SECOND, "{:?}", harness.elapsed());
}

#[test]
fn redirects_repeat_the_record_or_nothing() {
    let harness = Harness::install();
    harness.reply(Reply::new(307, "").header("Location", "http://a.example/there"));
    harness.reply(Reply::new(308, "").header("Location", "/for-good"));
    answer(&harness, 1, 200);
    assert_eq!(open(json!({})).write(batch(&["x"])).expect("delivered"), []);
    let sent: Vec<_> = harness.requests().into_iter().map(|sent| (sent.method, sent.url, sent.body)).collect();
    assert_eq!(sent[2], ("POST".to_owned(), "http://a.example/for-good".to_owned(), b"x".to_vec()));

    harness.reply(Reply::new(307, "").header("Location", "http://a.example/there"));
    let error = open(json!({"redirects": 0})).write(batch(&["x"])).expect_err("told not to");
    assert_eq!(error.kind(), ErrorKind::Config);
}
