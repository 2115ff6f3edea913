//! Measures this host beside `fluvio-smartengine` on the same modules and records: nanoseconds a record, median of
//! alternating rounds. Run it in release mode after `just guests`:
//!
//! `cargo run --release -p host-smartmodule --example compare`
//!
//! With `memory` as its argument it sends ten million records through a filter and a map instead and shows what
//! memory the instances have.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use fluvio_protocol::record::Record;
use fluvio_smartengine::{SmartEngine, SmartModuleChainBuilder, SmartModuleChainInstance, SmartModuleConfig};
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleInput;
use host_batch::Batch;
use host_smartmodule::{Chain, Engine, EngineOptions, Stage, Tracking};

const NOW: i64 = 1_700_000_000_000;
const ROUNDS: usize = 7;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn wasm(name: &str) -> Result<Vec<u8>> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/smartmodules");
    Ok(std::fs::read(target.join(name).with_extension("wasm"))?)
}

fn ours(engine: &Engine, names: &[&str], tracking: Tracking) -> Result<Chain> {
    let stages = names.iter().map(|name| Ok(Stage::new(engine.compile(name, &wasm(name)?)?)));
    let mut chain = Chain::new(stages.collect::<Result<_>>()?)?;
    chain.set_tracking(tracking);
    Ok(chain)
}

fn published(engine: &SmartEngine, names: &[&str]) -> Result<SmartModuleChainInstance> {
    let mut builder = SmartModuleChainBuilder::default();
    for name in names {
        let config = SmartModuleConfig::builder().smartmodule_names(vec![(*name).to_owned()]).build()?;
        builder.add_smart_module(config, wasm(name)?);
    }
    Ok(builder.initialize(engine)?)
}

fn value(name: &str, index: usize, size: usize) -> Vec<u8> {
    match name {
        // numbers for the module that wants them
        "fixture-filter-map" => format!("{:>size$}", index * 2).into_bytes(),
        "fixture-array-map" => format!("{:a>size$}", format!(",{index}")).into_bytes(),
        _ => format!("{index:a>size$}").into_bytes(),
    }
}

fn records(values: &[Vec<u8>]) -> Vec<Record> {
    let record = |(index, value): (usize, &Vec<u8>)| {
        let mut record = Record::new(value.clone());
        record.preamble.set_offset_delta(index as i64);
        record
    };
    values.iter().enumerate().map(record).collect()
}

/// Nanoseconds a record of one round.
fn time(records: usize, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    let mut calls = 0_usize;
    while started.elapsed().as_millis() < 120 {
        call()?;
        calls += 1;
    }
    Ok(started.elapsed().as_nanos() as f64 / (calls * records) as f64)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn compare(names: &[&str], count: usize, size: usize) -> Result<()> {
    let host = Engine::new(EngineOptions::default())?;
    let reference = SmartEngine::new();
    let values: Vec<_> = (0..count).map(|index| value(names[0], index, size)).collect();
    let batch: Batch = values.iter().map(|value| (None::<&[u8]>, value)).collect();
    let records = records(&values);
    let mut exact = ours(&host, names, Tracking::Exact)?;
    let mut coarse = ours(&host, names, Tracking::Coarse)?;
    let mut guest = bare::Guest::new(&wasm(names[0])?, &batch)?;
    let (mut exacts, mut coarses, mut theirs, mut bares) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        exacts.push(time(count, || {
            black_box(exact.apply(&batch, 0, NOW)?);
            Ok(())
        })?);
        coarses.push(time(count, || {
            black_box(coarse.apply(&batch, 0, NOW)?);
            Ok(())
        })?);
        // a fresh one each round: it leaks until it dies
        let mut chain = published(&reference, names)?;
        theirs.push(time(count, || {
            let mut input = SmartModuleInput::try_from_records(records.clone(), 22)?;
            input.set_base_timestamp(NOW);
            black_box(chain.process(input)?);
            Ok(())
        })?);
        bares.push(time(count, || guest.call())?);
    }
    let (exact, coarse, theirs, bare) = (median(exacts), median(coarses), median(theirs), median(bares));
    println!(
        "| {:44} | {count:5} | {size:6} | {exact:8.0} | {coarse:8.0} | {theirs:8.0} | {bare:8.0} | {:5.2} | {:5.2} |",
        names.join(" > "),
        theirs / exact,
        coarse / bare
    );
    Ok(())
}

