//! Talks to the Sheets API (v4): one method a call of it, each bounded by the time that the host's call
//! leaves, and with every refusal told apart by what is to be done about it.
//!
//! Google applies a request whole or not at all. Nothing here tries anything twice, but for one thing: a
//! request whose token was refused is made again with a new one.

mod key;
mod pace;
mod refusal;
mod token;

use std::time::Duration;

use connector_sdk::http::{Request, Timeouts};
use connector_sdk::time::{self, Instant};
use connector_sdk::{Error, Result, metrics};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::{Insert, ValueInput};
use pace::Pace;
pub use refusal::Trouble;
use refusal::judge;
use token::Account;

/// The longest answer that is read: a key column of some million cells.
const MAX_ANSWER: usize = 64 << 20;

/// The least time in which a request is worth starting. One that is cut off may have been applied.
const LEAST_TIME: Duration = Duration::from_secs(5);

/// A way to the API.
#[derive(Debug)]
pub struct Api {
    endpoint: String,
    account: Account,
    pace: Pace,
    /// When everything must have been answered.
    until: Instant,
    /// When the last request may start.
    latest: Instant,
}

/// A sheet of a spreadsheet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SheetInfo {
    /// The number that requests other than for values name it by.
    #[serde(default)]
    pub sheet_id: i64,
    /// Its name.
    pub title: String,
    /// How many rows and columns there are, empty ones included.
    #[serde(default)]
    pub grid_properties: Grid,
}

/// The size of a sheet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grid {
    /// Columns, empty ones included. Absent from sheets that are no grid, such as charts.
    #[serde(default)]
    pub column_count: u32,
}

#[derive(Deserialize)]
struct Spreadsheet {
    sheets: Vec<Sheet>,
}

#[derive(Deserialize)]
struct Sheet {
    properties: SheetInfo,
}

/// A cell as it is read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
    /// A truth value.
    Boolean(bool),
    /// Nothing.
    Empty(()),
}

/// Rows of cells, without the empty ones at the end of each and of all.
pub type Cells = Vec<Vec<Cell>>;

#[derive(Default, Deserialize)]
struct ValueRange {
    #[serde(default)]
    values: Cells,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValueRanges {
    value_ranges: Vec<ValueRange>,
}

#[derive(Deserialize)]
struct Appended {
    #[serde(default)]
    updates: Updates,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Updates {
    #[serde(default)]
    updated_range: String,
}

impl Api {
    /// A way to the API at `endpoint` for a service account.
    ///
    /// # Errors
    /// Kind `auth` when the key can't be used.
    pub fn new(endpoint: &str, key: &str, email: &str, token_url: &str) -> Result<Self> {
        let account = Account::new(key, email, token_url)?;
        let endpoint = endpoint.trim().trim_end_matches('/').to_owned();
        let now = time::now();
        Ok(Self { endpoint, account, pace: Pace::new(), until: now, latest: now })
    }

    /// From now on requests may take so long altogether.
    pub fn begin(&mut self, patience: Duration) {
        let now = time::now();
        self.until = now + patience;
        self.latest = now + patience.saturating_sub(LEAST_TIME.min(patience / 2));
    }

    /// Gets a token, when there is none that is good.
    ///
    /// # Errors
    /// Those of a refusal.
    pub fn authorize(&mut self) -> Result<()> {
        self.account.token(self.until).map(drop)
    }

    /// The sheets of a spreadsheet, in order.
    ///
    /// # Errors
    /// Those of any request.
    pub fn sheets(&mut self, spreadsheet: &str) -> Result<Vec<SheetInfo>, Trouble> {
        let what = "?fields=sheets.properties(sheetId%2Ctitle%2CgridProperties.columnCount)";
        let found: Spreadsheet = self.get(&format!("{}{what}", segment(spreadsheet)))?;
        Ok(found.sheets.into_iter().map(|sheet| sheet.properties).collect())
    }

    /// Makes a sheet wider by so many columns.
    ///
    /// # Errors
    /// Those of any request.
    pub fn add_columns(&mut self, spreadsheet: &str, sheet: i64, count: u32) -> Result<(), Trouble> {
        let body = format!(
            r#"{{"requests":[{{"appendDimension":{{"sheetId":{sheet},"dimension":"COLUMNS","length":{count}}}}}]}}"#
        );
        self.send("POST", &format!("{}:batchUpdate", segment(spreadsheet)), body.as_bytes()).map(drop)
    }

    /// What stands in these ranges, row by row: numbers as numbers, texts as texts.
    ///
    /// # Errors
    /// Those of any request.
    pub fn read(&mut self, spreadsheet: &str, ranges: &[String]) -> Result<Vec<Cells>, Trouble> {
        let mut path = format!("{}/values:batchGet?majorDimension=ROWS", segment(spreadsheet));
        path.push_str("&valueRenderOption=UNFORMATTED_VALUE");
        for range in ranges {
            path.push_str("&ranges=");
            path.push_str(&segment(range));
        }
        let mut found: ValueRanges = self.get(&path)?;
        found.value_ranges.resize_with(ranges.len(), ValueRange::default);
        Ok(found.value_ranges.into_iter().map(|range| range.values).collect())
    }

