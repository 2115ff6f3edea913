//! Rows that are updated by their key.

use super::*;

fn open(harness: &Harness, more: Value) -> Driver {
    let mut all = json!({
        "spreadsheet-id": "id", "mode": "upsert", "key-column": "id",
        "columns": [{"header": "name"}, {"header": "id"}, {"header": "n"}],
    });
    all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    granted(harness);
    found(harness, json!(["name", "id", "n"]));
    Driver::open(section(all)).expect("a fine section")
}

fn bodies(harness: &Harness, seen: &mut usize) -> Vec<String> {
    let asked = asked(harness, seen);
    asked.iter().map(|asked| asked.split_once(' ').expect("a method").1.to_owned()).collect()
}

#[test]
fn known_keys_are_updated_and_new_ones_appended() {
    let harness = Harness::install();
    let mut driver = open(&harness, json!({}));
    let mut seen = harness.requests().len();
    read(&harness, json!([["id"], ["a"], [], [5], [true], ["a"]]));
    harness.reply(Reply::ok("{}"));
    appended(&harness, "S!A7:C8");
    let records = [
        json!({"id": "new", "name": "x"}),
        json!({"id": "a", "n": 1}),
        json!({"id": "5", "name": null, "n": 2}),
        json!({"id": "TRUE", "name": "t"}),
        json!({"id": "new", "n": 3}),
        json!({"id": "a", "name": "y"}),
        json!({"id": "newer"}),
    ];
    assert_eq!(driver.write(batch(&records)), Ok(vec![]));
    let asked = bodies(&harness, &mut seen);
    assert!(asked[0].ends_with("ranges=%27It%27%27s%27%21B%3AB"), "{}", asked[0]);
    let row = |row: u32, cells: &str| {
        format!(r#"{{"majorDimension":"ROWS","range":"'It''s'!A{row}:C{row}","values":[{cells}]}}"#)
    };
    let data = [row(2, r#"["y","a",1]"#), row(4, r#"["","5",2]"#), row(5, r#"["t","TRUE",null]"#)].join(",");
    assert_eq!(asked[1], format!(r#"id/values:batchUpdate {{"valueInputOption":"RAW","data":[{data}]}}"#));
    assert!(asked[2].ends_with(r#"[["x","new",3],[null,"newer",null]]}"#), "{}", asked[2]);
    assert!(harness.logs().iter().any(|(_, text)| text.starts_with("1 rows have the key of a row above")));

    // What was appended is known now, without asking.
    harness.reply(Reply::ok("{}"));
    assert_eq!(driver.write(batch(&[json!({"id": "newer", "n": 9})])), Ok(vec![]));
    let asked = bodies(&harness, &mut seen);
    assert_eq!(asked.len(), 1);
    assert!(asked[0].contains(&row(8, r#"[null,"newer",9]"#)), "{}", asked[0]);

    // After a while people may have sorted the sheet.
    harness.advance(6 * SECOND);
    read(&harness, json!([["id"], ["newer"]]));
    harness.reply(Reply::ok("{}"));
    assert_eq!(driver.write(batch(&[json!({"id": "newer", "n": 9})])), Ok(vec![]));
    assert!(bodies(&harness, &mut seen)[1].contains(&row(2, r#"[null,"newer",9]"#)));
}

#[test]
fn an_append_whose_answer_was_lost_is_found_and_not_repeated() {
    let harness = Harness::install();
    let mut driver = open(&harness, json!({"key-cache": "1h"}));
    read(&harness, json!([["id"]]));
    harness.reply(Reply::failure(Error::unreachable("reset")));
    let records = [json!({"id": "a", "n": 1})];
    assert_eq!(driver.write(batch(&records)).expect_err("nothing is known").kind(), ErrorKind::Unreachable);
    read(&harness, json!([["id"], ["a"]]));
    harness.reply(Reply::ok("{}"));
    let mut seen = harness.requests().len();
    assert_eq!(driver.write(batch(&records)), Ok(vec![]));
    assert!(bodies(&harness, &mut seen)[1].contains("'It''s'!A2:C2"));
}

#[test]
fn what_becomes_of_a_row_becomes_of_all_its_records() {
    let harness = Harness::install();
    let mut driver = open(&harness, json!({}));
    read(&harness, json!([["id"], ["a"]]));
    harness.reply(Reply::ok("{}"));
    refused(&harness, 429, "RESOURCE_EXHAUSTED", "slow down");
    let records = [
        json!({"id": "new", "n": 1}),
        json!({"id": "a", "n": 1}),
        json!({"n": 1}),
        json!({"id": "new", "n": 2}),
        json!({"id": "a", "n": 2}),
    ];
    let failures = driver.write(batch(&records)).expect("the known row is updated");
    let shown: Vec<_> = failures.iter().map(|failure| (failure.index, failure.error.kind())).collect();
    assert_eq!(shown, [(0, ErrorKind::Throttled), (2, ErrorKind::Data), (3, ErrorKind::Throttled)]);
    assert_eq!(failures[1].error.message(), "nothing for the key column `id`");
}

#[test]
fn keys_that_look_like_numbers_stay_texts_when_typed_in() {
    let harness = Harness::install();
    let mut driver = open(&harness, json!({"value-input": "USER_ENTERED"}));
    let mut seen = harness.requests().len();
    read(&harness, json!([["id"], ["007"]]));
    harness.reply(Reply::ok("{}"));
    appended(&harness, "S!A3:C3");
    assert_eq!(driver.write(batch(&[json!({"id": "007", "name": "=A1"}), json!({"id": "008"})])), Ok(vec![]));
    let asked = bodies(&harness, &mut seen);
    assert!(asked[1].contains(r#"{"valueInputOption":"USER_ENTERED","#) && asked[1].contains(r#"["=A1","'007",null]"#));
    assert!(asked[2].ends_with(r#"[[null,"'008",null]]}"#), "{}", asked[2]);
}

#[test]
fn positions_as_keys_make_appending_exact() {
    let harness = Harness::install();
    granted(&harness);
    found(&harness, json!(["at", "v"]));
    let section = section(json!({
        "spreadsheet-id": "id", "mode": "upsert", "key-column": "at",
        "columns": [{"header": "at", "from": "position"}, {"header": "v"}],
    }));
    let mut driver = Driver::open(section).expect("a fine section");
    read(&harness, json!([["at"], ["test/0/0/0"]]));
    harness.reply(Reply::ok("{}"));
    appended(&harness, "S!A3:B3");
    let mut seen = harness.requests().len();
    assert_eq!(driver.write(batch(&[json!({"v": 1}), json!({"v": 2})])), Ok(vec![]));
    let asked = bodies(&harness, &mut seen);
    assert!(asked[1].contains(r#"A2:B2","values":[["test/0/0/0",1]]"#), "{}", asked[1]);
    assert!(asked[2].ends_with(r#"[["test/0/1/0",2]]}"#), "{}", asked[2]);
}

#[test]
fn a_key_column_that_is_not_there_is_told_when_it_starts() {
    let harness = Harness::install();
    granted(&harness);
    found(&harness, json!(["name"]));
    let section = section(json!({"spreadsheet-id": "id", "mode": "upsert", "key-column": "id"}));
    let error = Driver::open(section).expect_err("no such column");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.message(), "`sheet.key-column`: `id` is none of the columns `name`");
}
