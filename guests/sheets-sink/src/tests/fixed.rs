//! New rows in one sheet with columns.

use super::*;

const TAIL: &str = "append?valueInputOption=RAW&insertDataOption=INSERT_ROWS&includeValuesInResponse=false";
const HEADER: &str =
    "GET id/values:batchGet?majorDimension=ROWS&valueRenderOption=UNFORMATTED_VALUE&ranges=%27It%27%27s%27%211%3A1";
const SHEETS: &str = "GET id?fields=sheets.properties(sheetId%2Ctitle%2CgridProperties.columnCount)";

fn columns() -> Value {
    json!({"spreadsheet-id": "id", "columns": [{"header": "Id", "path": "/id"}, {"header": "name"}]})
}

fn open(harness: &Harness, more: Value, header: Value) -> Driver {
    granted(harness);
    found(harness, header);
    Driver::open(section(more)).expect("a fine section")
}

#[test]
fn an_empty_sheet_gets_headers_once_and_then_rows() {
    let harness = Harness::install();
    let mut driver = open(&harness, columns(), json!([]));
    let mut seen = 0;
    assert_eq!(asked(&harness, &mut seen), ["token", SHEETS, HEADER], "opening changes nothing");
    read(&harness, json!([]));
    harness.reply(Reply::ok("{}"));
    appended(&harness, "'It''s'!A2:B3");
    let records = [json!({"id": 1, "name": "=1+1", "more": 5}), json!({"id": 2})];
    assert_eq!(driver.write(batch(&records)), Ok(vec![]));
    assert_eq!(
        asked(&harness, &mut seen),
        [
            HEADER.to_owned(),
            r#"POST id/values:batchUpdate {"valueInputOption":"RAW","data":[{"majorDimension":"ROWS","range":"'It''s'!A1:B1","values":[["Id","name"]]}]}"#.to_owned(),
            format!(r#"POST id/values/%27It%27%27s%27%21A%3AB:{TAIL} {{"majorDimension":"ROWS","values":[[1,"=1+1"],[2,null]]}}"#),
        ]
    );
    appended(&harness, "'It''s'!A4:B4");
    assert_eq!(driver.write(batch(&records[..1])), Ok(vec![]));
    assert_eq!(asked(&harness, &mut seen).len(), 1, "all is known now");
    harness.advance(61 * SECOND);
    read(&harness, json!([["name", "", "Id"]]));
    appended(&harness, "'It''s'!A5:C5");
    assert_eq!(driver.write(batch(&records[..1])), Ok(vec![]));
    let asked = asked(&harness, &mut seen);
    assert_eq!(asked[0], HEADER, "people may have moved columns");
    assert!(asked[1].contains("%21A%3AC:append") && asked[1].ends_with(r#"[["=1+1",null,1]]}"#), "{}", asked[1]);
}

#[test]
fn a_sheet_that_is_too_narrow_is_widened() {
    let harness = Harness::install();
    let mut more = columns();
    more["sheet"] = json!("Two");
    more["columns"].as_array_mut().expect("a list").extend([json!({"header": "c"}), json!({"header": "d"})]);
    let mut driver = open(&harness, more, json!(["name"]));
    read(&harness, json!([["name"]]));
    harness.reply(Reply::ok("{}"));
    harness.reply(Reply::ok("{}"));
    appended(&harness, "Two!A2:D2");
    let mut seen = harness.requests().len();
    assert_eq!(driver.write(batch(&[json!({"name": "n", "c": 3})])), Ok(vec![]));
    let asked = asked(&harness, &mut seen);
    assert_eq!(
        asked[1],
        r#"POST id:batchUpdate {"requests":[{"appendDimension":{"sheetId":7,"dimension":"COLUMNS","length":2}}]}"#
    );
    assert!(asked[2].contains(r#""range":"'Two'!B1:D1","values":[["Id","c","d"]]"#), "{}", asked[2]);
    assert!(asked[3].ends_with(r#"[["n",null,3,null]]}"#), "{}", asked[3]);
}

#[test]
fn columns_come_from_the_first_record_or_from_the_sheet() {
    let harness = Harness::install();
    let mut driver =
        open(&harness, json!({"spreadsheet-id": "https://docs.google.com/spreadsheets/d/id/edit#gid=0"}), json!([]));
    let mut seen = harness.requests().len();
    read(&harness, json!([]));
    let failures = driver.write(batch(&[json!([1]), json!({})])).expect("nothing can be written");
    assert_eq!(failures.len(), 2);
    assert!(failures[0].error.message().contains("the sheet has no columns yet"), "{}", failures[0].error);
    assert_eq!(asked(&harness, &mut seen), [HEADER]);
    read(&harness, json!([]));
    harness.reply(Reply::ok("{}"));
    appended(&harness, "S!A2:B2");
    let records = [json!(7), json!({"b": 1, "a": "x"}), json!({"a": true, "c": 1}), json!({"c": 2})];
    let failures = driver.write(batch(&records)).expect("two are written");
    let shown: Vec<_> = failures.iter().map(|failure| (failure.index, failure.error.message().to_owned())).collect();
    assert_eq!(
        shown,
        [
            (0, "nothing for any of the columns `a`, `b`".to_owned()),
            (3, "nothing for any of the columns `a`, `b`".to_owned()),
        ]
    );
    // `json!` sorts keys.
    let asked = asked(&harness, &mut seen);
    assert!(asked[1].contains(r#""values":[["a","b"]]"#), "{}", asked[1]);
    assert!(asked[2].ends_with(r#""values":[["x",1],[true,null]]}"#), "{}", asked[2]);
    let warnings: Vec<String> =
        harness.logs().into_iter().map(|(_, text)| text).filter(|t| t.contains("no column")).collect();
    assert_eq!(warnings, ["the field `c` has no column and is left out; add its header to the sheet's first row"]);
}

#[test]
fn without_a_header_row_nothing_is_read() {
    let harness = Harness::install();
    granted(&harness);
    harness.reply(Reply::ok(r#"{"sheets":[{"properties":{"title":"S"}}]}"#));
    let mut more = columns();
    more["header"] = json!(false);
    more["insert"] = json!("OVERWRITE");
    let mut driver = Driver::open(section(more)).expect("a fine section");
    appended(&harness, "S!A1:B1");
    assert_eq!(driver.write(batch(&[json!({"id": 1, "name": "n"})])), Ok(vec![]));
    let asked = asked(&harness, &mut 2);
    assert_eq!(asked.len(), 1);
    assert!(asked[0].contains("insertDataOption=OVERWRITE"), "{}", asked[0]);
}

#[test]
fn what_does_not_fit_is_told_when_it_starts() {
    let harness = Harness::install();
    let fails = |more: Value, kind: ErrorKind, words: &str| {
        granted(&harness);
        harness.reply(Reply::ok(r#"{"sheets":[{"properties":{"title":"One"}},{"properties":{"title":"Two"}}]}"#));
        read(&harness, json!([["x", "y"]]));
        let error = Driver::open(section(more)).expect_err(words);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(words), "{words}: {error}");
    };
    fails(columns(), ErrorKind::Config, "`x`, `y`, none of which is a column");
    let harness = Harness::install();
    for (reply, kind, words) in [
        (
            refusal(404, "NOT_FOUND", "Requested entity was not found.", json!([])),
            ErrorKind::Config,
            "no spreadsheet id",
        ),
        (refusal(403, "PERMISSION_DENIED", "No.", json!([])), ErrorKind::Auth, "share the spreadsheet with writer@"),
        (
            refusal(400, "INVALID_ARGUMENT", "It is an Office file.", json!([])),
            ErrorKind::Config,
            "It is an Office file.",
        ),
        (
            Reply::ok(r#"{"sheets":[{"properties":{"title":"One"}}]}"#),
            ErrorKind::Config,
            "no sheet `Three`; it has `One`",
        ),
    ] {
        granted(&harness);
        harness.reply(reply);
        let error = Driver::open(section(json!({"spreadsheet-id": "id", "sheet": "Three"}))).expect_err(words);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(words), "{words}: {error}");
    }
}

#[test]
fn rows_that_land_elsewhere_are_warned_of() {
    let harness = Harness::install();
    let mut driver = open(&harness, columns(), json!(["Id", "name"]));
    for _ in 0..2 {
        appended(&harness, "'It''s'!B7:C7");
        assert_eq!(driver.write(batch(&[json!({"id": 1})])), Ok(vec![]));
    }
    let warnings = harness.logs().into_iter().filter(|(_, text)| text.contains("not to the first column")).count();
    assert_eq!(warnings, 1);
}

#[test]
fn a_sheet_that_refuses_everything_ends_the_run_before_the_quota_is_gone() {
    let harness = Harness::install();
    let mut driver = open(&harness, columns(), json!(["Id", "name"]));
    for _ in 0..60 {
        refused(&harness, 400, "INVALID_ARGUMENT", "You are trying to edit a protected cell or object.");
    }
    let records: Vec<Value> = (0..5000).map(|n| json!({"id": n})).collect();
    let error = driver.write(batch(&records)).expect_err("no row at all");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("16 rows in a row") && error.message().contains("protected"), "{error}");
}
