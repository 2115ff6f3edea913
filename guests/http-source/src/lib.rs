//! Polls an HTTP endpoint, or reads a stream from it, and makes records of what it answers.
//!
//! Two stages, as everywhere: [`protocol`] talks HTTP, [`extract`] makes records ([`stream`] cuts an answer
//! that goes on and on).
//!
//! **What is promised.** An answer counts when it is complete; of a broken one nothing is produced. The
//! cursor moves when every record of an answer has been handed out, so after a crash in the middle of one
//! the next poll is made at once and its answer delivered whole: at least once, repeats at most one answer.
//! A poll that fails stays due, and the host decides when to try again; one whose answer can't be used is
//! over, and the next one is made when its time has come. A stream has no position to go back to: its
//! records are delivered as they come, and what is sent while nobody listens is lost, unless the server
//! begins again from the start.
//!
//! A poll may take longer than the host lets a read wait: then it goes on over several reads.

mod config;
mod extract;
mod protocol;
mod schedule;
mod stream;

use std::time::Duration;

use connector_sdk::http::Response;
use connector_sdk::time::{self, Instant};
use connector_sdk::{Batch, Check, Error, ErrorKind, Limit, Outcome, Result, Source, Spec, info, metrics, spec};
use serde::{Deserialize, Serialize};

use config::Config;
use extract::{Delivery, Extractor};
use protocol::{Answer, Endpoint, Head, Poll, Validators};
use schedule::Schedule;
use stream::Stream;

/// A check answers sooner than the host's patience with one call (30 s) ends.
const CHECK_PATIENCE: Duration = Duration::from_secs(20);

/// Where a reader stands: behind the last answer whose records were all handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// How many answers that makes.
    polls: u64,
    /// When the last of them was asked for, in milliseconds since 1970.
    at: i64,
    /// What to ask for news with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<Seen>,
}

/// The state of a resource that was delivered last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The address it belongs to, as a fingerprint: the address itself may hold a secret.
    of: String,
    #[serde(flatten)]
    validators: Validators,
}

/// The source.
#[derive(Debug)]
pub struct HttpSource {
    config: Config,
    endpoint: Endpoint,
    extractor: Extractor,
    schedule: Schedule,
    polls: u64,
    seen: Option<Seen>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Until the next poll is due.
    Waiting,
    /// Until the answer is there.
    Polling(Poll, Asked),
    /// Until every record of the answer is handed out.
    Delivering(Delivery, Asked, Option<Seen>),
    /// Until the answer ends.
    Streaming(Box<Stream>, Asked),
}

/// What a poll has brought.
enum Arrived {
    Whole(Answer),
    Stream(Response),
}

/// The wall clock's time at which a poll began, in milliseconds since 1970.
type Asked = i64;

impl Source for HttpSource {
    const SPEC: Spec = spec!("http");
    type Config = Config;
    type Cursor = Cursor;

    fn check(config: Config) -> Check {
        let mut endpoint = None;
        let mut answer = None;
        let extractor = Extractor::new(&config);
        let check = Check::builder().step("configuration is valid", || {
            endpoint = Some(Endpoint::new(config.request()?, config.produce_errors, false));
            Ok(())
        });
        let check = check.step("endpoint answers", || {
            let Some(endpoint) = &mut endpoint else { return Ok(()) };
            let mut poll = endpoint.poll(None)?;
            let until = poll.started + CHECK_PATIENCE;
            let late = || Error::unreachable("no complete answer within 20s");
            if config.stream {
                return endpoint.stream(&mut poll, until)?.map(drop).ok_or_else(late);
            }
            answer = Some(endpoint.answer(&mut poll, config.max_body.as_len(), until)?.ok_or_else(late)?);
            Ok(())
        });
        if config.stream {
            return check.build();
        }
        let check = check.step("records can be made of the answer", || {
            let Some(answer) = answer else { return Ok(()) };
            let limit = Limit { max_records: 1, max_bytes: 1, max_wait: Duration::ZERO };
            extractor.fill(&mut extractor.start(answer)?, &mut Batch::default(), &limit).map(drop)
        });
        check.build()
    }

    fn open(config: Config, cursor: Option<Cursor>) -> Result<Self> {
        let endpoint = Endpoint::new(config.request()?, config.produce_errors, cursor.is_some());
        let schedule = Schedule::new(config.interval.get(), cursor.as_ref().map(|cursor| cursor.at));
        if let Some(cursor) = &cursor {
            let wait = connector_sdk::units::Duration::from(schedule.due() - time::now());
            info!("going on after poll {}; the next one is due in {wait}", cursor.polls);
        }
        let (polls, seen) = cursor.map_or((0, None), |cursor| (cursor.polls, cursor.seen));
        // An ETag means nothing at another address.
        let seen = seen.filter(|seen| config.conditional && seen.of == fingerprint(&config.endpoint));
        let extractor = Extractor::new(&config);
        Ok(Self { config, endpoint, extractor, schedule, polls, seen, state: State::Waiting })
    }

