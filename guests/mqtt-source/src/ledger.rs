//! Which messages are owed an acknowledgement: handed out, and not yet durable in Fluvio.
//!
//! The broker numbers its messages on the wire with 16 bits, and uses a number again as soon as it is
//! acknowledged. Towards the host they are counted through, by numbers that never come again: that count is
//! the cursor, and a commit of it says what may be acknowledged.
//!
//! What must hold:
//!
//! 1. A message is acknowledged (PUBACK, PUBREC) only after its record was committed.
//! 2. Acknowledgements go out in the order in which messages came, as the specification wants it.
//! 3. A number is acknowledged only on a connection on which the message with that number came: on the next
//!    connection it may already stand for another message. If the session lives on, the broker sends the
//!    message again, with the same number; it is then acknowledged without being handed out again.
//! 4. With quality 1, a number is forgotten once its PUBACK was written: whatever comes under it afterwards
//!    is handed out, at worst a second time. With quality 2 it is remembered until PUBREL, which is what
//!    makes it exactly once.
//! 5. A message is taken for a repetition only if it says so (DUP), its number is remembered, and topic and
//!    payload are the same. So a broker that restarts from an old state, and uses numbers that it had
//!    forgotten to be in use, can cause repetitions but no loss.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use mqtt_kit::{Ack, Qos};

/// A message of quality 1 or 2, as it came.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Its number on the wire.
    pub id: u16,
    /// Its quality of service.
    pub qos: Qos,
    /// Whether the broker says that it may have sent it before.
    pub dup: bool,
    /// Its topic.
    pub topic: &'a str,
    /// Its payload.
    pub payload: &'a [u8],
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Hand it out.
    New,
    /// It was handed out before. When that is durable by now, acknowledge it again.
    Repeated(Option<Ack>),
}

/// The messages that are owed an acknowledgement.
#[derive(Debug)]
pub struct Ledger {
    /// How many messages of quality 1 and 2 were handed out, over all runs.
    count: u64,
    /// Not yet durable, in order of arrival.
    waiting: VecDeque<(u64, u16)>,
    /// By their numbers on the wire.
    held: HashMap<u16, Held>,
    /// Which connection this is.
    connection: u64,
    fingerprints: RandomState,
}

#[derive(Debug)]
struct Held {
    count: u64,
    qos: Qos,
    fingerprint: u64,
    durable: bool,
    /// The last connection on which it came.
    connection: u64,
}

impl Ledger {
    /// A ledger that goes on counting after `count`.
    pub fn new(count: u64) -> Self {
        Self { count, waiting: VecDeque::new(), held: HashMap::new(), connection: 0, fingerprints: RandomState::new() }
    }

    /// How many messages of quality 1 and 2 were handed out.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many of them are not durable yet.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A new connection. A session that is not `present` has forgotten all numbers.
    pub fn connected(&mut self, present: bool) {
        self.connection += 1;
        if !present {
            self.held.clear();
        }
    }

    /// A message has come.
    pub fn arrived(&mut self, message: &Arrival<'_>) -> Verdict {
        let fingerprint = self.fingerprints.hash_one((message.topic, message.payload));
        if let Some(held) = self.held.get_mut(&message.id)
            && message.dup
            && held.qos == message.qos
            && held.fingerprint == fingerprint
        {
            held.connection = self.connection;
            if !held.durable {
                return Verdict::Repeated(None);
            }
            if held.qos == Qos::ExactlyOnce {
                return Verdict::Repeated(Some(Ack::Pubrec));
            }
            self.held.remove(&message.id);
            return Verdict::Repeated(Some(Ack::Puback));
        }
        self.count += 1;
        let held =
            Held { count: self.count, qos: message.qos, fingerprint, durable: false, connection: self.connection };
        self.held.insert(message.id, held);
        self.waiting.push_back((self.count, message.id));
        Verdict::New
    }

    /// Everything up to this count is durable; returns what is to be acknowledged on this connection.
    pub fn commit(&mut self, count: u64) -> Vec<(Ack, u16)> {
        let mut acks = Vec::new();
        while let Some(&(waiting, id)) = self.waiting.front()
            && waiting <= count
        {
            self.waiting.pop_front();
            let Some(held) = self.held.get_mut(&id).filter(|held| held.count == waiting) else { continue };
            held.durable = true;
            if held.connection != self.connection {
                continue;
            }
            if held.qos == Qos::ExactlyOnce {
                acks.push((Ack::Pubrec, id));
            } else {
                acks.push((Ack::Puback, id));
                self.held.remove(&id);
            }
        }
        acks
    }

