//! From the head of an answer to the last of its records.

use connector_sdk::time::{self, Instant};
use connector_sdk::{Batch, Error, ErrorKind, Limit, Outcome, Result, debug, info, metrics, warn};

use super::{Arrived, Reader, Round, State, count, endless, failed};
use crate::body::is_event_stream;
use crate::cursor::{Cursor, Seen};
use crate::elements::Delivery;
use crate::events::Events;
use crate::pages::Next;
use crate::protocol::{Answer, Head, Validators};
use crate::stream::Stream;

impl Reader {
    /// Waits for the answer's head, and decides what to do with its body.
    pub(super) fn answered(&mut self, until: Instant) -> Result<Option<Arrived>> {
        let State::Asking(poll) = &mut self.state else { return Ok(Some(Arrived::Here)) };
        let answered = self.endpoint.answer(poll, until);
        let (started, refused) = (poll.started, poll.refused);
        let mut body = match answered {
            Ok(None) => return Ok(None),
            Ok(Some(body)) => body,
            Err(error) => {
                // It stays due: the host tries again when it sees fit.
                self.state = State::Waiting;
                if error.kind() == ErrorKind::Data {
                    self.finish(None);
                }
                return self.refused(refused, error);
            }
        };
        let head = body.head();
        let events = self.config.may_be_events() && is_event_stream(&head.headers);
        if self.events && head.status == 204 {
            info!("{}: the server says that there are no more events", head.place);
            self.state = State::Waiting;
            return Ok(Some(Arrived::Ended(Box::new(Outcome {
                batch: Batch::default(),
                cursor: Some(self.finish(None)),
                end: true,
            }))));
        }
        let good = head.is_good();
        if !good || !(self.config.stream || events || self.config.is_events()) {
            self.state = State::Collecting(Box::new(body), started);
            return Ok(Some(Arrived::Here));
        }
        self.state = State::Waiting;
        endless(&self.config, &self.endpoint, &mut body, events)?;
        self.endpoint.prove();
        count(started);
        let max_record = self.config.max_record.as_len();
        self.state = if events {
            self.events = true;
            State::Listening(Box::new(Events::new(body, self.event.clone(), max_record)))
        } else {
            State::Streaming(Box::new(Stream::new(body, &self.config.delimiter, max_record)))
        };
        Ok(Some(Arrived::Here))
    }

    /// A page is refused: that may be the end of the list, or the end of what an earlier run had begun.
    fn refused(&mut self, status: Option<u16>, error: Error) -> Result<Option<Arrived>> {
        let Some(status) = status else { return Err(error) };
        if self.pages.ends_with(status, self.page.as_ref()) {
            debug!("{error}: taken for the end of the pages");
            let cursor = Some(self.finish(None));
            return Ok(Some(Arrived::Ended(Box::new(Outcome { batch: Batch::default(), cursor, end: false }))));
        }
        let gone = matches!(status, 400 | 404 | 410 | 422);
        let first = self.resumed.is_some() || self.round.is_some_and(|round| round.pages == 0);
        if gone && first && self.page.is_some() {
            warn!("{error}; the page to go on with is gone: starting again at the first one");
            (self.page, self.resumed) = (None, None);
            self.round = self.round.map(|round| Round { pages: 0, ..round });
            return Ok(Some(Arrived::Here));
        }
        Err(error)
    }

