//! What one cell can hold, and how the values of a record get into it without losing anything.

use serde_json::value::RawValue;

/// The most characters of a cell, as Google documents it; counted as UTF-16 code units.
const MAX_CHARACTERS: usize = 50_000;

/// Whole numbers up to here are the same in a cell, which holds a double.
const EXACT: u64 = 1 << 53;

/// Digits that no double holds all of.
const TOO_MANY_DIGITS: usize = 18;

/// What a value becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// What stands for `null`: nothing, which leaves a cell as it is, or an empty text, which clears it.
    pub clear_nulls: bool,
    /// Mark texts as texts, with the apostrophe that people type for that.
    pub apostrophe: bool,
}

/// Appends a value of a record as a cell: texts, numbers and truth values as they are; numbers that a cell
/// would round, objects and arrays as text. Says whether there is anything in the cell.
///
/// # Errors
/// When it does not fit into a cell.
pub fn push(raw: &RawValue, form: Form, out: &mut Vec<u8>) -> Result<bool, String> {
    let text = raw.get();
    match text.as_bytes()[0] {
        b'"' => return push_text(text, form, out),
        b'n' => {
            out.extend_from_slice(if form.clear_nulls { b"\"\"" } else { b"null" });
            return Ok(false);
        }
        b'{' | b'[' => push_string(&compact(text), form, out)?,
        b't' | b'f' => out.extend_from_slice(text.as_bytes()),
        _ if is_exact(text) => out.extend_from_slice(text.as_bytes()),
        _ => push_string(text, form, out)?,
    }
    Ok(true)
}

/// Appends a text as a cell.
///
/// # Errors
/// When it does not fit into a cell.
pub fn push_string(text: &str, form: Form, out: &mut Vec<u8>) -> Result<(), String> {
    check_length(text)?;
    let start = out.len();
    // Writing into memory does not fail, and any text can be written.
    let _ = serde_json::to_writer(&mut *out, text);
    mark(form, start, out);
    Ok(())
}

/// Appends a JSON string, escapes and all.
fn push_text(raw: &str, form: Form, out: &mut Vec<u8>) -> Result<bool, String> {
    // Most are far too short to be too long, and have no escapes that could stand for half a character.
    if raw.len() > MAX_CHARACTERS || raw.contains("\\u") {
        let text = serde_json::from_str::<String>(raw).map_err(|_| "a text with half a character".to_owned())?;
        check_length(&text)?;
    }
    let start = out.len();
    out.extend_from_slice(raw.as_bytes());
    if raw.len() > 2 {
        mark(form, start, out);
    }
    Ok(raw.len() > 2)
}

fn mark(form: Form, start: usize, out: &mut Vec<u8>) {
    if form.apostrophe {
        out.insert(start + 1, b'\'');
    }
}

/// Whether a text fits into a cell.
///
/// # Errors
/// When it does not, how long it is.
pub fn check_length(text: &str) -> Result<(), String> {
    if text.len() <= MAX_CHARACTERS {
        return Ok(());
    }
    match text.encode_utf16().count() {
        fits if fits <= MAX_CHARACTERS => Ok(()),
        length => Err(format!("a text of {length} characters, and a cell holds {MAX_CHARACTERS}")),
    }
}

/// Whether a cell holds this number as it stands, as far as a double can.
fn is_exact(number: &str) -> bool {
    let digits = number.trim_start_matches('-');
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits.parse::<u64>().is_ok_and(|whole| whole <= EXACT);
    }
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let significant = mantissa.bytes().filter(u8::is_ascii_digit).skip_while(|&byte| byte == b'0').count();
    significant < TOO_MANY_DIGITS && number.parse::<f64>().is_ok_and(f64::is_finite)
}

/// JSON without the blanks between its parts.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in json.chars() {
        if quoted || !c.is_ascii_whitespace() {
            out.push(c);
        }
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Form = Form { clear_nulls: false, apostrophe: false };

    fn cell(json: &str, form: Form) -> Result<(String, bool), String> {
        let raw: &RawValue = serde_json::from_str(json).expect("JSON");
        let mut out = Vec::new();
        let filled = push(raw, form, &mut out)?;
        Ok((String::from_utf8(out).expect("UTF-8"), filled))
    }

    #[test]
    fn values_become_cells_without_losing_anything() {
        for (json, expected, filled) in [
            (r#""a \"b\" \u00fc""#, r#""a \"b\" \u00fc""#, true),
            (r#""""#, r#""""#, false),
            ("null", "null", false),
            ("true", "true", true),
            ("-1.50", "-1.50", true),
            ("1e3", "1e3", true),
            ("9007199254740992", "9007199254740992", true),
            ("9007199254740993", r#""9007199254740993""#, true),
            ("-123456789012345678901", r#""-123456789012345678901""#, true),
            ("0.1234567890123456789", r#""0.1234567890123456789""#, true),
            ("0.00000000000000000001", "0.00000000000000000001", true),
            ("1e999", r#""1e999""#, true),
            (r#"{ "b": [1, 2.50], "a" : "x \" y" }"#, r#""{\"b\":[1,2.50],\"a\":\"x \\\" y\"}""#, true),
            ("[ ]", r#""[]""#, true),
        ] {
            assert_eq!(cell(json, PLAIN), Ok((expected.to_owned(), filled)), "{json}");
        }
    }

    #[test]
    fn forms_mark_texts_and_clear_nulls() {
        let key = Form { clear_nulls: true, apostrophe: true };
        for (json, expected) in [
            (r#""007""#, r#""'007""#),
            (r#""""#, r#""""#),
            ("null", r#""""#),
            ("7", "7"),
            ("12345678901234567890", r#""'12345678901234567890""#),
            ("[1]", r#""'[1]""#),
        ] {
            assert_eq!(cell(json, key).expect("it fits").0, expected, "{json}");
        }
    }

    #[test]
    fn texts_are_counted_as_google_counts_them() {
        let json = |text: &str| serde_json::Value::from(text).to_string();
        // Two bytes each, but one character; four bytes, and two characters.
        assert!(cell(&json(&"ü".repeat(50_000)), PLAIN).is_ok());
        assert!(cell(&json(&"😀".repeat(25_000)), PLAIN).is_ok());
        let error = cell(&json(&"😀".repeat(25_001)), PLAIN).expect_err("one too many");
        assert_eq!(error, "a text of 50002 characters, and a cell holds 50000");
        assert!(cell(&json(&"\n".repeat(50_000)), PLAIN).is_ok(), "an escape is one character");
        assert!(cell(&format!("[{}1]", "1,".repeat(25_000)), PLAIN).is_err());
        assert_eq!(cell(r#""\ud800""#, PLAIN).expect_err("no text"), "a text with half a character");
    }

    proptest! {
        #[test]
        fn compact_json_says_the_same(json in r#"[\[{"\\ a1:,\]}\n]{0,30}"#) {
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(&json) {
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&compact(&json)).expect("still JSON"), value);
            }
        }
    }
}
