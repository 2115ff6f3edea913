//! Gets rows out in as few requests as possible, and keeps the books on what became of each record.
//!
//! Google applies a request whole or not at all. So when it refuses the content of one, the request is cut in
//! halves until the row that it does not want stands alone: that record is lost, the others are written. All
//! other failures end the sending; what was not written by then is handed back.

use std::collections::VecDeque;
use std::ops::Range;

use connector_sdk::{Error, Failure, Result, metrics};

use crate::extract::Rows;
use crate::protocol::Trouble;

/// The most bytes of rows in one request: Google recommends no more than 2 MB.
const MAX_BYTES: usize = 1_900_000;

/// So many rows that are refused one after the other, one by one, show that it is not the rows.
const ALL_REFUSED: usize = 16;

/// What became of the records of a delivery.
#[derive(Debug)]
pub struct Books {
    settled: Vec<bool>,
    failures: Vec<Failure>,
    delivered: bool,
}

impl Books {
    /// Of a delivery of so many records, nothing is known.
    pub fn new(records: usize) -> Self {
        Self { settled: vec![false; records], failures: Vec::new(), delivered: false }
    }

    /// This record is at its destination.
    pub fn deliver(&mut self, record: usize) {
        self.settled[record] = true;
        self.delivered = true;
    }

    /// This record is not, and never will be.
    pub fn fail(&mut self, failure: Failure) {
        if !std::mem::replace(&mut self.settled[failure.index], true) {
            self.failures.push(failure);
        }
    }

    /// The answer to the host. Without a failure at the end, every record that nothing is noted of is
    /// delivered; with one, they are all to be handed in again.
    ///
    /// # Errors
    /// That failure, when there is nothing to acknowledge.
    pub fn close(mut self, end: Result<()>) -> Result<Vec<Failure>> {
        if let Err(error) = end {
            if !self.delivered {
                return Err(error);
            }
            // Whatever it is: first the host must learn of what is delivered, or that would be repeated. What
            // does not pass comes up again with the rest, and ends the run then.
            let error = if error.is_retryable() { error } else { Error::unreachable(error.message()) };
            let open = self.settled.iter().enumerate().filter(|(_, settled)| !**settled);
            self.failures.extend(open.map(|(index, _)| Failure::new(index, error.clone())));
        }
        self.failures.sort_by_key(|failure| failure.index);
        Ok(self.failures)
    }
}

/// What one batch of rows needs to be sent, and what is done about how it went.
pub trait Outlet {
    /// Sends these parts in one request.
    fn send(&mut self, rows: &Rows, parts: Range<usize>) -> Result<(), Trouble>;

    /// The records that a part stands for.
    fn records(&self, part: usize, rows: &Rows) -> Vec<usize> {
        vec![rows.parts[part].record]
    }

    /// What a refusal of this kind means: an error that ends the sending, or the reason why no row of these
    /// can ever be written.
    fn end(&self, trouble: Trouble) -> Result<String>;
}

/// Sends all rows, a request for each 2 MB.
///
/// # Errors
/// What ended it; what has become of each record until then is in the books.
pub fn send_all(outlet: &mut impl Outlet, rows: &Rows, books: &mut Books) -> Result<()> {
    let mut open: VecDeque<Range<usize>> = requests(rows).into();
    let mut refused = 0;
    while let Some(parts) = open.pop_front() {
        let message = match outlet.send(rows, parts.clone()) {
            Ok(()) => {
                refused = 0;
                let records = parts.flat_map(|part| outlet.records(part, rows));
                let written = records.map(|record| books.deliver(record)).count();
                metrics::counter("rows_total", written as u64);
                continue;
            }
            Err(Trouble::Refused(message)) => message,
            Err(other) => {
                let reason = outlet.end(other)?;
                open.push_front(parts);
                fail(outlet, rows, open, &reason, books);
                return Ok(());
            }
        };
        if parts.len() > 1 {
            let middle = parts.start + parts.len() / 2;
            open.push_front(middle..parts.end);
            open.push_front(parts.start..middle);
            continue;
        }
        refused += 1;
        let last = open.is_empty();
        if refused >= ALL_REFUSED && !last {
            let reason = outlet.end(Trouble::Refused(format!("{refused} rows in a row, one by one: {message}")))?;
            open.push_front(parts);
            fail(outlet, rows, open, &reason, books);
            return Ok(());
        }
        fail(outlet, rows, [parts], &format!("Google refuses it: {message}"), books);
    }
    Ok(())
}

fn fail(
    outlet: &impl Outlet,
    rows: &Rows,
    parts: impl IntoIterator<Item = Range<usize>>,
    reason: &str,
    books: &mut Books,
) {
    for record in parts.into_iter().flatten().flat_map(|part| outlet.records(part, rows)) {
        books.fail(Failure::new(record, Error::data(reason)));
    }
}

/// Cuts rows into requests.
fn requests(rows: &Rows) -> Vec<Range<usize>> {
    let mut requests = Vec::new();
    let (mut first, mut start) = (0, 0);
    for (index, part) in rows.parts.iter().enumerate() {
        if part.end - start > MAX_BYTES && index > first {
            requests.push(first..index);
            (first, start) = (index, rows.parts[index - 1].end + 1);
        }
    }
    if first < rows.parts.len() {
        requests.push(first..rows.parts.len());
    }
    requests
}
