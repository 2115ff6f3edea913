//! Undoes a content coding (gzip, deflate, br, zstd), piece by piece and bounded: what goes in is taken only
//! as far as what comes out is wanted, so that a few bytes which unfold into gigabytes cost no memory. How
//! much may come out altogether is the caller's business.
//!
//! What can't be undone is an error of kind `data`: damaged, cut off, or a coding that nobody knows.

mod zstd;

use std::io::Write as _;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use connector_sdk::http::Headers;
use connector_sdk::{Error, Result};
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

/// What is asked for: the codings that are common, the best last.
pub const ACCEPTED: &str = "gzip, br, zstd";

/// About how much comes out in one piece; a coding's own buffers may make it up to three times as much.
const PIECE: usize = 64 << 10;

/// Undoes one coding.
pub struct Decoder {
    coding: Coding,
    name: &'static str,
    input: Vec<u8>,
    /// Where the input begins that is not taken yet.
    start: usize,
    /// Whether any input has come.
    begun: bool,
    /// Whether there will be no more.
    closed: bool,
    ended: bool,
}

/// What is to be had at the moment.
#[derive(Debug, PartialEq, Eq)]
pub enum Pulled {
    /// The next bytes; at least one.
    Data(Vec<u8>),
    /// Nothing without more input.
    Starved,
    /// Everything has come.
    End,
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

enum Coding {
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    /// With or without the frame of zlib, which the first two bytes tell.
    Deflate(Option<Decompress>),
    Brotli(Box<Brotli>),
    Zstd(Box<zstd::Decoder>),
}

/// How far one step came.
struct Step {
    /// How much of the input it took.
    taken: usize,
    /// Whether the coded data is complete.
    complete: bool,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decoder({}, {} bytes waiting)", self.name, self.input.len() - self.start)
    }
}

impl Decoder {
    /// The decoder that an answer's `Content-Encoding` asks for; `None` when it is not coded.
    ///
    /// # Errors
    /// Kind `data` when the coding is not known, or there are several on top of each other.
    pub fn for_answer(headers: &Headers) -> Result<Option<Self>> {
        let fields = headers.iter().filter(|(name, _)| *name == "content-encoding");
        let mut names = Vec::new();
        for (_, value) in fields {
            let text = String::from_utf8_lossy(value);
            names.extend(text.split(',').map(|name| name.trim().to_ascii_lowercase()));
        }
        names.retain(|name| !name.is_empty() && name != "identity");
        let [name] = names.as_slice() else {
            return match names.is_empty() {
                true => Ok(None),
                false => Err(Error::data(format!("the body is coded several times over (`{}`)", names.join(", ")))),
            };
        };
        let (coding, name) = match name.as_str() {
            "gzip" | "x-gzip" => (Coding::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))), "gzip"),
            "deflate" => (Coding::Deflate(None), "deflate"),
            "br" => (Coding::Brotli(Box::new(brotli())), "br"),
            "zstd" => (Coding::Zstd(Box::default()), "zstd"),
            other => {
                let other: String = other.chars().take(40).collect();
                return Err(Error::data(format!(
                    "the body is coded as `{other}`, which is not known; known are gzip, deflate, br and zstd"
                )));
            }
        };
        let (input, start) = (Vec::new(), 0);
        Ok(Some(Self { coding, name, input, start, begun: false, closed: false, ended: false }))
    }

    /// Whether what comes out keeps up with what goes in. Zstandard holds back its window.
    pub fn keeps_up(&self) -> bool {
        !matches!(self.coding, Coding::Zstd(_))
    }

    /// Takes more input; best when [`pull`](Self::pull) is starved.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.drain(..self.start);
        self.start = 0;
        self.input.extend_from_slice(bytes);
        self.begun |= !bytes.is_empty();
    }

    /// There is no more input.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// What comes next.
    ///
    /// # Errors
    /// Kind `data` when the coding can't be undone; nothing more comes then.
    pub fn pull(&mut self) -> Result<Pulled> {
        // No body at all, as answers to HEAD and 304 have it, is no damaged one.
        if self.ended || (self.closed && !self.begun) {
            return Ok(Pulled::End);
        }
        let mut out = Vec::new();
        loop {
            let input = &self.input[self.start..];
            let step = self.coding.step(input, self.closed, &mut out).map_err(|why| self.damaged(&why))?;
            self.start += step.taken;
            if step.complete {
                self.ended = true;
                if self.start < self.input.len() {
                    return Err(self.damaged("there is more behind its end"));
                }
            }
            return match (out.is_empty(), step) {
                (false, _) => Ok(Pulled::Data(out)),
                (true, Step { complete: true, .. }) => Ok(Pulled::End),
                (true, Step { taken: 1.., .. }) => continue,
                (true, _) if self.closed => Err(self.damaged("it ends too early")),
                (true, _) => Ok(Pulled::Starved),
            };
        }
    }

    fn damaged(&self, why: &str) -> Error {
        Error::data(format!("the body is not the {} that it is declared to be: {why}", self.name))
    }
}

