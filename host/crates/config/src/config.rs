//! [`ConnectorConfig`]: the checked configuration, and the way to the connector's own section.
//!
//! The section is read last, since only the component knows its name and schema. What is at the root and
//! belongs to nobody is told there too. All messages pass the redactor.

use crate::document::{ApiVersion, Document, Options, ROOT};
use crate::error::{At, Diagnostic, Error, Report, did_you_mean};
use crate::fields::{Key, unknown_key};
use crate::meta::{self, FLAT, Meta};
use crate::overrides::Override;
use crate::redact::Redactor;
use crate::schema::{Walk, flatten, properties, settle_aliases};
use crate::section::{Checked, Section};
use crate::settings::HostSettings;
use crate::template::Filler;
use crate::topic::TopicSettings;
use crate::transforms::TransformStep;
use crate::yaml::{Data, Node};
use serde_json::Value;
use std::fmt;

/// A checked configuration. The connector's own section is checked by [`ConnectorConfig::section`].
#[derive(Clone)]
#[non_exhaustive]
pub struct ConnectorConfig {
    /// What every connector has.
    pub meta: Meta,
    /// The SmartModules that records pass through, in order.
    pub transforms: Vec<TransformStep>,
    /// Settings of this host.
    pub host: HostSettings,
    /// What is doubtful, but no reason to refuse the file. [`ConnectorConfig::section`] adds to it.
    pub warnings: Vec<Diagnostic>,
    /// Which form the file is written in.
    pub version: ApiVersion,
    pub(crate) document: Document,
    pub(crate) strict: bool,
    pub(crate) overrides: Vec<Override>,
    /// Values that must not be shown.
    pub(crate) hidden: Vec<String>,
}

impl ConnectorConfig {
    /// A configuration without a file: `kind` connects to `topic` under `name`, all else by default; the
    /// connector's section holds the [overrides](Options::overrides) and nothing else.
    ///
    /// # Errors
    /// When an override refers to a secret that is missing.
    ///
    /// ```
    /// use host_config::{ConnectorConfig, Options};
    /// let options = Options { overrides: vec![("interval".into(), "10".into())], ..Options::default() };
    /// let mut config = ConnectorConfig::without_file("cats", "http-source", "cat-facts", &options)?;
    /// let schema = serde_json::json!({"properties": {"interval": {"type": "string"}}});
    /// assert_eq!(config.section("http", &schema)?.json, serde_json::json!({"interval": "10"}));
    /// # Ok::<(), host_config::Error>(())
    /// ```
    pub fn without_file(name: &str, kind: &str, topic: &str, options: &Options) -> Result<Self, Error> {
        let source = "command line";
        let mut report = Report::new(options.strict);
        let mut filler = Filler::new(&options.secrets);
        let mut overrides: Vec<Override> =
            options.overrides.iter().map(|(key, value)| Override::read(key, value)).collect();
        for value in &mut overrides {
            filler.fill(&mut value.value, &mut report);
        }
        filler.warn_of_short(source, &mut report);
        let hidden: Vec<String> = filler.used().values().cloned().collect();
        let warnings = report.finish(&Redactor::new(&hidden))?;
        let topic = TopicSettings::named(options.topic.as_deref().unwrap_or(topic));
        Ok(Self {
            meta: Meta {
                name: name.to_owned(),
                kind: kind.to_owned(),
                version: "latest".to_owned(),
                direction: meta::direction_of(kind),
                topic,
                producer: meta::ProducerSettings::default(),
                consumer: meta::ConsumerSettings::default(),
                secrets: Vec::new(),
                create_topic: true,
            },
            transforms: Vec::new(),
            host: HostSettings::default(),
            warnings,
            version: ApiVersion::V0_2_0,
            document: Document { source: source.to_owned(), root: Node::map(At::whole(source)) },
            strict: options.strict,
            overrides,
            hidden,
        })
    }

