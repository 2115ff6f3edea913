//! Server-sent events: one answer that goes on and on, each event a record.
//!
//! As the HTML standard has it (section 9.2): lines end with LF, CR or both; an event ends with an empty line,
//! and what is left when the answer ends is dropped; `id` is kept for the next request, `retry` is how long
//! to wait before it. What is bounded here and not there: an event of more than `max-record` bytes is an error
//! of kind `data`, and passed over.

use std::time::Duration;

use connector_sdk::http::Chunk;
use connector_sdk::time::{self, Instant};
use connector_sdk::{Batch, Error, ErrorKind, Limit, Result};

use crate::body::Body;
use crate::extract::Extractor;

/// The longest id that is kept: it goes into a header, and into every cursor.
const LONGEST_ID: usize = 4096;

/// Longer than the name of any field with its colon and blank.
const FIELD_NAME: usize = 8;

/// An event, as the standard dispatches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name; `message` unless the server says otherwise.
    pub name: String,
    /// Its data: the `data` lines, joined by line feeds.
    pub data: Vec<u8>,
    /// The last id up to and including this event; empty when there was none.
    pub id: String,
}

/// What may come out of a piece of a stream.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Event(Event),
    /// Not an event, but the id has moved on.
    Id,
    /// An event that can't be used.
    Unusable(&'static str),
}

/// Finds events in a stream of bytes.
#[derive(Debug)]
struct Parser {
    buffer: Vec<u8>,
    /// Where the line begins that is not read yet.
    start: usize,
    /// Up to where there is certainly no end of a line.
    searched: usize,
    max_record: usize,
    /// Whether the stream's first bytes are still to come, which may be a byte order mark.
    first: bool,
    /// Whether the last line ended with CR, so that a LF belongs to it.
    after_cr: bool,
    /// Whether the rest of a line is to be dropped.
    dropping: bool,
    data: Vec<u8>,
    name: String,
    /// The id of the event that is being read, if it has changed.
    next_id: Option<String>,
    id: String,
    retry: Option<Duration>,
    unusable: Option<&'static str>,
}

impl Parser {
    fn new(id: String, max_record: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            max_record,
            first: true,
            after_cr: false,
            dropping: false,
            data: Vec::new(),
            name: String::new(),
            next_id: None,
            id,
            retry: None,
            unusable: None,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next thing that is complete.
    fn next(&mut self) -> Option<Found> {
        if self.first && !self.begin() {
            return None;
        }
        loop {
            let found = memchr::memchr2(b'\r', b'\n', &self.buffer[self.searched..]);
            let Some(end) = found.map(|found| self.searched + found) else {
                self.searched = self.buffer.len();
                self.bound_line();
                return None;
            };
            let (start, is_cr) = (self.start, self.buffer[end] == b'\r');
            self.start = end + 1;
            self.searched = self.start;
            if std::mem::replace(&mut self.after_cr, is_cr) && !is_cr && start == end {
                continue;
            }
            if std::mem::take(&mut self.dropping) {
                continue;
            }
            if start == end {
                if let Some(found) = self.dispatch() {
                    return Some(found);
                }
                continue;
            }
            self.line(start, end);
        }
    }

    /// Takes a byte order mark away; false when it can't be told yet whether there is one.
    fn begin(&mut self) -> bool {
        const MARK: [u8; 3] = *b"\xef\xbb\xbf";
        if self.buffer.len() < MARK.len() && MARK.starts_with(&self.buffer) {
            return false;
        }
        if self.buffer.starts_with(&MARK) {
            (self.start, self.searched) = (MARK.len(), MARK.len());
        }
        self.first = false;
        true
    }

    /// A line that is too long already is not waited for.
    fn bound_line(&mut self) {
        let line = &self.buffer[self.start..];
        if line.len() > self.max_record + FIELD_NAME {
            if !self.dropping && line[0] != b':' {
                self.unusable = Some("is longer than `max-record`");
            }
            self.dropping = true;
            self.data = Vec::new();
        }
        if self.dropping {
            self.start = self.buffer.len();
        }
    }

    fn line(&mut self, start: usize, end: usize) {
        let line = &self.buffer[start..end];
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" if self.unusable.is_some() => {}
            // Each line brings the line feed that joins it to the next.
            b"data" if self.data.len() + value.len() > self.max_record => {
                self.unusable = Some("is longer than `max-record`");
                self.data = Vec::new();
            }
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => self.name = String::from_utf8_lossy(value).into_owned(),
            b"id" if value.len() > LONGEST_ID => self.unusable = Some("has an id of more than 4 KiB"),
            b"id" if !value.contains(&0) => self.next_id = Some(String::from_utf8_lossy(value).into_owned()),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let millis = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                self.retry = Some(Duration::from_millis(millis.unwrap_or(u64::MAX)));
            }
            _ => {}
        }
    }

    /// An empty line: the event is complete.
    fn dispatch(&mut self) -> Option<Found> {
        let moved = match self.next_id.take() {
            Some(id) if id != self.id => {
                self.id = id;
                true
            }
            _ => false,
        };
        let name = std::mem::take(&mut self.name);
        let mut data = std::mem::take(&mut self.data);
        if let Some(why) = self.unusable.take() {
            return Some(Found::Unusable(why));
        }
        if data.pop().is_none() {
            return moved.then_some(Found::Id);
        }
        let name = if name.is_empty() { "message".to_owned() } else { name };
        Some(Found::Event(Event { name, data, id: self.id.clone() }))
    }
}

