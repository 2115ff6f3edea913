use proptest::prelude::*;

use super::*;

/// Everything in a stream that comes in pieces of this size.
fn parse(text: &[u8], piece: usize, max_record: usize) -> (Vec<Found>, Parser) {
    let mut parser = Parser::new(String::new(), max_record);
    let mut found = Vec::new();
    for piece in text.chunks(piece) {
        parser.push(piece);
        while let Some(next) = parser.next() {
            found.push(next);
        }
        assert!(parser.buffer.len() - parser.start <= max_record + FIELD_NAME + piece.len(), "bounded");
    }
    (found, parser)
}

/// Name, data and id of each event.
fn events(text: &str) -> Vec<(String, String, String)> {
    let mut all: Option<Vec<_>> = None;
    for piece in [1, 2, 3, 7, 1000] {
        let (found, _) = parse(text.as_bytes(), piece, 1000);
        let found: Vec<_> = found
            .into_iter()
            .filter_map(|found| match found {
                Found::Event(Event { name, data, id }) => Some((name, String::from_utf8(data).expect("text"), id)),
                Found::Id => None,
                Found::Unusable(why) => panic!("{why}"),
            })
            .collect();
        let first = all.get_or_insert_with(|| found.clone());
        assert_eq!(*first, found, "in pieces of {piece}");
    }
    all.expect("five times")
}

fn event(name: &str, data: &str, id: &str) -> (String, String, String) {
    (name.to_owned(), data.to_owned(), id.to_owned())
}

#[test]
fn the_examples_of_the_standard() {
    assert_eq!(
        events("data: This is the first message.\n\ndata: This is the second message, it\ndata: has two lines.\n\n"),
        [
            event("message", "This is the first message.", ""),
            event("message", "This is the second message, it\nhas two lines.", "")
        ]
    );
    assert_eq!(
        events("event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n"),
        [event("add", "73857293", ""), event("remove", "2153", "")]
    );
    assert_eq!(
        events(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n"),
        [event("message", "first event", "1"), event("message", "second event", "")]
    );
    assert_eq!(events("data\n\ndata\ndata\n\ndata:\n"), [event("message", "", ""), event("message", "\n", "")]);
    assert_eq!(events("data:test\n\ndata: test\n\n"), [event("message", "test", ""), event("message", "test", "")]);
}

#[test]
fn lines_end_in_three_ways_and_a_mark_is_passed_over() {
    for end in ["\n", "\r", "\r\n"] {
        let text = ["data: a", "data: b", "", "id: 7", "data: c", "", ""].join(end);
        let expected = [event("message", "a\nb", ""), event("message", "c", "7")];
        assert_eq!(events(&text), expected, "{end:?}");
        assert_eq!(events(&format!("\u{feff}{text}")), expected, "{end:?}");
    }
    assert_eq!(events("data: a\r\r\ndata: b\n\r\n"), [event("message", "a", ""), event("message", "b", "")]);
    assert_eq!(events("\u{feff}\u{feff}data: a\n\n"), [], "only one mark is a mark");
}

#[test]
fn ids_and_waits_are_kept() {
    let (found, parser) =
        parse(b"id: 1\n\nid: 1\n\nid: 2\ndata: x\n\nid: a\0b\nretry: 250\nretry: soon\nretry:\n\n", 5, 100);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], Found::Id);
    assert_eq!((parser.id.as_str(), parser.retry), ("2", Some(Duration::from_millis(250))));
    let (_, parser) = parse(b"id: 5\ndata: not complete", 5, 100);
    assert_eq!(parser.id, "", "an event that did not end is none");
    assert_eq!(events("colour: red\ndata: x\n:data: y\nDATA: z\n\n"), [event("message", "x", "")]);
}

#[test]
fn what_is_too_long_is_passed_over_and_bounded() {
    let long = "x".repeat(5000);
    let many = "data: 0123456789\n".repeat(100);
    let text = format!(
        "data: one\n\nid: 8\ndata: {long}\ndata: more\n\n:{long}\ndata: two\n\n{many}\nid: {long}\ndata: z\n\ndata: 3\n\n"
    );
    for piece in [1, 100, 100_000] {
        let (found, parser) = parse(text.as_bytes(), piece, 100);
        let kinds: Vec<_> = found
            .iter()
            .map(|found| match found {
                Found::Event(event) => String::from_utf8_lossy(&event.data).into_owned(),
                Found::Id => "id".to_owned(),
                Found::Unusable(why) => (*why).to_owned(),
            })
            .collect();
        let expected = ["one", LONG, "two", LONG, LONG, "3"];
        if piece == 100_000 {
            // The whole id was seen before it was too long for the buffer.
            assert_eq!(kinds, ["one", LONG, "two", LONG, "has an id of more than 4 KiB", "3"]);
        } else {
            assert_eq!(kinds, expected, "in pieces of {piece}");
        }
        assert_eq!(parser.id, "8", "what is passed over is not asked for again");
    }
}

const LONG: &str = "is longer than `max-record`";

/// The standard's algorithm, on whole lines.
fn reference(text: &str) -> Vec<(String, String, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let (mut out, mut data, mut name, mut id) = (Vec::new(), String::new(), String::new(), String::new());
    let mut lines: Vec<&str> = text.split('\n').collect();
    // What no line end follows is no line.
    lines.pop();
    for line in lines {
        if line.is_empty() {
            if !data.is_empty() {
                data.pop();
                let name = if name.is_empty() { "message" } else { &name };
                out.push((name.to_owned(), data.clone(), id.clone()));
            }
            data.clear();
            name.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "event" => value.clone_into(&mut name),
            "id" => value.clone_into(&mut id),
            _ => {}
        }
    }
    out
}

proptest! {
    #[test]
    fn reads_what_the_standard_says(lines in prop::collection::vec("(data|id|event|x|)(: ?[ab:é]{0,3})?(\n|\r|\r\n)", 0..12)) {
        let text = lines.concat();
        prop_assert_eq!(events(&text), reference(&text));
    }
}
