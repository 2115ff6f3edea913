//! Configurations, good and bad, and `check`.

use connector_sdk::log::Level;

use super::*;

#[test]
fn the_official_keys_work_unchanged() {
    let harness = Harness::install();
    let mut driver = open(json!({
        "endpoint": "http://127.0.0.1/post", "user_agent": "u", "method": "POST",
        "headers": ["Content-Type: application/json", " X-Key :  v "], "http_request_timeout": "15s",
        "http_connect_timeout": "1s", "backoff_max": "60s", "backoff_min": "1s",
    }));
    let warnings: Vec<_> = harness.logs().into_iter().filter(|(level, _)| *level == Level::Warn).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].1.contains("`http.backoff_min` has no effect") && warnings[0].1.contains("host.retry.initial"));
    assert!(warnings[1].1.contains("`http.backoff_max`") && warnings[1].1.contains("host.retry.max-delay"));
    answer(&harness, 1, 200);
    driver.write(batch(&["not json"])).expect("delivered");
    let sent = harness.requests().remove(0);
    assert_eq!((sent.header("content-type"), sent.header("x-key")), (Some("application/json"), Some("v")));
}

#[test]
fn a_plain_configuration_warns_of_nothing() {
    let harness = Harness::install();
    open(json!({}));
    assert_eq!(harness.logs(), []);
    open(json!({"http_request_timeout": "1m", "batch-max-records": 7}));
    let logs = harness.logs();
    assert!(logs[0].1.contains("unless `host.sandbox.call-timeout` is at least 1m 15s"), "{logs:?}");
    assert!(logs[1].1.contains("`http.batch-max-records` has no effect"), "{logs:?}");
}

#[test]
fn what_can_not_work_is_refused_by_name() {
    for (more, words) in [
        (json!({"endpoint": "a.example"}), "`http.endpoint`: the address is not a URL"),
        (json!({"endpoint": "ws://a.example"}), "`http.endpoint`: `ws` addresses are not spoken here"),
        (json!({"endpoint": "http://{{key}}.example/"}), "`http.endpoint`: a placeholder can't stand in the host"),
        (json!({"endpoint": "http://a.example/{{keys}}"}), "`http.endpoint`: there is no placeholder `{{keys}}`"),
        (json!({"method": "PO ST"}), "`http.method`: `PO ST` is not an HTTP method"),
        (json!({"headers": ["no colon"]}), "`http.headers[0]` has no `:`"),
        (json!({"headers": ["A: b", "a b: {{key}}"]}), "`http.headers[1]`: `a b` is not the name of an HTTP header"),
        (json!({"headers": ["A: {{nope}}"]}), "`http.headers[0]`: there is no placeholder `{{nope}}`"),
        (json!({"headers": ["Content-Length: 7"]}), "`http.headers[0]`: `Content-Length` is made from what is sent"),
        (json!({"user_agent": "a\nb"}), "`http.user_agent`: the value of the HTTP header `user-agent` holds a line"),
        (json!({"http_request_timeout": "0s"}), "`http.http_request_timeout` must be longer than nothing"),
        (json!({"batch": "csv"}), "`http.batch`: unknown variant `csv`"),
        (json!({"batch-max-records": 0}), "`http.batch-max-records` must be at least 1"),
        (json!({"concurrency": 0}), "`http.concurrency` must be from 1 to 64"),
        (json!({"concurrency": 65}), "`http.concurrency` must be from 1 to 64"),
        (json!({"body": "{\"a\": {{/a}"}), "`http.body`: the placeholder"),
        (json!({"batch": "ndjson", "body": "{{key}} {{value}}"}), "`http.body`: it is not JSON"),
        (json!({"bearer-token": "a", "basic-auth": {"username": "u", "password": "p"}}), "leave out one"),
        (json!({"bearer-token": "a", "headers": ["authorization: x"]}), "an `Authorization` in `http.headers`"),
        (json!({"bearer-token": "a", "endpoint": "http://u:p@a.example/"}), "in `http.endpoint`"),
        (json!({"bearer-token": "a\nb"}), "`http.bearer-token`: the value"),
        (json!({"compression": "gzip", "headers": ["Content-Encoding: br"]}), "`http.compression` makes"),
        (json!({"signature": {"secret": ""}}), "`http.signature.secret` is empty"),
        (json!({"signature": {"secret": "s", "header": "a:b"}}), "`http.signature.header`: `a:b`"),
        (json!({"signature": {"secret": "s", "timestamp-header": ""}}), "`http.signature.timestamp-header`: ``"),
        (json!({"signature": {"secret": "s", "prefix": "a\nb"}}), "`http.signature.prefix`"),
        (json!({"idempotency-header": "a b"}), "`http.idempotency-header`: `a b`"),
        (json!({"endpiont": "x"}), "unknown field `endpiont`"),
    ] {
        let error = Driver::open(section(more.clone())).map(drop).expect_err(&more.to_string());
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.message().contains(words), "{more}: {error}");
    }
}

