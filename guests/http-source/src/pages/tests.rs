use connector_sdk::ErrorKind;
use connector_sdk::http::Headers;
use serde_json::{Value, json};

use super::*;
use crate::protocol::Head;

const ENDPOINT: &str = "https://user:pass@a.example/list?key=secret&size=%2010&q";

fn pages(rule: Value) -> Pages {
    let rule: Pagination = serde_json::from_value(rule).expect("a rule");
    Pages::new(Some(&rule), ENDPOINT, Some("token")).expect("a fine rule")
}

fn answer(body: &str, link: &str) -> Answer {
    let mut headers = Headers::default();
    if !link.is_empty() {
        headers.append("link", format!("<{link}>; rel=next").as_bytes()).expect("a header");
    }
    let head = Head { status: 200, headers, place: "https://a.example/list".to_owned() };
    Answer { head, body: body.as_bytes().to_vec(), address: "https://a.example/list?key=secret".to_owned() }
}

/// Follows answers (body, link, empty) until the end: the addresses, and how it ended.
fn walk(pages: &mut Pages, answers: &[(&str, &str, bool)]) -> (Vec<String>, String) {
    pages.begin();
    let mut page = None;
    let mut addresses = vec![pages.address(None)];
    for (count, (body, link, empty)) in (1..).zip(answers) {
        let answer = answer(body, link);
        let sign = pages.sign(page.as_ref(), &answer);
        match pages.after(page.as_ref(), sign, *empty, count) {
            Ok(Next::Page(next)) => {
                assert!(pages.knows(&next));
                let stored = serde_json::to_string(&next).expect("JSON");
                assert!(!stored.contains("secret") && !stored.contains("pass"), "{stored}");
                assert_eq!(serde_json::from_str::<Page>(&stored).expect("its own"), next);
                addresses.push(pages.address(Some(&next)));
                page = Some(next);
            }
            Ok(Next::End(from)) => return (addresses, format!("end {from:?}")),
            Ok(Next::Broken(error)) => return (addresses, format!("after it: {error}")),
            Err(error) => return (addresses, error.to_string()),
        }
    }
    (addresses, "more".to_owned())
}

const HERE: &str = "https://a.example/list?key=secret&size=%2010&q";

#[test]
fn the_link_header_leads_on() {
    let mut pages = pages(json!({"type": "link"}));
    let (addresses, end) = walk(
        &mut pages,
        &[
            ("1", "?key=secret&size=%2010&page=2", false),
            ("2", "https://b.example/other?token=t0k3n-secret&key=secret&x=%C3%A9", true),
            ("3", "/list#part", false),
            ("4", "", false),
        ],
    );
    assert_eq!(
        addresses,
        [
            HERE,
            "https://a.example/list?key=secret&size=%2010&page=2",
            "https://b.example/other?key=secret&x=%C3%A9",
            "https://a.example/list"
        ]
    );
    assert_eq!(end, "end None");
    let (_, end) = walk(&mut pages, &[("1", "ftp://a.example/", false)]);
    assert!(end.ends_with("the next page is at `ftp://a.example/`, which is no http or https address"), "{end}");
}

