//! Record for record what `fluvio-smartengine` 0.50.1 makes of the same modules and records.
//!
//! Two comparisons. Where nothing is refused, a whole batch through the published chain must be what comes out
//! here. Always, and also where records are refused, the model is the published engine called stage by stage and
//! record by record: it tells where each output came from, and lets the records behind a refused one go on.
//!
//! Chains live through all cases, on both sides, so what modules remember is compared too.

use fluvio_protocol::record::Record;
use fluvio_smartengine::SmartModuleChainInstance;
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleInput;
use host_batch::Batch;
use host_smartmodule::{Chain, Tracking};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{NOW, chain, reference, reference_chain, stage};

const VERSION: i16 = 22;

type Stages = &'static [(&'static str, &'static [(&'static str, &'static str)])];

/// What comes out, where from, and what was refused: `(index, stage, reason)`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    batch: Batch,
    sources: Vec<u32>,
    refusals: Vec<(u32, usize, String)>,
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-c]{0,3}".prop_map(String::into_bytes),
        3 => (-20_i32..200).prop_map(|number| number.to_string().into_bytes()),
        2 => "[ab]{0,2}(,[ab0-9]{0,2}){0,4}".prop_map(String::into_bytes),
        1 => "bad[a-c,]{0,4}".prop_map(String::into_bytes),
        1 => "[a ]{1,3},bad,[a ]{1,3}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..300),
    ]
}

fn batch() -> impl Strategy<Value = Batch> {
    let key = prop::option::weighted(0.4, prop::collection::vec(any::<u8>(), 0..20));
    let timestamp = prop::option::weighted(0.6, NOW - 100_000..NOW + 100_000);
    prop::collection::vec((key, value(), timestamp), 0..30).prop_map(|rows| {
        let mut batch = Batch::default();
        for (key, value, timestamp) in rows {
            batch.push(key.as_deref(), &value, timestamp);
        }
        batch
    })
}

fn records(batch: &Batch) -> Vec<Record> {
    let record = |(index, row): (usize, host_batch::RecordRef<'_>)| {
        let mut record = match row.key {
            Some(key) => Record::new_key_value(key.to_vec(), row.value.to_vec()),
            None => Record::new(row.value.to_vec()),
        };
        record.preamble.set_offset_delta(index as i64);
        record.preamble.set_timestamp_delta(row.timestamp.map_or(0, |timestamp| timestamp - NOW));
        record
    };
    batch.iter().enumerate().map(record).collect()
}

fn input(records: Vec<Record>, base_offset: i64) -> SmartModuleInput {
    let mut input = SmartModuleInput::try_from_records(records, VERSION).expect("encodes");
    input.set_base_offset(base_offset);
    input.set_base_timestamp(NOW);
    input
}

fn push(out: &mut Batch, record: &Record, stamped: bool) {
    let delta = record.timestamp_delta();
    let timestamp = (stamped || delta != 0).then_some(NOW + delta);
    out.push(record.key().map(AsRef::as_ref), record.value().as_ref(), timestamp);
}

/// Stage by stage and record by record.
fn model(stages: &mut [SmartModuleChainInstance], batch: &Batch, base_offset: i64) -> Outcome {
    let mut outcome = Outcome::default();
    let mut current: Vec<(u32, Record)> = (0..).zip(records(batch)).collect();
    for (index, stage) in stages.iter_mut().enumerate() {
        let mut next = Vec::new();
        for (source, record) in current {
            let output = stage.process(input(vec![record], base_offset)).expect("processed");
            next.extend(output.successes.into_iter().map(|record| (source, record)));
            if let Some(error) = output.error {
                outcome.refusals.push((source, index, reason(&error.hint)));
            }
        }
        current = next;
    }
    outcome.refusals.sort_by_key(|refusal| refusal.0);
    for (source, record) in &current {
        push(&mut outcome.batch, record, batch.timestamp(*source as usize).is_some());
        outcome.sources.push(*source);
    }
    outcome
}

fn reason(hint: &str) -> String {
    hint.split("\n\nLocation:").next().unwrap_or_default().trim_end().to_owned()
}

fn ours(chain: &mut Chain, batch: &Batch, base_offset: i64) -> Outcome {
    let applied = chain.apply(batch, base_offset, NOW).expect("applied");
    let refusals = applied.refusals.into_iter().map(|refusal| (refusal.index, refusal.stage, refusal.reason));
    Outcome { batch: applied.batch, sources: applied.sources, refusals: refusals.collect() }
}

fn rows(batch: &Batch) -> Vec<host_batch::RecordRef<'_>> {
    batch.iter().collect()
}

