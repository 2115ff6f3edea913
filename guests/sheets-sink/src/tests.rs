//! The sink as a whole against canned answers: what is asked for, in which order, and what each refusal
//! becomes. How the API really behaves is the end-to-end tests' part.
#![expect(clippy::needless_pass_by_value, reason = "tests pass `json!` literals")]

use std::time::Duration;

use connector_sdk::testing::{Harness, Reply, START_UNIX_MILLIS, SinkDriver};
use connector_sdk::{Batch, ErrorKind};
use serde_json::{Value, json};

use super::*;
use crate::protocol::{pem, verified};

type Driver = SinkDriver<SheetsSink>;

const EMAIL: &str = "writer@project.example";
const SECOND: Duration = Duration::from_secs(1);

mod addressed;
mod fixed;
mod upsert;

fn section(more: Value) -> Value {
    let mut section = json!({
        "google_private_key": pem(), "google_client_email": EMAIL,
        "google_token_url": "https://token.example/token", "endpoint": "https://sheets.example",
    });
    let Value::Object(more) = more else { panic!("an object") };
    section.as_object_mut().expect("an object").extend(more);
    section
}

fn granted(harness: &Harness) {
    harness.reply(Reply::ok(r#"{"access_token": "the-token", "expires_in": 3599, "token_type": "Bearer"}"#));
}

/// The sheets of a spreadsheet, and what stands in the first row of the first one.
fn found(harness: &Harness, header: Value) {
    let sheets = json!({"sheets": [
        {"properties": {"sheetId": 0, "title": "It's", "gridProperties": {"rowCount": 1000, "columnCount": 26}}},
        {"properties": {"sheetId": 7, "title": "Two", "gridProperties": {"rowCount": 1000, "columnCount": 2}}},
    ]});
    harness.reply(Reply::ok(sheets.to_string()));
    read(harness, json!([header]));
}

/// What is read from one range.
fn read(harness: &Harness, rows: Value) {
    let ranges =
        json!({"spreadsheetId": "id", "valueRanges": [{"range": "x", "majorDimension": "ROWS", "values": rows}]});
    harness.reply(Reply::ok(ranges.to_string()));
}

fn appended(harness: &Harness, range: &str) {
    harness.reply(Reply::ok(json!({"spreadsheetId": "id", "updates": {"updatedRange": range}}).to_string()));
}

fn refused(harness: &Harness, code: u16, status: &str, message: &str) {
    harness.reply(refusal(code, status, message, json!([])));
}

fn refusal(code: u16, status: &str, message: &str, details: Value) -> Reply {
    let body = json!({"error": {"code": code, "message": message, "status": status, "details": details}});
    Reply::new(code, body.to_string()).header("Content-Type", "application/json; charset=UTF-8")
}

fn batch(records: &[Value]) -> Batch {
    records.iter().map(Value::to_string).collect()
}

/// Method, path and body of every request that was not asked about yet.
fn asked(harness: &Harness, seen: &mut usize) -> Vec<String> {
    let requests = harness.requests().split_off(*seen);
    *seen += requests.len();
    let shown = |request: &connector_sdk::testing::SentRequest| {
        let url = request.url.strip_prefix("https://sheets.example/v4/spreadsheets/").unwrap_or(&request.url);
        let body = String::from_utf8_lossy(&request.body);
        if url.contains("token.example") {
            return "token".to_owned();
        }
        assert_eq!(request.header("authorization"), Some("Bearer the-token"));
        format!("{} {url} {body}", request.method).trim_end().to_owned()
    };
    requests.iter().map(shown).collect()
}

fn record(id: &str, range: &str, text: &str) -> Value {
    json!({"spreadsheet_id": id, "range": range, "values": [[text]], "major_dimension": "ROWS"})
}

fn open_addressed(harness: &Harness) -> Driver {
    granted(harness);
    Driver::open(section(json!({}))).expect("a fine section")
}

#[test]
fn a_token_is_asked_for_with_a_signature_and_kept_until_shortly_before_its_end() {
    let harness = Harness::install();
    let mut driver = open_addressed(&harness);
    let request = &harness.requests()[0];
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://token.example/token"));
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    let form = String::from_utf8(request.body.clone()).expect("a form");
    let assertion = form
        .strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=")
        .expect("the form of RFC 7523");
    let now = START_UNIX_MILLIS / 1000;
    let claims = json!({
        "iss": EMAIL, "scope": "https://www.googleapis.com/auth/spreadsheets",
        "aud": "https://token.example/token", "iat": now, "exp": now + 3600,
    });
    assert_eq!(verified(assertion), claims);

    let mut seen = 1;
    for (wait, renewed) in [(0, false), (3500, false), (38, false), (2, true), (10, false)] {
        harness.advance(wait * SECOND);
        if renewed {
            granted(&harness);
        }
        appended(&harness, "S!A1");
        driver.write(batch(&[record("id", "A1", "x")])).expect("written");
        assert_eq!(asked(&harness, &mut seen)[0] == "token", renewed, "after {wait}s more");
    }
}

#[test]
fn a_token_that_was_revoked_is_replaced_once() {
    let harness = Harness::install();
    let mut driver = open_addressed(&harness);
    refused(&harness, 401, "UNAUTHENTICATED", "Request had invalid authentication credentials.");
    granted(&harness);
    appended(&harness, "S!A1");
    assert_eq!(driver.write(batch(&[record("id", "A1", "x")])), Ok(vec![]));
    for _ in 0..2 {
        refused(&harness, 401, "UNAUTHENTICATED", "Request had invalid authentication credentials.");
        granted(&harness);
    }
    let error = driver.write(batch(&[record("id", "A1", "x")])).expect_err("not for ever");
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert!(error.message().contains("invalid authentication credentials"), "{error}");
}

#[test]
fn what_the_token_service_refuses_says_what_to_check() {
    let harness = Harness::install();
    for (reply, kind, words) in [
        (
            Reply::new(400, r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#),
            ErrorKind::Auth,
            "no token to writer@project.example (invalid_grant: Invalid JWT Signature.); check that \
             `google_private_key` and `google_client_email` are from the same key file",
        ),
        (Reply::new(401, r#"{"error":"invalid_client"}"#), ErrorKind::Auth, "against the key file"),
        (Reply::new(400, r#"{"error":"invalid_scope"}"#), ErrorKind::Auth, "in the Google Cloud console"),
        (Reply::new(403, "<html>"), ErrorKind::Auth, "no token: https://token.example/token: answered 403"),
        (
            Reply::new(404, "<html>"),
            ErrorKind::Config,
            "`sheet.google_token_url`: https://token.example/token answered 404",
        ),
        (Reply::ok("{}"), ErrorKind::Config, "answered, but not with a token"),
    ] {
        harness.reply(reply);
        let error = Driver::open(section(json!({}))).expect_err(words);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(words), "{words}: {error}");
    }
}

#[test]
fn when_google_is_away_at_the_start_the_first_write_waits_for_it() {
    let harness = Harness::install();
    harness.reply(Reply::new(503, "later"));
    let mut driver = Driver::open(section(json!({}))).expect("it may pass");
    assert!(harness.logs()[0].1.contains("Google can't be asked yet"));
    harness.reply(Reply::failure(Error::unreachable("connection refused")));
    let error = driver.write(batch(&[record("id", "A1", "x")])).expect_err("still away");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    granted(&harness);
    appended(&harness, "S!A1");
    assert_eq!(driver.write(batch(&[record("id", "A1", "x")])), Ok(vec![]));
}

#[test]
fn a_section_that_can_not_work_names_the_key() {
    let fixed = |more: Value| {
        let mut all = json!({"spreadsheet-id": "id"});
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        all
    };
    for (more, kind, words) in [
        (json!({"google_private_key": "-----BEGIN"}), ErrorKind::Auth, "`sheet.google_private_key`"),
        (json!({"google_client_email": " "}), ErrorKind::Config, "`sheet.google_client_email` is empty"),
        (json!({"google_token_url": "token"}), ErrorKind::Config, "`sheet.google_token_url`"),
        (json!({"endpoint": "ftp://x"}), ErrorKind::Config, "`sheet.endpoint`"),
        (json!({"write-timeout": 0}), ErrorKind::Config, "`sheet.write-timeout`"),
        (json!({"sheet": "x"}), ErrorKind::Config, "`sheet.sheet` needs `sheet.spreadsheet-id`"),
        (json!({"columns": [{"header": "a"}]}), ErrorKind::Config, "`sheet.columns` needs"),
        (json!({"mode": "upsert"}), ErrorKind::Config, "`sheet.mode` needs"),
        (
            json!({"spreadsheet-id": "https://docs.google.com/spreadsheets/d//edit"}),
            ErrorKind::Config,
            "names no spread",
        ),
        (json!({"spreadsheet-id": "a b"}), ErrorKind::Config, "`a b` is no ID"),
        (fixed(json!({"header": false})), ErrorKind::Config, "`sheet.columns` is needed"),
        (fixed(json!({"mode": "upsert"})), ErrorKind::Config, "needs `sheet.key-column`"),
        (fixed(json!({"key-column": "a"})), ErrorKind::Config, "only with `mode: upsert`"),
        (fixed(json!({"columns": [{"header": "a"}, {"header": " a "}]})), ErrorKind::Config, "two columns `a`"),
        (fixed(json!({"columns": [{"header": ""}]})), ErrorKind::Config, "`sheet.columns[0].header` is empty"),
        (fixed(json!({"columns": [{"header": "a", "path": "/a", "from": "key"}]})), ErrorKind::Config, "both"),
        (fixed(json!({"columns": [{"header": "a", "path": "a"}]})), ErrorKind::Config, "write `/a`"),
        (
            fixed(json!({"columns": [{"header": "a"}], "mode": "upsert", "key-column": "b"})),
            ErrorKind::Config,
            "`b` is none of the columns",
        ),
    ] {
        let error = Driver::open(section(more)).expect_err(words);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(words), "{words}: {error}");
    }
}

#[test]
fn a_check_goes_step_by_step_and_writes_nothing() {
    let harness = Harness::install();
    let config = |more| serde_json::from_value(section(more)).expect("a section");
    granted(&harness);
    assert!(SheetsSink::check(config(json!({}))).passed());
    granted(&harness);
    found(&harness, json!(["other"]));
    let check = SheetsSink::check(config(json!({"spreadsheet-id": "id", "columns": [{"header": "a"}]})));
    let problems: Vec<_> = check.steps().iter().map(|step| step.problem.is_some()).collect();
    assert_eq!(problems, [false, false, true]);
    assert_eq!(check.steps()[2].name, "the spreadsheet id fits");
    assert!(harness.requests().iter().all(|request| request.method == "GET" || request.url.contains("token")));
    let check = SheetsSink::check(config(json!({"google_private_key": "?"})));
    assert_eq!(check.steps().len(), 1);
    assert!(!check.passed());
}
