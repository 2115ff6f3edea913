//! What stages remember: across instances, across failures, across chains.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use host_batch::Batch;
use host_smartmodule::{Chain, Error, LookBack, Stage, StageState};

use crate::support::{NOW, chain, run, stage, texts, values};

fn dedup(look_back: LookBack) -> Stage {
    Stage { look_back: Some(look_back), ..stage("fixture-dedup", &[]) }
}

fn last(last: u64) -> LookBack {
    LookBack { last, age: None }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

#[test]
fn a_failed_batch_leaves_no_trace() {
    let mut chain = chain(vec![dedup(last(100)), stage("fixture-map", &[])]);
    assert_eq!(texts(&run(&mut chain, &["x", "y"]).batch), ["X", "Y"]);
    let error = chain.apply(&values(&["z", "panic"]), 0, NOW).expect_err("panics");
    assert!(matches!(&error, Error::Trap { module, .. } if module == "fixture-map"), "{error}");
    assert!(!error.is_configuration());
    // applied again without the culprit, `z` is not taken for a repeat, and what went before is still known
    assert_eq!(texts(&run(&mut chain, &["z", "x", "y"]).batch), ["Z"]);
}

#[test]
fn an_accumulator_is_rolled_back_with_its_batch() {
    let mut chain = chain(vec![stage("fixture-aggregate", &[]), stage("fixture-map", &[])]);
    assert_eq!(texts(&run(&mut chain, &["1", "2"]).batch), ["1", "3"]);
    assert_eq!(chain.accumulators(), [b"3".to_vec(), Vec::new()]);
    let mut trapping = Chain::new(vec![
        Stage { accumulator: b"3".to_vec(), ..stage("fixture-aggregate", &[]) },
        crate::hostile::traps_at(b'8'),
    ])
    .expect("a chain");
    assert!(matches!(trapping.apply(&values(&["5"]), 0, NOW), Err(Error::Trap { .. })));
    assert_eq!(trapping.accumulators()[0], b"3");
    assert_eq!(texts(&run(&mut trapping, &["4"]).batch), ["7"]);
}

#[test]
fn refused_numbers_do_not_count() {
    let mut chain = chain(vec![stage("fixture-aggregate", &[])]);
    let applied = run(&mut chain, &["1", "x", "2", "y", "3"]);
    assert_eq!(texts(&applied.batch), ["1", "3", "6"]);
    assert_eq!(applied.refusals.len(), 2);
    assert_eq!(chain.accumulators(), [b"6".to_vec()]);
}

#[test]
fn state_moves_to_another_chain() {
    let build = || chain(vec![dedup(last(3)), stage("fixture-aggregate", &[])]);
    let mut old = build();
    let mut batch = Batch::default();
    for (index, value) in ["1", "2", "3", "4"].iter().enumerate() {
        batch.push(Some(b"k"), value.as_bytes(), Some(NOW + index as i64));
    }
    old.apply(&batch, 40, NOW).expect("applied");
    let state = old.state();
    assert_eq!(state[0].window.offsets, [41, 42, 43]);
    assert_eq!(texts(&state[0].window.records), ["2", "3", "4"]);
    assert_eq!(state[0].window.records.timestamp(0), Some(NOW + 1));
    assert_eq!(state[0].window.records.key(2), Some(&b"k"[..]));
    assert_eq!(state[1], StageState { accumulator: b"10".to_vec(), ..StageState::default() });

    let mut new = build();
    for (index, state) in state.iter().enumerate() {
        new.restore(index, state).expect("restored");
    }
    assert_eq!(new.state(), state);
    // 2 to 4 are known; 1 has left the window
    assert_eq!(texts(&run(&mut new, &["2", "3", "4", "1", "5"]).batch), ["11", "16"]);
    assert!(matches!(new.restore(2, &state[0]), Err(Error::NoStage { stage: 2, stages: 2 })));
}

#[test]
fn the_past_is_shown_to_those_who_ask() {
    let mut chain = chain(vec![dedup(last(2)), stage("fixture-map", &[])]);
    chain.look_back(0, &values(&["a", "b", "c"]), 10).expect("shown");
    chain.look_back(1, &values(&["a"]), 10).expect("without effect");
    assert_eq!(texts(&run(&mut chain, &["a", "b", "c", "d"]).batch), ["D"]);
    assert_eq!(texts(&chain.state()[0].window.records), ["c", "d"]);
    let error = chain.look_back(0, &values(&["x", "bad", "y"]), 10).expect_err("refused");
    assert!(matches!(&error, Error::LookBack { offset: 11, hint, .. } if hint == "a bad past"), "{error}");
    assert_eq!(texts(&run(&mut chain, &["x", "d"]).batch), ["X"], "what was refused was never shown");
}

#[test]
fn a_window_by_age_forgets_the_old() {
    let hour = LookBack { last: 0, age: Some(Duration::from_secs(3_600)) };
    let mut chain = chain(vec![dedup(hour)]);
    let mut batch = Batch::default();
    batch.push(None, b"old", Some(now() - 7_200_000));
    batch.push(None, b"young", Some(now() - 60_000));
    batch.push(None, b"unstamped", None);
    chain.apply(&batch, 0, now()).expect("applied");
    assert_eq!(texts(&chain.state()[0].window.records), ["young", "unstamped"]);
}

#[test]
fn without_a_look_back_configuration_nothing_is_kept() {
    let mut chain = chain(vec![stage("fixture-dedup", &[])]);
    run(&mut chain, &["a"]);
    assert!(chain.state()[0].window.records.is_empty());
    assert!(run(&mut chain, &["a"]).batch.is_empty());
}
