//! The section `http` of a configuration file: the official http-source's keys, and ours beside them.

use connector_sdk::config::Secret;
use connector_sdk::http::{Request, Timeouts};
use connector_sdk::json::Pointer;
use connector_sdk::units::{ByteSize, Duration};
use connector_sdk::{Error, Result, warn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::auth::{Auth, KeyPlace};
use crate::coding::ACCEPTED;
use crate::pages::Pagination;
use crate::schedule::{Pattern, Schedule};

/// What is asked for, how often, and what becomes of the answer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address to poll.
    #[schemars(extend("x-network" = true))]
    pub endpoint: String,

    /// The method of the request.
    #[serde(default = "default_method")]
    pub method: String,

    /// The body of the request.
    #[serde(default)]
    pub body: Option<String>,

    /// Headers of the request, each written `Name: value`.
    #[serde(default)]
    pub headers: Vec<Secret>,

    /// The `User-Agent` of the request.
    #[serde(default = "default_user_agent", alias = "user-agent")]
    #[schemars(extend("x-aliases" = ["user-agent"]))]
    pub user_agent: String,

    /// Time from one poll to the next; the first is made at once. What is missed while a poll takes long is
    /// left out, not made up for.
    #[serde(default)]
    #[schemars(with = "Duration", default = "default_interval")]
    pub interval: Option<Duration>,

    /// When to poll, in place of `interval`: minute, hour, day, month and weekday, with seconds in front if
    /// there are six, or one such as `@daily`. What is missed while the connector does not run is made up
    /// for, once.
    #[serde(default)]
    #[schemars(extend("examples" = ["*/15 8-18 * * MON-FRI"]))]
    pub cron: Option<String>,

    /// The time zone of `cron`, as in `Europe/Berlin`; UTC unless given.
    #[serde(default)]
    pub timezone: Option<String>,

    /// Who the connector is to the endpoint.
    #[serde(default)]
    pub auth: Option<Auth>,

    /// How a list goes on that is spread over several answers: one poll reads them all.
    #[serde(default)]
    pub pagination: Option<Pagination>,

    /// Which parts of an answer go into the record: the body alone, or the head too.
    #[serde(default, alias = "output-parts", alias = "output_format")]
    #[schemars(extend("x-aliases" = ["output-parts", "output_format"]))]
    pub output_parts: OutputParts,

    /// The form of the record: as it came, or wrapped in JSON.
    #[serde(default, alias = "output-type")]
    #[schemars(extend("x-aliases" = ["output-type"]))]
    pub output_type: OutputType,

    /// JSON Pointer to an array in the answer's body: each of its elements becomes a record of compact
    /// JSON. Empty (`""`) when the body itself is the array.
    #[serde(default)]
    pub records: Option<Pointer>,

    /// JSON Pointer to the record's key, in the element when `records` is given, else in the body.
    #[serde(default)]
    pub key: Option<Pointer>,

    /// Make records of answers other than 2xx too, instead of reporting them as errors.
    #[serde(default, rename = "produce-errors", alias = "produce_errors")]
    #[schemars(extend("x-aliases" = ["produce_errors"]))]
    pub produce_errors: bool,

    /// How long it may take until the connection stands.
    #[serde(default = "default_connect_timeout", rename = "connect-timeout", alias = "connect_timeout")]
    #[schemars(extend("x-aliases" = ["connect_timeout"]))]
    pub connect_timeout: Duration,

    /// How long a poll may take altogether, from sending to the last byte; of a stream, until its beginning.
    #[serde(default = "default_request_timeout", rename = "request-timeout", alias = "request_timeout")]
    #[schemars(extend("x-aliases" = ["request_timeout"]))]
    pub request_timeout: Duration,

    /// Ask for compressed answers (gzip, br, zstd). Yes, unless it is a stream, or the head goes into the
    /// record. An answer that comes compressed is decompressed in any case.
    #[serde(default)]
    pub compression: Option<bool>,

    /// The longest body taken, decompressed; a longer one is an error.
    #[serde(default = "default_max_body", rename = "max-body", alias = "max_body")]
    #[schemars(extend("x-aliases" = ["max_body"]))]
    pub max_body: ByteSize,

    /// How many redirects are followed.
    #[serde(default = "default_redirects")]
    pub redirects: u32,

    /// Ask only for news, by `ETag` and `Last-Modified`: an answer that has not changed makes no record.
    #[serde(default)]
    pub conditional: bool,

    /// Read one answer that goes on and on, instead of polling for complete ones. When it ends, it is asked
    /// for again when the interval is over.
    #[serde(default)]
    pub stream: bool,

    /// Read server-sent events: each is a record. Unless given, an answer that says to be
    /// `text/event-stream` is read so, but not with `stream`.
    #[serde(default)]
    pub sse: Option<bool>,

    /// Where a stream is cut into records. Compared byte by byte, before any charset is turned into UTF-8.
    #[serde(default = "default_delimiter")]
    pub delimiter: String,

    /// The longest record of a stream; a longer one is an error.
    #[serde(default = "default_max_record", rename = "max-record", alias = "max_record")]
    #[schemars(extend("x-aliases" = ["max_record"]))]
    pub max_record: ByteSize,

    /// How long a stream may be silent before it is taken for dead, and asked for again.
    #[serde(default = "default_idle_timeout", rename = "idle-timeout", alias = "idle_timeout")]
    #[schemars(extend("x-aliases" = ["idle_timeout"]))]
    pub idle_timeout: Duration,

    /// Settings for `ws` endpoints, which are not supported; without effect on others.
    #[serde(default)]
    pub websocket_config: Option<serde_json::Value>,
}

