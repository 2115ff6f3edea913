//! The `transforms` list: the SmartModules that records pass through, in order.
//!
//! Field for field what Fluvio's `TransformationStep` takes, and the scalars under `with` that it refuses.

use crate::error::{At, Error, Report};
use crate::fields::{Field, Group, Key, Unknown};
use crate::redact::Redactor;
use crate::schema::{Walk, settle_aliases};
use crate::section::{Checked, Section};
use crate::yaml::{Data, Entry, Node, Scalar};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// One SmartModule of the chain. Two steps are equal when they do the same, wherever they were written.
#[derive(Clone)]
#[non_exhaustive]
pub struct TransformStep {
    /// A file, or the name of a SmartModule in the cluster.
    pub uses: String,
    /// The records it wants to see again at its start.
    pub lookback: Option<Lookback>,
    /// Its parameters. What is a list or map in the file is compact JSON here, keys sorted.
    pub with: BTreeMap<String, String>,
    /// Where it stands in the file, if it stands in one.
    written: Option<Written>,
}

/// A step as it was written.
#[derive(Clone)]
struct Written {
    /// As in `transforms[0].with`.
    path: String,
    /// The step, or its `with`.
    at: At,
    with: Option<Node>,
}

impl TransformStep {
    /// A step without look-back that stands in no file.
    #[must_use]
    pub fn new(uses: impl Into<String>, with: BTreeMap<String, String>) -> Self {
        Self { uses: uses.into(), lookback: None, with, written: None }
    }

    /// The parameters as the schema wants them; `hidden` is not shown in what is wrong.
    pub(crate) fn section(&self, schema: &Value, hidden: &[String]) -> Result<Section, Error> {
        // Whoever takes parameters and says which refuses all others when it starts: so they are errors already here.
        let mut report = Report::new(true);
        let whole = At::whole(&self.uses);
        let (path, at, node) = match &self.written {
            Some(Written { path, at, with }) => (path.as_str(), at, with.clone()),
            None => ("with", &whole, None),
        };
        let present = node.is_some() || !self.with.is_empty();
        let mut node = node.unwrap_or_else(|| self.as_flags(&whole));
        settle_aliases(schema, &mut node, &mut report);
        let mut walk = Walk::new(schema, &mut report);
        let json = walk.section(&node, path);
        let (network, secrets) = (walk.network, [walk.secrets.as_slice(), hidden].concat());
        Checked { whose: "module", name: path, node: &node, at, present, json: &json, schema }.validate(&mut report);
        report.finish(&Redactor::new(&secrets))?;
        Ok(Section { json, network, secrets })
    }

    /// The parameters as if they were written in a file, each in the flag that gave it.
    fn as_flags(&self, at: &At) -> Node {
        let entry = |(key, text): (&String, &String)| {
            let at = At::whole(&format!("--with {key}={text}"));
            Entry { key: key.clone(), at: at.clone(), value: Node::scalar(at, Scalar::plain(text.as_str())) }
        };
        Node { data: Data::Map(self.with.iter().map(entry).collect()), ..Node::map(at.clone()) }
    }
}

impl PartialEq for TransformStep {
    fn eq(&self, other: &Self) -> bool {
        (&self.uses, &self.lookback, &self.with) == (&other.uses, &other.lookback, &other.with)
    }
}

impl Eq for TransformStep {}

impl fmt::Debug for TransformStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uses, lookback, with, written: _ } = self;
        let mut shown = f.debug_struct("TransformStep");
        shown.field("uses", uses).field("lookback", lookback).field("with", with).finish_non_exhaustive()
    }
}

/// Which records a SmartModule sees again before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookback {
    /// At most so many.
    pub last: u64,
    /// None older than this.
    pub age: Option<Duration>,
}

pub(crate) const STEP: Group = Group {
    path: "transforms",
    about: "The SmartModules that records pass through, in this order: a list of maps.",
    keys: &[
        Key {
            name: "uses",
            aliases: &[],
            kind: "string",
            default: || "required".to_owned(),
            about: "The SmartModule: a file, or its name in the cluster.",
            example: "infinyon/jolt@0.4.1",
        },
        Key {
            name: "lookback",
            aliases: &[],
            kind: "map: `last` (whole number), `age` (duration)",
            default: || "none".to_owned(),
            about: "The last records that the SmartModule sees again when it starts.",
            example: "{last: 100, age: 1h}",
        },
        Key {
            name: "with",
            aliases: &[],
            kind: "map",
            default: || "none".to_owned(),
            about: "Its parameters. Lists and maps are handed over as JSON; numbers, `true`, `false` and `null` as they are written (Fluvio's own tools take them in quotes only).",
            example: "{spec: [{operation: shift, spec: {fact: text}}]}",
        },
    ],
    without_effect: &["invoke"],
};

const LOOKBACK: Group = Group {
    path: "transforms.lookback",
    about: "",
    keys: &[
        Key { name: "last", aliases: &[], kind: "", default: || "0".to_owned(), about: "", example: "100" },
        Key { name: "age", aliases: &[], kind: "", default: || "none".to_owned(), about: "", example: "1h" },
    ],
    without_effect: &[],
};

/// Reads the list.
pub(crate) fn read_transforms(field: &Field<'_>, report: &mut Report) -> Vec<TransformStep> {
    let Data::List(_) = field.node.data else {
        field.wrong("a list", Some("begin each step with `- uses: NAME`"), report);
        return Vec::new();
    };
    field.items().iter().filter_map(|item| read_step(item, report)).collect()
}

fn read_step(item: &Field<'_>, report: &mut Report) -> Option<TransformStep> {
    let fields = item.fields(&STEP, Unknown::Warn, report)?;
    let uses = fields.require("uses", report).and_then(|field| field.name(report));
    let lookback = fields.get("lookback").and_then(|field| {
        let fields = field.fields(&LOOKBACK, Unknown::Warn, report)?;
        let last = fields.get("last").and_then(|field| field.integer("a number of records", report)).unwrap_or(0);
        Some(Lookback { last, age: fields.get("age").and_then(|field| field.duration(report)) })
    });
    let with = fields.get("with");
    let written = Written {
        path: format!("{}.with", item.path),
        at: with.as_ref().map_or(item.at, |field| field.at).clone(),
        with: with.as_ref().map(|field| field.node.clone()),
    };
    let with = with.map(|field| read_with(&field, report)).unwrap_or_default();
    Some(TransformStep { uses: uses?, lookback, with, written: Some(written) })
}

/// Reads parameters of a SmartModule.
pub(crate) fn read_with(field: &Field<'_>, report: &mut Report) -> BTreeMap<String, String> {
    let Some(entries) = field.node.entries() else {
        field.wrong("a map", Some("write one `NAME: VALUE` a line"), report);
        return BTreeMap::new();
    };
    let value = |node: &Node| match &node.data {
        Data::Scalar(scalar) if scalar.is_null() => "null".to_owned(),
        Data::Scalar(scalar) => scalar.text.clone(),
        _ => node.json().to_string(),
    };
    entries.iter().map(|entry| (entry.key.clone(), value(&entry.value))).collect()
}
