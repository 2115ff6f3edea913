//! The keys of the `host:` map and of the maps in it, as the reader and the reference use them.

use super::HostSettings;
use crate::fields::{Group, Key};
use crate::units::{format_bytes, format_duration};

fn none() -> String {
    "none".to_owned()
}

fn defaults() -> HostSettings {
    HostSettings::default()
}

pub(crate) const HOST: Group = Group {
    path: "host",
    about: "Settings of this host; Fluvio's own tools pass over them. A key that is not known here is an error.",
    keys: &[
        Key {
            name: "on-error",
            aliases: &["on_error"],
            kind: "`stop`, `skip` or `dead-letter`",
            default: || format!("`{}`", defaults().on_error.as_str()),
            about: "What becomes of a record that a SmartModule or the connector refuses: stop there, leave it out (counted and logged), or put it on the topic of dead letters with the reason.",
            example: "dead-letter",
        },
        Key {
            name: "dead-letter-topic",
            aliases: &["dead_letter_topic"],
            kind: "string",
            default: || "`<topic>-dead-letters`".to_owned(),
            about: "The topic of dead letters, with `on-error: dead-letter`.",
            example: "cat-facts-refused",
        },
        Key {
            name: "retry",
            aliases: &[],
            kind: "map (`host.retry`)",
            default: || "see there".to_owned(),
            about: "How what may pass is tried again.",
            example: "{max: 10}",
        },
        Key {
            name: "batch",
            aliases: &[],
            kind: "map (`host.batch`)",
            default: || "see there".to_owned(),
            about: "How much goes through the stages at a time.",
            example: "{max-records: 1000}",
        },
        Key {
            name: "sandbox",
            aliases: &[],
            kind: "map (`host.sandbox`)",
            default: || "see there".to_owned(),
            about: "What the component may use.",
            example: "{memory: 512 MiB}",
        },
        Key {
            name: "tls",
            aliases: &[],
            kind: "map (`host.tls`)",
            default: none,
            about: "Authorities and client certificate for the connector's TLS connections.",
            example: "{ca: factory-ca.pem}",
        },
        Key {
            name: "rate-limit",
            aliases: &["rate_limit"],
            kind: "map (`host.rate-limit`)",
            default: none,
            about: "How fast records may go.",
            example: "{records-per-second: 1000}",
        },
        Key {
            name: "parallelism",
            aliases: &[],
            kind: "whole number from 1",
            default: || "one for each partition, at most 64".to_owned(),
            about: "How many writers a sink has at most. A partition's records all go through one of them, in order.",
            example: "4",
        },
        Key {
            name: "state",
            aliases: &[],
            kind: "map (`host.state`)",
            default: || "see there".to_owned(),
            about: "Where a source's cursor and the state of stages are kept.",
            example: "{store: local}",
        },
        Key {
            name: "grace-period",
            aliases: &["grace_period"],
            kind: "duration",
            default: || format_duration(defaults().grace_period),
            about: "How long stopping may take (finish the batch, flush, commit) before it is forced.",
            example: "10s",
        },
    ],
    without_effect: &[],
};

pub(crate) const RETRY: Group = Group {
    path: "host.retry",
    about: "How an unreachable or busy other side is tried again: with waits that double, and some randomness so that many connectors don't come back at once.",
    keys: &[
        Key {
            name: "max",
            aliases: &[],
            kind: "whole number",
            default: || defaults().retry.max.map_or("no limit".to_owned(), |max| max.to_string()),
            about: "How often in a row before the connector fails.",
            example: "10",
        },
        Key {
            name: "initial",
            aliases: &[],
            kind: "duration",
            default: || format_duration(defaults().retry.initial),
            about: "The first wait.",
            example: "1s",
        },
        Key {
            name: "max-delay",
            aliases: &["max_delay"],
            kind: "duration",
            default: || format_duration(defaults().retry.max_delay),
            about: "The longest wait.",
            example: "5m",
        },
    ],
    without_effect: &[],
};

pub(crate) const BATCH: Group = Group {
    path: "host.batch",
    about: "How much goes through the stages at a time: more is faster, and takes more memory.",
    keys: &[
        Key {
            name: "max-records",
            aliases: &["max_records"],
            kind: "whole number from 1",
            default: || defaults().batch.max_records.to_string(),
            about: "The most records in a batch.",
            example: "1000",
        },
        Key {
            name: "max-bytes",
            aliases: &["max_bytes"],
            kind: "bytes",
            default: || format_bytes(defaults().batch.max_bytes),
            about: "The most bytes of keys and values in a batch. A single larger record still passes.",
            example: "4 MiB",
        },
        Key {
            name: "linger",
            aliases: &[],
            kind: "duration",
            default: || format_duration(defaults().batch.linger),
            about: "How long a source may wait for more records before it hands over what it has. `meta.producer.linger` comes before it.",
            example: "1s",
        },
    ],
    without_effect: &[],
};

