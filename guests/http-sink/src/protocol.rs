//! Sends requests, and says of each record what became of it.
//!
//! | answer | the records of the request |
//! |---|---|
//! | 2xx | are delivered |
//! | 401, 403, 407 | everything stops (`auth`) |
//! | 408, 421, 425, 5xx, none at all | are handed in again (`unreachable`) |
//! | 429, 503 with `Retry-After` | are handed in again, not before that (`throttled`) |
//! | other 4xx | of one record: it is refused (`data`); of several: sent again in halves, until it is one |
//! | 3xx that is not followed | everything stops (`config`) |
//!
//! After the first failure that may pass nothing more is started, and what was not sent fails in the same way:
//! with one request at a time the host then hands in everything behind the failure again, in order.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use connector_sdk::http::{Calls, Response, explain, reason};
use connector_sdk::time::{self, Instant};
use connector_sdk::{Error, ErrorKind, Failure, Result, debug, metrics};

use crate::extract::Piece;
use crate::request::{Origin, Requests};

/// How long one delivery goes on starting requests: the host ends a call that takes too long (after 30 s,
/// unless told otherwise), and would know nothing of what was delivered. What is left then is handed in again.
pub const SENDING: Duration = Duration::from_secs(10);

/// How long the rest of an answer is read after its head. Its words matter less than the next record.
const BODY_PATIENCE: Duration = Duration::from_secs(2);

/// How much of an answer to a delivery is read for the sake of its connection.
const BODY: u64 = 1 << 20;

/// How much of a refusal's body is read for the message.
const EXPLANATION: usize = 16 << 10;

/// Sends requests, so many at a time.
#[derive(Debug)]
pub struct Sender {
    concurrency: usize,
    /// Longer than any request may take.
    patience: Duration,
}

/// A request under way: its pieces, and when it was sent.
type Tag = (Range<usize>, Instant);

/// The sending of one delivery.
struct Sending<'a> {
    requests: &'a Requests,
    origin: Origin<'a>,
    pieces: &'a [Piece<'a>],
    failures: &'a mut Vec<Failure>,
    /// What is to be sent yet, in order.
    queue: VecDeque<Range<usize>>,
    calls: Calls<Tag>,
    /// Why nothing more is started.
    stopped: Option<Error>,
}

impl Sender {
    /// A sender of up to so many requests at a time, each of which takes no longer than `timeout`.
    pub fn new(concurrency: usize, timeout: Duration) -> Self {
        Self { concurrency, patience: timeout + Duration::from_secs(1) }
    }

    /// Sends the pieces, and lists those among the failures that were not delivered.
    ///
    /// # Errors
    /// What concerns more than the records of one request: refused credentials, a configuration that can't
    /// work.
    pub fn send(
        &self,
        requests: &Requests,
        origin: Origin<'_>,
        pieces: &[Piece<'_>],
        failures: &mut Vec<Failure>,
    ) -> Result<()> {
        let queue = requests.units(pieces);
        let calls = Calls::default();
        let mut sending = Sending { requests, origin, pieces, failures, queue, calls, stopped: None };
        let closing = time::now() + SENDING;
        let mut sent = 0;
        loop {
            while sending.stopped.is_none() && sending.calls.len() < self.concurrency {
                if sent > 0 && time::now() >= closing {
                    sending.stopped = Some(not_yet());
                    break;
                }
                let Some(unit) = sending.queue.pop_front() else { break };
                sent += 1;
                sending.start(unit)?;
            }
            if sending.calls.is_empty() {
                break;
            }
            if let Some(((unit, at), answer)) = sending.calls.next(time::now() + self.patience) {
                metrics::histogram("request_duration_seconds", (time::now() - at).as_secs_f64());
                sending.settle(unit, answer.and_then(outcome))?;
            }
        }
        sending.leave();
        metrics::counter("requests_total", sent);
        Ok(())
    }
}

impl Sending<'_> {
    fn start(&mut self, unit: Range<usize>) -> Result<()> {
        let request = match self.requests.request(self.origin, &self.pieces[unit.clone()]) {
            Ok(request) => request,
            Err(error) => return self.settle(unit, Err(error)),
        };
        let at = time::now();
        match request.start() {
            Ok(call) => self.calls.push((unit, at), call),
            Err(error) => return self.settle(unit, Err(error)),
        }
        Ok(())
    }

    /// Notes what became of the pieces of a request.
    fn settle(&mut self, unit: Range<usize>, outcome: Result<()>) -> Result<()> {
        let Err(error) = outcome else { return Ok(()) };
        metrics::counter("request_errors_total", 1);
        match error.kind() {
            ErrorKind::Data if unit.len() > 1 => {
                debug!("{} records in one request are refused, sending them in halves: {error}", unit.len());
                let middle = unit.start + unit.len() / 2;
                self.queue.push_front(middle..unit.end);
                self.queue.push_front(unit.start..middle);
            }
            ErrorKind::Data => self.fail(unit, &error),
            ErrorKind::Unreachable | ErrorKind::Throttled => {
                self.fail(unit, &error);
                self.stopped.get_or_insert(error);
            }
            ErrorKind::Auth | ErrorKind::Config | ErrorKind::Internal => return Err(error),
        }
        Ok(())
    }

    /// What was not sent fails as that did for which it was not.
    fn leave(&mut self) {
        let Some(error) = self.stopped.take() else { return };
        for unit in std::mem::take(&mut self.queue) {
            self.fail(unit, &error);
        }
    }

    fn fail(&mut self, unit: Range<usize>, error: &Error) {
        let pieces = &self.pieces[unit];
        self.failures.extend(pieces.iter().map(|piece| Failure::new(piece.index, error.clone())));
    }
}

/// What an answer says of the request.
fn outcome(mut response: Response) -> Result<()> {
    let status = response.status();
    let until = time::now() + BODY_PATIENCE;
    let error = match response.error_for_status() {
        Ok(()) => {
            response.discard(BODY, until);
            return Ok(());
        }
        Err(error) => error,
    };
    if (300..400).contains(&status) {
        return Err(redirected(&response));
    }
    let error = match error.kind() {
        ErrorKind::Config => Error::data(error.message()),
        _ => error,
    };
    // Whatever goes wrong while reading the reason, the refusal is the news.
    match response.collect(EXPLANATION, until) {
        Ok(Some(body)) => Err(explain(error, &body)),
        _ => Err(error),
    }
}

/// A redirect that was not followed, since it would lose the record.
fn redirected(response: &Response) -> Error {
    let status = response.status();
    let place = response.place();
    // Without a query, which may hold secrets.
    let location =
        response.headers().get_str("location").and_then(|to| to.split(['?', '#']).next()).unwrap_or_default();
    let words = reason(status).unwrap_or("a redirect");
    Error::config(match status {
        301..=303 if !location.is_empty() => format!(
            "{place}: answered {status} {words}, to `{location}`, where the request would be repeated without its \
             body; if that is where records go, make it the `endpoint`"
        ),
        _ => format!("{place}: answered {status} {words}, which says nothing of the record; is the `endpoint` right?"),
    })
}

/// The time of a delivery is over.
fn not_yet() -> Error {
    let sending = connector_sdk::units::Duration::from(SENDING);
    Error::throttled(format!("not sent yet: what was before it has taken {sending}"), Some(Duration::ZERO))
}
