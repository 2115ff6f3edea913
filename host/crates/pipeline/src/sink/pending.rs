//! What a lane has shaped and not yet delivered, and how it is cut into deliveries.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use host_batch::Batch;

use crate::dead_letter::Position;
use crate::ends::{Applied, Delivery, Refusal};
use crate::policy::{Content, Lost};

/// What one fetch became in the stages.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) partition: u32,
    /// The offset of the first record that was fetched.
    pub(super) first_offset: i64,
    /// Where the partition goes on behind it.
    pub(super) next_offset: i64,
    pub(super) applied: Applied,
    /// The records as they were fetched; nothing where there are no stages to change them.
    pub(super) original: Option<Arc<Batch>>,
    /// The stages' state behind it, when it may be kept.
    pub(super) state: Option<Vec<u8>>,
}

/// The pieces of one partition, in order.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pieces: VecDeque<Piece>,
    /// How many records of the first piece were taken, and how many of its refusals.
    taken: usize,
    refused: usize,
    records: usize,
    bytes: usize,
}

/// A part of what is pending, to be dealt with as a whole.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) delivery: Delivery,
    /// For each record of the delivery, where to find it as it was fetched.
    originals: Vec<(i64, Arc<Batch>)>,
    /// What the stages refused, by rising offset.
    pub(super) lost: Vec<Lost>,
    /// Where the partition goes on behind it.
    pub(super) next_offset: i64,
    /// Where the stages had the state that may be kept, and that state.
    pub(super) state: Option<(i64, Vec<u8>)>,
}

impl Pending {
    pub(super) fn push(&mut self, piece: Piece) {
        self.records += piece.applied.batch.len();
        self.bytes += piece.applied.batch.byte_len();
        self.pieces.push_back(piece);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether there is enough for a delivery that needs no more.
    pub(super) fn is_full(&self, max_records: usize, max_bytes: usize) -> bool {
        self.records >= max_records || self.bytes >= max_bytes
    }

    /// The next delivery: as many records as fit, at least one where there is any.
    pub(super) fn take(&mut self, topic: &str, max_records: usize, max_bytes: usize) -> Part {
        let mut part = Part::default();
        topic.clone_into(&mut part.delivery.topic);
        while let Some(piece) = self.pieces.front() {
            let all = piece.applied.batch.len();
            let room = max_records.saturating_sub(part.delivery.batch.len());
            let bytes = max_bytes.saturating_sub(part.delivery.batch.byte_len());
            let end = fitting(&piece.applied.batch, self.taken, room, bytes, part.delivery.batch.is_empty());
            if end == all {
                let Some(piece) = self.pieces.pop_front() else { break };
                part.finish(topic, piece, self.taken, self.refused);
                (self.taken, self.refused) = (0, 0);
                continue;
            }
            if end > self.taken {
                self.refused = part.begin(topic, piece, self.taken..end, self.refused);
                self.taken = end;
            }
            break;
        }
        self.records -= part.delivery.batch.len();
        self.bytes -= part.delivery.batch.byte_len();
        part
    }
}

/// Where the records from `start` on end that fit; `one` lets one pass that is too large on its own.
fn fitting(batch: &Batch, start: usize, room: usize, bytes: usize, one: bool) -> usize {
    if start == 0 && batch.len() <= room && batch.byte_len() <= bytes {
        return batch.len();
    }
    let mut left = bytes;
    let mut end = start;
    while end < batch.len() && end - start < room {
        let size = batch.value(end).len() + batch.key(end).map_or(0, <[u8]>::len);
        if size > left && !(one && end == start) {
            break;
        }
        left = left.saturating_sub(size);
        end += 1;
    }
    end
}

impl Part {
    /// Adds some records of a piece of which more are to come. What they came from is only dealt with as far
    /// as none of the records that stay came from it too. Returns how many refusals are dealt with.
    fn begin(&mut self, topic: &str, piece: &Piece, records: Range<usize>, refused: usize) -> usize {
        let Applied { batch, sources, refusals } = &piece.applied;
        let next_source = sources[records.end];
        let behind = refusals.partition_point(|refusal| refusal.index < next_source);
        self.refuse(topic, piece, refusals.get(refused..behind).unwrap_or_default());
        self.offsets(piece, records.clone());
        self.delivery.batch.append(&batch.slice(records));
        self.next_offset = piece.first_offset + i64::from(next_source);
        behind.max(refused)
    }

