use super::*;
use connector_sdk::Batch;
use proptest::prelude::*;
use serde_json::{Value, json};

fn columns(columns: Value) -> Vec<Option<Filled>> {
    let columns: Vec<Column> = serde_json::from_value(columns).expect("columns");
    columns.iter().map(|column| Some(Filled::new(column))).collect()
}

fn one(key: Option<&[u8]>, value: &str) -> Delivery {
    let mut batch = Batch::default();
    batch.push_record(key, value.as_bytes(), Some(1_700_000_000_123));
    Delivery { batch, topic: "orders".into(), partition: 3, offsets: vec![17] }
}

fn row(mapping: &Mapping, delivery: &Delivery) -> Result<(String, Option<String>), String> {
    let row = mapping.row(delivery, &delivery.iter().next().expect("a record"), &mut Vec::new())?;
    Ok((String::from_utf8(row.cells.join(&b',')).expect("UTF-8"), row.key))
}

fn append(columns: Vec<Option<Filled>>) -> Mapping {
    Mapping::new(columns, None, &config(Mode::Append, ValueInput::Raw))
}

fn config(mode: Mode, input: ValueInput) -> Config {
    let section = json!({
        "google_private_key": "", "google_client_email": "", "spreadsheet-id": "x", "mode": mode, "value-input": input,
    });
    serde_json::from_value(section).expect("a section")
}

#[test]
fn every_column_gets_what_it_asks_for() {
    let mut columns = columns(json!([
        {"header": "id"}, {"header": "Name", "path": "/customer/name"}, {"header": "a/b~c"},
        {"header": "Second", "path": "/items/1"}, {"header": "Gone", "path": "/nothing/here"},
        {"header": "All", "path": ""}, {"header": "Key", "from": "key"}, {"header": "Time", "from": "timestamp"},
        {"header": "Where", "from": "position"},
    ]));
    columns.insert(1, None);
    let value = r#"{"id": 7, "customer": {"name": "Ö"}, "a/b~c": true, "items": [1, {"n": null}], "id": 8}"#;
    let (cells, key) = row(&append(columns), &one(Some(b"k"), value)).expect("a row");
    let whole = json!(r#"{"id":7,"customer":{"name":"Ö"},"a/b~c":true,"items":[1,{"n":null}],"id":8}"#);
    let time = r#""2023-11-14 22:13:20.123""#;
    let expected = format!(r#"8,null,"Ö",true,"{{\"n\":null}}",null,{whole},"k",{time},"orders/3/17/0""#);
    assert_eq!((cells, key), (expected, None));
}

#[test]
fn records_that_are_no_objects_have_a_column_too() {
    let mapping = append(columns(json!([{"header": "v", "path": ""}])));
    for (value, cell) in [("7", "7"), ("\"a\"", "\"a\""), ("[1, 2]", r#""[1,2]""#)] {
        assert_eq!(row(&mapping, &one(None, value)).expect("a row").0, cell);
    }
    let second = append(columns(json!([{"header": "v", "path": "/1"}])));
    assert_eq!(row(&second, &one(None, "[1, 2]")).expect("a row").0, "2");
    for path in ["/01", "/-", "/2", "/x"] {
        let none = append(columns(json!([{"header": "v", "path": path}])));
        assert!(row(&none, &one(None, "[1, 2]")).is_err(), "{path}");
    }
}

#[test]
fn what_is_unusable_says_why() {
    let mapping = append(columns(json!([{"header": "id"}, {"header": "Note", "path": "/n"}])));
    for (value, words) in [
        ("{\"id\": 1", "not JSON: EOF"),
        ("plain text", "not JSON: expected value"),
        ("{}", "nothing for any of the columns `id`, `Note`"),
        (r#"{"id": null, "n": ""}"#, "nothing for any of the columns"),
        (&format!(r#"{{"n": "{}"}}"#, "x".repeat(50_001)), "column `Note`: a text of 50001 characters"),
    ] {
        let error = row(&mapping, &one(None, value)).expect_err(words);
        assert!(error.starts_with(words), "{words}: {error}");
    }
    let mapping = append(columns(json!([{"header": "k", "from": "key"}])));
    assert!(row(&mapping, &one(Some(b"\xff"), "{}")).expect_err("no text").contains("not UTF-8"));
    let mapping = append(columns(json!([{"header": "t", "from": "timestamp"}])));
    assert!(row(&mapping, &one(None, "{}")).is_ok(), "times are all that is asked for");
}

#[test]
fn keys_read_the_same_as_the_sheet_will_show_them() {
    let column = columns(json!([{"header": "id"}, {"header": "n"}]));
    let raw = Mapping::new(column.clone(), Some(0), &config(Mode::Upsert, ValueInput::Raw));
    let typed = Mapping::new(column, Some(0), &config(Mode::Upsert, ValueInput::UserEntered));
    for (value, in_raw, in_typed, key) in [
        (r#"{"id": "007", "n": null}"#, r#""007","""#, r#""'007","""#, "007"),
        (r#"{"id": 5.0}"#, "5.0,null", "5.0,null", "5"),
        (r#"{"id": "5"}"#, r#""5",null"#, r#""'5",null"#, "5"),
        (r#"{"id": true}"#, "true,null", "true,null", "TRUE"),
        (
            r#"{"id": 12345678901234567890}"#,
            r#""12345678901234567890",null"#,
            r#""'12345678901234567890",null"#,
            "12345678901234567890",
        ),
        (r#"{"id": "'x"}"#, r#""'x",null"#, r#""''x",null"#, "'x"),
    ] {
        assert_eq!(row(&raw, &one(None, value)), Ok((in_raw.into(), Some(key.into()))), "{value}");
        assert_eq!(row(&typed, &one(None, value)), Ok((in_typed.into(), Some(key.into()))), "{value}");
    }
    for value in [r#"{"n": 1}"#, r#"{"id": null, "n": 1}"#, r#"{"id": "", "n": 1}"#] {
        assert_eq!(row(&raw, &one(None, value)).expect_err("no key"), "nothing for the key column `id`");
        assert_eq!(row(&typed, &one(None, value)).expect_err("no key"), "nothing for the key column `id`");
    }
}

#[test]
fn field_names_come_in_order_and_once() {
    assert_eq!(field_names(br#"{"b": 1, "a": {"x": 1}, "b": 2}"#), Some(vec!["b".into(), "a".into()]));
    assert_eq!(field_names(b"[1]"), None);
    assert_eq!(field_names(b"{"), None);
}

#[test]
fn dates_end_where_people_stop_counting() {
    assert_eq!(date(0), "1970-01-01 00:00:00.000");
    assert_eq!(date(i64::MAX), "9999-12-31 23:59:59.999");
}

proptest! {
    /// Against a JSON library that builds the document.
    #[test]
    fn finds_what_a_pointer_means(json in "[\\[\\]{}\",:0-9a-c ]{0,24}", pointer in "(/[0-9a-c]{0,2}){0,3}") {
        let Ok(document) = serde_json::from_str::<Value>(&json) else { return Ok(()) };
        let fields = Fields::read(json.as_bytes()).expect("it is JSON");
        let found = fields.find(Path::parse(&pointer).expect("begins with /").steps());
        let found = found.map(|raw| serde_json::from_str::<Value>(raw.get()).expect("JSON"));
        prop_assert_eq!(found.as_ref(), document.pointer(&pointer));
    }
}
