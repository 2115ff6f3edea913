//! A batch of records as columns: the one shape records have between all stages.
//!
//! All values lie end to end in one buffer, and a second column says where each ends; keys the same way.
//! The layout is the contract's `batch` (see `wit/types.wit`), so a batch enters and leaves a sandbox as
//! whole columns, never record by record. Whoever builds one from foreign columns goes through
//! [`Batch::from_columns`], which checks them: every other method may then rely on the invariants
//!
//! * `value_ends` never falls and ends at `values.len()`;
//! * `key_ends` is empty or as long as `value_ends`; entries other than [`NO_KEY`] never fall and the last
//!   of them is `keys.len()`;
//! * `timestamps` is empty or as long as `value_ends`.

use std::fmt;
use std::ops::Range;

/// The entry in the column of key ends that says "this record has no key".
pub const NO_KEY: u32 = u32::MAX;

/// The most bytes that one column may hold: offsets into it are `u32`, and the last value is taken.
pub const MAX_COLUMN_BYTES: usize = (u32::MAX - 1) as usize;

/// The columns do not make a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// An end lies before the one in front of it, or behind the data.
    #[error("{column} of record {record} ends at byte {end}, outside of {previous}..={length}")]
    End {
        /// Which column: "value" or "key".
        column: &'static str,
        /// The record's index.
        record: usize,
        /// Where it claims to end.
        end: u32,
        /// Where the one in front of it ended.
        previous: u32,
        /// How long the data is.
        length: usize,
    },
    /// Bytes behind the last record's end.
    #[error("{extra} bytes of {column} data belong to no record")]
    Rest {
        /// Which column: "value" or "key".
        column: &'static str,
        /// How many bytes are left over.
        extra: usize,
    },
    /// A column has another number of entries than there are records.
    #[error("the column of {column} has {entries} entries for {records} records")]
    Length {
        /// Which column: "key ends" or "timestamps".
        column: &'static str,
        /// How many entries it has.
        entries: usize,
        /// How many records there are.
        records: usize,
    },
    /// A column is longer than 4 GiB.
    #[error("a batch can't hold more than 4 GiB of {column} data")]
    TooLarge {
        /// Which column: "value" or "key".
        column: &'static str,
    },
}

/// Records as columns. See the crate's documentation for the layout.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Batch {
    values: Vec<u8>,
    value_ends: Vec<u32>,
    keys: Vec<u8>,
    key_ends: Vec<u32>,
    timestamps: Vec<i64>,
}

/// The five columns of a batch, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// All values, end to end.
    pub values: Vec<u8>,
    /// Where each value ends.
    pub value_ends: Vec<u32>,
    /// All keys, end to end.
    pub keys: Vec<u8>,
    /// Where each key ends, [`NO_KEY`] for none; empty when no record has one.
    pub key_ends: Vec<u32>,
    /// Unix milliseconds, negative for none; empty when no record has one.
    pub timestamps: Vec<i64>,
}

/// One record of a batch, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// The key; `None` is not the same as empty.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: &'a [u8],
    /// Unix milliseconds, when known.
    pub timestamp: Option<i64>,
}

impl Batch {
    /// An empty batch with room for `records` records of `bytes` bytes of values altogether.
    #[must_use]
    pub fn with_capacity(records: usize, bytes: usize) -> Self {
        Self { values: Vec::with_capacity(bytes), value_ends: Vec::with_capacity(records), ..Self::default() }
    }