    /// Adds all that is left of a piece.
    fn finish(&mut self, topic: &str, mut piece: Piece, taken: usize, refused: usize) {
        let refusals = std::mem::take(&mut piece.applied.refusals);
        self.refuse(topic, &piece, &refusals[refused..]);
        self.offsets(&piece, taken..piece.applied.sources.len());
        let batch = piece.applied.batch;
        if taken == 0 && self.delivery.batch.is_empty() {
            self.delivery.batch = batch;
        } else {
            self.delivery.batch.append(&batch.slice(taken..batch.len()));
        }
        self.next_offset = piece.next_offset;
        if let Some(state) = piece.state {
            self.state = Some((piece.next_offset, state));
        }
    }

    fn offsets(&mut self, piece: &Piece, records: Range<usize>) {
        let Delivery { partition, offsets, parts, .. } = &mut self.delivery;
        *partition = piece.partition;
        number(&piece.applied.sources, records.clone(), offsets.len(), parts);
        let sources = &piece.applied.sources[records];
        offsets.extend(sources.iter().map(|&source| piece.first_offset + i64::from(source)));
        if let Some(original) = &piece.original {
            self.originals.push((piece.first_offset, Arc::clone(original)));
        }
    }

    fn refuse(&mut self, topic: &str, piece: &Piece, refusals: &[Refusal]) {
        for Refusal { index, stage, reason, key, value } in refusals {
            let offset = piece.first_offset + i64::from(*index);
            let seen = Content { key: key.clone(), value: value.clone() };
            let original = piece.original.as_ref().map(|all| Content::of(all, *index as usize));
            let record = original.unwrap_or_else(|| seen.clone());
            let shaped = Some(seen).filter(|seen| *seen != record);
            let position = position(topic, piece.partition, offset);
            let (stage, reason) = (stage.clone(), reason.clone());
            self.lost.push(Lost { stage, reason, attempts: 1, position, record: Some(record), shaped });
        }
    }

    /// Leaves out everything from `offset` on.
    pub(super) fn cut_at(&mut self, offset: i64) {
        let records = self.delivery.offsets.partition_point(|&at| at < offset);
        self.delivery.batch = self.delivery.batch.slice(0..records);
        self.delivery.offsets.truncate(records);
        self.delivery.parts.truncate(records);
        self.lost.retain(|lost| lost.position.offset.is_some_and(|at| at < offset));
        self.next_offset = self.next_offset.min(offset);
        self.state = self.state.take().filter(|(at, _)| *at <= offset);
    }

