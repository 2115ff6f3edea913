//! The other end of a connection, in the hands of a test.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::net::{Chunk, Dial, Line};
use crate::time::{self, Instant};

/// The other end of a connection that a [`Harness`](super::Harness) makes. Clones are the same end.
///
/// ```
/// use std::time::Duration;
/// use connector_sdk::net::{Chunk, Connect};
/// use connector_sdk::{testing::Harness, time};
/// let harness = Harness::install();
/// let peer = harness.peer();
/// peer.send_after(Duration::from_secs(5), "late");
/// let mut stream = Connect::new("slow.example", 7).connect()?;
/// assert_eq!(stream.read(10, time::now() + Duration::from_secs(1))?, Chunk::Pending);
/// assert_eq!(stream.read(10, time::now() + Duration::from_secs(9))?, Chunk::Data(b"late".to_vec()));
/// assert_eq!(harness.elapsed(), Duration::from_secs(5));
/// # Ok::<(), connector_sdk::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Peer(Rc<State>);

#[derive(Default)]
struct State {
    /// When the connection stands, counted from the attempt, or what comes of it.
    delay: Cell<Duration>,
    refusal: RefCell<Option<Error>>,
    /// What the connector is going to read, with the moment at which it is there.
    coming: RefCell<VecDeque<(Instant, Event)>>,
    heard: RefCell<Vec<u8>>,
    answer: RefCell<Option<Answer>>,
    /// Bytes that it takes before the connector has to wait; no bound when absent.
    room: Cell<Option<usize>>,
    connected: Cell<bool>,
    closed: Cell<bool>,
}

type Answer = Box<dyn FnMut(&[u8], &Peer)>;

#[derive(Debug)]
enum Event {
    Bytes(Vec<u8>),
    End,
    Failure(Error),
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Peer(connected: {}, {} bytes heard)", self.is_connected(), self.0.heard.borrow().len())
    }
}

impl Peer {
    /// Does this with everything that the connector writes, as it writes it.
    pub fn answer(&self, answer: impl FnMut(&[u8], &Self) + 'static) {
        *self.0.answer.borrow_mut() = Some(Box::new(answer));
    }

    /// Sends bytes, at once.
    pub fn send(&self, bytes: impl Into<Vec<u8>>) {
        self.send_after(Duration::ZERO, bytes);
    }

    /// Sends bytes so long from now, behind what was sent before.
    pub fn send_after(&self, delay: Duration, bytes: impl Into<Vec<u8>>) {
        self.push(delay, Event::Bytes(bytes.into()));
    }

    /// Closes the connection, behind what was sent before.
    pub fn close(&self) {
        self.push(Duration::ZERO, Event::End);
    }

    /// Breaks the connection like this, behind what was sent before.
    pub fn fail(&self, error: Error) {
        self.push(Duration::ZERO, Event::Failure(error));
    }

    /// The connection stands only so long after the attempt. Before the attempt.
    pub fn connect_after(&self, delay: Duration) {
        self.0.delay.set(delay);
    }

    /// There will be no connection. Before the attempt.
    pub fn refuse(&self, error: Error) {
        *self.0.refusal.borrow_mut() = Some(error);
    }

    /// Takes only so many bytes more, until told otherwise.
    pub fn room(&self, bytes: Option<usize>) {
        self.0.room.set(bytes);
    }

    /// What the connector has written since this was last asked.
    #[must_use]
    pub fn heard(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.heard.borrow_mut())
    }

    /// Whether the connection stands: made, and not let go of by the connector.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.connected.get() && !self.0.closed.get()
    }

    fn push(&self, delay: Duration, event: Event) {
        self.0.coming.borrow_mut().push_back((time::now() + delay, event));
    }

    pub(super) fn dial(&self) -> Box<dyn Dial> {
        Box::new(Dialing { peer: self.clone(), ready: time::now() + self.0.delay.get() })
    }
}

struct Dialing {
    peer: Peer,
    ready: Instant,
}

impl Dial for Dialing {
    fn wait(&mut self, until: Instant) -> Result<Option<Box<dyn Line>>> {
        if !time::sleep_until(self.ready, until) {
            return Ok(None);
        }
        if let Some(error) = self.peer.0.refusal.borrow_mut().take() {
            return Err(error);
        }
        self.peer.0.connected.set(true);
        Ok(Some(Box::new(Connected(self.peer.clone()))))
    }
}

struct Connected(Peer);

impl Line for Connected {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let state = &self.0.0;
        let taken = state.room.get().map_or(bytes.len(), |room| room.min(bytes.len()));
        if taken > 0 {
            state.room.set(state.room.get().map(|room| room - taken));
            state.heard.borrow_mut().extend_from_slice(&bytes[..taken]);
            let answer = state.answer.borrow_mut().take();
            if let Some(mut answer) = answer {
                answer(&bytes[..taken], &self.0);
                state.answer.borrow_mut().get_or_insert(answer);
            }
        }
        Ok(taken)
    }

    fn flush(&mut self) -> Result<bool> {
        Ok(true)
    }

    fn read(&mut self, max: usize) -> Result<Chunk> {
        let mut coming = self.0.0.coming.borrow_mut();
        match coming.pop_front() {
            None => Ok(Chunk::Pending),
            Some((when, event)) if when > time::now() => {
                coming.push_front((when, event));
                Ok(Chunk::Pending)
            }
            Some((when, Event::Bytes(mut bytes))) => {
                if bytes.len() > max {
                    let rest = bytes.split_off(max);
                    coming.push_front((when, Event::Bytes(rest)));
                }
                Ok(Chunk::Data(bytes))
            }
            Some((when, Event::End)) => {
                coming.push_front((when, Event::End));
                Ok(Chunk::End)
            }
            Some((when, Event::Failure(error))) => {
                coming.push_front((when, Event::Failure(error.clone())));
                Err(error)
            }
        }
    }

    fn wait(&mut self, read: bool, _write: bool, until: Instant) {
        // Room to write comes only from the test, which can't act while the connector waits.
        let next = self.0.0.coming.borrow().front().map(|(when, _)| *when).filter(|_| read);
        time::sleep_until(next.unwrap_or(until), until);
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.0.closed.set(true);
    }
}
