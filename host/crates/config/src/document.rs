//! From a file's text to a [`ConnectorConfig`]: which form it is in, secrets, then one part after the other.
//!
//! [`Document::parse`] needs nothing but the text, so that a command can say which secrets a file wants;
//! [`Document::load`] fills them in and reads everything except the connector's own section, whose name and
//! schema only the component knows: that is [`ConnectorConfig::section`].

use crate::config::ConnectorConfig;
use crate::error::{At, Error, Report, nearest, one_of};
use crate::fields::{Field, Fields, Group, Key, Unknown};
use crate::meta::{FLAT, META, read_meta};
use crate::overrides::Override;
use crate::redact::Redactor;
use crate::secrets::{Secrets, name_problem};
use crate::settings::read_host;
use crate::template::{self, Filler};
use crate::transforms::read_transforms;
use crate::yaml::{self, Data, Node};
use std::fmt;
use std::path::Path;

/// What a caller wants of a configuration beside its text.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where secrets come from; the environment by default.
    pub secrets: Secrets,
    /// Whether warnings are errors.
    pub strict: bool,
    /// Values for the connector's section that come before the file's (`--set key=value`): a path with dots,
    /// and a YAML scalar, flow list or flow map.
    pub overrides: Vec<(String, String)>,
    /// The topic's name, in place of the file's (`--topic`).
    pub topic: Option<String>,
}

/// Which form a configuration is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiVersion {
    /// Without `meta`: everything at the root, the connector's section under `parameters`.
    Flat,
    /// `0.0.0`, or none.
    V0_0_0,
    /// `0.1.0`.
    V0_1_0,
    /// `0.2.0`.
    V0_2_0,
}

const VERSIONS: [(&str, ApiVersion); 3] =
    [("0.0.0", ApiVersion::V0_0_0), ("0.1.0", ApiVersion::V0_1_0), ("0.2.0", ApiVersion::V0_2_0)];

