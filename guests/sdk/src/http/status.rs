//! What an answer's status means for the host.

use std::time::Duration;

use super::Headers;
use crate::error::{Error, ErrorKind};

/// The error that a status stands for; `None` for 2xx.
///
/// | status | kind |
/// |---|---|
/// | 401, 403, 407 | `auth` |
/// | 429, and 503 with `Retry-After` | `throttled` |
/// | 408, 421, 425 and all other 5xx | `unreachable`, with `Retry-After` when given |
/// | everything else | `config`: the same request will be refused again |
pub(crate) fn error_for(status: u16, headers: &Headers, now_unix_millis: i64) -> Option<Error> {
    if (200..300).contains(&status) {
        return None;
    }
    let wait = headers.get_str("retry-after").and_then(|value| retry_after(value, now_unix_millis));
    let kind = match status {
        401 | 403 | 407 => ErrorKind::Auth,
        429 => ErrorKind::Throttled,
        503 if wait.is_some() => ErrorKind::Throttled,
        408 | 421 | 425 | 500..=599 => ErrorKind::Unreachable,
        _ => ErrorKind::Config,
    };
    let mut error = Error::new(kind, format!("answered {status} {}", reason(status).unwrap_or("(no standard status)")));
    if let Some(wait) = wait.filter(|_| error.is_retryable()) {
        error = error.retry_after(wait);
    }
    Some(error)
}

/// How much of a refusal's body is shown.
const SHOWN: usize = 200;

/// Adds the beginning of a refusal's body to its error, when that is text: servers say there what they want.
///
/// ```
/// use connector_sdk::{Error, http::explain};
/// let error = explain(Error::data("answered 422"), b"{\"error\":\n  \"no such colour\"}");
/// assert_eq!(error.to_string(), "answered 422: {\"error\": \"no such colour\"}");
/// ```
#[must_use]
pub fn explain(error: Error, body: &[u8]) -> Error {
    let text = String::from_utf8_lossy(body);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() || words.chars().any(|c| c == '\u{fffd}' || c.is_control()) {
        return error;
    }
    let shown: String = words.chars().take(SHOWN).collect();
    let rest = if shown.len() < words.len() { "…" } else { "" };
    error.add(format_args!(": {shown}{rest}"))
}

/// How long a `Retry-After` field asks to wait: it holds seconds, or the date when it is over.
///
/// ```
/// use std::time::Duration;
/// use connector_sdk::http::retry_after;
/// assert_eq!(retry_after("120", 0), Some(Duration::from_secs(120)));
/// assert_eq!(retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 15_000), Some(Duration::from_secs(45)));
/// assert_eq!(retry_after("soon", 0), None);
/// ```
#[must_use]
pub fn retry_after(value: &str, now_unix_millis: i64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let date = date.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?;
    let now = Duration::from_millis(u64::try_from(now_unix_millis).unwrap_or(0));
    Some(date.saturating_sub(now))
}

/// The standard words for a status, as in `OK` for 200.
#[must_use]
pub fn reason(status: u16) -> Option<&'static str> {
    Some(match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Payload Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => return None,
    })
}
