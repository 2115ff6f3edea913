//! The store on media that fail: full disks, failing syncs, and power cuts at any moment.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;

use bytes::Bytes;
use fluvio_protocol::Encoder;
use fluvio_protocol::record::{Batch, RawRecords, Record, RecordData};
use redb::StorageBackend;

use super::read::Limit;
use super::*;
use crate::batch;

const WHOLE: Limit = Limit { max_bytes: usize::MAX, cut: false };

/// A disk that does what a test tells it to.
#[derive(Debug, Default)]
struct Disk {
    /// What a power cut leaves.
    durable: Mutex<Vec<u8>>,
    /// What was written since, by position.
    written: Mutex<BTreeMap<u64, Vec<u8>>>,
    length: Mutex<u64>,
    /// The end of what was ever written.
    high: Mutex<u64>,
    /// How many more bytes the file may grow by.
    room: AtomicI64,
    /// How many more writes succeed; negative: all.
    writes: AtomicI64,
    /// How many more syncs succeed; negative: all.
    syncs: AtomicI64,
}

#[derive(Debug, Clone)]
struct Simulated(Arc<Disk>);

impl Simulated {
    fn new() -> Self {
        let disk = Disk::default();
        disk.room.store(1 << 40, Ordering::Relaxed);
        disk.writes.store(-1, Ordering::Relaxed);
        disk.syncs.store(-1, Ordering::Relaxed);
        Self(Arc::new(disk))
    }

    /// A disk with what this one has for certain.
    fn after_power_cut(&self) -> Self {
        let other = Self::new();
        let durable = self.0.durable.lock().expect("no panic").clone();
        *other.0.length.lock().expect("no panic") = durable.len() as u64;
        *other.0.durable.lock().expect("no panic") = durable;
        other
    }

    fn set_room(&self, bytes: i64) {
        self.0.room.store(bytes, Ordering::Relaxed);
    }
}

/// Counts down; false when it has come to zero.
fn count(counter: &AtomicI64) -> bool {
    counter
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| match left {
            0 => None,
            left if left < 0 => Some(left),
            left => Some(left - 1),
        })
        .is_ok()
}

impl Medium for Simulated {
    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(self.clone()))
    }

    fn free(&self) -> io::Result<u64> {
        Ok(u64::try_from(self.0.room.load(Ordering::Relaxed)).unwrap_or(0))
    }
}