pub(crate) const SANDBOX: Group = Group {
    path: "host.sandbox",
    about: "What the component may use. It has no files, no environment and no network but the hosts that its section names.",
    keys: &[
        Key {
            name: "memory",
            aliases: &[],
            kind: "bytes",
            default: || format_bytes(defaults().sandbox.memory),
            about: "The most memory of one instance, at least 1 MiB and at most 4 GiB.",
            example: "512 MiB",
        },
        Key {
            name: "call-timeout",
            aliases: &["call_timeout"],
            kind: "duration",
            default: || format_duration(defaults().sandbox.call_timeout),
            about: "How long one call may take, beyond the time that it was allowed to wait.",
            example: "1m",
        },
        Key {
            name: "allow",
            aliases: &[],
            kind: "list of hosts, `host:port` or URLs",
            default: none,
            about: "Hosts that it may reach besides those that its section names, such as the targets of redirects. Without a port: any port.",
            example: "[\"cdn.example.com:443\"]",
        },
        Key {
            name: "proxy",
            aliases: &[],
            kind: "URL or `none`",
            default: || "what `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say".to_owned(),
            about: "The proxy that all its HTTP requests go through; `none`: straight to their hosts. Which hosts it may reach stays as it is, but behind a proxy it is the proxy that looks up their addresses.",
            example: "http://proxy.example:3128",
        },
    ],
    without_effect: &[],
};

pub(crate) const TLS: Group = Group {
    path: "host.tls",
    about: "Authorities and client certificate for the connector's TLS connections, of HTTP as of sockets. Each is the path of a PEM file, or the text itself, as in `${{ secrets.NAME }}`. They stay with the host; the connector never sees them.",
    keys: &[
        Key {
            name: "ca",
            aliases: &[],
            kind: "path, or PEM text",
            default: || "the system's".to_owned(),
            about: "The authorities to trust, in place of the system's. Those that are trusted beside the system's, for all connectors of a machine, stand in the file that `HOST_CA_FILE` names.",
            example: "/etc/host/factory-ca.pem",
        },
        Key {
            name: "certificate",
            aliases: &["cert"],
            kind: "path, or PEM text",
            default: none,
            about: "The client certificate, shown to servers that ask for one, with the chain that leads to its authority.",
            example: "/etc/host/client.pem",
        },
        Key {
            name: "key",
            aliases: &[],
            kind: "path, or PEM text",
            default: none,
            about: "The client certificate's private key.",
            example: "/etc/host/client.key",
        },
    ],
    without_effect: &[],
};

pub(crate) const RATE_LIMIT: Group = Group {
    path: "host.rate-limit",
    about: "How fast records may go, on average: read from a source, or written to a sink.",
    keys: &[
        Key {
            name: "records-per-second",
            aliases: &["records_per_second"],
            kind: "whole number from 1",
            default: || "no limit".to_owned(),
            about: "Records a second.",
            example: "1000",
        },
        Key {
            name: "bytes-per-second",
            aliases: &["bytes_per_second"],
            kind: "bytes",
            default: || "no limit".to_owned(),
            about: "Bytes of keys and values a second.",
            example: "10 MB",
        },
    ],
    without_effect: &[],
};

pub(crate) const STATE: Group = Group {
    path: "host.state",
    about: "Where a source's cursor and the state of stages (accumulators, look-back windows) are kept. A sink's offsets are always kept by the cluster.",
    keys: &[
        Key {
            name: "store",
            aliases: &[],
            kind: "`local` or `cluster`",
            default: || "`local`".to_owned(),
            about: "`local` is a directory of this machine; `cluster` is a topic of the cluster, so that the connector goes on from any machine. `--state cluster` says the same.",
            example: "local",
        },
        Key {
            name: "directory",
            aliases: &[],
            kind: "path",
            default: || "the host's own, beside the records with `--embedded`".to_owned(),
            about: "The directory of a local store; `--state DIR` comes before it.",
            example: "/var/lib/host",
        },
    ],
    without_effect: &[],
};
