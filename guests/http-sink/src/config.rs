//! The section `http` of a configuration file: the official http-sink's keys, and ours beside them.

use connector_sdk::config::Secret;
use connector_sdk::http::Timeouts;
use connector_sdk::units::{ByteSize, Duration};
use connector_sdk::{Error, Result, warn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::SENDING;

/// The host's patience with one call, unless `host.sandbox.call-timeout` says otherwise.
const CALL_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Where records go, in which form, and how quickly.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address to send to. Path and query may hold placeholders such as `{{key}}`; the host may not.
    #[schemars(extend("x-network" = true))]
    pub endpoint: String,

    /// The method of the requests.
    #[serde(default = "default_method")]
    pub method: String,

    /// Headers of the requests, each written `Name: value`; values may hold placeholders. When left out, it is
    /// the `Content-Type` that fits the body: `text/html` for plain values, as the official connector has it.
    #[serde(default)]
    pub headers: Option<Vec<Secret>>,

    /// The `User-Agent` of the requests.
    #[serde(default = "default_user_agent", alias = "user-agent")]
    #[schemars(extend("x-aliases" = ["user-agent"]))]
    pub user_agent: String,

    /// How long a request may take altogether, from sending to the answer.
    #[serde(default = "default_request_timeout", alias = "http-request-timeout")]
    #[schemars(extend("x-aliases" = ["http-request-timeout"]))]
    pub http_request_timeout: Duration,

    /// How long it may take until the connection stands.
    #[serde(default = "default_connect_timeout", alias = "http-connect-timeout")]
    #[schemars(extend("x-aliases" = ["http-connect-timeout"]))]
    pub http_connect_timeout: Duration,

    /// Accepted, and without effect: the host tries again, by `host.retry.initial`.
    #[serde(default, alias = "backoff-min")]
    #[schemars(extend("x-aliases" = ["backoff-min"]))]
    pub backoff_min: Option<Duration>,

    /// Accepted, and without effect: the host tries again, by `host.retry.max-delay`, and leaves no record out.
    #[serde(default, alias = "backoff-max")]
    #[schemars(extend("x-aliases" = ["backoff-max"]))]
    pub backoff_max: Option<Duration>,

    /// The body of a request, or an element of a batch, with placeholders; the record's value when left out.
    /// In JSON, a placeholder inside of a string becomes part of that string, and one outside becomes a value.
    #[serde(default)]
    pub body: Option<String>,

    /// How many records go into one request, and how: one a request, or many as a JSON array or as lines of
    /// JSON.
    #[serde(default)]
    pub batch: Form,

    /// The most records in one request.
    #[serde(default = "default_batch_records", rename = "batch-max-records", alias = "batch_max_records")]
    #[schemars(range(min = 1), extend("x-aliases" = ["batch_max_records"]))]
    pub batch_max_records: usize,

    /// The longest body, before compression. A single longer record still goes, on its own.
    #[serde(default = "default_batch_bytes", rename = "batch-max-bytes", alias = "batch_max_bytes")]
    #[schemars(extend("x-aliases" = ["batch_max_bytes"]))]
    pub batch_max_bytes: ByteSize,

    /// How many requests may be under way at once, for each partition. Only with 1 do records arrive in order.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: usize,

    /// Whether bodies are compressed.
    #[serde(default)]
    pub compression: Compression,

    /// A header, such as `Idempotency-Key`, that names the record for good, so that the other side can leave
    /// out what it has already seen: topic, partition and offset. None when left out.
    #[serde(default, rename = "idempotency-header", alias = "idempotency_header")]
    #[schemars(extend("x-aliases" = ["idempotency_header"]))]
    pub idempotency_header: Option<String>,

    /// A token for `Authorization: Bearer`.
    #[serde(default, rename = "bearer-token", alias = "bearer_token")]
    #[schemars(extend("x-aliases" = ["bearer_token"]))]
    pub bearer_token: Option<Secret>,

    /// User and password for `Authorization: Basic`.
    #[serde(default, rename = "basic-auth", alias = "basic_auth")]
    #[schemars(extend("x-aliases" = ["basic_auth"]))]
    pub basic_auth: Option<BasicAuth>,

    /// Signs each body with HMAC-SHA256.
    #[serde(default)]
    pub signature: Option<Signature>,

    /// How many redirects are followed. Only those (307 and 308) that repeat the request as it is.
    #[serde(default = "default_redirects")]
    pub redirects: u32,
}

/// How records become bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// One record a request.
    #[default]
    None,
    /// Many records a request, as the elements of a JSON array.
    JsonArray,
    /// Many records a request, each a line of JSON.
    Ndjson,
}

/// How bodies are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// `Content-Encoding: gzip`.
    Gzip,
}

/// User and password.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// How bodies are signed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The secret that both sides know.
    pub secret: Secret,

    /// The header that carries the signature.
    #[serde(default = "default_signature_header")]
    pub header: String,

    /// What stands in front of the signature.
    #[serde(default = "default_signature_prefix")]
    pub prefix: String,

    /// How its bytes are written.
    #[serde(default)]
    pub encoding: Encoding,

    /// A header that carries the time of sending, in seconds since 1970. With it, what is signed is that time,
    /// a full stop, and the body; without it, the body alone.
    #[serde(default, rename = "timestamp-header", alias = "timestamp_header")]
    #[schemars(extend("x-aliases" = ["timestamp_header"]))]
    pub timestamp_header: Option<String>,
}

