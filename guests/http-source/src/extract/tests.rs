use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn answer(status: u16, headers: &[(&str, &[u8])], body: &[u8]) -> Answer {
    let mut fields = Headers::default();
    for (name, value) in headers {
        fields.append(name, value).expect("a test's header");
    }
    Answer {
        head: Head { status, headers: fields, place: "here".to_owned() },
        body: body.to_vec(),
        address: String::new(),
    }
}

fn record(form: &str, parts: &str, answer: Answer) -> Vec<u8> {
    let config = json!({"endpoint": "http://a", "output_type": form, "output_parts": parts});
    let extractor = Extractor::new(&serde_json::from_value(config).expect("a fine section"));
    let mut batch = Batch::default();
    let limit = Limit { max_records: 10, max_bytes: 1 << 20, max_wait: std::time::Duration::ZERO };
    let mut delivery = extractor.start(answer).expect("no pointer");
    assert!(extractor.fill(&mut delivery, &mut batch, &limit).expect("no pointer"));
    let mut records = batch.records();
    assert_eq!((records.len(), &records[0].key), (1, &None));
    records.remove(0).value
}

fn text_record(form: &str, parts: &str, answer: Answer) -> String {
    String::from_utf8(record(form, parts, answer)).expect("text")
}

const HEADERS: [(&str, &[u8]); 4] = [("X-B", b"1"), ("Content-Type", b"text/plain"), ("x-b", b"2"), ("a", b"caf\xe9")];

