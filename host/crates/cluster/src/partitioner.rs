//! Which partition a record goes to.
//!
//! A key always leads to the same partition, and to the same one as with the published client: SipHash 2-4
//! with no seed, modulo the number of partitions. Records without a key go round the partitions that can be
//! written, in runs rather than one by one, so that each partition gets few large batches.

use std::hash::{Hash, Hasher};

use siphasher::sip::SipHasher;

/// Deals out records; remembers whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Partitioner {
    turn: usize,
}

/// One batch's way through a [`Partitioner`].
pub(crate) struct Deal<'a> {
    turn: &'a mut usize,
    partitions: u32,
    writable: &'a [u32],
    run: usize,
    left: usize,
}

impl Partitioner {
    /// Prepares for a batch of `records` to a topic of `partitions` partitions, of which `writable` can be
    /// written at the moment as far as is known.
    pub(crate) fn deal<'a>(&'a mut self, records: usize, partitions: u32, writable: &'a [u32]) -> Deal<'a> {
        let ways = if writable.is_empty() { partitions as usize } else { writable.len() };
        let run = records.div_ceil(ways.max(1)).max(1);
        Deal { turn: &mut self.turn, partitions, writable, run, left: run }
    }
}

impl Deal<'_> {
    /// The next record's partition.
    pub(crate) fn partition(&mut self, key: Option<&[u8]>) -> u32 {
        match key {
            Some(key) => of_key(key, self.partitions),
            None => {
                if self.left == 0 {
                    *self.turn = self.turn.wrapping_add(1);
                    self.left = self.run;
                }
                self.left -= 1;
                match self.writable {
                    [] => (*self.turn % self.partitions.max(1) as usize) as u32,
                    writable => writable[*self.turn % writable.len()],
                }
            }
        }
    }
}

impl Drop for Deal<'_> {
    fn drop(&mut self) {
        *self.turn = self.turn.wrapping_add(1);
    }
}

fn of_key(key: &[u8], partitions: u32) -> u32 {
    let mut hasher = SipHasher::new();
    key.hash(&mut hasher);
    (hasher.finish() % u64::from(partitions.max(1))) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_without_a_key_are_spread_evenly_in_runs() {
        let mut partitioner = Partitioner::default();
        let mut counts = [0; 3];
        for records in [300, 1, 1, 1, 7, 2] {
            let mut deal = partitioner.deal(records, 3, &[]);
            (0..records).for_each(|_| counts[deal.partition(None) as usize] += 1);
        }
        assert_eq!(counts.iter().sum::<usize>(), 312);
        assert!(counts.iter().all(|&count| (100..=108).contains(&count)), "{counts:?}");
    }

    #[test]
    fn a_key_always_leads_to_the_same_partition() {
        // That these are the published client's is tested against it, with the broker.
        let mut partitioner = Partitioner::default();
        let mut deal = partitioner.deal(10, 3, &[1]);
        for key in [&b"a"[..], b"b", b"", b"a rather longer key", b"\xff\x00"] {
            let first = deal.partition(Some(key));
            assert!(first < 3);
            assert_eq!(deal.partition(Some(key)), first);
        }
    }

    #[test]
    fn partitions_that_cannot_be_written_get_nothing_without_a_key() {
        let mut partitioner = Partitioner::default();
        let mut deal = partitioner.deal(100, 5, &[1, 4]);
        assert!((0..100).all(|_| [1, 4].contains(&deal.partition(None))));
    }
}
