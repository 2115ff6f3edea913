//! The arguments of all commands, with the names of the `fluvio` command line where it has them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgMatches, Args, Parser, Subcommand, ValueEnum};

use crate::format::Format;
use crate::logging::LogFormat;

/// Runs Fluvio connectors as sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(
    name = "host",
    version,
    max_term_width = 110,
    after_help = "\
Try it without a cluster:
  host run --embedded --connector test-source --topic numbers --set count=5
  host consume --embedded -B -d numbers"
)]
pub(crate) struct Cli {
    /// What to log, in the form of RUST_LOG, as in `info,host_connector=debug`
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) rust_log: Option<String>,

    /// How log lines look
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a connector until it ends or is told to stop
    #[command(after_long_help = "\
Examples:
  host run --connector http-source.wasm --config cat-facts.yaml
  host run --config cat-facts.yaml --secrets secrets.txt --cluster 10.0.0.5:9003
  host run --connector http-sink --topic facts --set endpoint=http://localhost:8000/ --disable-continuous
  host run --embedded --connector http-source --topic facts \\
      --set endpoint=http://localhost:8000/facts.json --filter json-filter --with field=length --with op=lt --with value=50

A first SIGINT or SIGTERM stops reading, delivers what was read and exits with 0; a second one exits at once.
Exit codes: 0 done, 1 failed, 2 wrong usage, 78 configuration refused.")]
    Run(Box<RunArgs>),

    /// Check a configuration, and let the connector try its endpoint
    #[command(after_long_help = "Example:\n  host check --config cat-facts.yaml --strict")]
    Check(Box<CheckArgs>),

    /// Print what a connector is, with the JSON Schema of its configuration
    #[command(after_long_help = "Example:\n  host metadata http-source.wasm | jq .schema")]
    Metadata(ComponentArgs),

    /// List the connectors on the connector path
    #[command(after_long_help = "\
Example:
  HOST_CONNECTOR_PATH=./connectors host catalog

Connectors are found by name in the directories of HOST_CONNECTOR_PATH, beside the program, and in the user's data
directory (~/.local/share/host/connectors).")]
    Catalog(CatalogArgs),

    /// Show what a component imports and what the sandbox would let it do
    #[command(after_long_help = "Example:\n  host inspect http-source.wasm --config cat-facts.yaml")]
    Inspect(InspectArgs),

    /// Run the embedded broker on its own, for trying, developing and testing
    #[command(after_long_help = "\
Example:
  host broker --listen 127.0.0.1:9003
  host topic list --cluster 127.0.0.1:9003

It speaks Fluvio's wire protocol; the fluvio client and command line work against it. Production is a Fluvio cluster.")]
    Broker(BrokerArgs),

    /// Create, list, describe and delete topics
    Topic(TopicArgs),

    /// Write lines from a file or standard input to a topic
    #[command(
        after_long_help = "Example:\n  printf 'a:1\\nb:2\\n' | host produce --embedded --key-separator : letters"
    )]
    Produce(ProduceArgs),

    /// Read a topic's records; none is missed
    #[command(after_long_help = "Examples:\n  host consume -B -d facts\n  host consume --tail 10 -O json facts")]
    Consume(Box<ConsumeArgs>),

    /// Look at records that could not be used, and put them back
    #[command(name = "dead-letter")]
    DeadLetter(DeadLetterArgs),

    /// Show the SmartModules that can be used; create and delete those of the cluster
    Smartmodule(SmartmoduleArgs),

    /// Print a completion script for a shell
    #[command(after_long_help = "Example:\n  host completions bash > ~/.local/share/bash-completion/completions/host")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },

    /// Print a reference page that is generated from the code
    #[command(hide = true)]
    Reference {
        /// Which page
        what: Reference,
    },
}

/// The pages that are generated from the code.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Reference {
    /// docs/configuration.md
    Configuration,
    /// docs/connectors.md
    Connectors,
    /// docs/smartmodules.md
    Smartmodules,
}