/// How a signature's bytes are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Two hexadecimal digits a byte, in lower case.
    #[default]
    Hex,
    /// Base64, with padding.
    Base64,
}

fn default_method() -> String {
    "POST".to_owned()
}

fn default_user_agent() -> String {
    concat!("fluvio/http-sink ", env!("CARGO_PKG_VERSION")).to_owned()
}

const fn default_request_timeout() -> Duration {
    Duration::from_secs(15)
}

const fn default_connect_timeout() -> Duration {
    Duration::from_secs(1)
}

const fn default_batch_records() -> usize {
    500
}

const fn default_batch_bytes() -> ByteSize {
    ByteSize::from_bytes(1 << 20)
}

const fn default_concurrency() -> usize {
    1
}

fn default_signature_header() -> String {
    "X-Signature-256".to_owned()
}

fn default_signature_prefix() -> String {
    "sha256=".to_owned()
}

const fn default_redirects() -> u32 {
    10
}

/// Headers that the host makes by itself, out of what is sent.
const OWN_HEADERS: [&str; 4] = ["connection", "content-length", "host", "transfer-encoding"];

impl Config {
    /// Checks what the schema can't.
    ///
    /// # Errors
    /// Kind `config`, naming the key.
    pub fn check(&self) -> Result<()> {
        let refusal = |message: String| Err(Error::config(message));
        if self.batch_max_records == 0 {
            return refusal("`http.batch-max-records` must be at least 1".to_owned());
        }
        if !(1..=64).contains(&self.concurrency) {
            return refusal("`http.concurrency` must be from 1 to 64".to_owned());
        }
        for (key, span) in
            [("http_request_timeout", self.http_request_timeout), ("http_connect_timeout", self.http_connect_timeout)]
        {
            if span.get().is_zero() {
                return refusal(format!("`http.{key}` must be longer than nothing"));
            }
        }
        let authority = self.endpoint.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next());
        let credentials = [
            ("`user:password@` in `http.endpoint`", authority.is_some_and(|authority| authority.contains('@'))),
            ("`http.bearer-token`", self.bearer_token.is_some()),
            ("`http.basic-auth`", self.basic_auth.is_some()),
            ("an `Authorization` in `http.headers`", self.header("authorization")?.is_some()),
        ];
        let mut given = credentials.iter().filter(|(_, given)| *given).map(|(name, _)| name);
        if let (Some(one), Some(other)) = (given.next(), given.next()) {
            return refusal(format!("{one} and {other} are two ways to say who is calling; leave out one"));
        }
        if self.compression != Compression::None && self.header("content-encoding")?.is_some() {
            return refusal(
                "`http.compression` makes the `Content-Encoding`; leave it out of `http.headers`".to_owned(),
            );
        }
        Ok(())
    }

    /// Says what is odd, once.
    pub fn warn(&self) {
        for (key, given, instead) in
            [("backoff_min", self.backoff_min, "initial"), ("backoff_max", self.backoff_max, "max-delay")]
        {
            if given.is_some() {
                warn!("`http.{key}` has no effect: the host tries again, by `host.retry.{instead}`");
            }
        }
        let longest = SENDING + self.http_request_timeout.get();
        if longest >= CALL_TIMEOUT {
            let needed = Duration::from(longest + std::time::Duration::from_secs(5));
            warn!(
                "a request may take {}: unless `host.sandbox.call-timeout` is at least {needed}, a slow answer is \
                 given up earlier",
                self.http_request_timeout
            );
        }
        if self.batch == Form::None && (self.batch_max_records != default_batch_records()) {
            warn!("`http.batch-max-records` has no effect without `http.batch`");
        }
    }

    /// The headers, as name and value.
    ///
    /// # Errors
    /// Kind `config` when one is not of the form `Name: value`, or is the host's own business.
    pub fn headers(&self) -> Result<Vec<(&str, &str)>> {
        let mut pairs = Vec::new();
        for (index, header) in self.headers.as_deref().unwrap_or_default().iter().enumerate() {
            // The text itself may be a secret.
            let (name, value) = header
                .reveal()
                .split_once(':')
                .ok_or_else(|| Error::config(format!("`http.headers[{index}]` has no `:`; write `Name: value`")))?;
            let name = name.trim();
            if OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                let message = format!("`http.headers[{index}]`: `{name}` is made from what is sent; leave it out");
                return Err(Error::config(message));
            }
            pairs.push((name, value.trim()));
        }
        Ok(pairs)
    }

    /// The value of a header that is given.
    ///
    /// # Errors
    /// As [`Config::headers`].
    pub fn header(&self, name: &str) -> Result<Option<&str>> {
        let headers = self.headers()?;
        Ok(headers.into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value))
    }

    /// How long each part of an exchange may take.
    pub fn timeouts(&self) -> Timeouts {
        let wait = self.http_request_timeout.get();
        let connect = self.http_connect_timeout.get().min(wait);
        Timeouts { connect, first_byte: wait, between_bytes: wait, total: Some(wait) }
    }
}
