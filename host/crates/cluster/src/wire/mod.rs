//! Record batches as they travel and lie on disk in Fluvio.
//!
//! A *wire batch* is a header and a run of records, compressed as a whole or not at all:
//!
//! ```text
//! base offset i64 | length of the rest i32 | leader epoch i32 | magic i8 | crc32c u32
//! | attributes i16 | last offset delta i32 | first timestamp i64 | max timestamp i64
//! | producer id i64 | producer epoch i16 | first sequence i32        <- 57 bytes up to here
//! | number of records u32 | record, record, ...                      <- compressed or not
//!
//! record: length | attributes i8 | timestamp delta | offset delta | has key u8 [| length | key]
//!         | length | value | headers (always 0)       lengths and deltas are zigzag varints
//! ```
//!
//! [`encode`] makes them of a [`Batch`](host_batch::Batch), [`decode`] turns them back. Both work on whole
//! columns: the published decoder makes one heap allocation a key and a value and reads byte by byte.
//! [`RawBatches`] carries the result through the published request and response types untouched.

pub(crate) mod decode;
pub(crate) mod encode;
mod varint;

use std::io;

use bytes::{Buf, BufMut, Bytes};
use fluvio_protocol::{Decoder, Encoder, Version};

/// Offset and length, which stand in front of every wire batch.
pub(crate) const PREAMBLE_BYTES: usize = 12;
/// Everything in front of the records.
pub(crate) const HEADER_BYTES: usize = 57;
/// The attribute bits that name the compression.
pub(crate) const COMPRESSION_MASK: i16 = 0x07;
/// The attribute bit that says that a schema id follows the header.
pub(crate) const SCHEMA_BIT: i16 = 0x10;

/// Wire batches end to end, not looked into: takes the place of the published `RecordSet`, whose decoder
/// drops a batch that is cut off in silence and copies every other one.
#[derive(Debug, Default, Clone)]
pub(crate) struct RawBatches(pub(crate) Vec<Bytes>);

impl Encoder for RawBatches {
    fn write_size(&self, _version: Version) -> usize {
        4 + self.0.iter().map(Bytes::len).sum::<usize>()
    }

    fn encode<T: BufMut>(&self, dest: &mut T, version: Version) -> Result<(), io::Error> {
        let length = self.write_size(version) - 4;
        dest.put_i32(i32::try_from(length).map_err(|_| io::Error::other("more than 2 GiB in one request"))?);
        self.0.iter().for_each(|batch| dest.put_slice(batch));
        Ok(())
    }
}

impl Decoder for RawBatches {
    fn decode<T: Buf>(&mut self, src: &mut T, version: Version) -> Result<(), io::Error> {
        let length = usize::try_from(i32::decode_from(src, version)?)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "negative length of a record set"))?;
        if src.remaining() < length {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the record set ends early"));
        }
        self.0 = vec![src.copy_to_bytes(length)];
        Ok(())
    }
}

#[cfg(test)]
mod tests;
