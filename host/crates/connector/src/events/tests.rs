//! Secrets, bounds, and the memory of last words.

use std::sync::{Arc, Mutex};

use super::{GuestEvents, GuestLog, Level, MESSAGE_BYTES, MESSAGES_A_SECOND, Redactor, TAIL_LINES};

#[derive(Default)]
struct Collected(Mutex<Vec<(Level, String, String)>>);

impl GuestEvents for Collected {
    fn log(&self, level: Level, context: &str, message: &str) {
        self.0.lock().expect("no panic").push((level, context.into(), message.into()));
    }
}

fn log(secrets: &[&str]) -> (Arc<Collected>, GuestLog) {
    let secrets: Vec<String> = secrets.iter().map(ToString::to_string).collect();
    let collected = Arc::new(Collected::default());
    (collected.clone(), GuestLog::new(collected, Redactor::new(&secrets)))
}

#[test]
fn secrets_are_taken_out_in_every_spelling() {
    let redactor = Redactor::new(&["p\"w d".into(), "p".into(), String::new()]);
    assert_eq!(redactor.clean("is p\"w d".into()), "is ***");
    assert_eq!(redactor.clean(r#"{"k": "p\"w d"}"#.into()), r#"{"k": "***"}"#);
    assert_eq!(redactor.clean("?k=p%22w+d&x".into()), "?k=***&x");
    assert_eq!(redactor.clean("none here".into()), "none here");
    assert!(!format!("{redactor:?}").contains('"'));
}

#[test]
fn long_messages_are_cut_at_a_character() {
    let (collected, log) = log(&[]);
    log.log(Level::Info, "", "é".repeat(MESSAGE_BYTES));
    let messages = collected.0.lock().expect("no panic");
    let text = &messages[0].2;
    assert!(text.len() < MESSAGE_BYTES + 64 && text.ends_with("bytes more)"), "{} bytes", text.len());
}

#[test]
fn a_flood_is_cut_off() {
    let (collected, log) = log(&[]);
    for number in 0..MESSAGES_A_SECOND * 4 {
        log.log(Level::Info, "", number.to_string());
    }
    let passed = collected.0.lock().expect("no panic").len();
    assert!(passed <= 2 * MESSAGES_A_SECOND as usize, "{passed}");
}

#[test]
fn last_words_are_kept_clean_and_few() {
    let (_, log) = log(&["hunter2"]);
    for number in 0..TAIL_LINES + 5 {
        log.line(Level::Warn, "stderr", format!("line {number} hunter2").as_bytes());
    }
    log.line(Level::Warn, "stderr", b"  ");
    let tail = log.take_tail();
    assert_eq!(tail.last().map(String::as_str), Some("line 24 ***"));
    assert_eq!(tail.len(), TAIL_LINES - 1);
    assert!(log.take_tail().is_empty());
}
