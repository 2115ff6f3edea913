//! The encoding, held against the published one byte for byte, and against garbage.

use fluvio_protocol::record::Record as Reference;
use fluvio_protocol::{Decoder, Encoder};
use fluvio_smartmodule::dataplane::smartmodule::{
    SmartModuleAggregateInput, SmartModuleInput, SmartModuleOutput, SmartModuleTransformRuntimeError,
};
use proptest::prelude::*;

use host_batch::Batch;

use super::*;

type Row = (Option<Vec<u8>>, Vec<u8>, Option<i64>);

const BASE: i64 = 1_700_000_000_000;

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    let timestamp = prop::option::of(BASE - 1_000_000..BASE + 1_000_000);
    prop::collection::vec((prop::option::of(bytes()), bytes(), timestamp), 0..40)
}

fn batch(rows: &[Row]) -> Batch {
    let mut batch = Batch::default();
    for (key, value, timestamp) in rows {
        batch.push(key.as_deref(), value, *timestamp);
    }
    batch
}

fn reference(rows: &[Row]) -> Vec<Reference> {
    let record = |(index, (key, value, timestamp)): (usize, &Row)| {
        let mut record = match key {
            Some(key) => Reference::new_key_value(key.clone(), value.clone()),
            None => Reference::new(value.clone()),
        };
        record.preamble.set_offset_delta(index as i64);
        record.preamble.set_timestamp_delta(timestamp.map_or(0, |timestamp| timestamp - BASE));
        record
    };
    rows.iter().enumerate().map(record).collect()
}

fn input(records: &Records, base_offset: i64, accumulator: Option<&[u8]>) -> Vec<u8> {
    let bytes = records.bytes(0..records.len());
    let (tail, length) = input_tail(BASE, accumulator.map(<[u8]>::len));
    let head = input_head(base_offset, records.len(), bytes.len());
    [&head, bytes, &tail[..length], accumulator.unwrap_or_default()].concat()
}

proptest! {
    #[test]
    fn an_input_is_encoded_as_the_published_crate_does(rows in rows(), offset in 0..i64::MAX, state: Vec<u8>) {
        let mut records = Records::default();
        records.encode(&batch(&rows), BASE);
        let mut expected = SmartModuleInput::try_from_records(reference(&rows), VERSION as i16).expect("encodes");
        expected.set_base_offset(offset);
        expected.set_base_timestamp(BASE);
        let mut bytes = Vec::new();
        expected.encode(&mut bytes, VERSION as i16).expect("encodes");
        prop_assert_eq!(input(&records, offset, None), bytes);

        let aggregate = SmartModuleAggregateInput { base: expected, accumulator: state.clone() };
        let mut bytes = Vec::new();
        aggregate.encode(&mut bytes, VERSION as i16).expect("encodes");
        prop_assert_eq!(input(&records, offset, Some(&state)), bytes);
    }

    #[test]
    fn an_output_is_read_as_it_was_written(rows in rows(), hint in "[a-zé]{0,40}", refused: bool) {
        let error = refused.then(|| SmartModuleTransformRuntimeError {
            hint: hint.clone(),
            offset: 42,
            record_key: Some("k".into()),
            record_value: "v".into(),
            ..Default::default()
        });
        let output = SmartModuleOutput::with_error(reference(&rows), error);
        let mut bytes = Vec::new();
        output.encode(&mut bytes, VERSION as i16).expect("encodes");
        let read = read_output(&bytes, false).expect("reads");
        prop_assert!(read.successes.is_exact());
        prop_assert_eq!(read.successes.len(), rows.len());
        let expected =
            refused.then(|| Refused { hint, offset: 42, key: Some(&b"k"[..]), value: &b"v"[..] });
        prop_assert_eq!(&read.refused, &expected);

        let mut records = Records::default();
        records.clear();
        records.append(&read.successes, |index| index as u32);
        let (decoded, sources) = records.decode(BASE, |source| rows[source as usize].2.is_some()).expect("fits");
        prop_assert_eq!(decoded, batch(&rows));
        prop_assert_eq!(sources, (0..rows.len() as u32).collect::<Vec<_>>());
    }

    #[test]
    fn garbage_never_panics(bytes: Vec<u8>, aggregate: bool) {
        let _ = read_output(&bytes, aggregate);
        let _ = read_init_error(&bytes);
        let _ = read_look_back_error(&bytes);
    }

    #[test]
    fn a_truncated_output_is_refused(rows in rows().prop_filter("some", |rows| !rows.is_empty()), cut: prop::sample::Index) {
        let mut bytes = Vec::new();
        SmartModuleOutput::new(reference(&rows)).encode(&mut bytes, VERSION as i16).expect("encodes");
        prop_assert!(read_output(&bytes[..cut.index(bytes.len())], false).is_err());
    }

    #[test]
    fn any_number_survives_a_varint(number: i64) {
        let mut bytes = Vec::new();
        write_varint(&mut bytes, number);
        prop_assert_eq!(bytes.len(), varint_len(number));
        prop_assert_eq!(Reader::new(&bytes).varint("it"), Ok(number));
    }

    #[test]
    fn what_a_guest_makes_of_a_far_number_is_known(number in -FARTHEST..=FARTHEST) {
        let mut record = Reference::new("v");
        record.preamble.set_timestamp_delta(number);
        let mut bytes = Vec::new();
        record.encode(&mut bytes, VERSION as i16).expect("encodes");
        let (read, _) = Record::read(&mut Reader::new(&bytes)).expect("reads");
        prop_assert_eq!(read.timestamp_delta, through_guest(number));
    }
}

#[test]
fn the_documented_example() {
    let mut batch = Batch::default();
    batch.push(None, b"soup", None);
    let mut records = Records::default();
    records.encode(&batch, BASE);
    assert_eq!(input(&records, 0, None)[12..26], *b"\0\0\0\x01\x14\0\0\0\0\x08soup");
}

#[test]
fn a_record_with_a_wrong_length_is_read_but_not_passed_on() {
    let bytes = b"\0\0\0\x01\x10\0\0\0\0\x08soup\0\0";
    let read = read_output(bytes, false).expect("reads");
    assert!(!read.successes.is_exact());
    assert_eq!(read.successes.iter().next().expect("one").value, b"soup");
    let reference = SmartModuleOutput::decode_from(&mut std::io::Cursor::new(bytes), VERSION as i16).expect("reads");
    assert_eq!(reference.successes[0].value.as_ref(), b"soup");
}

#[test]
fn as_many_records_as_fit_but_always_one() {
    let batch: Batch = (0..10).map(|_| (None::<&[u8]>, [b'x'; 92])).collect();
    let mut records = Records::default();
    records.encode(&batch, BASE);
    assert_eq!(records.bytes(0..1).len(), 101);
    assert_eq!(records.fitting(0, usize::MAX, 303), 3);
    assert_eq!(records.fitting(0, 2, 303), 2);
    assert_eq!(records.fitting(9, usize::MAX, 1), 10);
    assert_eq!(records.fitting(4, usize::MAX, 1 << 20), 10);
}
