//! Writes records into Google Sheets.
//!
//! [`protocol`] talks to Google, [`extract`] makes rows of records, [`write`] brings both together, for one
//! delivery at a time; [`table`] and [`header`] know the sheet, [`send`] keeps the books.
//!
//! **What is promised.** A delivery is acknowledged when Google has answered that its rows are written. An
//! answer that was lost leaves open whether they are: then they are written again, so a row may be there
//! twice, but none is missing. With `mode: upsert` the second attempt finds the first one's rows by their
//! keys: what is repeated changes nothing. Order is kept within a sheet.

mod a1;
mod config;
mod extract;
mod header;
mod protocol;
mod send;
mod table;
mod write;

use connector_sdk::{Check, Delivery, Error, Failure, Result, Sink, Spec, spec, warn};

use config::{Config, Mode};
use protocol::Api;
use table::Table;
use write::Options;

/// The sink.
#[derive(Debug)]
pub struct SheetsSink {
    config: Config,
    options: Options,
    api: Api,
    /// The sheet that everything goes to; `None` when records say themselves where they go.
    table: Option<Table>,
}

impl SheetsSink {
    fn new(config: Config) -> Result<Self> {
        config.check()?;
        let Config { endpoint, google_private_key: key, google_client_email: email, google_token_url, .. } = &config;
        let api = Api::new(endpoint, key.reveal(), email, google_token_url)?;
        let options = Options { input: config.value_input(), insert: config.insert() };
        let table = match config.spreadsheet() {
            Some(id) if !extract::addressed::is_id(id) => {
                return Err(Error::config(format!("`sheet.spreadsheet-id`: `{id}` is no ID of a spreadsheet")));
            }
            Some(id) => Some(Table::new(&config, id)),
            None => None,
        };
        Ok(Self { config, options, api, table })
    }

    fn begin(&mut self) {
        self.api.begin(self.config.write_timeout.get());
    }

    /// Tries what can be tried without writing.
    fn look(&mut self) -> Result<()> {
        self.begin();
        self.api.authorize()?;
        self.table.as_mut().map_or(Ok(()), |table| table.look(&mut self.api))
    }
}

impl Sink for SheetsSink {
    const SPEC: Spec = spec!("sheet");
    type Config = Config;

    fn check(config: Config) -> Check {
        let mut sink = None;
        let check = Check::builder().step("configuration and private key are valid", || {
            sink = Some(Self::new(config)?);
            Ok(())
        });
        let Some(sink) = &mut sink else { return check.build() };
        sink.begin();
        let check = check.step("Google gives a token", || sink.api.authorize());
        let Some(table) = &mut sink.table else { return check.build() };
        let name = format!("the spreadsheet {} fits", table.spreadsheet());
        check.step(name, || table.look(&mut sink.api)).build()
    }

    fn open(config: Config) -> Result<Self> {
        let mut sink = Self::new(config)?;
        match sink.look() {
            Err(error) if error.is_retryable() => {
                // The first write tries again, and waits for Google if it must.
                warn!("Google can't be asked yet: {error}");
                Ok(sink)
            }
            looked => looked.map(|()| sink),
        }
    }

    fn write(&mut self, delivery: &Delivery) -> Result<Vec<Failure>> {
        if delivery.is_empty() {
            return Ok(Vec::new());
        }
        self.begin();
        let (api, options) = (&mut self.api, self.options);
        match (&mut self.table, self.config.mode) {
            (None, _) => write::addressed(api, options, delivery),
            (Some(table), Mode::Append) => write::append(api, table, options, delivery),
            (Some(table), Mode::Upsert) => write::upsert(api, table, options, delivery),
        }
    }
}

connector_sdk::export_sink!(SheetsSink);

#[cfg(test)]
mod tests;
