//! Records that say themselves where they go.

use super::*;

const TAIL: &str = "append?valueInputOption=USER_ENTERED&insertDataOption=OVERWRITE&includeValuesInResponse=false";

#[test]
fn a_delivery_goes_out_in_one_request_a_range() {
    let harness = Harness::install();
    let mut driver = open_addressed(&harness);
    let mut records: Vec<Value> = (0..1000).map(|n| record("one", "Sheet 1!A1", &n.to_string())).collect();
    records.insert(500, record("two", "B2", "other"));
    records.push(json!({"spreadsheet_id": "two", "range": "B2", "values": [[]]}));
    appended(&harness, "S!A1");
    appended(&harness, "S!A1");
    assert_eq!(driver.write(batch(&records)), Ok(vec![]));
    let asked = asked(&harness, &mut 1);
    assert_eq!(asked.len(), 2);
    assert!(asked[0].starts_with(&format!(
        r#"POST one/values/Sheet%201%21A1:{TAIL} {{"majorDimension":"ROWS","values":[["0"],["1"],["2"],"#
    )));
    assert!(asked[0].ends_with(r#"["998"],["999"]]}"#));
    assert_eq!(asked[1], format!(r#"POST two/values/B2:{TAIL} {{"majorDimension":"ROWS","values":[["other"]]}}"#));
    assert_eq!(harness.counter("rows_total"), 1001);
}

#[test]
fn large_deliveries_are_cut_at_two_megabytes_between_records() {
    let harness = Harness::install();
    let mut driver = open_addressed(&harness);
    let text = "x".repeat(40_000);
    let records: Vec<Value> = (0..120).map(|_| record("id", "A1", &text)).collect();
    for _ in 0..3 {
        appended(&harness, "S!A1");
    }
    assert_eq!(driver.write(batch(&records)), Ok(vec![]));
    let sizes: Vec<usize> = harness.requests()[1..].iter().map(|request| request.body.len()).collect();
    assert!(sizes.iter().all(|&size| size < 2_000_000), "{sizes:?}");
    assert_eq!(sizes.len(), 3);
}

#[test]
fn unusable_records_fail_alone() {
    let harness = Harness::install();
    let mut driver = open_addressed(&harness);
    appended(&harness, "S!A1");
    let records = [record("id", "A1", "x"), json!({"range": "A1"}), record("id", "A1", "y")];
    let failures = driver.write(batch(&records)).expect("the others are written");
    assert_eq!(failures.len(), 1);
    assert_eq!((failures[0].index, failures[0].error.kind()), (1, ErrorKind::Data));
    assert!(failures[0].error.message().contains("missing field `spreadsheet_id`"), "{}", failures[0].error);
}

#[test]
fn a_row_that_google_refuses_is_found_among_the_others() {
    let harness = Harness::install();
    let mut driver = open_addressed(&harness);
    let records: Vec<Value> = (0..8).map(|n| record("id", "A1", &n.to_string())).collect();
    // What is sent, and whether Google takes it: the fifth one it does not.
    let exchanges = [
        ("[0,1,2,3,4,5,6,7]", false),
        ("[0,1,2,3]", true),
        ("[4,5,6,7]", false),
        ("[4,5]", false),
        ("[4]", false),
        ("[5]", true),
        ("[6,7]", true),
    ];
    for (_, good) in exchanges {
        if good {
            appended(&harness, "S!A1");
        } else {
            refused(&harness, 400, "INVALID_ARGUMENT", "Invalid values");
        }
    }
    let failures = driver.write(batch(&records)).expect("the others are written");
    assert_eq!(failures.len(), 1);
    assert_eq!((failures[0].index, failures[0].error.kind()), (4, ErrorKind::Data));
    assert_eq!(failures[0].error.message(), "Google refuses it: Invalid values");
    let sent: Vec<String> = asked(&harness, &mut 1)
        .iter()
        .map(|body| {
            body.split_once("values\":").expect("rows").1.replace(['"', '}'], "").replace("[[", "[").replace("]]", "]")
        })
        .map(|rows| rows.replace("],[", ","))
        .collect();
    assert_eq!(sent, exchanges.map(|(rows, _)| rows));
    assert_eq!(harness.counter("rows_total"), 7);
}

#[test]
fn a_range_that_refuses_everything_is_not_tried_row_by_row_for_ever() {
    const REFUSALS: usize = 40;
    let harness = Harness::install();
    let mut driver = open_addressed(&harness);
    let mut records: Vec<Value> = (0..1000).map(|n| record("id", "Nowhere!A1", &n.to_string())).collect();
    records.push(record("other", "A1", "x"));
    // Sixteen single rows, and the halvings on the way to them.
    for _ in 0..REFUSALS {
        refused(&harness, 400, "INVALID_ARGUMENT", "Unable to parse range: Nowhere!A1");
    }
    appended(&harness, "S!A1");
    let failures = driver.write(batch(&records)).expect("charged to the records");
    assert_eq!(harness.requests().len(), 1 + REFUSALS + 1);
    assert_eq!(failures.len(), 1000);
    assert!(failures.iter().all(|failure| failure.error.kind() == ErrorKind::Data));
    assert!(failures[999].error.message().contains("Unable to parse range"), "{}", failures[999].error);
}

#[test]
fn a_spreadsheet_that_is_not_there_is_the_records_fault_and_a_closed_one_is_not() {
    let harness = Harness::install();
    let mut driver = open_addressed(&harness);
    refused(&harness, 404, "NOT_FOUND", "Requested entity was not found.");
    appended(&harness, "S!A1");
    let records = [record("gone", "A1", "x"), record("there", "A1", "y"), record("gone", "A1", "z")];
    let failures = driver.write(batch(&records)).expect("the other one is written");
    assert_eq!(failures.iter().map(|failure| failure.index).collect::<Vec<_>>(), [0, 2]);
    assert!(failures[0].error.message().contains("no spreadsheet gone"), "{}", failures[0].error);

    refused(&harness, 403, "PERMISSION_DENIED", "The caller does not have permission");
    let error = driver.write(batch(&records)).expect_err("a person must help");
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert_eq!(
        error.message(),
        format!(
            "spreadsheet gone: Google refuses {EMAIL}: The caller does not have permission; share the spreadsheet \
             with {EMAIL}, as an editor"
        )
    );
    let details = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}]);
    harness.reply(refusal(403, "PERMISSION_DENIED", "The API is disabled.", details));
    let error = driver.write(batch(&records)).expect_err("a person must help");
    assert!(error.message().contains("enable the Google Sheets API"), "{error}");
}

#[test]
fn what_is_written_is_acknowledged_before_anything_else_is_said() {
    let harness = Harness::install();
    let mut driver = open_addressed(&harness);
    let records = [record("one", "A1", "x"), json!(0), record("two", "A1", "y"), record("one", "A1", "z")];
    appended(&harness, "S!A1");
    refused(&harness, 403, "PERMISSION_DENIED", "The caller does not have permission");
    let failures = driver.write(batch(&records)).expect("the first and last are written");
    let shown: Vec<_> = failures.iter().map(|failure| (failure.index, failure.error.kind())).collect();
    assert_eq!(shown, [(1, ErrorKind::Data), (2, ErrorKind::Unreachable)]);
    refused(&harness, 403, "PERMISSION_DENIED", "The caller does not have permission");
    let error = driver.write(batch(&records[2..3])).expect_err("now it is all there is to say");
    assert_eq!(error.kind(), ErrorKind::Auth);
}

#[test]
fn too_many_requests_slow_it_down() {
    let harness = Harness::install();
    let mut driver = open_addressed(&harness);
    let one = || batch(&[record("id", "A1", "x")]);
    refused(&harness, 429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Write requests'");
    let error = driver.write(one()).expect_err("too many");
    assert_eq!((error.kind(), error.wait()), (ErrorKind::Throttled, Some(5 * SECOND)));
    assert!(error.message().contains("Quota exceeded"), "{error}");
    let details = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31s"}]);
    harness.advance(5 * SECOND);
    harness.reply(refusal(429, "RESOURCE_EXHAUSTED", "Quota exceeded", details));
    assert_eq!(driver.write(one()).expect_err("too many").wait(), Some(31 * SECOND));
    // Handed in again too early, it does not ask Google: the next turn is too far away.
    let requests = harness.requests().len();
    let error = driver.write(one()).expect_err("too early");
    assert_eq!((error.kind(), error.wait()), (ErrorKind::Throttled, Some(31 * SECOND)));
    assert_eq!(harness.requests().len(), requests);
    harness.advance(31 * SECOND);
    for _ in 0..3 {
        appended(&harness, "S!A1");
        assert_eq!(driver.write(one()), Ok(vec![]));
    }
    let times: Vec<u64> = harness.requests()[3..].iter().map(|request| request.at.as_secs()).collect();
    assert_eq!(times, [36, 38, 40], "twice told, it goes every other second");
    assert_eq!(harness.counter("throttled_total"), 2);
}

#[test]
fn a_slow_google_ends_a_turn_and_not_the_instance() {
    let harness = Harness::install();
    let mut driver = open_addressed(&harness);
    let records: Vec<Value> = (0..5).map(|n| record(&format!("id{n}"), "A1", "x")).collect();
    let slow = || Reply::ok(r#"{"updates":{}}"#).delay(8 * SECOND);
    for _ in 0..3 {
        harness.reply(slow());
    }
    let failures = driver.write(batch(&records)).expect("three are written");
    let shown: Vec<_> = failures.iter().map(|failure| (failure.index, failure.error.kind())).collect();
    assert_eq!(shown, [(3, ErrorKind::Throttled), (4, ErrorKind::Throttled)]);
    assert_eq!(failures[0].error.wait(), Some(Duration::ZERO));
    harness.reply(Reply::ok("{}").delay(60 * SECOND));
    let before = harness.elapsed();
    let error = driver.write(batch(&records[3..])).expect_err("no answer");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert_eq!(harness.elapsed() - before, 25 * SECOND);
}

#[test]
fn strangers_at_the_endpoint_are_told_from_google() {
    let harness = Harness::install();
    let mut driver = open_addressed(&harness);
    for (reply, kind, words) in [
        (Reply::new(404, "<html>"), ErrorKind::Config, "`sheet.endpoint`: https://sheets.example/ answered 404"),
        (Reply::new(302, ""), ErrorKind::Config, "`sheet.endpoint`"),
        (Reply::ok("<html>"), ErrorKind::Config, "not as the Sheets API does"),
        (Reply::new(502, "<html>"), ErrorKind::Unreachable, "502"),
        (refusal(500, "INTERNAL", "Internal error encountered.", json!([])), ErrorKind::Unreachable, "Internal error"),
        (refusal(409, "ABORTED", "Try again.", json!([])), ErrorKind::Unreachable, "Try again."),
        (Reply::ok("{\"up").broken(Error::unreachable("reset")), ErrorKind::Unreachable, "reset"),
    ] {
        harness.reply(reply);
        let error = driver.write(batch(&[record("id", "A1", "x")])).expect_err(words);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(words), "{words}: {error}");
    }
}

#[test]
fn the_configuration_may_ask_for_other_ways_of_writing() {
    let harness = Harness::install();
    granted(&harness);
    let section = section(json!({"value_input": "RAW", "insert": "INSERT_ROWS"}));
    let mut driver = Driver::open(section).expect("a fine section");
    appended(&harness, "S!A1");
    assert_eq!(driver.write(batch(&[record("id", "A1", "x")])), Ok(vec![]));
    assert!(asked(&harness, &mut 1)[0].contains("append?valueInputOption=RAW&insertDataOption=INSERT_ROWS&"));
}