pub(crate) const ROOT: Group = Group {
    path: "",
    about: "The root of a file. Beside these stands the connector's own section, under the name that the connector gives it (`host metadata` tells).",
    keys: &[
        Key {
            name: "apiVersion",
            aliases: &[],
            kind: "`0.0.0`, `0.1.0` or `0.2.0`",
            default: || "`0.0.0`".to_owned(),
            about: "The version of this format. All are read alike.",
            example: "0.2.0",
        },
        Key {
            name: "meta",
            aliases: &[],
            kind: "map (`meta`)",
            default: || "required".to_owned(),
            about: "What every connector has.",
            example: "{name: cat-facts, type: http-source, topic: cat-facts, version: 0.1.0}",
        },
        Key {
            name: "transforms",
            aliases: &[],
            kind: "list (`transforms`)",
            default: || "none".to_owned(),
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
    ],
    without_effect: &[],
};

/// A parsed file whose secrets are not filled in yet.
#[derive(Clone)]
pub struct Document {
    pub(crate) source: String,
    pub(crate) root: Node,
}

impl Document {
    /// Parses the text of a file; `name` stands for it in messages.
    ///
    /// # Errors
    /// When the text is not YAML, is empty or no map, or has a key twice.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let mut report = Report::new(false);
        let root = yaml::parse(name, text, &mut report);
        if let Some(root) = &root
            && root.entries().is_none()
        {
            let help = "begin with `apiVersion: 0.2.0`, then `meta:` and the connector's own section";
            match root.is_null() {
                true => report.error_help(&At::whole(name), "this configuration is empty", help),
                false => report.error_help(&root.at, format!("this is {}, expected a map", root.shown()), help),
            }
        }
        report.finish(&Redactor::default())?;
        let root = root.ok_or_else(|| Error::whole(name, "this configuration is empty", "write one"))?;
        Ok(Self { source: name.to_owned(), root })
    }

    /// Reads and parses a file.
    ///
    /// # Errors
    /// When the file can't be read or is not UTF-8, and as [`Document::parse`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        match std::fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => Self::parse(&name, &text),
            Ok(Err(error)) => {
                let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
                Err(Error::whole(&name, format!("line {line} is not UTF-8 text"), "save the file as UTF-8"))
            }
            Err(error) => Err(Error::whole(
                &name,
                format!("can't read this configuration: {error}"),
                "give the path of a YAML file that this user may read",
            )),
        }
    }

    /// The names of all secrets that the file declares or refers to, in its order.
    #[must_use]
    pub fn secret_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for declared in self.declared_secrets() {
            names.push(declared.0.to_owned());
        }
        template::names(&self.root, &mut names);
        names
    }

    /// The names under `meta.secrets`, or those of the flat form's `secrets`, and where they stand.
    fn declared_secrets(&self) -> Vec<(&str, &At)> {
        let list = match self.root.entry("meta") {
            Some(meta) => meta.value.entry("secrets"),
            None => self.root.entry("secrets"),
        };
        match list.map(|entry| &entry.value.data) {
            Some(Data::Map(entries)) => entries.iter().map(|entry| (entry.key.as_str(), &entry.at)).collect(),
            Some(Data::List(items)) => items
                .iter()
                .map(|item| item.entry("name").map_or(item, |entry| &entry.value))
                .filter_map(|name| Some((name.as_scalar()?.text.as_str(), &name.at)))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Fills in the secrets and reads everything but the connector's own section.
    ///
    /// # Errors
    /// All problems at once: missing secrets, missing keys, values that don't fit; when
    /// [strict](Options::strict), also everything that is otherwise a warning.
    pub fn load(mut self, options: &Options) -> Result<ConnectorConfig, Error> {
        let mut report = Report::new(options.strict);
        let mut overrides: Vec<Override> =
            options.overrides.iter().map(|(key, value)| Override::read(key, value)).collect();
        self.warn_of_unused_secrets(&overrides, &mut report);
        let mut filler = Filler::new(&options.secrets);
        let flat = self.root.entry("meta").is_none();
        self.fill(flat, &mut filler, &mut report);
        for value in &mut overrides {
            filler.fill(&mut value.value, &mut report);
        }
        filler.warn_of_short(&self.source, &mut report);
        let hidden: Vec<String> = filler.used().values().cloned().collect();
        let redactor = Redactor::new(&hidden);

        let version = read_version(&self.root, flat, &mut report);
        let whole = At::whole(&self.source);
        let root = Fields::open(&self.root, &whole, "", if flat { &FLAT } else { &ROOT }, Unknown::Later, &mut report);
        let topic = options.topic.as_deref();
        let meta = root.as_ref().and_then(|root| {
            if flat {
                return self.looks_flat(version, &mut report).then(|| read_meta(root, true, topic, &mut report))?;
            }
            let fields = root.require("meta", &mut report)?.fields(&META, Unknown::Warn, &mut report)?;
            read_meta(&fields, false, topic, &mut report)
        });
        let within = |name| root.as_ref().and_then(|root| root.get(name));
        let transforms = within("transforms").map(|field| read_transforms(&field, &mut report)).unwrap_or_default();
        let host = within("host").map(|field: Field<'_>| read_host(&field, &mut report)).unwrap_or_default();
        let warnings = report.finish(&redactor)?;
        let meta = meta.ok_or_else(|| Error::whole(&self.source, "this configuration is incomplete", "see above"))?;
        Ok(ConnectorConfig {
            meta,
            transforms,
            host,
            warnings,
            version: version.unwrap_or(ApiVersion::Flat),
            document: self,
            strict: options.strict,
            overrides,
            hidden,
        })
    }

    /// Fills in all secrets. A flat file's own come first, and no value is filled in twice: a value that looks
    /// like a template is just a value.
    fn fill(&mut self, flat: bool, filler: &mut Filler<'_>, report: &mut Report) {
        let Data::Map(entries) = &mut self.root.data else { return };
        let own = entries.iter().position(|entry| flat && entry.key == "secrets");
        if let Some(own) = own {
            filler.fill(&mut entries[own].value, report);
            for secret in entries[own].value.entries().unwrap_or_default() {
                if let Some(value) = secret.value.as_scalar().filter(|value| !value.broken) {
                    filler.add_own(&secret.key, &value.text);
                }
            }
        }
        for (index, entry) in entries.iter_mut().enumerate() {
            if Some(index) != own {
                filler.fill(&mut entry.value, report);
            }
        }
    }

    fn warn_of_unused_secrets(&self, overrides: &[Override], report: &mut Report) {
        let mut used = Vec::new();
        template::names(&self.root, &mut used);
        overrides.iter().for_each(|value| template::names(&value.value, &mut used));
        for (name, at) in self.declared_secrets() {
            if name_problem(name).is_none() && !used.iter().any(|used| used == name) {
                let help = format!("write ${{{{ secrets.{name} }}}} where its value belongs, or remove it");
                report.warn(at, format!("the secret `{name}` is declared, but never used"), Some(help));
            }
        }
    }

    /// Whether a file without `meta` is meant to be in the flat form. If not, says what is missing.
    fn looks_flat(&self, version: Option<ApiVersion>, report: &mut Report) -> bool {
        let entries = self.root.entries().unwrap_or_default();
        let has = |name: &str| entries.iter().any(|entry| entry.key == name);
        let later = matches!(version, Some(ApiVersion::V0_1_0 | ApiVersion::V0_2_0));
        if !later && ["name", "type", "parameters"].iter().any(|name| has(name)) {
            return true;
        }
        let known = ROOT.keys.iter().map(|key| key.name);
        let others =
            entries.iter().map(|entry| entry.key.as_str()).filter(|key| !known.clone().any(|known| known == *key));
        let help = match nearest("meta", others) {
            Some(other) => format!("is `{other}` meant to be `meta`?"),
            None => "add `meta:` with `name`, `type`, `topic` and `version`".to_owned(),
        };
        report.error_help(&At::whole(&self.source), "missing key `meta`", help);
        false
    }
}

/// Names only: the text may hold secrets.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({})", self.source)
    }
}

fn read_version(root: &Node, flat: bool, report: &mut Report) -> Option<ApiVersion> {
    let Some(entry) = root.entry("apiVersion").filter(|entry| !entry.value.is_null()) else {
        return Some(if flat { ApiVersion::Flat } else { ApiVersion::V0_0_0 });
    };
    let words = VERSIONS.iter().map(|(word, _)| *word);
    let found = entry.value.as_scalar().and_then(|scalar| VERSIONS.iter().find(|(word, _)| scalar.text == *word));
    if found.is_none() {
        let message = format!("unknown apiVersion {}, expected one of {}", entry.value.shown(), one_of(words));
        report.error_help(&entry.value.at, message, "`0.2.0` is the latest");
    }
    found.map(|(_, version)| if flat && *version == ApiVersion::V0_0_0 { ApiVersion::Flat } else { *version })
}
