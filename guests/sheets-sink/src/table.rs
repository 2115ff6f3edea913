//! One sheet with columns: what is known of it, read when needed and again after a while, since people work in
//! it at the same time.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use connector_sdk::time::{self, Instant};
use connector_sdk::{Error, Result, info, warn};

use crate::a1;
use crate::config::{Config, Mode};
use crate::extract::mapped::{Filled, Mapping, number_key, truth_key};
use crate::header::{self, Layout, list};
use crate::protocol::{Api, Cell, Cells, SheetInfo, Trouble};

/// How long the header row is trusted. Somebody who moves a column meets at most so much of the old order.
const HEADER_LIFE: Duration = Duration::from_secs(60);

/// How many names of fields without a column are remembered, each of which is warned of once.
const MAX_LEFT_OUT: usize = 100;

/// A sheet with columns.
#[derive(Debug)]
pub struct Table {
    config: Config,
    spreadsheet: String,
    info: Option<SheetInfo>,
    mapping: Option<Mapping>,
    header_read: Option<Instant>,
    keys: Keys,
    left_out: BTreeSet<String>,
    warned_of_place: bool,
}

/// Which row has which key.
#[derive(Debug, Default)]
struct Keys {
    rows: HashMap<String, u32>,
    read: Option<Instant>,
    warned_of_doubles: bool,
}

impl Table {
    /// The sheet that the configuration names, not looked at yet.
    pub fn new(config: &Config, spreadsheet: &str) -> Self {
        Self {
            config: config.clone(),
            spreadsheet: spreadsheet.to_owned(),
            info: None,
            mapping: None,
            header_read: None,
            keys: Keys::default(),
            left_out: BTreeSet::new(),
            warned_of_place: false,
        }
    }

    /// The spreadsheet's ID.
    pub fn spreadsheet(&self) -> &str {
        &self.spreadsheet
    }

    /// Looks whether the spreadsheet and the sheet are there, and what their columns are, changing nothing.
    ///
    /// # Errors
    /// `config` when they are not, and those of any request.
    pub fn look(&mut self, api: &mut Api) -> Result<()> {
        match self.layout(api, None)? {
            Some(layout) if layout.missing.is_empty() => self.adopt(layout),
            _ => Ok(()),
        }
    }

    /// Brings everything up to date that a write needs, and writes headers that are missing. `first` gives the
    /// field names of a first record, in case that they become the columns. Says whether it is known what the
    /// columns are.
    ///
    /// # Errors
    /// `config` when the sheet does not fit the configuration, and those of any request.
    pub fn prepare(&mut self, api: &mut Api, first: impl FnOnce() -> Option<Vec<String>>) -> Result<bool> {
        if self.mapping.is_none() || self.is_header_old() {
            let Some(layout) = self.layout(api, Some(first()))? else { return Ok(false) };
            self.write_headers(api, &layout)?;
            self.adopt(layout)?;
        }
        self.read_keys(api)?;
        Ok(true)
    }

    /// How records become rows. Only after [`Table::prepare`].
    ///
    /// # Errors
    /// Kind `internal` before that.
    pub fn mapping(&self) -> Result<&Mapping> {
        self.mapping.as_ref().ok_or_else(|| Error::internal("the columns are not known yet"))
    }

    /// The columns as a range, in which the table is found and appended to.
    pub fn range(&self) -> String {
        self.within(|last| format!("A:{last}"))
    }

    /// The cells of one row, as a range.
    pub fn row_range(&self, row: u32) -> String {
        self.within(|last| format!("A{row}:{last}{row}"))
    }

    /// The row of a key.
    pub fn row_of(&self, key: &str) -> Option<u32> {
        self.keys.rows.get(key).copied()
    }

