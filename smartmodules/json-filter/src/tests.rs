//! What is kept, by operation, type and missing field.

use super::*;

fn filter(params: &[(&str, &str)]) -> Result<JsonFilter, String> {
    Settings::new(params.iter().copied()).and_then(JsonFilter::new).map_err(|error| error.to_string())
}

fn keeps(op: &str, value: &str, field: &str) -> bool {
    let filter = filter(&[("field", "a.f"), ("op", op), ("value", value)]).expect("valid");
    filter.keeps(format!(r#"{{"x": 1, "a": {{"f": {field}}}}}"#).as_bytes()).expect("JSON")
}

#[test]
fn numbers() {
    for (op, value, field, kept) in [
        ("eq", "10", "10", true),
        ("eq", "10", "10.0", true),
        ("eq", "1e1", "10", true),
        ("eq", "ten", "10", false),
        ("eq", "\"10\"", "10", false),
        ("ne", "10", "11", true),
        ("ne", "ten", "10", true),
        ("gt", "9", "10", true),
        ("gt", "10", "10", false),
        ("ge", "10", "10", true),
        ("lt", "-1", "-1.5", true),
        ("le", "0.1", "0.1", true),
        ("lt", "ten", "1", false),
        ("gt", "ten", "1", false),
        // beyond what floating point tells apart
        ("gt", "9007199254740992", "9007199254740993", true),
        ("lt", "18446744073709551615", "18446744073709551614", true),
        ("gt", "-1", "18446744073709551615", true),
        ("contains", "1", "10", false),
    ] {
        assert_eq!(keeps(op, value, field), kept, "{field} {op} {value}");
    }
}

#[test]
fn strings() {
    for (op, value, field, kept) in [
        ("eq", "error", r#""error""#, true),
        ("eq", "10", r#""10""#, true),
        ("eq", "ü", r#""\u00fc""#, true),
        ("ne", "error", r#""warning""#, true),
        ("lt", "b", r#""a""#, true),
        ("ge", "b", r#""a""#, false),
        ("contains", "rro", r#""error""#, true),
        ("contains", "", r#""""#, true),
        ("starts-with", "err", r#""error""#, true),
        ("starts-with", "ror", r#""error""#, false),
        ("ends-with", "ror", r#""error""#, true),
        ("ends-with", "err", r#""error""#, false),
        ("matches", "^e.*r$", r#""error""#, true),
        ("matches", "[0-9]", r#""error""#, false),
        ("matches", "1", "1", false),
    ] {
        assert_eq!(keeps(op, value, field), kept, "{field} {op} {value}");
    }
}

#[test]
fn everything_else() {
    for (op, value, field, kept) in [
        ("eq", "true", "true", true),
        ("eq", "true", "false", false),
        ("ne", "true", "false", true),
        ("eq", "null", "null", true),
        ("eq", "", "null", false),
        ("gt", "false", "true", false),
        ("eq", r#"{"b": 1, "a": [2]}"#, r#"{"a":[2],"b":1}"#, true),
        ("eq", "[1]", "[1, 2]", false),
        ("contains", "2", "[1, 2]", true),
        ("contains", "x", r#"["x"]"#, true),
        ("contains", "x", "[1, 2]", false),
        ("contains", "k", r#"{"k": null}"#, true),
        ("contains", "v", r#"{"k": "v"}"#, false),
    ] {
        assert_eq!(keeps(op, value, field), kept, "{field} {op} {value}");
    }
}

#[test]
fn existence() {
    for (value, record, kept) in [
        (None, r#"{"f": null}"#, true),
        (None, "{}", false),
        (Some("true"), r#"{"f": 1}"#, true),
        (Some("false"), r#"{"f": 1}"#, false),
        (Some("false"), "{}", true),
        (Some("false"), "[]", true),
    ] {
        let mut params = vec![("field", "f"), ("op", "exists")];
        params.extend(value.map(|value| ("value", value)));
        assert_eq!(filter(&params).expect("valid").keeps(record.as_bytes()).expect("JSON"), kept, "{record} {value:?}");
    }
    assert!(filter(&[("field", "f"), ("op", "exists"), ("value", "yes")]).is_err());
}

#[test]
fn a_missing_field() {
    let missing = |op, word: Option<&str>| {
        let mut params = vec![("field", "f"), ("op", op), ("value", "1")];
        params.extend(word.map(|word| ("missing", word)));
        filter(&params).expect("valid").keeps(b"{}").map_err(|error| error.to_string())
    };
    assert_eq!(missing("eq", None), Ok(false));
    assert_eq!(missing("ne", None), Ok(true));
    assert_eq!(missing("ne", Some("drop")), Ok(false));
    assert_eq!(missing("eq", Some("keep")), Ok(true));
    assert_eq!(missing("eq", Some("error")), Err("there is no field `f`".to_owned()));
}

#[test]
fn what_is_no_json_is_refused() {
    let filter = filter(&[("field", "f"), ("value", "1")]).expect("valid");
    for record in [&b""[..], b"text", b"{\"f\": 1", b"{\"f\": 1} x", b"\xff"] {
        let error = filter.keeps(record).expect_err("no JSON").to_string();
        assert!(error.starts_with("the record is not JSON: "), "{error}");
    }
}

#[test]
fn wrong_parameters_are_explained() {
    let error = |params: &[(&str, &str)]| filter(params).expect_err("wrong");
    let takes = "; json-filter takes `field`, `op`, `value`, `missing`";
    let missing = format!("parameter `field` is missing (Which field: a dotted path or a JSON pointer.){takes}");
    assert_eq!(error(&[("value", "1")]), missing);
    assert!(error(&[("field", "f")]).contains("parameter `value` is missing"));
    assert!(error(&[("field", "f"), ("op", "=="), ("value", "1")]).contains("`op` is `==`, expected `eq`, `ne`, "));
    assert!(error(&[("field", "f"), ("op", "matches"), ("value", "(")]).contains("not a regular expression"));
    assert!(error(&[("filed", "f")]).contains("unknown parameter `filed` (did you mean `field`?)"));
}