#[test]
fn a_cursor_in_the_body_leads_on() {
    let rule = json!({"type": "cursor", "next": "/meta/next", "param": "after"});
    let mut by_name = pages(rule.clone());
    for last in ["{}", r#"{"meta":{"next":null}}"#, r#"{"meta":{"next":""}}"#, r#"{"meta":{"next":false}}"#] {
        let first = ("{\"meta\": {\"next\": \"a b&c\"}}", "", false);
        let second = (r#"{"meta":{"next":12345678901234567890}}"#, "", true);
        let (addresses, end) = walk(&mut by_name, &[first, second, (last, "", false)]);
        let expected = ["", "&after=a+b%26c", "&after=12345678901234567890"].map(|more| format!("{HERE}{more}"));
        assert_eq!((addresses.as_slice(), end.as_str()), (&expected[..], "end None"));
    }
    for (body, words) in [("<html>", "not JSON"), (r#"{"meta":{"next":[]}}"#, "neither a text nor a number")] {
        let (_, end) = walk(&mut by_name, &[(body, "", false)]);
        assert!(end.starts_with("after it: https://a.example/list: ") && end.contains(words), "{end}");
    }

    let mut by_address = pages(json!({"type": "cursor", "next": "/next"}));
    let (addresses, end) = walk(&mut by_address, &[(r#"{"next": "/list?page=2"}"#, "", false), ("{}", "", false)]);
    assert_eq!((addresses[1].as_str(), end.as_str()), ("https://a.example/list?page=2", "end None"));

    // A parameter that the endpoint has already is replaced.
    let size = json!({"type": "cursor", "next": "/next", "param": "size"});
    let (addresses, _) = walk(&mut pages(size), &[(r#"{"next": 5}"#, "", false)]);
    assert_eq!(addresses[1], "https://a.example/list?key=secret&q&size=5");
}

#[test]
fn a_feed_goes_on_at_the_next_poll() {
    let mut pages = pages(json!({"type": "cursor", "next": "/next", "param": "after", "follow": true}));
    let (_, end) = walk(&mut pages, &[(r#"{"next": "a"}"#, "", false), (r#"{"next": "b"}"#, "", true)]);
    assert_eq!(end, "end Some(Cursor(\"b\"))");
    let (_, end) = walk(&mut pages, &[(r#"{"next": "a"}"#, "", false), (r#"{"next": "a"}"#, "", false)]);
    assert_eq!(end, "end Some(Cursor(\"a\"))");
    let (_, end) = walk(&mut pages, &[(r#"{"next": "a"}"#, "", false), ("{}", "", false)]);
    assert_eq!(end, "end None");
}

#[test]
fn numbers_lead_on_until_a_page_is_empty() {
    let mut from_one = pages(json!({"type": "page", "param": "p"}));
    let (addresses, end) = walk(&mut from_one, &[("1", "", false), ("2", "", false), ("", "", true)]);
    assert_eq!(addresses, ["&p=1", "&p=2", "&p=3"].map(|more| format!("{HERE}{more}")));
    assert_eq!(end, "end None");
    assert!(from_one.ends_with(404, Some(&Page::Number(2))));
    assert!(!from_one.ends_with(404, None) && !from_one.ends_with(500, Some(&Page::Number(2))));

    let mut offsets = pages(json!({"type": "page", "param": "offset", "start": 0, "step": 50}));
    let (addresses, _) = walk(&mut offsets, &[("1", "", false), ("2", "", false)]);
    assert_eq!(addresses, ["&offset=0", "&offset=50", "&offset=100"].map(|more| format!("{HERE}{more}")));
}

#[test]
fn circles_are_found() {
    let cursor = json!({"type": "cursor", "next": "/next", "param": "after"});
    let next = |name: &str| format!(r#"{{"next": "{name}"}}"#);
    let (a, b) = (next("a"), next("b"));
    let (addresses, end) = walk(&mut pages(cursor), &[(&a, "", false), (&b, "", false), (&a, "", false)]);
    assert_eq!(addresses.len(), 3);
    assert!(end.starts_with("after it: the pages go on without an end: page 3 leads back"), "{end}");

    let (_, end) = walk(&mut pages(json!({"type": "link"})), &[("1", "?key=secret&size=%2010&q", false)]);
    assert!(end.contains("page 1 leads back"), "{end}");

    let by_number = json!({"type": "page", "param": "p"});
    let (_, end) = walk(&mut pages(by_number), &[("[1]", "", false), ("[2]", "", false), ("[2]", "", false)]);
    assert!(end.contains("page 3 is the same as the one before it; does the server know the parameter `p`?"), "{end}");

    let few = json!({"type": "page", "param": "p", "max-pages": 2});
    let (addresses, end) = walk(&mut pages(few), &[("1", "", false), ("2", "", false), ("3", "", false)]);
    assert_eq!(addresses.len(), 2);
    assert!(end.contains("more than 2 pages; raise `pagination.max-pages`"), "{end}");
}

#[test]
fn odd_rules_are_refused() {
    for (rule, words) in [
        (json!({"type": "page", "param": ""}), "`param` is empty"),
        (json!({"type": "page", "param": "p", "step": 0}), "`step` must be"),
        (json!({"type": "link", "max_pages": 0}), "`max-pages` must be"),
    ] {
        let rule: Pagination = serde_json::from_value(rule).expect("a rule");
        let error = Pages::new(Some(&rule), ENDPOINT, None).expect_err(words);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().starts_with("`http.pagination`: ") && error.message().contains(words), "{error}");
    }
    for rule in [json!({"type": "link", "param": "p"}), json!({"type": "pages"}), json!({"type": "cursor"})] {
        assert!(serde_json::from_value::<Pagination>(rule.clone()).is_err(), "{rule}");
    }
    let stored = Page::Number(5);
    assert!(!pages(json!({"type": "link"})).knows(&stored), "a page of another rule");
}
