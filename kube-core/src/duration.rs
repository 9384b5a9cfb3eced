//! `Duration`: a duration that Kubernetes objects contain as text (`meta/v1 Duration`).

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{cmp::Ordering, fmt, num::ParseFloatError, str::FromStr, time};

/// A duration that objects contain in Go's text form, such as `1h30m` or `250ms` (`meta/v1 Duration`).
///
/// Unlike [`std::time::Duration`], it may be negative. The unit of each number is one of `ns`, `us`, `µs`, `ms`, `s`,
/// `m` and `h`; only `0`, `+0` and `-0` need no unit. A text that represents more than about 292 years, the maximum in Go,
/// is an error.
///
/// ```
/// use kube_core::Duration;
///
/// let timeout: Duration = "1h15m30.5s".parse()?;
/// assert_eq!(timeout, std::time::Duration::from_millis(4_530_500));
/// assert_eq!(timeout.to_string(), "1h15m30.5s");
/// assert!("-10m".parse::<Duration>()?.is_negative());
/// # Ok::<(), kube_core::duration::ParseError>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct Duration {
    /// The duration in nanoseconds. Go's `time.Duration` has the same range.
    nanos: i64,
}

/// The error for a text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// A unit is unknown.
    #[error("unknown unit: the units are ns, us, \u{b5}s, ms, s, m and h")]
    InvalidUnit,
    /// A number has no unit, or the text is empty or only a sign.
    #[error("a number without a unit: the units are ns, us, \u{b5}s, ms, s, m and h")]
    NoUnit,
    /// A part before a unit is not a decimal number.
    #[error("not a decimal number before the unit")]
    NotANumber(#[from] ParseFloatError),
    /// The duration is longer than Go's range of about 292 years.
    #[error("longer than 2562047h47m16s, the longest duration")]
    TooLong,
}

// The units, in nanoseconds.
const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

impl Duration {
    /// Whether the duration is below zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }
}

impl From<time::Duration> for Duration {
    /// A duration above Go's maximum becomes the maximum.
    fn from(duration: time::Duration) -> Self {
        Self { nanos: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX) }
    }
}

impl From<Duration> for time::Duration {
    /// Returns the absolute value, because a duration of `std` is never negative. See [`Duration::is_negative`].
    fn from(duration: Duration) -> Self {
        Self::from_nanos(duration.nanos.unsigned_abs())
    }
}

impl FromStr for Duration {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (is_negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if unsigned == "0" {
            return Ok(Self { nanos: 0 });
        }
        if unsigned.is_empty() {
            return Err(ParseError::NoUnit);
        }
        let mut rest = unsigned;
        let mut total: i64 = 0;
        while !rest.is_empty() {
            let number_end =
                rest.find(|c: char| c != '.' && !c.is_ascii_digit()).ok_or(ParseError::NoUnit)?;
            let (number, after_number) = rest.split_at(number_end);
            let is_number_start = |c: char| c == '.' || c.is_ascii_digit();
            let unit_end = after_number.find(is_number_start).unwrap_or(after_number.len());
            let (unit, after_unit) = after_number.split_at(unit_end);
            let nanos = parse_nanos(number, unit_nanos(unit)?)?;
            total = total.checked_add(nanos).ok_or(ParseError::TooLong)?;
            rest = after_unit;
        }
        Ok(Self { nanos: if is_negative { -total } else { total } })
    }
}

/// The number of nanoseconds in one `unit`.
fn unit_nanos(unit: &str) -> Result<u64, ParseError> {
    Ok(match unit {
        "ns" => 1,
        // U+00B5 (micro sign) and U+03BC (Greek letter mu): Go accepts both.
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return Err(ParseError::InvalidUnit),
    })
}

/// Converts `number`, a decimal number of units, into nanoseconds. `unit` is the length of one unit in nanoseconds. Drops a
/// fraction of a nanosecond.
fn parse_nanos(number: &str, unit: u64) -> Result<i64, ParseError> {
    // The parsed float is not used: this call only checks that `number` is a decimal number. A float is not exact,
    // so the code below computes the value without a float.
    number.parse::<f64>()?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| ParseError::TooLong)? };
    // Use at most 20 digits of the fraction. In every unit, the digits after these are worth less than a nanosecond. The
    // products below stay under `u128::MAX`.
    let digits = &fraction[..fraction.len().min(20)];
    let scale = 10_u128.pow(u32::try_from(digits.len()).unwrap_or(20));
    let fraction: u128 =
        if digits.is_empty() { 0 } else { digits.parse().map_err(|_| ParseError::TooLong)? };
    let nanos = u128::from(whole) * u128::from(unit) + fraction * u128::from(unit) / scale;
    i64::try_from(nanos).map_err(|_| ParseError::TooLong)
}