#[test]
fn the_four_forms() {
    let make = || answer(200, &HEADERS, b"Hello \"you\"\n");
    assert_eq!(record("text", "body", make()), b"Hello \"you\"\n");
    assert_eq!(
        record("text", "full", make()),
        b"HTTP/1.1 200 OK\nx-b: 1\ncontent-type: text/plain\nx-b: 2\na: caf\xe9\n\nHello \"you\"\n"
    );
    assert_eq!(text_record("json", "body", make()), r#"{"body":"Hello \"you\"\n"}"#);
    assert_eq!(
        text_record("json", "full", make()),
        concat!(
            r#"{"status":{"version":"HTTP/1.1","code":200,"string":"OK"},"#,
            r#""header":{"a":"café","content-type":"text/plain","x-b":["1","2"]},"body":"Hello \"you\"\n"}"#
        )
    );
}

#[test]
fn answers_without_words_headers_or_body() {
    let make = || answer(299, &[], b"");
    assert_eq!(record("text", "body", make()), b"");
    assert_eq!(record("text", "full", make()), b"HTTP/1.1 299 \n\n\n");
    assert_eq!(
        text_record("json", "full", make()),
        r#"{"status":{"version":"HTTP/1.1","code":299},"header":{},"body":""}"#
    );
}

#[test]
fn three_and_more_values_of_one_header() {
    let many: [(&str, &[u8]); 3] = [("v", b"1"), ("v", b"2"), ("v", b"3")];
    let record = text_record("json", "full", answer(200, &many, b""));
    assert!(record.contains(r#""header":{"v":["1","2","3"]}"#), "{record}");
}

#[test]
fn bytes_stay_bytes() {
    let binary: Vec<u8> = (0..=255).collect();
    let png: [(&str, &[u8]); 1] = [("content-type", b"image/png")];
    assert_eq!(record("text", "body", answer(200, &png, &binary)), binary);
    let value: Value = serde_json::from_slice(&record("json", "body", answer(200, &png, &binary))).expect("JSON");
    assert_eq!(STANDARD.decode(value["body_base64"].as_str().expect("text")).expect("Base64"), binary);
    assert!(value["body"].as_str().expect("text").contains('\u{fffd}'));
    let marked = b"\xef\xbb\xbf{}";
    assert_eq!(record("text", "body", answer(200, &[], marked)), marked);
    assert_eq!(text_record("json", "body", answer(200, &[], marked)), r#"{"body":"{}"}"#);
}

#[test]
fn declared_charsets_become_utf_8() {
    for content_type in ["text/plain; charset=iso-8859-1", "text/plain;format=x; Charset=\"ISO-8859-1\""] {
        let headers = [("content-type", content_type.as_bytes())];
        assert_eq!(text_record("text", "body", answer(200, &headers, b"caf\xe9")), "café");
    }
    let utf16: [(&str, &[u8]); 1] = [("content-type", b"text/plain; charset=utf-16le")];
    assert_eq!(text_record("json", "body", answer(200, &utf16, b"h\0i\0")), r#"{"body":"hi"}"#);
    let unknown: [(&str, &[u8]); 1] = [("content-type", b"text/plain; charset=klingon")];
    assert_eq!(record("text", "body", answer(200, &unknown, b"\xe9")), b"\xe9");
}

fn split(records: &str, body: &str) -> Result<Vec<String>> {
    let config = json!({"endpoint": "http://a", "records": records});
    let extractor = Extractor::new(&serde_json::from_value(config).expect("a fine section"));
    let mut delivery = extractor.start(answer(200, &[], body.as_bytes()))?;
    let mut values = Vec::new();
    loop {
        let mut batch = Batch::default();
        let limit = Limit { max_records: 2, max_bytes: 20, max_wait: std::time::Duration::ZERO };
        let done = extractor.fill(&mut delivery, &mut batch, &limit)?;
        assert!(batch.len() <= 2);
        values.extend(batch.records().into_iter().map(|record| String::from_utf8(record.value).expect("JSON")));
        if done {
            return Ok(values);
        }
    }
}

#[test]
fn elements_keep_their_text() {
    let body = "\u{feff}{\"d\": {\"items\": [ {\"z\" : 1.50, \"a\": \"x \\\" y\\\\\" } ,\n [1, 2 ],null,\"s p\", 1e400,\
                123456789012345678901234567890 ]}}";
    assert_eq!(
        split("/d/items", body).expect("an array"),
        [r#"{"z":1.50,"a":"x \" y\\"}"#, "[1,2]", "null", "\"s p\"", "1e400", "123456789012345678901234567890"]
    );
    assert_eq!(split("", "[]").expect("an array"), Vec::<String>::new());
    for (body, words) in [
        ("7", "leads to a number"),
        ("\"[]\"", "leads to a string"),
        ("null", "leads to null"),
        ("true", "leads to a boolean"),
        ("{}", "leads to an object"),
        ("[1", "the body is not JSON"),
        ("", "the body is not JSON"),
    ] {
        let error = split("", body).expect_err(words);
        assert!(error.message().contains(words), "{body}: {error}");
    }
}

#[test]
fn a_key_may_come_from_the_whole_body() {
    let config = json!({"endpoint": "http://a", "key": "/id"});
    let extractor = Extractor::new(&serde_json::from_value(config).expect("a fine section"));
    let limit = Limit { max_records: 10, max_bytes: 100, max_wait: std::time::Duration::ZERO };
    let mut batch = Batch::default();
    let mut delivery = extractor.start(answer(200, &[], b"{\"id\": \"\\u00e9\"}")).expect("no array asked for");
    assert!(extractor.fill(&mut delivery, &mut batch, &limit).expect("a key"));
    assert_eq!(batch.records()[0].key.as_deref(), Some("é".as_bytes()));
    let mut delivery = extractor.start(answer(200, &[], b"no JSON")).expect("no array asked for");
    assert!(extractor.fill(&mut delivery, &mut batch, &limit).is_err());
    assert!(extractor.fill(&mut delivery, &mut batch, &limit).expect("it is behind"));
    assert_eq!(batch.len(), 1);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~\n\"\\\\é]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z \"]{0,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn compact_is_what_serde_json_calls_compact(value in any_json()) {
        let pretty = serde_json::to_string_pretty(&value).expect("JSON");
        let mut out = Vec::new();
        compact(pretty.as_bytes(), &mut out);
        prop_assert_eq!(String::from_utf8(out).expect("text"), value.to_string());
    }

    #[test]
    fn elements_are_what_serde_json_finds(elements in prop::collection::vec(any_json(), 0..6), pretty: bool) {
        let array = Value::from(elements.clone());
        let body = if pretty { serde_json::to_string_pretty(&array).expect("JSON") } else { array.to_string() };
        let expected: Vec<_> = elements.iter().map(Value::to_string).collect();
        prop_assert_eq!(split("", &body).expect("an array"), expected);
    }

    #[test]
    fn no_text_panics(body in "[\\[\\]{}\",:\\\\0-9a-c ]{0,24}", records in "(/[0-9a-c]{0,2}){0,2}") {
        let _ = split(&records, &body);
    }
}