    /// Checks foreign columns and makes a batch of them, without copying.
    ///
    /// # Errors
    /// When the columns break one of the invariants at the top of this crate.
    ///
    /// ```
    /// use host_batch::{Batch, Columns};
    /// let columns = Columns { values: b"ab".to_vec(), value_ends: vec![1, 2], ..Columns::default() };
    /// assert_eq!(Batch::from_columns(columns)?.value(1), b"b");
    /// # Ok::<(), host_batch::BatchError>(())
    /// ```
    pub fn from_columns(columns: Columns) -> Result<Self, BatchError> {
        let Columns { values, value_ends, keys, mut key_ends, mut timestamps } = columns;
        check_ends("value", &value_ends, values.len(), false)?;
        let records = value_ends.len();
        for (column, entries) in [("key ends", key_ends.len()), ("timestamps", timestamps.len())] {
            if entries != 0 && entries != records {
                return Err(BatchError::Length { column, entries, records });
            }
        }
        check_ends("key", &key_ends, keys.len(), true)?;
        if key_ends.iter().all(|&end| end == NO_KEY) {
            key_ends = Vec::new();
        }
        if timestamps.iter().all(|&t| t < 0) {
            timestamps = Vec::new();
        }
        Ok(Self { values, value_ends, keys, key_ends, timestamps })
    }

    /// The columns, without copying.
    #[must_use]
    pub fn into_columns(self) -> Columns {
        let Self { values, value_ends, keys, key_ends, timestamps } = self;
        Columns { values, value_ends, keys, key_ends, timestamps }
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.value_ends.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.value_ends.is_empty()
    }

    /// Bytes of keys and values together.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.values.len() + self.keys.len()
    }

    /// The value of record `index`.
    ///
    /// # Panics
    /// When there is no such record.
    #[must_use]
    pub fn value(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.value_ends[index - 1] };
        &self.values[start as usize..self.value_ends[index] as usize]
    }

    /// The key of record `index`, if it has one.
    ///
    /// # Panics
    /// When there is no such record.
    #[must_use]
    pub fn key(&self, index: usize) -> Option<&[u8]> {
        assert!(index < self.len(), "record {index} of {}", self.len());
        let end = *self.key_ends.get(index)?;
        if end == NO_KEY {
            return None;
        }
        let start = self.key_ends[..index].iter().rev().find(|&&e| e != NO_KEY).copied().unwrap_or(0);
        Some(&self.keys[start as usize..end as usize])
    }

    /// When record `index` came to be, in Unix milliseconds, if that is known.
    ///
    /// # Panics
    /// When there is no such record.
    #[must_use]
    pub fn timestamp(&self, index: usize) -> Option<i64> {
        assert!(index < self.len(), "record {index} of {}", self.len());
        self.timestamps.get(index).copied().filter(|&t| t >= 0)
    }

    /// All records in order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter { batch: self, next: 0, value_start: 0, key_start: 0 }
    }

    /// Adds one record at the end.
    ///
    /// # Panics
    /// When a column would grow past 4 GiB; callers bound their batches long before.
    ///
    /// ```
    /// let mut batch = host_batch::Batch::default();
    /// batch.push(None, b"one", None);
    /// batch.push(Some(b""), b"two", Some(1_700_000_000_000));
    /// assert_eq!(batch.key(0), None);
    /// assert_eq!(batch.key(1), Some(&b""[..]));
    /// ```
    pub fn push(&mut self, key: Option<&[u8]>, value: &[u8], timestamp: Option<i64>) {
        let index = self.len();
        self.values.extend_from_slice(value);
        self.value_ends.push(column_end(self.values.len()));
        match key {
            Some(key) => {
                self.key_ends.resize(index, NO_KEY);
                self.keys.extend_from_slice(key);
                self.key_ends.push(column_end(self.keys.len()));
            }
            None if self.key_ends.is_empty() => {}
            None => self.key_ends.push(NO_KEY),
        }
        match timestamp.filter(|&t| t >= 0) {
            Some(timestamp) => {
                self.timestamps.resize(index, -1);
                self.timestamps.push(timestamp);
            }
            None if self.timestamps.is_empty() => {}
            None => self.timestamps.push(-1),
        }
    }

    /// Adds all records of `other` at the end, column by column.
    ///
    /// # Panics
    /// When a column would grow past 4 GiB.
    pub fn append(&mut self, other: &Self) {
        let (records, added) = (self.len(), other.len());
        let value_base = column_end(self.values.len());
        let key_base = column_end(self.keys.len());
        self.values.extend_from_slice(&other.values);
        column_end(self.values.len());
        self.value_ends.extend(other.value_ends.iter().map(|&end| end + value_base));
        if !(self.key_ends.is_empty() && other.key_ends.is_empty()) {
            self.key_ends.resize(records, NO_KEY);
            self.keys.extend_from_slice(&other.keys);
            column_end(self.keys.len());
            let shift = |&end: &u32| if end == NO_KEY { NO_KEY } else { end + key_base };
            self.key_ends.extend(other.key_ends.iter().map(shift));
            self.key_ends.resize(records + added, NO_KEY);
        }
        if !(self.timestamps.is_empty() && other.timestamps.is_empty()) {
            self.timestamps.resize(records, -1);
            self.timestamps.extend_from_slice(&other.timestamps);
            self.timestamps.resize(records + added, -1);
        }
    }

    /// The records of `range` as a batch of their own.
    ///
    /// # Panics
    /// When the range reaches beyond the batch.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let mut out = Self::with_capacity(range.len(), 0);
        for record in self.iter().skip(range.start).take(range.len()) {
            out.push(record.key, record.value, record.timestamp);
        }
        assert_eq!(out.len(), range.len(), "range beyond the batch");
        out
    }

    /// The records for which `keep` says so, as a batch of their own.
    #[must_use]
    pub fn select(&self, mut keep: impl FnMut(usize) -> bool) -> Self {
        let mut out = Self::default();
        for (index, record) in self.iter().enumerate() {
            if keep(index) {
                out.push(record.key, record.value, record.timestamp);
            }
        }
        out
    }

    /// Gives every record without a timestamp this one, in Unix milliseconds.
    pub fn stamp(&mut self, now: i64) {
        self.timestamps.resize(self.len(), -1);
        for timestamp in self.timestamps.iter_mut().filter(|t| **t < 0) {
            *timestamp = now;
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} records, {} bytes)", self.len(), self.byte_len())
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = RecordRef<'a>;
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(Option<K>, V)> for Batch {
    fn from_iter<T: IntoIterator<Item = (Option<K>, V)>>(records: T) -> Self {
        let mut batch = Self::default();
        for (key, value) in records {
            batch.push(key.as_ref().map(AsRef::as_ref), value.as_ref(), None);
        }
        batch
    }
}

