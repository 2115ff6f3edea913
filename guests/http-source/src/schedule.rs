//! When to poll: at a fixed rhythm, or at the times that a cron pattern names. Neither a slow poll nor a
//! restart shifts or crowds either of them.
//!
//! A rhythm goes by the monotonic clock, so that nobody who sets the wall clock disturbs it. A cron pattern
//! goes by the wall clock, in its own time zone: where clocks are set forward, what falls into the gap comes
//! right after it; where they are set back, a fixed time comes once, and `*` goes on through both hours.

use std::time::Duration;

use connector_sdk::time::{self, Instant};
use connector_sdk::{Error, Result};
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A cron pattern in its time zone.
#[derive(Debug, Clone)]
pub struct Pattern {
    cron: Cron,
    zone: TimeZone,
}

impl Pattern {
    /// Reads a pattern of five fields, or of six with seconds in front, or one such as `@daily`.
    ///
    /// # Errors
    /// Kind `config` when it is none, never matches, or the time zone is not known.
    pub fn parse(cron: &str, zone: &str) -> Result<Self> {
        let parser = CronParser::builder().seconds(Seconds::Optional).build();
        let parsed = parser.parse(cron).map_err(|error| {
            let why = match error {
                CronError::EmptyPattern => "it is empty".to_owned(),
                CronError::InvalidPattern(why) | CronError::IllegalCharacters(why) | CronError::ComponentError(why) => {
                    why.trim_end_matches('.').to_owned()
                }
                other => other.to_string(),
            };
            Error::config(format!(
                "`http.cron`: `{cron}` is not a cron pattern ({why}); write minute, hour, day, month and weekday, \
                 as in `*/15 8-18 * * MON-FRI`"
            ))
        })?;
        let known = TimeZone::get(zone).map_err(|_| {
            Error::config(format!("`http.timezone`: `{zone}` is not a time zone; write one such as Europe/Berlin"))
        })?;
        let pattern = Self { cron: parsed, zone: known };
        if pattern.after(time::unix_millis()).is_none() {
            return Err(Error::config(format!(
                "`http.cron`: `{cron}` never fires: no date that is still to come matches it"
            )));
        }
        Ok(pattern)
    }

    /// The first time after this one that matches, both in milliseconds since 1970.
    fn after(&self, unix_millis: i64) -> Option<i64> {
        let from = Timestamp::from_millisecond(unix_millis).ok()?.to_zoned(self.zone.clone());
        let next = self.cron.find_next_occurrence(&from, false).ok()?;
        Some(next.timestamp().as_millisecond())
    }
}

/// The timetable of one reader.
#[derive(Debug, Clone)]
pub struct Schedule {
    rule: Rule,
    /// Whether what is due now is already the poll behind the one under way.
    ahead: bool,
}

#[derive(Debug, Clone)]
enum Rule {
    Every {
        interval: Duration,
        due: Instant,
    },
    At {
        pattern: Box<Pattern>,
        /// In milliseconds since 1970; `None` when there is no further match.
        due: Option<i64>,
    },
}

impl Schedule {
    /// Every `interval`: the first poll is due at once; after a restart, when it would have been due without
    /// one, which is never further away than the interval, whatever the wall clock did in between.
    pub fn every(interval: Duration, last_poll_unix_millis: Option<i64>) -> Self {
        let wait = last_poll_unix_millis.map_or(Duration::ZERO, |last| {
            let since = u64::try_from(time::unix_millis().saturating_sub(last)).unwrap_or(0);
            interval.saturating_sub(Duration::from_millis(since))
        });
        Self { rule: Rule::Every { interval, due: time::now() + wait }, ahead: false }
    }

    /// Whenever the pattern matches; after a restart, what was missed is made up for, once.
    pub fn at(pattern: Pattern, last_poll_unix_millis: Option<i64>) -> Self {
        // A clock that was set back must not put off the next poll by years.
        let now = time::unix_millis();
        let due = pattern.after(last_poll_unix_millis.unwrap_or(now).min(now));
        Self { rule: Rule::At { pattern: Box::new(pattern), due }, ahead: false }
    }

