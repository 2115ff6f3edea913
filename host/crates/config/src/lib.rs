//! Reads a connector's YAML in every version into one checked configuration.
//!
//! ```
//! use host_config::{Document, Options, Secrets};
//! let text = "
//! apiVersion: 0.1.0
//! meta:
//!   name: cat-facts
//!   type: http-source
//!   version: latest
//!   topic: cat-facts
//! http:
//!   endpoint: https://catfact.ninja/fact?key=${{ secrets.KEY }}
//! ";
//! let options = Options { secrets: Secrets::from_text("secrets.txt", "KEY=abc"), ..Options::default() };
//! let mut config = Document::parse("cat-facts.yaml", text)?.load(&options)?;
//! assert_eq!(config.meta.topic.name, "cat-facts");
//!
//! let schema = serde_json::json!({"properties": {"endpoint": {"type": "string", "x-network": true}}});
//! let section = config.section("http", &schema)?;
//! assert_eq!(section.json["endpoint"], "https://catfact.ninja/fact?key=abc");
//! assert_eq!(section.network[0].to_string(), "catfact.ninja:443");
//! # Ok::<(), host_config::Error>(())
//! ```
//!
//! The way of a file: `yaml` parses it to a tree with positions, `template` fills in secrets, `document` tells
//! the forms apart, `meta`, `topic`, `transforms` and `settings` read the parts that every connector has, by
//! the tables of `fields`; `schema` and `section` then check the connector's own part. Every problem becomes a
//! [`Diagnostic`] with line and column; reading goes on, so that an [`Error`] lists all of them. The same tables
//! make the [reference](reference_markdown).
//!
//! What Fluvio's own tools accept is accepted with the same meaning. Facts about their formats are from the
//! crates `fluvio-connector-package`, `fluvio-controlplane-metadata` and `fluvio-smartengine` of Fluvio 0.50.

mod config;
mod document;
mod error;
mod fields;
mod meta;
mod network;
mod overrides;
mod redact;
mod reference;
mod schema;
mod secrets;
mod section;
mod settings;
mod template;
mod topic;
mod transforms;
mod units;
mod yaml;

pub use config::ConnectorConfig;
pub use document::{ApiVersion, Document, Options};
pub use error::{Diagnostic, Error, Severity};
pub use meta::{Compression, ConsumerSettings, Direction, Meta, Partitions, ProducerSettings, Start, Strategy};
pub use network::NetworkTarget;
pub use redact::{REDACTED, Redactor, SHORTEST_REDACTED};
pub use reference::reference_markdown;
pub use secrets::Secrets;
pub use section::Section;
pub use settings::{
    BatchSettings, HostSettings, OnError, Proxy, RateLimit, Retry, SandboxSettings, StateSettings, StateStore,
    TlsSettings,
};
pub use topic::{Deduplication, PartitionMap, TopicSettings};
pub use transforms::{Lookback, TransformStep};
pub use units::{format_bytes, format_duration, parse_bytes, parse_duration};

#[cfg(test)]
mod tests;
