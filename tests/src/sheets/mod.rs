//! A stand-in for Google Sheets: the token endpoint and the Sheets API (v4) on loopback, as Google documents
//! them.
//!
//! It verifies every signature with the account's public key, hands out tokens that end, keeps the cells, finds
//! tables as the guide on appending says, counts quotas by the minute, and refuses in Google's form. It can be
//! told to fail. What it leaves out: formulas are kept, not worked out; of `spreadsheets.batchUpdate` it knows
//! two requests; of formats, none.

mod a1;
mod api;
mod entered;
mod grid;
mod server;
mod token;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use api::{Refusal, Request, Spreadsheet};
use grid::Sheet;
use token::Tokens;

pub use grid::Cell;
pub use token::ServiceAccount;

/// What a stand-in is like, where it differs from Google's defaults.
#[derive(Debug, Clone)]
pub struct SheetsOptions {
    /// How long a token is good for.
    pub token_life: Duration,
    /// How many reads, and how many writes, an account may make a minute.
    pub quota: u32,
    /// How long a minute takes.
    pub minute: Duration,
    /// The port; any free one when 0.
    pub port: u16,
}

impl Default for SheetsOptions {
    fn default() -> Self {
        Self { token_life: Duration::from_secs(3599), quota: 60, minute: Duration::from_secs(60), port: 0 }
    }
}

/// What goes wrong with a request to the API.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// It is answered with this status, and not carried out.
    Status(u16),
    /// The connection is closed, and it is not carried out.
    HangUp,
    /// It is carried out, and the connection closed instead of an answer.
    LoseAnswer,
    /// It is carried out after so long.
    Slow(Duration),
}

/// How many requests there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// For tokens.
    pub tokens: u64,
    /// To the API, refused ones included.
    pub api: u64,
    /// Of those, refused because of the quota.
    pub throttled: u64,
    /// Of those, failed on purpose.
    pub faults: u64,
}

impl Counts {
    /// All requests.
    #[must_use]
    pub fn total(self) -> u64 {
        self.tokens + self.api
    }
}

/// A stand-in on a free port. It lives as long as the value.
#[derive(Debug)]
pub struct SheetsServer {
    address: SocketAddr,
    account: ServiceAccount,
    state: Arc<Mutex<State>>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Debug)]
struct State {
    options: SheetsOptions,
    token_url: String,
    tokens: Tokens,
    spreadsheets: HashMap<String, Spreadsheet>,
    /// Requests in this minute, by account, and whether they write.
    used: HashMap<(String, bool), u32>,
    minute_began: Instant,
    counts: Counts,
    faults: VecDeque<Fault>,
    chance: Option<Chance>,
}

/// Faults by chance.
#[derive(Debug)]
struct Chance {
    percent: u64,
    of: Vec<Fault>,
    state: u64,
}

impl State {
    /// A request begins; what is to go wrong with it.
    fn begin(&mut self) -> Option<Fault> {
        self.counts.api += 1;
        let fault = self.faults.pop_front().or_else(|| self.chance.as_mut().and_then(Chance::next));
        self.counts.faults += u64::from(fault.is_some());
        fault
    }

    fn answer(&mut self, token: &str, request: &Request<'_>) -> Result<Value, Refusal> {
        let Some(email) = self.tokens.owner(token).map(str::to_owned) else {
            return Err(Refusal::new(
                401,
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other \
                 valid authentication credential.",
            ));
        };
        self.charge(&email, request.is_write())?;
        api::answer(self, &email, request)
    }

    fn charge(&mut self, email: &str, is_write: bool) -> Result<(), Refusal> {
        if self.minute_began.elapsed() >= self.options.minute {
            self.minute_began = Instant::now();
            self.used.clear();
        }
        let used = self.used.entry((email.to_owned(), is_write)).or_default();
        if *used >= self.options.quota {
            self.counts.throttled += 1;
            let metric = if is_write { "Write requests" } else { "Read requests" };
            let message = format!(
                "Quota exceeded for quota metric '{metric}' and limit '{metric} per minute per user' of service \
                 'sheets.googleapis.com' for consumer 'project_number:1'."
            );
            let mut refusal = Refusal::new(429, "RESOURCE_EXHAUSTED", message);
            refusal.details = json!([{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "RATE_LIMIT_EXCEEDED",
                "domain": "googleapis.com",
            }]);
            return Err(refusal);
        }
        *used += 1;
        Ok(())
    }

    fn sheet(&self, id: &str, title: &str) -> Option<&Sheet> {
        self.spreadsheets.get(id)?.sheets.iter().find(|sheet| sheet.title == title)
    }

    fn cells(&self, id: &str, title: &str) -> Option<Vec<Vec<Cell>>> {
        let all = a1::Rect { top: 0, left: 0, bottom: None, right: None, is_cell: false };
        Some(self.sheet(id, title)?.read(all))
    }

    /// A sheet as people see it.
    fn table(&self, id: &str, title: &str) -> Option<String> {
        let shown = |cell: &Cell| match cell {
            Cell::Empty => String::new(),
            Cell::Value(Value::String(text)) | Cell::Formula(text) => text.clone(),
            Cell::Value(value) => value.to_string(),
        };
        let rows: Vec<Vec<String>> = self.cells(id, title)?.iter().map(|row| row.iter().map(shown).collect()).collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let at = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let width = |column: usize| rows.iter().map(|row| at(row, column).chars().count()).max().unwrap_or(0).max(1);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let number = rows.len().to_string().len();
        let line = |name: &str, cells: Vec<String>| {
            let cells: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            format!("{name:>number$} │ {}\n", cells.join(" │ ")).trim_end().to_owned() + "\n"
        };
        let mut table = line("", (0..columns).map(a1::letters).collect());
        for (index, row) in rows.iter().enumerate() {
            table += &line(&(index + 1).to_string(), (0..columns).map(|column| at(row, column)).collect());
        }
        Some(table)
    }
}

