//! One reading: from waiting through asking to handing out, and round again. What becomes of answers is in
//! [`answers`].

mod answers;

use std::time::Duration;

use connector_sdk::time::{self, Instant};
use connector_sdk::{Batch, Error, ErrorKind, Limit, Outcome, Result, info, metrics, units};

use crate::body::Body;
use crate::config::Config;
use crate::cursor::{Cursor, LastEvent, Place, Seen, fingerprint_text};
use crate::elements::Delivery;
use crate::events::Events;
use crate::extract::Extractor;
use crate::pages::{Next, Page, Pages};
use crate::protocol::{Endpoint, Poll};
use crate::schedule::Schedule;
use crate::stream::Stream;

/// The reader behind the source.
#[derive(Debug)]
pub struct Reader {
    config: Config,
    endpoint: Endpoint,
    pages: Pages,
    extractor: Extractor,
    schedule: Schedule,
    /// The endpoint's address, as a fingerprint.
    of: String,
    /// Polls that are through.
    polls: u64,
    seen: Option<Seen>,
    /// The page to ask for, the first unless given.
    page: Option<Page>,
    /// The poll that is not through yet.
    round: Option<Round>,
    /// When to ask again, where it is not for the schedule to say.
    again: Option<Instant>,
    /// What an earlier run left to do.
    resumed: Option<Resumed>,
    /// Whether the endpoint is known to send events.
    events: bool,
    /// The id of the last one that was handed out, and whether the host has not been told of it yet.
    event: String,
    untold: bool,
    /// How long the server asks to wait before the next request.
    retry: Option<Duration>,
    /// The place behind the last answer, until that is durable: no record of the next one goes out before, so
    /// that a crash repeats one answer and no more.
    held: Option<Cursor>,
    /// What goes wrong when the records before it are handed out.
    failure: Option<Error>,
    state: State,
}

/// A poll of as many pages as it takes.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// The wall clock's time at which it began, in milliseconds since 1970.
    asked: i64,
    /// Pages that are handed out.
    pages: u32,
}

/// The place where an earlier run stopped in the middle of a poll.
#[derive(Debug)]
struct Resumed {
    taken: Option<(u64, String)>,
}

#[derive(Debug)]
enum State {
    /// Until the next request is due.
    Waiting,
    /// Until there is an answer.
    Asking(Box<Poll>),
    /// Until the answer is complete.
    Collecting(Box<Body>, Instant),
    /// Until every record of the answer is handed out.
    Delivering(Box<Delivery>, Next, Option<Seen>),
    /// Until the answer ends.
    Streaming(Box<Stream>),
    /// Until the events end.
    Listening(Box<Events>),
}

/// Makes sure that an answer without an end can be read as it comes.
pub fn endless(config: &Config, endpoint: &Endpoint, body: &mut Body, events: bool) -> Result<()> {
    if config.is_events() && !events {
        let head = body.head();
        let kind = head.headers.get_str("content-type").unwrap_or("no type at all");
        return Err(endpoint.odd(format!("{}: the answer is {kind}, not text/event-stream", head.place)));
    }
    body.endless();
    body.keeps_up()
}

impl Reader {
    /// Starts where the cursor says.
    ///
    /// # Errors
    /// Kind `config`, naming the key.
    pub fn open(config: Config, endpoint: Endpoint, pages: Pages, cursor: Option<Cursor>) -> Result<Self> {
        let of = fingerprint_text(config.endpoint.as_bytes());
        let schedule = config.schedule(cursor.as_ref().map(|cursor| cursor.at))?;
        let started = cursor.is_some();
        let Cursor { polls, at, seen, place, event } = cursor.unwrap_or_default();
        // What is known of one address means nothing at another.
        let seen = seen.filter(|seen| config.conditional && seen.of == of);
        let event = event.filter(|event| event.of == of && config.may_be_events());
        let place = place.filter(|place| place.of == of && place.page.iter().all(|page| pages.knows(page)));
        let mut reader = Self {
            extractor: Extractor::new(&config),
            events: event.is_some() || config.is_events(),
            event: event.map(|event| event.id).unwrap_or_default(),
            untold: false,
            retry: None,
            page: None,
            round: None,
            again: None,
            resumed: None,
            held: None,
            failure: None,
            state: State::Waiting,
            config,
            endpoint,
            pages,
            schedule,
            of,
            polls,
            seen,
        };
        if reader.events {
            reader.again = Some(time::now());
        }
        if let Some(Place { page, pages, taken, .. }) = place {
            reader.page = page;
            if let Some(pages) = pages {
                reader.round = Some(Round { asked: at, pages });
                reader.again = Some(time::now());
                reader.resumed = Some(Resumed { taken });
                reader.schedule = reader.schedule.under_way();
            }
        }
        if let Some(round) = reader.round {
            let page = round.pages + 1;
            info!("going on with page {page} of the poll after poll {polls}");
        } else if !reader.event.is_empty() {
            info!("going on after the event `{}`", reader.event);
        } else if started {
            let wait = units::Duration::from(reader.schedule.due() - time::now());
            info!("going on after poll {polls}; the next one is due in {wait}");
        }
        Ok(reader)
    }

