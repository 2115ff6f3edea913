//! A YAML document as a tree that knows where every key and value stands.
//!
//! Built from the parser's events rather than by a loader, for three reasons: a scalar keeps the text as it
//! was written (`version: 0.10` is not the number 0.1), the keys have positions too, and all of a document's
//! duplicate keys are told at once. Depth and the growth through aliases are bounded; whatever the input,
//! parsing ends with a tree or a [`Report`] of what is wrong.

use crate::error::{At, Report};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// How deep lists and maps may nest. Everything that walks the tree recurses, so this bounds the stack.
const MAX_DEPTH: usize = 64;

/// How many nodes aliases may add to a document: without a bound ten lines can grow to billions of nodes.
const MAX_ALIASED: usize = 100_000;

/// A value and where it stands.
#[derive(Clone, PartialEq)]
pub(crate) struct Node {
    pub at: At,
    /// A tag of the document's own, as in `!secret`, without the exclamation mark.
    pub tag: Option<String>,
    /// The text of a list or map from a flag: where a schema wants a string, that is what was meant.
    pub written: Option<String>,
    pub data: Data,
}

#[derive(Clone, PartialEq)]
pub(crate) enum Data {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map and its value.
#[derive(Clone, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub at: At,
    pub value: Node,
}

/// A scalar as it was written.
#[derive(Clone, PartialEq)]
pub(crate) struct Scalar {
    pub text: String,
    /// Without quotes, so that the text decides whether it is a number, a truth value or nothing.
    pub plain: bool,
    /// A problem with it has been reported: whoever reads it keeps silent.
    pub broken: bool,
}

impl Scalar {
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), plain: true, broken: false }
    }

    pub fn quoted(text: impl Into<String>) -> Self {
        Self { text: text.into(), plain: false, broken: false }
    }

    pub fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self.text.as_str() {
            "true" | "True" | "TRUE" if self.plain => Some(true),
            "false" | "False" | "FALSE" if self.plain => Some(false),
            _ => None,
        }
    }

    /// What YAML 1.2's core schema makes of it. Infinities and NaN, which JSON lacks, stay text.
    pub fn json(&self) -> Value {
        if self.is_null() {
            return Value::Null;
        }
        if let Some(value) = self.as_bool() {
            return Value::Bool(value);
        }
        match self.plain.then(|| number(&self.text)).flatten() {
            Some(number) => Value::Number(number),
            None => Value::String(self.text.clone()),
        }
    }
}

/// The number that a plain scalar means, if it means one.
pub(crate) fn number(text: &str) -> Option<serde_json::Number> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits(unsigned) {
        if unsigned.len() > 1 && unsigned.starts_with('0') {
            return None;
        }
        let text = text.strip_prefix('+').unwrap_or(text);
        if let Ok(value) = text.parse::<i64>() {
            return Some(value.into());
        }
        if let Ok(value) = text.parse::<u64>() {
            return Some(value.into());
        }
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = unsigned.strip_prefix(prefix).filter(|rest| !rest.starts_with(['+', '-'])) {
            let value = i64::from_str_radix(rest, radix).ok()?;
            return Some(if text.starts_with('-') { -value } else { value }.into());
        }
    }
    let looks_like_one = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.bytes().any(|b| b.is_ascii_digit())
        && unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    serde_json::Number::from_f64(text.parse().ok().filter(|_| looks_like_one)?)
}

impl Node {
    pub fn scalar(at: At, scalar: Scalar) -> Self {
        Self { at, tag: None, written: None, data: Data::Scalar(scalar) }
    }

    pub fn map(at: At) -> Self {
        Self { at, tag: None, written: None, data: Data::Map(Vec::new()) }
    }

    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.data {
            Data::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.data {
            Data::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|entry| entry.key == key)
    }

    pub fn is_null(&self) -> bool {
        self.as_scalar().is_some_and(Scalar::is_null)
    }

    /// As JSON, maps sorted by key.
    pub fn json(&self) -> Value {
        match &self.data {
            Data::Scalar(scalar) => scalar.json(),
            Data::List(items) => Value::Array(items.iter().map(Self::json).collect()),
            Data::Map(entries) => {
                let mut sorted: Vec<_> = entries.iter().collect();
                sorted.sort_by(|a, b| a.key.cmp(&b.key));
                Value::Object(sorted.into_iter().map(|e| (e.key.clone(), e.value.json())).collect())
            }
        }
    }

    /// What it is, for a message: `5`, or "a map".
    pub fn shown(&self) -> String {
        match &self.data {
            Data::Scalar(scalar) if scalar.is_null() => "empty".to_owned(),
            Data::Scalar(scalar) if scalar.text.is_empty() => "an empty string".to_owned(),
            Data::Scalar(scalar) => format!("`{}`", shorten(&scalar.text)),
            Data::List(_) => "a list".to_owned(),
            Data::Map(_) => "a map".to_owned(),
        }
    }

    fn size(&self) -> usize {
        1 + match &self.data {
            Data::Scalar(_) => 0,
            Data::List(items) => items.iter().map(Self::size).sum(),
            Data::Map(entries) => entries.iter().map(|entry| 1 + entry.value.size()).sum(),
        }
    }

