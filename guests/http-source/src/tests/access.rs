//! Credentials, and compressed answers.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

fn oauth(more: Value) -> Value {
    let mut auth = json!({
        "type": "oauth2", "token-url": "http://id.example/token", "client-id": "me & you", "client-secret": "s3cr+et",
    });
    let Value::Object(more) = more else { panic!("an object") };
    auth.as_object_mut().expect("an object").extend(more);
    json!({"auth": auth})
}

fn token(text: &str, life: u64) -> Reply {
    Reply::ok(json!({"access_token": text, "token_type": "bearer", "expires_in": life}).to_string())
}

/// What each request was authorised by.
fn authorizations(harness: &Harness) -> Vec<String> {
    let sent = harness.requests();
    sent.iter().map(|request| request.header("authorization").unwrap_or("-").to_owned()).collect()
}

#[test]
fn credentials_that_do_not_change() {
    for (auth, header, value, query) in [
        (json!({"type": "basic", "username": "u", "password": "p"}), "authorization", Some("Basic dTpw"), ""),
        (json!({"type": "bearer", "token": "t0k"}), "authorization", Some("Bearer t0k"), ""),
        (json!({"type": "api-key", "name": "X-Key", "value": "k"}), "x-key", Some("k"), ""),
        (json!({"type": "api-key", "name": "key", "in": "query", "value": "a&b"}), "x-key", None, "?key=a%26b"),
    ] {
        let harness = Harness::install();
        harness.reply(Reply::ok("x"));
        open(json!({"auth": auth})).read_some().expect("no failure");
        let sent = harness.requests().remove(0);
        assert_eq!(sent.header(header), value);
        assert_eq!(sent.url, format!("http://a.example/facts{query}"));
    }
    let both = json!({"auth": {"type": "bearer", "token": "t"}, "headers": ["authorization: x"]});
    let error = Driver::open(section(both), None).expect_err("two of them");
    assert!(error.message().contains("`http.headers[0]`, which is `Authorization`, exclude each other"), "{error}");
    let both = json!({"auth": {"type": "bearer", "token": "t"}, "endpoint": "http://u:p@a.example/"});
    assert!(Driver::open(section(both), None).expect_err("two of them").message().contains("the user in"));
}

#[test]
fn a_token_is_fetched_kept_and_renewed() {
    let harness = Harness::install();
    let mut driver = open(oauth(json!({"scopes": ["read", "list all"], "audience": "facts"})));
    driver.limit.max_wait = 60 * SECOND;
    for reply in [token("one", 25), Reply::ok("a"), Reply::ok("b"), Reply::ok("c"), token("two", 3600), Reply::ok("d")]
    {
        harness.reply(reply);
    }
    for text in ["a", "b", "c", "d"] {
        assert_eq!(driver.read_some().expect("no failure").values(), [text]);
    }
    let client = format!("Basic {}", STANDARD.encode("me+%26+you:s3cr%2Bet"));
    let expected = [&client, "Bearer one", "Bearer one", "Bearer one", &client, "Bearer two"];
    assert_eq!(authorizations(&harness), expected);
    let asked = harness.requests().remove(0);
    assert_eq!((asked.method.as_str(), asked.url.as_str()), ("POST", "http://id.example/token"));
    assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
    let form = String::from_utf8(asked.body).expect("a form");
    assert_eq!(form, "grant_type=client_credentials&scope=read+list+all&audience=facts");
    // At 30 s: 25 s, less a tenth, were over.
    assert_eq!(harness.requests()[4].at, 30 * SECOND);
}

#[test]
fn a_token_that_is_not_taken_any_more_is_renewed_once() {
    let harness = Harness::install();
    let mut driver = open(oauth(json!({"client-auth": "body"})));
    for reply in [token("one", 3600), Reply::ok("a"), Reply::new(401, "expired"), token("two", 3600), Reply::ok("b")] {
        harness.reply(reply);
    }
    assert_eq!(driver.read_some().expect("no failure").values(), ["a"]);
    assert_eq!(driver.read_some().expect("no failure").values(), ["b"]);
    assert_eq!(authorizations(&harness), ["-", "Bearer one", "Bearer one", "-", "Bearer two"]);
    let form = String::from_utf8(harness.requests().remove(0).body).expect("a form");
    assert!(form.ends_with("client_id=me+%26+you&client_secret=s3cr%2Bet"), "{form}");

    // A new one that is not taken is no use.
    for reply in [Reply::new(401, ""), token("three", 3600), Reply::new(401, "Bearer three is not known")] {
        harness.reply(reply);
    }
    let error = driver.read_some().expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert_eq!(error.message(), "http://a.example/facts: answered 401 Unauthorized: Bearer *** is not known");
}

