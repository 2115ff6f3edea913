//! What was sent and not acknowledged yet, and what became of each record of a delivery.
//!
//! Records are numbered on the wire from 1 to 65535 and around; a number is free again when its message is
//! acknowledged. What must hold:
//!
//! 1. A record counts as delivered only when the broker has acknowledged it.
//! 2. Once a record has to be handed in again, so have all behind it, even those that were acknowledged: the
//!    host hands them in from there on, and nothing overtakes anything.

use std::collections::HashMap;

use connector_sdk::{Error, Failure};

/// One delivery on its way.
#[derive(Debug, Default)]
pub struct Window {
    /// Records on their way, by their numbers.
    flying: HashMap<u16, Flight>,
    last: u16,
    /// Records that will never be delivered.
    refused: Vec<Failure>,
    /// The first record that has to be handed in again, and why.
    again: Option<(usize, Error)>,
}

/// A record on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flight {
    index: usize,
    /// With quality 2: the broker has the message.
    received: bool,
}

impl Window {
    /// How many records are on their way.
    pub fn len(&self) -> usize {
        self.flying.len()
    }

    /// Takes a free number for a record. There is one, as long as fewer than 65535 are on their way.
    pub fn take(&mut self, index: usize) -> u16 {
        loop {
            self.last = if self.last == u16::MAX { 1 } else { self.last + 1 };
            if let std::collections::hash_map::Entry::Vacant(free) = self.flying.entry(self.last) {
                free.insert(Flight { index, received: false });
                return self.last;
            }
        }
    }

    /// The broker has the message, with quality 2; says whether it was on its way.
    pub fn received(&mut self, id: u16) -> bool {
        self.flying.get_mut(&id).map(|flight| flight.received = true).is_some()
    }

    /// The message has arrived, or was refused.
    pub fn settled(&mut self, id: u16, refusal: Option<Error>) {
        let Some(Flight { index, .. }) = self.flying.remove(&id) else { return };
        if let Some(error) = refusal {
            self.refuse(index, error);
        }
    }

    /// Notes that a record was not delivered.
    pub fn refuse(&mut self, index: usize, error: Error) {
        if error.is_retryable() {
            if self.again.as_ref().is_none_or(|(first, _)| index < *first) {
                self.again = Some((index, error));
            }
        } else {
            self.refused.push(Failure::new(index, error));
        }
    }

    /// Whether a record has to be handed in again: then there is no use in sending those behind it.
    pub fn is_broken(&self) -> bool {
        self.again.is_some()
    }

    /// The connection is gone, or the time over, with records from `next` on not sent yet.
    pub fn break_off(&mut self, next: usize, error: Error) {
        let first = self.flying.values().map(|flight| flight.index).min().unwrap_or(next).min(next);
        self.refuse(first, error);
    }

    /// What became of a delivery of so many records: those that were not delivered, in order.
    pub fn into_failures(self, records: usize) -> Vec<Failure> {
        let mut failures = self.refused;
        if let Some((first, error)) = self.again {
            // A lost cause stays one, wherever it stands.
            let lost: Vec<usize> = failures.iter().map(|failure| failure.index).collect();
            let behind = (first..records).filter(|index| !lost.contains(index));
            failures.extend(behind.map(|index| Failure::new(index, error.clone())));
        }
        failures.sort_by_key(|failure| failure.index);
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector_sdk::ErrorKind;

    fn outcome(window: Window, records: usize) -> Vec<(usize, ErrorKind)> {
        window.into_failures(records).into_iter().map(|failure| (failure.index, failure.error.kind())).collect()
    }

    #[test]
    fn what_is_acknowledged_is_delivered() {
        let mut window = Window::default();
        let ids: Vec<_> = (0..3).map(|index| window.take(index)).collect();
        assert_eq!((ids.as_slice(), window.len()), (&[1, 2, 3][..], 3));
        for id in ids {
            window.settled(id, None);
        }
        window.settled(9, None);
        assert_eq!((window.len(), outcome(window, 3)), (0, vec![]));
    }

    #[test]
    fn numbers_go_around_past_those_in_use() {
        let mut window = Window::default();
        assert_eq!(window.take(0), 1);
        for index in 1..70_000 {
            let id = window.take(index);
            assert!(id > 1, "1 is in use");
            window.settled(id, None);
        }
        assert_eq!(window.len(), 1);
    }

    #[test]
    fn everything_behind_a_retry_is_handed_in_again() {
        let mut window = Window::default();
        let ids: Vec<_> = (0..4).map(|index| window.take(index)).collect();
        window.refuse(4, Error::data("no topic"));
        window.settled(ids[0], None);
        window.settled(ids[3], None);
        window.settled(ids[1], Some(Error::throttled("quota", None)));
        assert!(window.is_broken());
        window.break_off(5, Error::unreachable("gone"));
        use ErrorKind::{Data, Throttled};
        assert_eq!(outcome(window, 6), [(1, Throttled), (2, Throttled), (3, Throttled), (4, Data), (5, Throttled)]);
    }

    #[test]
    fn a_lost_connection_takes_back_what_was_not_acknowledged() {
        let mut window = Window::default();
        let ids: Vec<_> = (0..3).map(|index| window.take(index)).collect();
        window.settled(ids[0], None);
        assert!(window.received(ids[1]) && !window.received(77));
        window.break_off(3, Error::unreachable("gone"));
        assert_eq!(outcome(window, 4).iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
