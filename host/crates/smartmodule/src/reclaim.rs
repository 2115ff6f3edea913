//! Gives a guest's output buffers back to its allocator, for guests known to leak them.
//!
//! A module built with `fluvio-smartmodule` forgets its output buffer at every call: about 130 MiB a million
//! records of 100 bytes. It exports `dealloc(pointer, size)`, but `size` must be the buffer's capacity, which
//! only the guest's allocator knows; given the output's length, Rust's allocator (dlmalloc) panics.
//!
//! dlmalloc writes the size of a chunk in the word in front of it, so the host can read it there. Doing that to
//! an allocator or a guest of another kind would corrupt it, so nothing is freed before three things are seen:
//!
//! 1. **The allocator is dlmalloc.** Three buffers of odd sizes, taken from `alloc`, have headers of exactly the
//!    shape dlmalloc gives them, the in-use bits in both neighbouring words included ([`Reclaim::probe`]).
//! 2. **The guest leaks.** The first [`WATCHED`] outputs are left alone: all lie apart, and when the last has been
//!    made, every one is still in use, with its header and its first and last bytes as they were. A guest that
//!    reuses one buffer, keeps two, frees the old one itself or hands out static memory fails here.
//! 3. **This output** has a sound header too; every time.
//!
//! What is freed then belongs to nobody: the host has read it, and the guest has proved that it doesn't touch it
//! again. For any other guest nothing is freed, and its instance is replaced when it has grown too large (see
//! `runner.rs`). Freeing also keeps the guest in warm memory: it makes calls faster.

use std::ops::Range;

use wasmtime::{Memory, Store, TypedFunc};

use crate::instance::State;

/// How many outputs are watched before any is freed. Enough to catch a guest with a small ring of buffers, few
/// enough that the watched ones (a few MiB each at most) never matter.
const WATCHED: usize = 8;

/// Odd sizes that no allocator rounds the same way by chance, below and above a page.
const PROBES: [i32; 3] = [1_001, 37, 5_003];

/// dlmalloc's flags in a chunk's size word.
const PREVIOUS_IN_USE: u32 = 1;
const IN_USE: u32 = 2;
const FLAGS: u32 = 7;

/// What one chunk costs beside its payload, and the most that rounding can add: the smallest chunk that can be
/// split off has 16 bytes (32 where chunks are aligned to 16).
const OVERHEAD: u32 = 4;
const SLACK: u32 = 48;

type Dealloc = TypedFunc<(i32, i32), ()>;

/// What is known of a guest's outputs.
pub(crate) enum Reclaim {
    /// Nothing is freed.
    Off,
    /// The allocator is known; the guest is being watched.
    Watching { dealloc: Dealloc, seen: Vec<Seen> },
    /// Outputs are freed.
    On { dealloc: Dealloc },
}

/// A watched output.
pub(crate) struct Seen {
    start: u32,
    length: u32,
    header: u32,
    first: [u8; 4],
    last: [u8; 4],
}

impl Reclaim {
    /// Tells whether `alloc` is dlmalloc's.
    ///
    /// # Errors
    /// A trap in the guest's `alloc` or `dealloc`.
    pub(crate) fn probe(
        store: &mut Store<State>,
        memory: Memory,
        alloc: &TypedFunc<i32, i32>,
        dealloc: Dealloc,
    ) -> wasmtime::Result<Self> {
        let mut pointers = [0; PROBES.len()];
        for (pointer, &size) in pointers.iter_mut().zip(&PROBES) {
            *pointer = alloc.call(&mut *store, size)?;
        }
        let data = memory.data(&*store);
        let known = pointers.iter().zip(&PROBES).all(|(&pointer, &size)| {
            let (pointer, size) = (pointer as u32, size as u32);
            chunk(data, pointer).is_some_and(|(_, chunk)| (size + OVERHEAD..=size + SLACK).contains(&chunk))
        });
        if !known {
            return Ok(Self::Off);
        }
        for (&pointer, &size) in pointers.iter().zip(&PROBES) {
            dealloc.call(&mut *store, (pointer, size))?;
        }
        Ok(Self::Watching { dealloc, seen: Vec::with_capacity(WATCHED) })
    }

    /// The host is done with an output.
    ///
    /// # Errors
    /// A trap in the guest's `dealloc`.
    pub(crate) fn output(
        &mut self,
        store: &mut Store<State>,
        memory: Memory,
        output: &Range<usize>,
    ) -> wasmtime::Result<()> {
        match self {
            Self::Off => Ok(()),
            Self::On { dealloc } => {
                let (start, length) = (output.start as u32, output.len() as u32);
                match chunk(memory.data(&*store), start) {
                    Some((_, size)) if size >= length + OVERHEAD => {
                        dealloc.call(&mut *store, (start as i32, (size - OVERHEAD) as i32))
                    }
                    // not what it was: leave it, and the guest, alone from now on
                    _ => {
                        *self = Self::Off;
                        Ok(())
                    }
                }
            }
            Self::Watching { dealloc, seen } => {
                let data = memory.data(&*store);
                let Some(new) = Seen::of(data, output) else {
                    *self = Self::Off;
                    return Ok(());
                };
                seen.push(new);
                if seen.len() < WATCHED {
                    return Ok(());
                }
                seen.sort_unstable_by_key(|seen| seen.start);
                let apart = seen.windows(2).all(|pair| pair[0].start + pair[0].length <= pair[1].start);
                if !apart || seen.iter().any(|seen| !seen.is_untouched(data)) {
                    *self = Self::Off;
                    return Ok(());
                }
                let dealloc = dealloc.clone();
                for seen in std::mem::take(seen) {
                    let size = (seen.header & !FLAGS) - OVERHEAD;
                    dealloc.call(&mut *store, (seen.start as i32, size as i32))?;
                }
                *self = Self::On { dealloc };
                Ok(())
            }
        }
    }
}

impl Seen {
    fn of(data: &[u8], output: &Range<usize>) -> Option<Self> {
        let (start, length) = (output.start as u32, output.len() as u32);
        let (header, size) = chunk(data, start)?;
        let bytes = &data[output.clone()];
        (size >= length + OVERHEAD)
            .then(|| Some(Self { start, length, header, first: *bytes.first_chunk()?, last: *bytes.last_chunk()? }))
            .flatten()
    }

    fn is_untouched(&self, data: &[u8]) -> bool {
        let bytes = &data[self.start as usize..][..self.length as usize];
        // whether the chunk in front is in use may change; the rest may not
        chunk(data, self.start).is_some_and(|(header, _)| (header ^ self.header) & !PREVIOUS_IN_USE == 0)
            && bytes.first_chunk() == Some(&self.first)
            && bytes.last_chunk() == Some(&self.last)
    }
}

/// The size word and the size of the dlmalloc chunk whose payload starts at `pointer`, if one does: in use, and
/// known as such to the chunk behind it.
fn chunk(data: &[u8], pointer: u32) -> Option<(u32, u32)> {
    if !pointer.is_multiple_of(8) {
        return None;
    }
    let header = word(data, pointer.checked_sub(4)?)?;
    let size = header & !FLAGS;
    let behind = word(data, (pointer - 4).checked_add(size)?)?;
    (header & IN_USE != 0 && size >= 16 && behind & PREVIOUS_IN_USE != 0).then_some((header, size))
}

fn word(data: &[u8], at: u32) -> Option<u32> {
    let bytes = data.get(at as usize..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}
