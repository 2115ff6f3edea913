//! `ndjson-split`: makes one record of each line. What it does is described in `README.md`.

#![allow(clippy::needless_pass_by_value, reason = "the signature of `init` is the SmartModule ABI's")]

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::{RecordData, SmartModuleRecord, smartmodule};
use smartmodule_kit::{Missing as Invalid, Once, Refused, params, spec};

params! {
    /// The parameters.
    struct Split {
        /// What to do with a line that is not JSON: refuse the record it is in as an `error`, `drop` the line, or
        /// `keep` it. With `keep` lines are not looked at, so that any text can be split.
        invalid: Invalid = "error",
    }
}
spec!(Split);

static SPLIT: Once<Split> = Once::new();

#[smartmodule(init)]
fn init(params: SmartModuleExtraParams) -> fluvio_smartmodule::Result<()> {
    SPLIT.set(Split::read(&params)?)
}

#[smartmodule(array_map)]
fn array_map(record: &SmartModuleRecord) -> fluvio_smartmodule::Result<Vec<(Option<RecordData>, RecordData)>> {
    let lines = SPLIT.get()?.apply(record.value().as_ref())?;
    Ok(lines.into_iter().map(|line| (record.key().cloned(), RecordData::from(line))).collect())
}

impl Split {
    fn apply<'a>(&self, record: &'a [u8]) -> Result<Vec<&'a [u8]>, Refused> {
        let mut lines = Vec::new();
        for (index, line) in record.split(|&byte| byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            if self.invalid != Invalid::Keep
                && let Err(problem) = check(line)
            {
                if self.invalid == Invalid::Error {
                    return Err(Refused::Other(format!("line {} is not JSON: {problem}", index + 1)));
                }
                continue;
            }
            lines.push(line);
        }
        Ok(lines)
    }
}

/// What keeps a line from being JSON.
fn check(line: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    serde_json::from_str::<&serde_json::value::RawValue>(text).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(invalid: &str, record: &[u8]) -> Result<Vec<String>, String> {
        let split = Split::new([("invalid", invalid)]).expect("valid");
        let lines = split.apply(record).map_err(|error| error.to_string())?;
        Ok(lines.into_iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect())
    }

    #[test]
    fn lines_keep_their_text_and_lose_their_ends() {
        let record = b"{\"a\": 1.50}\r\n\n  [1, 2]  \n\"s\"";
        assert_eq!(lines("error", record).expect("JSON"), [r#"{"a": 1.50}"#, "[1, 2]", r#""s""#]);
        assert_eq!(lines("error", b"").expect("nothing"), [""; 0]);
        assert_eq!(lines("error", b"\n\r\n").expect("nothing"), [""; 0]);
    }

    #[test]
    fn a_line_that_is_no_json_does_what_was_asked() {
        let record = b"1\n{\"a\"\n\xff\n2";
        let error = lines("error", record).expect_err("no JSON");
        assert!(error.starts_with("line 2 is not JSON: "), "{error}");
        assert_eq!(lines("drop", record).expect("the others"), ["1", "2"]);
        assert_eq!(lines("keep", record).expect("all"), ["1", "{\"a\"", "\u{fffd}", "2"]);
        assert!(lines("error", b"\"\xff\"").expect_err("no text").contains("utf-8"));
    }
}