    /// The connector's own section, called `name` (`parameters` in the flat form), with the overrides set,
    /// checked against `schema` (JSON Schema, draft-07 where it does not say another).
    ///
    /// Adds warnings of unknown keys, at the root and in the section, to [`ConnectorConfig::warnings`], and what
    /// the section marks as secret to the [redactor](ConnectorConfig::redactor). An inserted secret that is the
    /// whole value of a field with `"x-secret": false` is none from then on.
    ///
    /// # Errors
    /// Everything in which the section breaks its schema; warnings too when the configuration was loaded
    /// strictly.
    pub fn section(&mut self, name: &str, schema: &Value) -> Result<Section, Error> {
        let mut report = Report::new(self.strict);
        let flat = self.version == ApiVersion::Flat && self.document.root.entry(name).is_none();
        let key = if flat { "parameters" } else { name };
        let source = At::whole(&self.document.source);
        if ROOT.keys.iter().any(|known| known.name == name) {
            let help = "this is a fault of the connector: tell its author";
            report.error_help(&source, format!("the connector's section can't be called `{name}`"), help);
        }
        self.warn_of_unknown_roots(key, &mut report);

        let entry = self.document.root.entry(key);
        let mut node = match entry {
            Some(entry) if entry.value.is_null() => Node::map(entry.at.clone()),
            Some(entry) => entry.value.clone(),
            None => Node::map(source.clone()),
        };
        for value in &self.overrides {
            value.apply(&mut node, key, &mut report);
        }
        if self.version == ApiVersion::Flat {
            self.drop_topic_parameter(&mut node, schema, &mut report);
        }
        settle_aliases(schema, &mut node, &mut report);
        let mut walk = Walk::new(schema, &mut report);
        let json = walk.section(&node, key);
        let (network, marked, public) = (walk.network, walk.secrets, walk.public);
        let checked = Checked {
            whose: "connector",
            name: key,
            node: &node,
            at: entry.map_or(&source, |entry| &entry.at),
            present: entry.is_some() || !self.overrides.is_empty(),
            json: &json,
            schema,
        };
        checked.validate(&mut report);
        // People keep an account's name beside its key; to hide it would hide who is refused.
        self.hidden.retain(|value| !public.contains(value));
        self.hidden.extend(marked);
        self.hidden.sort_unstable();
        self.hidden.dedup();
        for warning in report.finish(&self.redactor())? {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        Ok(Section { json, network, secrets: self.hidden.clone() })
    }

    /// A step's parameters, checked against the JSON Schema that its module brings (draft-07 where it does not say
    /// another), like the connector's own [section](ConnectorConfig::section). A SmartModule gets them as texts all the
    /// same: where its schema wants a number, a text that is one is meant.
    ///
    /// # Errors
    /// Everything in which they break the schema, unknown names among it, with their places.
    pub fn parameters(&self, step: &TransformStep, schema: &Value) -> Result<Section, Error> {
        step.section(schema, &self.hidden)
    }

    /// Hides every secret of this configuration: those that were inserted and, once
    /// [`ConnectorConfig::section`] has run, the values of `x-secret` fields.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        Redactor::new(&self.hidden)
    }

    fn warn_of_unknown_roots(&self, section: &str, report: &mut Report) {
        let group = if self.version == ApiVersion::Flat { &FLAT } else { &ROOT };
        let known = |key: &&Key| key.name != "parameters";
        let names = group.keys.iter().filter(known).map(|key| key.name).chain([section]);
        for entry in self.document.root.entries().unwrap_or_default() {
            let key = entry.key.as_str();
            if key != section && !group.keys.iter().any(|known| known.name == key || known.aliases.contains(&key)) {
                report.warn(&entry.at, unknown_key(key, ""), Some(did_you_mean(key, names.clone())));
            }
        }
    }

    /// The oldest connectors took their topic among the parameters too. Ours do not, and the host knows it.
    fn drop_topic_parameter(&self, node: &mut Node, schema: &Value, report: &mut Report) {
        let root = flatten(schema, [schema]);
        let Data::Map(entries) = &mut node.data else { return };
        for name in ["fluvio-topic", "fluvio_topic"] {
            if properties(&root).any(|(known, _)| known == name) {
                continue;
            }
            let Some(index) = entries.iter().position(|entry| entry.key == name) else { continue };
            let entry = entries.remove(index);
            let topic = &self.meta.topic.name;
            if entry.value.as_scalar().is_none_or(|scalar| scalar.text != *topic) {
                let message = format!("`parameters.{name}` is {}, but the topic is `{topic}`", entry.value.shown());
                report.warn(&entry.at, message, Some("it has no effect; remove it".to_owned()));
            }
        }
    }
}

/// Without the sections: they hold secrets.
impl fmt::Debug for ConnectorConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectorConfig")
            .field("document", &self.document)
            .field("version", &self.version)
            .field("name", &self.meta.name)
            .field("kind", &self.meta.kind)
            .field("topic", &self.meta.topic.name)
            .finish_non_exhaustive()
    }
}
