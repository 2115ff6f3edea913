//! The codecs against the published ones, both ways, over every compression; and against damaged bytes.

use std::io::Cursor;

use fluvio_compression::Compression;
use fluvio_protocol::record::{Batch as FluvioBatch, RawRecords, Record, RecordSet};
use host_batch::Batch;
use proptest::collection::vec;
use proptest::prelude::*;

use super::decode::{Scan, scan};
use super::encode::{BatchWriter, single_size};
use super::*;

const COMPRESSIONS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
const NOW: i64 = 1_700_000_000_000;

type Plain = (Option<Vec<u8>>, Vec<u8>, Option<i64>);

fn plain(batch: &Batch) -> Vec<Plain> {
    batch.iter().map(|r| (r.key.map(<[u8]>::to_vec), r.value.to_vec(), r.timestamp)).collect()
}

fn columns(records: &[Plain]) -> Batch {
    let mut batch = Batch::default();
    records.iter().for_each(|(key, value, at)| batch.push(key.as_deref(), value, *at));
    batch
}

/// Wire batches with the base offsets that a storage unit would give them, from `first` on.
fn encode(records: &[Plain], compression: Compression, target: usize, first: i64) -> Vec<Bytes> {
    let mut writer = BatchWriter::new(compression, target);
    columns(records).iter().for_each(|record| writer.push(record, NOW).expect("encodes"));
    let mut offset = first;
    let placed = writer.into_batches().expect("encodes").into_iter().map(|batch| {
        let mut bytes = batch.to_vec();
        bytes[..8].copy_from_slice(&offset.to_be_bytes());
        offset += i64::from(i32::from_be_bytes([bytes[23], bytes[24], bytes[25], bytes[26]])) + 1;
        Bytes::from(bytes)
    });
    placed.collect()
}

fn decode(bytes: Bytes) -> Result<Vec<Plain>, decode::Malformed> {
    let mut out = Batch::default();
    for batch in scan(bytes)?.batches {
        batch.read_into(i64::MIN, i64::MAX, &mut out)?;
    }
    Ok(plain(&out))
}

fn records() -> impl Strategy<Value = Vec<Plain>> {
    let bytes = || vec(any::<u8>(), 0..300);
    let timestamp = prop_oneof![
        Just(None),
        (NOW - 100_000..NOW + 100_000).prop_map(Some),
        (1..i64::from(u32::MAX) * 2000).prop_map(Some)
    ];
    vec((proptest::option::of(bytes()), bytes(), timestamp), 1..60)
}