/// A stream of events on its way into batches.
#[derive(Debug)]
pub struct Events {
    body: Body,
    parser: Parser,
    /// What goes wrong when the records before it are handed out.
    failure: Option<Error>,
    ended: bool,
    /// Events so far, of whatever use.
    events: u64,
}

impl Events {
    /// Reads events out of an answer; `id` is that of the last one of an earlier answer.
    pub fn new(body: Body, id: String, max_record: usize) -> Self {
        Self { body, parser: Parser::new(id, max_record), failure: None, ended: false, events: 0 }
    }

    /// How many bytes have come over the wire.
    pub fn received(&self) -> u64 {
        self.body.received()
    }

    /// The id of the last event that was handed out, or passed over; empty when there is none.
    pub fn id(&self) -> &str {
        &self.parser.id
    }

    /// How long the server asks to wait before the next request.
    pub fn retry(&self) -> Option<Duration> {
        self.parser.retry
    }

    /// Whether anything has come but silence.
    pub fn has_events(&self) -> bool {
        self.events > 0
    }

    /// Adds records until the limit, the time, or the end of the answer; says whether that is reached. With
    /// a record in hand it does not wait for more.
    ///
    /// # Errors
    /// Kind `data` for an event that can't be used, with the stream moved past it; any other kind ends the
    /// stream. Records before a failure go out first.
    pub fn fill(&mut self, extractor: &Extractor, batch: &mut Batch, limit: &Limit, until: Instant) -> Result<bool> {
        loop {
            if limit.is_full(batch) {
                return Ok(false);
            }
            if self.failure.is_some() {
                return if batch.is_empty() { self.failure.take().map_or(Ok(false), Err) } else { Ok(false) };
            }
            if let Some(found) = self.parser.next() {
                self.events += 1;
                let made = match found {
                    Found::Event(event) => extractor.event(self.body.head(), &event, batch),
                    Found::Id => Ok(()),
                    Found::Unusable(why) => Err(Error::data(format!("{}: an event {why}", self.body.head().place))),
                };
                self.failure = made.err();
                if self.failure.is_some() && !batch.is_empty() {
                    return Ok(false);
                }
                continue;
            }
            if self.ended {
                return Ok(true);
            }
            let until = if batch.is_empty() { until } else { time::now() };
            match self.body.read(until) {
                Ok(Chunk::Data(bytes)) => self.parser.push(&bytes),
                Ok(Chunk::End) => self.ended = true,
                Ok(Chunk::Pending) => return Ok(false),
                Err(error) => {
                    // There is no way to go on behind a damaged coding.
                    self.ended = error.kind() == ErrorKind::Data;
                    self.failure = Some(error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