/// Which parts of an answer go into the record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputParts {
    /// The body.
    #[default]
    Body,
    /// Status line, headers and body.
    Full,
}

/// The form of the record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputType {
    /// As it came.
    #[default]
    Text,
    /// An object with the parts.
    Json,
}

fn default_method() -> String {
    "GET".to_owned()
}

fn default_user_agent() -> String {
    concat!("fluvio/http-source ", env!("CARGO_PKG_VERSION")).to_owned()
}

const fn default_interval() -> Duration {
    Duration::from_secs(10)
}

const fn default_connect_timeout() -> Duration {
    Duration::from_secs(10)
}

const fn default_request_timeout() -> Duration {
    Duration::from_secs(60)
}

const fn default_max_body() -> ByteSize {
    ByteSize::from_bytes(64 << 20)
}

const fn default_redirects() -> u32 {
    10
}

fn default_delimiter() -> String {
    "\n".to_owned()
}

const fn default_max_record() -> ByteSize {
    ByteSize::from_bytes(16 << 20)
}

const fn default_idle_timeout() -> Duration {
    Duration::from_secs(300)
}

impl Config {
    /// Checks what the schema can't, and makes the request that every poll repeats.
    ///
    /// # Errors
    /// Kind `config`, naming the key.
    pub fn request(&self) -> Result<Request> {
        self.check_combinations()?;
        if self.websocket_config.is_some() {
            warn!("`http.websocket_config` has no effect: the endpoint is polled");
        }
        let named = |key: &'static str| move |error: Error| error.context(format_args!("`http.{key}`"));
        // Checked on its own, so that the error of either names the right key.
        let bare = Request::get(&self.endpoint).map_err(named("endpoint"))?;
        if self.auth.is_some() && bare.headers().get("authorization").is_some() {
            return Err(Error::config("`http.auth` and the user in `http.endpoint` exclude each other; leave out one"));
        }
        let mut request = Request::new(&self.method, &self.endpoint).map_err(named("method"))?;
        request = request.header("user-agent", &self.user_agent).map_err(named("user_agent"))?;
        if self.is_events() {
            request = request.header("accept", "text/event-stream")?.header("cache-control", "no-store")?;
        }
        if self.asks_for_compression() {
            request = request.header("accept-encoding", ACCEPTED)?;
        }
        let defaults = request.headers().clone();
        for (index, header) in self.headers.iter().enumerate() {
            let (name, value) = header.reveal().split_once(':').ok_or_else(|| {
                // The text itself may be a secret.
                Error::config(format!("`http.headers[{index}]` has no `:`; write `Name: value`"))
            })?;
            let (name, value) = (name.trim(), value.trim());
            let at = |error: Error| error.context(format_args!("`http.headers[{index}]`"));
            if name.eq_ignore_ascii_case("authorization") && self.auth.is_some() {
                return Err(Error::config(format!(
                    "`http.auth` and `http.headers[{index}]`, which is `Authorization`, exclude each other"
                )));
            }
            // In the place of a default, but beside each other.
            let replaces = defaults.get(name).is_some() && defaults.get(name) == request.headers().get(name);
            request = match replaces {
                true => request.header(name, value).map_err(at)?,
                false => request.add_header(name, value).map_err(at)?,
            };
        }
        if let Some(body) = &self.body {
            request = request.body(body.as_bytes());
        }
        Ok(request.timeouts(self.timeouts()).redirects(self.redirects))
    }

