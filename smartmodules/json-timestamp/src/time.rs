//! Reading and writing times. The calendar, its patterns and the time zones are those of the crate `jiff`; no clock is
//! ever read.

use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use smartmodule_kit::{Type, Value};

/// The names of the formats that are no patterns.
const NAMED: &[(&str, Format)] = &[
    ("rfc3339", Format::Rfc3339),
    ("rfc2822", Format::Rfc2822),
    ("unix", Format::Unix { nanoseconds: 1_000_000_000 }),
    ("unix-ms", Format::Unix { nanoseconds: 1_000_000 }),
    ("unix-us", Format::Unix { nanoseconds: 1_000 }),
    ("unix-ns", Format::Unix { nanoseconds: 1 }),
];

/// A way to write a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    Rfc3339,
    Rfc2822,
    /// A number of so many nanoseconds since 1970.
    Unix {
        nanoseconds: i128,
    },
    Pattern(String),
}

/// Several ways, tried in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Formats(Vec<Format>);

/// A place's time.
#[derive(Debug, Clone)]
pub(crate) struct Zone(TimeZone);

impl Value for Format {
    const SCHEMA: &'static str = r#""type":"string","format":"time""#;

    fn parse(text: &str) -> Result<Self, String> {
        if let Some((_, format)) = NAMED.iter().find(|(name, _)| *name == text.trim()) {
            return Ok(format.clone());
        }
        if !text.contains('%') {
            let names: Vec<_> = NAMED.iter().map(|(name, _)| format!("`{name}`")).collect();
            return Err(format!("is `{text}`, expected {} or a pattern with `%` in it", names.join(", ")));
        }
        // A pattern that can't even be written is wrong, whatever the records say.
        let written = BrokenDownTime::from(&Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC)).to_string(text);
        written.map(|_| Self::Pattern(text.to_owned())).map_err(|error| format!("is `{text}`, and {error}"))
    }
}

impl Value for Formats {
    const SCHEMA: &'static str = r#""type":["array","string"],"items":{"type":"string","format":"time"}"#;

    fn parse(text: &str) -> Result<Self, String> {
        // a pattern may have commas
        let names = match text.contains('%') && !text.trim_start().starts_with('[') {
            true => vec![text.to_owned()],
            false => Vec::<String>::parse(text)?,
        };
        if names.is_empty() {
            return Err("names no format".to_owned());
        }
        names.iter().map(|name| Format::parse(name)).collect::<Result<_, _>>().map(Self)
    }
}

impl Value for Zone {
    const SCHEMA: &'static str = r#""type":"string","format":"time zone""#;

    fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let offset = BrokenDownTime::parse("%:z", trimmed).ok().and_then(|time| time.offset());
        match offset {
            Some(offset) => Ok(Self(TimeZone::fixed(offset))),
            None => TimeZone::get(trimmed).map(Self).map_err(|_| {
                format!("is `{text}`, expected `UTC`, an offset such as `+02:00`, or a name such as `Europe/Oslo`")
            }),
        }
    }
}

impl Formats {
    /// The time that a text means, in the first format that fits it.
    pub(crate) fn read(&self, text: &str, zone: &Zone) -> Result<Timestamp, String> {
        let mut problem = String::new();
        for format in &self.0 {
            match format.read(text.trim(), &zone.0) {
                Ok(time) => return Ok(time),
                Err(error) => problem = error,
            }
        }
        match &self.0[..] {
            [_] => Err(problem),
            several => Err(format!("none of the {} formats fits", several.len())),
        }
    }
}

impl Format {
    fn read(&self, text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
        let in_zone = |time: DateTime| time.to_zoned(zone.clone()).map(|zoned| zoned.timestamp());
        match self {
            Self::Rfc3339 => {
                text.parse().or_else(|_| text.parse().and_then(in_zone)).map_err(|error| error.to_string())
            }
            Self::Rfc2822 => rfc2822::parse(text).map(|zoned| zoned.timestamp()).map_err(|error| error.to_string()),
            Self::Unix { nanoseconds } => {
                let since = decimal(text, *nanoseconds).ok_or("expected a number")?;
                Timestamp::from_nanosecond(since).map_err(|error| error.to_string())
            }
            Self::Pattern(pattern) => {
                let time = BrokenDownTime::parse(pattern, text).map_err(|error| error.to_string())?;
                let certain = time.to_timestamp().or_else(|_| time.to_zoned().map(|zoned| zoned.timestamp()));
                let local = || time.to_datetime().or_else(|_| time.to_date().map(|date| date.at(0, 0, 0, 0)));
                certain.or_else(|_| local().and_then(in_zone)).map_err(|error| error.to_string())
            }
        }
    }

