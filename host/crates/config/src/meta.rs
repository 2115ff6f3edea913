//! What every connector has: its name, kind and topic, and how it produces and consumes.
//!
//! The same settings stand under `meta` (with an `apiVersion`) or, in the older flat form, at the root; [`Meta`]
//! is the one shape behind all of them. Reading reports what does not fit and goes on.

mod keys;

use crate::error::{At, Report};
use crate::fields::{Field, Fields, Unknown};
use crate::secrets::name_problem;
use crate::topic::{TopicSettings, read_topic};
use crate::units::format_duration;
use crate::yaml::{Data, Node};
use keys::PERIOD;
pub(crate) use keys::{CONSUMER, FLAT, META, OFFSET, PRODUCER};
use std::time::Duration;

/// Which way records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the outside into the topic.
    Source,
    /// From the topic to the outside.
    Sink,
}

/// How records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// What a configuration says about any connector.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Meta {
    /// This instance's name (`name`).
    pub name: String,
    /// Which connector it is (`type`).
    pub kind: String,
    /// Which version of it; `latest` when the file does not say.
    pub version: String,
    /// Which way records go: as `direction` says, else as `type` ends (`-source`, `-sink`); absent when
    /// neither tells, so that the component decides.
    pub direction: Option<Direction>,
    /// The topic.
    pub topic: TopicSettings,
    /// How a source produces.
    pub producer: ProducerSettings,
    /// How a sink consumes.
    pub consumer: ConsumerSettings,
    /// The names of the secrets that the file declares.
    pub secrets: Vec<String>,
    /// Whether to create the topic when it is missing: `create_topic`, else true with a `meta` map and false in
    /// the flat form.
    pub create_topic: bool,
}

/// How a source produces. What is absent is the client's to choose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerSettings {
    /// How long a batch waits for more records.
    pub linger: Option<Duration>,
    /// How batches are compressed.
    pub compression: Option<Compression>,
    /// When a batch is full, in bytes.
    pub batch_size: Option<u64>,
    /// The largest request, in bytes.
    pub max_request_size: Option<u64>,
}

/// How a sink consumes. What is absent is the host's to choose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerSettings {
    /// The name under which the cluster keeps the offsets.
    pub id: Option<String>,
    /// Which partitions to read.
    pub partitions: Partitions,
    /// The largest response, in bytes.
    pub max_bytes: Option<u64>,
    /// Where to begin when no offset is kept.
    pub start: Option<Start>,
    /// Who commits offsets.
    pub strategy: Option<Strategy>,
    /// How often committed offsets are sent to the cluster.
    pub flush_period: Option<Duration>,
}

/// Which partitions a sink reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Partitions {
    /// All of the topic.
    #[default]
    All,
    /// These, sorted and each once; never empty.
    List(Vec<u32>),
}

/// Where a sink begins to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record.
    Beginning,
    /// At the next record to come.
    End,
    /// At this offset.
    Absolute(i64),
    /// So many records after the oldest.
    FromBeginning(u32),
    /// So many records before the end.
    FromEnd(u32),
}

/// Who commits a sink's offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Nobody: every start begins at the same place.
    None,
    /// The connector, when it has delivered.
    Manual,
    /// The client, as records are handed out.
    Auto,
}

const COMPRESSIONS: [(&str, Compression); 5] = [
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];

/// Reads what every connector has out of `meta`, or of the root of the flat form. `topic` replaces the file's.
pub(crate) fn read_meta(fields: &Fields<'_>, flat: bool, topic: Option<&str>, report: &mut Report) -> Option<Meta> {
    let name = fields.require("name", report).and_then(|field| field.name(report));
    let kind = fields.require("type", report).and_then(|field| field.name(report));
    let version = fields.get("version").and_then(|field| field.name(report));
    let given = match topic {
        Some(_) => fields.get("topic"),
        None => fields.require("topic", report),
    };
    let given = given.and_then(|field| read_topic(&field, topic, report));
    let directions = [("source", Direction::Source), ("sink", Direction::Sink), ("dest", Direction::Sink)];
    let direction = fields.get("direction").and_then(|field| field.choice(&directions, report));
    let create_topic = fields.get("create_topic").and_then(|field| field.flag(report));
    let producer = fields.get("producer").and_then(|field| read_producer(&field, report)).unwrap_or_default();
    let consumer = fields.get("consumer").and_then(|field| read_consumer(&field, report)).unwrap_or_default();
    let secrets = fields.get("secrets").map(|field| read_secrets(&field, flat, report)).unwrap_or_default();
    let kind = kind?;
    Some(Meta {
        direction: direction.or_else(|| direction_of(&kind)),
        name: name?,
        kind,
        version: version.unwrap_or_else(|| "latest".to_owned()),
        topic: given.or_else(|| topic.map(TopicSettings::named))?,
        producer,
        consumer,
        secrets,
        create_topic: create_topic.unwrap_or(!flat),
    })
}

pub(crate) fn direction_of(kind: &str) -> Option<Direction> {
    match kind {
        kind if kind.ends_with("-source") => Some(Direction::Source),
        kind if kind.ends_with("-sink") => Some(Direction::Sink),
        _ => None,
    }
}

pub(crate) fn read_compression(field: &Field<'_>, report: &mut Report) -> Option<Compression> {
    field.choice(&COMPRESSIONS, report)
}