#[test]
fn a_token_that_is_not_given_says_why() {
    let refused = json!({"error": "invalid_client", "error_description": "no such client"}).to_string();
    for (reply, kind, words) in [
        (Reply::new(400, refused.clone()), ErrorKind::Auth, "answered 400 Bad Request: invalid_client, no such client"),
        (Reply::new(401, refused), ErrorKind::Auth, "answered 401 Unauthorized: invalid_client"),
        (Reply::new(404, "nothing here"), ErrorKind::Config, "answered 404 Not Found"),
        (Reply::new(302, "").header("Location", "http://c.example/"), ErrorKind::Config, "answered 302 Found"),
        (Reply::new(503, "").header("Retry-After", "7"), ErrorKind::Throttled, "answered 503"),
        (Reply::failure(Error::unreachable("refused")), ErrorKind::Unreachable, "http://id.example/token: refused"),
        (Reply::ok("<html>"), ErrorKind::Config, "the answer is not the JSON of a token; is `token-url` the right"),
        (Reply::ok("{}"), ErrorKind::Config, "the answer holds no `access_token`"),
        (Reply::ok(r#"{"access_token":"x","token_type":"mac"}"#), ErrorKind::Config, "of the type `mac`, not Bearer"),
        (Reply::ok("x".repeat(70_000)), ErrorKind::Data, "longer than the limit"),
    ] {
        let harness = Harness::install();
        let mut driver = open(oauth(json!({})));
        harness.reply(reply);
        let error = driver.read_some().expect_err(words);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().starts_with("`http.auth`: no token: http://id.example/token: "), "{error}");
        assert!(error.message().contains(words) && !error.message().contains("s3cr"), "{error}");
        // It is asked for again.
        harness.reply(token("one", 0));
        harness.reply(Reply::ok("a"));
        assert_eq!(driver.read_some().expect("no failure").values(), ["a"]);
    }
}

#[test]
fn credentials_are_kept_out_of_messages() {
    let harness = Harness::install();
    let mut driver = open(json!({"auth": {"type": "basic", "username": "u", "password": "pass word"}}));
    let sent = STANDARD.encode("u:pass word");
    harness.reply(Reply::new(500, format!("your header was Basic {sent}, your password pass word")));
    let error = driver.read_some().expect_err("refused");
    assert!(error.message().ends_with("your header was Basic ***, your password ***"), "{error}");
    let shown = format!("{driver:?}");
    assert!(!shown.contains("pass word") && !shown.contains(&sent), "{shown}");
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn compressed_answers_are_what_they_were() {
    let harness = Harness::install();
    let reply = |body: Vec<u8>| {
        let length = body.len().to_string();
        Reply::ok(body).header("Content-Encoding", "gzip").header("Content-Length", length).header("X-A", "b")
    };
    harness.reply(reply(gzip(b"[1,2]")));
    assert_eq!(open(json!({"records": ""})).read_some().expect("no failure").values(), ["1", "2"]);
    assert_eq!(harness.requests()[0].header("accept-encoding"), Some("gzip, br, zstd"));
    // The head tells of the body as it is handed on.
    harness.reply(reply(gzip(b"text")));
    let mut driver = open(json!({"output_parts": "full"}));
    assert_eq!(driver.read_some().expect("no failure").values(), ["HTTP/1.1 200 OK\nx-a: b\n\ntext"]);
    assert_eq!(harness.requests()[1].header("accept-encoding"), None, "nobody asked for a changed head");
    // A stream is unfolded as it comes.
    harness.reply(reply(gzip(b"one\ntwo\nthr")));
    let mut driver = open(json!({"stream": true, "headers": ["Accept-Encoding: gzip"]}));
    assert_eq!(driver.read_some().expect("no failure").values(), ["one", "two", "thr"]);
    for (config, expected) in [
        (json!({"headers": ["Accept-Encoding: br"]}), Some("br")),
        (json!({"compression": false}), None),
        (json!({"compression": true, "stream": true}), Some("gzip, br, zstd")),
    ] {
        harness.reply(Reply::ok("x"));
        open(config).read_some().expect("no failure");
        let sent = harness.requests().pop().expect("a request");
        let all: Vec<_> = sent.headers.iter().filter(|(name, _)| name == "accept-encoding").collect();
        assert_eq!((sent.header("accept-encoding"), all.len()), (expected, usize::from(expected.is_some())));
    }
    // A refusal may come compressed as well.
    harness.reply(Reply::new(500, gzip(b"no database")).header("Content-Encoding", "gzip"));
    let error = open(json!({})).read_some().expect_err("refused");
    assert!(error.message().ends_with("answered 500 Internal Server Error: no database"), "{error}");
}

#[test]
fn damaged_and_swollen_answers_are_data_errors() {
    let harness = Harness::install();
    let mut driver = open(json!({"max-body": "1 MiB"}));
    driver.limit.max_wait = 60 * SECOND;
    let bomb = gzip(&vec![0; 50 << 20]);
    let whole = gzip(b"a text of some length");
    for (body, coding, words) in [
        (
            whole[..whole.len() - 3].to_vec(),
            "gzip",
            "the body is not the gzip that it is declared to be: it ends too early",
        ),
        (bomb, "gzip", "the body unfolds to more than the limit of 1048576 bytes (`max-body`)"),
        (b"plain".to_vec(), "br", "the body is not the br that it is declared to be"),
        (b"plain".to_vec(), "compress", "the body is coded as `compress`, which is not known"),
        (whole, "gzip, br", "the body is coded several times over"),
    ] {
        harness.reply(Reply::ok(body).header("Content-Encoding", coding));
        let error = driver.read_some().expect_err(words);
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        assert!(error.message().starts_with("http://a.example/facts: ") && error.message().contains(words), "{error}");
    }
    let polls: Vec<_> = harness.requests().iter().map(|request| request.at.as_secs()).collect();
    assert_eq!(polls, [0, 10, 20, 30, 40], "the next poll is made at its time");
}
