//! The section `sheet` of a configuration file: the three keys of a service account, and where and how rows
//! are written.

use std::collections::HashSet;

use connector_sdk::config::Secret;
use connector_sdk::http::Request;
use connector_sdk::units::Duration;
use connector_sdk::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::extract::Path;

/// Who writes, where to, and how records become rows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The service account's private key: `private_key` of the key file that Google Cloud gives out. Line
    /// ends may be written as `\n`.
    pub google_private_key: Secret,

    /// The service account's address: `client_email` of the key file. Spreadsheets are shared with it.
    #[schemars(extend("x-secret" = false))]
    pub google_client_email: String,

    /// Where tokens come from: `token_uri` of the key file.
    #[serde(default = "default_token_url")]
    #[schemars(extend("x-network" = true, "x-secret" = false))]
    pub google_token_url: String,

    /// Where the Sheets API is.
    #[serde(default = "default_endpoint")]
    #[schemars(extend("x-network" = true))]
    pub endpoint: String,

    /// The spreadsheet to write into: its ID, or its address in a browser. Without it, every record says
    /// itself where it goes (`spreadsheet_id`, `range`, `values`, `major_dimension`).
    #[serde(default, rename = "spreadsheet-id", alias = "spreadsheet_id")]
    #[schemars(extend("x-aliases" = ["spreadsheet_id"]))]
    pub spreadsheet_id: Option<String>,

    /// The sheet (tab) to write into; the first one of the spreadsheet when not given.
    #[serde(default)]
    pub sheet: Option<String>,

    /// The columns, and what goes into each. Without them, columns are those of the sheet's first row or,
    /// when that is empty, the fields of the first record.
    #[serde(default)]
    pub columns: Vec<Column>,

    /// Whether the sheet's first row holds the columns' headers. An empty first row gets them, once; in one
    /// that is there already columns are found by their headers, in any order, and missing ones added.
    #[serde(default = "default_header")]
    pub header: bool,

    /// Whether every record becomes a new row, or the row with the same key is updated.
    #[serde(default)]
    pub mode: Mode,

    /// With `mode: upsert`: the header of the column that tells rows apart.
    #[serde(default, rename = "key-column", alias = "key_column")]
    #[schemars(extend("x-aliases" = ["key_column"]))]
    pub key_column: Option<String>,

    /// With `mode: upsert`: how long the positions of rows are remembered before they are read again. Longer
    /// saves requests; shorter notices sooner that people have sorted or removed rows.
    #[serde(default = "default_key_cache", rename = "key-cache", alias = "key_cache")]
    #[schemars(extend("x-aliases" = ["key_cache"]))]
    pub key_cache: Duration,

    /// What Google makes of texts: `RAW` keeps them, `USER_ENTERED` reads them as if typed in, so that dates
    /// become dates and what begins with `=` a formula. `RAW` by default; `USER_ENTERED` for records that say
    /// themselves where they go.
    #[serde(default, rename = "value-input", alias = "value_input")]
    #[schemars(extend("x-aliases" = ["value_input"]))]
    pub value_input: Option<ValueInput>,

    /// How new rows come to be: `INSERT_ROWS` makes room for them, `OVERWRITE` uses the rows below the
    /// table. `INSERT_ROWS` by default; `OVERWRITE` for records that say themselves where they go.
    #[serde(default)]
    pub insert: Option<Insert>,

    /// How long writing one delivery may take altogether; what is not sent by then is sent in the next turn.
    /// Keep it below `host.sandbox.call-timeout`.
    #[serde(default = "default_write_timeout", rename = "write-timeout", alias = "write_timeout")]
    #[schemars(extend("x-aliases" = ["write_timeout"]))]
    pub write_timeout: Duration,
}

/// One column, and what goes into it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its header.
    pub header: String,

    /// JSON Pointer to the field of the record that goes into it, as in `/customer/name`; `/` and the header
    /// when not given. Empty (`""`) for the whole record.
    #[serde(default)]
    pub path: Option<Path>,

    /// What goes into it instead of a field: the record's key, its time, or its position in the topic.
    #[serde(default)]
    pub from: Origin,
}

/// Where a cell's content comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A field of the record's value.
    #[default]
    Value,
    /// The record's key, as text.
    Key,
    /// The record's time in UTC, as in `2026-11-21 09:30:00.000`.
    Timestamp,
    /// Topic, partition, offset, and the number among the records made from the same offset, as in
    /// `orders/0/17/0`: never the same for two records.
    Position,
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A new row.
    #[default]
    Append,
    /// The row with the same key, updated; a new one when there is none.
    Upsert,
}

/// What Google makes of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ValueInput {
    /// They stay as they are.
    Raw,
    /// They are read as if typed in.
    UserEntered,
}

