//! Records on their way to the host: pushed one by one, kept as the contract's columns, so that a batch
//! crosses the sandbox as a handful of lists however many records it has.

/// The entry in the column of key ends that says "this record has no key".
pub const NO_KEY: u32 = u32::MAX;

/// Records in order, as columns.
///
/// ```
/// use connector_sdk::Batch;
/// let mut batch = Batch::default();
/// batch.push(b"a value");
/// batch.push_record(Some(b"key"), b"another", Some(1_700_000_000_000));
/// batch.push_with(|value| value.extend_from_slice(b"written in place"));
/// assert_eq!(batch.len(), 3);
/// assert_eq!(batch.records()[1].key.as_deref(), Some(&b"key"[..]));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub(crate) values: Vec<u8>,
    pub(crate) value_ends: Vec<u32>,
    pub(crate) keys: Vec<u8>,
    pub(crate) key_ends: Vec<u32>,
    pub(crate) timestamps: Vec<i64>,
}

/// One record, owned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The key; `None` is not the same as empty.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Vec<u8>,
    /// When it came to be, in milliseconds since 1970; `None` lets the host stamp it.
    pub timestamp: Option<i64>,
}

/// One record, borrowed from a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// The key; `None` is not the same as empty.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: &'a [u8],
    /// When it came to be, in milliseconds since 1970, when that is known.
    pub timestamp: Option<i64>,
}

impl RecordRef<'_> {
    /// A copy that stands on its own.
    #[must_use]
    pub fn to_record(self) -> Record {
        Record { key: self.key.map(<[u8]>::to_vec), value: self.value.to_vec(), timestamp: self.timestamp }
    }
}

impl Batch {
    /// An empty batch with room for `records` records of `bytes` bytes of values altogether.
    #[must_use]
    pub fn with_capacity(records: usize, bytes: usize) -> Self {
        Self { values: Vec::with_capacity(bytes), value_ends: Vec::with_capacity(records), ..Self::default() }
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

    /// Adds a record without key and timestamp.
    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        self.values.extend_from_slice(value);
        self.close(None, None);
    }

    /// Adds a record. A timestamp is in milliseconds since 1970; without one the host stamps the record.
    #[inline]
    pub fn push_record(&mut self, key: Option<&[u8]>, value: &[u8], timestamp: Option<i64>) {
        self.values.extend_from_slice(value);
        self.close(key, timestamp);
    }

    /// Adds a record whose value `write` appends to the buffer it is given. The buffer holds the values
    /// before it too: append, and touch nothing else.
    #[inline]
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.push_keyed_with(None, write);
    }

    /// As [`Batch::push_with`], with a key.
    #[inline]
    pub fn push_keyed_with(&mut self, key: Option<&[u8]>, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.values.len();
        write(&mut self.values);
        debug_assert!(self.values.len() >= before, "the writer removed earlier records' bytes");
        self.close(key, None);
    }

    /// The records in order.
    #[must_use]
    pub fn iter(&self) -> Records<'_> {
        Records { batch: self, index: 0, value_start: 0, key_start: 0 }
    }

    /// All records, copied out; for tests and small batches.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.iter().map(RecordRef::to_record).collect()
    }

    /// Ends the record whose value was just written.
    #[inline]
    fn close(&mut self, key: Option<&[u8]>, timestamp: Option<i64>) {
        let index = self.value_ends.len();
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
        match timestamp.filter(|&at| at >= 0) {
            Some(at) => {
                self.timestamps.resize(index, -1);
                self.timestamps.push(at);
            }
            None if self.timestamps.is_empty() => {}
            None => self.timestamps.push(-1),
        }
    }
}

/// The records of a batch in order; see [`Batch::iter`].
#[derive(Debug, Clone)]
pub struct Records<'a> {
    batch: &'a Batch,
    index: usize,
    value_start: usize,
    key_start: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = RecordRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<RecordRef<'a>> {
        let value_end = *self.batch.value_ends.get(self.index)? as usize;
        let value = &self.batch.values[self.value_start..value_end];
        self.value_start = value_end;
        let key = match self.batch.key_ends.get(self.index) {
            None | Some(&NO_KEY) => None,
            Some(&end) => {
                let key = &self.batch.keys[self.key_start..end as usize];
                self.key_start = end as usize;
                Some(key)
            }
        };
        let timestamp = self.batch.timestamps.get(self.index).copied().filter(|&at| at >= 0);
        self.index += 1;
        Some(RecordRef { key, value, timestamp })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batch.len() - self.index;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Records<'_> {}

impl<'a> IntoIterator for &'a Batch {
    type Item = RecordRef<'a>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}

impl<V: AsRef<[u8]>> FromIterator<V> for Batch {
    fn from_iter<T: IntoIterator<Item = V>>(values: T) -> Self {
        let mut batch = Self::default();
        for value in values {
            batch.push(value.as_ref());
        }
        batch
    }
}

#[inline]
fn column_end(length: usize) -> u32 {
    // The last value is taken by `NO_KEY`, and a component's memory ends before it is reached.
    u32::try_from(length)
        .ok()
        .filter(|&end| end != NO_KEY)
        .expect("a column is shorter than 4 GiB, the most memory that a component has")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_appear_when_first_needed() {
        let mut batch = Batch::default();
        batch.push(b"one");
        assert!(batch.key_ends.is_empty() && batch.timestamps.is_empty());
        batch.push_record(Some(b""), b"", Some(7));
        batch.push(b"three");
        batch.push_keyed_with(Some(b"k"), |value| value.push(b'4'));
        assert_eq!(batch.value_ends, [3, 3, 8, 9]);
        assert_eq!(batch.key_ends, [NO_KEY, 0, NO_KEY, 1]);
        assert_eq!(batch.timestamps, [-1, 7, -1, -1]);
        assert_eq!(batch.byte_len(), 10);
    }

    #[test]
    fn records_come_back_as_pushed() {
        let pushed = [
            Record { key: None, value: b"a".to_vec(), timestamp: None },
            Record { key: Some(Vec::new()), value: Vec::new(), timestamp: Some(0) },
            Record { key: Some(b"key".to_vec()), value: b"bc".to_vec(), timestamp: None },
        ];
        let mut batch = Batch::default();
        for record in &pushed {
            batch.push_record(record.key.as_deref(), &record.value, record.timestamp);
        }
        assert_eq!(batch.records(), pushed);
    }
}
