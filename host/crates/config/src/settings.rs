//! The `host:` map: settings that Fluvio's own tools do not have. Unknown keys in it are always errors.
//!
//! Every default stands in one place, the `Default` of its struct; the tables in `keys`, which the reference is
//! made of, ask there.

mod keys;

use crate::error::Report;
use crate::fields::{Field, Unknown};
use crate::network::NetworkTarget;
use crate::units::format_duration;
pub(crate) use keys::{BATCH, HOST, RATE_LIMIT, RETRY, SANDBOX, STATE, TLS};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of this host for one connector.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostSettings {
    /// What becomes of a record that a stage refuses.
    pub on_error: OnError,
    /// The topic of dead letters; absent, the host names it.
    pub dead_letter_topic: Option<String>,
    /// How what may pass is tried again.
    pub retry: Retry,
    /// How much goes through the stages at a time.
    pub batch: BatchSettings,
    /// What the component may use.
    pub sandbox: SandboxSettings,
    /// Authorities and client certificate of the connector's own.
    pub tls: TlsSettings,
    /// How fast records may go.
    pub rate_limit: RateLimit,
    /// How many writers a sink may have at most; one for each partition when absent.
    pub parallelism: Option<u32>,
    /// Where a source's cursor is kept.
    pub state: StateSettings,
    /// How long stopping may take before it is forced.
    pub grace_period: Duration,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            on_error: OnError::Stop,
            dead_letter_topic: None,
            retry: Retry::default(),
            batch: BatchSettings::default(),
            sandbox: SandboxSettings::default(),
            tls: TlsSettings::default(),
            rate_limit: RateLimit::default(),
            parallelism: None,
            state: StateSettings::default(),
            // Kubernetes kills a pod 30 s after asking it to stop: this leaves time to be heard about it.
            grace_period: Duration::from_secs(20),
        }
    }
}

/// What becomes of a record that a stage refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The connector stops, the record is not passed over.
    Stop,
    /// The record is left out, counted and logged.
    Skip,
    /// The record goes to the topic of dead letters.
    DeadLetter,
}

impl OnError {
    const WORDS: [(&'static str, Self); 3] =
        [("stop", Self::Stop), ("skip", Self::Skip), ("dead-letter", Self::DeadLetter)];

    /// The word for it in a configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Skip => "skip",
            Self::DeadLetter => "dead-letter",
        }
    }
}

/// How what may pass (an unreachable or busy other side) is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// How often in a row before the connector fails; for ever when absent.
    pub max: Option<u32>,
    /// The first wait; each further one is twice as long.
    pub initial: Duration,
    /// The longest wait.
    pub max_delay: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        // The first retry comes while a person still watches; a dead server is asked twice a minute.
        Self { max: None, initial: Duration::from_millis(500), max_delay: Duration::from_secs(30) }
    }
}

/// How much goes through the stages at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchSettings {
    /// The most records in a batch.
    pub max_records: u32,
    /// The most bytes of keys and values in a batch. A single larger record still passes.
    pub max_bytes: u64,
    /// How long a source may wait for more records before it hands over what it has.
    pub linger: Duration,
}

impl Default for BatchSettings {
    fn default() -> Self {
        // What is done once a batch is lost in the noise at 10,000 records of 100 bytes, which is also what
        // fits into one of Fluvio's requests (1 MiB).
        Self { max_records: 10_000, max_bytes: 1 << 20, linger: Duration::from_millis(100) }
    }
}

/// What the component may use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SandboxSettings {
    /// The most memory of one instance, in bytes.
    pub memory: u64,
    /// How long one call may take, beyond the time that it was allowed to wait.
    pub call_timeout: Duration,
    /// Hosts that it may reach besides those that its section names.
    pub allow: Vec<NetworkTarget>,
    /// How its HTTP requests leave this machine.
    pub proxy: Proxy,
}