    fn depth(&self) -> usize {
        1 + match &self.data {
            Data::Scalar(_) => 0,
            Data::List(items) => items.iter().map(Self::depth).max().unwrap_or(0),
            Data::Map(entries) => entries.iter().map(|entry| entry.value.depth()).max().unwrap_or(0),
        }
    }
}

/// The first line of a text, and not all of a long one.
fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let short: String = line.chars().take(60).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

/// Parses the one document in `text`. `None` when it can't go on; the report says why. An empty document is
/// an empty scalar.
pub(crate) fn parse(source: &str, text: &str, report: &mut Report) -> Option<Node> {
    let source: Arc<str> = source.into();
    let at =
        |mark: &Marker| At { source: Arc::clone(&source), line: to_u32(mark.line()), column: to_u32(mark.col() + 1) };
    let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut builder = Builder::default();
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let (mark, info) = (error.marker(), error.info());
                let help = syntax_help(text, mark.line(), info);
                let message = format!("this is not YAML: {info}");
                match help {
                    Some(help) => report.error_help(&at(mark), message, help),
                    None => report.error(&at(mark), message),
                }
                return None;
            }
        };
        if let Err(Stop { message, help }) = builder.take(event, at(&span.start), report) {
            report.error_help(&at(&span.start), message, help);
            return None;
        }
    }
    Some(builder.root.unwrap_or_else(|| Node::scalar(At::whole(&source), Scalar::plain(""))))
}

/// What most often stands behind a syntax error, by the line it is in.
fn syntax_help(text: &str, line: usize, info: &str) -> Option<String> {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    if line.contains("{{") {
        return Some("put a template within [ ] or { } into quotes: \"${{ secrets.NAME }}\"".to_owned());
    }
    if line.trim_start_matches(' ').starts_with('\t') || info.contains("tab") {
        return Some("indent with spaces: YAML forbids tabs there".to_owned());
    }
    let value = line.split_once(": ").map(|(_, value)| value).unwrap_or_default();
    if value.contains(": ") || value.starts_with(['@', '`', '%']) {
        return Some("put the value into quotes".to_owned());
    }
    None
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What ends the parsing of a document that the parser itself accepts.
struct Stop {
    message: String,
    help: &'static str,
}

impl Stop {
    fn new(message: impl Into<String>, help: &'static str) -> Self {
        Self { message: message.into(), help }
    }
}

/// A list or map whose end has not come yet.
struct Open {
    node: Node,
    anchor: usize,
    /// In a map, the key whose value comes next.
    key: Option<(String, At)>,
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    aliased: usize,
    documents: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: At, report: &mut Report) -> Result<(), Stop> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let help = "keep one connector a file; remove the line `---`";
                    return Err(Stop::new("a second YAML document begins here", help));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !is_core(tag.as_deref(), "str");
                let scalar = Scalar { text: text.into_owned(), plain, broken: false };
                let node = Node { at, tag: own_tag(tag.as_deref()), written: None, data: Data::Scalar(scalar) };
                self.complete(node, anchor, report)
            }
            Event::SequenceStart(anchor, tag) => self
                .begin(Node { at, tag: own_tag(tag.as_deref()), written: None, data: Data::List(Vec::new()) }, anchor),
            Event::MappingStart(anchor, tag) => self
                .begin(Node { at, tag: own_tag(tag.as_deref()), written: None, data: Data::Map(Vec::new()) }, anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.complete(open.node, open.anchor, report),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Stop::new("an alias within what it stands for", "write the value out"));
                };
                self.aliased += node.size();
                if self.aliased > MAX_ALIASED {
                    return Err(Stop::new(
                        format!("aliases make this document larger than {MAX_ALIASED} values"),
                        "write the values out",
                    ));
                }
                if self.open.len() + node.depth() > MAX_DEPTH {
                    return Err(too_deep());
                }
                self.complete(node, 0, report)
            }
        }
    }

    fn begin(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep());
        }
        self.open.push(Open { node, anchor, key: None });
        Ok(())
    }

    /// Puts a finished value where it belongs: the list, the map as key or as value, or the root.
    fn complete(&mut self, node: Node, anchor: usize, report: &mut Report) -> Result<(), Stop> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut parent.node.data {
            Data::Scalar(_) => {}
            Data::List(items) => items.push(node),
            Data::Map(entries) => match parent.key.take() {
                None => {
                    let Data::Scalar(key) = node.data else {
                        return Err(Stop::new("a list or map as a key", "a key has to be a single word"));
                    };
                    if let Some(first) = entries.iter().find(|entry| entry.key == key.text) {
                        let message = format!("the key `{}` stands here for the second time", key.text);
                        let help = format!("the first is in line {}; remove one of them", first.at.line);
                        report.error_help(&node.at, message, help);
                    }
                    parent.key = Some((key.text, node.at));
                }
                Some((key, at)) => entries.push(Entry { key, at, value: node }),
            },
        }
        Ok(())
    }
}

fn too_deep() -> Stop {
    Stop::new(
        format!("lists and maps nest deeper than {MAX_DEPTH} levels"),
        "no setting needs that; check the brackets",
    )
}

fn is_core(tag: Option<&Tag>, name: &str) -> bool {
    tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == name)
}

fn own_tag(tag: Option<&Tag>) -> Option<String> {
    tag.filter(|tag| !tag.is_yaml_core_schema()).map(|tag| tag.suffix.clone())
}
