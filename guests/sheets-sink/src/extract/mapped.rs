//! Records that are laid out over the columns of one sheet: a field, the key, the time or the position of the
//! record in each.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use connector_sdk::{Delivered, Delivery};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::cell::{self, Form};
use super::{Path, position};
use crate::config::{Column, Config, Mode, Origin, ValueInput};

/// What goes where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The columns in the order of the sheet; `None` for one that is somebody else's.
    pub columns: Vec<Option<Filled>>,
    /// The index of the column that tells rows apart.
    pub key: Option<usize>,
    /// How a cell is filled, and how the key's is.
    forms: [Form; 2],
    /// Whether a field without a column is worth a word: nobody has chosen the columns.
    notices_left_out: bool,
}

/// A column that is filled from records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// Its header.
    pub header: String,
    path: Path,
    from: Origin,
}

/// The cells of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// One a column, as JSON; `null` leaves a cell as it is.
    pub cells: Vec<Vec<u8>>,
    /// What tells this row from others, if there is such a column.
    pub key: Option<String>,
}

impl Filled {
    /// A column as the configuration has it.
    pub fn new(column: &Column) -> Self {
        let header = column.header.trim().to_owned();
        let path = column.path.clone().unwrap_or_else(|| Path::field(&header));
        Self { path, from: column.from, header }
    }

    /// A column for the field of the same name.
    pub fn field(name: &str) -> Self {
        Self { header: name.to_owned(), path: Path::field(name), from: Origin::Value }
    }
}

impl Mapping {
    /// These columns; `key` is the index of the one that tells rows apart.
    pub fn new(columns: Vec<Option<Filled>>, key: Option<usize>, config: &Config) -> Self {
        let upsert = config.mode == Mode::Upsert;
        let plain = Form { clear_nulls: upsert, apostrophe: false };
        // As if typed in, `007` would be read as the number 7, and not be found again.
        let of_key = Form { apostrophe: upsert && config.value_input() == ValueInput::UserEntered, ..plain };
        Self { columns, key, forms: [plain, of_key], notices_left_out: config.columns.is_empty() }
    }

    /// The cells of a record. Adds the names of fields that have no column to `left_out`, when nobody has
    /// chosen the columns.
    ///
    /// # Errors
    /// When the record is not JSON, does not fit, or has nothing for any column or for the key.
    pub fn row(
        &self,
        delivery: &Delivery,
        delivered: &Delivered<'_>,
        left_out: &mut Vec<String>,
    ) -> Result<Row, String> {
        let fields = Fields::read(delivered.record.value)?;
        let mut row = Row { cells: Vec::with_capacity(self.columns.len()), key: None };
        let mut empty = true;
        for (index, column) in self.columns.iter().enumerate() {
            let mut cell = Vec::new();
            let Some(column) = column else {
                row.cells.push(b"null".to_vec());
                continue;
            };
            let form = self.forms[usize::from(self.key == Some(index))];
            let filled = column
                .fill(&fields, delivery, delivered, form, &mut cell)
                .map_err(|why| format!("column `{}`: {why}", column.header))?;
            // That a record is there at all is no content.
            empty &= !filled || matches!(column.from, Origin::Timestamp | Origin::Position);
            if self.key == Some(index) {
                let key = filled.then(|| key_of(&cell, form)).flatten().filter(|key| !key.is_empty());
                row.key = Some(key.ok_or_else(|| format!("nothing for the key column `{}`", column.header))?);
            }
            row.cells.push(cell);
        }
        if empty && row.key.is_none() && !self.only_about_records() {
            let headers: Vec<String> = self.filled().map(|column| format!("`{}`", column.header)).collect();
            return Err(format!("nothing for any of the columns {}", headers.join(", ")));
        }
        if self.notices_left_out
            && let Fields::Object(fields, _) = &fields
        {
            let has_column = |name: &str| self.filled().any(|column| column.header == name);
            for (name, _) in fields {
                if !has_column(name) && !left_out.iter().any(|known| known == name) {
                    left_out.push(name.clone().into_owned());
                }
            }
        }
        Ok(row)
    }

    /// The columns that are filled.
    fn filled(&self) -> impl Iterator<Item = &Filled> {
        self.columns.iter().flatten()
    }

    fn only_about_records(&self) -> bool {
        self.filled().all(|column| matches!(column.from, Origin::Timestamp | Origin::Position))
    }
}

