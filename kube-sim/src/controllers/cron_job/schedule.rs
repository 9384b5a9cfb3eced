//! Parses cron schedules in the format of the Go library `robfig/cron`, and computes their times.

use std::time::Duration;

use cronexpr::{Crontab, FallbackTimezoneOption, ParseOptions};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::format_seconds;
use crate::encoding;

/// The largest values of the five fields: minute, hour, day of month, month, and day of week.
const FIELD_MAXIMA: [&str; 5] = ["59", "23", "31", "12", "6"];

/// The schedule of a cron job: a cron expression in a time zone, or a fixed interval.
pub(super) enum Schedule {
    Cron(Box<Crontab>),
    /// `@every DURATION`.
    Every(Duration),
}

impl Schedule {
    /// Parses a schedule in a time zone; `None` if the schedule is invalid, or if the time zone of a cron expression is
    /// invalid. `@every` ignores the time zone. The validation of cron jobs rejects invalid schedules and time zones
    /// earlier.
    pub(super) fn parse(text: &str, zone: &str) -> Option<Self> {
        if let Some(every) = text.strip_prefix("@every ") {
            let every = encoding::duration::parse(every.trim()).ok()?;
            return Some(Self::Every(every.max(Duration::from_secs(1))));
        }
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *".to_owned(),
            "@monthly" => "0 0 1 * *".to_owned(),
            "@weekly" => "0 0 * * 0".to_owned(),
            "@daily" | "@midnight" => "0 0 * * *".to_owned(),
            "@hourly" => "0 * * * *".to_owned(),
            text => translate(text),
        };
        let mut options = ParseOptions::default();
        options.fallback_timezone_option = FallbackTimezoneOption::UTC;
        let zone = if zone == "UTC" { String::new() } else { format!(" {zone}") };
        cronexpr::parse_crontab_with(&format!("{fields}{zone}"), options)
            .ok()
            .map(|cron| Self::Cron(Box::new(cron)))
    }

    /// The first time of the schedule that is later than `after`; `None` if a cron expression has no time in the next
    /// four years.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => cron.find_next(cronexpr::MakeTimestamp(after)).ok().map(|at| at.timestamp()),
            Self::Every(every) => after.checked_add(*every).ok(),
        }
    }

    /// Returns a time of the schedule after `at`. There can be too many times between `at` and `now` to look at each of
    /// them, so the function skips some. For a cron expression, it skips the times more than one day before `now`. For
    /// `@every`, it skips all times up to `now` except the last one.
    pub(super) fn skip_ahead(&self, at: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let Self::Every(every) = self else {
            let day = now.checked_sub(Duration::from_secs(86_400)).ok()?;
            return self.next(at.max(day));
        };
        let passed = Duration::try_from(now.duration_since(at)).ok()?;
        let steps = (passed.as_secs() / every.as_secs().max(1)).max(1);
        at.checked_add(*every * u32::try_from(steps).unwrap_or(u32::MAX)).ok()
    }
}

/// Rewrites the syntax that `robfig/cron` accepts, but the crate `cronexpr` rejects: `?`, empty items of a list, and a
/// step after one value, such as `5/15`.
fn translate(text: &str) -> String {
    let fields = text.split_whitespace().zip(FIELD_MAXIMA).map(|(field, most)| {
        let items = field.split(',').filter(|item| !item.is_empty()).map(|item| {
            let item = item.replace('?', "*");
            match item.split_once('/') {
                Some((start, step)) if start != "*" && !start.contains('-') => {
                    format!("{start}-{most}/{step}")
                }
                _ => item,
            }
        });
        items.collect::<Vec<_>>().join(",")
    });
    fields.collect::<Vec<_>>().join(" ")
}

/// The value of the annotation with the scheduled time of a job: RFC 3339, in the time zone of the cron job.
pub(super) fn scheduled_stamp(at: Timestamp, zone: Option<&str>) -> String {
    match zone.and_then(|zone| TimeZone::get(zone).ok()) {
        Some(zone) => at.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        None => format_seconds(at),
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn a_schedule_has_the_same_next_time_as_in_robfig_cron() {
        // 2026-01-01 is a Thursday.
        for (schedule, zone, expected) in [
            ("*/15 * * * *", "UTC", "2026-01-01T00:15:00Z"),
            ("5/20 * * * *", "UTC", "2026-01-01T00:05:00Z"),
            ("0 12 ? * MON", "UTC", "2026-01-05T12:00:00Z"),
            ("30 4 1,,15 * *", "UTC", "2026-01-01T04:30:00Z"),
            ("0 0 13 * FRI", "UTC", "2026-01-02T00:00:00Z"),
            ("@monthly", "UTC", "2026-02-01T00:00:00Z"),
            ("@every 90s", "UTC", "2026-01-01T00:01:30Z"),
            ("0 9 * * *", "Europe/Berlin", "2026-01-01T08:00:00Z"),
        ] {
            let from = "2026-01-01T00:00:00Z".parse().unwrap();
            let next = Schedule::parse(schedule, zone).expect(schedule).next(from).expect(schedule);
            assert_eq!(next.to_string(), expected, "{schedule}");
        }
        assert!(Schedule::parse("* * *", "UTC").is_none());
    }
}
