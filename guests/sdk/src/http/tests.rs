use std::time::Duration;

use super::*;
use crate::error::ErrorKind;
use crate::testing::{Harness, Reply};

fn get(address: &str) -> Request {
    Request::get(address).expect("a good address")
}

#[test]
fn addresses_are_checked() {
    for (wrong, why) in [
        ("", "not a URL"),
        ("example.com", "not a URL"),
        ("http://", "not a URL"),
        ("ws://example.com", "`ws` addresses"),
        ("file:///etc/passwd", "`file` addresses"),
    ] {
        let error = Request::get(wrong).expect_err(wrong);
        assert_eq!(error.kind(), ErrorKind::Config, "{wrong}");
        assert!(error.message().contains(why), "{wrong}: {error}");
    }
    assert!(Request::new("GE T", "http://a.example").is_err());
    assert_eq!(get("http://a.example").outgoing.method, "GET");
}

#[test]
fn credentials_become_a_header_and_never_show() {
    let request = get("https://us%40er:p%3Ass@a.example/x?token=secret#part");
    assert_eq!(request.place(), "https://a.example/x");
    assert_eq!(request.outgoing.url.as_str(), "https://a.example/x?token=secret");
    let expected = format!("Basic {}", STANDARD.encode("us@er:p:ss"));
    assert_eq!(request.outgoing.headers.get_str("authorization"), Some(expected.as_str()));
}

#[test]
fn headers_refuse_injection_without_showing_the_value() {
    let error = get("http://a.example").header("X-Key", "secret\r\nHost: b").expect_err("a line break");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(!error.message().contains("secret"), "{error}");
    assert!(get("http://a.example").header("bad name", "x").is_err());
    let request = get("http://a.example").header("X-Raw", [0xe9, b'!']).expect("any byte but controls");
    assert_eq!(request.outgoing.headers.get("x-raw"), Some(&[0xe9, b'!'][..]));
}

#[test]
fn redirects_are_followed_with_the_right_method() {
    for (status, method, expected, body) in [
        (301, "POST", "GET", ""),
        (302, "POST", "GET", ""),
        (303, "PUT", "GET", ""),
        (303, "HEAD", "HEAD", "data"),
        (302, "PUT", "PUT", "data"),
        (307, "POST", "POST", "data"),
        (308, "POST", "POST", "data"),
        (301, "GET", "GET", "data"),
    ] {
        let harness = Harness::install();
        harness.reply(Reply::new(status, "moved").header("Location", "/there?x=1"));
        harness.reply(Reply::ok("here"));
        let request = Request::new(method, "http://a.example/here").expect("an address").body("data");
        let response = request.send().expect("an answer");
        assert_eq!(response.url(), "http://a.example/there?x=1");
        let last = harness.requests().pop().expect("two requests");
        assert_eq!((last.method.as_str(), last.body.as_slice()), (expected, body.as_bytes()), "{status} {method}");
    }
}

#[test]
fn credentials_stay_with_their_origin() {
    let harness = Harness::install();
    harness.reply(Reply::new(307, "").header("Location", "http://a.example/second"));
    harness.reply(Reply::new(307, "").header("Location", "http://b.example/third"));
    harness.reply(Reply::ok(""));
    let request = get("http://a.example/").header("Authorization", "Bearer x").expect("fine");
    let request = request.header("X-Other", "y").expect("fine").private_header("X-Key", "z").expect("fine");
    request.clone().send().expect("an answer");
    let sent = harness.requests();
    assert_eq!((sent[1].header("authorization"), sent[1].header("x-key")), (Some("Bearer x"), Some("z")));
    assert_eq!((sent[2].header("authorization"), sent[2].header("x-key")), (None, None));
    assert_eq!(sent[2].header("x-other"), Some("y"));

    for (address, key) in [("second", Some("z")), ("http://a.example:80/", Some("z")), ("//b.example/", None)] {
        let moved = request.at(address).expect("an address");
        assert_eq!(moved.outgoing.headers.get_str("x-key"), key, "{address}");
        assert_eq!(moved.same_origin(&request), key.is_some(), "{address}");
    }
    assert_eq!(request.at("ftp://a.example/").expect_err("not HTTP").kind(), ErrorKind::Config);
}

#[test]
fn an_endless_answer_outlives_the_time_for_everything() {
    let harness = Harness::install();
    harness.reply(Reply::ok("a").piece_after(Duration::from_secs(100), "b"));
    let mut response = get("http://a.example/").send().expect("an answer");
    response.endless();
    let hour = time::now() + Duration::from_secs(3600);
    assert_eq!(response.collect(10, hour).expect("no failure").as_deref(), Some(&b"ab"[..]));
}

