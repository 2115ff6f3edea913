//! One answer that goes on and on, cut into records at a delimiter.
//!
//! What is not asked for is not read, so a slow topic slows the server down. The buffer holds what one read
//! brought and the beginning of one record, which is bounded: a record that is longer is an error of kind
//! `data`, and skipped up to its delimiter. The tail behind the last delimiter is a record when the answer
//! ends well; when it breaks off, it is half of one, and dropped.

use connector_sdk::http::Chunk;
use connector_sdk::time::{self, Instant};
use connector_sdk::{Batch, Error, ErrorKind, Limit, Result};
use memchr::memmem::Finder;

use crate::body::Body;
use crate::extract::Extractor;

/// An answer on its way into batches.
#[derive(Debug)]
pub struct Stream {
    body: Body,
    delimiter: Finder<'static>,
    max_record: usize,
    buffer: Vec<u8>,
    /// Where the record begins that is not handed out yet.
    start: usize,
    /// Up to where there is certainly no delimiter.
    searched: usize,
    /// Whether the rest of a record that is too long is still to be dropped.
    skipping: bool,
    /// What goes wrong when the records before it are handed out.
    failure: Option<Error>,
    ended: bool,
}

impl Stream {
    /// Cuts an answer at every `delimiter`, which is not empty, into records of up to `max_record` bytes.
    pub fn new(body: Body, delimiter: &str, max_record: usize) -> Self {
        Self {
            body,
            delimiter: Finder::new(delimiter).into_owned(),
            max_record,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            skipping: false,
            failure: None,
            ended: false,
        }
    }

    /// How many bytes have come over the wire.
    pub fn received(&self) -> u64 {
        self.body.received()
    }

    /// Adds records until the limit, the time, or the end of the answer; says whether that is reached. With
    /// a record in hand it does not wait for more.
    ///
    /// # Errors
    /// Kind `data` for a record that can't be used, with the stream moved past it; any other kind ends the
    /// stream. Records before a failure go out first.
    pub fn fill(&mut self, extractor: &Extractor, batch: &mut Batch, limit: &Limit, until: Instant) -> Result<bool> {
        loop {
            self.cut(extractor, batch, limit)?;
            if limit.is_full(batch) {
                return Ok(false);
            }
            if self.failure.is_some() {
                return if batch.is_empty() { self.failure.take().map_or(Ok(false), Err) } else { Ok(false) };
            }
            if self.ended {
                return self.tail(extractor, batch);
            }
            if self.buffer.len() - self.start > self.max_record && !self.skipping {
                self.failure = Some(self.too_long());
                self.skipping = true;
                continue;
            }
            self.make_room();
            let until = if batch.is_empty() { until } else { time::now() };
            match self.body.read(until) {
                Ok(Chunk::Data(bytes)) => self.buffer.extend_from_slice(&bytes),
                Ok(Chunk::End) => self.ended = true,
                Ok(Chunk::Pending) => return Ok(false),
                Err(error) => {
                    if error.kind() == ErrorKind::Data {
                        // There is no way to go on behind a damaged coding.
                        self.ended = true;
                        self.start = self.buffer.len();
                    }
                    self.failure = Some(error);
                }
            }
        }
    }

    /// Hands out what is complete.
    fn cut(&mut self, extractor: &Extractor, batch: &mut Batch, limit: &Limit) -> Result<()> {
        while !limit.is_full(batch) && self.failure.is_none() {
            let Some(found) = self.delimiter.find(&self.buffer[self.searched..]) else {
                // The delimiter's first bytes may have come already.
                let keep = self.delimiter.needle().len() - 1;
                self.searched = self.buffer.len().saturating_sub(keep).max(self.searched);
                return Ok(());
            };
            let end = self.searched + found;
            let record = self.start..end;
            self.start = end + self.delimiter.needle().len();
            self.searched = self.start;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            let made = if record.len() > self.max_record {
                Err(self.too_long())
            } else {
                extractor.piece(self.body.head(), &self.buffer[record], batch)
            };
            self.fail(made, batch)?;
        }
        Ok(())
    }

    /// The answer has ended: what is left is a record without a delimiter.
    fn tail(&mut self, extractor: &Extractor, batch: &mut Batch) -> Result<bool> {
        let record = self.start..self.buffer.len();
        self.start = self.buffer.len();
        if !record.is_empty() && !self.skipping {
            let made = if record.len() > self.max_record {
                Err(self.too_long())
            } else {
                extractor.piece(self.body.head(), &self.buffer[record], batch)
            };
            self.fail(made, batch)?;
        }
        Ok(self.failure.is_none())
    }

    /// Returns a failure now, or keeps it until the records before it are out.
    fn fail(&mut self, made: Result<()>, batch: &Batch) -> Result<()> {
        match made {
            Err(error) if !batch.is_empty() => {
                self.failure = Some(error);
                Ok(())
            }
            made => made,
        }
    }

    /// Drops what was handed out, and what is skipped.
    fn make_room(&mut self) {
        let gone = if self.skipping { self.searched } else { self.start };
        self.buffer.drain(..gone);
        self.start = 0;
        self.searched -= gone;
    }

    fn too_long(&self) -> Error {
        let (head, max_record) = (self.body.head(), self.max_record);
        Error::data(format!(
            "{}: a record is longer than `max-record`, {max_record} bytes; is `delimiter` the right one?",
            head.place
        ))
    }
}

#[cfg(test)]
mod tests;
