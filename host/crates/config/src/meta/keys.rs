//! The keys of `meta`, of the flat form and of the maps in them, as the readers and the reference use them.

use crate::fields::{Group, Key};

fn none() -> String {
    "none".to_owned()
}

fn required() -> String {
    "required".to_owned()
}

const NAME: Key = Key {
    name: "name",
    aliases: &[],
    kind: "string",
    default: required,
    about: "The name of this instance; names its client, metrics and state.",
    example: "cat-facts",
};
const TYPE: Key = Key {
    name: "type",
    aliases: &[],
    kind: "string",
    default: required,
    about: "Which connector: the component of this name on the connector path, unless `--connector` gives another.",
    example: "http-source",
};
const VERSION: Key = Key {
    name: "version",
    aliases: &[],
    kind: "string",
    default: || "latest".to_owned(),
    about: "Which version of the connector. Fluvio's own tools require it.",
    example: "0.1.0",
};
const TOPIC: Key = Key {
    name: "topic",
    aliases: &[],
    kind: "string, or map (`meta.topic`)",
    default: || "required, unless `--topic` is given".to_owned(),
    about: "The topic to write to or read from: its name, or how it is made when it is missing. Fluvio's own tools take the map under `apiVersion: 0.2.0` only, and the name under the others only; here both work everywhere.",
    example: "cat-facts",
};
const DIRECTION: Key = Key {
    name: "direction",
    aliases: &[],
    kind: "`source`, `sink` or `dest`",
    default: || "by the end of `type`, else by the component".to_owned(),
    about: "Which way records go.",
    example: "source",
};
const PRODUCER_KEY: Key = Key {
    name: "producer",
    aliases: &[],
    kind: "map (`meta.producer`)",
    default: none,
    about: "How a source produces.",
    example: "{linger: 10ms}",
};
const CONSUMER_KEY: Key = Key {
    name: "consumer",
    aliases: &[],
    kind: "map (`meta.consumer`)",
    default: none,
    about: "How a sink consumes.",
    example: "{partition: all}",
};

pub(crate) const META: Group = Group {
    path: "meta",
    about: "What every connector has.",
    keys: &[
        NAME,
        TYPE,
        VERSION,
        TOPIC,
        Key {
            name: "secrets",
            aliases: &[],
            kind: "list of `{name: NAME}`",
            default: none,
            about: "The secrets that the file uses. Fluvio's own tools know no others; here a secret that is used need not be declared.",
            example: "[{name: API_KEY}]",
        },
        PRODUCER_KEY,
        CONSUMER_KEY,
        DIRECTION,
        Key {
            name: "create_topic",
            aliases: &["create-topic"],
            kind: "boolean",
            default: || "true".to_owned(),
            about: "Whether to create the topic when it is missing.",
            example: "false",
        },
    ],
    without_effect: &[],
};

pub(crate) const FLAT: Group = Group {
    path: "",
    about: "The form from before 2023, without `meta`: everything stands at the root, and the connector's own section is called `parameters`.",
    keys: &[
        NAME,
        TYPE,
        VERSION,
        TOPIC,
        DIRECTION,
        Key {
            name: "create_topic",
            aliases: &["create-topic"],
            kind: "boolean",
            default: || "false".to_owned(),
            about: "Whether to create the topic when it is missing.",
            example: "true",
        },
        Key {
            name: "parameters",
            aliases: &[],
            kind: "map",
            default: none,
            about: "The connector's own section.",
            example: "{endpoint: \"https://catfact.ninja/fact\"}",
        },
        Key {
            name: "secrets",
            aliases: &[],
            kind: "map of names to values",
            default: none,
            about: "Secrets with their values, which come before those of `--secrets` and the environment. A value may itself be a template.",
            example: "{API_KEY: \"${{ secrets.HTTP_KEY }}\"}",
        },
        PRODUCER_KEY,
        CONSUMER_KEY,
        Key {
            name: "transforms",
            aliases: &[],
            kind: "list (`transforms`)",
            default: none,
            about: "The SmartModules that records pass through.",
            example: "[{uses: infinyon/jolt@0.4.1}]",
        },
        Key {
            name: "host",
            aliases: &[],
            kind: "map (`host`)",
            default: || "see there".to_owned(),
            about: "Settings of this host.",
            example: "{on-error: skip}",
        },
        Key {
            name: "apiVersion",
            aliases: &[],
            kind: "`0.0.0`",
            default: || "`0.0.0`".to_owned(),
            about: "The version of this format; any later one needs `meta`.",
            example: "0.0.0",
        },
    ],
    without_effect: &[],
};