fn memory() -> Result<()> {
    let host = Engine::new(EngineOptions::default())?;
    let mut chain = ours(&host, &["fixture-filter", "fixture-map"], Tracking::Exact)?;
    let batch: Batch = (0..1_000).map(|index| (None::<&[u8]>, value("", index, 100))).collect();
    let started = Instant::now();
    for call in 1..=10_000 {
        assert_eq!(chain.apply(&batch, 0, NOW)?.batch.len(), batch.len());
        if call == 10 || call % 2_000 == 0 {
            println!("{:>10} records: {} bytes, {:?}", call * 1_000, chain.memory(), started.elapsed());
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("memory") {
        return memory();
    }
    println!(
        "| modules | batch | bytes | exact ns | coarse ns | published ns | first guest alone ns | times faster | over guest |"
    );
    println!("|-|-|-|-|-|-|-|-|-|");
    for (count, size) in [(1, 100), (100, 100), (1_000, 100), (1_000, 1_024), (100, 16_384)] {
        for names in [&["fixture-filter"][..], &["fixture-map"], &["fixture-filter-map"], &["fixture-array-map"]] {
            compare(names, count, size)?;
        }
        compare(&["fixture-filter", "fixture-map", "fixture-map"], count, size)?;
    }
    Ok(())
}

/// A guest called by Wasmtime without fuel, epochs or this host, on an input made beforehand.
mod bare {
    use super::{Batch, NOW, Record, Result, SmartModuleInput};
    use fluvio_protocol::Encoder;
    use wasmtime::{Caller, Engine, Linker, Memory, Module, Store, TypedFunc};

    pub struct Guest {
        module: Module,
        linker: Linker<()>,
        input: Vec<u8>,
        live: Option<Live>,
        calls: usize,
    }

    struct Live {
        store: Store<()>,
        memory: Memory,
        alloc: TypedFunc<i32, i32>,
        entry: TypedFunc<(i32, i32, i32), i32>,
    }

    impl Guest {
        pub fn new(wasm: &[u8], batch: &Batch) -> Result<Self> {
            let engine = Engine::default();
            let module = Module::new(&engine, wasm)?;
            let mut linker = Linker::new(&engine);
            linker.func_wrap("env", "copy_records", |_: Caller<'_, ()>, _: i32, _: i32| {})?;
            let record = |(index, record): (usize, host_batch::RecordRef<'_>)| {
                let mut made = Record::new(record.value.to_vec());
                made.preamble.set_offset_delta(index as i64);
                made
            };
            let records = batch.iter().enumerate().map(record).collect();
            let mut made = SmartModuleInput::try_from_records(records, 22)?;
            made.set_base_timestamp(NOW);
            let mut input = Vec::new();
            made.encode(&mut input, 22)?;
            Ok(Self { module, linker, input, live: None, calls: 0 })
        }

        pub fn call(&mut self) -> Result<()> {
            // it forgets its outputs: a fresh one every 64 MiB
            if self.calls * self.input.len() > 64 << 20 {
                self.live = None;
                self.calls = 0;
            }
            self.calls += 1;
            if self.live.is_none() {
                self.live = Some(self.start()?);
            }
            let Some(live) = &mut self.live else { return Ok(()) };
            let pointer = live.alloc.call(&mut live.store, self.input.len() as i32)?;
            live.memory.write(&mut live.store, pointer as usize, &self.input)?;
            live.entry.call(&mut live.store, (pointer, self.input.len() as i32, 22))?;
            Ok(())
        }

        fn start(&self) -> Result<Live> {
            let mut store = Store::new(self.module.engine(), ());
            let instance = self.linker.instantiate(&mut store, &self.module)?;
            let memory = instance.get_memory(&mut store, "memory").ok_or("no memory")?;
            let alloc = instance.get_typed_func(&mut store, "alloc")?;
            if let Ok(init) = instance.get_typed_func::<(i32, i32, i32), i32>(&mut store, "init") {
                let pointer = alloc.call(&mut store, 3)?;
                memory.write(&mut store, pointer as usize, &[0; 3])?;
                init.call(&mut store, (pointer, 3, 22))?;
            }
            let entry = ["filter", "map", "filter_map", "array_map"]
                .iter()
                .find_map(|name| instance.get_typed_func(&mut store, name).ok())
                .ok_or("no transform")?;
            Ok(Live { store, memory, alloc, entry })
        }
    }
}