    /// Writes these rows after the table that is found in `range`; `rows` is JSON, arrays with commas in
    /// between. Returns where they landed.
    ///
    /// # Errors
    /// Those of any request. When the answer did not come, the rows may have been written.
    pub fn append(
        &mut self,
        spreadsheet: &str,
        range: &str,
        rows: &[u8],
        input: ValueInput,
        insert: Insert,
    ) -> Result<String, Trouble> {
        let (input, insert) = (input.as_str(), insert.as_str());
        let path = format!(
            "{}/values/{}:append?valueInputOption={input}&insertDataOption={insert}&includeValuesInResponse=false",
            segment(spreadsheet),
            segment(range)
        );
        let body = [&br#"{"majorDimension":"ROWS","values":["#[..], rows, b"]}"].concat();
        let answer = self.send("POST", &path, &body)?;
        let answer: Appended = self.answer(&answer)?;
        Ok(answer.updates.updated_range)
    }

    /// Writes ranges; `data` is JSON, objects of the form `ValueRange` with commas in between.
    ///
    /// # Errors
    /// Those of any request. When the answer did not come, the ranges may have been written.
    pub fn update(&mut self, spreadsheet: &str, data: &[u8], input: ValueInput) -> Result<(), Trouble> {
        let head = format!(r#"{{"valueInputOption":"{}","data":["#, input.as_str());
        let body = [head.as_bytes(), data, b"]}"].concat();
        self.send("POST", &format!("{}/values:batchUpdate", segment(spreadsheet)), &body).map(drop)
    }

    fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, Trouble> {
        let answer = self.send("GET", path, &[])?;
        self.answer(&answer)
    }

    fn answer<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T, Trouble> {
        let parsed = serde_json::from_slice(answer);
        parsed.map_err(|_| Trouble::Fails(self.stranger("answered, but not as the Sheets API does")))
    }

    /// One request, whose answer is good.
    fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>, Trouble> {
        match self.attempt(method, path, body) {
            // The token may have been revoked before its time; a new one tells.
            Err(Trouble::Unauthorized(_)) => {
                self.account.forget();
                self.attempt(method, path, body).map_err(Trouble::for_good)
            }
            other => other,
        }
    }

    fn attempt(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>, Trouble> {
        self.pace.wait(self.latest).map_err(|wait| self.not_yet(wait))?;
        if time::now() > self.latest {
            return Err(self.not_yet(Duration::ZERO));
        }
        let token = format!("Bearer {}", self.account.token(self.until)?);
        let address = format!("{}/v4/spreadsheets/{path}", self.endpoint);
        let mut request = Request::new(method, &address)?
            .header("authorization", token)?
            .header("accept", "application/json")?
            .redirects(0)
            .timeouts(patience(self.until));
        if method != "GET" {
            request = request.header("content-type", "application/json")?.body(body);
        }
        metrics::counter("requests_total", 1);
        let started = time::now();
        let response = request.send()?;
        let (status, refused) = (response.status(), response.error_for_status().err());
        let answer = response.bytes(MAX_ANSWER).map_err(|error| self.too_long(error))?;
        metrics::histogram("request_duration_seconds", (time::now() - started).as_secs_f64());
        match refused {
            None => {
                self.pace.went_well();
                Ok(answer)
            }
            Some(error) => Err(self.refusal(status, error, &answer)),
        }
    }

    fn refusal(&mut self, status: u16, error: Error, answer: &[u8]) -> Trouble {
        match judge(status, error, answer, self.account.email()) {
            Trouble::TooMany(message, asked) => {
                metrics::counter("throttled_total", 1);
                let wait = self.pace.refused(asked);
                Trouble::Fails(Error::throttled(message, Some(wait)))
            }
            Trouble::Stranger => Trouble::Fails(self.stranger(&format!("answered {status}"))),
            other => other,
        }
    }

    fn not_yet(&self, wait: Duration) -> Trouble {
        let what =
            if wait.is_zero() { "the time for this delivery is over" } else { "Google asked for fewer requests" };
        let message = format!("{}: {what}; the rest is sent in the next turn", place(&self.endpoint));
        Trouble::Fails(Error::throttled(message, Some(wait)))
    }

    fn too_long(&self, error: Error) -> Trouble {
        match error.is_retryable() {
            true => Trouble::Fails(error),
            false => Trouble::Fails(Error::config(format!("{error}; the sheet is too long for `mode: upsert`"))),
        }
    }

    fn stranger(&self, what: &str) -> Error {
        let place = place(&self.endpoint);
        Error::config(format!("`sheet.endpoint`: {place} {what}; is it the address of the Sheets API?"))
    }
}

/// What is left of the time as a request's timeouts.
fn patience(until: Instant) -> Timeouts {
    let left = until - time::now();
    let connect = left.min(Duration::from_secs(10));
    Timeouts { connect, first_byte: left, between_bytes: left, total: Some(left) }
}

/// An address without what may be secret in it.
fn place(address: &str) -> String {
    Request::get(address).map_or_else(|_| "the address".to_owned(), |request| request.place())
}

/// A text as one segment of a path, or one value of a query: whatever stands in it, it leads nowhere else.
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
pub(crate) use key::tests::{pem, verified};