impl StorageBackend for Simulated {
    fn len(&self) -> io::Result<u64> {
        Ok(*self.0.length.lock().expect("no panic"))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset + out.len() as u64 > StorageBackend::len(self)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        out.fill(0);
        let mut copy = |at: u64, bytes: &[u8]| {
            let from = at.max(offset);
            let to = (at + bytes.len() as u64).min(offset + out.len() as u64);
            if from < to {
                let source = &bytes[(from - at) as usize..(to - at) as usize];
                out[(from - offset) as usize..(to - offset) as usize].copy_from_slice(source);
            }
        };
        copy(0, &self.0.durable.lock().expect("no panic"));
        for (at, bytes) in &*self.0.written.lock().expect("no panic") {
            copy(*at, bytes);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        *self.0.length.lock().expect("no panic") = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if !count(&self.0.syncs) {
            return Err(io::Error::other("the sync failed on purpose"));
        }
        let mut durable = self.0.durable.lock().expect("no panic");
        durable.resize(StorageBackend::len(self)? as usize, 0);
        for (at, bytes) in std::mem::take(&mut *self.0.written.lock().expect("no panic")) {
            let at = at as usize;
            let end = (at + bytes.len()).min(durable.len());
            durable[at..end].copy_from_slice(&bytes[..end - at]);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if !count(&self.0.writes) {
            return Err(io::Error::other("the write failed on purpose"));
        }
        // What lies behind anything written so far takes room, as in a file with holes.
        let end = offset + data.len() as u64;
        let mut high = self.0.high.lock().expect("no panic");
        let grows = i64::try_from(end.saturating_sub(*high)).unwrap_or(0);
        if grows > 0 && self.0.room.fetch_sub(grows, Ordering::Relaxed) < grows {
            self.0.room.store(0, Ordering::Relaxed);
            return Err(io::ErrorKind::StorageFull.into());
        }
        *high = end.max(*high);
        let mut written = self.0.written.lock().expect("no panic");
        // Later writes win; a page is always written whole.
        written.insert(offset, data.to_vec());
        Ok(())
    }
}

fn open(medium: &Simulated) -> (Store, JoinHandle<()>) {
    let lock = tempfile::tempfile().expect("a file");
    Store::open(Path::new("test"), lock, Box::new(medium.clone()), true).expect("the store opens")
}

/// Opens the partition 1 as it is on disk.
fn partition(store: &Store) -> Arc<Partition> {
    let extent = store.load().expect("loaded").extents.get(&1).copied().unwrap_or_default();
    Arc::new(Partition::new(1, ReplicaKey::new("topic", 0_u32), extent))
}

/// A batch whose records say which they are.
fn batch_of(first: u32, records: u32, size: usize) -> Vec<CheckedBatch> {
    let records: Vec<Record> = (first..first + records)
        .map(|number| {
            let mut value = number.to_string().into_bytes();
            value.resize(size.max(value.len()), b'.');
            Record::new(RecordData::from(value))
        })
        .collect();
    let batch: Batch<RawRecords> = Batch::from(records).try_into().expect("a batch");
    let mut bytes = Vec::new();
    batch.encode(&mut bytes, 0).expect("encoded");
    batch::check(&Bytes::from(bytes)).expect("a good batch")
}

async fn append(store: &Store, partition: &Arc<Partition>, batches: Vec<CheckedBatch>) -> Result<i64, StoreError> {
    let stored = store.append(Arc::clone(partition), batches).await?;
    stored.await.expect("an answer")
}

/// The numbers in all records from an offset on, checked to lie at the offsets that the batches claim.
fn numbers(store: &Store, partition: &Partition, from: i64) -> Vec<u32> {
    let end = partition.extent().end;
    let bytes = store.read(partition, from, end, WHOLE).expect("read");
    let mut numbers = Vec::new();
    let mut rest = bytes.as_ref();
    let mut next = None;
    while let Some(stored) = batch::stored(rest) {
        assert!(next.is_none_or(|next| next == stored.base), "no gap");
        next = Some(stored.next);
        let mut source = &rest[..stored.length];
        let batch: Batch = fluvio_protocol::Decoder::decode_from(&mut source, 0).expect("decoded");
        for record in batch.records() {
            let text = String::from_utf8_lossy(record.value.as_ref()).into_owned();
            numbers.push(text.trim_end_matches('.').parse().expect("a number"));
        }
        rest = &rest[stored.length..];
    }
    assert!(rest.is_empty(), "whole batches");
    numbers
}

#[tokio::test]
async fn gives_out_offsets_and_reads_from_any_of_them() {
    let (store, _) = open(&Simulated::new());
    let partition = partition(&store);
    let mut first = 0;
    // From tiny ones, many to a block, to one that takes several parts.
    for (records, size) in [(1, 10), (3, 10), (1, 200_000), (50, 1_000), (2, 65_000), (7, 10)] {
        let base = append(&store, &partition, batch_of(first, records, size)).await;
        assert_eq!(base.expect("stored"), i64::from(first));
        first += records;
    }
    assert_eq!(partition.extent().end, i64::from(first));
    for from in 0..first {
        let read = numbers(&store, &partition, from.into());
        assert!(read[0] <= from && read.ends_with(&(from..first).collect::<Vec<_>>()));
    }
}

#[tokio::test]
async fn limits_what_it_reads() {
    let (store, _) = open(&Simulated::new());
    let partition = partition(&store);
    let mut lengths = Vec::new();
    for first in 0..100 {
        let batch = batch_of(first, 1, 1_000);
        lengths.push(batch[0].bytes.len());
        append(&store, &partition, batch).await.expect("stored");
    }
    for max_bytes in [0, 1, 1_000, 5_000, 50_000, 1_000_000] {
        for from in [0, 1, 50, 99] {
            let read = |cut| {
                let limit = Limit { max_bytes, cut };
                store.read(&partition, from, 100, limit).expect("read")
            };
            let rest: usize = lengths[from as usize..].iter().sum();
            assert_eq!(read(true).len(), max_bytes.min(rest), "cut where it was asked");
            let whole = read(false);
            let first = lengths[from as usize];
            assert!(whole.len() <= max_bytes.max(first), "no more than asked, or one batch");
            assert!(whole.len() + 1_200 > max_bytes.min(rest), "no less than would fit");
            assert_eq!(batch::stored(&whole).expect("a batch").base, from);
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_then_takes_records_again() {
    let disk = Simulated::new();
    let (store, thread) = open(&disk);
    let partition = partition(&store);
    let mut count = 0;
    append(&store, &partition, batch_of(0, 10, 1_000)).await.expect("stored");
    count += 10;
    disk.set_room(3_000_000);
    let refused = loop {
        match append(&store, &partition, batch_of(count, 10, 10_000)).await {
            Ok(base) => assert_eq!(base, i64::from(count)),
            Err(error) => break error,
        }
        count += 10;
        assert!(count < 1_000, "the disk never gets full");
    };
    assert!(matches!(refused, StoreError::Full), "{refused}");
    let again = append(&store, &partition, batch_of(count, 10, 100_000)).await;
    assert!(matches!(again, Err(StoreError::Full)), "{again:?}");
    assert_eq!(partition.extent().end, i64::from(count));
    assert_eq!(numbers(&store, &partition, 0), (0..count).collect::<Vec<_>>());

    disk.set_room(1 << 40);
    let base = append(&store, &partition, batch_of(count, 10, 100_000)).await;
    assert_eq!(base.expect("there is room"), i64::from(count));
    count += 10;
    assert_eq!(numbers(&store, &partition, 0), (0..count).collect::<Vec<_>>());
    drop(store);
    thread.join().expect("the writer ends");
    let (store, _) = open(&disk);
    let partition = self::partition(&store);
    assert_eq!(numbers(&store, &partition, 0), (0..count).collect::<Vec<_>>());
}

/// Appends until `count` batches are acknowledged, whatever goes wrong in between. Returns the numbers that
/// were acknowledged with their offsets.
async fn append_all(store: &Store, partition: &Arc<Partition>, count: u32) -> Vec<(i64, u32)> {
    let mut acknowledged = Vec::new();
    for number in 0..count {
        let mut tries = 0;
        let base = loop {
            match append(store, partition, batch_of(number, 1, 3_000)).await {
                Ok(base) => break base,
                Err(error) => {
                    tries += 1;
                    assert!(tries < 50, "it never recovers: {error}");
                }
            }
        };
        acknowledged.push((base, number));
    }
    acknowledged
}

fn check(store: &Store, partition: &Partition, acknowledged: &[(i64, u32)]) {
    let stored = numbers(store, partition, 0);
    assert_eq!(stored.len() as i64, partition.extent().end);
    for (offset, number) in acknowledged {
        assert_eq!(stored.get(*offset as usize), Some(number), "at offset {offset}");
    }
}

#[tokio::test]
async fn a_failing_write_or_sync_loses_nothing_acknowledged() {
    for failing in 0..40 {
        for is_sync in [false, true] {
            let disk = Simulated::new();
            let (store, thread) = open(&disk);
            let partition = partition(&store);
            let counter = if is_sync { &disk.0.syncs } else { &disk.0.writes };
            counter.store(failing, Ordering::Relaxed);
            let healing = Arc::clone(&disk.0);
            let healer = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                healing.syncs.store(-1, Ordering::Relaxed);
                healing.writes.store(-1, Ordering::Relaxed);
            });
            let mut acknowledged = Vec::new();
            for number in 0..20 {
                match append(&store, &partition, batch_of(number, 1, 3_000)).await {
                    Ok(base) => acknowledged.push((base, number)),
                    Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
            healer.await.expect("healed");
            acknowledged.extend(append_all(&store, &partition, 5).await);
            check(&store, &partition, &acknowledged);
            drop(store);
            thread.join().expect("the writer ends");
            let (store, _) = open(&disk);
            check(&store, &self::partition(&store), &acknowledged);
        }
    }
}

#[tokio::test]
async fn a_power_cut_loses_nothing_acknowledged() {
    for batches in 0..25 {
        let disk = Simulated::new();
        let (store, _) = open(&disk);
        let partition = partition(&store);
        let acknowledged = append_all(&store, &partition, batches).await;
        if batches % 3 == 0 {
            store.settle().await.expect("asked");
        }
        // One more is on its way.
        let _pending = store.append(Arc::clone(&partition), batch_of(batches, 1, 3_000)).await.expect("sent");
        let (store, _) = open(&disk.after_power_cut());
        check(&store, &self::partition(&store), &acknowledged);
    }
}

#[tokio::test]
async fn trims_by_size_and_by_age_but_keeps_the_offsets() {
    let (store, _) = open(&Simulated::new());
    let partition = partition(&store);
    for first in 0..20 {
        append(&store, &partition, batch_of(first, 1, 10_000)).await.expect("stored");
    }
    let by_size = Retention { committed_before: None, max_bytes: Some(55_000) };
    store.trim(&partition, by_size).await.expect("trimmed");
    let extent = partition.extent();
    assert_eq!((extent.start, extent.end), (15, 20));
    assert!(extent.bytes <= 55_000);
    assert_eq!(numbers(&store, &partition, 15), (15..20).collect::<Vec<_>>());
    let nothing_fits = Retention { committed_before: None, max_bytes: Some(0) };
    store.trim(&partition, nothing_fits).await.expect("trimmed");
    assert_eq!(partition.extent().start, 19, "the last block stays");
    let by_age = Retention { committed_before: Some(u64::MAX), max_bytes: None };
    store.trim(&partition, by_age).await.expect("trimmed");
    let empty = Extent { start: 20, end: 20, bytes: 0, deleted: false };
    assert_eq!(partition.extent(), empty);
    assert_eq!(store.load().expect("loaded").extents.get(&1), Some(&empty));
    let base = append(&store, &partition, batch_of(20, 1, 10)).await;
    assert_eq!(base.expect("stored"), 20);
}

#[tokio::test]
async fn a_removed_topic_leaves_nothing_behind() {
    let (store, _) = open(&Simulated::new());
    let partition = partition(&store);
    for first in 0..1_000 {
        append(&store, &partition, batch_of(first, 1, 100)).await.expect("stored");
    }
    let change = Change::RemoveTopic { name: "topic".to_owned(), partitions: vec![Arc::clone(&partition)] };
    store.change(change).await.expect("removed");
    assert!(partition.extent().deleted);
    let late = append(&store, &partition, batch_of(0, 1, 100)).await;
    assert!(matches!(late, Err(StoreError::Deleted)), "{late:?}");
    store.clean().await.expect("cleaned");
    let read = store.shared.current().database.begin_read().expect("a snapshot");
    let blocks = read.open_table(layout::BLOCKS).expect("a table");
    assert!(blocks.first().expect("read").is_none());
    let dropped = read.open_table(layout::DROPPED).expect("a table");
    assert!(dropped.first().expect("read").is_none());
    assert_eq!(store.load().expect("loaded").next_partition, 1);
}