    /// When to poll, if the last one was made then.
    ///
    /// # Errors
    /// Kind `config`, naming the key.
    pub fn schedule(&self, last_poll_unix_millis: Option<i64>) -> Result<Schedule> {
        let Some(cron) = &self.cron else {
            return Ok(Schedule::every(self.interval(), last_poll_unix_millis));
        };
        let pattern = Pattern::parse(cron, self.timezone.as_deref().unwrap_or("UTC"))?;
        Ok(Schedule::at(pattern, last_poll_unix_millis))
    }

    /// The time between two polls, where there is no pattern.
    pub fn interval(&self) -> std::time::Duration {
        self.interval.unwrap_or_else(default_interval).get()
    }

    /// Whether the configuration itself says that these are events.
    pub fn is_events(&self) -> bool {
        self.sse == Some(true)
    }

    /// Whether an answer that says to be a stream of events is read as one.
    pub fn may_be_events(&self) -> bool {
        self.sse.unwrap_or(!self.stream)
    }

    /// The parameter of the query that holds a credential.
    pub fn secret_parameter(&self) -> Option<&str> {
        match &self.auth {
            Some(Auth::ApiKey { name, place: KeyPlace::Query, .. }) => Some(name),
            _ => None,
        }
    }

    fn asks_for_compression(&self) -> bool {
        let endless = self.stream || self.is_events();
        self.compression.unwrap_or(!endless && self.output_parts == OutputParts::Body)
    }

    fn check_combinations(&self) -> Result<()> {
        let is_get = ["GET", "HEAD"].iter().any(|method| self.method.eq_ignore_ascii_case(method));
        let events = self.is_events();
        let paged = self.pagination.is_some();
        let refusals = [
            (
                self.records.is_some() && self.output_parts == OutputParts::Full,
                "`http.records` makes records of the body's elements, which have no head of their own; leave out \
                 `output_parts: full`",
            ),
            (self.stream && self.records.is_some(), NEEDS_COMPLETE[0]),
            (self.stream && self.conditional, NEEDS_COMPLETE[1]),
            (self.stream && paged, NEEDS_COMPLETE[2]),
            (events && self.records.is_some(), NEEDS_COMPLETE[3]),
            (events && self.conditional, NEEDS_COMPLETE[4]),
            (events && paged, NEEDS_COMPLETE[5]),
            (self.conditional && !is_get, "`http.conditional` asks whether there is news, which only GET and HEAD can"),
            (
                self.conditional && paged,
                "`http.conditional` and `http.pagination` exclude each other: a first page without news says nothing \
                 of the others",
            ),
            (
                self.produce_errors && paged,
                "`http.produce-errors` and `http.pagination` exclude each other: an error is no page",
            ),
            (
                self.stream && self.delimiter.is_empty(),
                "`http.delimiter` is empty; write where records end, as in \"\\n\"",
            ),
            (
                self.cron.is_some() && self.interval.is_some(),
                "`http.cron` and `http.interval` exclude each other; leave out one",
            ),
            (
                self.cron.is_some() && events,
                "`http.cron` and `http.sse` exclude each other: events are always listened to",
            ),
            (
                self.cron.is_none() && self.timezone.is_some(),
                "`http.timezone` is that of `http.cron`, which is not there; leave it out",
            ),
        ];
        if let Some((_, message)) = refusals.iter().find(|(wrong, _)| *wrong) {
            return Err(Error::config(*message));
        }
        for (key, span) in [("request-timeout", self.request_timeout), ("idle-timeout", self.idle_timeout)] {
            if span.get().is_zero() {
                return Err(Error::config(format!("`http.{key}` must be longer than nothing")));
            }
        }
        Ok(())
    }

    fn timeouts(&self) -> Timeouts {
        let wait = self.request_timeout.get();
        let connect = self.connect_timeout.get().min(wait);
        if self.stream || self.is_events() {
            Timeouts { connect, first_byte: wait, between_bytes: self.idle_timeout.get(), total: None }
        } else {
            self.short_timeouts()
        }
    }

    /// Those of an answer that ends.
    pub fn short_timeouts(&self) -> Timeouts {
        let wait = self.request_timeout.get();
        let connect = self.connect_timeout.get().min(wait);
        Timeouts { connect, first_byte: wait, between_bytes: wait, total: Some(wait) }
    }
}

/// What makes no sense without an end.
const NEEDS_COMPLETE: [&str; 6] = [
    "`http.records` needs complete answers, and `http.stream` has none; leave out one",
    "`http.conditional` needs complete answers, and `http.stream` has none; leave out one",
    "`http.pagination` needs complete answers, and `http.stream` has none; leave out one",
    "`http.records` needs complete answers, and `http.sse` has none; leave out one",
    "`http.conditional` needs complete answers, and `http.sse` has none; leave out one",
    "`http.pagination` needs complete answers, and `http.sse` has none; leave out one",
];
