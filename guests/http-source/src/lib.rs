//! Polls an HTTP endpoint and makes records of its answers.
//!
//! Two stages, as everywhere: [`protocol`] talks HTTP, [`extract`] makes records of answers.
//!
//! **What is promised.** An answer counts when it is complete; of a broken one nothing is produced. The
//! cursor moves when every record of an answer has been handed out, so after a crash in the middle of one
//! the next poll is made at once and its answer delivered whole: at least once, repeats at most one answer.
//! A poll that fails stays due, and the host decides when to try again; one whose answer can't be used is
//! over, and the next one is made when its time has come.
//!
//! A poll may take longer than the host lets a read wait: then it goes on over several reads.

mod config;
mod extract;
mod pointer;
mod protocol;
mod schedule;

use connector_sdk::time::{self, Instant};
use connector_sdk::{Batch, Check, Error, Limit, Outcome, Result, Source, Spec, info, metrics, spec};
use serde::{Deserialize, Serialize};

use config::Config;
use extract::{Delivery, Extractor};
use protocol::{Answer, Endpoint, Poll};
use schedule::Schedule;

/// Where a reader stands: behind the last answer whose records were all handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// How many answers that makes.
    polls: u64,
    /// When the last of them was asked for, in milliseconds since 1970.
    at: i64,
}

/// The source.
#[derive(Debug)]
pub struct HttpSource {
    endpoint: Endpoint,
    extractor: Extractor,
    schedule: Schedule,
    polls: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Until the next poll is due.
    Waiting,
    /// Until the answer is complete. With the wall clock's time at which it was asked for.
    Polling(Poll, i64),
    /// Until every record is handed out.
    Delivering(Delivery, i64),
}

impl Source for HttpSource {
    const SPEC: Spec = spec!("http");
    type Config = Config;
    type Cursor = Cursor;

    fn check(config: Config) -> Check {
        let mut endpoint = None;
        let mut answer = None;
        let extractor = Extractor::new(&config);
        Check::builder()
            .step("configuration is valid", || {
                endpoint = Some(open_endpoint(&config, false)?);
                Ok(())
            })
            .step("endpoint answers", || {
                answer = endpoint.as_mut().map(answer_of).transpose()?;
                Ok(())
            })
            .step("records can be made of the answer", || {
                let Some(answer) = answer else { return Ok(()) };
                let limit = Limit { max_records: 1, max_bytes: 1, max_wait: std::time::Duration::ZERO };
                extractor.fill(&mut extractor.start(answer)?, &mut Batch::default(), &limit).map(drop)
            })
            .build()
    }

    fn open(config: Config, cursor: Option<Cursor>) -> Result<Self> {
        let schedule = Schedule::new(config.interval.get(), cursor.map(|cursor| cursor.at));
        if let Some(cursor) = cursor {
            let wait = connector_sdk::units::Duration::from(schedule.due() - time::now());
            info!("going on after poll {}; the next one is due in {wait}", cursor.polls);
        }
        Ok(Self {
            endpoint: open_endpoint(&config, cursor.is_some())?,
            extractor: Extractor::new(&config),
            schedule,
            polls: cursor.map_or(0, |cursor| cursor.polls),
            state: State::Waiting,
        })
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
                    let at = time::unix_millis();
                    let poll = self.endpoint.poll().inspect_err(|_| metrics::counter("poll_errors_total", 1))?;
                    self.state = State::Polling(poll, at);
                }
                State::Polling(..) => {
                    if !self.poll(until)? {
                        return Ok(Outcome::nothing());
                    }
                }
                State::Delivering(delivery, at) => {
                    let mut batch = Batch::default();
                    let done = self.extractor.fill(delivery, &mut batch, &limit)?;
                    let cursor = Cursor { polls: self.polls + 1, at: *at };
                    if done {
                        self.finish();
                    }
                    return Ok(Outcome { batch, cursor: done.then_some(cursor), end: false });
                }
            }
        }
    }
}

impl HttpSource {
    /// Carries the poll on; says whether its answer is there.
    fn poll(&mut self, until: Instant) -> Result<bool> {
        let State::Polling(poll, at) = &mut self.state else { return Ok(true) };
        let at = *at;
        let answer = match self.endpoint.advance(poll, until) {
            Ok(None) => return Ok(false),
            Ok(Some(answer)) => answer,
            Err(error) => {
                metrics::counter("poll_errors_total", 1);
                // It stays due: the host tries again when it sees fit.
                self.state = State::Waiting;
                return Err(error);
            }
        };
        metrics::counter("polls_total", 1);
        metrics::counter("bytes_total", answer.body.len() as u64);
        metrics::histogram("poll_duration_seconds", (time::now() - poll.started).as_secs_f64());
        match self.extractor.start(answer) {
            Ok(delivery) => {
                self.state = State::Delivering(delivery, at);
                Ok(true)
            }
            Err(error) => {
                metrics::counter("poll_errors_total", 1);
                self.finish();
                Err(error)
            }
        }
    }

    /// The poll is over, for good or ill.
    fn finish(&mut self) {
        self.polls += 1;
        self.schedule.advance();
        self.state = State::Waiting;
    }
}

fn open_endpoint(config: &Config, proven: bool) -> Result<Endpoint> {
    let request = config.request()?;
    Ok(Endpoint::new(request, config.max_body.as_len(), config.produce_errors, proven))
}

/// One poll to its end, however long its timeouts allow.
fn answer_of(endpoint: &mut Endpoint) -> Result<Answer> {
    let mut poll = endpoint.poll()?;
    let until = poll.started + CHECK_PATIENCE;
    endpoint.advance(&mut poll, until)?.ok_or_else(|| Error::unreachable("no complete answer within 20s"))
}

/// A check answers sooner than the host's patience with one call (30 s) ends.
const CHECK_PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

connector_sdk::export_source!(HttpSource);

#[cfg(test)]
mod tests;