    /// Waits for the rest of the body, and begins to hand it out.
    pub(super) fn collected(&mut self, until: Instant) -> Result<Option<Arrived>> {
        let State::Collecting(body, started) = &mut self.state else { return Ok(Some(Arrived::Here)) };
        let started = *started;
        let whole = match body.collect(self.config.max_body.as_len(), until) {
            Ok(None) => return Ok(None),
            Ok(Some(whole)) => whole,
            Err(error) => {
                self.state = State::Waiting;
                if error.kind() == ErrorKind::Data {
                    // It would be the same the next time.
                    self.finish(None);
                }
                return Err(error);
            }
        };
        metrics::counter("bytes_total", body.received());
        count(started);
        let answer = Answer::new(body, whole);
        self.state = State::Waiting;
        if answer.head.is_good() {
            self.endpoint.prove();
        }
        let seen = self.seen_by(&answer.head);
        let sign = self.pages.sign(self.page.as_ref(), &answer);
        let count = self.round.map_or(0, |round| round.pages) + 1;
        let begun = self.extractor.start(answer);
        let empty = begun.as_ref().is_ok_and(Delivery::is_empty);
        let next = self.pages.after(self.page.as_ref(), sign, empty, count);
        let (mut delivery, next) = match (begun, next) {
            (Ok(delivery), Ok(next)) => (delivery, next),
            (Err(error), Ok(Next::Page(page))) => {
                // Past what can't be used, as far as the way is known.
                self.turn_to(page);
                return Err(error);
            }
            (Err(error), _) | (_, Err(error)) => {
                self.finish(None);
                return Err(error);
            }
        };
        if let Some(position) = self.resumed.take().and_then(|resumed| resumed.taken) {
            match delivery.resume(&position) {
                true => debug!("going on behind the {} records that an earlier run has handed out", position.0),
                false => debug!("the page has changed since an earlier run began it; it is handed out whole"),
            }
        }
        self.state = State::Delivering(Box::new(delivery), next, seen);
        Ok(Some(Arrived::Here))
    }

    /// What the next poll asks for news with, once this answer is delivered.
    fn seen_by(&self, head: &Head) -> Option<Seen> {
        if head.status == 304 {
            return self.seen.clone();
        }
        let validators = head.validators();
        let useful = self.config.conditional && head.status == 200 && validators != Validators::default();
        useful.then(|| Seen { of: self.of.clone(), validators })
    }

    /// Records of a complete answer, and the place behind them.
    pub(super) fn delivered(&mut self, batch: Batch, done: bool) -> Outcome<Cursor> {
        let State::Delivering(delivery, ..) = &mut self.state else { return Outcome::nothing() };
        if !done {
            let cursor = delivery.position().map(|position| self.cursor(Some(position)));
            return Outcome { batch, cursor, end: false };
        }
        let State::Delivering(_, next, seen) = std::mem::replace(&mut self.state, State::Waiting) else {
            return Outcome::nothing();
        };
        self.seen = seen;
        let cursor = match next {
            Next::Page(page) => {
                self.turn_to(page);
                self.cursor(None)
            }
            Next::End(from) => self.finish(from),
            Next::Broken(error) => {
                self.failure = Some(error);
                self.finish(None)
            }
        };
        self.held = Some(cursor.clone());
        Outcome::records(batch, cursor)
    }

    /// Events, and the id of the last one.
    pub(super) fn listen(&mut self, limit: &Limit, until: Instant) -> Result<Outcome<Cursor>> {
        let State::Listening(events) = &mut self.state else { return Ok(Outcome::nothing()) };
        let mut batch = Batch::default();
        let before = events.received();
        let filled = events.fill(&self.extractor, &mut batch, limit, until);
        metrics::counter("bytes_total", events.received() - before);
        if events.id() != self.event {
            self.event = events.id().to_owned();
            self.untold = true;
        }
        self.retry = events.retry().or(self.retry);
        let wait = self.retry.unwrap_or_default();
        let came = events.has_events();
        match filled {
            Ok(false) => {
                let cursor = self.untold.then(|| self.cursor(None));
                Ok(Outcome { batch, cursor, end: false })
            }
            Ok(true) => {
                let cursor = self.finish(None);
                // A server that has nothing to say, each time, is not asked all the time.
                let wait = if came { wait } else { wait.max(self.config.interval()) };
                self.again = Some(time::now() + wait);
                Ok(Outcome::records(batch, cursor))
            }
            Err(error) if error.kind() == ErrorKind::Data => {
                failed();
                Err(error)
            }
            // Streams of events are cut off by whatever stands between; what came was complete.
            Err(error) if came => {
                debug!("{error}; asking for more");
                let cursor = self.finish(None);
                self.again = Some(time::now() + wait);
                Ok(Outcome::records(batch, cursor))
            }
            Err(error) => {
                failed();
                self.state = State::Waiting;
                self.again = Some(time::now());
                Err(error.retry_after(wait))
            }
        }
    }
}
