//! An answer's body, with its content coding undone.

use connector_sdk::http::{Chunk, Headers, Response};
use connector_sdk::time::Instant;
use connector_sdk::{Error, Result};

use crate::coding::{Decoder, Pulled};
use crate::protocol::Head;

/// A body on its way.
#[derive(Debug)]
pub struct Body {
    response: Response,
    head: Head,
    decoder: Option<Decoder>,
    collected: Vec<u8>,
}

impl Body {
    /// The body of an answer.
    ///
    /// # Errors
    /// Kind `data` when it is coded in a way that is not known.
    pub fn new(response: Response) -> Result<Self> {
        let mut head = Head::of(&response);
        let decoder = Decoder::for_answer(&head.headers).map_err(|error| error.context(&head.place))?;
        if decoder.is_some() {
            // They tell of what is on the wire, not of what is handed on.
            head.headers.remove("content-encoding");
            head.headers.remove("content-length");
        }
        Ok(Self { response, head, decoder, collected: Vec::new() })
    }

    /// Everything but the body; without the fields that tell of its coding.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The address it came from in the end, with its query.
    pub fn address(&self) -> &str {
        self.response.url()
    }

    /// How many bytes have come over the wire.
    pub fn received(&self) -> u64 {
        self.response.received()
    }

    /// The answer turned out to have no end.
    pub fn endless(&mut self) {
        self.response.endless();
    }

    /// Refuses a coding that would hold records of a stream back.
    ///
    /// # Errors
    /// Kind `config`.
    pub fn keeps_up(&self) -> Result<()> {
        if self.decoder.as_ref().is_none_or(Decoder::keeps_up) {
            return Ok(());
        }
        Err(Error::config(format!(
            "{}: a stream in zstd can't be read as it comes; ask for another coding, as in `headers: \
             [\"Accept-Encoding: gzip\"]`",
            self.head.place
        )))
    }

    /// The next piece, or [`Chunk::Pending`] when none came until then.
    ///
    /// # Errors
    /// Those of [`Response::read`], and `data` when the coding can't be undone.
    pub fn read(&mut self, until: Instant) -> Result<Chunk> {
        let Some(decoder) = &mut self.decoder else { return self.response.read(until) };
        loop {
            match decoder.pull().map_err(|error| error.context(&self.head.place))? {
                Pulled::Data(bytes) => return Ok(Chunk::Data(bytes)),
                Pulled::End => return Ok(Chunk::End),
                Pulled::Starved => match self.response.read(until)? {
                    Chunk::Data(bytes) => decoder.push(&bytes),
                    Chunk::End => decoder.close(),
                    Chunk::Pending => return Ok(Chunk::Pending),
                },
            }
        }
    }

    /// Reads until the body is complete; `None` when it is not until then: call it again.
    ///
    /// # Errors
    /// As [`read`](Self::read); `data` when it is longer than `limit` bytes, coded or not.
    pub fn collect(&mut self, limit: usize, until: Instant) -> Result<Option<Vec<u8>>> {
        if self.decoder.is_none() {
            return self.response.collect(limit, until);
        }
        loop {
            match self.read(until)? {
                Chunk::Data(bytes) if bytes.len() > limit - self.collected.len().min(limit) => {
                    return Err(Error::data(format!(
                        "{}: the body unfolds to more than the limit of {limit} bytes (`max-body`)",
                        self.head.place
                    )));
                }
                Chunk::Data(bytes) => self.collected.extend_from_slice(&bytes),
                Chunk::End => return Ok(Some(std::mem::take(&mut self.collected))),
                Chunk::Pending => return Ok(None),
            }
        }
    }
}

/// Whether an answer announces a stream of events.
pub fn is_event_stream(headers: &Headers) -> bool {
    let kind = headers.get_str("content-type").and_then(|value| value.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}
