//! How a topic is made when it is missing: the map that `apiVersion: 0.2.0` takes as `meta.topic`.
//!
//! Field for field Fluvio's own `TopicConfig` (crate `fluvio-controlplane-metadata` 0.50), with its defaults.

use crate::error::Report;
use crate::fields::{Field, Group, Key, Unknown};
use crate::meta::{Compression, read_compression};
use crate::transforms::{self, read_with};
use crate::yaml::Data;
use std::collections::BTreeMap;
use std::time::Duration;

/// A topic, and how it is made when it is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicSettings {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: u32,
    /// How many replicas of each.
    pub replication: u32,
    /// Whether replicas are placed without regard to racks.
    pub ignore_rack: bool,
    /// Which replicas each partition has; empty when the cluster decides.
    pub maps: Vec<PartitionMap>,
    /// The most bytes that a partition keeps.
    pub max_partition_size: Option<u64>,
    /// How long records are kept.
    pub retention: Option<Duration>,
    /// The size of a segment on disk, in bytes.
    pub segment_size: Option<u64>,
    /// The compression that producers have to use; any when absent.
    pub compression: Option<Compression>,
    /// How duplicates are taken out.
    pub deduplication: Option<Deduplication>,
}

impl TopicSettings {
    /// A topic with Fluvio's defaults.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            partitions: 1,
            replication: 1,
            ignore_rack: false,
            maps: Vec::new(),
            max_partition_size: None,
            retention: None,
            segment_size: None,
            compression: None,
            deduplication: None,
        }
    }
}

/// Where one partition's replicas are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMap {
    /// The partition.
    pub id: u32,
    /// The storage units that hold it, the leader first.
    pub replicas: Vec<u32>,
}

/// How a topic's duplicates are taken out: by a SmartModule that remembers the last records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deduplication {
    /// How many records it remembers.
    pub count: u64,
    /// How old they may be.
    pub age: Option<Duration>,
    /// The SmartModule.
    pub uses: String,
    /// Its parameters.
    pub with: BTreeMap<String, String>,
}

fn none() -> String {
    "none".to_owned()
}

fn required() -> String {
    "required".to_owned()
}

pub(crate) const TOPIC: Group = Group {
    path: "meta.topic",
    about: "The topic as a map, and how it is made when it is missing.",
    keys: &[
        Key {
            name: "version",
            aliases: &[],
            kind: "string",
            default: || "0.1.0".to_owned(),
            about: "The version of this map; there is one.",
            example: "0.1.0",
        },
        Key {
            name: "meta",
            aliases: &[],
            kind: "map: `name`",
            default: || "required, unless `--topic` is given".to_owned(),
            about: "`name` is the topic's name.",
            example: "{name: cat-facts}",
        },
        Key {
            name: "partition",
            aliases: &[],
            kind: "map (`meta.topic.partition`)",
            default: none,
            about: "Its partitions.",
            example: "{count: 3}",
        },
        Key {
            name: "retention",
            aliases: &[],
            kind: "map (`meta.topic.retention`)",
            default: none,
            about: "How long its records are kept.",
            example: "{time: 7days}",
        },
        Key {
            name: "compression",
            aliases: &[],
            kind: "map: `type`",
            default: || "`{type: Any}`".to_owned(),
            about: "`type` is what producers have to use: `Any`, `None`, `Gzip`, `Snappy`, `Lz4` or `Zstd`.",
            example: "{type: Lz4}",
        },
        Key {
            name: "deduplication",
            aliases: &[],
            kind: "map (`meta.topic.deduplication`)",
            default: none,
            about: "How duplicates are taken out.",
            example: "{bounds: {count: 100, age: 1m}, filter: {transform: {uses: dedup-filter@0.1.0}}}",
        },
    ],
    without_effect: &[],
};

