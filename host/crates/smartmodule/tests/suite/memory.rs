//! Memory stays where it is, however many records go through.

use host_batch::Batch;
use host_smartmodule::{Chain, Limits, Tracking};

use crate::support::{NOW, chain, stage};

fn batch(records: usize) -> Batch {
    (0..records).map(|index| (None::<&[u8]>, format!("{index:06}{}", "a".repeat(94)))).collect()
}

/// Applies batches and returns the memory after each.
fn memory(chain: &mut Chain, batch: &Batch, calls: usize) -> Vec<u64> {
    let apply = |_| {
        assert_eq!(chain.apply(batch, 0, NOW).expect("applied").batch.len(), batch.len());
        chain.memory()
    };
    (0..calls).map(apply).collect()
}

#[test]
fn what_guests_forget_is_freed_for_them() {
    for name in ["fixture-filter", "fixture-map", "fixture-old-filter", "fixture-array-map", "fixture-old-array-map"] {
        let mut chain = chain(vec![stage(name, &[])]);
        chain.set_tracking(Tracking::Coarse);
        let memory = memory(&mut chain, &batch(500), 400);
        assert_eq!(memory[20], memory[399], "{name} grows: {memory:?}");
        assert!(memory[399] < 8 << 20, "{name}: {}", memory[399]);
    }
}

#[test]
fn outputs_of_every_size_are_freed() {
    let mut chain = chain(vec![stage("fixture-map", &[])]);
    let mut sizes = (0..2_000_usize).map(|index| index * 7_919 % 977 + 1);
    let mut run = |calls: usize| {
        for records in sizes.by_ref().take(calls) {
            assert_eq!(chain.apply(&batch(records), 0, NOW).expect("applied").batch.len(), records);
        }
        chain.memory()
    };
    let (early, late) = (run(1_000), run(1_000));
    assert_eq!(early, late);
}

#[test]
fn refusals_and_single_records_leak_nothing_either() {
    let mut chain = chain(vec![stage("fixture-array-map", &[]), stage("fixture-filter", &[])]);
    let batch: Batch =
        (0..200).map(|index| (None::<&[u8]>, if index % 3 == 0 { "bad" } else { "a,ba,bad,c" })).collect();
    let mut run = || {
        for _ in 0..20 {
            chain.apply(&batch, 0, NOW).expect("applied");
        }
        chain.memory()
    };
    let (early, late) = (run(), run());
    assert_eq!(early, late);
}

#[test]
fn an_instance_that_leaks_all_the_same_is_replaced() {
    let mut stage = crate::hostile::traps_at(b'!');
    stage.limits = Limits { memory: 4 << 20, ..Limits::default() };
    let mut chain = Chain::new(vec![stage]).expect("a chain");
    let memory = memory(&mut chain, &batch(500), 600);
    assert!(memory.iter().all(|&memory| memory <= 4 << 20), "{memory:?}");
    let replaced = memory.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!(replaced > 5, "replaced {replaced} times: {memory:?}");
}

/// Ten million records through a filter and a map. Run it in release mode: `cargo nextest run --release
/// -p host-smartmodule --run-ignored only`.
#[test]
#[ignore = "takes half a minute in release mode, many in debug mode"]
fn ten_million_records() {
    let mut chain = chain(vec![stage("fixture-filter", &[]), stage("fixture-map", &[])]);
    let batch = batch(1_000);
    let early = memory(&mut chain, &batch, 100)[99];
    let late = memory(&mut chain, &batch, 9_900)[9_899];
    println!("memory after 100,000 records: {early} bytes, after 10,000,000: {late} bytes");
    assert_eq!(early, late);
}
