//! Any SmartModule, held against the published engine: `just test-smartmodules DIR` runs this over every `.wasm`
//! of a folder, and without that variable it runs over the modules built here.
//!
//! Beside `NAME.wasm` there may be
//! - `NAME.params`: parameters, `name=value` a line,
//! - `NAME.records`: records, one a line, or a folder with a file for each; otherwise a few of every usual format,
//! - `NAME.keys`: their keys, one a line, an empty line for none,
//! - `NAME.lookback`: what the module is shown before it begins, one record a line.
//!
//! The records go through both engines, first one by one and then as a batch: the same records must come out, with
//! the same keys and times, or both must refuse one in the same words, or both must fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use fluvio_smartengine::{Lookback, SmartEngine, SmartModuleChainBuilder, SmartModuleChainInstance, SmartModuleConfig};
use fluvio_smartmodule::Record;
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleInput;
use host_batch::Batch;
use host_smartmodule::{Chain, LookBack, Stage};

use crate::support::{NOW, engine, target};

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

/// A key, a value and a timestamp.
type Row = (Option<Vec<u8>>, Vec<u8>, i64);

/// What became of records.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Records(Vec<Row>),
    Refused(Vec<Row>, String),
    Failed,
}

/// What a folder says of one module.
struct Case {
    name: String,
    wasm: Vec<u8>,
    params: BTreeMap<String, String>,
    rows: Vec<Row>,
    past: Vec<Vec<u8>>,
}

/// A text file's lines; none when it isn't there.
fn lines(path: &Path) -> Option<Vec<Vec<u8>>> {
    let bytes = fs::read(path).ok()?;
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Some(bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec()).collect())
}

/// The files of a folder, by name.
fn files(folder: &Path) -> Option<Vec<Vec<u8>>> {
    let mut paths: Vec<_> = fs::read_dir(folder).ok()?.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    Some(paths.iter().map(|path| fs::read(path).expect("a record")).collect())
}