    fn read(&mut self, limit: Limit) -> Result<Outcome<Cursor>> {
        if limit.max_records == 0 {
            return Ok(Outcome::nothing());
        }
        let until = limit.until();
        loop {
            match &mut self.state {
                State::Waiting => {
                    if !time::sleep_until(self.schedule.due(), until) {
                        return Ok(Outcome::nothing());
                    }
                    let asked = time::unix_millis();
                    let seen = self.seen.as_ref().map(|seen| &seen.validators);
                    let poll = self.endpoint.poll(seen).inspect_err(|_| failed())?;
                    self.state = State::Polling(poll, asked);
                }
                State::Polling(..) => {
                    if !self.advance(until)? {
                        return Ok(Outcome::nothing());
                    }
                }
                State::Delivering(delivery, ..) => {
                    let mut batch = Batch::default();
                    let done = self.extractor.fill(delivery, &mut batch, &limit)?;
                    return Ok(self.outcome(batch, done));
                }
                State::Streaming(stream, _) => {
                    let mut batch = Batch::default();
                    let before = stream.received();
                    let filled = stream.fill(&self.extractor, &mut batch, &limit, until);
                    metrics::counter("bytes_total", stream.received() - before);
                    let done = filled.inspect_err(|error| {
                        failed();
                        if error.kind() != ErrorKind::Data {
                            self.state = State::Waiting;
                        }
                    })?;
                    return Ok(self.outcome(batch, done));
                }
            }
        }
    }
}

impl HttpSource {
    /// Carries the poll on; says whether its answer is there.
    fn advance(&mut self, until: Instant) -> Result<bool> {
        let State::Polling(poll, asked) = &mut self.state else { return Ok(true) };
        let (started, asked) = (poll.started, *asked);
        let arrived = if self.config.stream {
            self.endpoint.stream(poll, until).map(|response| response.map(Arrived::Stream))
        } else {
            self.endpoint.answer(poll, self.config.max_body.as_len(), until).map(|answer| answer.map(Arrived::Whole))
        };
        let arrived = arrived.inspect_err(|_| {
            failed();
            // It stays due: the host tries again when it sees fit.
            self.state = State::Waiting;
        })?;
        let Some(arrived) = arrived else { return Ok(false) };
        metrics::counter("polls_total", 1);
        metrics::histogram("poll_duration_seconds", (time::now() - started).as_secs_f64());
        self.state = match arrived {
            Arrived::Stream(response) => {
                let max_record = self.config.max_record.as_len();
                State::Streaming(Box::new(Stream::new(response, &self.config.delimiter, max_record)), asked)
            }
            Arrived::Whole(answer) => {
                metrics::counter("bytes_total", answer.body.len() as u64);
                let seen = self.seen_by(&answer.head);
                let delivery = self.extractor.start(answer).inspect_err(|_| {
                    failed();
                    self.finish();
                })?;
                State::Delivering(delivery, asked, seen)
            }
        };
        Ok(true)
    }

    /// What the next poll asks for news with, once this answer is delivered.
    fn seen_by(&self, head: &Head) -> Option<Seen> {
        if head.status == 304 {
            return self.seen.clone();
        }
        let validators = head.validators();
        let useful = self.config.conditional && head.status == 200 && validators != Validators::default();
        useful.then(|| Seen { of: fingerprint(&self.config.endpoint), validators })
    }

    /// Records, and at the end of an answer the cursor behind it.
    fn outcome(&mut self, batch: Batch, done: bool) -> Outcome<Cursor> {
        if !done {
            return Outcome { batch, cursor: None, end: false };
        }
        let at = match &mut self.state {
            State::Delivering(_, asked, seen) => {
                self.seen = seen.take();
                *asked
            }
            State::Streaming(_, asked) | State::Polling(_, asked) => *asked,
            State::Waiting => time::unix_millis(),
        };
        self.finish();
        Outcome::records(batch, Cursor { polls: self.polls, at, seen: self.seen.clone() })
    }

    /// The poll is over, for good or ill.
    fn finish(&mut self) {
        self.polls += 1;
        self.schedule.advance();
        self.state = State::Waiting;
    }
}

/// Tells one address from another (FNV-1a, 64 bits).
fn fingerprint(text: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

fn failed() {
    metrics::counter("poll_errors_total", 1);
}

connector_sdk::export_source!(HttpSource);

#[cfg(test)]
mod tests;
