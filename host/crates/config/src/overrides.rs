//! `--set key=value`: single values of the connector's section from the command line, before its file.
//!
//! The key is a path with dots, in which a number is an item of a list. The value is one YAML scalar, or a
//! flow list or map (`[a, b]`, `{a: 1}`); it is never read as block YAML, so `a: b` and `#x` are just texts.

use crate::error::{At, Report};
use crate::yaml::{self, Data, Entry, Node, Scalar};

/// One value to set.
#[derive(Clone)]
pub(crate) struct Override {
    path: String,
    pub value: Node,
}

impl Override {
    /// Reads one; problems are told as of `--set path=value`.
    pub fn read(path: &str, text: &str) -> Self {
        let source = format!("--set {path}={text}");
        Self { path: path.trim().to_owned(), value: read_value(&source, text) }
    }

    /// Sets the value in a section, making maps on the way.
    pub fn apply(&self, section: &mut Node, name: &str, report: &mut Report) {
        let mut node = section;
        let mut done = name.to_owned();
        for part in self.path.split('.') {
            if part.is_empty() {
                let help = "write `--set KEY=VALUE`, with dots between the keys of maps within each other";
                report.error_help(&self.value.at, "a key is empty", help);
                return;
            }
            if node.is_null() {
                node.data = Data::Map(Vec::new());
            }
            let found = format!("`{done}` is {}", node.shown());
            let next = match &mut node.data {
                Data::Map(entries) => Some(entry(entries, part, &self.value.at)),
                Data::List(items) => item(items, part, &self.value.at),
                Data::Scalar(_) => None,
            };
            done = format!("{done}.{part}");
            match next {
                Some(next) => node = next,
                None => {
                    report.error(&self.value.at, format!("there is no `{done}` to set: {found}"));
                    return;
                }
            }
        }
        *node = self.value.clone();
    }
}

fn entry<'n>(entries: &'n mut Vec<Entry>, key: &str, at: &At) -> &'n mut Node {
    let index = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        let value = Node::scalar(at.clone(), Scalar::plain(""));
        entries.push(Entry { key: key.to_owned(), at: at.clone(), value });
        entries.len() - 1
    });
    &mut entries[index].value
}

/// An item of a list, or the place behind the last one.
fn item<'n>(items: &'n mut Vec<Node>, index: &str, at: &At) -> Option<&'n mut Node> {
    let index: usize = index.parse().ok()?;
    if index == items.len() {
        items.push(Node::scalar(at.clone(), Scalar::plain("")));
    }
    items.get_mut(index)
}

fn read_value(source: &str, text: &str) -> Node {
    let at = At::whole(source);
    if text.trim_start().starts_with(['{', '[', '"', '\'']) {
        let mut ignored = Report::new(false);
        // A value such as `[not yaml` or `"a" and "b"` is meant as the text that it is.
        if let Some(node) = yaml::parse(source, text, &mut ignored)
            && ignored.is_empty()
        {
            let written = node.as_scalar().is_none().then(|| text.to_owned());
            return Node { written, ..whole(node, &at) };
        }
        return Node::scalar(at, Scalar::quoted(text));
    }
    Node::scalar(at, Scalar::plain(text))
}

/// Lines and columns within a flag help nobody.
fn whole(node: Node, at: &At) -> Node {
    let data = match node.data {
        Data::Scalar(scalar) => Data::Scalar(scalar),
        Data::List(items) => Data::List(items.into_iter().map(|item| whole(item, at)).collect()),
        Data::Map(entries) => Data::Map(
            entries.into_iter().map(|e| Entry { key: e.key, at: at.clone(), value: whole(e.value, at) }).collect(),
        ),
    };
    Node { at: at.clone(), tag: node.tag, written: None, data }
}