#[test]
fn redirects_end() {
    let harness = Harness::install();
    for _ in 0..3 {
        harness.reply(Reply::new(302, "").header("Location", "/again"));
    }
    let error = get("http://a.example/again").redirects(2).send().expect_err("a loop");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.message().contains("after 2 redirects"), "{error}");

    harness.reply(Reply::new(302, "").header("Location", "http://b.example/x"));
    harness.reply(Reply::failure(Error::config("not allowed")));
    let error = get("http://a.example/again").send().expect_err("not allowed");
    assert_eq!(error.message(), "http://b.example/x (redirected from http://a.example/again): not allowed");

    harness.reply(Reply::new(302, "as it is").header("Location", "/again"));
    assert_eq!(get("http://a.example/").redirects(0).send().expect("taken as it is").status(), 302);
    harness.reply(Reply::new(302, "").header("Location", "ftp://a.example/"));
    assert!(get("http://a.example/").send().is_err());
    harness.reply(Reply::new(302, "no location"));
    assert_eq!(get("http://a.example/").send().expect("an answer").status(), 302);
}

#[test]
fn an_answer_may_come_in_turns() {
    let harness = Harness::install();
    let second = Duration::from_secs(1);
    harness.reply(Reply::ok("one ").delay(3 * second).piece_after(2 * second, "two"));
    let mut call = get("http://a.example/").start().expect("sent");
    assert!(call.wait(time::now() + second).expect("no failure").is_none());
    let mut response = call.wait(time::now() + 5 * second).expect("no failure").expect("it came");
    assert_eq!(harness.elapsed(), 3 * second);
    assert_eq!(response.collect(100, time::now() + second).expect("no failure"), None);
    assert_eq!(response.received(), 4);
    let body = response.collect(100, time::now() + 5 * second).expect("no failure");
    assert_eq!(body.as_deref(), Some(&b"one two"[..]));
    assert_eq!(harness.elapsed(), 5 * second);
    assert!(call.wait(time::now()).is_err());
}

#[test]
fn the_deadline_covers_everything() {
    let harness = Harness::install();
    let timeouts = Timeouts { total: Some(Duration::from_secs(4)), ..Timeouts::default() };
    let reply = Reply::ok("a").delay(Duration::from_secs(3)).piece_after(Duration::from_secs(3), "b");
    harness.reply(reply.clone());
    let response = get("http://a.example/x").timeouts(timeouts).send().expect("the head came");
    let error = response.bytes(10).expect_err("the body did not");
    assert_eq!(error.message(), "http://a.example/x: no complete answer within 4s");
    assert_eq!(harness.elapsed(), Duration::from_secs(4));

    harness.reply(reply.delay(Duration::from_secs(5)));
    let error = get("http://a.example/x").timeouts(timeouts).send().expect_err("too late");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert_eq!(harness.elapsed(), Duration::from_secs(8));
}

#[test]
fn short_and_broken_bodies_are_failures() {
    let harness = Harness::install();
    harness.reply(Reply::ok("half").header("Content-Length", "8"));
    let error = get("http://a.example/x").send().expect("an answer").bytes(100).expect_err("half a body");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.message().contains("8 bytes were announced, 4 came"), "{error}");

    harness.reply(Reply::ok("half").broken(Error::unreachable("reset")));
    let error = get("http://a.example/x").send().expect("an answer").bytes(100).expect_err("half a body");
    assert_eq!(error.message(), "http://a.example/x: the body broke off after 4 bytes: reset");

    harness.reply(Reply::ok("").header("Content-Length", "8"));
    let head = Request::new("HEAD", "http://a.example/x").expect("an address");
    assert_eq!(head.send().expect("an answer").bytes(100).expect("a HEAD has no body"), b"");
}

#[test]
fn bodies_are_bounded() {
    let harness = Harness::install();
    for reply in
        [Reply::ok("12345678"), Reply::ok("1234").piece("5678"), Reply::ok("12345678").header("Content-Length", "8")]
    {
        harness.reply(reply.clone());
        let error = get("http://a.example/x").send().expect("an answer").bytes(7).expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::Data);
        harness.reply(reply);
        assert_eq!(get("http://a.example/x").send().expect("an answer").bytes(8).expect("fits"), b"12345678");
    }
}

#[test]
fn a_status_decides_the_kind() {
    let expected = [
        (200, None),
        (204, None),
        (304, Some(ErrorKind::Config)),
        (400, Some(ErrorKind::Config)),
        (401, Some(ErrorKind::Auth)),
        (403, Some(ErrorKind::Auth)),
        (404, Some(ErrorKind::Config)),
        (407, Some(ErrorKind::Auth)),
        (408, Some(ErrorKind::Unreachable)),
        (425, Some(ErrorKind::Unreachable)),
        (429, Some(ErrorKind::Throttled)),
        (500, Some(ErrorKind::Unreachable)),
        (503, Some(ErrorKind::Unreachable)),
        (599, Some(ErrorKind::Unreachable)),
    ];
    let harness = Harness::install();
    for (status, kind) in expected {
        harness.reply(Reply::new(status, ""));
        let result = get("http://a.example/x").send().expect("an answer").error_for_status();
        assert_eq!(result.err().map(|error| error.kind()), kind, "{status}");
    }
}