pub(crate) const PRODUCER: Group = Group {
    path: "meta.producer",
    about: "How a source produces. What is left out is chosen by the Fluvio client.",
    keys: &[
        Key {
            name: "linger",
            aliases: &[],
            kind: "duration",
            default: || "the client's".to_owned(),
            about: "How long a batch waits for more records.",
            example: "10ms",
        },
        Key {
            name: "compression",
            aliases: &[],
            kind: "`none`, `gzip`, `snappy`, `lz4` or `zstd`",
            default: || "the topic's".to_owned(),
            about: "How batches are compressed.",
            example: "zstd",
        },
        Key {
            name: "batch-size",
            aliases: &["batch_size"],
            kind: "bytes",
            default: || "the client's".to_owned(),
            about: "When a batch is full.",
            example: "1 MB",
        },
        Key {
            name: "max-request-size",
            aliases: &["max_request_size"],
            kind: "bytes",
            default: || "the client's".to_owned(),
            about: "The largest request; a larger record can't be sent.",
            example: "4 MiB",
        },
    ],
    without_effect: &[],
};

pub(crate) const CONSUMER: Group = Group {
    path: "meta.consumer",
    about: "How a sink consumes.",
    keys: &[
        Key {
            name: "id",
            aliases: &[],
            kind: "string",
            default: || "the connector's name".to_owned(),
            about: "The name under which the cluster keeps this sink's offsets.",
            example: "my-sink",
        },
        Key {
            name: "partition",
            aliases: &[],
            kind: "`all`, a number, or a list of numbers",
            default: || "`all`".to_owned(),
            about: "Which partitions to read.",
            example: "[0, 2]",
        },
        Key {
            name: "max-bytes",
            aliases: &["max_bytes"],
            kind: "bytes",
            default: || "the client's".to_owned(),
            about: "The largest response to ask for.",
            example: "4 MiB",
        },
        Key {
            name: "offset",
            aliases: &[],
            kind: "map (`meta.consumer.offset`)",
            default: none,
            about: "Where to begin, and how offsets are kept.",
            example: "{strategy: manual, start: beginning}",
        },
    ],
    without_effect: &[],
};

pub(crate) const OFFSET: Group = Group {
    path: "meta.consumer.offset",
    about: "Where a sink begins to read, and how its offsets are kept.",
    keys: &[
        Key {
            name: "strategy",
            aliases: &[],
            kind: "`none`, `manual` or `auto`",
            default: || "`manual`".to_owned(),
            about: "`manual` and `auto` are the same here: an offset is committed once its record is delivered, never before. With `none` nothing is kept, and every start begins at `start`. Fluvio's own tools require it.",
            example: "manual",
        },
        Key {
            name: "start",
            aliases: &[],
            kind: "`beginning`, `end`, `{absolute: N}`, `{from-beginning: N}` or `{from-end: N}`",
            default: || "`end`".to_owned(),
            about: "Where to begin when no offset is kept yet.",
            example: "{from-end: 100}",
        },
        Key {
            name: "flush-period",
            aliases: &["flush_period"],
            kind: "duration, or `{secs: N, nanos: N}`",
            default: || "`0s`".to_owned(),
            about: "The least time between two commits of a partition: longer is faster where deliveries are small, and repeats more after a crash. `0s` commits after each delivery. Fluvio's own tools take the map only.",
            example: "10s",
        },
    ],
    without_effect: &[],
};

pub(super) const PERIOD: Group = Group {
    path: "meta.consumer.offset.flush-period",
    about: "",
    keys: &[
        Key { name: "secs", aliases: &[], kind: "", default: none, about: "", example: "10" },
        Key { name: "nanos", aliases: &[], kind: "", default: none, about: "", example: "0" },
    ],
    without_effect: &[],
};
