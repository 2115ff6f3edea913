//! Records that say themselves where their rows go, one JSON object each:
//!
//! ```json
//! {"spreadsheet_id": "…", "range": "Sheet1!A1", "major_dimension": "ROWS", "values": [["a", 1], ["b", 2]]}
//! ```
//!
//! Rows for the same table are put together, so that they go out in one request. Those of other tables may
//! overtake them, of the same table never: what may touch the same sheet stays in order.

use std::borrow::Cow;
use std::collections::HashMap;

use connector_sdk::{Delivery, Failure};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::cell::check_length;
use super::{Rows, unusable};

/// Rows for one range of one spreadsheet.
#[derive(Debug)]
pub struct Addressed {
    /// The spreadsheet's ID.
    pub spreadsheet: String,
    /// Where the table is, in A1 notation.
    pub range: String,
    /// The rows.
    pub rows: Rows,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow, alias = "spreadsheetId")]
    spreadsheet_id: Cow<'a, str>,
    #[serde(borrow)]
    range: Cow<'a, str>,
    #[serde(borrow)]
    values: Vec<Vec<&'a RawValue>>,
    #[serde(default, borrow, alias = "majorDimension")]
    major_dimension: Option<Cow<'a, str>>,
}

/// The rows of a delivery, by where they go, in the order in which they are to be sent; and the records that
/// can't become rows.
pub fn extract(delivery: &Delivery) -> (Vec<Addressed>, Vec<Failure>) {
    let mut groups = Groups::default();
    let mut failures = Vec::new();
    for delivered in delivery.iter() {
        if let Err(why) = groups.add(delivered.index, delivered.record.value) {
            failures.push(unusable(delivered.index, &why));
        }
    }
    (groups.all, failures)
}

#[derive(Default)]
struct Groups {
    all: Vec<Addressed>,
    /// The group that is open, by spreadsheet and range.
    open: HashMap<(String, String), usize>,
    /// The last group of each sheet, by spreadsheet and name.
    last: HashMap<(String, String), usize>,
    /// The last group of each spreadsheet that does not say which sheet, and may touch any.
    last_anywhere: HashMap<String, usize>,
    /// The last group of each spreadsheet.
    last_of_all: HashMap<String, usize>,
}

impl Groups {
    fn add(&mut self, index: usize, value: &[u8]) -> Result<(), String> {
        let record: Record<'_> = serde_json::from_slice(value).map_err(|error| {
            format!(
                "not of the form {{\"spreadsheet_id\": …, \"range\": …, \"values\": [[…]], \"major_dimension\": …}}: \
                 {error}"
            )
        })?;
        let (spreadsheet, range) = (record.spreadsheet_id.trim(), record.range.trim());
        if !is_id(spreadsheet) {
            return Err(format!("`spreadsheet_id` is `{spreadsheet}`, which is no ID of a spreadsheet"));
        }
        if range.is_empty() {
            return Err("`range` is empty; write where the table is, as in `Sheet1!A1`".to_owned());
        }
        let by_columns = match record.major_dimension.as_deref().unwrap_or_default() {
            "" | "ROWS" | "DIMENSION_UNSPECIFIED" => false,
            "COLUMNS" => true,
            other => return Err(format!("`major_dimension` is `{other}`; write ROWS or COLUMNS")),
        };
        check(&record.values)?;
        let group = self.group(spreadsheet, range);
        let rows = &mut self.all[group].rows;
        match by_columns {
            true => rows.push(index, |out| push_columns(&record.values, out)),
            false => rows.push(index, |out| push_rows(&record.values, out)),
        }
        Ok(())
    }

    /// The group to add to: the open one for this range, unless something was written since that may touch
    /// the same table.
    fn group(&mut self, spreadsheet: &str, range: &str) -> usize {
        let key = (spreadsheet.to_owned(), range.to_owned());
        let sheet = sheet_of(range);
        if let Some(&open) = self.open.get(&key) {
            let since = match &sheet {
                Some(sheet) => {
                    let named = self.last.get(&(spreadsheet.to_owned(), sheet.clone()));
                    named.max(self.last_anywhere.get(spreadsheet))
                }
                None => self.last_of_all.get(spreadsheet),
            };
            if since.is_none_or(|&since| since <= open) {
                return open;
            }
        }
        let group = self.all.len();
        let (spreadsheet, range) = key.clone();
        self.all.push(Addressed { spreadsheet: spreadsheet.clone(), range, rows: Rows::default() });
        self.open.insert(key, group);
        self.last_of_all.insert(spreadsheet.clone(), group);
        match sheet {
            Some(sheet) => self.last.insert((spreadsheet, sheet), group),
            None => self.last_anywhere.insert(spreadsheet, group),
        };
        group
    }
}

