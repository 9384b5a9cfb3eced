//! Human-readable ages, such as `5s`, `3m20s`, `7h` and `12d`.

use jiff::Timestamp;

/// Formats the time from `stamp` to `now`. Returns `<unknown>` if `stamp` cannot be parsed as a timestamp.
pub(crate) fn human_age(stamp: &str, now: Timestamp) -> String {
    match stamp.parse::<Timestamp>() {
        Ok(then) => human_duration((now - then).total(jiff::Unit::Second).unwrap_or(0.0)),
        Err(_) => "<unknown>".into(),
    }
}

/// Formats a number of seconds.
pub(super) fn human_seconds(seconds: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "durations of objects are far below 2^52 seconds")]
    human_duration(seconds as f64)
}

/// Formats a duration in one or two units, as `duration.HumanDuration` of apimachinery does.
fn human_duration(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "ages fit into an i64 of seconds by far")]
    let s = seconds as i64;
    if s < -1 {
        return "<invalid>".into();
    }
    let s = s.max(0);
    let two = |a: i64, ua: &str, b: i64, ub: &str| {
        if b == 0 { format!("{a}{ua}") } else { format!("{a}{ua}{b}{ub}") }
    };
    let (minutes, hours) = (s / 60, s / 3600);
    match s {
        _ if s < 120 => format!("{s}s"),
        _ if minutes < 10 => two(minutes, "m", s % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => two(hours / 24, "d", hours % 24, "h"),
        _ if hours < 24 * 365 * 2 => format!("{}d", hours / 24),
        _ if hours < 24 * 365 * 8 => two(hours / 24 / 365, "y", (hours / 24) % 365, "d"),
        _ => format!("{}y", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_the_format_of_kubectl() {
        for (seconds, expected) in [
            (0.0, "0s"),
            (119.0, "119s"),
            (120.0, "2m"),
            (200.0, "3m20s"),
            (3_600.0, "60m"),
            (10_800.0, "3h"),
            (11_000.0, "3h3m"),
            (100_000.0, "27h"),
            (200_000.0, "2d7h"),
            (900_000.0, "10d"),
            (-5.0, "<invalid>"),
        ] {
            assert_eq!(human_duration(seconds), expected, "{seconds}");
        }
        assert_eq!(human_age("", Timestamp::UNIX_EPOCH), "<unknown>");
    }
}
