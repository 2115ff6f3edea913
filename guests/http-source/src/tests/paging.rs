//! Lists over several answers, and what becomes of them after a crash.

use super::*;

#[expect(clippy::needless_pass_by_value, reason = "tests pass `json!` literals")]
fn paged(rule: Value) -> Value {
    section(json!({"records": "/items", "interval": "60s", "pagination": rule}))
}

fn by_cursor() -> Value {
    paged(json!({"type": "cursor", "next": "/next", "param": "after"}))
}

/// A page with these elements and the cursor of the next.
fn page(items: &[u32], next: Option<&str>) -> Reply {
    Reply::ok(json!({"items": items, "next": next}).to_string())
}

/// Page `number` of a list of `count` elements, seven each.
fn numbered(number: u32, count: u32) -> Reply {
    let items: Vec<u32> = (number * 7..count.min(number * 7 + 7)).collect();
    let next = (number * 7 + 7 < count).then(|| (number + 1).to_string());
    page(&items, next.as_deref())
}

/// The page that a request asks for.
fn asked(harness: &Harness) -> String {
    let url = harness.requests().last().expect("a request").url.clone();
    url.split_once("after=").map_or(String::new(), |(_, after)| after.to_owned())
}

#[test]
fn one_poll_reads_all_pages() {
    let harness = Harness::install();
    for reply in [page(&[1, 2], Some("b")), page(&[], Some("c")), page(&[3], None), page(&[4], None)] {
        harness.reply(reply);
    }
    let mut driver = Driver::open(by_cursor(), None).expect("a fine section");
    let mut values = Vec::new();
    while values.len() < 4 {
        values.extend(driver.read_some().expect("no failure").values());
    }
    assert_eq!(values, ["1", "2", "3", "4"]);
    let sent: Vec<_> = harness.requests().into_iter().map(|request| (request.at.as_secs(), request.url)).collect();
    let url = |query: &str| format!("http://a.example/facts{query}");
    assert_eq!(sent, [(0, url("")), (0, url("?after=b")), (0, url("?after=c")), (60, url(""))]);
    assert_eq!(harness.counter("polls_total"), 4);
}

#[test]
fn a_restart_goes_on_behind_the_last_record() {
    // A new instance after every read, from the last cursor: a crash each time, with everything durable.
    let harness = Harness::install();
    let mut cursor: Option<Vec<u8>> = None;
    let mut values = Vec::new();
    for _ in 0..100 {
        let mut driver = Driver::open(by_cursor(), cursor.as_deref()).expect("its own cursor");
        driver.limit.max_records = 3;
        // Whatever page it asks for is there: the reply is made for the page in the cursor.
        let place: Option<Cursor> = cursor.as_deref().map(|bytes| serde_json::from_slice(bytes).expect("JSON"));
        let place = place.and_then(|cursor| cursor.place);
        let number = match place.and_then(|place| place.page) {
            Some(pages::Page::Cursor(number)) => number.parse().expect("a number"),
            _ => 0,
        };
        harness.reply(numbered(number, 50));
        let outcome = driver.read_some().expect("no failure");
        assert_eq!(asked(&harness), if number == 0 { String::new() } else { number.to_string() });
        values.extend(outcome.values().iter().map(|value| value.parse::<u32>().expect("a number")));
        cursor = Some(outcome.cursor);
        if values.len() >= 50 {
            break;
        }
        assert_eq!(harness.elapsed(), Duration::ZERO, "what is under way goes on at once");
    }
    assert_eq!(values, (0..50).collect::<Vec<_>>(), "nothing missing, nothing twice");
    let cursor: Cursor = serde_json::from_slice(&cursor.expect("a cursor")).expect("JSON");
    assert_eq!((cursor.polls, cursor.place), (1, None));
}

#[test]
fn a_failing_page_is_asked_for_again_and_keeps_the_place() {
    let harness = Harness::install();
    let mut driver = Driver::open(by_cursor(), None).expect("a fine section");
    harness.reply(page(&[1], Some("b")));
    assert_eq!(driver.read_some().expect("no failure").values(), ["1"]);
    for reply in
        [Reply::new(500, ""), Reply::new(429, ""), Reply::new(404, ""), Reply::ok("half").header("Content-Length", "9")]
    {
        harness.reply(reply);
        let error = driver.read_some().expect_err("a failure");
        assert!(error.is_retryable(), "{error}");
        assert_eq!(asked(&harness), "b");
    }
    harness.reply(page(&[2], None));
    assert_eq!(driver.read_some().expect("no failure").values(), ["2"]);
    assert_eq!(harness.elapsed(), Duration::ZERO);
}

