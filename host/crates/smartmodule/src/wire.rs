//! Fluvio's record encoding, as it crosses into a SmartModule and back.
//!
//! A batch is encoded once ([`Records::encode`]) and decoded once ([`Records::decode`]); between two modules of
//! a chain the bytes go through as they are, only measured ([`scan`]). Every read is checked: what a guest hands
//! back may be anything.
//!
//! One record is `varint length, i8 attributes, varint timestamp delta, varint offset delta, i8 0|1 and the key,
//! the value, varint header count`, key and value each with their length as a varint. Varints are zigzag.
//! A list of records has its count in front, an `i32`; all plain integers are big-endian.

mod records;

pub(crate) use records::Records;

/// The version of the encoding that the published engine speaks, and all guests since 0.7 understand.
pub(crate) const VERSION: i32 = 22;

/// The shortest record: seven fields of one byte.
const MIN_RECORD: usize = 7;

/// The farthest a timestamp may lie from its base, in milliseconds: the published guests' varint encoder never
/// ends beyond (and writes until its memory is full).
const FARTHEST: i64 = 1 << 61;

/// The bytes can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("it ends in the middle of {0}")]
    Short(&'static str),
    #[error("{0} is {1}")]
    Value(&'static str, i64),
}

/// Reads fields from the front of a slice.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len()
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or(Malformed::Short(what))?;
        self.bytes = rest;
        Ok(*head)
    }

    fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    fn i32(&mut self, what: &'static str) -> Result<i32, Malformed> {
        self.array(what).map(i32::from_be_bytes)
    }

    fn i64(&mut self, what: &'static str) -> Result<i64, Malformed> {
        self.array(what).map(i64::from_be_bytes)
    }

    fn flag(&mut self, what: &'static str) -> Result<bool, Malformed> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Malformed::Value(what, i64::from(other))),
        }
    }

    #[inline]
    fn varint(&mut self, what: &'static str) -> Result<i64, Malformed> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        Err(Malformed::Value(what, i64::MAX))
    }

    #[inline]
    fn take(&mut self, length: i64, what: &'static str) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed::Value(what, length))?;
        let (head, rest) = self.bytes.split_at_checked(length).ok_or(Malformed::Short(what))?;
        self.bytes = rest;
        Ok(head)
    }

    #[inline]
    fn data(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let length = self.varint(what)?;
        self.take(length, what)
    }

    fn string(&mut self, what: &'static str) -> Result<String, Malformed> {
        let length = u16::from_be_bytes(self.array(what)?);
        Ok(String::from_utf8_lossy(self.take(i64::from(length), what)?).into_owned())
    }
}

/// One record as it stands in the encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) attributes: u8,
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: &'a [u8],
    pub(crate) headers: i64,
}

