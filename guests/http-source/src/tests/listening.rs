//! Server-sent events.

use super::*;

fn events(text: impl Into<Vec<u8>>) -> Reply {
    Reply::ok(text).header("Content-Type", "text/event-stream; charset=utf-8")
}

fn numbered(from: u32, to: u32) -> String {
    (from..to).map(|n| format!("id: {n}\ndata: event {n}\n\n")).collect()
}

fn last_id(harness: &Harness) -> Option<String> {
    harness.requests().last().expect("a request").header("last-event-id").map(str::to_owned)
}

#[test]
fn events_go_on_behind_the_last_one() {
    let harness = Harness::install();
    let mut driver = open(json!({"sse": true}));
    driver.limit.max_records = 3;
    let mut values = Vec::new();
    // Two clean ends, a break, and a half event each time.
    for (from, reply) in [(0, events(numbered(0, 5) + "data: ha")), (5, events(numbered(5, 7))), (7, events(""))] {
        let reply = if from == 5 { reply.broken(Error::unreachable("reset")) } else { reply };
        harness.reply(reply);
    }
    while values.len() < 7 {
        values.extend(driver.read_some().expect("no failure").values());
    }
    assert_eq!(values, (0..7).map(|n| format!("event {n}")).collect::<Vec<_>>());
    assert_eq!(harness.elapsed(), Duration::ZERO, "it asks again at once");
    assert!(driver.read_some().expect("the break").batch.is_empty());
    // What had nothing to say is asked again when the interval is over.
    assert!(driver.read_some().expect("an empty answer").batch.is_empty());
    harness.reply(events(numbered(7, 8)));
    assert_eq!(driver.read_some().expect("no failure").values(), ["event 7"]);
    assert_eq!(harness.elapsed(), 10 * SECOND);
    let sent = harness.requests();
    let ids: Vec<_> = sent.iter().map(|request| request.header("last-event-id")).collect();
    assert_eq!(ids, [None, Some("4"), Some("6"), Some("6")]);
    assert!(sent.iter().all(|request| request.header("accept") == Some("text/event-stream")));
    assert!(sent.iter().all(|request| request.header("accept-encoding").is_none()));
}

#[test]
fn a_restart_goes_on_behind_the_last_event() {
    let harness = Harness::install();
    let config = section(json!({"sse": true}));
    let mut cursor: Option<Vec<u8>> = None;
    let mut values = Vec::new();
    while values.len() < 20 {
        let mut driver = Driver::open(config.clone(), cursor.as_deref()).expect("its own cursor");
        driver.limit.max_records = 3;
        let next = u32::try_from(values.len()).expect("few");
        harness.reply(events(numbered(next, 20)));
        let outcome = driver.read_some().expect("no failure");
        values.extend(outcome.values());
        let expected = next.checked_sub(1).map(|last| last.to_string());
        assert_eq!(last_id(&harness), expected);
        cursor = Some(outcome.cursor);
        harness.advance(10 * SECOND);
    }
    assert_eq!(values, (0..20).map(|n| format!("event {n}")).collect::<Vec<_>>());
    let mut other = config;
    other["endpoint"] = json!("http://b.example/");
    harness.reply(events(""));
    Driver::open(other, cursor.as_deref()).expect("fine").read_some().expect("no failure");
    assert_eq!(last_id(&harness), None, "an id means nothing at another address");
}

#[test]
fn an_answer_may_say_itself_that_it_is_events() {
    let harness = Harness::install();
    let mut driver = open(json!({}));
    // It lasts longer than a poll may.
    harness.reply(events(numbered(0, 1)).piece_after(1000 * SECOND, numbered(1, 2)));
    assert_eq!(driver.read_some().expect("no failure").values(), ["event 0"]);
    driver.limit.max_wait = 2000 * SECOND;
    assert_eq!(driver.read_some().expect("no failure").values(), ["event 1"]);
    let cursor = {
        harness.reply(events(numbered(2, 3)));
        driver.read_some().expect("no failure").cursor
    };
    harness.reply(events(""));
    let mut driver = Driver::open(section(json!({})), Some(&cursor)).expect("its own cursor");
    driver.read_some().expect("no failure");
    assert_eq!(last_id(&harness).as_deref(), Some("2"), "a restart knows");

    // Not against what the configuration says.
    for config in [json!({"sse": false}), json!({"stream": true, "delimiter": "\n\n"})] {
        harness.reply(events("data: x\n\n"));
        let value = open(config.clone()).read_some().expect("no failure").values().remove(0);
        assert_eq!(value.trim_end(), "data: x", "{config}");
    }
}