    /// A record of a delivery cut from this part that is given up.
    pub(super) fn lost(&self, delivery: &Delivery, index: usize, stage: &str, reason: &str, attempts: u32) -> Lost {
        let offset = delivery.offsets[index];
        let seen = Content::of(&delivery.batch, index);
        let holder = self.originals.iter().rev().find(|(first, _)| *first <= offset);
        let record = match holder {
            Some((first, all)) => Content::of(all, (offset - first) as usize),
            None => seen.clone(),
        };
        let shaped = Some(seen).filter(|seen| *seen != record);
        let position = position(&delivery.topic, delivery.partition, offset);
        let (stage, reason) = (stage.to_owned(), reason.to_owned());
        Lost { stage, reason, attempts, position, record: Some(record), shaped }
    }
}

fn position(topic: &str, partition: u32, offset: i64) -> Position {
    Position { topic: topic.to_owned(), partition: Some(partition), offset: Some(offset), index: None }
}

/// Adds to `parts`, of which `before` records have theirs, the number of each of these records among those with
/// the same source. As long as all are 0, nothing is added.
fn number(sources: &[u32], records: Range<usize>, before: usize, parts: &mut Vec<u32>) {
    let first = |index: usize| index == 0 || sources[index - 1] != sources[index];
    if parts.is_empty() && records.clone().all(first) {
        return;
    }
    parts.resize(before, 0);
    let mut part = sources[..records.start].iter().rev().take_while(|&s| Some(s) == sources.get(records.start)).count();
    for index in records.clone() {
        if index > records.start {
            part = if first(index) { 0 } else { part + 1 };
        }
        parts.push(part as u32);
    }
}

/// The records at these indexes, which rise.
pub(super) fn subset(delivery: &Delivery, indexes: &[usize]) -> Delivery {
    let mut batch = Batch::default();
    let mut offsets = Vec::with_capacity(indexes.len());
    let parts = indexes.iter().filter_map(|&index| delivery.parts.get(index).copied()).collect();
    for &index in indexes {
        batch.push(delivery.batch.key(index), delivery.batch.value(index), delivery.batch.timestamp(index));
        offsets.push(delivery.offsets[index]);
    }
    Delivery { batch, offsets, parts, topic: delivery.topic.clone(), partition: delivery.partition }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(first: i64, values: &[&str], sources: &[u32], fetched: u32, refused: &[u32]) -> Piece {
        let refusal =
            |&index: &u32| Refusal { index, stage: "s".into(), reason: "r".into(), key: None, value: b"seen".to_vec() };
        let original: Batch = (0..fetched).map(|i| (None::<&str>, format!("o{}", first + i64::from(i)))).collect();
        Piece {
            partition: 1,
            first_offset: first,
            next_offset: first + i64::from(fetched),
            applied: Applied {
                batch: values.iter().map(|v| (None::<&str>, *v)).collect(),
                sources: sources.to_vec(),
                refusals: refused.iter().map(refusal).collect(),
            },
            original: Some(Arc::new(original)),
            state: Some(Vec::new()),
        }
    }

    fn values(part: &Part) -> Vec<String> {
        part.delivery.batch.iter().map(|r| String::from_utf8_lossy(r.value).into_owned()).collect()
    }

    #[test]
    fn pieces_are_joined_and_cut_and_offsets_never_run_ahead() {
        let mut pending = Pending::default();
        // Offsets 10..14: 10 gave two records, 11 was refused, 12 gave one, 13 gave two.
        pending.push(piece(10, &["a", "b", "c", "d", "e"], &[0, 0, 2, 3, 3], 4, &[1]));
        pending.push(piece(14, &["f"], &[0], 2, &[1]));
        assert!(pending.is_full(4, 100) && !pending.is_full(7, 100));

        let part = pending.take("t", 1, 100);
        assert_eq!((values(&part), part.next_offset, part.lost.len()), (vec!["a".into()], 10, 0));
        assert!(part.delivery.parts.is_empty());
        let part = pending.take("t", 3, 100);
        assert_eq!(values(&part), ["b", "c", "d"]);
        assert_eq!(part.delivery.offsets, [10, 12, 13]);
        assert_eq!(part.delivery.parts, [1, 0, 0], "b is the second of 10, wherever the delivery was cut");
        assert_eq!(subset(&part.delivery, &[0, 2]).parts, [1, 0]);
        assert_eq!(part.next_offset, 13, "another record of 13 is still to come");
        assert_eq!(part.lost[0].position.offset, Some(11));
        assert_eq!(part.lost[0].record.as_ref().expect("a record").value, b"o11");
        assert_eq!(part.lost[0].shaped.as_ref().expect("changed").value, b"seen");
        assert_eq!(part.state, None, "the state behind the whole piece must not be kept with a part of it");
        let lost = part.lost(&part.delivery, 1, "protocol", "no", 2);
        assert_eq!((lost.position.offset, lost.record.expect("a record").value), (Some(12), b"o12".to_vec()));

        let part = pending.take("t", 3, 100);
        assert_eq!((values(&part), part.next_offset), (vec!["e".into(), "f".into()], 16));
        assert_eq!(part.delivery.parts, [1, 0]);
        assert_eq!(part.state, Some((16, Vec::new())));
        assert!(pending.is_empty());
    }

    #[test]
    fn without_stages_a_cut_piece_keeps_its_offsets() {
        let mut pending = Pending::default();
        let mut whole = piece(5, &["a", "b", "c"], &[0, 1, 2], 3, &[]);
        whole.original = None;
        pending.push(whole);
        for (value, next) in [("a", 6), ("b", 7), ("c", 8)] {
            let part = pending.take("t", 1, 100);
            assert_eq!((values(&part), part.next_offset), (vec![value.to_owned()], next));
            let lost = part.lost(&part.delivery, 0, "protocol", "no", 1);
            assert_eq!(lost.position.offset, Some(next - 1));
            assert_eq!(lost.record.expect("a record").value, value.as_bytes());
        }
    }

    #[test]
    fn a_stop_leaves_out_everything_behind() {
        let mut pending = Pending::default();
        pending.push(piece(0, &["a", "b", "c"], &[0, 2, 3], 4, &[1]));
        let mut part = pending.take("t", 100, 100);
        part.cut_at(1);
        assert_eq!((values(&part), part.next_offset, part.lost.len()), (vec!["a".into()], 1, 0));
    }

    #[test]
    fn one_record_passes_however_large() {
        let mut pending = Pending::default();
        pending.push(piece(0, &["0123456789", "x"], &[0, 1], 2, &[]));
        assert_eq!(values(&pending.take("t", 10, 4)), ["0123456789"]);
        assert_eq!(values(&pending.take("t", 10, 4)), ["x"]);
    }
}
