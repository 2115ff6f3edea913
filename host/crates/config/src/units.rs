//! Durations and byte sizes as people write them, both ways.
//!
//! A duration is a number with units (`500ms`, `1m 30s`), or a bare number of seconds. A byte size is a number
//! with a decimal (`44.0 MB`) or binary (`16 MiB`) unit, or a bare number of bytes. Reading fails with a text
//! that says what was expected; writing gives the shortest form that reads back to the same value.

use std::time::Duration;

/// What a duration may look like, for messages and the reference.
pub(crate) const DURATION_FORMS: &str =
    "write a number and a unit, as in `500ms`, `10s` or `1m 30s`; a bare number is seconds";

/// What a byte size may look like, for messages and the reference.
pub(crate) const BYTES_FORMS: &str =
    "write a number and a unit, as in `512 KiB`, `16 MiB` or `44.0 MB`; a bare number is bytes";

/// Reads a duration: `500ms`, `10s`, `1m 30s`, `1h`, or a bare number of seconds such as `10` or `0.5`.
///
/// # Errors
/// The text says what is accepted instead.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(host_config::parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
/// assert_eq!(host_config::parse_duration("0.5"), Ok(Duration::from_millis(500)));
/// assert!(host_config::parse_duration("1x").is_err());
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let parsed = if bare {
        text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    } else {
        humantime::parse_duration(text).ok()
    };
    parsed.ok_or_else(|| DURATION_FORMS.to_owned())
}

/// Writes a duration so that [`parse_duration`] reads the same back.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

const UNITS: [(&str, u64); 10] = [
    ("PiB", 1 << 50),
    ("PB", 1_000_000_000_000_000),
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1000),
];

/// Reads a byte size: `16 MiB`, `44.0 MB`, `1k`, or a bare number of bytes.
///
/// The units are those of Fluvio's tools, in any case: `KB`/`K` and so on are decimal, `KiB`/`Ki` binary.
///
/// # Errors
/// The text says what is accepted instead.
///
/// ```
/// assert_eq!(host_config::parse_bytes("44.0 MB"), Ok(44_000_000));
/// assert_eq!(host_config::parse_bytes("1.5KiB"), Ok(1536));
/// assert_eq!(host_config::parse_bytes("1600"), Ok(1600));
/// assert!(host_config::parse_bytes("1aoeu").is_err());
/// ```
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    bytes(text.trim()).ok_or_else(|| BYTES_FORMS.to_owned())
}

fn bytes(text: &str) -> Option<u64> {
    if let Ok(bytes) = text.parse() {
        return Some(bytes);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let factor = match unit.as_str() {
        "" | "b" => 1,
        unit => {
            let known = |(name, _): &&(&str, u64)| {
                let name = name.to_ascii_lowercase();
                unit == name || name.strip_suffix('b') == Some(unit)
            };
            UNITS.iter().find(known)?.1
        }
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let bytes = number.parse::<f64>().ok()? * factor as f64;
    // The largest u64 is not a float: the next one up is the first that does not fit.
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// Writes a byte size in the largest unit that divides it, so that [`parse_bytes`] reads the same back.
#[must_use]
pub fn format_bytes(bytes: u64) -> String {
    match UNITS.iter().find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{} {unit}", bytes / factor),
        None => bytes.to_string(),
    }
}
