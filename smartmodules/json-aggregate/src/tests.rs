//! What comes out record by record, and that the accumulator brings everything back.

use smartmodule_kit::record;

use super::*;

fn settings(params: &[(&str, &str)]) -> Result<Settings, String> {
    Settings::new(params.iter().copied()).and_then(Settings::checked).map_err(|error| error.to_string())
}

/// What comes out for these records, with the state saved and loaded between any two.
fn aggregate(params: &[(&str, &str)], records: &[(Option<&str>, &str)]) -> Vec<Result<String, String>> {
    let settings = settings(params).expect("valid");
    let mut state = Vec::new();
    let add = |(key, value): &(Option<&str>, &str)| {
        let mut loaded = State::load(&state).expect("what was saved");
        let added = settings.add(&mut loaded, &record(*key, value, 0, 0)).map_err(|error| error.to_string());
        state = loaded.save();
        added.map(|(_, value)| value)
    };
    records.iter().map(add).collect()
}

#[test]
fn numbers_are_summed_up_by_key() {
    let params = [("by", "user"), ("fields", "amount,/x.y"), ("functions", "sum,min,max,mean,first,last")];
    let out = aggregate(
        &params,
        &[
            (None, r#"{"user": "ann", "amount": 10}"#),
            (None, r#"{"user": "bob", "amount": 1, "x.y": 2}"#),
            (None, r#"{"user": "ann", "amount": 0.5}"#),
            (None, r#"{"user": "ann", "amount": null}"#),
        ],
    );
    assert_eq!(
        out.into_iter().collect::<Result<Vec<_>, _>>().expect("added"),
        [
            r#"{"key":"ann","count":1,"fields":{"amount":{"sum":10,"min":10,"max":10,"mean":10.0,"first":10,"last":10}}}"#,
            r#"{"key":"bob","count":1,"fields":{"amount":{"sum":1,"min":1,"max":1,"mean":1.0,"first":1,"last":1},"/x.y":{"sum":2,"min":2,"max":2,"mean":2.0,"first":2,"last":2}}}"#,
            r#"{"key":"ann","count":2,"fields":{"amount":{"sum":10.5,"min":0.5,"max":10,"mean":5.25,"first":10,"last":0.5}}}"#,
            r#"{"key":"ann","count":3,"fields":{"amount":{"sum":10.5,"min":0.5,"max":10,"mean":5.25,"first":10,"last":0.5}}}"#,
        ]
    );
}

#[test]
fn without_fields_records_are_counted_by_their_keys() {
    let out = aggregate(&[], &[(Some("a"), "x"), (None, "y"), (Some("a"), "z"), (None, ""), (Some(""), "")]);
    let expected = [
        r#"{"key":"a","count":1}"#,
        r#"{"key":null,"count":1}"#,
        r#"{"key":"a","count":2}"#,
        r#"{"key":null,"count":2}"#,
        r#"{"key":"","count":1}"#,
    ];
    assert_eq!(out.into_iter().collect::<Result<Vec<_>, _>>().expect("counted"), expected);
}

#[test]
fn several_fields_make_a_key_of_their_own() {
    let params = [("by", "a,b")];
    let out = aggregate(&params, &[(None, r#"{"a": "x,y", "b": 1}"#), (None, r#"{"a": "x", "b": "y,1"}"#)]);
    assert_eq!(out[0].as_deref(), Ok(r#"{"key":"[\"x,y\",1]","count":1}"#));
    assert_eq!(out[1].as_deref(), Ok(r#"{"key":"[\"x\",\"y,1\"]","count":1}"#));
}

#[test]
fn a_refused_record_counts_for_nothing() {
    let params = [("by", "k"), ("fields", "n"), ("functions", "sum"), ("max-keys", "1")];
    let out = aggregate(
        &params,
        &[
            (None, r#"{"k": 1, "n": 1}"#),
            (None, r#"{"k": 1, "n": "2"}"#),
            (None, r#"{"k": 2, "n": 1}"#),
            (None, r#"{"n": 1}"#),
            (None, "text"),
            (None, r#"{"k": 1, "n": 3}"#),
        ],
    );
    let refused: Vec<_> = out[1..5].iter().map(|it| it.as_ref().expect_err("refused").as_str()).collect();
    assert_eq!(refused[0], "`n` is a string, not a number that can be added");
    assert!(refused[1].starts_with("there are 1 keys already"), "{}", refused[1]);
    assert_eq!(refused[2], "there is no field `k`");
    assert!(refused[3].contains("not JSON"));
    assert_eq!(out[5].as_deref(), Ok(r#"{"key":"1","count":2,"fields":{"n":{"sum":4}}}"#));
}

#[test]
fn a_strange_accumulator_is_refused() {
    let error = State::load(b"[1]").expect_err("not ours").to_string();
    assert!(error.contains("not one of this module's"), "{error}");
}

#[test]
fn wrong_parameters_are_explained() {
    let error = settings(&[("functions", "median")]).expect_err("unknown");
    assert!(error.contains("`functions` is `median`, expected `sum`, `min`"), "{error}");
    assert!(settings(&[("by", "")]).expect_err("none").contains("`by` names no field"));
    assert!(settings(&[("fields", "a"), ("functions", "")]).expect_err("none").contains("`functions` names none"));
}