    /// The broker knows that the message of this number has arrived, and will not send it again.
    pub fn released(&mut self, id: u16) {
        if self.held.get(&id).is_some_and(|held| held.durable) {
            self.held.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u16, qos: Qos, dup: bool, payload: &str) -> Arrival<'_> {
        Arrival { id, qos, dup, topic: "t", payload: payload.as_bytes() }
    }

    fn connected() -> Ledger {
        let mut ledger = Ledger::new(0);
        ledger.connected(false);
        ledger
    }

    const ONE: Qos = Qos::AtLeastOnce;
    const TWO: Qos = Qos::ExactlyOnce;

    #[test]
    fn acknowledgements_follow_commits_in_order() {
        let mut ledger = connected();
        for (id, qos) in [(7, ONE), (3, TWO), (9, ONE)] {
            assert_eq!(ledger.arrived(&message(id, qos, false, "x")), Verdict::New);
        }
        assert_eq!(ledger.commit(0), []);
        assert_eq!(ledger.commit(2), [(Ack::Puback, 7), (Ack::Pubrec, 3)]);
        assert_eq!((ledger.count(), ledger.waiting()), (3, 1));
        assert_eq!(ledger.commit(2), []);
        assert_eq!(ledger.commit(99), [(Ack::Puback, 9)]);
    }

    #[test]
    fn an_old_connections_number_is_not_acknowledged_on_a_new_one() {
        let mut ledger = connected();
        ledger.arrived(&message(1, ONE, false, "a"));
        ledger.connected(true);
        assert_eq!(ledger.commit(1), [], "the broker has not sent it on this connection");
        // It does, and learns at once that it was durable already.
        assert_eq!(ledger.arrived(&message(1, ONE, true, "a")), Verdict::Repeated(Some(Ack::Puback)));
        // From here on the number is free.
        assert_eq!(ledger.arrived(&message(1, ONE, true, "a")), Verdict::New);
        assert_eq!(ledger.commit(2), [(Ack::Puback, 1)]);
    }

    #[test]
    fn what_is_repeated_before_its_commit_waits_for_it() {
        let mut ledger = connected();
        ledger.arrived(&message(1, TWO, false, "a"));
        ledger.arrived(&message(2, TWO, false, "b"));
        ledger.connected(true);
        assert_eq!(ledger.arrived(&message(1, TWO, true, "a")), Verdict::Repeated(None));
        assert_eq!(ledger.commit(2), [(Ack::Pubrec, 1)], "2 has not come again yet");
        assert_eq!(ledger.arrived(&message(2, TWO, true, "b")), Verdict::Repeated(Some(Ack::Pubrec)));
    }

    #[test]
    fn quality_2_is_remembered_until_it_is_released() {
        let mut ledger = connected();
        ledger.arrived(&message(1, TWO, false, "a"));
        ledger.released(1);
        assert_eq!(ledger.arrived(&message(1, TWO, true, "a")), Verdict::Repeated(None), "not durable, not released");
        assert_eq!(ledger.commit(1), [(Ack::Pubrec, 1)]);
        for _ in 0..2 {
            ledger.connected(true);
            assert_eq!(ledger.arrived(&message(1, TWO, true, "a")), Verdict::Repeated(Some(Ack::Pubrec)));
        }
        ledger.released(1);
        assert_eq!(ledger.arrived(&message(1, TWO, true, "a")), Verdict::New);
    }

    #[test]
    fn a_number_that_stands_for_another_message_is_no_repetition() {
        for qos in [ONE, TWO] {
            let mut ledger = connected();
            ledger.arrived(&message(1, qos, false, "a"));
            ledger.connected(true);
            assert_eq!(ledger.arrived(&message(1, qos, true, "b")), Verdict::New, "another payload");
            assert_eq!(ledger.arrived(&message(1, qos, false, "b")), Verdict::New, "not called a repetition");
            // Only the last of the three is on this number.
            let ack = if qos == ONE { Ack::Puback } else { Ack::Pubrec };
            assert_eq!(ledger.commit(2), []);
            assert_eq!(ledger.commit(3), [(ack, 1)]);
        }
    }

    #[test]
    fn a_new_session_knows_no_numbers() {
        let mut ledger = connected();
        ledger.arrived(&message(1, TWO, false, "a"));
        ledger.connected(false);
        assert_eq!(ledger.arrived(&message(1, TWO, true, "a")), Verdict::New);
        assert_eq!(ledger.commit(1), []);
        assert_eq!(ledger.commit(2), [(Ack::Pubrec, 1)]);
    }
}