pub(crate) const PARTITION: Group = Group {
    path: "meta.topic.partition",
    about: "The topic's partitions.",
    keys: &[
        Key {
            name: "count",
            aliases: &[],
            kind: "whole number",
            default: || TopicSettings::named("").partitions.to_string(),
            about: "How many partitions.",
            example: "3",
        },
        Key {
            name: "max-size",
            aliases: &["max_size"],
            kind: "bytes",
            default: || "the cluster's".to_owned(),
            about: "The most that a partition keeps.",
            example: "1.0 GB",
        },
        Key {
            name: "replication",
            aliases: &[],
            kind: "whole number",
            default: || TopicSettings::named("").replication.to_string(),
            about: "How many replicas of each partition.",
            example: "2",
        },
        Key {
            name: "ignore-rack-assignment",
            aliases: &["ignore_rack_assignment"],
            kind: "boolean",
            default: || TopicSettings::named("").ignore_rack.to_string(),
            about: "Whether replicas are placed without regard to racks.",
            example: "true",
        },
        Key {
            name: "maps",
            aliases: &[],
            kind: "list of `{id: N, replicas: [N]}`",
            default: || "the cluster decides".to_owned(),
            about: "Which storage units hold which partition, the leader first.",
            example: "[{id: 0, replicas: [5001, 5002]}]",
        },
    ],
    without_effect: &[],
};

const MAP: Group = Group {
    path: "meta.topic.partition.maps",
    about: "",
    keys: &[
        Key { name: "id", aliases: &[], kind: "", default: required, about: "", example: "0" },
        Key { name: "replicas", aliases: &[], kind: "", default: required, about: "", example: "[5001]" },
    ],
    without_effect: &[],
};

pub(crate) const RETENTION: Group = Group {
    path: "meta.topic.retention",
    about: "How long the topic's records are kept.",
    keys: &[
        Key {
            name: "time",
            aliases: &[],
            kind: "duration",
            default: || "the cluster's".to_owned(),
            about: "Records older than this may be deleted.",
            example: "7days",
        },
        Key {
            name: "segment-size",
            aliases: &["segment_size"],
            kind: "bytes",
            default: || "the cluster's".to_owned(),
            about: "Records are deleted by whole segments of this size.",
            example: "512 MiB",
        },
    ],
    without_effect: &[],
};

const NAMED: Group = Group {
    path: "meta.topic.meta",
    about: "",
    keys: &[Key { name: "name", aliases: &[], kind: "", default: required, about: "", example: "cat-facts" }],
    without_effect: &[],
};

const COMPRESSION: Group = Group {
    path: "meta.topic.compression",
    about: "",
    keys: &[Key { name: "type", aliases: &[], kind: "", default: none, about: "", example: "Lz4" }],
    without_effect: &[],
};

pub(crate) const DEDUPLICATION: Group = Group {
    path: "meta.topic.deduplication",
    about: "How the topic's duplicates are taken out. Both keys are required.",
    keys: &[
        Key {
            name: "bounds",
            aliases: &[],
            kind: "map: `count` (whole number from 1), `age` (duration)",
            default: required,
            about: "How many records are remembered, and for how long.",
            example: "{count: 100, age: 1m}",
        },
        Key {
            name: "filter",
            aliases: &[],
            kind: "map: `transform` with `uses` and `with`",
            default: required,
            about: "The SmartModule that knows a duplicate.",
            example: "{transform: {uses: dedup-filter@0.1.0}}",
        },
    ],
    without_effect: &[],
};

const BOUNDS: Group = Group {
    path: "meta.topic.deduplication.bounds",
    about: "",
    keys: &[
        Key { name: "count", aliases: &[], kind: "", default: required, about: "", example: "100" },
        Key { name: "age", aliases: &[], kind: "", default: none, about: "", example: "1m" },
    ],
    without_effect: &[],
};

const FILTER: Group = Group {
    path: "meta.topic.deduplication.filter",
    about: "",
    keys: &[Key {
        name: "transform",
        aliases: &[],
        kind: "",
        default: required,
        about: "",
        example: "{uses: dedup-filter}",
    }],
    without_effect: &[],
};