/// Which cluster.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct TargetArgs {
    /// The cluster's controller, as in `127.0.0.1:9003`
    #[arg(long, value_name = "ADDR", env = "HOST_CLUSTER", conflicts_with_all = ["profile", "embedded"])]
    pub(crate) cluster: Option<String>,

    /// A profile of the Fluvio configuration [default: the current one]
    #[arg(long, value_name = "NAME", conflicts_with = "embedded")]
    pub(crate) profile: Option<String>,

    /// No cluster: a broker inside this process, or the one that already runs on its data
    #[arg(long)]
    pub(crate) embedded: bool,

    /// With --embedded: where the broker keeps its records
    #[arg(long, value_name = "DIR", env = "HOST_BROKER_DATA", requires = "embedded")]
    pub(crate) data: Option<PathBuf>,
}

impl TargetArgs {
    /// Whether a cluster is named, rather than left to the Fluvio configuration.
    pub(crate) fn is_named(&self) -> bool {
        self.cluster.is_some() || self.profile.is_some() || self.embedded
    }
}

/// Which connector, and how it is configured.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConnectorArgs {
    /// The connector: a file, or a name on the connector path [default: `meta.type` of the configuration]
    #[arg(short, long, value_name = "PATH|NAME")]
    pub(crate) connector: Option<String>,

    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// A file of `NAME=value` lines for `${{ secrets.NAME }}` [default: the environment]
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets: Option<PathBuf>,

    /// Set a key of the connector's own section, as in `--set interval=30s`; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) sets: Vec<(String, String)>,

    /// The topic, before the configuration's
    #[arg(long, visible_alias = "fluvio-topic", value_name = "TOPIC")]
    pub(crate) topic: Option<String>,

    /// The connector's name, before the configuration's
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Take unknown keys of the configuration for errors
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) connector: ConnectorArgs,

    /// Pass records through this filter SmartModule: a file, or a name in the cluster; repeatable
    #[arg(
        long,
        value_name = "FILE|NAME",
        help_heading = "Stages (in the order given, behind those of the configuration)"
    )]
    pub(crate) filter: Vec<String>,

    /// Pass records through this map SmartModule; repeatable
    #[arg(
        long,
        value_name = "FILE|NAME",
        help_heading = "Stages (in the order given, behind those of the configuration)"
    )]
    pub(crate) map: Vec<String>,

    /// Pass records through this array_map SmartModule; repeatable
    #[arg(
        long,
        visible_alias = "array-map",
        value_name = "FILE|NAME",
        help_heading = "Stages (in the order given, behind those of the configuration)"
    )]
    pub(crate) arraymap: Vec<String>,

    /// A parameter of the stage named before it; repeatable
    #[arg(long = "with", value_name = "KEY=VALUE", value_parser = pair, help_heading = "Stages (in the order given, behind those of the configuration)")]
    pub(crate) with: Vec<(String, String)>,

    /// Where cursors and the stages' state are kept: a directory, or `cluster` for a topic of the cluster, so that
    /// the connector goes on from any machine [default: beside the embedded broker's data, or the user's state
    /// directory]
    #[arg(long, value_name = "DIR|cluster")]
    pub(crate) state: Option<PathBuf>,

    /// Swap the stages while it runs when the configuration or a module's file changes; SIGHUP always does it
    #[arg(long)]
    pub(crate) watch: bool,

    /// Sinks: end when everything is delivered that the topic holds now
    #[arg(short = 'd', long = "disable-continuous")]
    pub(crate) until_end: bool,

    /// Sinks: read every Nth partition only, as in `--shard 0/3`; N processes with 0/N to (N-1)/N share the topic
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,

    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) connector: ConnectorArgs,

    /// Only check the configuration; don't let the connector try its endpoint
    #[arg(long)]
    pub(crate) offline: bool,

    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ComponentArgs {
    /// The component: a file, or a name on the connector path
    pub(crate) component: String,
}

#[derive(Debug, Args)]
pub(crate) struct CatalogArgs {
    /// How to print
    #[arg(short = 'O', long = "output", visible_alias = "format", value_enum, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The component: a file, or a name on the connector path
    pub(crate) component: String,