    /// The JSON of a time.
    pub(crate) fn write(&self, time: Timestamp, zone: &Zone) -> Result<String, String> {
        let zoned = || time.to_zoned(zone.0.clone());
        let text = match self {
            Self::Unix { nanoseconds } => return Ok(time.as_nanosecond().div_euclid(*nanoseconds).to_string()),
            Self::Rfc3339 if zone.0 == TimeZone::UTC => Ok(time.to_string()),
            Self::Rfc3339 => Ok(time.display_with_offset(zoned().offset()).to_string()),
            Self::Rfc2822 => rfc2822::to_string(&zoned()),
            Self::Pattern(pattern) => pattern_of(&zoned(), pattern),
        };
        let text = text.map_err(|error| error.to_string())?;
        Type::String.of_text(&text).ok_or_else(|| "it can't be written".to_owned())
    }
}

fn pattern_of(time: &Zoned, pattern: &str) -> Result<String, jiff::Error> {
    BrokenDownTime::from(time).to_string(pattern)
}

/// A decimal number, multiplied; what is smaller than one goes.
fn decimal(text: &str, factor: i128) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let number =
        |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i128>().ok())?;
    let mut value = number(whole)?.checked_mul(factor)?;
    number(fraction)?;
    let mut place = factor;
    for digit in fraction.bytes() {
        place /= 10;
        value += i128::from(digit - b'0') * place;
    }
    Some(sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(from: &str, zone: &str, text: &str, to: &str, to_zone: &str) -> Result<String, String> {
        let time = Formats::parse(from)?.read(text, &Zone::parse(zone)?)?;
        Format::parse(to)?.write(time, &Zone::parse(to_zone)?)
    }

    #[test]
    fn times_are_read() {
        for (from, zone, text, expected) in [
            ("rfc3339", "UTC", "2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z"),
            ("rfc3339", "UTC", "2024-02-29 12:00:00.25+02:00", "2024-02-29T10:00:00.25Z"),
            ("rfc3339", "Europe/Oslo", "2024-07-01T12:00:00", "2024-07-01T10:00:00Z"),
            ("rfc3339", "Europe/Oslo", "2024-01-01", "2023-12-31T23:00:00Z"),
            ("rfc3339", "-03:30", "2024-01-01T00:00", "2024-01-01T03:30:00Z"),
            ("rfc2822", "UTC", "Thu, 29 Feb 2024 12:00:00 -0500", "2024-02-29T17:00:00Z"),
            ("unix", "UTC", "1700000000", "2023-11-14T22:13:20Z"),
            ("unix", "UTC", "-1.5", "1969-12-31T23:59:58.5Z"),
            ("unix-ms", "UTC", "1700000000123.4567", "2023-11-14T22:13:20.1234567Z"),
            ("unix-us", "UTC", "1", "1970-01-01T00:00:00.000001Z"),
            ("unix-ns", "UTC", "1.9", "1970-01-01T00:00:00.000000001Z"),
            ("%d.%m.%Y %H:%M:%S", "UTC", "29.02.2024 12:00:01", "2024-02-29T12:00:01Z"),
            ("%d.%m.%Y", "Europe/Oslo", "01.07.2024", "2024-06-30T22:00:00Z"),
            ("%d/%b/%Y:%H:%M:%S %z", "UTC", "10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36Z"),
            ("%a, %d %b %Y", "UTC", "Thu, 29 Feb 2024", "2024-02-29T00:00:00Z"),
            ("%s", "UTC", "1700000000", "2023-11-14T22:13:20Z"),
            (r#"["unix", "%d.%m.%Y"]"#, "UTC", "01.07.2024", "2024-07-01T00:00:00Z"),
            ("unix, rfc3339", "UTC", "2024-07-01T00:00:00Z", "2024-07-01T00:00:00Z"),
        ] {
            let read = turn(from, zone, text, "rfc3339", "UTC");
            assert_eq!(read, Ok(format!("\"{expected}\"")), "{from} {zone} {text}");
        }
    }

    #[test]
    fn times_are_written() {
        for (to, zone, expected) in [
            ("rfc3339", "UTC", r#""2024-07-01T10:00:00.5Z""#),
            ("rfc3339", "Europe/Oslo", r#""2024-07-01T12:00:00.5+02:00""#),
            ("rfc2822", "+02:00", r#""Mon, 1 Jul 2024 12:00:00 +0200""#),
            ("unix", "Europe/Oslo", "1719828000"),
            ("unix-ms", "UTC", "1719828000500"),
            ("unix-ns", "UTC", "1719828000500000000"),
            ("%Y-%m-%d\"%Z", "Europe/Oslo", r#""2024-07-01\"CEST""#),
        ] {
            assert_eq!(turn("rfc3339", "UTC", "2024-07-01T10:00:00.5Z", to, zone).as_deref(), Ok(expected), "{to}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for (from, text) in [
            ("rfc3339", "2024-02-30T00:00:00Z"),
            ("rfc3339", ""),
            ("rfc2822", "yesterday"),
            ("unix", "12a"),
            ("unix", "1e9"),
            ("unix", "."),
            ("unix", "99999999999999999999999999999999999999999999"),
            ("unix", "999999999999999"),
            ("%d.%m.%Y", "2024"),
            ("%H:%M", "12:00"),
            ("unix,rfc3339", "x"),
        ] {
            assert!(turn(from, "UTC", text, "rfc3339", "UTC").is_err(), "{from} {text}");
        }
    }
}
