//! Zstandard in pieces. The library decodes whatever whole blocks it is given, however much they unfold to;
//! so it is given one block at a time, of at most 128 KiB unfolded, and asked for what it has made of it
//! before the next. It keeps a window of up to 8 MiB, all that RFC 9659 allows a content coding.

use std::io::Read as _;

use ruzstd::decoding::FrameDecoder;

use super::{PIECE, Step};

/// No frame may ask for more.
const WINDOW: u64 = 8 << 20;

/// No block is longer, coded or not.
const BLOCK: usize = 128 << 10;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Decodes one frame after the other.
pub(super) struct Decoder {
    frame: FrameDecoder,
    place: Place,
}

/// Where the next byte of the input stands.
enum Place {
    /// Before a frame, or behind all of them.
    Between,
    /// In a frame that holds no data, so many bytes before its end.
    Skipping(usize),
    /// Before a block.
    Block { checksum: bool },
    /// Behind the last block; what it unfolds to is being handed out.
    Draining,
}

impl Default for Decoder {
    fn default() -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(WINDOW);
        Self { frame, place: Place::Between }
    }
}

impl Decoder {
    pub(super) fn step(&mut self, input: &[u8], closed: bool, out: &mut Vec<u8>) -> Result<Step, String> {
        self.drain(out)?;
        if !out.is_empty() {
            return Ok(Step { taken: 0, complete: false });
        }
        let mut taken = 0;
        match self.place {
            Place::Between if input.is_empty() => return Ok(Step { taken, complete: closed }),
            Place::Between => {
                let Some(header) = header(input)? else { return Ok(Step { taken, complete: false }) };
                taken = header.length;
                self.place = match header.skip {
                    Some(skip) => Place::Skipping(skip),
                    None => {
                        self.frame.reset(&input[..taken]).map_err(|error| error.to_string())?;
                        Place::Block { checksum: header.checksum }
                    }
                };
            }
            Place::Skipping(left) => {
                taken = left.min(input.len());
                self.place = if taken == left { Place::Between } else { Place::Skipping(left - taken) };
            }
            Place::Block { checksum } => {
                let Some(block) = block(input, checksum)? else { return Ok(Step { taken, complete: false }) };
                out.resize(PIECE, 0);
                let (read, made) =
                    self.frame.decode_from_to(&input[..block.length], out).map_err(|error| error.to_string())?;
                out.truncate(made);
                taken = read;
                if block.last {
                    self.place = Place::Draining;
                }
            }
            Place::Draining => {
                if self.frame.get_checksum_from_data() != self.frame.get_calculated_checksum()
                    && self.frame.get_checksum_from_data().is_some()
                {
                    return Err("its checksum is wrong".to_owned());
                }
                self.place = Place::Between;
                return self.step(input, closed, out);
            }
        }
        Ok(Step { taken, complete: false })
    }

    /// Hands out what the window no longer needs.
    fn drain(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        if matches!(self.place, Place::Block { .. } | Place::Draining) && self.frame.can_collect() > 0 {
            out.resize(PIECE, 0);
            let made = self.frame.read(out).map_err(|error| error.to_string())?;
            out.truncate(made);
        }
        Ok(())
    }
}

struct Header {
    length: usize,
    checksum: bool,
    /// How much follows, in a frame that holds no data.
    skip: Option<usize>,
}

/// How long the header of a frame is (RFC 8878, 3.1.1.1); `None` when that is still to come.
fn header(input: &[u8]) -> Result<Option<Header>, String> {
    let Some((magic, rest)) = input.split_first_chunk::<4>() else { return Ok(None) };
    if magic[0] & 0xf0 == 0x50 && magic[1..] == [0x2a, 0x4d, 0x18] {
        let Some((skip, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let skip = usize::try_from(u32::from_le_bytes(*skip)).unwrap_or(usize::MAX);
        return Ok(Some(Header { length: 8, checksum: false, skip: Some(skip) }));
    }
    if *magic != MAGIC {
        return Err("it does not begin as such".to_owned());
    }
    let Some(&descriptor) = rest.first() else { return Ok(None) };
    let single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = [usize::from(single), 2, 4, 8][usize::from(descriptor >> 6)];
    let length = 5 + usize::from(!single) + dictionary + size;
    Ok((input.len() >= length).then_some(Header { length, checksum: descriptor & 4 != 0, skip: None }))
}

struct Block {
    /// With its header, and the frame's checksum behind the last one.
    length: usize,
    last: bool,
}

/// How long the next block is (RFC 8878, 3.1.1.2); `None` when it has not come whole.
fn block(input: &[u8], checksum: bool) -> Result<Option<Block>, String> {
    let &[a, b, c, ..] = input else { return Ok(None) };
    let head = u32::from_le_bytes([a, b, c, 0]);
    let (last, kind) = (head & 1 == 1, head >> 1 & 3);
    let size = usize::try_from(head >> 3).unwrap_or(usize::MAX);
    if size > BLOCK {
        return Err("a block of it is too long".to_owned());
    }
    // A run is one byte, however long.
    let content = if kind == 1 { 1 } else { size };
    let length = 3 + content + if last && checksum { 4 } else { 0 };
    Ok((input.len() >= length).then_some(Block { length, last }))
}