impl Filled {
    /// Appends the cell. Says whether there is anything in it.
    fn fill(
        &self,
        fields: &Fields<'_>,
        delivery: &Delivery,
        delivered: &Delivered<'_>,
        form: Form,
        out: &mut Vec<u8>,
    ) -> Result<bool, String> {
        let record = &delivered.record;
        let text = match self.from {
            Origin::Value => {
                return match fields.find(self.path.steps()) {
                    Some(raw) => cell::push(raw, form, out),
                    None => {
                        out.extend_from_slice(b"null");
                        Ok(false)
                    }
                };
            }
            Origin::Key => match record.key.map(std::str::from_utf8) {
                Some(Ok(key)) => Some(key.to_owned()),
                Some(Err(_)) => return Err("the record's key is not UTF-8 text".to_owned()),
                None => None,
            },
            Origin::Timestamp => record.timestamp.map(date),
            Origin::Position => Some(position(delivery, delivered.offset, delivered.part)),
        };
        match text.filter(|text| !text.is_empty()) {
            Some(text) => cell::push_string(&text, form, out).map(|()| true),
            None => {
                out.extend_from_slice(if form.clear_nulls { b"\"\"" } else { b"null" });
                Ok(false)
            }
        }
    }
}

/// What a key cell will read as.
fn key_of(cell: &[u8], form: Form) -> Option<String> {
    match serde_json::from_slice::<serde_json::Value>(cell).ok()? {
        serde_json::Value::String(text) if form.apostrophe => text.strip_prefix('\'').map(str::to_owned),
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => number.as_f64().map(number_key),
        serde_json::Value::Bool(truth) => Some(truth_key(truth).to_owned()),
        _ => None,
    }
}

/// A number as a key: the same for `5`, `5.0` and the text `5`.
pub fn number_key(number: f64) -> String {
    number.to_string()
}

/// A truth value as a key, as a sheet shows it.
pub fn truth_key(truth: bool) -> &'static str {
    if truth { "TRUE" } else { "FALSE" }
}

/// The names of an object's fields in order, each once; `None` when the text is not an object.
pub fn field_names(json: &[u8]) -> Option<Vec<String>> {
    let Ok(Fields::Object(fields, _)) = Fields::read(json) else { return None };
    let mut names: Vec<String> = Vec::new();
    for (name, _) in fields {
        if !names.iter().any(|known| *known == name) {
            names.push(name.into_owned());
        }
    }
    Some(names)
}

/// A document, taken apart at its first level.
enum Fields<'a> {
    Object(Vec<(Cow<'a, str>, &'a RawValue)>, &'a RawValue),
    Other(&'a RawValue),
}

impl<'a> Fields<'a> {
    fn read(json: &'a [u8]) -> Result<Self, String> {
        let raw: &RawValue = serde_json::from_slice(json).map_err(|error| format!("not JSON: {error}"))?;
        Ok(Self::of(raw))
    }

    fn of(raw: &'a RawValue) -> Self {
        // What was read as JSON before is JSON; keys of half a character are the exception.
        match raw.get().starts_with('{').then(|| serde_json::from_str::<Object<'_>>(raw.get())) {
            Some(Ok(Object(fields))) => Self::Object(fields, raw),
            _ => Self::Other(raw),
        }
    }

    /// What a pointer leads to. Of equal keys the last one counts.
    fn find(&self, steps: &[String]) -> Option<&'a RawValue> {
        let Some((step, rest)) = steps.split_first() else {
            return Some(match self {
                Self::Object(_, whole) | Self::Other(whole) => whole,
            });
        };
        let found = match self {
            Self::Object(fields, _) => fields.iter().rev().find(|(name, _)| name == step)?.1,
            Self::Other(raw) if raw.get().starts_with('[') => {
                let index = step.parse::<usize>().ok().filter(|index| index.to_string() == *step)?;
                let items: Vec<&'a RawValue> = serde_json::from_str(raw.get()).ok()?;
                *items.get(index)?
            }
            Self::Other(_) => return None,
        };
        if rest.is_empty() { Some(found) } else { Self::of(found).find(rest) }
    }
}

struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Milliseconds since 1970 as a date that people and sheets can read, in UTC.
fn date(millis: i64) -> String {
    // The last moment of the year 9999.
    const LAST: u64 = 253_402_300_799_999;
    let since = Duration::from_millis(u64::try_from(millis).unwrap_or(0).min(LAST));
    let text = humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since).to_string();
    text.trim_end_matches('Z').replacen('T', " ", 1)
}

#[cfg(test)]
mod tests;
