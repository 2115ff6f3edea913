//! The three ways to write a delivery: where its records say, as new rows of one sheet, and as rows that are
//! updated by their key.

use std::collections::HashMap;
use std::ops::Range;

use connector_sdk::{Delivery, Error, Failure, Result};

use crate::config::{Insert, ValueInput};
use crate::extract::addressed::{self, Addressed};
use crate::extract::mapped::{Row, field_names};
use crate::extract::{Rows, unusable};
use crate::protocol::{Api, Trouble};
use crate::send::{Books, Outlet, send_all};
use crate::table::Table;

/// How values and rows get into a sheet.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What Google makes of texts.
    pub input: ValueInput,
    /// How new rows come to be.
    pub insert: Insert,
}

/// Writes records that say themselves where they go.
///
/// # Errors
/// When nothing could be written, and it is not the records' fault.
pub fn addressed(api: &mut Api, options: Options, delivery: &Delivery) -> Result<Vec<Failure>> {
    let mut books = Books::new(delivery.len());
    let (groups, failures) = addressed::extract(delivery);
    failures.into_iter().for_each(|failure| books.fail(failure));
    let end = groups.iter().try_for_each(|group| {
        let mut outlet = ByAddress { api, options, group };
        send_all(&mut outlet, &group.rows, &mut books)
    });
    books.close(end)
}

struct ByAddress<'a> {
    api: &'a mut Api,
    options: Options,
    group: &'a Addressed,
}

impl Outlet for ByAddress<'_> {
    fn send(&mut self, rows: &Rows, parts: Range<usize>) -> Result<(), Trouble> {
        let Addressed { spreadsheet, range, .. } = self.group;
        let Options { input, insert } = self.options;
        self.api.append(spreadsheet, range, rows.slice(parts), input, insert).map(drop)
    }

    /// The record names the spreadsheet and the range, so it is what is wrong.
    fn end(&self, trouble: Trouble) -> Result<String> {
        let Addressed { spreadsheet, range, .. } = self.group;
        match trouble.for_good() {
            Trouble::Absent(message) => Ok(format!("Google knows no spreadsheet {spreadsheet} ({message})")),
            Trouble::Refused(message) => {
                Ok(format!("Google refuses everything for {range} of the spreadsheet {spreadsheet}: {message}"))
            }
            Trouble::Fails(error) => Err(error.context(format_args!("spreadsheet {spreadsheet}"))),
            other => Err(Error::internal(format!("{other:?}"))),
        }
    }
}

/// Writes records as new rows of a sheet.
///
/// # Errors
/// When nothing could be written, and it is not the records' fault.
pub fn append(api: &mut Api, table: &mut Table, options: Options, delivery: &Delivery) -> Result<Vec<Failure>> {
    let mut books = Books::new(delivery.len());
    let Some(made) = rows(api, table, delivery, &mut books)? else { return books.close(Ok(())) };
    let mut rows = Rows::default();
    for (index, row) in made {
        rows.push(index, |out| push_cells(&row.cells, out));
    }
    let mut outlet = AsNewRows { api, options, table, keys: &[] };
    let end = send_all(&mut outlet, &rows, &mut books);
    books.close(end)
}

struct AsNewRows<'a> {
    api: &'a mut Api,
    options: Options,
    table: &'a mut Table,
    /// What each part is the row of, when rows have keys.
    keys: &'a [Merged],
}

impl Outlet for AsNewRows<'_> {
    fn send(&mut self, rows: &Rows, parts: Range<usize>) -> Result<(), Trouble> {
        let (spreadsheet, range) = (self.table.spreadsheet(), self.table.range());
        let Options { input, insert } = self.options;
        let landed = self.api.append(spreadsheet, &range, rows.slice(parts.clone()), input, insert)?;
        let keys = self.keys.get(parts).into_iter().flatten().map(|merged| merged.key.as_str());
        self.table.landed(&landed, keys);
        Ok(())
    }

    fn records(&self, part: usize, rows: &Rows) -> Vec<usize> {
        self.keys.get(part).map_or_else(|| vec![rows.parts[part].record], |merged| merged.records.clone())
    }

    fn end(&self, trouble: Trouble) -> Result<String> {
        Err(self.table.failure(trouble))
    }
}

