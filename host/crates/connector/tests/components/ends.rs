//! The contract's calls and their results: sources, sinks, transforms.

use std::time::Duration;

use host_batch::Batch;
use host_connector::{Delivery, Error, ErrorKind, Failure, Kind, Limit, Reader, Sandbox, TransformStage, Writer};

use crate::guest::{Heard, LIMIT, component, open, read, sandbox};

fn batch(values: &[&str]) -> Batch {
    values.iter().map(|value| (None::<&[u8]>, value)).collect()
}

#[tokio::test]
async fn a_component_says_what_it_is() {
    let source = component("misbehave").await;
    assert_eq!(source.kind(), Kind::Source);
    assert_eq!(source.digest().len(), 64);
    assert!(source.size() > 10_000);
    assert!(source.imports().iter().any(|name| name.starts_with("wasi:http/outgoing-handler@0.2.")));
    assert!(source.exports().contains(&"fluvio:connector/source@0.1.0".to_owned()));
    let spec = source.spec().await.expect("a spec");
    assert_eq!((spec.name.as_str(), spec.section.as_str()), ("misbehave", "misbehave"));
    assert_eq!(spec.schema["properties"]["url"]["x-network"], true);
    assert_eq!(component("echo-sink").await.spec().await.expect("a spec").name, "echo-sink");
    assert_eq!(component("echo-transform").await.spec().await.expect("a spec").name, "echo-transform");
}

#[tokio::test]
async fn a_component_is_opened_as_what_it_is() {
    let (source, sink) = (component("misbehave").await, component("echo-sink").await);
    let error = Writer::open(&source, &sandbox(&[]), "{}").await.err().expect("it is a source");
    assert!(matches!(error, Error::WrongKind { is: Kind::Source, wanted: Kind::Sink, .. }), "{error:?}");
    assert!(error.to_string().ends_with("misbehave.wasm is a source, not a sink"), "{error}");
    assert!(Reader::open(&sink, &sandbox(&[]), "{}", None).await.is_err());
    assert!(TransformStage::open(&sink, &sandbox(&[]), "{}").await.is_err());
    assert!(sink.discover("{}", &sandbox(&[])).await.is_err());
}

