//! The layout of the store on disk: its tables, and how values are made of bytes.
//!
//! ```text
//! meta          name                           -> number      format version, number of commits
//! topics        topic                          -> topic spec, partition ids
//! partitions    id                             -> start offset, end offset, bytes
//! blocks        (id, base offset, part)        -> bytes       the records
//! dropped       id                             -> ()          partitions whose blocks are to be deleted
//! smartmodules  name                           -> spec, payload
//! offsets       (consumer, topic, partition)   -> offset, time of the last change in s
//! ```
//!
//! Records are kept in *blocks*: one or more whole batches of one partition, in the order of their offsets
//! and just as they go over the wire. What one commit brings for a partition is packed into blocks of
//! about [`PART`] bytes, so that many small batches do not become many small entries. A block longer than
//! that is stored in several parts, because the store gives each large value a page of a power of two:
//! whole megabytes would waste half the disk. The first part begins with the time of the block's commit (Unix
//! ms), which retention by age goes by.

use redb::TableDefinition;

/// The format that this version reads and writes.
pub(crate) const FORMAT: u64 = 1;

/// The entry of the format, in the table of numbers.
pub(crate) const FORMAT_ENTRY: &str = "format";
/// The entry of the number of commits so far.
pub(crate) const COMMITS: &str = "commits";

/// How long one stored value is at most: with its key and the page's own fields just below 64 KiB.
pub(crate) const PART: usize = 65_536 - 128;

/// The commit time in front of a block.
pub(crate) const BLOCK_HEAD: usize = 8;

pub(crate) const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
pub(crate) const TOPICS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("topics");
pub(crate) const PARTITIONS: TableDefinition<'static, u64, (i64, i64, u64)> = TableDefinition::new("partitions");
pub(crate) const BLOCKS: TableDefinition<'static, (u64, i64, u32), &[u8]> = TableDefinition::new("blocks");
pub(crate) const DROPPED: TableDefinition<'static, u64, ()> = TableDefinition::new("dropped");
pub(crate) const SMARTMODULES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("smartmodules");
pub(crate) const OFFSETS: TableDefinition<'static, (&str, &str, u32), (i64, u64)> = TableDefinition::new("offsets");