/// Writes records into the rows of a sheet that have their keys, and as new rows where there are none. Of
/// records with the same key the later one wins, field by field.
///
/// # Errors
/// When nothing could be written, and it is not the records' fault.
pub fn upsert(api: &mut Api, table: &mut Table, options: Options, delivery: &Delivery) -> Result<Vec<Failure>> {
    let mut books = Books::new(delivery.len());
    let Some(made) = rows(api, table, delivery, &mut books)? else { return books.close(Ok(())) };
    let (mut known, mut new) = (Vec::new(), Vec::new());
    for merged in merge(made) {
        match table.row_of(&merged.key) {
            Some(row) => known.push((row, merged)),
            None => new.push(merged),
        }
    }
    let mut updates = Rows::default();
    for (index, (row, merged)) in known.iter().enumerate() {
        let range = serde_json::Value::from(table.row_range(*row)).to_string();
        updates.push(index, |out| {
            out.extend_from_slice(format!(r#"{{"majorDimension":"ROWS","range":{range},"values":["#).as_bytes());
            push_cells(&merged.cells, out);
            out.extend_from_slice(b"]}");
        });
    }
    let mut rows = Rows::default();
    for (index, merged) in new.iter().enumerate() {
        rows.push(index, |out| push_cells(&merged.cells, out));
    }
    let mut outlet = ToKnownRows { api, options, table, known: &known };
    let mut end = send_all(&mut outlet, &updates, &mut books);
    if end.is_ok() {
        let mut outlet = AsNewRows { api, options, table, keys: &new };
        end = send_all(&mut outlet, &rows, &mut books);
    }
    if end.is_err() {
        // The rows may have been written all the same: the next attempt must see them.
        table.forget_rows();
    }
    books.close(end)
}

struct ToKnownRows<'a> {
    api: &'a mut Api,
    options: Options,
    table: &'a Table,
    known: &'a [(u32, Merged)],
}

impl Outlet for ToKnownRows<'_> {
    fn send(&mut self, rows: &Rows, parts: Range<usize>) -> Result<(), Trouble> {
        self.api.update(self.table.spreadsheet(), rows.slice(parts), self.options.input)
    }

    fn records(&self, part: usize, _: &Rows) -> Vec<usize> {
        self.known[part].1.records.clone()
    }

    fn end(&self, trouble: Trouble) -> Result<String> {
        Err(self.table.failure(trouble))
    }
}

/// The records that have the same key, as one row.
#[derive(Debug, PartialEq, Eq)]
struct Merged {
    key: String,
    cells: Vec<Vec<u8>>,
    records: Vec<usize>,
}

/// Makes one row of all records with the same key, as if they had been written one after the other.
fn merge(rows: Vec<(usize, Row)>) -> Vec<Merged> {
    let mut merged: Vec<Merged> = Vec::with_capacity(rows.len());
    let mut by_key: HashMap<String, usize> = HashMap::new();
    for (record, Row { cells, key }) in rows {
        let Some(key) = key else { continue };
        let Some(&known) = by_key.get(&key) else {
            by_key.insert(key.clone(), merged.len());
            merged.push(Merged { key, cells, records: vec![record] });
            continue;
        };
        let known = &mut merged[known];
        known.records.push(record);
        for (before, after) in known.cells.iter_mut().zip(cells) {
            // What a record does not have it leaves as it is.
            if after != b"null" {
                *before = after;
            }
        }
    }
    merged
}

/// The rows of the records that can become some, once it is known what the columns are.
fn rows(api: &mut Api, table: &mut Table, delivery: &Delivery, books: &mut Books) -> Result<Option<Vec<(usize, Row)>>> {
    let first = || delivery.batch.iter().find_map(|record| field_names(record.value).filter(|names| !names.is_empty()));
    if !table.prepare(api, first)? {
        for index in 0..delivery.len() {
            books.fail(unusable(index, "not a JSON object with fields, and the sheet has no columns yet"));
        }
        return Ok(None);
    }
    let mapping = table.mapping()?;
    let mut rows = Vec::with_capacity(delivery.len());
    let mut left_out = Vec::new();
    for delivered in delivery.iter() {
        match mapping.row(delivery, &delivered, &mut left_out) {
            Ok(row) => rows.push((delivered.index, row)),
            Err(why) => books.fail(unusable(delivered.index, &why)),
        }
    }
    table.note_left_out(left_out);
    Ok(Some(rows))
}

fn push_cells(cells: &[Vec<u8>], out: &mut Vec<u8>) {
    for (index, cell) in cells.iter().enumerate() {
        out.push(if index == 0 { b'[' } else { b',' });
        out.extend_from_slice(cell);
    }
    out.push(b']');
}
