//! The records that a stage has seen last, kept so that a fresh instance can be told of them.
//!
//! A module with a `look_back` export keeps what it must remember (say, the keys already seen) in its own memory
//! and asks to be shown the last records again after a restart. The host keeps the stage's last inputs, as many
//! as its [`LookBack`] says: to feed them to a replaced instance, and to export them ([`crate::Chain::state`]).
//!
//! Records of a batch still under way wait in `pending`: they count for an instance replaced in its middle, and
//! are forgotten when the batch fails, so that it can be applied again without every record looking like a
//! repeat.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use host_batch::Batch;

use crate::wire::{Record, Records};

/// The most bytes of keys and values that one window keeps. A window by age alone has no other bound; a guest
/// that remembers this much is near its own memory limit.
const MAX_BYTES: usize = 128 << 20;

/// How far back a stage wants to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LookBack {
    /// At most so many records; 0 together with an age: as many as are young enough.
    pub last: u64,
    /// Only records younger than this.
    pub age: Option<Duration>,
}

/// The records of a look-back window, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// The records, as the stage saw them.
    pub records: Batch,
    /// Their offsets, one a record.
    pub offsets: Vec<i64>,
}

#[derive(Debug, Clone)]
struct Seen {
    offset: i64,
    timestamp: i64,
    key: Option<Box<[u8]>>,
    value: Box<[u8]>,
}

impl Seen {
    fn bytes(&self) -> usize {
        self.value.len() + self.key.as_ref().map_or(0, |key| key.len())
    }
}

/// The window of one stage.
#[derive(Debug)]
pub(crate) struct History {
    wanted: LookBack,
    kept: VecDeque<Seen>,
    bytes: usize,
    pending: Vec<Seen>,
}

impl History {
    pub(crate) fn new(wanted: LookBack) -> Self {
        Self { wanted, kept: VecDeque::new(), bytes: 0, pending: Vec::new() }
    }

    /// Remembers a record of the batch under way.
    pub(crate) fn push(&mut self, record: &Record<'_>, base_offset: i64, base_timestamp: i64) {
        self.pending.push(Seen {
            offset: base_offset.wrapping_add(record.offset_delta),
            timestamp: base_timestamp.wrapping_add(record.timestamp_delta),
            key: record.key.map(Box::from),
            value: Box::from(record.value),
        });
    }

    /// The batch is through: what it held now belongs to the window.
    pub(crate) fn commit(&mut self) {
        for seen in self.pending.drain(..) {
            self.bytes += seen.bytes();
            self.kept.push_back(seen);
        }
        self.trim(now());
    }

    /// The batch failed: it was never seen.
    pub(crate) fn roll_back(&mut self) {
        self.pending.clear();
    }

    /// Takes over an exported window. Offsets that are missing count on from the last one known.
    pub(crate) fn restore(&mut self, window: &Window) {
        self.kept.clear();
        self.pending.clear();
        self.bytes = 0;
        let mut next = 0;
        for (index, record) in window.records.iter().enumerate() {
            let offset = window.offsets.get(index).copied().unwrap_or(next);
            next = offset.wrapping_add(1);
            let seen = Seen {
                offset,
                timestamp: record.timestamp.unwrap_or_else(now),
                key: record.key.map(Box::from),
                value: Box::from(record.value),
            };
            self.bytes += seen.bytes();
            self.kept.push_back(seen);
        }
        self.trim(now());
    }

    fn trim(&mut self, now: i64) {
        let most = match (self.wanted.last, self.wanted.age) {
            (0, Some(_)) => usize::MAX,
            (last, _) => usize::try_from(last).unwrap_or(usize::MAX),
        };
        let oldest = self.wanted.age.map(|age| now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)));
        while let Some(first) = self.kept.front() {
            let too_old = oldest.is_some_and(|oldest| first.timestamp < oldest);
            if self.kept.len() <= most && !too_old && self.bytes <= MAX_BYTES {
                return;
            }
            self.bytes -= first.bytes();
            self.kept.pop_front();
        }
    }

    /// What a fresh instance must be shown, encoded, with its base offset and base timestamp; `None` when there
    /// is nothing.
    pub(crate) fn replay(&mut self, records: &mut Records) -> Option<(i64, i64)> {
        self.trim(now());
        records.clear();
        let mut seen = self.kept.iter().chain(&self.pending).peekable();
        let (offset, timestamp) = seen.peek().map(|first| (first.offset, first.timestamp))?;
        for seen in seen {
            let record = Record {
                attributes: 0,
                timestamp_delta: seen.timestamp.wrapping_sub(timestamp),
                offset_delta: seen.offset.wrapping_sub(offset),
                key: seen.key.as_deref(),
                value: &seen.value,
                headers: 0,
            };
            records.push(&record, 0);
        }
        Some((offset, timestamp))
    }

    /// The window as it stands.
    pub(crate) fn window(&self) -> Window {
        let mut window = Window::default();
        for seen in &self.kept {
            window.records.push(seen.key.as_deref(), &seen.value, Some(seen.timestamp));
            window.offsets.push(seen.offset);
        }
        window
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