    /// Show what the sandbox allows with this configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// A file of `NAME=value` lines for the configuration's secrets
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets: Option<PathBuf>,

    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct BrokerArgs {
    /// Where clients connect; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9003")]
    pub(crate) listen: SocketAddr,

    /// Where records are kept [default: the user's data directory]
    #[arg(long, value_name = "DIR", env = "HOST_BROKER_DATA")]
    pub(crate) data: Option<PathBuf>,

    /// The host name or address that clients are told [default: that of --listen]
    #[arg(long, value_name = "HOST")]
    pub(crate) advertise: Option<String>,

    /// For tests: cut responses in mid-batch, as a storage unit of Fluvio does
    #[arg(long, hide = true)]
    pub(crate) cut_responses: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TopicArgs {
    #[command(subcommand)]
    pub(crate) command: TopicCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicCommand {
    /// Create a topic
    #[command(after_long_help = "Example:\n  host topic create facts --partitions 3 --retention-time 7d")]
    Create {
        /// Its name
        name: String,
        /// The number of partitions [default: 1]
        #[arg(short, long, value_name = "N")]
        partitions: Option<u32>,
        /// The number of copies [default: 1]
        #[arg(short, long, value_name = "N")]
        replication: Option<u32>,
        /// How long records are kept, as in `7d`
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        retention_time: Option<std::time::Duration>,
        /// The most bytes a partition keeps
        #[arg(long, value_name = "BYTES")]
        max_partition_size: Option<u64>,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// List the topics
    List {
        /// How to print
        #[arg(short = 'O', long = "output", visible_alias = "format", value_enum, default_value = "text")]
        format: Format,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Show a topic with its partitions
    Describe {
        /// Its name
        name: String,
        /// How to print
        #[arg(short = 'O', long = "output", visible_alias = "format", value_enum, default_value = "text")]
        format: Format,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Delete topics with their records
    Delete {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        target: TargetArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ProduceArgs {
    /// The topic
    pub(crate) topic: String,

    /// Read this file instead of standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// The whole input is one record
    #[arg(long)]
    pub(crate) raw: bool,

    /// Split each line into key and value at the first occurrence of this
    #[arg(long, value_name = "TEXT")]
    pub(crate) key_separator: Option<String>,

    /// The key of every record
    #[arg(long, value_name = "KEY", conflicts_with = "key_separator")]
    pub(crate) key: Option<String>,

    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, value_name = "TYPE")]
    pub(crate) compression: Option<String>,

    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// How records are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RecordFormat {
    /// The value as it is, one record a line
    Text,
    /// One JSON object a line, with topic, partition, offset, timestamp, key and value
    Json,
    /// The value alone, without a line end
    Raw,
}

#[derive(Debug, Args)]
pub(crate) struct ConsumeArgs {
    /// The topic
    pub(crate) topic: String,

    /// Start at the first record that is kept
    #[arg(short = 'B', long)]
    pub(crate) beginning: bool,

    /// Start at this offset
    #[arg(long, value_name = "OFFSET", conflicts_with_all = ["beginning", "head", "tail"])]
    pub(crate) start: Option<i64>,

    /// Start so many records behind the beginning
    #[arg(short = 'H', long, value_name = "N", conflicts_with_all = ["beginning", "tail"])]
    pub(crate) head: Option<u32>,

    /// Start so many records before the end
    #[arg(short = 'T', long, value_name = "N", conflicts_with = "beginning")]
    pub(crate) tail: Option<u32>,

    /// End at what is the end now
    #[arg(short = 'd', long = "disable-continuous")]
    pub(crate) disable_continuous: bool,

    /// End after so many records
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<u64>,

    /// Read these partitions [default: all]
    #[arg(short = 'p', long = "partition", value_name = "N")]
    pub(crate) partitions: Vec<u32>,

    /// How to print
    #[arg(short = 'O', long = "output", value_enum, default_value = "text")]
    pub(crate) output: RecordFormat,

    /// Print the key before the value
    #[arg(short = 'k', long = "key-value")]
    pub(crate) key_value: bool,

    /// Go on behind what this consumer has read before, and remember it
    #[arg(short = 'c', long = "consumer", value_name = "ID")]
    pub(crate) consumer: Option<String>,

    /// The most bytes one response may have
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_bytes: Option<u32>,

    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeadLetterArgs {
    #[command(subcommand)]
    pub(crate) command: DeadLetterCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// List dead letters with the reason of each
    #[command(after_long_help = "Example:\n  host dead-letter list facts-dead-letters")]
    List {
        /// The topic of dead letters
        topic: String,
        /// How to print
        #[arg(short = 'O', long = "output", visible_alias = "format", value_enum, default_value = "text")]
        format: Format,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Put the records of dead letters back, as they were before any stage
    #[command(after_long_help = "\
Example:
  host dead-letter replay facts-dead-letters

Which letters were put back is remembered, so that each goes once, but for --all and --stage.
The records of a sink go back into its topic, and come to it again. What a source read was never in a topic:
its records go into the topic that they were meant for, as they were when a stage refused them.")]
    Replay {
        /// The topic of dead letters
        topic: String,
        /// Put them into this topic [default: where each came from]
        #[arg(long, value_name = "TOPIC")]
        to: Option<String>,
        /// Only what this stage refused; `protocol` is the connector itself
        #[arg(long, value_name = "NAME")]
        stage: Option<String>,
        /// Letters that were put back before as well
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        target: TargetArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SmartmoduleArgs {
    #[command(subcommand)]
    pub(crate) command: SmartmoduleCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SmartmoduleCommand {
    /// Put a SmartModule into the cluster
    #[command(
        after_long_help = "Example:\n  host smartmodule create short-ones --wasm-file target/smartmodules/json-filter.wasm"
    )]
    Create {
        /// Its name
        name: String,
        /// The module
        #[arg(long, value_name = "FILE")]
        wasm_file: PathBuf,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// List the SmartModules on the SmartModule path and in the cluster
    #[command(
        after_long_help = "Example:\n  host smartmodule list -O json | jq -r '.[] | select(.kind == \"map\").name'"
    )]
    List {
        /// How to print
        #[arg(short = 'O', long = "output", visible_alias = "format", value_enum, default_value = "text")]
        format: Format,
        /// Only those on the SmartModule path
        #[arg(long)]
        local: bool,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Show what a SmartModule does, the parameters that it takes, and an example
    #[command(
        after_long_help = "Examples:\n  host smartmodule describe json-filter\n  host smartmodule describe -O json ./mine.wasm | jq .spec.schema"
    )]
    Describe {
        /// A file, a name on the SmartModule path, or a name in the cluster
        name: String,
        /// How to print
        #[arg(short = 'O', long = "output", visible_alias = "format", value_enum, default_value = "text")]
        format: Format,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Delete SmartModules from the cluster
    Delete {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        target: TargetArgs,
    },
}

/// A share of a topic's partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Which share, from 0.
    pub(crate) index: u32,
    /// Of how many.
    pub(crate) of: u32,
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, of)) if index < of => Ok(Self { index, of }),
            Some((index, of)) => Err(format!("share {index} of {of}: the first one is 0, the last {}", of.max(1) - 1)),
            None => Err("write it as in 0/3".to_owned()),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// A stage given on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StageFlag {
    /// `--filter`
    Filter,
    /// `--map`
    Map,
    /// `--arraymap`
    ArrayMap,
    /// `--with`, which belongs to the stage before it.
    With,
}

/// In which order the stages and their parameters were given: which flag, and its how manieth value.
pub(crate) fn stage_order(matches: &ArgMatches) -> Vec<(StageFlag, usize)> {
    let flags = [
        ("filter", StageFlag::Filter),
        ("map", StageFlag::Map),
        ("arraymap", StageFlag::ArrayMap),
        ("with", StageFlag::With),
    ];
    let mut order: Vec<(usize, StageFlag, usize)> = Vec::new();
    for (id, flag) in flags {
        let positions = matches.indices_of(id).into_iter().flatten();
        order.extend(positions.enumerate().map(|(nth, position)| (position, flag, nth)));
    }
    order.sort_unstable_by_key(|(position, ..)| *position);
    order.into_iter().map(|(_, flag, nth)| (flag, nth)).collect()
}

/// `KEY=VALUE`, split at the first `=`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn parameters_belong_to_the_stage_before_them() {
        let line = "host run --map m1 --with a=1 --filter f --with b=2 --with c=3 --map m2";
        let matches = Cli::command().get_matches_from(line.split(' '));
        let order = stage_order(matches.subcommand_matches("run").expect("run"));
        use StageFlag::{Filter, Map, With};
        assert_eq!(order, [(Map, 0), (With, 0), (Filter, 0), (With, 1), (With, 2), (Map, 1)]);
    }

    #[test]
    fn pairs_are_split_at_the_first_equals_sign() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("=x").is_err() && pair("x").is_err());
    }
}
