//! What a guest says, and what it finds when it looks around.

use host_connector::Sandbox;

use crate::guest::{Heard, read, sandbox, texts};

#[tokio::test]
async fn there_is_nothing_around_a_guest() {
    let found = texts(&sandbox(&[]), r#"{"do": "surroundings"}"#).await;
    assert!(found[0].starts_with("no files"), "{found:?}");
    assert_eq!(found[1..], ["0 variables", "0 arguments", "Ok(0) read"]);
}

#[tokio::test]
async fn messages_arrive_bounded_and_without_secrets() {
    let (heard, sandbox) = Heard::sandbox();
    let sandbox = Sandbox { redact: vec!["hunter2".into()], ..sandbox };
    read(&sandbox, r#"{"do": "log", "text": "my hunter2 word"}"#).await.expect("it reads");
    read(&sandbox, r#"{"do": "log", "text": "12345678", "amount": 100000}"#).await.expect("it reads");
    let lines = heard.lines();
    assert_eq!(lines[0], "Warn [talk] my *** word");
    assert!(lines[1].len() < 9000 && lines[1].contains("bytes more"), "{} bytes", lines[1].len());
}

#[tokio::test]
async fn what_is_printed_becomes_lines() {
    let (heard, sandbox) = Heard::sandbox();
    read(&sandbox, r#"{"do": "print", "text": "one\ntwo", "amount": 20000}"#).await.expect("it reads");
    let lines = heard.lines();
    assert_eq!(lines[..2], ["Info [stdout] one", "Info [stdout] two"]);
    let printed: usize =
        lines[2..].iter().map(|line| line.matches('e').count() - "[stderr]".matches('e').count()).sum();
    assert_eq!(printed, 20_000, "a long line comes in pieces, the last one when the instance goes");
}

#[tokio::test]
async fn a_flood_of_messages_is_cut_off() {
    let (heard, sandbox) = Heard::sandbox();
    read(&sandbox, r#"{"do": "flood", "amount": 20000}"#).await.expect("it reads");
    let passed = heard.lines().len();
    assert!((500..4000).contains(&passed), "{passed}");
}

#[tokio::test]
async fn numbers_arrive_and_names_are_bounded() {
    let (heard, sandbox) = Heard::sandbox();
    read(&sandbox, r#"{"do": "metrics", "amount": 10}"#).await.expect("it reads");
    let lines = heard.lines();
    for expected in ["counter polls_total 2", "gauge depth 2.5", "histogram seconds 0.25"] {
        assert!(lines.iter().any(|line| line == expected), "{lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.starts_with("gauge polls_total") || line.starts_with("gauge Bad")));
    assert!(lines.iter().any(|line| line.contains("it is a Counter already, not a Gauge")), "{lines:#?}");

    let (heard, sandbox) = Heard::sandbox();
    read(&sandbox, r#"{"do": "metrics", "amount": 5000}"#).await.expect("it reads");
    assert_eq!(heard.lines().iter().filter(|line| line.starts_with("counter")).count(), 256);
}