/// How HTTP requests leave this machine.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Proxy {
    /// As `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    #[default]
    Environment,
    /// Straight to their hosts.
    Direct,
    /// All of them through the proxy at this address, which may hold a user and a password.
    At(String),
}

/// Without the address: it may hold a password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::Direct => "Direct",
            Self::At(_) => "At(..)",
        })
    }
}

impl Default for SandboxSettings {
    fn default() -> Self {
        // Python and JavaScript guests need 30 to 100 MiB to begin with.
        let (memory, call_timeout) = (256 << 20, Duration::from_secs(30));
        Self { memory, call_timeout, allow: Vec::new(), proxy: Proxy::Environment }
    }
}

/// Authorities and client certificate for the connector's TLS connections. Each is PEM text, or the path of a
/// file with it.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsSettings {
    /// The authorities to trust, in place of the system's.
    pub ca: Option<String>,
    /// The client certificate.
    pub certificate: Option<String>,
    /// Its private key.
    pub key: Option<String>,
}

/// Without the texts: one of them may be a key.
impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("ca", &self.ca.is_some())
            .field("certificate", &self.certificate.is_some())
            .field("key", &self.key.is_some())
            .finish()
    }
}

/// How fast records may go; absent means without limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// Records a second.
    pub records_per_second: Option<u64>,
    /// Bytes of keys and values a second.
    pub bytes_per_second: Option<u64>,
}

/// Where cursors and the state of stages are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateSettings {
    /// Which kind of place.
    pub store: StateStore,
    /// The directory of a local store; absent, the host's own.
    pub directory: Option<PathBuf>,
}

/// Which kind of place keeps a source's cursor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StateStore {
    /// A file on this machine.
    #[default]
    Local,
    /// A topic of the cluster.
    Cluster,
}

/// Reads the `host:` map.
pub(crate) fn read_host(field: &Field<'_>, report: &mut Report) -> HostSettings {
    let mut settings = HostSettings::default();
    let Some(fields) = field.fields(&HOST, Unknown::Refuse, report) else { return settings };
    if let Some(word) = fields.get("on-error").and_then(|field| field.choice(&OnError::WORDS, report)) {
        settings.on_error = word;
    }
    if let Some(field) = fields.get("dead-letter-topic") {
        settings.dead_letter_topic = field.name(report);
        if settings.on_error != OnError::DeadLetter {
            let help = "add `on-error: dead-letter`, or remove it".to_owned();
            report.warn(
                field.at,
                format!("`{}` has no effect without `on-error: dead-letter`", field.path),
                Some(help),
            );
        }
    }
    if let Some(period) = fields.get("grace-period").and_then(|field| field.duration(report)) {
        settings.grace_period = period;
    }
    settings.parallelism = fields.get("parallelism").and_then(|field| field.positive(report));
    if let Some(field) = fields.get("retry") {
        read_retry(&field, &mut settings.retry, report);
    }
    if let Some(field) = fields.get("batch") {
        read_batch(&field, &mut settings.batch, report);
    }
    if let Some(field) = fields.get("sandbox") {
        read_sandbox(&field, &mut settings.sandbox, report);
    }
    if let Some(tls) = fields.get("tls").and_then(|field| field.fields(&TLS, Unknown::Refuse, report)) {
        settings.tls.ca = tls.get("ca").and_then(|field| field.name(report));
        settings.tls.certificate = tls.get("certificate").and_then(|field| field.name(report));
        settings.tls.key = tls.get("key").and_then(|field| field.name(report));
    }
    if let Some(limit) = fields.get("rate-limit").and_then(|f| f.fields(&RATE_LIMIT, Unknown::Refuse, report)) {
        settings.rate_limit.records_per_second = limit.get("records-per-second").and_then(|f| f.positive(report));
        settings.rate_limit.bytes_per_second = limit.get("bytes-per-second").and_then(|f| some_bytes(&f, report));
    }
    if let Some(state) = fields.get("state").and_then(|field| field.fields(&STATE, Unknown::Refuse, report)) {
        let stores = [("local", StateStore::Local), ("cluster", StateStore::Cluster)];
        settings.state.store = state.get("store").and_then(|f| f.choice(&stores, report)).unwrap_or_default();
        settings.state.directory = state.get("directory").and_then(|field| field.name(report)).map(PathBuf::from);
    }
    settings
}

