//! Makes rows of records: JSON arrays of cells, ready to be sent.
//!
//! Two kinds of records: [`addressed`] ones say themselves where their rows go, [`mapped`] ones are laid out
//! over the columns of one sheet. Everything that Google would refuse a whole request for is found here and
//! charged to its record: cells that are no single values, texts that are too long.

pub mod addressed;
mod cell;
pub mod mapped;
mod path;

pub use path::Path;

use connector_sdk::Delivery;
use connector_sdk::Failure;

/// Rows that are sent together, as far as one request carries: those of one record stay together.
#[derive(Debug, Default)]
pub struct Rows {
    /// The rows as JSON, with commas in between.
    pub text: Vec<u8>,
    /// In the order of the text.
    pub parts: Vec<Part>,
}

/// The rows of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The record's index in the delivery.
    pub record: usize,
    /// Where its rows end in the text.
    pub end: usize,
}

impl Rows {
    /// Adds the rows that `write` appends, as those of `record`; nothing when it appends nothing.
    pub fn push(&mut self, record: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.text.len();
        if before > 0 {
            self.text.push(b',');
        }
        let start = self.text.len();
        write(&mut self.text);
        if self.text.len() == start {
            self.text.truncate(before);
        } else {
            self.parts.push(Part { record, end: self.text.len() });
        }
    }

    /// The rows of these parts, as JSON with commas in between.
    pub fn slice(&self, parts: std::ops::Range<usize>) -> &[u8] {
        if parts.is_empty() {
            return &[];
        }
        // After each part but the last one there is a comma.
        let start = parts.start.checked_sub(1).map_or(0, |before| self.parts[before].end + 1);
        &self.text[start..self.parts[parts.end - 1].end]
    }
}

/// A record that can't become rows, and why, in the words of its reader.
pub(crate) fn unusable(index: usize, why: &str) -> Failure {
    Failure::new(index, connector_sdk::Error::data(why))
}

/// The name of a record's place, the same after every restart.
pub(crate) fn position(delivery: &Delivery, offset: i64, part: u32) -> String {
    format!("{}/{}/{offset}/{part}", delivery.topic, delivery.partition)
}