#[test]
fn the_server_says_how_long_to_wait() {
    let harness = Harness::install();
    let mut driver = open(json!({"sse": true}));
    driver.limit.max_wait = 60 * SECOND;
    harness.reply(events("retry: 4000\ndata: a\n\n"));
    harness.reply(events("data: b\n\n").broken(Error::unreachable("reset")));
    harness.reply(Reply::failure(Error::unreachable("refused")));
    assert_eq!(driver.read_some().expect("no failure").values(), ["a"]);
    assert_eq!(driver.read_some().expect("no failure").values(), ["b"]);
    assert_eq!(harness.elapsed(), 4 * SECOND);
    driver.read_some().expect("the break");
    let error = driver.read_some().expect_err("nobody there");
    assert_eq!((error.kind(), harness.elapsed()), (ErrorKind::Unreachable, 8 * SECOND));
}

#[test]
fn records_have_the_forms_of_all_others() {
    let harness = Harness::install();
    let text = "event: add\nid: 7\ndata: {\"k\": 1,\ndata:  \"v\": 2}\n\ndata: {\"k\": null}\n\n";
    for (config, expected) in [
        (json!({}), ["{\"k\": 1,\n \"v\": 2}", "{\"k\": null}"]),
        (
            json!({"output_type": "json", "key": "/k"}),
            [
                r#"{"event":"add","id":"7","body":"{\"k\": 1,\n \"v\": 2}"}"#,
                r#"{"event":"message","id":"7","body":"{\"k\": null}"}"#,
            ],
        ),
    ] {
        let has_key = config.get("key").is_some();
        harness.reply(Reply::ok(text).header("Content-Type", "TEXT/Event-Stream"));
        let outcome = open(config).read_some().expect("no failure");
        assert_eq!(outcome.values(), expected);
        assert_eq!(outcome.records()[0].key.as_deref(), has_key.then_some(&b"1"[..]));
        assert_eq!(outcome.records()[1].key, None);
    }
}

#[test]
fn what_is_no_event_stream_is_an_error() {
    let harness = Harness::install();
    let mut driver = open(json!({"sse": true}));
    harness.reply(Reply::ok("<html>").header("Content-Type", "text/html"));
    let error = driver.read_some().expect_err("a page");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.message(), "http://a.example/facts: the answer is text/html, not text/event-stream");
    harness.reply(events("data: a\n\n"));
    driver.read_some().expect("no failure");
    harness.reply(Reply::ok("<html>").header("Content-Type", "text/html"));
    assert_eq!(driver.read_some().expect_err("a page").kind(), ErrorKind::Unreachable, "it has sent events before");
    harness.reply(events("").header("Content-Encoding", "zstd"));
    assert_eq!(driver.read_some().expect_err("it holds back").kind(), ErrorKind::Config);
}

#[test]
fn no_content_is_the_end() {
    let harness = Harness::install();
    let mut driver = open(json!({"sse": true}));
    harness.reply(events("id: 1\ndata: a\n\n"));
    harness.reply(Reply::new(204, ""));
    driver.read_some().expect("no failure");
    let end = driver.read_some().expect("no failure");
    assert!(end.end && end.batch.is_empty() && !end.cursor.is_empty());
}

#[test]
fn an_event_that_can_not_be_used_is_passed_over() {
    let harness = Harness::install();
    let mut driver = open(json!({"sse": true, "key": "/k", "max-record": 20}));
    let long = "x".repeat(100);
    harness.reply(events(format!(
        "id: 1\ndata: {{\"k\":1}}\n\nid: 2\ndata: none\n\nid: 3\ndata: {long}\n\nid: 4\ndata: {{\"k\":2}}\n\n"
    )));
    assert_eq!(driver.read().expect("the first").values(), [r#"{"k":1}"#]);
    let error = driver.read().expect_err("the second");
    assert!(error.message().contains("the body is not JSON"), "{error}");
    let error = driver.read().expect_err("the third");
    assert_eq!(error.message(), "http://a.example/facts: an event is longer than `max-record`");
    assert_eq!(error.kind(), ErrorKind::Data);
    let last = driver.read().expect("the fourth");
    assert_eq!(last.values(), [r#"{"k":2}"#]);
    let cursor: Cursor = serde_json::from_slice(&last.cursor).expect("JSON");
    assert_eq!(cursor.event.map(|event| event.id).as_deref(), Some("4"));
}

#[test]
fn a_damaged_coding_is_reported_once() {
    let harness = Harness::install();
    for config in [json!({"sse": true}), json!({"stream": true})] {
        let mut driver = open(config);
        harness.reply(events("this is no gzip").header("Content-Encoding", "gzip"));
        let error = driver.read_some().expect_err("no gzip");
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.message().contains("the body is not the gzip that it is declared to be"), "{error}");
        assert!(driver.read_some().expect("its end").batch.is_empty());
        harness.reply(events("data: x\n\n"));
        assert!(!driver.read_some().expect("no failure").batch.is_empty());
    }
}