#[test]
fn a_page_that_is_gone_after_a_restart_starts_the_list_again() {
    let harness = Harness::install();
    let mut driver = Driver::open(by_cursor(), None).expect("a fine section");
    harness.reply(page(&[1], Some("b")));
    let cursor = driver.read_some().expect("no failure").cursor;
    let mut driver = Driver::open(by_cursor(), Some(&cursor)).expect("its own cursor");
    harness.reply(Reply::new(410, "cursor expired"));
    harness.reply(page(&[1], Some("c")));
    assert_eq!(driver.read_some().expect("from the beginning").values(), ["1"]);
    let warned = harness.logs().into_iter().any(|(_, line)| line.contains("410") && line.contains("starting again"));
    assert!(warned, "{:?}", harness.logs());
    // Of another endpoint's pages nothing is known.
    let mut other = by_cursor();
    other["endpoint"] = json!("http://b.example/");
    let mut driver = Driver::open(other, Some(&cursor)).expect("a fine section");
    harness.reply(page(&[7], None));
    harness.advance(60 * SECOND);
    driver.read_some().expect("no failure");
    assert_eq!(harness.requests().last().expect("a request").url, "http://b.example/");
}

#[test]
fn a_page_that_has_changed_is_handed_out_whole() {
    let harness = Harness::install();
    let mut driver = Driver::open(by_cursor(), None).expect("a fine section");
    driver.limit.max_records = 2;
    harness.reply(page(&[1, 2, 3], None));
    let cursor = driver.read_some().expect("no failure").cursor;
    for (items, expected) in [(&[1, 2, 3][..], &["3"][..]), (&[0, 1, 2, 3], &["0", "1", "2", "3"])] {
        harness.reply(page(items, None));
        let mut driver = Driver::open(by_cursor(), Some(&cursor)).expect("its own cursor");
        assert_eq!(driver.read_some().expect("no failure").values(), expected);
    }
}

#[test]
fn unusable_pages_are_passed_over_where_the_way_is_known() {
    let harness = Harness::install();
    let rule = json!({"type": "page", "param": "p"});
    let mut driver = Driver::open(paged(rule), None).expect("a fine section");
    for reply in [page(&[1], None), Reply::ok("<html>"), page(&[3], None), page(&[], None)] {
        harness.reply(reply);
    }
    assert_eq!(driver.read_some().expect("no failure").values(), ["1"]);
    let error = driver.read_some().expect_err("a page that is none");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().contains("the body is not JSON"), "{error}");
    assert_eq!(driver.read_some().expect("the next page").values(), ["3"]);
    assert!(driver.read_some().expect("the end").batch.is_empty());
    let ends: Vec<_> =
        harness.requests().iter().map(|request| request.url[request.url.len() - 3..].to_owned()).collect();
    assert_eq!(ends, ["p=1", "p=2", "p=3", "p=4"]);

    // A cursor can't be read from what is no JSON: the poll is over.
    let mut driver = Driver::open(by_cursor(), None).expect("a fine section");
    harness.reply(page(&[1], Some("b")));
    harness.reply(Reply::ok("<html>"));
    driver.read_some().expect("no failure");
    let error = driver.read_some().expect_err("no page");
    assert_eq!(error.kind(), ErrorKind::Data);
    harness.reply(page(&[1], None));
    driver.read_some().expect("no failure");
    assert_eq!((asked(&harness).as_str(), harness.elapsed()), ("", 60 * SECOND));
}

