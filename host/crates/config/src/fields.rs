//! Reads maps whose keys are known, by tables that the reference in the documentation is made of as well.
//!
//! A [`Group`] lists the keys of one map. [`Fields`] opens a map against its group: unknown keys and keys given
//! twice by different spellings are reported there, once; afterwards each value is asked for by name and type.
//! A value that does not fit is reported and then treated as absent.

use crate::error::{At, Report, did_you_mean, nearest, one_of};
use crate::units::{BYTES_FORMS, DURATION_FORMS, parse_bytes, parse_duration};
use crate::yaml::{Data, Entry, Node, Scalar};
use std::time::Duration;

/// A key of a map, and all that the reference says of it.
pub(crate) struct Key {
    pub name: &'static str,
    /// Other spellings that are accepted.
    pub aliases: &'static [&'static str],
    /// The type and unit, in words.
    pub kind: &'static str,
    /// The default, computed from where it stands in code.
    pub default: fn() -> String,
    pub about: &'static str,
    /// A value that works.
    pub example: &'static str,
}

/// The keys of one map.
pub(crate) struct Group {
    /// Where the map stands, as in `meta.producer`; empty for the root.
    pub path: &'static str,
    pub about: &'static str,
    pub keys: &'static [Key],
    /// Keys that Fluvio's tools pass over and that never had an effect in a connector, but are often found.
    pub without_effect: &'static [&'static str],
}

/// What becomes of a key that its group does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// A warning: Fluvio's own tools pass over it.
    Warn,
    /// An error: the map is this host's own.
    Refuse,
    /// Nothing yet: the connector's section may be among them.
    Later,
}

/// A map opened against its group.
pub(crate) struct Fields<'n> {
    entries: &'n [Entry],
    at: At,
    path: String,
    keys: &'static [Key],
}

/// The value of a key.
pub(crate) struct Field<'n> {
    pub node: &'n Node,
    /// Where the key stands.
    pub at: &'n At,
    /// The way to it, as in `meta.producer.linger`.
    pub path: String,
}

impl<'n> Fields<'n> {
    /// Opens the map `node`; `at` is where to point to when something is missing in it.
    pub fn open(
        node: &'n Node,
        at: &At,
        path: &str,
        group: &'static Group,
        unknown: Unknown,
        report: &mut Report,
    ) -> Option<Self> {
        let Some(entries) = node.entries() else {
            if !node.as_scalar().is_some_and(|scalar| scalar.broken) {
                let names = group.keys.iter().map(|key| key.name);
                let message = format!("`{path}` is {}, expected a map", node.shown());
                report.error_help(&node.at, message, format!("its keys are {}", one_of(names)));
            }
            return None;
        };
        let fields = Self { entries, at: at.clone(), path: path.to_owned(), keys: group.keys };
        fields.check_keys(group, unknown, report);
        Some(fields)
    }

    fn check_keys(&self, group: &Group, unknown: Unknown, report: &mut Report) {
        let mut seen: Vec<(&str, &Entry)> = Vec::new();
        for entry in self.entries {
            let key = group.keys.iter().find(|key| key.name == entry.key || key.aliases.contains(&entry.key.as_str()));
            match key {
                Some(key) => {
                    let first = seen.iter().find(|(name, first)| *name == key.name && first.key != entry.key);
                    if let Some((_, first)) = first {
                        let message = format!("`{}` and `{}` are the same key", first.key, entry.key);
                        report.error_help(&entry.at, message, "remove one of them");
                    }
                    seen.push((key.name, entry));
                }
                None if unknown == Unknown::Later => {}
                None if group.without_effect.contains(&entry.key.as_str()) => {
                    let message = format!("`{}` has no effect", self.path_to(&entry.key));
                    report.warn(&entry.at, message, Some("remove it".to_owned()));
                }
                None => {
                    let message = unknown_key(&entry.key, &self.path);
                    let help = did_you_mean(&entry.key, group.keys.iter().map(|key| key.name));
                    match unknown {
                        Unknown::Refuse => report.error_help(&entry.at, message, help),
                        _ => report.warn(&entry.at, message, Some(help)),
                    }
                }
            }
        }
    }

    fn path_to(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The value of a key; `None` when it is absent or has no value.
    pub fn get(&self, name: &str) -> Option<Field<'n>> {
        let key = self.keys.iter().find(|key| key.name == name);
        debug_assert!(key.is_some(), "`{name}` is not in the table of `{}`", self.path);
        let matches =
            |entry: &&Entry| entry.key == name || key.is_some_and(|k| k.aliases.contains(&entry.key.as_str()));
        let entry = self.entries.iter().filter(|entry| !entry.value.is_null()).find(matches)?;
        Some(Field { node: &entry.value, at: &entry.at, path: self.path_to(&entry.key) })
    }