fn read_producer(field: &Field<'_>, report: &mut Report) -> Option<ProducerSettings> {
    let fields = field.fields(&PRODUCER, Unknown::Warn, report)?;
    Some(ProducerSettings {
        linger: fields.get("linger").and_then(|field| field.duration(report)),
        compression: fields.get("compression").and_then(|field| read_compression(&field, report)),
        batch_size: fields.get("batch-size").and_then(|field| field.bytes(report)),
        max_request_size: fields.get("max-request-size").and_then(|field| field.bytes(report)),
    })
}

fn read_consumer(field: &Field<'_>, report: &mut Report) -> Option<ConsumerSettings> {
    let fields = field.fields(&CONSUMER, Unknown::Warn, report)?;
    let offset = fields.get("offset").and_then(|field| field.fields(&OFFSET, Unknown::Warn, report));
    let strategies = [("none", Strategy::None), ("manual", Strategy::Manual), ("auto", Strategy::Auto)];
    let within = |name| offset.as_ref().and_then(|offset| offset.get(name));
    Some(ConsumerSettings {
        id: fields.get("id").and_then(|field| field.name(report)),
        partitions: fields.get("partition").and_then(|field| read_partitions(&field, report)).unwrap_or_default(),
        max_bytes: fields.get("max-bytes").and_then(|field| field.bytes(report)),
        strategy: within("strategy").and_then(|field| field.choice(&strategies, report)),
        start: within("start").and_then(|field| read_start(&field, report)),
        flush_period: within("flush-period").and_then(|field| read_period(&field, report)),
    })
}

fn read_partitions(field: &Field<'_>, report: &mut Report) -> Option<Partitions> {
    const EXPECTED: &str = "`all`, a partition's number or a list of numbers";
    match &field.node.data {
        Data::Scalar(scalar) if scalar.text.eq_ignore_ascii_case("all") => Some(Partitions::All),
        Data::Scalar(_) => field.integer(EXPECTED, report).map(|partition| Partitions::List(vec![partition])),
        Data::List(items) if !items.is_empty() => {
            let read = |item: Field<'_>| item.integer("a partition's number", report);
            let mut partitions: Vec<u32> = field.items().into_iter().filter_map(read).collect();
            partitions.sort_unstable();
            partitions.dedup();
            (!partitions.is_empty()).then_some(Partitions::List(partitions))
        }
        _ => {
            field.wrong(EXPECTED, None, report);
            None
        }
    }
}

fn read_start(field: &Field<'_>, report: &mut Report) -> Option<Start> {
    const FORMS: &str = "write `beginning`, `end`, `{absolute: N}`, `{from-beginning: N}` or `{from-end: N}`";
    // Written by some YAML libraries for the same thing: `start: !absolute 10`.
    let (name, value) = match (&field.node.data, &field.node.tag) {
        (Data::Scalar(_), Some(tag)) => (tag.as_str(), Some(field.node)),
        (Data::Scalar(scalar), None) => (scalar.text.as_str(), None),
        (Data::Map(entries), _) if entries.len() == 1 => (entries[0].key.as_str(), Some(&entries[0].value)),
        _ => ("", None),
    };
    let number = value.map(|node| Field { node, at: field.at, path: format!("{}.{name}", field.path) });
    match (name, number) {
        ("beginning", None) => Some(Start::Beginning),
        ("end", None) => Some(Start::End),
        ("absolute", Some(number)) => number.integer("an offset", report).map(Start::Absolute),
        ("from-beginning", Some(number)) => number.integer("a number of records", report).map(Start::FromBeginning),
        ("from-end", Some(number)) => number.integer("a number of records", report).map(Start::FromEnd),
        _ => {
            field.wrong("a place to begin", Some(FORMS), report);
            None
        }
    }
}

fn read_period(field: &Field<'_>, report: &mut Report) -> Option<Duration> {
    if field.node.entries().is_none() {
        return field.duration(report);
    }
    let fields = field.fields(&PERIOD, Unknown::Warn, report)?;
    let mut part = |name| fields.get(name).map_or(Some(0u64), |field| field.integer("a whole number", report));
    let (seconds, nanos) = (part("secs")?, part("nanos")?);
    Duration::from_secs(seconds).checked_add(Duration::from_nanos(nanos)).or_else(|| {
        field.wrong(&format!("at most {}", format_duration(Duration::MAX)), None, report);
        None
    })
}

/// The declared names: of `[{name: X}]`, or the keys of the flat form's map.
fn read_secrets(field: &Field<'_>, flat: bool, report: &mut Report) -> Vec<String> {
    let mut names = Vec::new();
    let mut add = |name: &str, at: &At, report: &mut Report| match name_problem(name) {
        Some(problem) => report.error_help(at, problem, "rename it, as in `API_KEY`"),
        None => names.push(name.to_owned()),
    };
    match &field.node.data {
        Data::Map(entries) if flat => entries.iter().for_each(|entry| add(&entry.key, &entry.at, report)),
        Data::List(_) => {
            for item in field.items() {
                match declared(item.node) {
                    Some((name, at)) => add(name, at, report),
                    None => item.wrong("`name: NAME`", None, report),
                }
            }
        }
        _ => field.wrong(if flat { "a map of names to values" } else { "a list of `name: NAME`" }, None, report),
    }
    names
}

fn declared(item: &Node) -> Option<(&str, &At)> {
    let node = item.entry("name").map_or(item, |entry| &entry.value);
    Some((node.as_scalar()?.text.as_str(), &node.at))
}