/// Walks the records of a batch in order; constant work a record.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    batch: &'a Batch,
    next: usize,
    value_start: usize,
    key_start: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = RecordRef<'a>;

    fn next(&mut self) -> Option<RecordRef<'a>> {
        let index = self.next;
        let end = *self.batch.value_ends.get(index)? as usize;
        let value = &self.batch.values[self.value_start..end];
        self.value_start = end;
        self.next += 1;
        let key = match self.batch.key_ends.get(index) {
            None | Some(&NO_KEY) => None,
            Some(&end) => {
                let key = &self.batch.keys[self.key_start..end as usize];
                self.key_start = end as usize;
                Some(key)
            }
        };
        let timestamp = self.batch.timestamps.get(index).copied().filter(|&t| t >= 0);
        Some(RecordRef { key, value, timestamp })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batch.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

fn column_end(length: usize) -> u32 {
    assert!(length <= MAX_COLUMN_BYTES, "a batch column of {length} bytes");
    length as u32
}

fn check_ends(column: &'static str, ends: &[u32], length: usize, optional: bool) -> Result<(), BatchError> {
    if length > MAX_COLUMN_BYTES {
        return Err(BatchError::TooLarge { column });
    }
    let mut previous = 0;
    for (record, &end) in ends.iter().enumerate() {
        if optional && end == NO_KEY {
            continue;
        }
        if end < previous || end as usize > length {
            return Err(BatchError::End { column, record, end, previous, length });
        }
        previous = end;
    }
    match length - previous as usize {
        0 => Ok(()),
        extra => Err(BatchError::Rest { column, extra }),
    }
}

#[cfg(test)]
mod tests;
