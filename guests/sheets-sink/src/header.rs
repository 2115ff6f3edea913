//! Which column of a sheet is filled with what: the configured columns, the header row that is there, and the
//! first record, brought together.

use connector_sdk::{Error, Result};

use crate::config::Column;
use crate::extract::mapped::Filled;

/// The columns of a sheet, from its first one on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// What goes into each; `None` where somebody else's column is.
    pub columns: Vec<Option<Filled>>,
    /// Headers that have to be written yet, for the last so many columns.
    pub missing: Vec<String>,
}

/// The layout without a header row: the configured columns in their order.
pub fn fixed(columns: &[Column]) -> Layout {
    Layout { columns: columns.iter().map(|column| Some(Filled::new(column))).collect(), missing: Vec::new() }
}

/// The layout with a header row. `row` is what stands in it; `first` the field names of a first record, which
/// become the columns when nothing else says what they are. `None` when nothing does.
///
/// # Errors
/// Kind `config` when the row is taken by something else.
pub fn found(columns: &[Column], row: &[String], first: Option<Vec<String>>) -> Result<Option<Layout>> {
    let row: Vec<&str> = row.iter().map(|header| header.trim()).collect();
    let taken = row.iter().any(|header| !header.is_empty());
    if columns.is_empty() {
        return Ok(if taken { Some(as_found(&row)) } else { first.and_then(as_first_record) });
    }
    if !taken {
        let layout = fixed(columns);
        let missing = layout.columns.iter().flatten().map(|column| column.header.clone()).collect();
        return Ok(Some(Layout { missing, ..layout }));
    }
    let mut layout = Layout { columns: vec![None; row.len()], missing: Vec::new() };
    for column in columns {
        let filled = Filled::new(column);
        match row.iter().position(|header| *header == filled.header) {
            Some(index) => layout.columns[index] = Some(filled),
            None => {
                layout.missing.push(filled.header.clone());
                layout.columns.push(Some(filled));
            }
        }
    }
    if layout.missing.len() == columns.len() {
        return Err(Error::config(format!(
            "the first row of the sheet holds {}, none of which is a column of `sheet.columns`; correct the headers \
             there or here, choose an empty sheet, or set `header: false` when the first row is no header",
            list(row.iter().filter(|header| !header.is_empty()))
        )));
    }
    Ok(Some(layout))
}

/// The columns that are there, each for the field of its name.
fn as_found(row: &[&str]) -> Layout {
    let mut columns: Vec<Option<Filled>> = Vec::with_capacity(row.len());
    for (index, header) in row.iter().enumerate() {
        let first_of_its_name = !header.is_empty() && !row[..index].contains(header);
        columns.push(first_of_its_name.then(|| Filled::field(header)));
    }
    Layout { columns, missing: Vec::new() }
}

fn as_first_record(names: Vec<String>) -> Option<Layout> {
    // What has no name can't have a header.
    let names: Vec<String> = names.into_iter().filter(|name| !name.trim().is_empty()).collect();
    let columns = names.iter().map(|name| Some(Filled::field(name))).collect();
    (!names.is_empty()).then_some(Layout { columns, missing: names })
}

/// Names for a message: not all of hundreds.
pub fn list<T: AsRef<str>>(names: impl Iterator<Item = T>) -> String {
    const SHOWN: usize = 12;
    let mut shown: Vec<String> = names.map(|name| format!("`{}`", name.as_ref())).collect();
    if shown.len() > SHOWN {
        shown.truncate(SHOWN);
        shown.push("…".to_owned());
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector_sdk::ErrorKind;
    use serde_json::json;

    fn columns(headers: &[&str]) -> Vec<Column> {
        headers.iter().map(|h| serde_json::from_value(json!({"header": h})).expect("a column")).collect()
    }

    fn shown(layout: Option<Layout>) -> (Vec<String>, Vec<String>) {
        let layout = layout.expect("a layout");
        let header = |column: &Option<Filled>| column.as_ref().map_or("-".to_owned(), |filled| filled.header.clone());
        (layout.columns.iter().map(header).collect(), layout.missing)
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn an_empty_row_gets_the_configured_columns() {
        let (columns_, missing) = shown(found(&columns(&["a", "b"]), &strings(&["", " "]), None).expect("fits"));
        assert_eq!((columns_, missing), (strings(&["a", "b"]), strings(&["a", "b"])));
        assert_eq!(shown(Some(fixed(&columns(&["a"])))), (strings(&["a"]), vec![]));
    }

    #[test]
    fn columns_are_found_wherever_they_are_and_missing_ones_come_last() {
        let row = strings(&["note", " b ", "", "a", "a"]);
        let (columns_, missing) = shown(found(&columns(&["a", "b", "c"]), &row, None).expect("fits"));
        assert_eq!((columns_, missing), (strings(&["-", "b", "-", "a", "-", "c"]), strings(&["c"])));
    }

    #[test]
    fn a_row_of_something_else_is_left_alone() {
        let error = found(&columns(&["a"]), &strings(&["2026-01-01", "5"]), None).expect_err("taken");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("`2026-01-01`, `5`"), "{error}");
    }

    #[test]
    fn without_configured_columns_the_row_or_the_first_record_says_what_they_are() {
        let row = strings(&["b", "", "a", "b"]);
        let first = || Some(strings(&["x", "", "y"]));
        assert_eq!(shown(found(&[], &row, first()).expect("fits")), (strings(&["b", "-", "a", "-"]), vec![]));
        assert_eq!(shown(found(&[], &[], first()).expect("fits")), (strings(&["x", "y"]), strings(&["x", "y"])));
        assert_eq!(found(&[], &[], None), Ok(None));
        assert_eq!(found(&[], &[], Some(vec![])), Ok(None));
    }
}
