//! What has been seen: as many hashes as there is room for, oldest first.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// What makes a record the same as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity(u64, u64);

impl Identity {
    /// The identity of these parts, in this order.
    pub(crate) fn of<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let mut hasher = SipHasher13::new();
        for part in parts {
            // the length keeps `ab`, `c` from being `a`, `bc`
            hasher.write_u64(part.len() as u64);
            hasher.write(part);
        }
        let hash = hasher.finish128();
        Self(hash.h1, hash.h2)
    }
}

/// Takes what is a hash already for one.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 ^= number;
    }
}

/// The identities of the last records that were the first of their kind.
#[derive(Debug)]
pub(crate) struct Seen {
    count: usize,
    /// milliseconds
    age: Option<i64>,
    newest: i64,
    known: HashSet<Identity, BuildHasherDefault<AsItIs>>,
    order: VecDeque<(Identity, i64)>,
}

impl Seen {
    /// Nothing yet; at most `count`, and none older than `age` milliseconds.
    pub(crate) fn new(count: usize, age: Option<i64>) -> Self {
        Self { count, age, newest: i64::MIN, known: HashSet::default(), order: VecDeque::new() }
    }

    /// Remembers it, and says whether it is new.
    pub(crate) fn insert(&mut self, identity: Identity, timestamp: i64) -> bool {
        self.newest = self.newest.max(timestamp);
        if let Some(age) = self.age {
            let oldest = self.newest.saturating_sub(age);
            while self.order.front().is_some_and(|(_, seen)| *seen < oldest) {
                self.forget_oldest();
            }
        }
        if !self.known.insert(identity) {
            return false;
        }
        self.order.push_back((identity, timestamp));
        if self.order.len() > self.count {
            self.forget_oldest();
        }
        true
    }

    fn forget_oldest(&mut self) {
        if let Some((identity, _)) = self.order.pop_front() {
            self.known.remove(&identity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let of = |parts: &[&str]| Identity::of(parts.iter().map(|part| part.as_bytes()));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
        assert_eq!(of(&["a"]), of(&["a"]));
    }

    #[test]
    fn memory_is_bounded() {
        let mut seen = Seen::new(3, None);
        for number in 0..1_000_u64 {
            assert!(seen.insert(Identity(number, 0), 0));
        }
        assert_eq!((seen.known.len(), seen.order.len()), (3, 3));
        assert!(!seen.insert(Identity(999, 0), 0));
        assert!(seen.insert(Identity(996, 0), 0));
    }

    #[test]
    fn a_late_record_makes_nothing_younger() {
        let mut seen = Seen::new(10, Some(100));
        assert!(seen.insert(Identity(1, 0), 1_000));
        assert!(seen.insert(Identity(2, 0), 500), "late, but new");
        assert!(!seen.insert(Identity(1, 0), 1_050));
        assert!(seen.insert(Identity(1, 0), 1_101), "too long ago");
    }
}