    /// The value of a key that has to be there.
    pub fn require(&self, name: &str, report: &mut Report) -> Option<Field<'n>> {
        let field = self.get(name);
        if field.is_none() {
            let within = if self.path.is_empty() { String::new() } else { format!(" in `{}`", self.path) };
            let key = self.keys.iter().find(|key| key.name == name);
            let example = key.map_or("", |key| key.example);
            let known = |entry: &&Entry| self.keys.iter().any(|key| key.name == entry.key);
            let others = self.entries.iter().filter(|entry| !known(entry)).map(|entry| entry.key.as_str());
            let help = match nearest(name, others) {
                Some(other) => format!("is `{other}` meant to be `{name}`?"),
                None => format!("add it, as in `{name}: {example}`"),
            };
            match self.entries.iter().find(|entry| entry.key == name) {
                Some(entry) => {
                    report.error_help(&entry.at, format!("the key `{name}`{within} has no value"), help);
                }
                None => report.error_help(&self.at, format!("missing key `{name}`{within}"), help),
            }
        }
        field
    }
}

/// `unknown key `x` in `a.b``.
pub(crate) fn unknown_key(key: &str, path: &str) -> String {
    if path.is_empty() { format!("unknown key `{key}`") } else { format!("unknown key `{key}` in `{path}`") }
}

impl<'n> Field<'n> {
    /// The value as a map of a group.
    pub fn fields(&self, group: &'static Group, unknown: Unknown, report: &mut Report) -> Option<Fields<'n>> {
        Fields::open(self.node, self.at, &self.path, group, unknown, report)
    }

    /// Reports that the value is not what was `expected`.
    pub fn wrong(&self, expected: &str, help: Option<&str>, report: &mut Report) {
        if self.node.as_scalar().is_some_and(|scalar| scalar.broken) {
            return;
        }
        let message = format!("`{}` is {}, expected {expected}", self.path, self.node.shown());
        match help {
            Some(help) => report.error_help(&self.node.at, message, help),
            None => report.error(&self.node.at, message),
        }
    }

    /// The value as a scalar, of which a text is made by `read`.
    fn scalar<T>(
        &self,
        expected: &str,
        help: Option<&str>,
        report: &mut Report,
        read: impl FnOnce(&Scalar) -> Option<T>,
    ) -> Option<T> {
        let value = self.node.as_scalar().filter(|scalar| !scalar.broken).and_then(read);
        if value.is_none() {
            self.wrong(expected, help, report);
        }
        value
    }

    /// Any scalar, as it is written.
    pub fn text(&self, report: &mut Report) -> Option<String> {
        self.scalar("a string", None, report, |scalar| Some(scalar.text.clone()))
    }

    /// A scalar that is not empty.
    pub fn name(&self, report: &mut Report) -> Option<String> {
        let full = |scalar: &Scalar| Some(scalar.text.trim().to_owned()).filter(|text| !text.is_empty());
        self.scalar("a name", None, report, full)
    }

    pub fn flag(&self, report: &mut Report) -> Option<bool> {
        let read = |scalar: &Scalar| Scalar::plain(scalar.text.as_str()).as_bool();
        self.scalar("`true` or `false`", None, report, read)
    }

    /// An integer of any size that has one.
    pub fn integer<T: std::str::FromStr>(&self, expected: &str, report: &mut Report) -> Option<T> {
        self.scalar(expected, None, report, |scalar| scalar.text.replace('_', "").parse().ok())
    }

    /// An integer of at least 1.
    pub fn positive<T: std::str::FromStr + PartialOrd + From<u8>>(&self, report: &mut Report) -> Option<T> {
        let read = |scalar: &Scalar| scalar.text.replace('_', "").parse().ok().filter(|value| *value >= T::from(1));
        self.scalar("a whole number from 1", None, report, read)
    }

    pub fn duration(&self, report: &mut Report) -> Option<Duration> {
        self.scalar("a duration", Some(DURATION_FORMS), report, |scalar| parse_duration(&scalar.text).ok())
    }

    pub fn bytes(&self, report: &mut Report) -> Option<u64> {
        self.scalar("a size in bytes", Some(BYTES_FORMS), report, |scalar| parse_bytes(&scalar.text).ok())
    }

    /// One of the words, in any case.
    pub fn choice<T: Copy>(&self, words: &[(&str, T)], report: &mut Report) -> Option<T> {
        let names = words.iter().map(|(word, _)| *word);
        let help = self
            .node
            .as_scalar()
            .and_then(|scalar| nearest(&scalar.text, names.clone()))
            .map(|word| format!("did you mean `{word}`?"));
        self.scalar(&one_of(names), help.as_deref(), report, |scalar| {
            words.iter().find(|(word, _)| scalar.text.eq_ignore_ascii_case(word)).map(|(_, value)| *value)
        })
    }

    /// The items of a list; one value alone is a list of one.
    pub fn items(&self) -> Vec<Field<'n>> {
        match &self.node.data {
            Data::List(items) => {
                let field =
                    |(i, node): (usize, &'n Node)| Field { node, at: &node.at, path: format!("{}[{i}]", self.path) };
                items.iter().enumerate().map(field).collect()
            }
            _ => vec![Field { node: self.node, at: self.at, path: self.path.clone() }],
        }
    }
}
