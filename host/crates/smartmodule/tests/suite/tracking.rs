//! Sources, refusals and timestamps: what the published engine doesn't tell.

use host_batch::Batch;
use host_smartmodule::Tracking;

use crate::support::{NOW, chain, run, stage, texts, values};

#[test]
fn nothing_behind_a_refused_record_is_lost() {
    let mut chain = chain(vec![stage("fixture-filter", &[("needle", "a")]), stage("fixture-map", &[])]);
    let applied = run(&mut chain, &["a1", "bad1", "x", "a2", "bad2", "bad3", "a3"]);
    assert_eq!(texts(&applied.batch), ["A1", "A2", "A3"]);
    assert_eq!(applied.sources, [0, 3, 6]);
    let refused: Vec<_> = applied.refusals.iter().map(|refusal| (refusal.index, refusal.value.as_slice())).collect();
    assert_eq!(refused, [(1, &b"bad1"[..]), (4, b"bad2"), (5, b"bad3")]);
    let first = &applied.refusals[0];
    assert_eq!((first.stage, first.module.as_str(), first.reason.as_str()), (0, "fixture-filter", "a bad value: bad1"));
}

#[test]
fn a_later_stage_refuses_what_an_earlier_one_made() {
    let mut chain = chain(vec![stage("fixture-array-map", &[]), stage("fixture-map", &[])]);
    let mut batch = values(&["a,b"]);
    batch.push(Some(b"k"), b"c,bad,d", None);
    let applied = chain.apply(&batch, 100, NOW).expect("applied");
    assert_eq!(texts(&applied.batch), ["A", "B", "C", "D"]);
    assert_eq!(applied.sources, [0, 0, 1, 1]);
    let refusal = &applied.refusals[0];
    assert_eq!((refusal.index, refusal.stage, refusal.value.as_slice()), (1, 1, &b"bad"[..]));
    assert_eq!(refusal.key.as_deref(), Some(&b"k"[..]));
}

#[test]
fn a_batch_of_which_everything_is_refused() {
    let mut chain = chain(vec![stage("fixture-map", &[])]);
    let applied = run(&mut chain, &vec!["bad"; 3_000]);
    assert!(applied.batch.is_empty());
    assert!(applied.refusals.iter().map(|refusal| refusal.index).eq(0..3_000));
}

#[test]
fn coarse_tracking_names_the_last_record_it_can_have_been() {
    let mut chain = chain(vec![stage("fixture-array-map", &[])]);
    chain.set_tracking(Tracking::Coarse);
    let applied = run(&mut chain, &["a,b", "bad", "c", "d,e"]);
    assert_eq!(texts(&applied.batch), ["a", "b", "c", "d", "e"]);
    assert_eq!(applied.sources, [0, 0, 2, 3, 3]);
    assert_eq!(applied.refusals[0].index, 1);
}

#[test]
fn no_stage_and_no_record() {
    let mut none = chain(vec![]);
    let applied = run(&mut none, &["x", "y"]);
    assert_eq!((texts(&applied.batch), applied.sources), (vec!["x".to_owned(), "y".to_owned()], vec![0, 1]));
    let mut one = chain(vec![stage("fixture-map", &[])]);
    assert!(run(&mut one, &[] as &[&str]).batch.is_empty());
}

#[test]
fn timestamps_come_out_as_they_went_in() {
    let mut chain =
        chain(vec![stage("fixture-map", &[]), stage("fixture-filter", &[("needle", "X")]), stage("fixture-map", &[])]);
    // far off, and one that even the guest's encoder never ends at
    let stamps = [Some(NOW), None, Some(0), Some(NOW + 5), Some(4_102_444_800_000)];
    let mut batch = Batch::default();
    for stamp in stamps {
        batch.push(None, b"x", stamp);
        batch.push(None, b"y", stamp);
    }
    let applied = chain.apply(&batch, 7, NOW).expect("applied");
    let out: Vec<_> = applied.batch.iter().map(|record| record.timestamp).collect();
    assert_eq!(out, stamps);
    let seen = String::from_utf8_lossy(applied.batch.key(4).expect("a key")).into_owned();
    assert!(seen.starts_with("15@4102444800000:"), "what the second map saw: {seen}");
}

#[test]
fn the_farthest_timestamp_does_no_harm() {
    let mut chain = chain(vec![stage("fixture-map", &[])]);
    let mut batch = Batch::default();
    batch.push(None, b"x", Some(i64::MAX));
    assert_eq!(chain.apply(&batch, 0, 0).expect("applied").batch.len(), 1);
}

#[test]
fn the_records_of_an_array_have_the_batchs_time() {
    let mut chain = chain(vec![stage("fixture-array-map", &[])]);
    let mut batch = Batch::default();
    batch.push(None, b"a,b", Some(NOW + 5));
    batch.push(None, b"c", None);
    let applied = chain.apply(&batch, 0, NOW).expect("applied");
    let out: Vec<_> = applied.batch.iter().map(|record| record.timestamp).collect();
    assert_eq!(out, [Some(NOW), Some(NOW), None]);
}

#[test]
fn large_batches_go_in_several_calls() {
    let mut chain = chain(vec![stage("fixture-map", &[]), stage("fixture-map", &[])]);
    let input: Vec<_> = (0..6_000).map(|index| format!("{index}-{}", "x".repeat(1_000))).collect();
    let applied = run(&mut chain, &input);
    assert_eq!(applied.sources, (0..6_000).collect::<Vec<_>>());
    assert!(applied.batch.iter().zip(&input).all(|(record, value)| record.value == value.to_uppercase().as_bytes()));
    let huge = vec![b'x'; 10 << 20];
    assert_eq!(run(&mut chain, &[&huge]).batch.value(0).len(), huge.len());
}