/// Reads a topic given by name or as a map. `name` replaces the one in the file.
pub(crate) fn read_topic(field: &Field<'_>, name: Option<&str>, report: &mut Report) -> Option<TopicSettings> {
    if let Data::Scalar(_) = field.node.data {
        let given = field.name(report);
        return name.map(str::to_owned).or(given).map(|name| TopicSettings::named(&name));
    }
    if field.node.entries().is_none() {
        field.wrong("a topic's name, or a map", None, report);
        return None;
    }
    let fields = field.fields(&TOPIC, Unknown::Warn, report)?;
    if let Some(version) = fields.get("version") {
        version.choice(&[("0.1.0", ())], report);
    }
    let name = match name {
        Some(name) => Some(name.to_owned()),
        None => fields
            .require("meta", report)
            .and_then(|meta| meta.fields(&NAMED, Unknown::Warn, report))
            .and_then(|meta| meta.require("name", report))
            .and_then(|field| field.name(report)),
    };
    let mut topic = TopicSettings::named(&name.unwrap_or_default());
    if let Some(partition) = fields.get("partition") {
        read_partition(&partition, &mut topic, report);
    }
    if let Some(retention) = fields.get("retention").and_then(|field| field.fields(&RETENTION, Unknown::Warn, report)) {
        topic.retention = retention.get("time").and_then(|field| field.duration(report));
        topic.segment_size = retention.get("segment-size").and_then(|field| field.bytes(report));
    }
    let compression = fields.get("compression").and_then(|field| field.fields(&COMPRESSION, Unknown::Warn, report));
    if let Some(kind) = compression.and_then(|compression| compression.get("type")) {
        let any = kind.node.as_scalar().is_some_and(|scalar| scalar.text.eq_ignore_ascii_case("any"));
        topic.compression = if any { None } else { read_compression(&kind, report) };
    }
    topic.deduplication = fields.get("deduplication").and_then(|field| read_deduplication(&field, report));
    (!topic.name.is_empty()).then_some(topic)
}

fn read_partition(field: &Field<'_>, topic: &mut TopicSettings, report: &mut Report) {
    let Some(fields) = field.fields(&PARTITION, Unknown::Warn, report) else { return };
    if let Some(count) = fields.get("count").and_then(|field| field.positive(report)) {
        topic.partitions = count;
    }
    if let Some(replication) = fields.get("replication").and_then(|field| field.positive(report)) {
        topic.replication = replication;
    }
    if let Some(ignore) = fields.get("ignore-rack-assignment").and_then(|field| field.flag(report)) {
        topic.ignore_rack = ignore;
    }
    topic.max_partition_size = fields.get("max-size").and_then(|field| field.bytes(report));
    for item in fields.get("maps").iter().flat_map(Field::items) {
        let map = item.fields(&MAP, Unknown::Warn, report).and_then(|map| {
            let id = map.require("id", report)?.integer("a partition's number", report)?;
            let replicas = map.require("replicas", report)?.items();
            let replicas = replicas.iter().filter_map(|item| item.integer("a storage unit's number", report)).collect();
            Some(PartitionMap { id, replicas })
        });
        topic.maps.extend(map);
    }
}

fn read_deduplication(field: &Field<'_>, report: &mut Report) -> Option<Deduplication> {
    let fields = field.fields(&DEDUPLICATION, Unknown::Warn, report)?;
    let bounds = fields.require("bounds", report).and_then(|field| field.fields(&BOUNDS, Unknown::Warn, report));
    let filter = fields.require("filter", report).and_then(|field| field.fields(&FILTER, Unknown::Warn, report));
    let count = bounds.as_ref().and_then(|bounds| bounds.require("count", report)).and_then(|f| f.positive(report));
    let age = bounds.and_then(|bounds| bounds.get("age")).and_then(|field| field.duration(report));
    let transform = filter
        .and_then(|filter| filter.require("transform", report))
        .and_then(|field| field.fields(&transforms::STEP, Unknown::Warn, report))?;
    let uses = transform.require("uses", report).and_then(|field| field.name(report));
    let with = transform.get("with").map(|field| read_with(&field, report)).unwrap_or_default();
    Some(Deduplication { count: count?, age, uses: uses?, with })
}
