use std::time::Duration;

use connector_sdk::ErrorKind;
use connector_sdk::testing::{Harness, Metric, ReadOutcome, Reply, SourceDriver};
use serde_json::{Value, json};

use super::*;

mod access;
mod listening;
mod paging;

/// A source under test whose host makes everything durable before the next read.
#[derive(Debug)]
struct Driver {
    source: SourceDriver<HttpSource>,
    limit: Limit,
    durable: Vec<u8>,
}

impl Driver {
    fn open(config: Value, cursor: Option<&[u8]>) -> Result<Self> {
        let source = SourceDriver::open(config, cursor)?;
        Ok(Self { limit: source.limit, source, durable: Vec::new() })
    }

    fn read(&mut self) -> Result<ReadOutcome> {
        self.source.limit = self.limit;
        if !self.durable.is_empty() {
            self.source.commit(&std::mem::take(&mut self.durable)).expect("a commit never fails");
        }
        let outcome = self.source.read()?;
        self.durable.clone_from(&outcome.cursor);
        Ok(outcome)
    }

    fn read_some(&mut self) -> Result<ReadOutcome> {
        for _ in 0..1000 {
            let outcome = self.read()?;
            if !outcome.batch.is_empty() || !outcome.cursor.is_empty() || outcome.end {
                return Ok(outcome);
            }
        }
        panic!("a thousand reads gave nothing");
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn section(more: Value) -> Value {
    let mut section = json!({"endpoint": "http://a.example/facts", "interval": "10s"});
    let Value::Object(more) = more else { panic!("an object") };
    section.as_object_mut().expect("an object").extend(more);
    section
}

fn open(more: Value) -> Driver {
    Driver::open(section(more), None).expect("a fine section")
}

#[test]
fn polls_at_once_then_every_interval() {
    let harness = Harness::install();
    let mut driver = open(json!({"body": "question", "method": "post", "headers": ["X-Key: 7", "Accept:text/plain"]}));
    for text in ["one", "two", "three"] {
        harness.reply(Reply::ok(text));
        assert_eq!(driver.read_some().expect("no failure").values(), [text]);
    }
    let sent = harness.requests();
    assert_eq!(sent.iter().map(|request| request.at.as_secs()).collect::<Vec<_>>(), [0, 10, 20]);
    assert_eq!((sent[0].method.as_str(), sent[0].body.as_slice()), ("POST", &b"question"[..]));
    assert_eq!((sent[0].header("x-key"), sent[0].header("accept")), (Some("7"), Some("text/plain")));
    let agent = sent[0].header("user-agent").expect("always sent");
    assert!(agent.starts_with("fluvio/http-source "), "{agent}");
    assert_eq!(harness.counter("polls_total"), 3);
    assert_eq!(harness.counter("bytes_total"), 11);
    assert!(matches!(harness.metric("poll_duration_seconds"), Some(Metric::Histogram(all)) if all.len() == 3));
}

#[test]
fn the_official_keys_and_their_spellings_work() {
    let harness = Harness::install();
    let mut driver = open(json!({
        "user-agent": "me/1", "output-parts": "body", "output-type": "json", "interval": 10,
        "stream": false, "delimiter": "\n", "websocket_config": {"ping_interval_ms": 10000},
        "headers": ["User-Agent: you/2"],
    }));
    harness.reply(Reply::ok("x"));
    assert_eq!(driver.read().expect("no failure").values(), [r#"{"body":"x"}"#]);
    let agents = harness.requests()[0].headers.iter().filter(|(name, _)| name == "user-agent").count();
    assert_eq!((agents, harness.requests()[0].header("user-agent")), (1, Some("you/2")));
}

#[test]
fn waits_no_longer_than_allowed() {
    let harness = Harness::install();
    harness.reply(Reply::ok("part ").delay(Duration::from_secs(5)).piece_after(5 * SECOND, "whole"));
    let mut driver = open(json!({}));
    let mut reads = 0;
    let outcome = loop {
        let before = harness.elapsed();
        let outcome = driver.read().expect("no failure");
        assert!(harness.elapsed() - before <= driver.limit.max_wait);
        reads += 1;
        if !outcome.batch.is_empty() {
            break outcome;
        }
        assert!(outcome.cursor.is_empty());
    };
    assert_eq!(outcome.values(), ["part whole"]);
    assert_eq!(reads, 10);
    assert_eq!(harness.requests().len(), 1);
    driver.limit.max_records = 0;
    let before = harness.elapsed();
    assert!(driver.read().expect("no failure").batch.is_empty());
    assert_eq!(harness.elapsed(), before, "no records asked for, no wait");
}

#[test]
fn an_array_goes_out_in_batches_and_the_cursor_at_its_end() {
    let harness = Harness::install();
    let config = json!({"records": "/items", "key": "/id"});
    let body = r#"{"items": [{"id": "a", "n": 1.0}, {"id": 2}, {"id": null}, {"id": {"x": 1}}, {"id": true}]}"#;
    let mut driver = open(config.clone());
    driver.limit.max_records = 2;
    harness.reply(Reply::ok(body));
    let first = driver.read().expect("no failure");
    assert_eq!(first.values(), [r#"{"id":"a","n":1.0}"#, r#"{"id":2}"#]);
    let half: Cursor = serde_json::from_slice(&first.cursor).expect("a place in the answer");
    let second = driver.read().expect("no failure");
    let third = driver.read().expect("no failure");
    let keys = |outcome: &ReadOutcome| outcome.records().into_iter().map(|record| record.key).collect::<Vec<_>>();
    assert_eq!(keys(&first), [Some(b"a".to_vec()), Some(b"2".to_vec())]);
    assert_eq!(keys(&second), [None, Some(br#"{"x":1}"#.to_vec())]);
    assert_eq!(keys(&third), [Some(b"true".to_vec())]);
    let cursor: Cursor = serde_json::from_slice(&third.cursor).expect("the answer is through");
    let at = connector_sdk::testing::START_UNIX_MILLIS;
    assert_eq!(cursor, Cursor { polls: 1, at, ..Cursor::default() });
    assert_eq!((half.polls, half.place.and_then(|place| place.taken).map(|(taken, _)| taken)), (0, Some(2)));

    // A crash in the middle of an answer: it is asked for at once, and goes on if it is still the same.
    let changed = body.replace("1.0", "1.5");
    for (body, expected) in [(body, 3), (changed.as_str(), 5)] {
        harness.reply(Reply::ok(body));
        let before = harness.elapsed();
        let mut driver = Driver::open(section(config.clone()), Some(&first.cursor)).expect("its own cursor");
        let again = driver.read().expect("no failure");
        assert_eq!((again.batch.len(), harness.elapsed()), (expected, before));
        let cursor: Cursor = serde_json::from_slice(&again.cursor).expect("through");
        assert_eq!((cursor.polls, cursor.at, cursor.place), (1, at, None));
    }
}

#[test]
fn a_restart_keeps_the_timetable() {
    let harness = Harness::install();
    harness.reply(Reply::ok("first"));
    let cursor = open(json!({})).read().expect("no failure").cursor;
    harness.advance(3 * SECOND);
    harness.reply(Reply::ok("second"));
    let mut driver = Driver::open(section(json!({})), Some(&cursor)).expect("its own cursor");
    assert_eq!(driver.read_some().expect("no failure").values(), ["second"]);
    assert_eq!(harness.requests()[1].at, 10 * SECOND);
    let log = harness.logs().pop().expect("it says so").1;
    assert_eq!(log, "going on after poll 1; the next one is due in 7s");
}

#[test]
fn a_failed_poll_stays_due() {
    let harness = Harness::install();
    let mut driver = open(json!({}));
    for (reply, kind, words) in [
        (Reply::failure(Error::unreachable("refused")), ErrorKind::Unreachable, "http://a.example/facts: refused"),
        (Reply::new(500, "no  database\n"), ErrorKind::Unreachable, "answered 500 Internal Server Error: no database"),
        (Reply::new(503, "").header("Retry-After", "9"), ErrorKind::Throttled, "answered 503 Service Unavailable"),
        (Reply::ok("half").header("Content-Length", "9"), ErrorKind::Unreachable, "9 bytes were announced, 4 came"),
        (Reply::ok("half").broken(Error::unreachable("reset")), ErrorKind::Unreachable, "broke off after 4 bytes"),
        (Reply::new(500, "half").broken(Error::unreachable("reset")), ErrorKind::Unreachable, "answered 500"),
        (Reply::new(401, "\u{0}\u{1}"), ErrorKind::Auth, "answered 401 Unauthorized"),
        (Reply::new(404, "nobody here"), ErrorKind::Config, "answered 404 Not Found: nobody here"),
    ] {
        harness.reply(reply);
        let error = driver.read().expect_err(words);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().ends_with(words) || error.message().contains(words), "{error}");
    }
    harness.reply(Reply::ok("at last"));
    assert_eq!(driver.read().expect("no failure").values(), ["at last"]);
    assert_eq!(harness.elapsed(), Duration::ZERO, "the host decides when to try again");
    assert_eq!(harness.counter("poll_errors_total"), 8);
    assert_eq!(harness.counter("polls_total"), 1);

    harness.reply(Reply::new(404, ""));
    let error = driver.read_some().expect_err("gone");
    assert_eq!(error.kind(), ErrorKind::Unreachable, "it has been there before");
}

#[test]
fn throttling_passes_on_the_wait() {
    let harness = Harness::install();
    let mut driver = open(json!({}));
    harness.reply(Reply::new(429, "slow down").header("Retry-After", "Mon, 01 Jan 2024 00:01:30 GMT"));
    let error = driver.read().expect_err("throttled");
    assert_eq!((error.kind(), error.wait()), (ErrorKind::Throttled, Some(90 * SECOND)));
    assert!(error.message().ends_with("slow down"), "{error}");
}

#[test]
fn errors_are_data_for_those_who_want_them() {
    let harness = Harness::install();
    let mut driver = open(json!({"produce-errors": true, "output_parts": "full"}));
    harness.reply(Reply::new(404, "nobody").header("X-A", "b"));
    assert_eq!(driver.read().expect("no failure").values(), ["HTTP/1.1 404 Not Found\nx-a: b\n\nnobody"]);
}

#[test]
fn an_unchanged_answer_makes_no_record() {
    let harness = Harness::install();
    let mut driver = open(json!({"headers": ["If-None-Match: \"x\""]}));
    harness.reply(Reply::new(304, ""));
    let outcome = driver.read().expect("no failure");
    assert!(outcome.batch.is_empty() && !outcome.cursor.is_empty());
}

#[test]
fn news_is_asked_for_with_what_was_seen() {
    let harness = Harness::install();
    let mut driver = open(json!({"conditional": true, "records": ""}));
    driver.limit.max_records = 1;
    let fresh = |tag: &str, body: &str| Reply::ok(body).header("ETag", tag).header("Last-Modified", "yesterday");
    harness.reply(fresh("\"1\"", "[1,2]"));
    let half = driver.read().expect("the first half");
    assert_eq!(half.values(), ["1"]);
    assert!(!String::from_utf8_lossy(&half.cursor).contains("etag"), "the answer is not through");
    let through = driver.read().expect("the second half");
    harness.reply(Reply::new(304, ""));
    let unchanged = driver.read_some().expect("no failure");
    assert!(unchanged.batch.is_empty());
    let asked = |index: usize| {
        let request = &harness.requests()[index];
        (request.header("if-none-match").map(str::to_owned), request.header("if-modified-since").map(str::to_owned))
    };
    assert_eq!(asked(0), (None, None));
    let seen = (Some("\"1\"".to_owned()), Some("yesterday".to_owned()));
    assert_eq!(asked(1), seen);

    let stored = String::from_utf8_lossy(&through.cursor).into_owned();
    assert!(!stored.contains("example"), "an address may hold a secret: {stored}");

    // After a restart it goes on asking so; of another address nothing is known.
    harness.advance(20 * SECOND);
    for (cursor, endpoint, expected) in [
        (&through.cursor, "http://a.example/facts", seen.clone()),
        (&unchanged.cursor, "http://a.example/facts", seen.clone()),
        (&unchanged.cursor, "http://b.example/facts", (None, None)),
    ] {
        harness.reply(Reply::new(304, ""));
        let config = section(json!({"conditional": true, "records": "", "endpoint": endpoint}));
        Driver::open(config, Some(cursor)).expect("its own cursor").read().expect("no failure");
        assert_eq!(asked(harness.requests().len() - 1), expected);
    }
    harness.reply(fresh("x", "[]"));
    Driver::open(section(json!({"records": ""})), Some(&through.cursor)).expect("fine").read().expect("no failure");
    assert_eq!(asked(harness.requests().len() - 1), (None, None), "nobody asked for it");
}

#[test]
fn a_stream_is_read_as_it_comes() {
    let harness = Harness::install();
    let mut driver = open(json!({"stream": true, "interval": "60s", "output_type": "json"}));
    harness.reply(Reply::ok("one\ntw").piece_after(5 * SECOND, "o\n\nthr").piece_after(SECOND, "ee"));
    assert_eq!(driver.read().expect("no failure").values(), [r#"{"body":"one"}"#], "it does not wait for more");
    assert_eq!(harness.elapsed(), Duration::ZERO);
    assert_eq!(driver.read_some().expect("no failure").values(), [r#"{"body":"two"}"#, r#"{"body":""}"#]);
    let tail = driver.read_some().expect("no failure");
    assert_eq!(tail.values(), [r#"{"body":"three"}"#]);
    assert!(!tail.cursor.is_empty());
    harness.reply(Reply::ok("again"));
    assert_eq!(driver.read_some().expect("no failure").values(), [r#"{"body":"again"}"#]);
    assert_eq!(harness.requests()[1].at, 60 * SECOND);
    assert_eq!(harness.counter("bytes_total"), 19);
}

#[test]
fn a_stream_that_breaks_off_is_asked_for_again() {
    let harness = Harness::install();
    let mut driver = open(json!({"stream": true}));
    harness.reply(Reply::ok("one\nhal").broken(Error::unreachable("reset")));
    assert_eq!(driver.read().expect("what was complete").values(), ["one"]);
    let error = driver.read().expect_err("then the failure");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    harness.reply(Reply::ok("two\n"));
    assert_eq!(driver.read().expect("no failure").values(), ["two"]);
    assert_eq!(harness.elapsed(), Duration::ZERO);
}

#[test]
fn unusable_answers_are_passed_over() {
    let harness = Harness::install();
    let mut driver = open(json!({"records": "/items"}));
    for (body, words) in [
        (r#"{"entries": []}"#, "`records: /items` finds nothing: the document is an object with `entries`"),
        (r#"{"items": {}}"#, "`records: /items` leads to an object, not to an array"),
        ("<html>", "the body is not JSON (expected value at line 1 column 1): `<html>`"),
    ] {
        harness.reply(Reply::ok(body));
        let error = loop {
            match driver.read() {
                Ok(outcome) => assert!(outcome.batch.is_empty()),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!(error.message(), format!("http://a.example/facts: {words}"));
    }
    let polls: Vec<_> = harness.requests().iter().map(|request| request.at.as_secs()).collect();
    assert_eq!(polls, [0, 10, 20], "the next poll is made at its time");
}

#[test]
fn a_keyless_element_is_reported_between_its_neighbours() {
    let harness = Harness::install();
    let mut driver = open(json!({"records": "", "key": "/id"}));
    harness.reply(Reply::ok(r#"[{"id":1},{"x":2},{"id":3}]"#));
    assert_eq!(driver.read().expect("the first").values(), [r#"{"id":1}"#]);
    let error = driver.read().expect_err("the second");
    assert_eq!(
        error.message(),
        "http://a.example/facts: element 1: `key: /id` finds nothing: the document is an object with `x`"
    );
    let last = driver.read().expect("the third");
    assert_eq!(last.values(), [r#"{"id":3}"#]);
    assert!(!last.cursor.is_empty());
}

#[test]
fn long_bodies_are_refused_and_passed_over() {
    let harness = Harness::install();
    let mut driver = open(json!({"max-body": "8B"}));
    harness.reply(Reply::ok("123456789"));
    let error = driver.read().expect_err("nine bytes");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().contains("longer than the limit of 8 bytes"), "{error}");
    harness.reply(Reply::ok("12345678"));
    assert_eq!(driver.read_some().expect("eight bytes").values(), ["12345678"]);
    assert_eq!(harness.requests()[1].at, 10 * SECOND, "it would be as long if it were asked for at once");
}

#[test]
fn a_cron_pattern_says_when() {
    let harness = Harness::install();
    let config = json!({"endpoint": "http://a.example/", "cron": "30 2 * * *", "timezone": "Asia/Tokyo"});
    let mut driver = Driver::open(config.clone(), None).expect("a fine section");
    driver.limit.max_wait = 600 * SECOND;
    let mut cursor = Vec::new();
    for text in ["one", "two"] {
        harness.reply(Reply::ok(text));
        let outcome = driver.read_some().expect("no failure");
        assert_eq!(outcome.values(), [text]);
        cursor = outcome.cursor;
    }
    // The harness starts at midnight UTC, which is 09:00 in Tokyo.
    let hours: Vec<_> = harness.requests().iter().map(|request| request.at.as_secs_f64() / 3600.0).collect();
    assert_eq!(hours, [17.5, 41.5]);

    // One that was missed is made up for at once, however many there were.
    harness.advance(3 * 24 * 3600 * SECOND);
    let mut driver = Driver::open(config, Some(&cursor)).expect("its own cursor");
    driver.limit.max_wait = 600 * SECOND;
    for text in ["three", "four"] {
        harness.reply(Reply::ok(text));
        driver.read_some().expect("no failure");
    }
    let hours: Vec<_> = harness.requests()[2..].iter().map(|request| request.at.as_secs_f64() / 3600.0).collect();
    assert_eq!(hours, [41.5 + 72.0, 41.5 + 96.0]);
}

#[test]
fn wrong_charsets_are_data_errors() {
    let harness = Harness::install();
    let mut driver = open(json!({}));
    for (content_type, words) in [
        (
            "text/plain; charset=utf-8",
            "the body is not the UTF-8 that its `Content-Type` declares: byte 3 does not fit",
        ),
        ("text/plain; charset=shift_jis", "the body is not the Shift_JIS that its `Content-Type` declares"),
    ] {
        harness.reply(Reply::ok(&b"caf\xff"[..]).header("Content-Type", content_type));
        let error = loop {
            match driver.read() {
                Ok(outcome) => assert!(outcome.batch.is_empty()),
                Err(error) => break error,
            }
        };
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Data, format!("http://a.example/facts: {words}").as_str())
        );
    }
    harness.reply(Reply::ok(&b"caf\xff"[..]).header("Content-Type", "text/plain"));
    let as_it_came = loop {
        let outcome = driver.read().expect("nothing was declared");
        if !outcome.batch.is_empty() {
            break outcome.batch.records().remove(0).value;
        }
    };
    assert_eq!(as_it_came, b"caf\xff");
}

#[test]
fn odd_sections_are_refused() {
    for (config, words) in [
        (json!({}), "`http`: missing field `endpoint`"),
        (json!({"endpoint": "example.com"}), "`http.endpoint`: the address is not a URL"),
        (json!({"endpoint": "wss://example.com/feed"}), "`http.endpoint`: `wss` addresses are not spoken"),
        (section(json!({"method": "GET /"})), "`http.method`: `GET /` is not an HTTP method"),
        (section(json!({"headers": ["secret"]})), "`http.headers[0]` has no `:`; write `Name: value`"),
        (section(json!({"headers": ["a: b", "bad name: x"]})), "`http.headers[1]`: `bad name` is not the name"),
        (section(json!({"interval": "soon"})), "`http.interval`: `soon` is not a duration"),
        (section(json!({"records": "items"})), "`http.records`: `items` is not a JSON Pointer; write `/items`"),
        (section(json!({"records": "/a", "output_parts": "full"})), "leave out `output_parts: full`"),
        (section(json!({"output_type": "xml"})), "`http.output_type`: unknown variant `xml`"),
        (section(json!({"request-timeout": 0})), "`http.request-timeout` must be longer"),
        (section(json!({"stream": true, "records": "/a"})), "`http.records` needs complete answers"),
        (section(json!({"stream": true, "conditional": true})), "`http.conditional` needs complete answers"),
        (section(json!({"stream": true, "delimiter": ""})), "`http.delimiter` is empty"),
        (section(json!({"method": "POST", "conditional": true})), "which only GET and HEAD can"),
        (section(json!({"intervall": 1})), "unknown field `intervall`"),
        (section(json!({"cron": "@daily"})), "`http.cron` and `http.interval` exclude each other"),
        (section(json!({"timezone": "UTC"})), "`http.timezone` is that of `http.cron`"),
        (section(json!({"interval": null, "cron": "0 0 30 2 *"})), "`http.cron`: `0 0 30 2 *` never fires"),
        (section(json!({"sse": true, "records": ""})), "`http.records` needs complete answers, and `http.sse`"),
        (section(json!({"conditional": true, "pagination": {"type": "link"}})), "says nothing of the others"),
        (section(json!({"produce-errors": true, "pagination": {"type": "link"}})), "an error is no page"),
        (section(json!({"stream": true, "pagination": {"type": "link"}})), "`http.pagination` needs complete answers"),
        (section(json!({"pagination": {"type": "page"}})), "missing field `param`"),
        (section(json!({"auth": {"type": "bearer", "token": "a\nb"}})), "`http.auth`: the value of the HTTP header"),
        (section(json!({"auth": {"type": "api-key", "name": "a b", "value": "x"}})), "`a b` is not the name"),
        (section(json!({"auth": {"type": "basic", "username": "u"}})), "missing field `password`"),
        (section(json!({"auth": {"type": "digest"}})), "unknown variant `digest`"),
    ] {
        let error = Driver::open(config, None).expect_err(words);
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.message().contains(words), "{error}");
    }
}

#[test]
fn a_check_tells_its_steps() {
    let config = |more| serde_json::from_value::<Config>(section(more)).expect("a fine section");
    let steps = |check: Check| {
        let steps = check.steps().iter();
        steps.map(|step| step.problem.as_ref().map(ToString::to_string)).collect::<Vec<_>>()
    };
    let harness = Harness::install();
    harness.reply(Reply::ok("{\"a\": []}"));
    assert_eq!(steps(HttpSource::check(config(json!({"records": "/a"})))), [None, None, None]);
    harness.reply(Reply::ok("{}"));
    let found = steps(HttpSource::check(config(json!({"records": "/a"}))));
    assert!(found[2].as_deref().is_some_and(|problem| problem.contains("finds nothing")), "{found:?}");
    harness.reply(Reply::new(403, "no"));
    let found = steps(HttpSource::check(config(json!({}))));
    assert_eq!(found[1].as_deref(), Some("http://a.example/facts: answered 403 Forbidden: no"));
    assert_eq!(found.len(), 2);
    harness.reply(Reply::ok("").delay(60 * SECOND));
    let found = steps(HttpSource::check(config(json!({}))));
    assert_eq!(found[1].as_deref(), Some("no complete answer within 20s"));
    let found = steps(HttpSource::check(config(json!({"stream": true, "delimiter": ""}))));
    assert_eq!(found.len(), 1);
    harness.reply(Reply::ok("").piece_after(1000 * SECOND, "later"));
    assert_eq!(steps(HttpSource::check(config(json!({"stream": true})))), [None, None]);
}

#[test]
fn the_schema_tells_the_host_what_it_needs() {
    let schema = connector_sdk::config::schema::<Config>();
    let properties = &schema["properties"];
    assert_eq!(properties["endpoint"]["x-network"], true);
    assert_eq!(properties["headers"]["items"]["x-secret"], true);
    assert_eq!(properties["user-agent"]["x-alias-of"], "user_agent");
    assert_eq!(properties["interval"]["default"], "10s");
    let secrets = schema.to_string().matches(r#""x-secret":true"#).count();
    // headers, password, token, value, client-secret and its alias
    assert_eq!(secrets, 6);
    let oauth = properties["auth"].to_string();
    assert!(
        oauth.contains(
            r#""token-url":{"description":"The address that hands out tokens.","type":"string","x-network":true}"#
        ),
        "{oauth}"
    );
    assert_eq!(schema["required"], json!(["endpoint"]));
    assert_eq!(schema["additionalProperties"], false);
}