/// Whether a text can be the ID of a spreadsheet, and nothing that leads elsewhere.
pub fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The sheet that a range names; `None` when it names none, or is a name itself.
fn sheet_of(range: &str) -> Option<String> {
    let (sheet, _) = range.rsplit_once('!')?;
    let unquoted = sheet.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    // Google does not tell sheets apart by case.
    Some(unquoted.map_or_else(|| sheet.to_owned(), |name| name.replace("''", "'")).to_lowercase())
}

/// Looks for what no cell can hold.
fn check(values: &[Vec<&RawValue>]) -> Result<(), String> {
    for (outer, line) in values.iter().enumerate() {
        for (inner, cell) in line.iter().enumerate() {
            let place = |what: &str| format!("`values[{outer}][{inner}]` is {what}");
            match cell.get().as_bytes()[0] {
                b'{' => return Err(place("an object; a cell holds a text, a number, `true`, `false` or `null`")),
                b'[' => return Err(place("a list; a cell holds a text, a number, `true`, `false` or `null`")),
                b'"' => {
                    let text: Cow<'_, str> =
                        serde_json::from_str(cell.get()).map_err(|_| place("a text with half a character"))?;
                    check_length(&text).map_err(|what| place(&what))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn push_rows(values: &[Vec<&RawValue>], out: &mut Vec<u8>) {
    // A record without any cell writes nothing, and must not leave an empty row.
    if values.iter().all(Vec::is_empty) {
        return;
    }
    push_lines(values.iter().map(|row| row.iter().map(|cell| Some(cell.get()))), out);
}

/// Columns, turned into rows: so they can go out with others. What a shorter column lacks is `null`, which
/// leaves a cell alone, as leaving it out does.
fn push_columns(values: &[Vec<&RawValue>], out: &mut Vec<u8>) {
    let height = values.iter().map(Vec::len).max().unwrap_or(0);
    let row = |row: usize| values.iter().map(move |column| column.get(row).map(|cell| cell.get()));
    push_lines((0..height).map(row), out);
}

fn push_lines<'a, L: Iterator<Item = Option<&'a str>>>(lines: impl Iterator<Item = L>, out: &mut Vec<u8>) {
    for (index, line) in lines.enumerate() {
        out.extend_from_slice(if index == 0 { b"[" } else { b",[" });
        for (index, cell) in line.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(cell.unwrap_or("null").as_bytes());
        }
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector_sdk::Batch;
    use serde_json::{Value, json};

    fn record(spreadsheet: &str, range: &str, text: &str) -> Value {
        json!({"spreadsheet_id": spreadsheet, "range": range, "values": [[text]], "major_dimension": "ROWS"})
    }

    fn groups(records: &[Value]) -> (Vec<String>, Vec<String>) {
        let batch: Batch = records.iter().map(Value::to_string).collect();
        let offsets = (0..records.len() as i64).collect();
        let (groups, failures) = extract(&Delivery { batch, offsets, ..Delivery::default() });
        let shown = |group: &Addressed| {
            let text = String::from_utf8(group.rows.text.clone()).expect("UTF-8");
            let records: Vec<usize> = group.rows.parts.iter().map(|part| part.record).collect();
            format!("{} {} {text} {records:?}", group.spreadsheet, group.range)
        };
        (groups.iter().map(shown).collect(), failures.iter().map(|f| format!("{}: {}", f.index, f.error)).collect())
    }

    #[test]
    fn rows_of_one_range_go_together() {
        let records = ["x", "y", "z"].map(|text| record("id", "A1", text));
        assert_eq!(groups(&records).0, [r#"id A1 ["x"],["y"],["z"] [0, 1, 2]"#]);
    }

    #[test]
    fn other_sheets_may_overtake_and_the_same_sheet_may_not() {
        let of = |ranges: &[&str]| {
            let records: Vec<Value> = ranges.iter().map(|range| record("id", range, "x")).collect();
            groups(&records).0.len()
        };
        assert_eq!(of(&["One!A1", "Two!A1", "One!A1", "Two!A1", "'One'!A1"]), 3, "another name of the same sheet");
        assert_eq!(of(&["One!A1", "One!F1", "One!A1"]), 3, "may be the same table");
        assert_eq!(of(&["One!A1", "A1", "One!A1"]), 3, "may be the same sheet");
        assert_eq!(of(&["A1", "One!A1", "Two!B2", "A1"]), 4);
        assert_eq!(of(&["A1", "A1", "A1", "One!A1", "One!A1"]), 2);
        let records = ["a", "b", "a", "b"].map(|id| record(id, "A1", "x"));
        assert_eq!(groups(&records).0.len(), 2, "spreadsheets have nothing to do with each other");
    }

    #[test]
    fn columns_become_rows() {
        let record = json!({
            "spreadsheetId": "id", "range": " S!A1 ", "majorDimension": "COLUMNS",
            "values": [["a", 1.50], ["b"], [], ["c", null, true]],
        });
        assert_eq!(
            groups(&[record]).0,
            [r#"id S!A1 ["a","b",null,"c"],[1.5,null,null,null],[null,null,null,true] [0]"#]
        );
    }

    #[test]
    fn records_without_cells_write_nothing_and_are_no_failure() {
        let empty = |values: Value| json!({"spreadsheet_id": "id", "range": "A1", "values": values});
        let (groups, failures) = groups(&[empty(json!([])), empty(json!([[]])), record("id", "A1", "x")]);
        assert_eq!((groups, failures), (vec![r#"id A1 ["x"] [2]"#.to_owned()], vec![]));
    }

    #[test]
    fn what_is_unusable_is_told_and_the_rest_goes_on() {
        let mut records = vec![record("id", "A1", "first")];
        let mut expected = Vec::new();
        for (change, words) in [
            (json!({"values": [["a"], [1, {"b": 1}]]}), "`values[1][1]` is an object"),
            (json!({"values": [[[1]]]}), "`values[0][0]` is a list"),
            (json!({"values": [["x".repeat(50_001)]]}), "`values[0][0]` is a text of 50001 characters"),
            (json!({"values": "x"}), "expected a sequence"),
            (json!({"range": "  "}), "`range` is empty"),
            (json!({"major_dimension": "rows"}), "`major_dimension` is `rows`"),
            (json!({"spreadsheet_id": "../x"}), "`spreadsheet_id` is `../x`"),
            (json!({"spreadsheet_id": ""}), "`spreadsheet_id` is ``"),
            (json!({"spreadsheet_id": null}), "not of the form"),
        ] {
            let mut bad = record("id", "A1", "bad");
            bad.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
            records.push(bad);
            expected.push(words);
        }
        records.push(json!("no object"));
        expected.push("not of the form");
        records.push(record("id", "A1", "last"));
        let (groups, failures) = groups(&records);
        assert_eq!(groups, [format!(r#"id A1 ["first"],["last"] [0, {}]"#, records.len() - 1)]);
        assert_eq!(failures.len(), expected.len());
        for (failure, words) in failures.iter().zip(expected) {
            assert!(failure.contains(words), "{words}: {failure}");
        }
    }
}