#[tokio::test]
async fn checks_and_discoveries() {
    let source = component("misbehave").await;
    let steps = source.check(r#"{"do": "fail-auth", "at": "check", "text": "who?"}"#, &sandbox(&[])).await;
    let steps = steps.expect("the check is made");
    assert_eq!((steps[0].name.as_str(), &steps[0].problem), ("the configuration is read", &None));
    let problem = steps[1].problem.as_ref().expect("a problem");
    assert_eq!((problem.kind, problem.message.as_str()), (ErrorKind::Auth, "who?"));
    let error = source.check("nonsense", &sandbox(&[])).await.expect_err("no configuration");
    assert_eq!(error.kind(), ErrorKind::Config);
    let found = source.discover(r#"{"do": "nothing"}"#, &sandbox(&[])).await.expect("it looks");
    assert_eq!(found[0].name, "nothing");

    let transform = component("echo-transform").await;
    let steps = transform.check("{}", &sandbox(&[])).await.expect("the check is made");
    assert!(steps[0].problem.is_none());
    let steps = transform.check(r#"{"leak": "much"}"#, &sandbox(&[])).await.expect("the check is made");
    assert_eq!(steps[0].problem.as_ref().expect("a problem").kind, ErrorKind::Config);
}

#[tokio::test]
async fn limits_and_cursors_arrive() {
    let source = component("misbehave").await;
    let mut reader =
        Reader::open(&source, &sandbox(&[]), r#"{"do": "limit"}"#, Some(b"here".to_vec())).await.expect("it opens");
    let limit = Limit { max_records: 5, max_bytes: 600, max_wait: Duration::from_millis(70) };
    let outcome = reader.read(limit).await.expect("it reads");
    assert_eq!(outcome.batch.value(0), b"5 600 70");
    assert_eq!(outcome.batch.value(1), br#"Some("here")"#);
    assert_eq!((outcome.cursor.as_slice(), outcome.end), (&b"1"[..], false));
    reader.commit(&outcome.cursor).await.expect("it commits");
    assert_eq!(reader.read(limit).await.expect("it reads").cursor, b"2");
    assert!(read(&sandbox(&[]), r#"{"do": "end"}"#).await.expect("it reads").end);
}

#[tokio::test]
async fn errors_come_through_and_the_reader_lives_on() {
    let kinds = [
        ("config", ErrorKind::Config),
        ("auth", ErrorKind::Auth),
        ("unreachable", ErrorKind::Unreachable),
        ("throttled", ErrorKind::Throttled),
        ("data", ErrorKind::Data),
        ("internal", ErrorKind::Internal),
    ];
    for (name, kind) in kinds {
        let config = format!(r#"{{"do": "fail-{name}", "text": "with secret-value", "amount": 1500}}"#);
        let sandbox = Sandbox { redact: vec!["secret-value".into()], ..sandbox(&[]) };
        let mut reader = open(&sandbox, &config).await.expect("it opens");
        for _ in 0..2 {
            let error = reader.read(LIMIT).await.expect_err("it fails");
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, "with ***"));
            assert_eq!(error.retry_after(), (name == "throttled").then(|| Duration::from_millis(1500)));
            assert!(!error.ends_instance());
        }
    }
}

#[tokio::test]
async fn closing_lets_the_guest_clean_up() {
    let (heard, sandbox) = Heard::sandbox();
    let config = r#"{"do": "log", "at": "drop", "text": "goodbye"}"#;
    open(&sandbox, config).await.expect("it opens").close().await;
    assert_eq!(heard.lines(), ["Warn [talk] goodbye"]);
    let (heard, sandbox) = Heard::sandbox();
    drop(open(&sandbox, config).await.expect("it opens"));
    assert!(heard.lines().is_empty(), "a dropped one has no say");
}

/// Writes records of offsets 100, 101 and so on.
async fn write(writer: &mut Writer, batch: &Batch) -> Result<Vec<Failure>, Error> {
    let offsets: Vec<i64> = (100..).take(batch.len()).collect();
    writer.write(Delivery { batch, topic: "facts", partition: 2, offsets: &offsets, parts: &[] }).await
}

#[tokio::test]
async fn a_sink_acknowledges_or_says_which() {
    let (heard, sandbox) = Heard::sandbox();
    let sink = component("echo-sink").await;
    let mut writer = Writer::open(&sink, &sandbox, "{}").await.expect("it opens");
    assert_eq!(write(&mut writer, &batch(&[])).await.expect("nothing is fine"), []);
    let keyed = [(Some("k"), "a")].into_iter().collect();
    assert_eq!(write(&mut writer, &keyed).await.expect("it writes"), []);
    assert_eq!(heard.lines(), ["Info [] facts/2@100 k=a"]);
    let twins = Delivery { batch: &keyed, topic: "facts", partition: 2, offsets: &[7], parts: &[1] };
    assert_eq!(writer.write(twins).await.expect("it writes"), []);
    assert_eq!(heard.lines().last().map(String::as_str), Some("Info [] facts/2@7.1 k=a"));

    let failures = write(&mut writer, &batch(&["x", "fail-throttled", "y", "fail-data"])).await.expect("it writes");
    let seen: Vec<_> = failures.iter().map(|failure| (failure.index, failure.error.kind)).collect();
    assert_eq!(seen, [(1, ErrorKind::Throttled), (3, ErrorKind::Data)]);
    assert_eq!(failures[0].error.retry_after, Some(Duration::from_millis(7)));

    let error = write(&mut writer, &batch(&["refuse"])).await.expect_err("it refuses");
    assert_eq!((error.kind(), error.ends_instance()), (ErrorKind::Unreachable, false));
    let error = write(&mut writer, &batch(&["lie"])).await.expect_err("it lies");
    assert!(matches!(error, Error::Nonsense { call: "write", .. }), "{error:?}");
    assert!(matches!(write(&mut writer, &batch(&["x"])).await, Err(Error::Poisoned { .. })));
}

#[tokio::test]
async fn a_transform_says_what_became_of_each() {
    let transform = component("echo-transform").await;
    let mut stage = TransformStage::open(&transform, &sandbox(&[]), "{}").await.expect("it opens");
    let applied = stage.apply(&batch(&["a", "drop", "twice", "refuse", "b"])).await.expect("it applies");
    let values: Vec<_> = applied.batch.iter().map(|record| record.value.to_vec()).collect();
    assert_eq!(values, [&b"a"[..], b"twice", b"twice", b"b"]);
    assert_eq!(applied.sources, [0, 2, 2, 4]);
    assert_eq!((applied.refusals[0].index, applied.refusals[0].reason.as_str()), (3, "it says so"));
    assert!(stage.apply(&Batch::default()).await.expect("nothing is fine").batch.is_empty());
    let error = stage.apply(&batch(&["lie"])).await.expect_err("it lies");
    assert!(matches!(error, Error::Nonsense { call: "apply", .. }), "{error:?}");
}

#[tokio::test]
async fn leaking_sinks_and_transforms_are_replaced_in_time() {
    let tight = Sandbox { memory: 32 << 20, ..sandbox(&[]) };
    let config = r#"{"leak": 204800}"#;
    let transform = component("echo-transform").await;
    let mut stage = TransformStage::open(&transform, &tight, config).await.expect("it opens");
    let sink = component("echo-sink").await;
    let mut writer = Writer::open(&sink, &tight, config).await.expect("it opens");
    for _ in 0..500 {
        stage.apply(&batch(&["a"])).await.expect("100 MB leak through 32 MiB");
        write(&mut writer, &batch(&["a"])).await.expect("100 MB leak through 32 MiB");
    }
    assert!(stage.replaced() >= 2 && writer.replaced() >= 2, "{} {}", stage.replaced(), writer.replaced());
    stage.close().await;
    writer.close().await;
}
