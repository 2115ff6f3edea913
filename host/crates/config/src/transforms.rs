//! The `transforms` list: the SmartModules that records pass through, in order.
//!
//! Field for field what Fluvio's `TransformationStep` takes, and the scalars under `with` that it refuses.

use crate::error::Report;
use crate::fields::{Field, Group, Key, Unknown};
use crate::yaml::Data;
use std::collections::BTreeMap;
use std::time::Duration;

/// One SmartModule of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransformStep {
    /// A file, or the name of a SmartModule in the cluster.
    pub uses: String,
    /// The records it wants to see again at its start.
    pub lookback: Option<Lookback>,
    /// Its parameters. What is a list or map in the file is compact JSON here, keys sorted.
    pub with: BTreeMap<String, String>,
}

impl TransformStep {
    /// A step without look-back.
    #[must_use]
    pub fn new(uses: impl Into<String>, with: BTreeMap<String, String>) -> Self {
        Self { uses: uses.into(), lookback: None, with }
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
    let with = fields.get("with").map(|field| read_with(&field, report)).unwrap_or_default();
    Some(TransformStep { uses: uses?, lookback, with })
}

/// Reads parameters of a SmartModule.
pub(crate) fn read_with(field: &Field<'_>, report: &mut Report) -> BTreeMap<String, String> {
    let Some(entries) = field.node.entries() else {
        field.wrong("a map", Some("write one `NAME: VALUE` a line"), report);
        return BTreeMap::new();
    };
    let value = |node: &crate::yaml::Node| match &node.data {
        Data::Scalar(scalar) if scalar.is_null() => "null".to_owned(),
        Data::Scalar(scalar) => scalar.text.clone(),
        _ => node.json().to_string(),
    };
    entries.iter().map(|entry| (entry.key.clone(), value(&entry.value))).collect()
}
