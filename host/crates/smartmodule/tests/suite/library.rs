//! This project's own SmartModules as they are shipped: built, loaded, given parameters, fed records.

use host_smartmodule::{Chain, Inspection, Kind, LookBack, Stage};

use crate::support::{chain, module, run, stage, texts, values, wasm};

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
    let expected = "`json-filter` refuses its parameters: unknown parameter `feild` (did you mean `field`?); json-filter \
                    takes `field`, `op`, `value`, `missing`";
    assert!(error.starts_with(expected), "{error}");
}

/// A module, its kind, its parameters, values that go in and values that come out.
type Case<'a> = (&'a str, Kind, &'a [(&'a str, &'a str)], &'a [&'a str], &'a [&'a str]);

const CASES: &[Case<'_>] = &[
    ("regex-filter", Kind::Filter, &[("regex", "^a+$")], &["aa", "ab", "", "a"], &["aa", "a"]),
    ("sample", Kind::Filter, &[("every", "2")], &["a", "b", "c"], &["a", "c"]),
    ("dedup", Kind::Filter, &[("count", "10")], &["a", "b", "a", "c", "b"], &["a", "b", "c"]),
    ("ndjson-split", Kind::ArrayMap, &[], &["1\n{\"a\": 2}\n", ""], &["1", "{\"a\": 2}"]),
    (
        "csv-to-json",
        Kind::ArrayMap,
        &[("types", "n=integer")],
        &["n,s\n1,x\n2,y"],
        &[r#"{"n":1,"s":"x"}"#, r#"{"n":2,"s":"y"}"#],
    ),
    (
        "text-to-json",
        Kind::FilterMap,
        &[("regex", "(?<n>[0-9]+)"), ("unmatched", "drop")],
        &["a 1", "b"],
        &[r#"{"n":"1"}"#],
    ),
    ("json-key", Kind::Map, &[("fields", "a")], &[r#"{"a": 1}"#], &[r#"{"a": 1}"#]),
    ("json-types", Kind::Map, &[("fields", "a=number")], &[r#"{"a": "1.50"}"#], &[r#"{"a": 1.50}"#]),
    ("json-mask", Kind::Map, &[("redact", "a")], &[r#"{"a": 1, "b": 2}"#], &[r#"{"a": null, "b": 2}"#]),
    (
        "json-timestamp",
        Kind::Map,
        &[("field", "a"), ("from", "unix"), ("to-zone", "Europe/Oslo")],
        &[r#"{"a": 0}"#],
        &[r#"{"a": "1970-01-01T01:00:00+01:00"}"#],
    ),
    (
        "json-aggregate",
        Kind::Aggregate,
        &[("by", "k"), ("fields", "n"), ("functions", "sum")],
        &[r#"{"k": "x", "n": 1}"#, r#"{"k": "y", "n": 2}"#, r#"{"k": "x", "n": 3}"#],
        &[
            r#"{"key":"x","count":1,"fields":{"n":{"sum":1}}}"#,
            r#"{"key":"y","count":1,"fields":{"n":{"sum":2}}}"#,
            r#"{"key":"x","count":2,"fields":{"n":{"sum":4}}}"#,
        ],
    ),
];

#[test]
fn each_does_as_it_says() {
    for (name, kind, params, input, expected) in CASES {
        let inspection = Inspection::read(name, &wasm(name)).expect("a SmartModule");
        assert_eq!((inspection.kind, module(name).kind()), (*kind, *kind), "{name}");
        let spec = inspection.spec.expect("it says what it is");
        assert_eq!(spec.name, *name);
        let declared = spec.schema["properties"].as_object().expect("parameters");
        assert!(params.iter().all(|(param, _)| declared.contains_key(*param)), "{name}: {declared:?}");
        let mut chain = chain(vec![stage(name, params)]);
        let applied = run(&mut chain, input);
        assert_eq!(applied.refusals, [], "{name}");
        assert_eq!(texts(&applied.batch), *expected, "{name}");
    }
}

#[test]
fn a_key_is_made_and_a_number_refused() {
    let keyed = run(&mut chain(vec![stage("json-key", &[("fields", "a,b")])]), &[r#"{"a": 1, "b": "x"}"#]);
    assert_eq!(keyed.batch.key(0), Some(&b"1:x"[..]));
    let mut sums = chain(vec![stage("json-aggregate", &[("fields", "n")])]);
    let applied = run(&mut sums, &[r#"{"n": 1}"#, r#"{"n": "1"}"#, r#"{"n": 2}"#]);
    assert_eq!((applied.sources, applied.refusals[0].index), (vec![0, 2], 1));
    assert_eq!(applied.refusals[0].reason, "`n` is a string, not a number that can be added");
    assert!(texts(&applied.batch)[1].starts_with(r#"{"key":null,"count":2,"#), "{:?}", texts(&applied.batch));
}

#[test]
fn dedup_looks_back() {
    let look_back = Some(LookBack { last: 10, age: None });
    let mut chain = chain(vec![Stage { look_back, ..stage("dedup", &[]) }]);
    chain.look_back(0, &values(&["a", "b"]), 0).expect("shown");
    assert_eq!(texts(&run(&mut chain, &["b", "c", "a"]).batch), ["c"]);
}