proptest! {
    #[test]
    fn the_published_decoder_reads_what_is_encoded(records in records(), target in 100usize..20_000) {
        for compression in COMPRESSIONS {
            let batches = encode(&records, compression, target, 40);
            let mut frame = Vec::new();
            RawBatches(batches).encode(&mut frame, 0).expect("encodes");
            let set: RecordSet<RawRecords> = RecordSet::decode_from(&mut Cursor::new(frame), 0).expect("decodes");
            let mut read = Vec::new();
            for raw in set.batches {
                prop_assert!(raw.validate_decoding());
                let (base, count) = (raw.base_offset, raw.records_len());
                let crc = raw.header.crc;
                let mut again = Vec::new();
                raw.encode(&mut again, 0).expect("encodes");
                prop_assert_eq!(&again[17..21], &crc.to_be_bytes()[..]);
                prop_assert_eq!(base, 40 + read.len() as i64);
                let batch: FluvioBatch = raw.try_into().expect("decompresses");
                prop_assert_eq!(batch.records().len(), count);
                let max = batch.header.max_time_stamp;
                for record in batch.into_consumer_records_iter(0) {
                    prop_assert!(record.timestamp() <= max);
                    read.push((record.key().map(<[u8]>::to_vec), record.value().to_vec(), Some(record.timestamp())));
                }
            }
            let stamped: Vec<_> = records.iter().cloned().map(|(key, value, at)| (key, value, at.or(Some(NOW)))).collect();
            prop_assert_eq!(read, stamped);
        }
    }

    #[test]
    fn what_the_published_encoder_makes_is_read(records in records()) {
        for compression in COMPRESSIONS {
            let mut batch = FluvioBatch::from(
                records.iter().map(|(key, value, _)| match key {
                    Some(key) => Record::new_key_value(key.clone(), value.clone()),
                    None => Record::new(value.clone()),
                }).collect::<Vec<_>>(),
            );
            batch.header.set_compression(compression);
            batch.base_offset = 7;
            let raw: FluvioBatch<RawRecords> = batch.try_into().expect("compresses");
            let mut frame = Vec::new();
            RecordSet::default().add(raw).encode(&mut frame, 0).expect("encodes");
            let RawBatches(chunks) = RawBatches::decode_from(&mut Bytes::from(frame), 0).expect("decodes");
            let found = scan(chunks[0].clone()).expect("scans");
            prop_assert_eq!(found.batches.len(), 1);
            prop_assert_eq!(found.batches[0].next_offset, 7 + records.len() as i64);
            let without_time: Vec<_> = records.iter().cloned().map(|(key, value, _)| (key, value, None)).collect();
            prop_assert_eq!(decode(chunks[0].clone()).expect("decodes"), without_time);
        }
    }

    #[test]
    fn a_cut_anywhere_keeps_the_whole_batches_and_says_what_is_missing(records in records(), cut in 0.0f64..1.0) {
        let batches = encode(&records, Compression::None, 500, 0);
        let all: Vec<u8> = batches.concat();
        let cut = (all.len() as f64 * cut) as usize;
        let Scan { batches: found, cut_off } = scan(Bytes::from(all[..cut].to_vec())).expect("scans");
        let mut whole = 0;
        let complete = batches.iter().take_while(|batch| { whole += batch.len(); whole <= cut }).count();
        prop_assert_eq!(found.len(), complete);
        let ends_at_a_batch = batches[..complete].iter().map(Bytes::len).sum::<usize>() == cut;
        prop_assert_eq!(cut_off.is_none(), ends_at_a_batch);
        prop_assert!(cut_off.is_none_or(|needed| needed <= batches[complete].len()));
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_but_never_panic(records in records(), at in any::<prop::sample::Index>(), byte in any::<u8>(), which in 0usize..5) {
        let mut bytes = encode(&records, COMPRESSIONS[which], 700, 0).concat();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _either = decode(Bytes::from(bytes));
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..400)) {
        let _either = decode(Bytes::from(bytes));
    }

    #[test]
    fn varints_are_the_published_ones(value in any::<i64>()) {
        let mut out = [0; varint::MAX_BYTES];
        let length = varint::put(&mut out, value);
        prop_assert_eq!(length, varint::size(value));
        let mut rest = &out[..length];
        prop_assert_eq!(varint::take(&mut rest), Some(value));
        prop_assert!(rest.is_empty());
        prop_assert_eq!(varint::take(&mut &out[..length - 1]), None);
        if let Ok(small) = i32::try_from(value) {
            use fluvio_protocol::EncoderVarInt;
            let mut published = Vec::new();
            i64::from(small / 2).encode_varint(&mut published).expect("encodes");
            let length = varint::put(&mut out, i64::from(small / 2));
            prop_assert_eq!(&out[..length], &published[..]);
        }
    }
}

#[test]
fn batches_aim_at_their_size_and_a_large_record_has_its_own() {
    let record = |length: usize| (None, vec![b'x'; length], None);
    let records = [record(100), record(100), record(5000), record(100)];
    let batches = encode(&records, Compression::None, 1000, 0);
    let sizes: Vec<_> = batches.iter().map(Bytes::len).collect();
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    assert!(sizes[0] < 1000 && sizes[2] < 1000);
    assert_eq!(sizes[1], single_size(None, &records[2].1));
    assert_eq!(decode(Bytes::from(batches.concat())).expect("decodes").len(), 4);
}

#[test]
fn a_start_and_an_end_within_a_batch_are_kept() {
    let records: Vec<Plain> = (0..10u8).map(|n| (None, vec![n], Some(NOW))).collect();
    let batch =
        scan(Bytes::from(encode(&records, Compression::Zstd, 10_000, 100).concat())).expect("scans").batches.remove(0);
    let mut out = Batch::default();
    assert_eq!(batch.read_into(103, 107, &mut out), Ok(4));
    assert_eq!(plain(&out), records[3..7]);
}

#[test]
fn a_length_that_is_too_short_for_a_header_is_refused() {
    let mut bytes = encode(&[(None, vec![1], None)], Compression::None, 100, 0).concat();
    bytes[8..12].copy_from_slice(&44i32.to_be_bytes());
    assert!(scan(Bytes::from(bytes.clone())).is_err());
    bytes[8..12].copy_from_slice(&(-1i32).to_be_bytes());
    assert!(scan(Bytes::from(bytes)).is_err());
}