impl Case {
    fn read(path: &Path) -> Self {
        let beside = |extension| path.with_extension(extension);
        let records = files(&beside("records")).or_else(|| lines(&beside("records")));
        let records = records.unwrap_or_else(|| RECORDS.iter().map(|text| text.as_bytes().to_vec()).collect());
        let keys = lines(&beside("keys")).unwrap_or_default();
        let row = |(index, value): (usize, Vec<u8>)| {
            (keys.get(index).filter(|key| !key.is_empty()).cloned(), value, NOW + index as i64 * 1_000)
        };
        let pair = |line: Vec<u8>| {
            let line = String::from_utf8(line).expect("parameters are text");
            line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        Self {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            wasm: fs::read(path).expect("a module"),
            params: lines(&beside("params")).unwrap_or_default().into_iter().filter_map(pair).collect(),
            rows: records.into_iter().enumerate().map(row).collect(),
            past: lines(&beside("lookback")).unwrap_or_default(),
        }
    }

    /// The published engine, after it has looked back.
    fn published(&self) -> Result<SmartModuleChainInstance, String> {
        let mut config = SmartModuleConfig::builder();
        config.smartmodule_names(vec!["foreign".to_owned()]);
        for (name, value) in &self.params {
            config.param(name, value);
        }
        if !self.past.is_empty() {
            config.lookback(Some(Lookback::Last(self.past.len() as u64)));
        }
        let mut builder = SmartModuleChainBuilder::default();
        builder.add_smart_module(config.build().expect("a configuration"), self.wasm.clone());
        let mut chain = builder.initialize(&SmartEngine::new()).map_err(|error| format!("{error:#}"))?;
        let past = || self.past.iter().enumerate().map(|(offset, value)| record(offset, &(None, value.clone(), 0), 0));
        let looked = {
            let looking = pin!(chain.look_back(|_| std::future::ready(Ok(past().collect()))));
            looking.poll(&mut Context::from_waker(Waker::noop()))
        };
        match looked {
            Poll::Ready(Ok(())) => Ok(chain),
            Poll::Ready(Err(error)) => Err(format!("{error:#}")),
            Poll::Pending => panic!("nothing to wait for"),
        }
    }

    /// The chain of this crate, after it has looked back.
    fn ours(&self) -> Result<Chain, String> {
        let module = engine().compile(&self.name, &self.wasm).map_err(|error| error.to_string())?;
        let look_back = (!self.past.is_empty()).then(|| LookBack { last: self.past.len() as u64, age: None });
        let stage = Stage { params: self.params.clone(), look_back, ..Stage::new(module) };
        let mut chain = Chain::new(vec![stage]).map_err(|error| error.to_string())?;
        let mut past = Batch::default();
        for value in &self.past {
            past.push(None, value, Some(0));
        }
        chain.look_back(0, &past, 0).map_err(|error| error.to_string())?;
        Ok(chain)
    }

    fn check(&self) {
        let name = &self.name;
        let (mut chain, mut other) = match (self.ours(), self.published()) {
            (Ok(chain), Ok(other)) => (chain, other),
            (Err(ours), Err(theirs)) => {
                println!("{name}: refused by both: {ours} / {}", theirs.lines().next().unwrap_or_default());
                return;
            }
            (ours, theirs) => panic!("{name}: only one engine takes it: {:?} / {:?}", ours.err(), theirs.err()),
        };
        let mut counts = [0; 3];
        let mut taken = Vec::new();
        for row in &self.rows {
            let expected = process(&mut other, std::slice::from_ref(row));
            match &expected {
                Fate::Records(_) => {
                    counts[0] += 1;
                    taken.push(row.clone());
                }
                Fate::Refused(..) => counts[1] += 1,
                Fate::Failed => {
                    counts[2] += 1;
                    // what trapped may not be called again; here that has been taken care of
                    other = self.published().expect("once more");
                }
            }
            let value = String::from_utf8_lossy(&row.1);
            assert_eq!(apply(&mut chain, std::slice::from_ref(row)), expected, "{name}: {value:?}");
        }
        // Both have seen the same, so whatever they remember is the same too. The published engine forgets what
        // follows a refused record, so only what it takes is sent as a batch.
        let expected = process(&mut other, &taken);
        let outcome = apply(&mut chain, &taken);
        let whole = !matches!(expected, Fate::Refused(..));
        if whole {
            assert_eq!(outcome, expected, "{name}: {} records as a batch", taken.len());
        }
        let [taken, refused, failed] = counts;
        let batch = if whole { "; and as a batch" } else { "" };
        println!("{name}: the same for {taken} records, {refused} refused, {failed} failed{batch}");
    }
}

fn record(index: usize, (key, value, timestamp): &Row, base: i64) -> Record {
    let mut record = match key {
        Some(key) => Record::new_key_value(key.clone(), value.clone()),
        None => Record::new(value.clone()),
    };
    record.preamble.set_offset_delta(index as i64);
    record.preamble.set_timestamp_delta(timestamp - base);
    record
}

fn reason(hint: &str) -> String {
    hint.split("\n\nLocation:").next().unwrap_or_default().trim_end().to_owned()
}

/// What the published engine makes of records.
fn process(chain: &mut SmartModuleChainInstance, rows: &[Row]) -> Fate {
    let records = rows.iter().enumerate().map(|(index, row)| record(index, row, NOW)).collect();
    let mut input = SmartModuleInput::try_from_records(records, 22).expect("encodes");
    input.set_base_timestamp(NOW);
    let Ok(output) = chain.process(input) else { return Fate::Failed };
    let row = |record: &Record| {
        let key = record.key().map(|key| key.as_ref().to_vec());
        (key, record.value().as_ref().to_vec(), NOW + record.timestamp_delta())
    };
    let rows = output.successes.iter().map(row).collect();
    match output.error {
        None => Fate::Records(rows),
        Some(error) => Fate::Refused(rows, reason(&error.hint)),
    }
}

/// What this crate makes of records.
fn apply(chain: &mut Chain, rows: &[Row]) -> Fate {
    let mut batch = Batch::default();
    for (key, value, timestamp) in rows {
        batch.push(key.as_deref(), value, Some(*timestamp));
    }
    let Ok(mut applied) = chain.apply(&batch, 0, NOW) else { return Fate::Failed };
    let row = |record: host_batch::RecordRef<'_>| {
        (record.key.map(<[u8]>::to_vec), record.value.to_vec(), record.timestamp.unwrap_or_default())
    };
    let rows = applied.batch.iter().map(row).collect();
    match applied.refusals.pop() {
        None => Fate::Records(rows),
        Some(refusal) => Fate::Refused(rows, refusal.reason),
    }
}

/// The modules of a folder.
fn modules(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    paths.sort();
    assert!(!paths.is_empty(), "no .wasm in {}", folder.display());
    paths
}

#[test]
fn foreign_modules() {
    let folder = std::env::var_os("HOST_SMARTMODULES").map_or_else(|| target().join("smartmodules"), PathBuf::from);
    for path in modules(&folder) {
        Case::read(&path).check();
    }
}

#[test]
fn what_stands_beside_a_module_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    fs::copy(target().join("smartmodules/fixture-filter.wasm"), folder.path().join("f.wasm")).expect("copied");
    file("f.params", "needle=a\n");
    file("f.records", "a\nb\n");
    file("f.keys", "\nk\n");
    let case = Case::read(&folder.path().join("f.wasm"));
    assert_eq!(case.rows, [(None, b"a".to_vec(), NOW), (Some(b"k".to_vec()), b"b".to_vec(), NOW + 1_000)]);
    assert_eq!(process(&mut case.published().expect("starts"), &case.rows), Fate::Records(vec![case.rows[0].clone()]));
    case.check();

    fs::copy(target().join("smartmodules/fixture-dedup.wasm"), folder.path().join("d.wasm")).expect("copied");
    fs::create_dir(folder.path().join("d.records")).expect("a folder");
    file("d.records/1", "x\ny");
    file("d.records/2", "z");
    file("d.lookback", "z\n");
    let case = Case::read(&folder.path().join("d.wasm"));
    assert_eq!(case.rows.len(), 2);
    assert_eq!(apply(&mut case.ours().expect("starts"), &case.rows), Fate::Records(vec![case.rows[0].clone()]));
    case.check();
}
