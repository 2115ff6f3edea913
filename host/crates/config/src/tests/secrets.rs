//! Secrets can go anywhere, come from where they should, and change nothing around them.

use super::{load_with, shown};
use crate::{ConnectorConfig, Document, Options, Secrets};
use proptest::prelude::*;
use serde_json::{Value, json};

const HEAD: &str = "meta: {name: n, type: t, topic: t}\n";

fn section(text: &str, secrets: &str) -> Value {
    let mut config = load_with(&format!("{HEAD}{text}"), secrets, false).expect("accepted");
    config.section("own", &json!({})).expect("fits").json
}

fn refused(text: &str, secrets: &str) -> String {
    load_with(&format!("{HEAD}{text}"), secrets, false).expect_err("refused").to_string()
}

fn with_value(value: &str) -> Secrets {
    // The file's own notation for what can't stand in a line.
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
    Secrets::from_text("secrets.txt", &format!("A=\"{escaped}\""))
}

fn load(text: &str, secrets: Secrets) -> ConnectorConfig {
    let options = Options { secrets, ..Options::default() };
    Document::parse("c.yaml", text).and_then(|document| document.load(&options)).expect("accepted")
}

#[test]
fn in_all_styles_of_scalars_and_in_lists() {
    let text = "own:
  plain: ${{ secrets.A }}
  single: '${{secrets.A}}'
  double: \"x${{  secrets.A  }}y\"
  block: |
    one ${{ secrets.A }}
    two ${{ secrets.B_1 }}
  list: [\"${{ secrets.A }}\", b]
  reference: {secret: {name: A}}
  tagged: !secret {name: A}
  short: !secret A
  same: '${{ \"${{ secrets.A }}\" }}'
  money: $ 5 ${A} {{ x }}
";
    assert_eq!(
        section(text, "A=va\nB_1=vb"),
        json!({
            "plain": "va", "single": "va", "double": "xvay", "block": "one va\ntwo vb\n", "list": ["va", "b"],
            "reference": "va", "tagged": "va", "short": "va", "same": "${{ secrets.A }}", "money": "$ 5 ${A} {{ x }}",
        })
    );
}

#[test]
fn in_settings_and_transforms() {
    let text = "
meta:
  name: n
  type: t
  topic: ${{ secrets.TOPIC }}
  producer: {linger: \"${{ secrets.LINGER }}\"}
transforms:
  - uses: x
    with: {key: \"${{ secrets.KEY }}\", deep: {key: \"${{ secrets.KEY }}\"}}
";
    let config = load_with(text, "TOPIC=t1\nLINGER=5s\nKEY=a\"b", false).expect("accepted");
    assert_eq!(config.meta.topic.name, "t1");
    assert_eq!(config.meta.producer.linger, Some(std::time::Duration::from_secs(5)));
    assert_eq!(config.transforms[0].with["key"], "a\"b");
    assert_eq!(config.transforms[0].with["deep"], r#"{"key":"a\"b"}"#);
}

#[test]
fn values_never_change_the_document() {
    for value in [
        "a: b",
        "x # y",
        "\"",
        "'",
        "\"}\n- [",
        "line\nmeta: {}\n",
        "true",
        "null",
        "12",
        "",
        "${{ secrets.B }}",
        "&a *b !c",
        "---\n",
        "\t%@`",
    ] {
        let text = format!("{HEAD}own:\n  a: ${{{{ secrets.A }}}}\n  b: '<${{{{ secrets.A }}}}>'\n  c: 1\n");
        let mut config = load(&text, with_value(value));
        assert_eq!(
            config.section("own", &json!({})).expect("fits").json,
            json!({"a": value, "b": format!("<{value}>"), "c": 1}),
            "{value:?}"
        );
    }
}

proptest! {
    #[test]
    fn no_value_changes_the_document(value in "[^\0]{0,40}") {
        let text = format!("{HEAD}own:\n  a: ${{{{ secrets.A }}}}\n  b: [\"${{{{ secrets.A }}}}\"]\n");
        let mut config = load(&text, with_value(&value));
        let json = config.section("own", &json!({})).expect("fits").json;
        prop_assert_eq!(json, json!({"a": value.clone(), "b": [value]}));
    }
}

#[test]
fn a_missing_one_is_told_with_its_place() {
    assert_eq!(
        refused("own:\n  a: x\n  key: ${{ secrets.API_KEY }}\n", "API_KEYS=1"),
        "c.yaml:3:3: the secret `API_KEY` is not in secrets.txt\n  help: did you mean `API_KEYS`?"
            .replace("3:3", "4:8")
    );
    assert_eq!(
        refused("own: {key: {secret: {name: TOKEN}}}\n", ""),
        "c.yaml:2:28: the secret `TOKEN` is not in secrets.txt\n  help: add the line `TOKEN=…` to secrets.txt"
    );
    let text = "meta: {name: n, type: t, topic: t}\nkey: \"${{ secrets.HOST_CONFIG_TEST_UNSET }}\"\n";
    let error = Document::parse("c.yaml", text).and_then(|d| d.load(&Options::default())).expect_err("not set");
    assert_eq!(
        error.to_string(),
        "c.yaml:2:6: the secret `HOST_CONFIG_TEST_UNSET` is not in the environment\n  help: set the environment variable `HOST_CONFIG_TEST_UNSET`, or give a file of `NAME=value` lines with `--secrets FILE`"
    );
}

#[test]
fn a_missing_one_is_told_once() {
    let text = "meta:\n  name: n\n  type: t\n  topic: t\n  producer: {linger: \"${{ secrets.L }}\"}\n";
    let error = load_with(text, "", false).expect_err("missing").to_string();
    assert_eq!(error.lines().count(), 2, "{error}");
}

#[test]
fn the_environment_is_the_default_store() {
    // Cargo sets this one for every test.
    let text = format!("{HEAD}own: {{a: \"${{{{ secrets.CARGO_PKG_NAME }}}}\"}}");
    let mut config = load(&text, Secrets::environment());
    assert_eq!(config.section("own", &json!({})).expect("fits").json, json!({"a": "host-config"}));
}

#[test]
fn other_expressions_are_refused() {
    let help = "write ${{ secrets.NAME }}, where NAME has only ASCII letters, digits and `_`";
    let literal = "to have these characters as they are, write ${{ \"${{\" }}";
    for (text, message, help) in [
        (
            "${{ secrets.A | upper }}",
            "`secrets.A | upper` is not supported within ${{ }}: only secrets can be inserted",
            help,
        ),
        ("${{ env.HOME }}", "`env.HOME` is not supported within ${{ }}: only secrets can be inserted", help),
        ("${{ secrets.A", "`${{` without `}}` in the same value", literal),
        ("${% if x %}", "`${%` is not supported: a template can only be ${{ secrets.NAME }}", literal),
    ] {
        assert_eq!(refused(&format!("own:\n  a: {text}\n"), "A=1"), format!("c.yaml:3:6: {message}\n  help: {help}"));
    }
    assert_eq!(
        refused("own:\n  \"${{ secrets.A }}\": 1\n", "A=1"),
        "c.yaml:3:3: a template in a key\n  help: write the key out: secrets can only be inserted into values"
    );
    assert_eq!(
        refused("own:\n  a: {secret: {name: a b}}\n", ""),
        "c.yaml:3:22: `a b` can't name a secret: only ASCII letters, digits and `_` may stand in it\n  help: give the name that it has in the store of secrets"
    );
}

#[test]
fn files_of_secrets() {
    let text = "\u{feff}# A comment = no secret\nA = b = c \nno equals sign\nA=second\n\nQ=\" spaced \\\"\\\\ \\x \"\r\nHALF=\"\nONE=\"x\nKEY=\"-----BEGIN PRIVATE KEY-----\\nabc\\n-----END PRIVATE KEY-----\\n\"\n";
    let secrets = Secrets::from_text("s", text);
    let get = |name: &str| secrets.get(name);
    assert_eq!(get("A").as_deref(), Some("b = c"));
    assert_eq!(get("Q").as_deref(), Some(" spaced \"\\ \\x "));
    assert_eq!(get("HALF").as_deref(), Some("\""));
    assert_eq!(get("ONE").as_deref(), Some("\"x"));
    assert_eq!(get("KEY").as_deref(), Some("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n"));
    assert_eq!(get("# A comment"), None);
    assert_eq!(format!("{secrets:?}"), "Secrets(s: [\"A\", \"HALF\", \"KEY\", \"ONE\", \"Q\"])");
}

#[test]
fn files_of_secrets_that_can_not_be_read() {
    let error = Secrets::from_file("no/such/file".as_ref()).expect_err("it is not there").to_string();
    assert!(error.starts_with("no/such/file: can't read this file of secrets: "), "{error}");
}

#[test]
fn names_are_known_before_values() {
    let text = "meta:\n  name: n\n  secrets: [{name: DECLARED}]\nown:\n  a: \"${{ secrets.B }}\"\n  c: {secret: {name: C}}\n  d: ${{ secrets.B }}-${{ secrets.D }}\n";
    let document = Document::parse("c.yaml", text).expect("YAML");
    assert_eq!(document.secret_names(), ["DECLARED", "B", "C", "D"]);
}

#[test]
fn doubtful_ones_are_warned_of() {
    let text = "meta:\n  name: n\n  type: t\n  topic: t\n  secrets: [{name: UNUSED}, {name: SHORT}]\nown: \"${{ secrets.SHORT }}\"\n";
    let config = load_with(text, "SHORT=ab", false).expect("accepted");
    assert_eq!(
        shown(&config),
        "c.yaml:5:20: warning: the secret `UNUSED` is declared, but never used\n  help: write ${{ secrets.UNUSED }} where its value belongs, or remove it\n\
         c.yaml: warning: the value of the secret `SHORT` is too short to be kept out of logs\n  help: use a longer secret"
    );
}