    /// The same in the middle of a poll that an earlier run began: due is the one behind it.
    #[must_use]
    pub fn under_way(mut self) -> Self {
        self.ahead = true;
        self
    }

    /// When the next poll is due.
    pub fn due(&self) -> Instant {
        match &self.rule {
            Rule::Every { due, .. } => *due,
            Rule::At { due, .. } => {
                let wait = due.map_or(i64::MAX, |due| due.saturating_sub(time::unix_millis()));
                time::now() + Duration::from_millis(u64::try_from(wait).unwrap_or(0))
            }
        }
    }

    /// The poll that was due is through: on to the next, leaving out what was missed.
    pub fn advance(&mut self) {
        let ahead = std::mem::take(&mut self.ahead);
        match &mut self.rule {
            Rule::Every { interval, due } => {
                let now = time::now();
                if interval.is_zero() {
                    *due = now;
                    return;
                }
                if !ahead {
                    *due += *interval;
                }
                if *due < now {
                    let missed = (now - *due).as_nanos().div_ceil(interval.as_nanos());
                    *due += interval.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX));
                }
            }
            Rule::At { pattern, due } => {
                let now = time::unix_millis();
                *due = match *due {
                    Some(next) if ahead && next >= now => Some(next),
                    Some(last) => pattern.after(last.max(now)),
                    None => None,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector_sdk::ErrorKind;
    use connector_sdk::testing::{Harness, START_UNIX_MILLIS};

    const TEN: Duration = Duration::from_secs(10);

    #[test]
    fn keeps_its_rhythm_and_makes_no_burst() {
        let harness = Harness::install();
        let start = time::now();
        let mut schedule = Schedule::every(TEN, None);
        assert_eq!(schedule.due(), start);
        schedule.advance();
        assert_eq!(schedule.due(), start + TEN);
        harness.advance(Duration::from_secs(12));
        schedule.advance();
        assert_eq!(schedule.due(), start + 2 * TEN);
        harness.advance(Duration::from_secs(100));
        schedule.advance();
        assert_eq!(schedule.due(), start + 12 * TEN);
        harness.advance(Duration::from_secs(18));
        schedule.advance();
        assert_eq!(schedule.due(), start + 13 * TEN, "due this very moment is not missed");

        let mut eager = Schedule::every(Duration::ZERO, None);
        eager.advance();
        assert_eq!(eager.due(), time::now());
    }

    #[test]
    fn a_restart_does_not_poll_early_or_late() {
        let _harness = Harness::install();
        for (ago, wait) in [(3_000, 7), (10_000, 0), (3_600_000, 0), (0, 10), (-50_000, 10)] {
            let schedule = Schedule::every(TEN, Some(START_UNIX_MILLIS - ago));
            assert_eq!(schedule.due() - time::now(), Duration::from_secs(wait), "{ago} ms ago");
        }
    }

    #[test]
    fn a_poll_that_an_earlier_run_began_shifts_nothing() {
        let harness = Harness::install();
        let mut schedule = Schedule::every(TEN, Some(START_UNIX_MILLIS - 3_000)).under_way();
        harness.advance(Duration::from_secs(2));
        schedule.advance();
        assert_eq!(schedule.due() - time::now(), Duration::from_secs(5), "ten after it began");
        schedule.advance();
        assert_eq!(schedule.due() - time::now(), Duration::from_secs(15));

        let hourly = Pattern::parse("@hourly", "UTC").expect("a pattern");
        let mut schedule = Schedule::at(hourly, Some(START_UNIX_MILLIS - 60_000)).under_way();
        harness.advance(Duration::from_secs(58));
        schedule.advance();
        assert_eq!(schedule.due() - time::now(), Duration::from_secs(3540), "what passed meanwhile is left out");
    }

    /// The first times of a pattern, from the start of the harness on.
    fn times(cron: &str, zone: &str, from: &str) -> Vec<String> {
        let _harness = Harness::install();
        let pattern = Pattern::parse(cron, zone).expect(cron);
        let mut at = from.parse::<Timestamp>().expect("a time").as_millisecond();
        let mut next = || {
            at = pattern.after(at).expect("it fires");
            Timestamp::from_millisecond(at).expect("a time").to_string()
        };
        (0..3).map(|_| next()).collect()
    }

    #[test]
    fn patterns_mean_what_cron_means() {
        let from = "2024-03-30T22:59:30Z";
        for (cron, zone, expected) in [
            ("*/20 * * * *", "UTC", ["2024-03-30T23:00:00Z", "2024-03-30T23:20:00Z", "2024-03-30T23:40:00Z"]),
            ("*/20 * * * * *", "UTC", ["2024-03-30T22:59:40Z", "2024-03-30T23:00:00Z", "2024-03-30T23:00:20Z"]),
            ("0 9 * * mon-fri", "UTC", ["2024-04-01T09:00:00Z", "2024-04-02T09:00:00Z", "2024-04-03T09:00:00Z"]),
            ("@monthly", "UTC", ["2024-04-01T00:00:00Z", "2024-05-01T00:00:00Z", "2024-06-01T00:00:00Z"]),
            // 02:30 does not exist on the 31st, and is made up for at 03:00.
            ("30 2 * * *", "Europe/Berlin", ["2024-03-31T01:00:00Z", "2024-04-01T00:30:00Z", "2024-04-02T00:30:00Z"]),
            ("0 0 29 2 *", "Asia/Tokyo", ["2028-02-28T15:00:00Z", "2032-02-28T15:00:00Z", "2036-02-28T15:00:00Z"]),
        ] {
            assert_eq!(times(cron, zone, from), expected, "{cron} {zone}");
        }
        // 02:30 comes twice on 27 October, and is taken once.
        let autumn = times("30 2 * * *", "Europe/Berlin", "2024-10-26T12:00:00Z");
        assert_eq!(autumn, ["2024-10-27T00:30:00Z", "2024-10-28T01:30:00Z", "2024-10-29T01:30:00Z"]);
    }

    #[test]
    fn what_is_no_pattern_or_never_fires_is_refused() {
        let _harness = Harness::install();
        for (cron, zone, words) in [
            ("", "UTC", "`http.cron`: `` is not a cron pattern (it is empty)"),
            ("every day", "UTC", "`every day` is not a cron pattern"),
            ("60 * * * *", "UTC", "out of bounds"),
            ("0 0 30 2 *", "UTC", "`0 0 30 2 *` never fires"),
            ("0 0 31 4,6,9,11 *", "UTC", "never fires"),
            ("0 0 0 1 1 * 2023", "UTC", "never fires"),
            ("@daily", "Mars/Olympus", "`http.timezone`: `Mars/Olympus` is not a time zone"),
        ] {
            let error = Pattern::parse(cron, zone).expect_err(cron);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains(words), "{error}");
        }
    }

    #[test]
    fn a_pattern_waits_for_its_time_and_makes_up_for_one_missed() {
        let harness = Harness::install();
        let pattern = Pattern::parse("0 * * * *", "UTC").expect("a pattern");
        let hour = Duration::from_secs(3600);
        let mut schedule = Schedule::at(pattern.clone(), None);
        assert_eq!(schedule.due() - time::now(), hour, "not at once");
        harness.advance(hour + TEN);
        schedule.advance();
        assert_eq!(schedule.due() - time::now(), hour - TEN);
        harness.advance(5 * hour);
        schedule.advance();
        assert_eq!(schedule.due() - time::now(), hour - TEN, "no burst");

        // It is 06:00:10 now.
        let at = |ago: Duration| Some(time::unix_millis() - i64::try_from(ago.as_millis()).expect("small"));
        let missed = Schedule::at(pattern.clone(), at(3 * hour));
        assert_eq!(missed.due(), time::now());
        assert_eq!(Schedule::at(pattern.clone(), at(Duration::from_secs(5))).due() - time::now(), hour - TEN);
        // A clock that was ahead by a day when the last poll was made.
        let behind = Schedule::at(pattern, Some(time::unix_millis() + 86_400_000));
        assert_eq!(behind.due() - time::now(), hour - TEN);
    }
}