impl fmt::Display for Duration {
    /// Writes Go's form, such as `1h0m5s` or `1.5ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.nanos.unsigned_abs();
        if self.is_negative() {
            f.write_str("-")?;
        }
        match nanos {
            0 => f.write_str("0s"),
            1..MICROSECOND => write!(f, "{nanos}ns"),
            MICROSECOND..MILLISECOND => write_decimal(f, nanos, MICROSECOND, "\u{b5}s"),
            MILLISECOND..SECOND => write_decimal(f, nanos, MILLISECOND, "ms"),
            _ => {
                if nanos >= HOUR {
                    write!(f, "{}h", nanos / HOUR)?;
                }
                if nanos >= MINUTE {
                    write!(f, "{}m", nanos % HOUR / MINUTE)?;
                }
                write_decimal(f, nanos % MINUTE, SECOND, "s")
            }
        }
    }
}

/// Writes `nanos / unit` as a decimal number without trailing zeros, and then `name`, the name of the unit. `unit` is
/// a power of ten.
fn write_decimal(f: &mut fmt::Formatter<'_>, nanos: u64, unit: u64, name: &str) -> fmt::Result {
    write!(f, "{}", nanos / unit)?;
    let fraction = nanos % unit;
    if fraction != 0 {
        let digits = usize::try_from(unit.ilog10()).unwrap_or_default();
        let text = format!("{fraction:0digits$}");
        write!(f, ".{}", text.trim_end_matches('0'))?;
    }
    f.write_str(name)
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(|error| D::Error::custom(format_args!("not a duration: {error}")))
    }
}

impl PartialEq<time::Duration> for Duration {
    fn eq(&self, other: &time::Duration) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialEq<Duration> for time::Duration {
    fn eq(&self, other: &Duration) -> bool {
        other == self
    }
}

impl PartialOrd for Duration {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Duration {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl PartialOrd<time::Duration> for Duration {
    fn partial_cmp(&self, other: &time::Duration) -> Option<Ordering> {
        // The comparison uses `u128`, because `other` may have more nanoseconds than an `i64` can hold.
        // `i64::MAX` nanoseconds is the maximum of Go's `time.Duration`.
        Some(match u128::try_from(self.nanos) {
            Ok(nanos) => nanos.cmp(&other.as_nanos()),
            Err(_) => Ordering::Less,
        })
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parse(text: &str) -> Duration {
        text.parse().unwrap()
    }

    #[test]
    fn durations_parse_and_print_as_in_go() {
        for (text, nanos, printed) in [
            ("0", 0, "0s"),
            ("-0s", 0, "0s"),
            ("+5s", 5_000_000_000, "5s"),
            ("1h", 3_600_000_000_000, "1h0m0s"),
            ("90m", 5_400_000_000_000, "1h30m0s"),
            ("1h15m30.918s", 4_530_918_000_000, "1h15m30.918s"),
            ("-1.5h", -5_400_000_000_000, "-1h30m0s"),
            (".5s", 500_000_000, "500ms"),
            ("5.s", 5_000_000_000, "5s"),
            ("1.5us", 1_500, "1.5\u{b5}s"),
            ("2\u{b5}s3\u{3bc}s", 5_000, "5\u{b5}s"),
            ("10ns", 10, "10ns"),
            ("1.9ns", 1, "1ns"),
            ("0.000000000000000000001h", 0, "0s"),
            ("0.3333333333333333333h", 1_199_999_999_999, "19m59.999999999s"),
            ("1s1s", 2_000_000_000, "2s"),
            ("9223372036854775807ns", i64::MAX, "2562047h47m16.854775807s"),
        ] {
            let duration = parse(text);
            assert_eq!(duration.nanos, nanos, "{text}");
            assert_eq!(duration.to_string(), printed, "{text}");
            assert_eq!(parse(printed), duration, "{printed}");
        }
    }

    #[test]
    fn texts_that_are_not_durations_are_refused() {
        for (text, error) in [
            ("", ParseError::NoUnit),
            ("-", ParseError::NoUnit),
            ("3", ParseError::NoUnit),
            ("1h3", ParseError::NoUnit),
            ("1d", ParseError::InvalidUnit),
            ("1 s", ParseError::InvalidUnit),
            ("2562048h", ParseError::TooLong),
            ("9223372036854775807ns1ns", ParseError::TooLong),
            ("99999999999999999999999s", ParseError::TooLong),
        ] {
            assert_eq!(text.parse::<Duration>(), Err(error), "{text}");
        }
        for text in [".s", "1.2.3s", "s", "--1s", "\u{e9}s"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_text_in_json() {
        assert_eq!(serde_json::to_string(&parse("90s")).unwrap(), "\"1m30s\"");
        assert_eq!(serde_json::from_str::<Duration>("\"90s\"").unwrap(), parse("1m30s"));
        let error = serde_json::from_str::<Duration>("\"90\"").unwrap_err();
        assert!(error.to_string().contains("without a unit"), "{error}");
    }

    #[test]
    fn durations_compare_with_those_of_std() {
        let minute = time::Duration::from_secs(60);
        assert!(parse("60s") == minute && minute == parse("1m") && parse("61s") > minute);
        assert!(parse("-60s") != minute && parse("-60s") < time::Duration::ZERO);
        assert_eq!(time::Duration::from(parse("-60s")), minute);
        assert!(Duration::from(time::Duration::MAX) < time::Duration::MAX);
    }
}