fn brotli() -> Brotli {
    // Strict: no windows beyond 16 MiB.
    BrotliState::new_strict(StandardAlloc::default(), StandardAlloc::default(), StandardAlloc::default())
}

impl Coding {
    /// Takes some of the input and adds what comes of it, without waiting for more of the one or making too
    /// much of the other.
    fn step(&mut self, input: &[u8], closed: bool, out: &mut Vec<u8>) -> Result<Step, String> {
        match self {
            Self::Gzip(decoder) => gzip(decoder, input, closed, out),
            Self::Deflate(decoder) => deflate(decoder, input, closed, out),
            Self::Brotli(state) => brotli_step(state, input, out),
            Self::Zstd(decoder) => decoder.step(input, closed, out),
        }
    }
}

fn gzip(decoder: &mut MultiGzDecoder<Vec<u8>>, input: &[u8], closed: bool, out: &mut Vec<u8>) -> Result<Step, String> {
    let why = |error: std::io::Error| error.to_string();
    let taken = decoder.write(input).map_err(why)?;
    let complete = closed && taken == input.len();
    if complete {
        decoder.try_finish().map_err(|_| "it ends too early, or its checksum is wrong".to_owned())?;
    } else if taken == input.len() {
        decoder.flush().map_err(why)?;
    }
    out.append(decoder.get_mut());
    Ok(Step { taken, complete })
}

fn deflate(decoder: &mut Option<Decompress>, input: &[u8], closed: bool, out: &mut Vec<u8>) -> Result<Step, String> {
    let decoder = match decoder {
        Some(decoder) => decoder,
        None if input.len() < 2 && !closed => return Ok(Step { taken: 0, complete: false }),
        None => {
            // RFC 9110 means zlib's frame; some servers leave it out.
            let framed = matches!(input, [first, second, ..] if first & 15 == 8
                && u16::from_be_bytes([*first, *second]).is_multiple_of(31));
            decoder.insert(Decompress::new(framed))
        }
    };
    let (before_in, before_out) = (decoder.total_in(), decoder.total_out());
    out.resize(PIECE, 0);
    let status = decoder.decompress(input, out, FlushDecompress::None).map_err(|error| error.to_string())?;
    let count = |after: u64, before: u64| usize::try_from(after - before).unwrap_or(usize::MAX);
    out.truncate(count(decoder.total_out(), before_out));
    Ok(Step { taken: count(decoder.total_in(), before_in), complete: status == Status::StreamEnd })
}

fn brotli_step(state: &mut Brotli, input: &[u8], out: &mut Vec<u8>) -> Result<Step, String> {
    out.resize(PIECE, 0);
    let (mut available_in, mut taken) = (input.len(), 0);
    let (mut available_out, mut made, mut total) = (out.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut available_in,
        &mut taken,
        input,
        &mut available_out,
        &mut made,
        out,
        &mut total,
        state,
    );
    out.truncate(made);
    match result {
        BrotliResult::ResultFailure => Err("it is damaged".to_owned()),
        other => Ok(Step { taken, complete: matches!(other, BrotliResult::ResultSuccess) }),
    }
}

#[cfg(test)]
mod tests;