/// How new rows come to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Insert {
    /// Rows are inserted.
    InsertRows,
    /// The rows below the table are used.
    Overwrite,
}

fn default_token_url() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

fn default_endpoint() -> String {
    "https://sheets.googleapis.com".to_owned()
}

const fn default_header() -> bool {
    true
}

const fn default_key_cache() -> Duration {
    Duration::from_secs(5)
}

const fn default_write_timeout() -> Duration {
    // Less than the host's patience with one call, 30 s, so that a slow answer ends in an error and not in
    // the end of the instance.
    Duration::from_secs(25)
}

impl ValueInput {
    /// The word for it in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "RAW",
            Self::UserEntered => "USER_ENTERED",
        }
    }
}

impl Insert {
    /// The word for it in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InsertRows => "INSERT_ROWS",
            Self::Overwrite => "OVERWRITE",
        }
    }
}

impl Config {
    /// What Google is to make of texts.
    pub fn value_input(&self) -> ValueInput {
        let fixed = self.spreadsheet_id.is_some();
        self.value_input.unwrap_or(if fixed { ValueInput::Raw } else { ValueInput::UserEntered })
    }

    /// How new rows are to come to be.
    pub fn insert(&self) -> Insert {
        let fixed = self.spreadsheet_id.is_some();
        self.insert.unwrap_or(if fixed { Insert::InsertRows } else { Insert::Overwrite })
    }

    /// The spreadsheet's ID, also when its address was given.
    pub fn spreadsheet(&self) -> Option<&str> {
        let given = self.spreadsheet_id.as_deref()?.trim();
        let id = given.split_once("/spreadsheets/d/").map_or(given, |(_, rest)| rest);
        Some(id.split(['/', '?', '#']).next().unwrap_or_default())
    }

    /// Checks what the schema can't.
    ///
    /// # Errors
    /// Kind `config`, naming the key.
    pub fn check(&self) -> Result<()> {
        let refusal = |message: &str| Err(Error::config(message));
        for (key, address) in [("google_token_url", &self.google_token_url), ("endpoint", &self.endpoint)] {
            Request::get(address).map_err(|error| error.context(format_args!("`sheet.{key}`")))?;
        }
        if self.google_client_email.trim().is_empty() {
            return refusal("`sheet.google_client_email` is empty; give `client_email` of the service account's key");
        }
        if self.write_timeout.get() < std::time::Duration::from_secs(1) {
            return refusal("`sheet.write-timeout` must be at least 1s: Google takes its time");
        }
        match self.spreadsheet() {
            None => self.check_addressed(),
            Some("") => refusal("`sheet.spreadsheet-id` names no spreadsheet; it stands in the address after `/d/`"),
            Some(_) => self.check_fixed(),
        }
    }

    /// What only makes sense with a spreadsheet of the configuration's own.
    fn check_addressed(&self) -> Result<()> {
        let given = [
            ("sheet", self.sheet.is_some()),
            ("columns", !self.columns.is_empty()),
            ("mode", self.mode == Mode::Upsert),
            ("key-column", self.key_column.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(Error::config(format!(
                "`sheet.{key}` needs `sheet.spreadsheet-id`: without it, every record says itself where it goes"
            ))),
            None => Ok(()),
        }
    }

    fn check_fixed(&self) -> Result<()> {
        let refusal = |message: String| Err(Error::config(message));
        if self.columns.is_empty() && !self.header {
            return refusal("`sheet.columns` is needed with `header: false`: nothing else says what goes where".into());
        }
        let mut seen = HashSet::new();
        for (index, column) in self.columns.iter().enumerate() {
            let header = column.header.trim();
            if header.is_empty() {
                return refusal(format!("`sheet.columns[{index}].header` is empty"));
            }
            if !seen.insert(header) {
                return refusal(format!("`sheet.columns[{index}].header`: there are two columns `{header}`"));
            }
            if column.from != Origin::Value && column.path.is_some() {
                return refusal(format!(
                    "`sheet.columns[{index}]` has both `path` and `from`; only a field of the value has a path"
                ));
            }
        }
        match (self.mode, self.key_column.as_deref()) {
            (Mode::Append, None) => Ok(()),
            (Mode::Append, Some(_)) => refusal("`sheet.key-column` has an effect only with `mode: upsert`".into()),
            (Mode::Upsert, None) => {
                refusal("`mode: upsert` needs `sheet.key-column`: the column that tells rows apart".into())
            }
            (Mode::Upsert, Some(key)) if !seen.is_empty() && !seen.contains(key.trim()) => {
                refusal(format!("`sheet.key-column`: `{key}` is none of the columns"))
            }
            (Mode::Upsert, Some(_)) => Ok(()),
        }
    }
}
