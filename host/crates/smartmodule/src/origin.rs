//! Which record of the input an output, or a refusal, belongs to.
//!
//! The ABI doesn't say, but much can be told: `map` and `aggregate` return one record for each; `filter`, `map` and
//! `filter_map` keep a record's offset delta, which names it as long as the deltas of the inputs differ; a refusal
//! carries the offset, the key and the value of its record. An `array_map` makes new records with delta 0, so with
//! [`Tracking::Exact`] it is called record by record, and so are filters behind it, whose inputs no longer differ.

use std::ops::Range;

use crate::chain::Tracking;
use crate::module::Kind;
use crate::wire::{self, Output, Record, Records, Refused};

/// What all stages of a chain must know of the batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) base_offset: i64,
    pub(crate) base_timestamp: i64,
    pub(crate) tracking: Tracking,
}

/// Whether a module must be called record by record, so that it is known where its outputs come from.
pub(crate) fn must_go_singly(kind: Kind, input: &Records, tracking: Tracking) -> bool {
    tracking == Tracking::Exact
        && match kind {
            Kind::ArrayMap => true,
            Kind::Filter | Kind::FilterMap => !input.is_ascending(),
            Kind::Map | Kind::Aggregate => false,
        }
}

/// Which record of the input the guest refused.
pub(crate) fn find_failed(
    input: &Records,
    range: &Range<usize>,
    kind: Kind,
    output: &Output<'_>,
    refused: &Refused<'_>,
    origin: &Origin,
) -> Option<usize> {
    if range.len() == 1 {
        return Some(range.start);
    }
    let same = |&index: &usize| {
        let record = input.get(index);
        record.key == refused.key && record.value == refused.value
    };
    let by_offset = || {
        let delta = refused.offset.wrapping_sub(origin.base_offset);
        let found = input.deltas()[range.clone()].binary_search(&delta).ok()?;
        Some(range.start + found)
    };
    let by_count = || Some(range.start + output.successes.len()).filter(|index| range.contains(index));
    let offset = if input.is_ascending() { by_offset() } else { None };
    offset
        .filter(same)
        .or_else(|| if matches!(kind, Kind::Map | Kind::Aggregate) { by_count().filter(same) } else { None })
        // equal records are refused equally: the first is the one at which the guest stopped
        .or_else(|| range.clone().find(same))
}

/// Adds the outputs of one call, each with where it came from. `done` are the inputs that went through.
pub(crate) fn take_over(
    input: &Records,
    done: &Range<usize>,
    range: &Range<usize>,
    kind: Kind,
    read: &Output<'_>,
    output: &mut Records,
) {
    let successes = &read.successes;
    let paired = kind != Kind::ArrayMap && successes.len() == done.len();
    let matched = match kind {
        Kind::Filter | Kind::FilterMap if !paired && input.is_ascending() => match_deltas(input, done, read),
        _ => None,
    };
    // Not known: the last it can have come from, so that nobody takes it for done too early.
    let last = done.end.max(range.start + 1) - 1;
    let local = |index: usize| match &matched {
        Some(matched) => matched[index],
        None if paired => done.start + index,
        None => last,
    };
    if successes.is_exact() && !input.is_wide() {
        output.append(successes, |index| input.source(local(index)));
        return;
    }
    for (index, mut record) in successes.iter().enumerate() {
        let from = local(index);
        if input.is_wide() && (paired || matched.is_some()) {
            restore_timestamp(&mut record, &input.get(from));
        }
        output.push(&record, input.source(from));
    }
}

/// Undoes what a guest's encoder does to a far timestamp that it only passed on.
fn restore_timestamp(record: &mut Record<'_>, from: &Record<'_>) {
    if record.timestamp_delta == wire::through_guest(from.timestamp_delta) {
        record.timestamp_delta = from.timestamp_delta;
    }
}

/// Finds each output's input by its offset delta; `None` unless all are found, in order.
fn match_deltas(input: &Records, done: &Range<usize>, read: &Output<'_>) -> Option<Vec<usize>> {
    let mut candidates = done.clone();
    let mut matched = Vec::with_capacity(read.successes.len());
    for index in 0..read.successes.len() {
        let delta = read.successes.delta(index);
        matched.push(candidates.find(|&candidate| input.deltas()[candidate] == delta)?);
    }
    Some(matched)
}
