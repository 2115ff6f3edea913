use connector_sdk::ErrorKind;
use connector_sdk::http::Request;
use connector_sdk::testing::{Harness, Reply};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::Config;

fn config(more: Value) -> Config {
    let mut section = json!({"endpoint": "http://a.example/", "stream": true});
    let Value::Object(more) = more else { panic!("an object") };
    section.as_object_mut().expect("an object").extend(more);
    serde_json::from_value(section).expect("a fine section")
}

/// Reads a whole stream, `max_records` at a time: values, and in their places the kinds of failures.
fn read(harness: &Harness, reply: Reply, config: &Config, max_records: usize) -> Vec<Result<String, ErrorKind>> {
    harness.reply(reply);
    let response = Request::get(&config.endpoint).expect("an address").send().expect("an answer");
    let body = Body::new(response).expect("a known coding");
    let mut stream = Stream::new(body, &config.delimiter, config.max_record.as_len());
    let extractor = Extractor::new(config);
    let limit = Limit { max_records, max_bytes: 1 << 20, max_wait: std::time::Duration::ZERO };
    let mut out = Vec::new();
    for _ in 0..10_000 {
        let mut batch = Batch::default();
        let filled = stream.fill(&extractor, &mut batch, &limit, time::now());
        assert!(batch.len() <= max_records);
        let text = |value: Vec<u8>| String::from_utf8(value).expect("text");
        out.extend(batch.records().into_iter().map(|record| Ok(text(record.value))));
        match filled {
            Ok(false) => {}
            Ok(true) => return out,
            Err(error) => {
                assert!(batch.is_empty(), "what came before goes out first");
                out.push(Err(error.kind()));
                if error.kind() != ErrorKind::Data {
                    return out;
                }
            }
        }
    }
    panic!("the stream does not end");
}

fn oks(values: &[&str]) -> Vec<Result<String, ErrorKind>> {
    values.iter().map(|&value| Ok(value.to_owned())).collect()
}

#[test]
fn cuts_at_the_delimiter_wherever_pieces_end() {
    let harness = Harness::install();
    let config = config(json!({"delimiter": "\r\n"}));
    let reply = Reply::ok("a\r").piece("\nb\r\n").piece("\r").piece("\nc\rd").piece("\r");
    assert_eq!(read(&harness, reply, &config, 2), oks(&["a", "b", "", "c\rd\r"]));
    assert_eq!(read(&harness, Reply::ok("a\r\n"), &config, 1), oks(&["a"]));
    assert_eq!(read(&harness, Reply::ok(""), &config, 1), oks(&[]));
}

#[test]
fn what_is_too_long_is_skipped_and_bounded() {
    let harness = Harness::install();
    let config = config(json!({"max-record": 4, "delimiter": "||"}));
    let mut reply = Reply::ok("ok||12345||four||");
    for _ in 0..100 {
        reply = reply.piece("xxxxxx|");
    }
    let reply = reply.piece("|next||123").piece("45");
    let mut expected = oks(&["ok", "", "four", "", "next", ""]);
    for index in [1, 3, 5] {
        expected[index] = Err(ErrorKind::Data);
    }
    assert_eq!(read(&harness, reply, &config, 10), expected);
}

#[test]
fn a_broken_tail_is_no_record() {
    let harness = Harness::install();
    let reply = Reply::ok("one\ntwo\nthr").broken(Error::unreachable("reset"));
    let mut expected = oks(&["one", "two", ""]);
    expected[2] = Err(ErrorKind::Unreachable);
    assert_eq!(read(&harness, reply, &config(json!({})), 10), expected);
}

#[test]
fn a_record_without_its_key_is_reported_in_its_place() {
    let harness = Harness::install();
    let config = config(json!({"key": "/k"}));
    let reply = Reply::ok("{\"k\":1}\nno json\n{\"k\":2}\n{}");
    let mut expected = oks(&["{\"k\":1}", "", "{\"k\":2}", ""]);
    expected[1] = Err(ErrorKind::Data);
    expected[3] = Err(ErrorKind::Data);
    assert_eq!(read(&harness, reply, &config, 10), expected);
}

proptest! {
    #[test]
    fn cutting_is_splitting(pieces in prop::collection::vec("[ab;|]{0,6}", 0..8), max_records in 1usize..4) {
        let harness = Harness::install();
        let whole = pieces.concat();
        let reply = pieces.into_iter().fold(Reply::ok(""), Reply::piece);
        for delimiter in [";", "||", ";|"] {
            let mut expected: Vec<_> = whole.split(delimiter).collect();
            if expected.last().is_some_and(|last| last.is_empty()) {
                expected.pop();
            }
            let config = config(json!({"delimiter": delimiter}));
            prop_assert_eq!(read(&harness, reply.clone(), &config, max_records), oks(&expected));
        }
    }
}