impl<'a> Record<'a> {
    /// Reads one record, and says whether its length field is right.
    #[inline]
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<(Self, bool), Malformed> {
        let length = reader.varint("a record's length")?;
        let left = reader.left();
        let attributes = reader.u8("a record's attributes")?;
        let timestamp_delta = reader.varint("a record's timestamp")?;
        let offset_delta = reader.varint("a record's offset")?;
        let key = if reader.flag("a record's key flag")? { Some(reader.data("a record's key")?) } else { None };
        let value = reader.data("a record's value")?;
        let headers = reader.varint("a record's headers")?;
        let exact = length == (left - reader.left()) as i64;
        Ok((Self { attributes, timestamp_delta, offset_delta, key, value, headers }, exact))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let key = self.key.map_or(1, |key| 1 + varint_len(key.len() as i64) + key.len());
        let body = 1
            + varint_len(self.timestamp_delta)
            + varint_len(self.offset_delta)
            + key
            + varint_len(self.value.len() as i64)
            + self.value.len()
            + varint_len(self.headers);
        out.reserve(body + 5);
        write_varint(out, body as i64);
        out.push(self.attributes);
        write_varint(out, self.timestamp_delta);
        write_varint(out, self.offset_delta);
        match self.key {
            Some(key) => {
                out.push(1);
                write_varint(out, key.len() as i64);
                out.extend_from_slice(key);
            }
            None => out.push(0),
        }
        write_varint(out, self.value.len() as i64);
        out.extend_from_slice(self.value);
        write_varint(out, self.headers);
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn varint_len(number: i64) -> usize {
    let bits = 64 - (zigzag(number) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[inline]
fn write_varint(out: &mut Vec<u8>, number: i64) {
    let mut rest = zigzag(number);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// What becomes of a number in the varint encoder that is compiled into every published guest: it keeps 32 bits
/// (`fluvio-protocol` 0.50.1, `core/varint.rs`). Timestamps more than 24 days off the base don't survive it.
pub(crate) fn through_guest(number: i64) -> i64 {
    let mut rest = (number << 1) ^ (number >> 31);
    let (mut decoded, mut shift) = (0_i64, 0_u32);
    while rest & 0xffff_ff80 != 0 && shift < 63 {
        decoded |= (rest & 0x7f) << shift;
        shift += 7;
        rest >>= 7;
    }
    decoded |= (rest & 0x7f) << shift;
    (decoded >> 1) ^ -(decoded & 1)
}

/// What the host must know of a returned record.
#[derive(Debug, Clone, Copy)]
struct Head {
    /// where it ends in the bytes
    end: usize,
    offset_delta: i64,
}

/// The records that a guest returned, checked and measured, still in its memory.
#[derive(Debug)]
pub(crate) struct Scanned<'a> {
    bytes: &'a [u8],
    heads: Vec<Head>,
    /// whether every length field is right, so that the bytes may go on as they are
    exact: bool,
    wide: bool,
}

impl<'a> Scanned<'a> {
    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    pub(crate) fn delta(&self, index: usize) -> i64 {
        self.heads[index].offset_delta
    }

    pub(crate) fn is_exact(&self) -> bool {
        self.exact
    }

    /// The records, taken apart.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Record<'a>> {
        let mut reader = Reader::new(self.bytes);
        (0..self.heads.len()).filter_map(move |_| Record::read(&mut reader).ok().map(|(record, _)| record))
    }
}

/// Why a guest refused a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused<'a> {
    pub(crate) hint: String,
    pub(crate) offset: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: &'a [u8],
}

/// What a transform returned.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    pub(crate) successes: Scanned<'a>,
    pub(crate) refused: Option<Refused<'a>>,
    /// only from an aggregate
    pub(crate) accumulator: Option<&'a [u8]>,
}

/// Reads the output of a transform.
pub(crate) fn read_output(bytes: &[u8], aggregate: bool) -> Result<Output<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    let successes = scan(&mut reader)?;
    let refused = if reader.flag("the error flag")? {
        let hint = reader.string("the error's text")?;
        let offset = reader.i64("the error's offset")?;
        reader.u8("the error's SmartModule kind")?;
        let key = if reader.flag("the error's key flag")? { Some(reader.data("the error's key")?) } else { None };
        let value = reader.data("the error's value")?;
        Some(Refused { hint, offset, key, value })
    } else {
        None
    };
    let accumulator = if aggregate {
        let length = reader.i32("the accumulator's length")?;
        Some(reader.take(i64::from(length.max(0)), "the accumulator")?)
    } else {
        None
    };
    Ok(Output { successes, refused, accumulator })
}

/// Measures a counted list of records.
fn scan<'a>(reader: &mut Reader<'a>) -> Result<Scanned<'a>, Malformed> {
    let count = usize::try_from(reader.i32("the number of records")?).unwrap_or(0);
    let bytes = reader.bytes;
    let mut heads = Vec::with_capacity(count.min(bytes.len() / MIN_RECORD));
    let (mut exact, mut wide) = (true, false);
    for _ in 0..count {
        let (record, fits) = Record::read(reader)?;
        exact &= fits;
        wide |= i32::try_from(record.timestamp_delta).is_err();
        heads.push(Head { end: bytes.len() - reader.left(), offset_delta: record.offset_delta });
    }
    Ok(Scanned { bytes: &bytes[..bytes.len() - reader.left()], heads, exact, wide })
}

/// The text of an error from `init`.
pub(crate) fn read_init_error(bytes: &[u8]) -> Result<String, Malformed> {
    Reader::new(bytes).string("the error's text")
}

/// The text and the offset of an error from `look_back`.
pub(crate) fn read_look_back_error(bytes: &[u8]) -> Result<(String, i64), Malformed> {
    let mut reader = Reader::new(bytes);
    Ok((reader.string("the error's text")?, reader.i64("the error's offset")?))
}

/// What stands in front of the records in a SmartModule's input.
pub(crate) fn input_head(base_offset: i64, records: usize, bytes: usize) -> [u8; 16] {
    let mut head = [0; 16];
    head[..8].copy_from_slice(&base_offset.to_be_bytes());
    head[8..12].copy_from_slice(&(bytes as i32 + 4).to_be_bytes());
    head[12..].copy_from_slice(&(records as i32).to_be_bytes());
    head
}

/// What follows them: no parameters (0.50 gives them to `init` only), no look-back, no join record, the base
/// timestamp; and for an aggregate the accumulator's length, whose bytes come next.
pub(crate) fn input_tail(base_timestamp: i64, accumulator: Option<usize>) -> ([u8; 19], usize) {
    let mut tail = [0; 19];
    tail[7..15].copy_from_slice(&base_timestamp.to_be_bytes());
    match accumulator {
        Some(length) => {
            tail[15..].copy_from_slice(&(length as i32).to_be_bytes());
            (tail, 19)
        }
        None => (tail, 15),
    }
}

#[cfg(test)]
mod tests;
