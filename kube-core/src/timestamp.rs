//! Converts times beyond the range of `jiff::Timestamp`. This module must not read a clock.

use jiff::{Timestamp, civil::date, fmt::temporal::Pieces};

/// The timestamp nearest to the RFC 3339 time in `text`, if the time is beyond the range of [`Timestamp`]; otherwise
/// `None`.
///
/// The range of `Timestamp` ends about a day before the end of the year 9999. Go has no such limit: API servers store
/// `9999-12-31T23:59:59Z`, which programs write for "never".
#[inline]
pub fn nearest_timestamp_if_out_of_range(text: &str) -> Option<Timestamp> {
    // Fast path: a time out of range has one of these prefixes, and a time in range rarely has one. The range
    // ends at 9999-12-30T22:00:00Z. A later time has a date before 9999-12-30 only if its offset is below
    // -22:00. Such offsets do not occur in practice.
    if !text.starts_with("9999-12-3") && !text.starts_with('-') {
        return None;
    }
    nearest_timestamp(text)
}

/// Implements [`nearest_timestamp_if_out_of_range`] after its fast path.
fn nearest_timestamp(text: &str) -> Option<Timestamp> {
    let pieces = Pieces::parse(text).ok()?;
    if pieces.time().is_none() || pieces.offset().is_none() || text.parse::<Timestamp>().is_ok() {
        return None;
    }
    if pieces.date() >= date(9999, 12, 30) {
        Some(Timestamp::MAX)
    } else if pieces.date() <= date(-9999, 1, 3) {
        Some(Timestamp::MIN)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_range_become_the_nearest_timestamp() {
        for text in [
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.999999Z",
            "9999-12-30T22:00:01Z",
            "9999-12-31T23:59:59+00:00",
            "9999-12-30T20:00:00-12:00",
        ] {
            assert_eq!(nearest_timestamp_if_out_of_range(text), Some(Timestamp::MAX), "{text}");
        }
        assert_eq!(nearest_timestamp_if_out_of_range("-009999-01-01T00:00:00Z"), Some(Timestamp::MIN));
    }

    #[test]
    fn times_in_range_and_invalid_texts_have_no_nearest_timestamp() {
        for text in [
            "",
            "9999-12-30T22:00:00Z",
            "9999-12-31",
            "9999-12-31T23:59:59",
            "9999-12-32T00:00:00Z",
            "9999-12-31T25:00:00Z",
            "9999-12-31T23:59:59Z or never",
            "2024-01-01T00:00:00Z",
            "-000001-01-01T00:00:00Z",
            "-",
        ] {
            assert_eq!(nearest_timestamp_if_out_of_range(text), None, "{text}");
        }
    }
}
