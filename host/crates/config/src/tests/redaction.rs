//! No text that passes the redactor, and no message of this crate, holds a secret.

use super::load_with;
use crate::{REDACTED, Redactor};
use proptest::prelude::*;
use serde_json::json;
use std::borrow::Cow;

#[test]
fn hides_a_value_in_all_its_disguises() {
    let redactor = Redactor::new(["p\"ä s/s?&\n1"]);
    for text in [
        "p\"ä s/s?&\n1",
        r#"p\"ä s/s?&\n1"#,
        r#"p\"\u00e4 s/s?&\n1"#,
        "p%22%C3%A4%20s%2Fs%3F%26%0A1",
        "p%22%c3%a4%20s%2fs%3f%26%0a1",
        "p%22%C3%A4+s%2Fs%3F%26%0A1",
    ] {
        assert_eq!(redactor.redact(&format!("<{text}>")), format!("<{REDACTED}>"), "{text}");
    }
}

#[test]
fn hides_a_password_as_urls_write_it() {
    let redactor = Redactor::new(["pa:ss@w/rd"]);
    let mut url = url::Url::parse("https://host/").expect("a URL");
    url.set_password(Some("pa:ss@w/rd")).expect("it has a host");
    url.set_query(Some("k=pa:ss@w/rd"));
    assert_eq!(redactor.redact(url.as_str()), format!("https://:{REDACTED}@host/?k={REDACTED}"));
    url.set_path("pa:ss@w/rd");
    assert!(!redactor.redact(url.as_str()).contains("ss@w"), "{url}");
}

#[test]
fn hides_the_longest_first_and_the_lines_of_a_key() {
    let redactor = Redactor::new(["abc", "abcdef", "-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----\n"]);
    assert_eq!(redactor.redact("abcdef abc"), format!("{REDACTED} {REDACTED}"));
    assert_eq!(redactor.redact("line MIIEvQIBADAN"), format!("line {REDACTED}"));
    assert_eq!(redactor.redact("-----BEGIN KEY-----"), "-----BEGIN KEY-----");
}

#[test]
fn leaves_other_texts_and_short_values_alone() {
    let redactor = Redactor::new(["", "a", "ab"]);
    assert!(redactor.is_empty());
    assert_eq!(redactor.redact("a b ab"), "a b ab");
    assert!(matches!(Redactor::new(["secret"]).redact("nothing here"), Cow::Borrowed(_)));
    assert_eq!(format!("{:?}", Redactor::new(["secret"])), "Redactor(1 forms)");
}

proptest! {
    #[test]
    fn what_is_hidden_is_gone(value in "[a-z\"\\\\ :/%äö]{3,12}", before in "[A-Z ]{0,5}", after in "[A-Z ]{0,5}") {
        let redactor = Redactor::new([&value]);
        let quoted = serde_json::Value::from(format!("{before}{value}{after}")).to_string();
        for text in [format!("{before}{value}{after}"), quoted, format!("{before}{value:?}{after}")] {
            let shown = redactor.redact(&text);
            prop_assert!(shown.contains(REDACTED), "{}", shown);
            prop_assert!(!shown.contains(&value), "{}", shown);
        }
    }
}

#[test]
fn messages_show_no_secret() {
    let head = "meta:\n  name: n\n  type: t\n  topic: t\n";
    let error = load_with(&format!("{head}  producer: {{linger: \"${{{{ secrets.A }}}}\"}}\n"), "A=hunter2", false);
    let error = error.expect_err("no duration").to_string();
    assert!(error.starts_with("c.yaml:5:22: `meta.producer.linger` is `[redacted]`, expected a duration"), "{error}");

    let mut config = load_with(&format!("{head}own: {{a: \"${{{{ secrets.A }}}}\", b: 12345}}\n"), "A=hunter2", false)
        .expect("accepted");
    let schema =
        json!({"properties": {"a": {"type": "integer"}, "b": {"type": "string", "x-secret": true, "maxLength": 1}}});
    let error = config.section("own", &schema).expect_err("no number").to_string();
    assert_eq!(
        error,
        "c.yaml:5:10: `own.a` is `[redacted]`, expected a whole number\n\
         c.yaml:5:33: `own.b` is `[redacted]`, expected at most 1 characters"
    );
}

#[test]
fn debug_output_shows_no_secret() {
    let text = "meta: {name: n, type: t, topic: t}\nown: {a: \"${{ secrets.A }}\", b: plain-secret}\n";
    let mut config = load_with(text, "A=hunter2", false).expect("accepted");
    let schema = json!({"properties": {"a": {}, "b": {"x-secret": true}}});
    let section = config.section("own", &schema).expect("fits");
    let shown = format!("{config:?} {section:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("plain-secret"), "{shown}");
    assert_eq!(section.secrets, ["hunter2", "plain-secret"]);
    assert_eq!(config.redactor().redact("hunter2 plain-secret"), format!("{REDACTED} {REDACTED}"));
}

#[test]
fn what_is_public_is_shown_even_when_it_was_inserted() {
    let text = "meta: {name: n, type: t, topic: t}\n\
                own: {account: \"${{ secrets.A }}\", header: \"x ${{ secrets.B }}\", both: \"${{ secrets.C }}\", key: \"${{ secrets.C }}\"}\n";
    let mut config = load_with(text, "A=writer@example.com\nB=hunter2\nC=hunter3", false).expect("accepted");
    let schema = json!({"properties": {
        "account": {"type": "string", "x-secret": false}, "header": {"type": "string", "x-secret": false},
        "both": {"x-secret": false}, "key": {"x-secret": true},
    }});
    let section = config.section("own", &schema).expect("fits");
    assert_eq!(section.secrets, ["hunter2", "hunter3"], "a part of a value stays hidden, and what is marked as secret");
    assert_eq!(config.redactor().redact("writer@example.com"), "writer@example.com");
}
