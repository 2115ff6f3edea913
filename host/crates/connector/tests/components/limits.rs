//! Guests that loop, trap, eat memory, lie or never come back: each costs its own instance, nothing else.

use std::time::{Duration, Instant};

use host_connector::{Error, ErrorKind, Limit, Reader, Sandbox};

use crate::guest::{LIMIT, component, open, read, sandbox, text};

fn short() -> Sandbox {
    Sandbox { call_timeout: Duration::from_millis(300), ..sandbox(&[]) }
}

#[tokio::test]
async fn an_endless_loop_ends_by_its_deadline() {
    let mut reader = open(&short(), r#"{"do": "loop"}"#).await.expect("it opens");
    let started = Instant::now();
    // On this runtime's one thread: the loop has to give it back, or this would not count.
    let mut ticks = 0;
    let other = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            ticks += 1;
        }
    };
    let error = tokio::select! {
        result = reader.read(LIMIT) => result.expect_err("it loops"),
        () = other => unreachable!("it counts for ever"),
    };
    assert!(matches!(error, Error::Deadline { call: "read", .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(started.elapsed() >= Duration::from_millis(300) && started.elapsed() < Duration::from_secs(3));
    assert!(ticks >= 3, "others had {ticks} turns");

    let again = reader.read(LIMIT).await.expect_err("it is poisoned");
    assert!(matches!(&again, Error::Poisoned { reason } if reason.contains("0.3 s")), "{again:?}");
    assert!(matches!(reader.commit(b"").await, Err(Error::Poisoned { .. })));
    read(&sandbox(&[]), r#"{"do": "nothing"}"#).await.expect("a fresh instance is fine");
}

#[tokio::test]
async fn opening_has_a_deadline_too() {
    let error = open(&short(), r#"{"do": "loop", "at": "open"}"#).await.err().expect("it loops");
    assert!(matches!(error, Error::Deadline { call: "open", .. }), "{error:?}");
}

#[tokio::test]
async fn a_guest_that_sleeps_has_as_long_as_it_may_wait() {
    let mut reader = open(&short(), r#"{"do": "sleep", "amount": 800}"#).await.expect("it opens");
    let patient = Limit { max_wait: Duration::from_millis(700), ..LIMIT };
    reader.read(patient).await.expect("700 ms and 300 ms are enough for 800 ms");
    let started = Instant::now();
    let error = reader.read(LIMIT).await.expect_err("300 ms are not");
    assert!(matches!(error, Error::Deadline { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_millis(700));
}

#[tokio::test]
async fn a_panic_is_reported_with_its_words_and_stack() {
    let error = read(&sandbox(&[]), r#"{"do": "panic", "text": "no such luck"}"#).await.expect_err("it panics");
    let text = error.to_string();
    assert!(text.contains("crashed in `read`") && text.contains("no such luck"), "{text}");
    let Error::Trap { stack, output, .. } = error else { panic!("{error:?}") };
    assert!(stack.iter().any(|frame| frame == "misbehave::act"), "{stack:#?}");
    assert!(output[0].contains("compute.rs") && output[1] == "no such luck", "{output:?}");
    assert_eq!(output.len(), 2);
}

#[tokio::test]
async fn traps_of_all_sorts() {
    for (action, expected) in [("trap", "unreachable"), ("recurse", "stack"), ("exit", "exit status")] {
        let error = read(&sandbox(&[]), &format!(r#"{{"do": "{action}"}}"#)).await.expect_err("it traps");
        assert!(matches!(&error, Error::Trap { reason, .. } if reason.contains(expected)), "{action}: {error:?}");
        assert!(error.ends_instance());
    }
}

#[tokio::test]
async fn memory_has_a_limit() {
    let config = r#"{"do": "allocate", "amount": 100}"#;
    assert_eq!(text(&sandbox(&[]), config).await, "100 MiB");
    let small = Sandbox { memory: 64 << 20, ..sandbox(&[]) };
    let mut reader = open(&small, config).await.expect("it opens");
    let error = reader.read(LIMIT).await.expect_err("64 MiB are not enough");
    assert!(matches!(error, Error::Memory { call: "read", limit } if limit == 64 << 20), "{error:?}");
    assert!(error.to_string().contains("64 MiB") && error.to_string().contains("host.sandbox.memory"));
    assert!(reader.memory() <= 64 << 20);
    let tiny = Sandbox { memory: 1 << 16, ..sandbox(&[]) };
    let error = open(&tiny, config).await.err().expect("it does not even start");
    assert!(matches!(error, Error::Memory { call: "start", .. }), "{error:?}");
}

#[tokio::test]
async fn batches_that_lie_are_refused() {
    let lies = ["ends-beyond", "ends-fall", "values-left-over", "timestamps-missing", "keys-beyond"];
    for action in lies {
        let mut reader = open(&sandbox(&[]), &format!(r#"{{"do": "{action}"}}"#)).await.expect("it opens");
        let error = reader.read(LIMIT).await.expect_err("it lies");
        assert!(matches!(error, Error::Nonsense { call: "read", .. }), "{action}: {error:?}");
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(matches!(reader.read(LIMIT).await, Err(Error::Poisoned { .. })), "{action}");
    }
    let mut reader = open(&sandbox(&[]), r#"{"do": "too-many", "amount": 11}"#).await.expect("it opens");
    let error = reader.read(Limit { max_records: 10, ..LIMIT }).await.expect_err("ten were asked for");
    assert!(error.to_string().contains("11 records where at most 10"), "{error}");
}

#[tokio::test]
async fn a_cursor_is_small() {
    let config = |size: usize| format!(r#"{{"do": "cursor", "amount": {size}}}"#);
    assert_eq!(read(&sandbox(&[]), &config(256 << 10)).await.expect("it fits").cursor.len(), 256 << 10);
    let error = read(&sandbox(&[]), &config((256 << 10) + 1)).await.expect_err("it does not");
    assert!(matches!(error, Error::Nonsense { .. }), "{error:?}");
}

#[tokio::test]
async fn a_record_may_be_large_but_not_without_end() {
    let size = 20 << 20;
    let outcome = read(&sandbox(&[]), &format!(r#"{{"do": "huge", "amount": {size}}}"#)).await;
    assert_eq!(outcome.expect("one large record is fine").batch.byte_len(), size);
    let error = read(&sandbox(&[]), &format!(r#"{{"do": "huge", "amount": {}}}"#, 65 << 20)).await;
    let error = error.expect_err("64 MiB are the limit");
    assert!(matches!(&error, Error::Trap { reason, .. } if reason.contains("too much data")), "{error:?}");
}

#[tokio::test]
async fn a_call_given_up_half_way_poisons() {
    let mut reader = open(&sandbox(&[]), r#"{"do": "sleep", "amount": 5000}"#).await.expect("it opens");
    let given_up = tokio::time::timeout(Duration::from_millis(50), reader.read(LIMIT)).await;
    assert!(given_up.is_err());
    let error = reader.read(LIMIT).await.expect_err("it is poisoned");
    assert!(matches!(&error, Error::Poisoned { reason } if reason.contains("given up half-way")), "{error:?}");
}

#[tokio::test]
async fn calls_can_be_made_from_any_thread() {
    let component = component("misbehave").await;
    let task = tokio::spawn(async move {
        let mut reader = Reader::open(&component, &Sandbox::default(), r#"{"do": "columns"}"#, None).await?;
        reader.read(LIMIT).await
    });
    let batch = task.await.expect("no panic").expect("it reads").batch;
    assert_eq!((batch.key(0), batch.key(1)), (Some(&b"k"[..]), None));
    assert_eq!((batch.timestamp(0), batch.timestamp(1)), (None, Some(1_700_000_000_000)));
    assert_eq!((batch.value(0), batch.value(1)), (&b"one"[..], &b"two"[..]));
}