fn compare(stages: Stages) {
    let build = || chain(stages.iter().map(|(name, params)| stage(name, params)).collect());
    let (mut exact, mut coarse) = (build(), build());
    coarse.set_tracking(Tracking::Coarse);
    let mut single: Vec<_> = stages.iter().map(|(name, params)| reference(name, params)).collect();
    let mut whole = reference_chain(stages);
    // one after an error is out of step with ours for ever: it forgets the rest of the batch
    let mut in_step = true;
    let mut runner = TestRunner::new(Config { cases: 96, failure_persistence: None, ..Config::default() });
    let cell = std::cell::RefCell::new((&mut exact, &mut coarse, &mut single, &mut whole, &mut in_step));
    runner
        .run(&(batch(), 0..1_000_000_i64), |(batch, offset)| {
            let (exact, coarse, single, whole, in_step) = &mut *cell.borrow_mut();
            let expected = model(single, &batch, offset);
            let outcome = ours(exact, &batch, offset);
            prop_assert_eq!(rows(&outcome.batch), rows(&expected.batch));
            prop_assert_eq!(&outcome.sources, &expected.sources);
            prop_assert_eq!(&outcome.refusals, &expected.refusals);

            let outcome = ours(coarse, &batch, offset);
            let plain = |batch: &Batch| -> Vec<_> {
                batch.iter().map(|record| (record.key.map(<[u8]>::to_vec), record.value.to_vec())).collect()
            };
            prop_assert_eq!(plain(&outcome.batch), plain(&expected.batch));
            prop_assert!(outcome.sources.is_sorted());
            prop_assert_eq!(outcome.refusals.len(), expected.refusals.len());

            if **in_step && expected.refusals.is_empty() {
                let output = whole.process(input(records(&batch), offset)).expect("processed");
                prop_assert!(output.error.is_none());
                let mut published = Batch::default();
                for (record, &source) in output.successes.iter().zip(&expected.sources) {
                    push(&mut published, record, batch.timestamp(source as usize).is_some());
                }
                prop_assert_eq!(output.successes.len(), expected.sources.len());
                prop_assert_eq!(rows(&published), rows(&expected.batch));
            } else if stages
                .iter()
                .any(|(name, _)| matches!(*name, "fixture-aggregate" | "fixture-dedup" | "json-aggregate" | "dedup"))
            {
                **in_step = false;
            }
            Ok(())
        })
        .expect("the same as the published engine");
}

#[test]
fn filter() {
    compare(&[("fixture-filter", &[("needle", "a")])]);
}

#[test]
fn map() {
    compare(&[("fixture-map", &[])]);
}

#[test]
fn filter_map() {
    compare(&[("fixture-filter-map", &[])]);
}

#[test]
fn array_map() {
    compare(&[("fixture-array-map", &[])]);
}

#[test]
fn aggregate() {
    compare(&[("fixture-aggregate", &[])]);
}

#[test]
fn a_filter_with_a_memory() {
    compare(&[("fixture-dedup", &[])]);
}

#[test]
fn modules_built_with_0_7_and_0_8() {
    compare(&[("fixture-old-filter", &[])]);
    compare(&[("fixture-old-array-map", &[])]);
    compare(&[("fixture-old-filter", &[]), ("fixture-map", &[]), ("fixture-old-array-map", &[])]);
}

#[test]
fn the_modules_that_come_with_the_host() {
    compare(&[("regex-filter", &[("regex", "a|[0-9]")])]);
    compare(&[("ndjson-split", &[("invalid", "drop")]), ("json-key", &[("fields", "a"), ("missing", "none")])]);
    compare(&[("csv-to-json", &[("columns", "a,b")]), ("json-project", &[("rename", "a=c")])]);
    compare(&[("sample", &[("rate", "0.5")])]);
}

#[test]
fn an_aggregate_with_a_value_of_its_own() {
    compare(&[("json-aggregate", &[])]);
    compare(&[("fixture-array-map", &[]), ("json-aggregate", &[("max-keys", "3")])]);
    compare(&[("json-aggregate", &[("fields", ""), ("max-keys", "5")])]);
}

#[test]
fn a_memory_of_limited_size() {
    compare(&[("dedup", &[("count", "4"), ("age", "10s")])]);
    compare(&[("dedup", &[("by", "key")])]);
}

#[test]
fn filter_map_map() {
    compare(&[("fixture-filter", &[]), ("fixture-map", &[]), ("fixture-map", &[])]);
}

#[test]
fn an_array_map_in_front_of_every_kind() {
    compare(&[("fixture-array-map", &[]), ("fixture-filter", &[("needle", "a")]), ("fixture-map", &[])]);
    compare(&[("fixture-array-map", &[]), ("fixture-filter-map", &[]), ("fixture-aggregate", &[])]);
    compare(&[("fixture-array-map", &[]), ("fixture-dedup", &[]), ("fixture-array-map", &[])]);
}

#[test]
fn an_error_from_init_is_told_in_the_same_words() {
    let params = [("needle", "")];
    let ours = Chain::new(vec![stage("fixture-filter", &params)]).expect_err("refused");
    assert_eq!(ours.to_string(), "`fixture-filter` refuses its parameters: needle must not be empty");
    assert!(ours.is_configuration());
}
