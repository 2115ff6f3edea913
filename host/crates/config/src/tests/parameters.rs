//! A step's parameters against the schema that its SmartModule brings.

use super::{load, load_with};
use crate::TransformStep;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn schema() -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "required": ["field"],
        "additionalProperties": false,
        "properties": {
            "field": {"type": "string", "description": "Which field."},
            "op": {"type": "string", "enum": ["eq", "ne"]},
            "count": {"type": "integer", "minimum": 1},
            "invert": {"type": "boolean"},
            "fields": {"type": ["array", "string"], "items": {"type": "string"}},
            "rename": {"type": ["object", "string"]},
            "key": {"type": "string", "x-secret": true},
            "keep-last": {"type": "integer"},
            "keep_last": {"type": "integer", "x-alias-of": "keep-last"},
        },
    })
}

fn step(with: &str) -> TransformStep {
    let text = format!("meta: {{name: n, type: t, topic: t}}\ntransforms:\n  - uses: sm\n{with}");
    load(&text).transforms.remove(0)
}

fn refused(with: &str) -> String {
    step(with).section(&schema(), &[]).expect_err("refused").to_string()
}

fn flags(with: &[(&str, &str)]) -> TransformStep {
    let with = with.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    TransformStep::new("sm", with.collect::<BTreeMap<_, _>>())
}

#[test]
fn texts_are_what_the_schema_wants() {
    let with = "    with:\n      field: 1.50\n      op: ne\n      count: '3'\n      invert: true\n      fields: [a, 1]\n      rename: {a: b}\n";
    assert_eq!(step(with).section(&schema(), &[]).map(drop), Ok(()));
    let section = step(with).section(&schema(), &[]).expect("fits");
    let expected =
        json!({"field": "1.50", "op": "ne", "count": 3, "invert": true, "fields": ["a", "1"], "rename": {"a": "b"}});
    assert_eq!(section.json, expected);
    let with = "    with: {field: a, fields: 'a, b', rename: a=b, key: swordfish}\n";
    assert_eq!(step(with).section(&schema(), &[]).map(drop), Ok(()));
}

#[test]
fn other_names_are_the_same() {
    let section = step("    with: {field: a, keep_last: 4}\n").section(&schema(), &[]).expect("fits");
    assert_eq!(section.json, json!({"field": "a", "keep-last": 4}));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    assert_eq!(
        refused("    with:\n      feild: a\n      op: equals\n      count: 0\n      invert: maybe\n"),
        "c.yaml:4:5: missing key `field` in `transforms[0].with`\n  help: `field`: Which field.\n\
         c.yaml:5:7: unknown key `feild` in `transforms[0].with`\n  help: did you mean `field`?\n\
         c.yaml:6:11: `transforms[0].with.op` is `equals`, expected `eq` or `ne`\n\
         c.yaml:7:14: `transforms[0].with.count` is `0`, expected at least 1\n\
         c.yaml:8:15: `transforms[0].with.invert` is `maybe`, expected `true` or `false`"
    );
    assert_eq!(
        refused(""),
        "c.yaml:3:5: missing key `field`: there is no section `transforms[0].with`\n  help: `field`: Which field."
    );
}

#[test]
fn flags_are_named_as_they_were_given() {
    let refused = |with| flags(with).section(&schema(), &[]).expect_err("refused").to_string();
    assert_eq!(
        refused(&[("field", "a"), ("count", "many")]),
        "--with count=many: `with.count` is `many`, expected a whole number"
    );
    assert_eq!(
        refused(&[("field", "a"), ("opp", "eq")]),
        "--with opp=eq: unknown key `opp` in `with`\n  help: did you mean `op`?"
    );
    assert!(refused(&[]).starts_with("sm: missing key `field`"), "{}", refused(&[]));
    assert_eq!(flags(&[("field", "a"), ("count", "2")]).section(&schema(), &[]).map(drop), Ok(()));
}

#[test]
fn secrets_are_not_shown() {
    let text = "meta: {name: n, type: t, topic: t}\ntransforms:\n  - uses: sm\n    with: {field: a, op: '${{ secrets.OP }}'}\n";
    let config = load_with(text, "OP=swordfish", false).expect("accepted");
    let error = config.parameters(&config.transforms[0], &schema()).expect_err("refused").to_string();
    assert!(error.contains("`transforms[0].with.op`") && !error.contains("swordfish"), "{error}");
    let mut marked = schema();
    marked["properties"]["key"]["maxLength"] = json!(3);
    let error = step("    with: {field: a, key: swordfish}\n").section(&marked, &[]).expect_err("too long").to_string();
    assert!(error.contains("`transforms[0].with.key`") && !error.contains("swordfish"), "{error}");
}

#[test]
fn a_broken_schema_is_the_smartmodules_fault() {
    let error = flags(&[]).section(&json!({"type": "nonsense"}), &[]).expect_err("broken").to_string();
    assert!(error.starts_with("the module's schema: ") && error.ends_with("of the module: tell its author"));
}

#[test]
fn steps_are_equal_wherever_they_stand() {
    assert_eq!(step("    with: {field: a}\n"), flags(&[("field", "a")]));
    assert_ne!(step("    with: {field: a}\n"), flags(&[("field", "b")]));
}