#[test]
fn secrets_stay_out_of_messages() {
    for more in [
        json!({"headers": ["hunter2hunter2"]}),
        json!({"headers": ["A: hunter2hunter2\nb"]}),
        json!({"bearer-token": "hunter2hunter2\n"}),
        json!({"signature": {"secret": "hunter2hunter2", "header": ""}}),
    ] {
        let error = Driver::open(section(more)).map(drop).expect_err("wrong");
        assert!(!format!("{error:?}").contains("hunter2"), "{error}");
    }
    let config: Config = serde_json::from_value(section(json!({"bearer-token": "hunter2", "headers": ["A: hunter2"],
        "signature": {"secret": "hunter2"}, "basic-auth": {"username": "u", "password": "hunter2"}})))
    .expect("fine");
    assert!(!format!("{config:?}").contains("hunter2"));
}

fn checked(reply: Reply, more: Value) -> (Check, Vec<connector_sdk::testing::SentRequest>) {
    let harness = Harness::install();
    harness.reply(reply);
    let config = serde_json::from_value(section(more)).expect("a fine section");
    (HttpSink::check(config), harness.requests())
}

#[test]
fn check_asks_without_leaving_anything_behind() {
    for status in [200, 204, 302, 404, 405, 500] {
        let (check, sent) = checked(Reply::new(status, ""), json!({"bearer-token": "t", "compression": "gzip"}));
        assert!(check.passed(), "{status}: {check:?}");
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].method.as_str(), sent[0].body.len()), ("OPTIONS", 0));
        assert_eq!(sent[0].header("authorization"), Some("Bearer t"));
        assert_eq!((sent[0].header("content-type"), sent[0].header("content-encoding")), (None, None));
    }
    let (check, sent) = checked(Reply::new(404, ""), json!({"endpoint": "http://a.example/u/{{key}}"}));
    assert!(check.passed());
    assert_eq!(sent[0].url, "http://a.example/u/");
}

#[test]
fn check_tells_what_stands_in_the_way() {
    let problem = |check: &Check| check.steps().last().and_then(|step| step.problem.clone()).expect("a problem");
    let (check, _) = checked(Reply::new(403, ""), json!({}));
    assert_eq!(problem(&check).kind(), ErrorKind::Auth);
    let (check, _) = checked(Reply::failure(Error::unreachable("the connection was refused")), json!({}));
    assert_eq!(problem(&check).message(), "http://a.example/in: the connection was refused");
    let (check, sent) = checked(Reply::ok(""), json!({"endpoint": "http://{{key}}/"}));
    assert_eq!((problem(&check).kind(), sent.len()), (ErrorKind::Config, 0));
    let (check, _) = checked(Reply::ok("").delay(30 * SECOND), json!({"http_request_timeout": "1m"}));
    assert_eq!(problem(&check).message(), "http://a.example/in: no answer within 20s");
}
