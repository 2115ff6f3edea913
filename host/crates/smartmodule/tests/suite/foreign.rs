//! Any SmartModule, held against the published engine: `just test-smartmodules DIR` runs this over every `.wasm`
//! of a folder, and without that variable it runs over the modules built here.
//!
//! Beside `NAME.wasm` there may be `NAME.params` (`name=value` a line) and `NAME.records` (a record a line);
//! without the latter a few records of every usual format are sent. Each record goes through both engines alone:
//! the same records must come out, or both must refuse it in the same words, or both must fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fluvio_smartengine::{SmartEngine, SmartModuleChainBuilder, SmartModuleChainInstance, SmartModuleConfig};
use fluvio_smartmodule::Record;
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleInput;
use host_smartmodule::{Chain, Stage};

use crate::support::{NOW, engine, target, values};

const RECORDS: &[&str] = &[
    "",
    "text with spaces",
    "42",
    "-7",
    "apple,banana,1",
    r#"{"id": 1, "name": "a", "tags": ["x", "y"], "nested": {"on": true}}"#,
    r#"[{"id": 1}, {"id": 2}, "three", 4]"#,
    r#"["a", "b"]"#,
    "<rss><channel><item><title>a</title></item></channel></rss>",
    "a\nb\r\nc",
    "\u{fc}\u{20ac}",
];

type Row = (Option<Vec<u8>>, Vec<u8>);

/// What became of one record.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Records(Vec<Row>),
    Refused(Vec<Row>, String),
    Failed,
}

fn lines(path: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.lines().map(str::to_owned).collect())
}

fn params(path: &Path) -> BTreeMap<String, String> {
    let lines = lines(&path.with_extension("params")).unwrap_or_default();
    lines.iter().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

fn reference(wasm: &[u8], params: &BTreeMap<String, String>) -> Result<SmartModuleChainInstance, String> {
    let mut config = SmartModuleConfig::builder();
    config.smartmodule_names(vec!["foreign".to_owned()]);
    for (name, value) in params {
        config.param(name, value);
    }
    let mut builder = SmartModuleChainBuilder::default();
    builder.add_smart_module(config.build().expect("a configuration"), wasm.to_vec());
    builder.initialize(&SmartEngine::new()).map_err(|error| format!("{error:#}"))
}

fn reason(hint: &str) -> String {
    hint.split("\n\nLocation:").next().unwrap_or_default().trim_end().to_owned()
}

fn published(chain: &mut SmartModuleChainInstance, record: &str) -> Fate {
    let mut input = SmartModuleInput::try_from_records(vec![Record::new(record)], 22).expect("encodes");
    input.set_base_timestamp(NOW);
    let Ok(output) = chain.process(input) else { return Fate::Failed };
    let row = |record: &Record| (record.key().map(|key| key.as_ref().to_vec()), record.value().as_ref().to_vec());
    let rows = output.successes.iter().map(row).collect();
    match output.error {
        None => Fate::Records(rows),
        Some(error) => Fate::Refused(rows, reason(&error.hint)),
    }
}

fn ours(chain: &mut Chain, record: &str) -> Fate {
    let Ok(mut applied) = chain.apply(&values(&[record]), 0, NOW) else { return Fate::Failed };
    let rows = applied.batch.iter().map(|record| (record.key.map(<[u8]>::to_vec), record.value.to_vec())).collect();
    match applied.refusals.pop() {
        None => Fate::Records(rows),
        Some(refusal) => Fate::Refused(rows, refusal.reason),
    }
}

fn check(path: &Path) {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let wasm = fs::read(path).expect("a module");
    let params = params(path);
    let stage = engine().compile(&name, &wasm).map(|module| Stage { params: params.clone(), ..Stage::new(module) });
    let mut chain = match (stage.and_then(|stage| Chain::new(vec![stage])), reference(&wasm, &params)) {
        (Ok(chain), Ok(_)) => chain,
        (Err(ours), Err(theirs)) => {
            println!("{name}: refused by both: {ours} / {}", theirs.lines().next().unwrap_or_default());
            return;
        }
        (ours, theirs) => panic!("{name}: only one engine takes it: {:?} / {:?}", ours.err(), theirs.err()),
    };
    let mut other = reference(&wasm, &params).expect("once more");
    let records =
        lines(&path.with_extension("records")).unwrap_or_else(|| RECORDS.iter().map(|&text| text.to_owned()).collect());
    for record in &records {
        let expected = published(&mut other, record);
        if expected == Fate::Failed {
            // what trapped may not be called again; here that has been taken care of
            other = reference(&wasm, &params).expect("once more");
        }
        assert_eq!(ours(&mut chain, record), expected, "{name}: {record:?}");
    }
    println!("{name}: the same for {} records", records.len());
}

#[test]
fn foreign_modules() {
    let folder = std::env::var_os("HOST_SMARTMODULES").map_or_else(|| target().join("smartmodules"), PathBuf::from);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    paths.sort();
    assert!(!paths.is_empty(), "no .wasm in {}", folder.display());
    for path in paths {
        check(&path);
    }
}