    /// Rows with these keys were appended, and landed in `range`.
    pub fn landed<'a>(&mut self, range: &str, keys: impl Iterator<Item = &'a str>) {
        let Some((column, first)) = a1::first_cell(range) else {
            self.forget_rows();
            return;
        };
        if column != 0 && !self.warned_of_place {
            self.warned_of_place = true;
            warn!(
                "Google took a part of the sheet for the table and wrote to {range}, not to the first column; fill \
                 or remove empty rows and cells in the table's first column"
            );
        }
        if column == 0 {
            self.keys.rows.extend(keys.map(str::to_owned).zip(first..));
        }
    }

    /// What is known of rows may be wrong.
    pub fn forget_rows(&mut self) {
        self.keys.read = None;
    }

    /// Warns of fields that have no column, once of each.
    pub fn note_left_out(&mut self, names: Vec<String>) {
        for name in names {
            if self.left_out.len() < MAX_LEFT_OUT && !self.left_out.contains(&name) {
                warn!("the field `{name}` has no column and is left out; add its header to the sheet's first row");
                self.left_out.insert(name);
            }
        }
    }

    fn within(&self, cells: impl FnOnce(&str) -> String) -> String {
        let columns = self.mapping.as_ref().map_or(1, |mapping| mapping.columns.len().max(1));
        a1::range(self.title(), &cells(&a1::column_name(columns - 1)))
    }

    fn title(&self) -> &str {
        self.info.as_ref().map_or("", |info| &info.title)
    }

    fn is_header_old(&self) -> bool {
        self.config.header && self.header_read.is_none_or(|read| time::now() - read >= HEADER_LIFE)
    }

    /// Reads what is needed to say what the columns are. `None` when a first record must say it.
    fn layout(&mut self, api: &mut Api, first: Option<Option<Vec<String>>>) -> Result<Option<Layout>> {
        if self.info.is_none() {
            self.info = Some(self.find_sheet(api)?);
        }
        if !self.config.header {
            return Ok(Some(header::fixed(&self.config.columns)));
        }
        let row = a1::range(self.title(), "1:1");
        let read = api.read(&self.spreadsheet, &[row]).map_err(|trouble| self.failure(trouble))?;
        self.header_read = Some(time::now());
        let texts: Vec<String> = read.into_iter().flatten().next().unwrap_or_default().iter().map(text_of).collect();
        header::found(&self.config.columns, &texts, first.flatten())
    }

    fn find_sheet(&self, api: &mut Api) -> Result<SheetInfo> {
        let sheets = api.sheets(&self.spreadsheet).map_err(|trouble| self.failure(trouble))?;
        let title = self.config.sheet.as_deref().map(str::trim);
        let found = match title {
            None => sheets.first(),
            Some(title) => sheets.iter().find(|sheet| sheet.title == title),
        };
        found.cloned().ok_or_else(|| {
            Error::config(format!(
                "`sheet.sheet`: the spreadsheet {} has no sheet `{}`; it has {}",
                self.spreadsheet,
                title.unwrap_or_default(),
                list(sheets.iter().map(|sheet| &sheet.title))
            ))
        })
    }

    fn write_headers(&mut self, api: &mut Api, layout: &Layout) -> Result<()> {
        if layout.missing.is_empty() {
            return Ok(());
        }
        let total = layout.columns.len();
        if let Some(info) = &mut self.info
            && let lacking @ 1.. = (total as u32).saturating_sub(info.grid_properties.column_count)
        {
            let (id, spreadsheet) = (info.sheet_id, &self.spreadsheet);
            let added = api.add_columns(spreadsheet, id, lacking);
            // Kept only once it is known, so that a second attempt does not add them again.
            if added.is_ok() {
                info.grid_properties.column_count += lacking;
            } else {
                self.info = None;
            }
            added.map_err(|trouble| self.failure(trouble))?;
        }
        let first = total - layout.missing.len();
        let (from, to) = (a1::column_name(first), a1::column_name(total - 1));
        let range = a1::range(self.title(), &format!("{from}1:{to}1"));
        let data = serde_json::json!({"range": range, "majorDimension": "ROWS", "values": [layout.missing]});
        // Headers are names, whatever they look like.
        let input = crate::config::ValueInput::Raw;
        let written = api.update(&self.spreadsheet, data.to_string().as_bytes(), input);
        written.map_err(|trouble| self.failure(trouble))?;
        info!("wrote the headers {}", list(layout.missing.iter()));
        Ok(())
    }

    fn adopt(&mut self, layout: Layout) -> Result<()> {
        let key = match self.config.key_column.as_deref().map(str::trim) {
            None => None,
            Some(key) => {
                let is_key = |column: &Option<Filled>| column.as_ref().is_some_and(|filled| filled.header == key);
                let found = layout.columns.iter().position(is_key);
                Some(found.ok_or_else(|| {
                    let there = list(layout.columns.iter().flatten().map(|filled| &filled.header));
                    Error::config(format!("`sheet.key-column`: `{key}` is none of the columns {there}"))
                })?)
            }
        };
        let mapping = Mapping::new(layout.columns, key, &self.config);
        if self.mapping.as_ref().is_none_or(|known| known.key != mapping.key) {
            self.forget_rows();
        }
        self.mapping = Some(mapping);
        Ok(())
    }

    fn read_keys(&mut self, api: &mut Api) -> Result<()> {
        let Some(key) = self.mapping.as_ref().and_then(|mapping| mapping.key) else { return Ok(()) };
        let life = self.config.key_cache.get();
        if self.config.mode != Mode::Upsert || self.keys.read.is_some_and(|read| time::now() - read < life) {
            return Ok(());
        }
        let column = a1::column_name(key);
        let range = a1::range(self.title(), &format!("{column}:{column}"));
        let asked = time::now();
        let read = api.read(&self.spreadsheet, &[range]).map_err(|trouble| self.failure(trouble))?;
        self.keys.fill(&read.concat(), self.config.header);
        self.keys.read = Some(asked);
        Ok(())
    }

    /// What a refusal means for a sheet of the configuration's own.
    pub fn failure(&self, trouble: Trouble) -> Error {
        let id = &self.spreadsheet;
        match trouble.for_good() {
            Trouble::Fails(error) => error,
            Trouble::Absent(message) => Error::config(format!(
                "`sheet.spreadsheet-id`: Google knows no spreadsheet {id} ({message}); its ID stands in its address \
                 after `/d/`"
            )),
            Trouble::Refused(message) => {
                Error::config(format!("the spreadsheet {id} can't be used as configured: {message}"))
            }
            other => Error::internal(format!("{other:?}")),
        }
    }
}

impl Keys {
    fn fill(&mut self, column: &Cells, header: bool) {
        self.rows.clear();
        let mut doubles = 0u32;
        for (row, cells) in (1..).zip(column).skip(usize::from(header)) {
            let key = cells.first().map(text_of).unwrap_or_default();
            if key.is_empty() {
                continue;
            }
            let first = *self.rows.entry(key).or_insert(row);
            doubles += u32::from(first != row);
        }
        if doubles > 0 && !self.warned_of_doubles {
            self.warned_of_doubles = true;
            warn!("{doubles} rows have the key of a row above them; updates go to the upper one");
        }
    }
}

/// A cell as a key, or as a header.
fn text_of(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::Number(number) => number_key(*number),
        Cell::Boolean(truth) => truth_key(*truth).to_owned(),
        Cell::Empty(()) => String::new(),
    }
}
