//! The tree: positions, the meaning of scalars, and that nothing makes it panic.

use crate::error::Report;
use crate::yaml::{Data, Node, Scalar, parse};
use crate::{Document, Options, Redactor, Secrets};
use proptest::prelude::*;
use serde_json::{Value, json};

fn tree(text: &str) -> Node {
    let mut report = Report::new(false);
    let node = parse("t", text, &mut report);
    report.finish(&Redactor::default()).expect("YAML");
    node.expect("a node")
}

fn position(node: &Node) -> (u32, u32) {
    (node.at.line, node.at.column)
}

#[test]
fn every_key_and_value_has_a_position() {
    let root = tree("# c\na:\n  b: [1, {c: d}]\n'e f': \"g\"\nh: |\n  text\ni:\n- j\n");
    let [a, e, h, i] = root.entries().expect("a map") else { panic!("four keys") };
    assert_eq!((a.at.line, a.at.column), (2, 1));
    let b = a.value.entry("b").expect("b");
    assert_eq!((b.at.line, b.at.column), (3, 3));
    assert_eq!(position(&b.value), (3, 6));
    let Data::List(items) = &b.value.data else { panic!("a list") };
    assert_eq!((position(&items[0]), position(&items[1])), ((3, 7), (3, 10)));
    assert_eq!(position(&items[1].entry("c").expect("c").value), (3, 14));
    assert_eq!((e.key.as_str(), e.at.line, position(&e.value)), ("e f", 4, (4, 8)));
    assert_eq!((h.at.line, position(&h.value).0), (5, 6), "a block begins with its text");
    let Data::List(items) = &i.value.data else { panic!("a list") };
    assert_eq!(position(&items[0]), (8, 3));
}

#[test]
fn columns_count_characters() {
    let root = tree("ä: {ö: ü, x: y}\n");
    let inner = &root.entries().expect("a map")[0].value;
    assert_eq!(position(&inner.entry("x").expect("x").value), (1, 14));
    assert_eq!(position(&tree("\u{feff}a: b").entry("a").expect("no mark in the key").value), (1, 4));
}

#[test]
fn scalars_mean_what_yaml_1_2_says() {
    for (text, value) in [
        ("1", json!(1)),
        ("-5", json!(-5)),
        ("+5", json!(5)),
        ("0x1F", json!(31)),
        ("0o17", json!(15)),
        ("0b11", json!(3)),
        ("18446744073709551615", json!(u64::MAX)),
        ("1.5", json!(1.5)),
        ("1e3", json!(1000.0)),
        (".5", json!(0.5)),
        ("true", json!(true)),
        ("FALSE", json!(false)),
        ("~", Value::Null),
        ("", Value::Null),
        ("null", Value::Null),
        ("007", json!("007")),
        ("yes", json!("yes")),
        ("1.2.3", json!("1.2.3")),
        ("0.1.0", json!("0.1.0")),
        ("1_000", json!("1_000")),
        (".inf", json!(".inf")),
        (".nan", json!(".nan")),
        ("inf", json!("inf")),
        ("0x", json!("0x")),
        ("0x-1", json!("0x-1")),
        ("-", json!("-")),
        (".", json!(".")),
        ("12:30", json!("12:30")),
    ] {
        assert_eq!(Scalar::plain(text).json(), value, "{text}");
        assert_eq!(Scalar::quoted(text).json(), json!(text));
    }
    assert_eq!(tree("a: !!str 5\nb: !!int 5\nc: '5'").json(), json!({"a": "5", "b": 5, "c": "5"}));
}

fn any_load(text: &str) {
    if let Ok(document) = Document::parse("c.yaml", text) {
        let _ = document.secret_names();
        let options = Options { secrets: Secrets::from_text("s", "A=1"), ..Options::default() };
        if let Ok(mut config) = document.load(&options) {
            let _ = config.section("http", &json!({"properties": {"a": {"type": "integer", "x-network": true}}}));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        any_load(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn what_looks_like_yaml_never_panics(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("meta:"), Just("\n"), Just("\n  "), Just("\n    "), Just("name: n"), Just("type: t"), Just("topic: "),
                Just("{"), Just("}"), Just("["), Just("]"), Just(", "), Just(": "), Just("- "), Just("\""), Just("'"),
                Just("&a "), Just("*a"), Just("!secret "), Just("!!int "), Just("? "), Just("|\n"), Just(">-\n"), Just("---\n"),
                Just("%YAML 1.2\n"), Just("#"), Just("\t"), Just("${{ secrets.A }}"), Just("${{"), Just("http:"), Just("a: "),
                Just("1"), Just("host:"), Just("transforms:"), Just("ä"), Just("\u{feff}"), Just("\r\n"), Just("..."),
            ],
            0..40,
        )
    ) {
        any_load(&parts.concat());
    }

    #[test]
    fn json_is_read_as_itself(values in proptest::collection::btree_map("[a-z]{1,5}", any::<(i64, bool, String)>(), 0..6)) {
        let value = json!(values);
        // A NUL is legal in JSON's escapes, and so it is in YAML's.
        prop_assert_eq!(tree(&format!("root: {value}")).json(), json!({"root": value}));
    }
}
