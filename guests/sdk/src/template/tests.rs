use proptest::prelude::*;

use super::*;
use crate::batch::RecordRef;

const PLACES: [Place; 5] = [Place::Path, Place::Query, Place::Header, Place::JsonString, Place::Plain];

fn context<'a>(key: Option<&'a [u8]>, value: &'a [u8], timestamp: Option<i64>) -> Context<'a> {
    let record = RecordRef { key, value, timestamp };
    Context { topic: "cat-facts", partition: 2, delivered: Delivered { index: 0, record, offset: 17, part: 0 } }
}

fn text(result: Result<Cow<'_, [u8]>, String>) -> Result<String, String> {
    result.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn fill(template: &str, place: Place, key: Option<&str>, value: &str) -> Result<String, String> {
    text(Template::parse(template, place)?.fill(&context(
        key.map(str::as_bytes),
        value.as_bytes(),
        Some(1_700_000_000_000),
    )))
}

#[test]
fn every_placeholder_has_its_content() {
    let all = "{{key}}|{{ value }}|{{topic}}|{{partition}}|{{offset}}|{{timestamp}}|{{/a/b~1c}}";
    let value = r#"{"a": {"b/c": [1.50, "x"]}}"#;
    assert_eq!(
        fill(all, Place::Plain, Some("k"), value).expect("all there"),
        format!(r#"k|{value}|cat-facts|2|17|1700000000000|[1.50, "x"]"#)
    );
    assert_eq!(fill("no placeholder", Place::Plain, None, "").expect("fixed"), "no placeholder");
}

#[test]
fn each_place_has_its_own_escapes() {
    let value = "a b/é?&\"\\%";
    for (place, expected) in [
        (Place::Path, "<a%20b%2F%C3%A9%3F%26%22%5C%25>"),
        (Place::Query, "<a%20b%2F%C3%A9%3F%26%22%5C%25>"),
        (Place::Header, "<a b/é?&\"\\%>"),
        (Place::JsonString, "<a b/é?&\\\"\\\\%>"),
        (Place::Plain, "<a b/é?&\"\\%>"),
    ] {
        assert_eq!(fill("<{{value}}>", place, None, value).expect("it can stand there"), expected, "{place:?}");
    }
}

#[test]
fn what_can_not_stand_there_is_refused_with_the_reason() {
    for (template, place, key, value, why) in [
        ("{{key}}", Place::Header, None, "", "the record has no key"),
        ("{{key}}", Place::Path, Some(""), "", "the record's key is empty, which would change the path"),
        ("{{key}}", Place::Header, Some("a\r\nHost: b"), "", "the record's key holds a line break"),
        ("{{value}}", Place::Header, None, "a\0b", "the record's value holds a control character (0x00)"),
        ("{{/a}}", Place::Query, None, "hello", "the record's value is not JSON: expected value at line 1"),
        ("{{/a}}", Place::Query, None, "{\"b\": 1}", "`/a` finds nothing: the value is an object with `b`"),
        ("{{/a/b}}", Place::Query, None, "{\"a\": 1}", "`/a/b` finds nothing: `/a` is a number"),
        ("{{/a}}", Place::Query, None, "{\"a\": null}", "`/a` is null"),
        ("{{/a}}", Place::Plain, None, r#"{"a": "\ud800"}"#, "`/a` holds half of a surrogate pair"),
    ] {
        let error = fill(template, place, key, value).expect_err(template);
        assert!(error.starts_with(why), "{error}");
    }
    let record = context(None, b"\xff", None);
    let filled = |place, template| text(Template::parse(template, place).expect("fine").fill(&record));
    assert!(filled(Place::JsonString, "{{value}}").expect_err("no UTF-8").contains("is not UTF-8"));
    assert_eq!(filled(Place::Query, "{{timestamp}}").expect_err("none"), "the record has no timestamp");
    assert_eq!(filled(Place::Query, "{{value}}").expect("bytes can stand there"), "%FF");
}

#[test]
fn an_empty_text_may_stand_where_it_changes_nothing() {
    for place in PLACES.into_iter().filter(|place| *place != Place::Path) {
        assert_eq!(fill("<{{key}}>", place, Some(""), "").expect("harmless"), "<>", "{place:?}");
    }
}

#[test]
fn wrong_templates_say_what_is_wrong() {
    let wrong = |template| Template::parse(template, Place::Plain).expect_err(template);
    assert_eq!(wrong("a {{key"), "the placeholder `{{key` has no `}}`");
    assert!(wrong("{{kye}}").starts_with("there is no placeholder `{{kye}}`; known are `key`, `value`, "));
    assert!(wrong("{{}}").starts_with("there is no placeholder `{{}}`"));
}

#[test]
fn json_takes_values_and_parts_of_strings() {
    let fill = |template: &str, key: Option<&str>, value: &str| {
        let template = Template::parse_json(template)?;
        text(template.fill(&context(key.map(str::as_bytes), value.as_bytes(), None)))
    };
    let template = r#"{"k":{{key}},"t":"at {{offset}} \"{{key}}\"","{{topic}}":{{/n}},"v":{{value}},"o":{{offset}},"x":{{timestamp}}}"#;
    assert_eq!(
        fill(template, Some("a\"b"), r#" {"n": 1.0} "#).expect("all there"),
        r#"{"k":"a\"b","t":"at 17 \"a\"b\"","cat-facts":1.0,"v":{"n": 1.0},"o":17,"x":null}"#
            .replace("a\"b\\", r#"a\"b\"#)
    );
    assert_eq!(fill("[{{key}},{{/s}}]", None, r#"{"s": "é\u00e9"}"#).expect("all there"), r#"[null,"é\u00e9"]"#);
    assert_eq!(fill("{{value}}", None, " [1] ").expect("JSON"), "[1]");
    assert_eq!(fill(r#""{{value}}""#, None, "plain\n").expect("a string"), r#""plain\n""#);
    assert!(fill("{{value}}", None, "plain").expect_err("no JSON").starts_with("the record's value is not JSON"));
    assert!(fill("[{{value}}]", None, "1, 2").expect_err("no JSON").starts_with("the record's value is not JSON"));
    for wrong in ["{\"a\": {{value}}", "{{value}} {{key}}", "{a: {{key}}}", "", "{\"a\": \"{{key}}}"] {
        let error = Template::parse_json(wrong).expect_err(wrong);
        assert!(error.starts_with("it is not JSON when its placeholders are filled in: "), "{error}");
    }
    assert_eq!(
        Template::parse_json("\"\\{{key}}\"").expect_err("an escape"),
        "a placeholder stands behind a backslash"
    );
}

#[test]
fn a_value_as_it_is_costs_no_copy() {
    let value = b"{\"a\": 1}";
    let filled = Template::json_value().fill(&context(None, value, None)).expect("JSON");
    assert!(matches!(filled, Cow::Borrowed(_)));
}

proptest! {
    #[test]
    fn json_stays_json_and_strings_stay_whole(key in any::<String>(), text in any::<String>()) {
        let value = serde_json::to_vec(&serde_json::json!({"text": text})).expect("JSON");
        let template = r#"{"a": "<{{key}}>", "b": {{key}}, "c": "{{/text}}", "d": {{/text}}, "e": {{value}}, "f": "{{value}}"}"#;
        let template = Template::parse_json(template).expect("JSON");
        let filled = template.fill(&context(Some(key.as_bytes()), &value, None)).expect("text is text");
        let parsed: serde_json::Value = serde_json::from_slice(&filled).expect("JSON stays JSON");
        prop_assert_eq!(&parsed["a"], &format!("<{key}>"));
        prop_assert_eq!(&parsed["b"], &key);
        prop_assert_eq!(&parsed["c"], &text);
        prop_assert_eq!(&parsed["d"], &text);
        prop_assert_eq!(&parsed["e"]["text"], &text);
        prop_assert_eq!(parsed["f"].as_str().map(str::as_bytes), Some(value.as_slice()));
    }

    #[test]
    fn headers_hold_nothing_that_ends_them(key in any::<Vec<u8>>()) {
        let template = Template::parse("{{key}}", Place::Header).expect("fine");
        let bad = |byte: &u8| *byte == 0x7f || (*byte < b' ' && *byte != b'\t');
        match template.fill(&context(Some(&key), b"", None)) {
            Ok(filled) => prop_assert!(!filled.iter().any(bad) && *filled == *key),
            Err(_) => prop_assert!(key.iter().any(bad)),
        }
    }
}
