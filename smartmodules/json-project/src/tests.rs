//! What comes out, parameter by parameter.

use super::*;

const RECORD: &str =
    r#"{"id": 7, "user": {"name": "Ann", "mail": "a@b", "age": 30.0}, "tags": ["x", {"y": 1}], "n": null}"#;

fn project(params: &[(&str, &str)]) -> Result<Project, String> {
    Settings::new(params.iter().copied()).and_then(Project::new).map_err(|error| error.to_string())
}

fn apply(params: &[(&str, &str)], record: &str) -> Result<String, String> {
    let out = project(params).expect("valid").apply(record.as_bytes()).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out).expect("UTF-8"))
}

fn shaped(params: &[(&str, &str)]) -> String {
    apply(params, RECORD).expect("an object")
}

#[test]
fn without_parameters_only_spaces_between_fields_go() {
    let expected = r#"{"id":7,"user":{"name": "Ann", "mail": "a@b", "age": 30.0},"tags":["x", {"y": 1}],"n":null}"#;
    assert_eq!(shaped(&[]), expected);
}

#[test]
fn fields_are_kept_in_the_order_asked_for() {
    assert_eq!(shaped(&[("fields", "user.age, id")]), r#"{"user":{"age":30.0},"id":7}"#);
    assert_eq!(shaped(&[("fields", r#"["/user/name","n","x"]"#)]), r#"{"user":{"name":"Ann"},"n":null}"#);
    assert_eq!(shaped(&[("fields", "tags.1.y")]), r#"{"tags":{"1":{"y":1}}}"#);
    assert_eq!(shaped(&[("fields", "")]), "{}");
}

#[test]
fn fields_are_dropped() {
    assert_eq!(
        shaped(&[("fields", "id,user"), ("drop", "user.mail,user.age,x.y,id.z")]),
        r#"{"id":7,"user":{"name":"Ann"}}"#
    );
    assert_eq!(apply(&[("drop", "a")], r#"{"a": 1, "b": 2, "a": 3}"#).expect("ok"), r#"{"b":2}"#);
}

#[test]
fn fields_are_renamed_and_moved() {
    assert_eq!(
        shaped(&[("fields", "id"), ("rename", "user.name=name, id=key.id")]),
        r#"{"name":"Ann","key":{"id":7}}"#
    );
    assert_eq!(apply(&[("rename", r#"{"a":"b","b":"a"}"#)], r#"{"a": 1, "b": 2}"#).expect("ok"), r#"{"b":1,"a":2}"#);
    assert_eq!(apply(&[("rename", "tags.0=first")], r#"{"tags": [1]}"#).expect("ok"), r#"{"tags":[1],"first":1}"#);
}

#[test]
fn fields_are_set() {
    let set = r#"{"source":"http","n":"1","user.ok":"true","list":"[1, 2]","odd":"a\"b"}"#;
    let out = shaped(&[("fields", "n,user.name"), ("set", set)]);
    assert_eq!(out, r#"{"n":1,"user":{"name":"Ann","ok":true},"list":[1, 2],"odd":"a\"b","source":"http"}"#);
}

#[test]
fn keys_keep_their_escapes_right() {
    assert_eq!(apply(&[("drop", "b")], r#"{"a\"\u00fc": 1, "b": 2}"#).expect("ok"), r#"{"a\"ü":1}"#);
}

#[test]
fn a_missing_field_does_what_was_asked() {
    let missing = |word| apply(&[("fields", "id,x.y"), ("rename", "z=w"), ("missing", word)], RECORD);
    assert_eq!(missing("skip"), Ok(r#"{"id":7}"#.to_owned()));
    assert_eq!(missing("null"), Ok(r#"{"id":7,"x":{"y":null},"w":null}"#.to_owned()));
    assert_eq!(missing("error"), Err("there is no field `x.y`".to_owned()));
}

#[test]
fn what_cant_be_shaped_is_refused() {
    assert_eq!(apply(&[], "[1]"), Err("the record is JSON, but not an object".to_owned()));
    assert_eq!(apply(&[], " 1 "), Err("the record is JSON, but not an object".to_owned()));
    for record in ["", "text", r#"{"a": 1"#, r#"{"a": 1} x"#, r#"{"a": x}"#] {
        assert!(apply(&[], record).expect_err("no JSON").starts_with("the record is not JSON: "), "{record}");
        assert!(apply(&[("fields", "a")], record).is_err(), "{record}");
    }
    assert_eq!(apply(&[("set", "id.x=1")], RECORD), Err("`id.x` can't be written: `id` is not an object".to_owned()));
}

#[test]
fn wrong_parameters_are_explained() {
    let error = |params: &[(&str, &str)]| project(params).expect_err("wrong");
    assert!(
        error(&[("field", "a")])
            .starts_with("unknown parameter `field` (did you mean `fields`?); json-project takes `fields`, `drop`")
    );
    assert!(error(&[("rename", "a")]).contains("`a` where `name=value` belongs"));
    assert!(error(&[("rename", r#"{"a":""}"#)]).contains("`rename` names an empty field"));
    assert!(error(&[("missing", "x")]).contains("expected `skip`, `null` or `error`"));
}