#[test]
fn retry_after_is_honoured() {
    let harness = Harness::install();
    let date = "Mon, 01 Jan 2024 00:02:00 GMT";
    for (status, value, kind, wait) in [
        (429, "7", ErrorKind::Throttled, Some(7)),
        (503, "30", ErrorKind::Throttled, Some(30)),
        (503, date, ErrorKind::Throttled, Some(120)),
        (500, "3", ErrorKind::Unreachable, Some(3)),
        (503, "later", ErrorKind::Unreachable, None),
        (429, "later", ErrorKind::Throttled, None),
        (404, "3", ErrorKind::Config, None),
        (429, "Mon, 01 Jan 2001 00:00:00 GMT", ErrorKind::Throttled, Some(0)),
    ] {
        harness.reply(Reply::new(status, "").header("Retry-After", value));
        let response = get("http://a.example/x").send().expect("an answer");
        let error = response.error_for_status().expect_err("not 2xx");
        assert_eq!((error.kind(), error.wait()), (kind, wait.map(Duration::from_secs)), "{status} {value}");
    }
}

#[test]
fn a_method_can_be_kept() {
    for (status, method, followed) in [
        (301, "POST", false),
        (302, "POST", false),
        (303, "PUT", false),
        (303, "GET", true),
        (302, "PUT", true),
        (307, "POST", true),
        (308, "POST", true),
    ] {
        let harness = Harness::install();
        harness.reply(Reply::new(status, "moved").header("Location", "/there"));
        harness.reply(Reply::ok("here"));
        let request = Request::new(method, "http://a.example/here").expect("an address").body("data");
        let response = request.keep_method().send().expect("an answer");
        assert_eq!(response.status(), if followed { 200 } else { status }, "{status} {method}");
        assert!(harness.requests().iter().all(|sent| sent.method == method && sent.body == b"data"));
    }
}

#[test]
fn several_calls_fail_each_on_its_own() {
    let harness = Harness::install();
    let second = Duration::from_secs(1);
    let timeouts = Timeouts { total: Some(4 * second), ..Timeouts::default() };
    harness.reply(Reply::ok("").delay(9 * second));
    harness.reply(Reply::failure(Error::unreachable("reset")).delay(2 * second));
    harness.reply(Reply::new(307, "").header("location", "/last").delay(second));
    harness.reply(Reply::ok("").delay(2 * second));
    let mut calls = Calls::default();
    for path in ["late", "broken", "moved"] {
        let request = get(&format!("http://a.example/{path}")).timeouts(timeouts);
        calls.push(path, request.start().expect("sent"));
    }
    assert!(calls.next(time::now() + second / 2).is_none(), "none is ready yet");
    assert_eq!((harness.elapsed(), calls.len()), (second / 2, 3));
    let mut seen = Vec::new();
    while let Some((path, answer)) = calls.next(time::now() + 60 * second) {
        let words = answer.map_or_else(|error| error.to_string(), |response| response.place());
        seen.push((path, words, harness.elapsed().as_secs()));
    }
    let expected = [
        ("broken", "http://a.example/broken: reset", 2),
        ("moved", "http://a.example/last", 3),
        ("late", "http://a.example/late: no complete answer within 4s", 4),
    ];
    assert_eq!(seen, expected.map(|(path, words, at)| (path, words.to_owned(), at)));
    assert!(calls.is_empty() && calls.next(time::now() + second).is_none());
    assert_eq!(harness.elapsed(), 4 * second, "nothing is under way, so nothing is waited for");
}

#[test]
fn a_body_can_be_discarded_within_limits() {
    let harness = Harness::install();
    let second = Duration::from_secs(1);
    for (reply, took) in [
        (Reply::ok("whole").piece_after(second, "body"), 1),
        (Reply::ok("longer").piece_after(second, "than").piece_after(second, "ten"), 1),
        (Reply::ok("slow").piece_after(9 * second, "body"), 3),
        (Reply::ok("x").header("Content-Length", "11").piece_after(second, "y"), 0),
        (Reply::ok("broken").broken(Error::unreachable("reset")), 0),
    ] {
        let before = harness.elapsed();
        harness.reply(reply);
        get("http://a.example/").send().expect("an answer").discard(9, time::now() + 3 * second);
        assert_eq!((harness.elapsed() - before).as_secs(), took);
    }
}
