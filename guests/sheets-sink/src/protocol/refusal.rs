//! What Google's refusals mean, by what they carry for programs (the status, the code, the reason), never by
//! their words.

use std::time::Duration;

use connector_sdk::{Error, ErrorKind};
use serde::Deserialize;

/// Why a request did not go through.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// What is asked for can't be done with what was sent: another content might pass.
    Refused(String),
    /// There is no such spreadsheet.
    Absent(String),
    /// Anything else, for the host to judge.
    Fails(Error),
    /// The token was not taken. Does not leave the protocol.
    Unauthorized(Error),
    /// Too many requests; perhaps how long to wait. Does not leave the protocol.
    TooMany(String, Option<Duration>),
    /// The answer is not one of Google's. Does not leave the protocol.
    Stranger,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Fails(error)
    }
}

impl Trouble {
    /// With a refused token for a failure like others.
    pub fn for_good(self) -> Self {
        match self {
            Self::Unauthorized(error) => Self::Fails(error),
            other => other,
        }
    }
}

/// The body of a refusal.
#[derive(Deserialize)]
struct Body {
    error: Refusal,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    retry_delay: String,
}

impl Refusal {
    fn has_reason(&self, reason: &str) -> bool {
        self.details.iter().any(|detail| detail.reason == reason)
    }

    /// How long Google asks to wait, as in `31s`.
    fn wait(&self) -> Option<Duration> {
        let seconds = |detail: &Detail| detail.retry_delay.strip_suffix('s')?.parse::<f64>().ok();
        self.details.iter().find_map(seconds).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}

/// What is to be done about an answer other than 2xx. `error` is what its status alone says.
pub fn judge(status: u16, error: Error, body: &[u8], email: &str) -> Trouble {
    let body = serde_json::from_slice::<Body>(body).map(|body| body.error);
    let Ok(refusal) = body else {
        return match error.kind() {
            ErrorKind::Throttled => Trouble::TooMany(error.message().to_owned(), error.wait()),
            ErrorKind::Auth if status == 401 => Trouble::Unauthorized(error),
            ErrorKind::Config => Trouble::Stranger,
            _ => Trouble::Fails(error),
        };
    };
    let message = refusal.message.trim();
    let said = || error.clone().with_words(message);
    match (status, refusal.status.as_str()) {
        _ if refusal.status == "RESOURCE_EXHAUSTED" || refusal.has_reason("RATE_LIMIT_EXCEEDED") => {
            Trouble::TooMany(message.to_owned(), error.wait().or_else(|| refusal.wait()))
        }
        (429, _) => Trouble::TooMany(message.to_owned(), error.wait().or_else(|| refusal.wait())),
        (401, _) => Trouble::Unauthorized(said()),
        (403, _) => Trouble::Fails(Error::auth(forbidden(&refusal, email))),
        (404, _) => Trouble::Absent(message.to_owned()),
        (400 | 413, _) => Trouble::Refused(message.to_owned()),
        (409, _) => Trouble::Fails(Error::unreachable(said().message())),
        _ => Trouble::Fails(said()),
    }
}

fn forbidden(refusal: &Refusal, email: &str) -> String {
    let message = refusal.message.trim();
    if refusal.has_reason("SERVICE_DISABLED") {
        return format!("Google refuses {email}: {message}; enable the Google Sheets API for the account's project");
    }
    if refusal.has_reason("ACCESS_TOKEN_SCOPE_INSUFFICIENT") {
        return format!("Google refuses {email}: {message}; check what this service account may do");
    }
    format!("Google refuses {email}: {message}; share the spreadsheet with {email}, as an editor")
}

/// Adds what the other side said to an error.
trait WithWords {
    fn with_words(self, words: &str) -> Self;
}

impl WithWords for Error {
    fn with_words(self, words: &str) -> Self {
        if words.is_empty() {
            return self;
        }
        let with_words = Self::new(self.kind(), format!("{}: {words}", self.message()));
        match self.wait() {
            Some(wait) => with_words.retry_after(wait),
            None => with_words,
        }
    }
}