#[test]
fn a_circle_is_reported_once_its_pages_are_out() {
    let harness = Harness::install();
    let mut driver = Driver::open(by_cursor(), None).expect("a fine section");
    for reply in [page(&[1], Some("b")), page(&[2], Some("c")), page(&[3], Some("b"))] {
        harness.reply(reply);
    }
    for expected in ["1", "2", "3"] {
        assert_eq!(driver.read_some().expect("no failure").values(), [expected]);
    }
    let error = driver.read().expect_err("the circle");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().contains("page 3 leads back"), "{error}");
    harness.reply(page(&[1], None));
    driver.read_some().expect("the next poll");
    assert_eq!(harness.elapsed(), 60 * SECOND);
}

#[test]
fn a_missing_page_ends_a_numbered_list() {
    let harness = Harness::install();
    let rule = json!({"type": "page", "param": "p", "start": 0});
    let mut driver = Driver::open(paged(rule), None).expect("a fine section");
    harness.reply(page(&[1], None));
    harness.reply(Reply::new(404, "no such page"));
    assert_eq!(driver.read_some().expect("no failure").values(), ["1"]);
    let end = driver.read_some().expect("no failure");
    let cursor: Cursor = serde_json::from_slice(&end.cursor).expect("JSON");
    assert_eq!((end.batch.len(), cursor.polls, cursor.place), (0, 1, None));
}

#[test]
fn a_feed_goes_on_where_it_stopped() {
    let harness = Harness::install();
    let rule = paged(json!({"type": "cursor", "next": "/next", "param": "after", "follow": true}));
    let mut driver = Driver::open(rule.clone(), None).expect("a fine section");
    for reply in [page(&[1], Some("b")), page(&[2], Some("c")), page(&[], Some("c"))] {
        harness.reply(reply);
    }
    let mut cursor = Vec::new();
    for _ in 0..3 {
        cursor = driver.read_some().expect("no failure").cursor;
    }
    harness.reply(page(&[3], Some("d")));
    harness.reply(page(&[], Some("d")));
    assert_eq!(driver.read_some().expect("the next poll").values(), ["3"]);
    assert_eq!((asked(&harness).as_str(), harness.elapsed()), ("c", 60 * SECOND));
    assert!(driver.read_some().expect("all of it").batch.is_empty());
    // The same after a restart, at the time of the next poll.
    let mut driver = Driver::open(rule, Some(&cursor)).expect("its own cursor");
    harness.reply(page(&[3], Some("d")));
    assert_eq!(driver.read_some().expect("no failure").values(), ["3"]);
    assert_eq!(asked(&harness), "c");
}

#[test]
fn links_to_other_hosts_get_no_credentials() {
    let harness = Harness::install();
    let config = section(json!({
        "pagination": {"type": "link"}, "records": "",
        "auth": {"type": "api-key", "name": "X-Key", "value": "s3cret"},
    }));
    let mut driver = Driver::open(config, None).expect("a fine section");
    harness.reply(Reply::ok("[1]").header("Link", "<http://b.example/2>; rel=next"));
    harness.reply(Reply::failure(Error::config("the sandbox does not allow this address")));
    driver.read_some().expect("no failure");
    let error = driver.read_some().expect_err("not allowed");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().starts_with("http://b.example/2: the sandbox"), "{error}");
    let sent = harness.requests();
    assert_eq!((sent[0].header("x-key"), sent[1].header("x-key")), (Some("s3cret"), None));
}

#[test]
fn a_page_waits_for_the_one_before_it_to_be_durable() {
    let harness = Harness::install();
    let mut source = SourceDriver::<HttpSource>::open(by_cursor(), None).expect("a fine section");
    source.limit.max_records = 2;
    for reply in [page(&[1, 2, 3], Some("b")), page(&[4], Some("c")), page(&[5], None)] {
        harness.reply(reply);
    }
    let half = source.read().expect("no failure");
    let rest = source.read().expect("within a page nothing is waited for");
    assert_eq!((half.values().len(), rest.values()), (2, vec!["3".to_owned()]));
    for _ in 0..3 {
        assert!(source.read().expect("no failure").batch.is_empty());
    }
    assert_eq!((harness.requests().len(), harness.elapsed()), (2, Duration::ZERO), "it is here, but held back");
    source.commit(&half.cursor).expect("fine");
    assert!(source.read().expect("no failure").batch.is_empty(), "half a page is not all of it");
    source.commit(&rest.cursor).expect("fine");
    assert_eq!(source.read().expect("no failure").values(), ["4"]);
}