    /// The next records.
    ///
    /// # Errors
    /// Those of the poll, and `data` for what no records can be made of.
    pub fn read(&mut self, limit: &Limit) -> Result<Outcome<Cursor>> {
        let until = limit.until();
        loop {
            if let Some(failure) = self.failure.take() {
                failed();
                return Err(failure);
            }
            match &mut self.state {
                State::Waiting => {
                    let due = self.again.unwrap_or_else(|| self.schedule.due());
                    if !time::sleep_until(due, until) {
                        return Ok(Outcome::nothing());
                    }
                    let poll = self.ask().inspect_err(|_| failed())?;
                    self.state = State::Asking(Box::new(poll));
                }
                State::Asking(_) | State::Collecting(..) => {
                    let arrived = if matches!(self.state, State::Asking(_)) {
                        self.answered(until)
                    } else {
                        self.collected(until)
                    };
                    match arrived {
                        Ok(Some(Arrived::Here)) => {}
                        Ok(Some(Arrived::Ended(outcome))) => return Ok(*outcome),
                        Ok(None) => return Ok(Outcome::nothing()),
                        Err(error) => {
                            failed();
                            return Err(error);
                        }
                    }
                }
                // Without waiting, which tells the host that it is waited for.
                State::Delivering(..) if self.held.is_some() => return Ok(Outcome::nothing()),
                State::Delivering(delivery, ..) => {
                    let mut batch = Batch::default();
                    let done = self.extractor.fill(delivery, &mut batch, limit)?;
                    return Ok(self.delivered(batch, done));
                }
                State::Streaming(stream) => {
                    let mut batch = Batch::default();
                    let before = stream.received();
                    let filled = stream.fill(&self.extractor, &mut batch, limit, until);
                    metrics::counter("bytes_total", stream.received() - before);
                    let done = filled.inspect_err(|error| self.stream_failed(error))?;
                    let cursor = done.then(|| self.finish(None));
                    return Ok(Outcome { batch, cursor, end: false });
                }
                State::Listening(_) => return self.listen(limit, until),
            }
        }
    }

    /// Sends the request that is due.
    fn ask(&mut self) -> Result<Poll> {
        let mut request = self.endpoint.request().at(&self.pages.address(self.page.as_ref()))?;
        let asked = time::unix_millis();
        match &mut self.round {
            // A first page counts from the attempt that brings it.
            Some(round) if round.pages == 0 && self.resumed.is_none() => round.asked = asked,
            Some(_) => {}
            None => {
                self.pages.begin();
                self.round = Some(Round { asked, pages: 0 });
            }
        }
        if let Some(seen) = &self.seen {
            request = seen.validators.ask(request)?;
        }
        if self.events && !self.event.is_empty() {
            // An id that no header can hold is not for sending back.
            request = match request.clone().header("last-event-id", &self.event) {
                Ok(with_id) => with_id,
                Err(_) => request,
            };
        }
        Ok(self.endpoint.poll(request))
    }

    /// Everything up to this cursor is durable.
    pub fn commit(&mut self, cursor: &Cursor) {
        if self.held.as_ref().is_some_and(|held| held.progress() <= cursor.progress()) {
            self.held = None;
        }
    }

    /// On to the next page, at once.
    fn turn_to(&mut self, page: Page) {
        self.page = Some(page);
        self.round = self.round.map(|round| Round { pages: round.pages + 1, ..round });
        self.again = Some(time::now());
        self.resumed = None;
        self.state = State::Waiting;
    }

    /// The poll is over, for good or ill; the next one begins at this page, or at the first. Returns the place
    /// behind it.
    fn finish(&mut self, from: Option<Page>) -> Cursor {
        let at = self.round.take().map_or_else(time::unix_millis, |round| round.asked);
        self.polls += 1;
        self.schedule.advance();
        (self.again, self.resumed) = (None, None);
        self.state = State::Waiting;
        self.page = from;
        let of = self.of.clone();
        let place = self.page.clone().map(|page| Place { of, page: Some(page), pages: None, taken: None });
        self.cursor_at(at, place)
    }

    /// The place in the poll under way, with so many records of its page handed out.
    fn cursor(&mut self, taken: Option<(u64, String)>) -> Cursor {
        let Some(round) = self.round else { return self.cursor_at(time::unix_millis(), None) };
        let place = Place { of: self.of.clone(), page: self.page.clone(), pages: Some(round.pages), taken };
        // Events have their ids, and no other place.
        let place = Some(place).filter(|_| !matches!(self.state, State::Listening(_)));
        self.cursor_at(round.asked, place)
    }

    fn cursor_at(&mut self, at: i64, place: Option<Place>) -> Cursor {
        self.untold = false;
        let event = Some(self.event.clone()).filter(|id| !id.is_empty());
        let event = event.map(|id| LastEvent { of: self.of.clone(), id });
        Cursor { polls: self.polls, at, seen: self.seen.clone(), place, event }
    }

    fn stream_failed(&mut self, error: &Error) {
        failed();
        if error.kind() != ErrorKind::Data {
            self.state = State::Waiting;
        }
    }
}

/// What a turn has brought.
enum Arrived {
    /// The next state.
    Here,
    /// Something to tell the host.
    Ended(Box<Outcome<Cursor>>),
}

fn failed() {
    metrics::counter("poll_errors_total", 1);
}

/// A poll, or a page of one, is answered.
fn count(started: Instant) {
    metrics::counter("polls_total", 1);
    metrics::histogram("poll_duration_seconds", (time::now() - started).as_secs_f64());
}