fn read_retry(field: &Field<'_>, retry: &mut Retry, report: &mut Report) {
    let Some(fields) = field.fields(&RETRY, Unknown::Refuse, report) else { return };
    retry.max = fields.get("max").and_then(|field| field.integer("a whole number", report));
    let (initial, longest) = (fields.get("initial"), fields.get("max-delay"));
    if let Some(duration) = initial.as_ref().and_then(|field| some_time(field, report)) {
        retry.initial = duration;
        retry.max_delay = retry.max_delay.max(duration);
    }
    if let Some((field, duration)) =
        longest.and_then(|field| Some((some_time(&field, report)?, field))).map(|(d, f)| (f, d))
    {
        retry.max_delay = duration;
        if initial.is_none() {
            retry.initial = retry.initial.min(duration);
        }
        if duration < retry.initial {
            field.wrong(&format!("at least `initial`, {}", format_duration(retry.initial)), None, report);
        }
    }
}

fn read_batch(field: &Field<'_>, batch: &mut BatchSettings, report: &mut Report) {
    let Some(fields) = field.fields(&BATCH, Unknown::Refuse, report) else { return };
    if let Some(records) = fields.get("max-records").and_then(|field| field.positive(report)) {
        batch.max_records = records;
    }
    if let Some(bytes) = fields.get("max-bytes").and_then(|field| some_bytes(&field, report)) {
        batch.max_bytes = bytes;
    }
    if let Some(linger) = fields.get("linger").and_then(|field| field.duration(report)) {
        batch.linger = linger;
    }
}

fn read_sandbox(field: &Field<'_>, sandbox: &mut SandboxSettings, report: &mut Report) {
    let Some(fields) = field.fields(&SANDBOX, Unknown::Refuse, report) else { return };
    if let Some(field) = fields.get("memory")
        && let Some(bytes) = field.bytes(report)
    {
        if !(1 << 20..=4 << 30).contains(&bytes) {
            field.wrong("at least 1 MiB and at most 4 GiB", None, report);
        }
        sandbox.memory = bytes;
    }
    if let Some(timeout) = fields.get("call-timeout").and_then(|field| some_time(&field, report)) {
        sandbox.call_timeout = timeout;
    }
    for item in fields.get("allow").iter().flat_map(Field::items) {
        let Some(text) = item.text(report) else { continue };
        match NetworkTarget::parse(&text) {
            Ok(targets) => sandbox.allow.extend(targets),
            Err(problem) => item.wrong("a host, `host:port` or a URL", Some(&problem), report),
        }
    }
    if let Some((field, text)) = fields.get("proxy").and_then(|field| field.name(report).map(|text| (field, text))) {
        match read_proxy(&text) {
            Some(proxy) => sandbox.proxy = proxy,
            None => {
                field.wrong(
                    "`none`, or the address of an HTTP proxy such as `http://proxy.example:3128`",
                    None,
                    report,
                );
            }
        }
    }
}

fn read_proxy(text: &str) -> Option<Proxy> {
    if text == "none" {
        return Some(Proxy::Direct);
    }
    let url = url::Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then(|| Proxy::At(text.to_owned()))
}

/// A duration longer than nothing.
fn some_time(field: &Field<'_>, report: &mut Report) -> Option<Duration> {
    let duration = field.duration(report)?;
    if duration.is_zero() {
        field.wrong("more than nothing", None, report);
    }
    Some(duration)
}

/// A size of at least one byte.
fn some_bytes(field: &Field<'_>, report: &mut Report) -> Option<u64> {
    let bytes = field.bytes(report)?;
    if bytes == 0 {
        field.wrong("more than nothing", None, report);
    }
    Some(bytes)
}
