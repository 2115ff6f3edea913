//! This project's own SmartModules as they are shipped: built, loaded, given parameters, fed records.

use host_smartmodule::{Chain, Kind};

use crate::support::{chain, module, run, stage, texts};

#[test]
fn json_filter() {
    assert_eq!(module("json-filter").kind(), Kind::Filter);
    let mut chain = chain(vec![stage("json-filter", &[("field", "n"), ("op", "gt"), ("value", "1")])]);
    let applied = run(&mut chain, &[r#"{"n": 1}"#, r#"{"n": 2}"#, "text", r#"{"m": 3}"#, r#"{"n": 1e3}"#]);
    assert_eq!(applied.sources, [1, 4]);
    assert_eq!(applied.refusals.len(), 1);
    assert!(applied.refusals[0].reason.starts_with("the record is not JSON: "), "{}", applied.refusals[0].reason);
}

#[test]
fn json_project() {
    assert_eq!(module("json-project").kind(), Kind::Map);
    let params = [("fields", r#"["id","user.name"]"#), ("rename", r#"{"user.mail":"mail"}"#)];
    let mut chain = chain(vec![stage("json-project", &params)]);
    let applied = run(&mut chain, &[r#"{"user": {"name": "A", "mail": "m"}, "id": 1.0, "x": 2}"#]);
    assert_eq!(texts(&applied.batch), [r#"{"id":1.0,"user":{"name":"A"},"mail":"m"}"#]);
}

#[test]
fn json_array_split() {
    assert_eq!(module("json-array-split").kind(), Kind::ArrayMap);
    let mut chain = chain(vec![stage("json-array-split", &[("field", "items")])]);
    let applied = run(&mut chain, &[r#"{"items": [1, {"a": 2}]}"#, "{}", r#"{"items": []}"#]);
    assert_eq!(texts(&applied.batch), ["1", r#"{"a": 2}"#]);
    assert_eq!(applied.refusals[0].reason, "there is no field `items`");
}

#[test]
fn together() {
    let mut chain = chain(vec![
        stage("json-array-split", &[]),
        stage("json-filter", &[("field", "ok"), ("value", "true")]),
        stage("json-project", &[("drop", "ok")]),
    ]);
    let applied = run(&mut chain, &[r#"[{"ok": true, "n": 1}, {"ok": false, "n": 2}]"#, r#"[{"ok": true, "n": 3}]"#]);
    assert_eq!(texts(&applied.batch), [r#"{"n":1}"#, r#"{"n":3}"#]);
    assert_eq!(applied.sources, [0, 1]);
}

#[test]
fn a_wrong_parameter_ends_the_start_and_names_the_right_ones() {
    let error = Chain::new(vec![stage("json-filter", &[("feild", "n")])]).expect_err("misspelt").to_string();
    assert!(
        error.starts_with(
            "`json-filter` refuses its parameters: unknown parameter `feild`; json-filter takes `field` ("
        ),
        "{error}"
    );
}