impl Chance {
    fn next(&mut self) -> Option<Fault> {
        // A linear congruential generator (Knuth's constants): the same faults for the same seed.
        let mut draw = || {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.state >> 33
        };
        let (hit, which) = (draw() % 100 < self.percent, draw() as usize);
        hit.then(|| self.of[which % self.of.len()])
    }
}

impl SheetsServer {
    /// A stand-in with Google's quotas, and an account with a new key.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(SheetsOptions::default())
    }

    /// Another kind of stand-in.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start_with(options: SheetsOptions) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the server");
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", options.port))).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let account = ServiceAccount::new("sheets-writer@stand-in.iam.gserviceaccount.com");
        let mut tokens = Tokens::default();
        tokens.register(&account);
        let state = Arc::new(Mutex::new(State {
            options,
            token_url: format!("http://{address}{}", server::TOKEN),
            tokens,
            spreadsheets: HashMap::new(),
            used: HashMap::new(),
            minute_began: Instant::now(),
            counts: Counts::default(),
            faults: VecDeque::new(),
            chance: None,
        }));
        runtime.spawn(server::serve(listener, Arc::clone(&state)));
        Self { address, account, state, _runtime: runtime }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API's address, to stand for `https://sheets.googleapis.com`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The token endpoint's address, to stand for `https://oauth2.googleapis.com/token`.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("http://{}{}", self.address, server::TOKEN)
    }

    /// Where a sheet is shown as a table, for people.
    #[must_use]
    pub fn show_path(id: &str, title: &str) -> String {
        format!("{}{id}/{title}", server::SHOW)
    }

    /// The three secrets of the account, one a line, as Google's key file has them.
    #[must_use]
    pub fn secrets(&self) -> String {
        let (key, email) = (self.account.private_key().replace('\n', "\\n"), &self.account.email);
        let token_url = self.token_url();
        format!("GOOGLE_PRIVATE_KEY=\"{key}\"\nGOOGLE_CLIENT_EMAIL=\"{email}\"\nGOOGLE_TOKEN_URI=\"{token_url}\"\n")
    }

    /// The account that it knows.
    #[must_use]
    pub fn account(&self) -> &ServiceAccount {
        &self.account
    }

    /// Makes a spreadsheet with these sheets, shared with the account.
    pub fn create(&self, id: &str, titles: &[&str]) {
        let sheets = (0..).zip(titles).map(|(index, title)| Sheet::new(index * 1001, title)).collect();
        let spreadsheet = Spreadsheet { sheets, editors: vec![self.account.email.clone()] };
        self.state().spreadsheets.insert(id.to_owned(), spreadsheet);
    }

    /// Shares a spreadsheet with the account, or ends that.
    pub fn share(&self, id: &str, shared: bool) {
        let editors = if shared { vec![self.account.email.clone()] } else { Vec::new() };
        if let Some(spreadsheet) = self.state().spreadsheets.get_mut(id) {
            spreadsheet.editors = editors;
        }
    }

    /// What somebody else writes into a sheet, from its first cell on.
    ///
    /// # Panics
    /// When there is no such sheet, or it does not fit.
    pub fn write(&self, id: &str, title: &str, values: &Value) {
        let mut state = self.state();
        let sheets = &mut state.spreadsheets.get_mut(id).expect("the spreadsheet").sheets;
        let sheet = sheets.iter_mut().find(|sheet| sheet.title == title).expect("the sheet");
        let first = a1::Rect { top: 0, left: 0, bottom: Some(0), right: Some(0), is_cell: true };
        let cells = grid::content(values, false, false).expect("cells");
        sheet.update(first, cells).expect("within the grid");
    }

    /// The cells of a sheet, without the empty ones at the end of each row and of all.
    ///
    /// # Panics
    /// When there is no such sheet.
    #[must_use]
    pub fn cells(&self, id: &str, title: &str) -> Vec<Vec<Cell>> {
        self.state().cells(id, title).expect("the sheet")
    }

    /// The same as values; formulas as texts.
    ///
    /// # Panics
    /// When there is no such sheet.
    #[must_use]
    pub fn values(&self, id: &str, title: &str) -> Vec<Vec<Value>> {
        let value = |cell| match cell {
            Cell::Empty => Value::Null,
            Cell::Value(value) => value,
            Cell::Formula(formula) => formula.into(),
        };
        self.cells(id, title).into_iter().map(|row| row.into_iter().map(value).collect()).collect()
    }

    /// Requests so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Ends every token now.
    pub fn revoke_tokens(&self) {
        self.state().tokens.revoke_all();
    }

    /// The next requests go wrong like this.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.extend(faults);
    }

    /// So many requests of a hundred go wrong in one of these ways.
    pub fn fail_by_chance(&self, percent: u64, of: &[Fault], seed: u64) {
        self.state().chance = (percent > 0).then(|| Chance { percent, of: of.to_vec(), state: seed });
    }
}
