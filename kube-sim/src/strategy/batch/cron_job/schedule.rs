//! Validation of cron schedules in the standard format of the Go library `robfig/cron`: five fields, or a descriptor
//! such as `@daily`.
//!
//! The error texts are those of the library. This module does not compute the times of a schedule.

/// The minimum, the maximum and the names of the values of each field. The fields are minute, hour, day of the month,
/// month and day of the week.
const FIELDS: [(i64, i64, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

/// The descriptors without a parameter. The descriptor `@every DURATION` is not in this list.
const DESCRIPTORS: [&str; 7] =
    ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// The error texts for an invalid schedule; empty for a valid schedule.
pub(super) fn problems(schedule: &str) -> Vec<String> {
    let mut problems = Vec::new();
    problems.extend(validate(schedule).err());
    if schedule.contains("TZ") {
        problems.push("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".to_owned());
    }
    problems
}

/// Validates a schedule. Returns the error text of `robfig/cron`.
fn validate(schedule: &str) -> Result<(), String> {
    let mut spec = schedule;
    if spec.starts_with("TZ=") || spec.starts_with("CRON_TZ=") {
        // The zone is not parsed, because Kubernetes rejects any zone in a schedule.
        let Some((_, rest)) = spec.split_once(' ') else {
            return Err("invalid schedule format: runtime error: slice bounds out of range [:-1]".to_owned());
        };
        spec = rest.trim();
    }
    if spec.starts_with('@') {
        return validate_descriptor(spec);
    }
    let fields: Vec<&str> = spec.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (field, (least, most, names)) in fields.into_iter().zip(FIELDS) {
        // `robfig/cron` ignores empty items of a list.
        for range in field.split(',').filter(|range| !range.is_empty()) {
            check_range(range, least, most, names)?;
        }
    }
    Ok(())
}

fn validate_descriptor(spec: &str) -> Result<(), String> {
    if DESCRIPTORS.contains(&spec) {
        return Ok(());
    }
    match spec.strip_prefix("@every ") {
        Some(every) => {
            validate_duration(every).map_err(|why| format!("failed to parse duration {spec}: time: {why}"))
        }
        None => Err(format!("unrecognized descriptor: {spec}")),
    }
}

/// Validates `*`, `?`, a value or a range of values, each with an optional step.
fn check_range(range: &str, least: i64, most: i64, names: &[&str]) -> Result<(), String> {
    let (bounds, steps) = split_parts(range, '/');
    let (first, more) = split_parts(bounds, '-');
    let (start, mut end) = if matches!(first, "*" | "?") {
        (least, most)
    } else {
        let start = parse_value(first, names)?;
        match more[..] {
            [] => (start, start),
            [end] => (start, parse_value(end, names)?),
            _ => return Err(format!("too many hyphens: {range}")),
        }
    };
    let step = match steps[..] {
        [] => 1,
        [step] => {
            if more.is_empty() {
                end = most;
            }
            parse_integer(step)?
        }
        _ => return Err(format!("too many slashes: {range}")),
    };
    if start < least {
        return Err(format!("beginning of range ({start}) below minimum ({least}): {range}"));
    }
    if end > most {
        return Err(format!("end of range ({end}) above maximum ({most}): {range}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {range}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {range}"));
    }
    Ok(())
}

/// Splits a text at each `separator`. Returns the first part and the other parts.
fn split_parts(text: &str, separator: char) -> (&str, Vec<&str>) {
    let mut parts = text.split(separator);
    (parts.next().unwrap_or_default(), parts.collect())
}

/// Parses a value: an integer, or a name such as `mon`.
fn parse_value(text: &str, names: &[&str]) -> Result<i64, String> {
    let lower = text.to_lowercase();
    match names.iter().position(|name| *name == lower) {
        // The first of the twelve months is 1, but the first day of the week is 0.
        Some(at) => Ok(i64::try_from(at).unwrap_or(i64::MAX) + i64::from(names.len() == 12)),
        None => parse_integer(text),
    }
}

fn parse_integer(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let failed = |why: &str| {
        let value = text.escape_debug();
        format!("failed to parse int from {text}: strconv.Atoi: parsing \"{value}\": {why}")
    };
    if !is_number {
        return Err(failed("invalid syntax"));
    }
    match text.parse::<i64>() {
        Err(_) => Err(failed("value out of range")),
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => Ok(number),
    }
}

/// Validates a duration in Go's format, such as `1h30m` or `-1.5s`. In Go, a duration is an int64 of nanoseconds.
fn validate_duration(text: &str) -> Result<(), String> {
    let shown = text.escape_debug();
    let invalid = || format!("invalid duration \"{shown}\"");
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Ok(());
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let most = if text.starts_with('-') { 1 << 63 } else { i64::MAX.cast_unsigned() };
    let mut total = 0;
    while !rest.is_empty() {
        let (whole, after) = split_leading_digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), split_leading_digits);
        // Go reports an overflow before an unknown unit.
        let count = if whole.is_empty() { Some(0) } else { whole.parse().ok() };
        let count: u64 = count.filter(|count| *count <= 1 << 63).ok_or_else(invalid)?;
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let (unit, after) =
            after.split_at(after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len()));
        let nanos: u64 = match unit {
            "" => return Err(format!("missing unit in duration \"{shown}\"")),
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            unit => return Err(format!("unknown unit \"{unit}\" in duration \"{shown}\"")),
        };
        let step =
            count.checked_mul(nanos).and_then(|step| step.checked_add(multiply_fraction(fraction, nanos)));
        total = step
            .and_then(|step| step.checked_add(total))
            .filter(|all| *all <= 1 << 63)
            .ok_or_else(invalid)?;
        rest = after;
    }
    if total > most { Err(invalid()) } else { Ok(()) }
}

/// Splits a text after the digits at its beginning.
fn split_leading_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// Multiplies the fraction `0.DECIMALS` by `unit`, and rounds down. Ignores the decimals after the fifteenth.
fn multiply_fraction(decimals: &str, unit: u64) -> u64 {
    let decimals = &decimals[..decimals.len().min(15)];
    let scale = 10_u128.pow(u32::try_from(decimals.len()).unwrap_or(0));
    let all = decimals.parse::<u128>().unwrap_or(0) * u128::from(unit);
    u64::try_from(all / scale).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::problems;

    /// Each line is `SCHEDULE => ERRORS`, both in JSON. The errors were recorded from kube-apiserver 1.37.2.
    const RECORDED_ERRORS: &str = include_str!("schedules.txt");

    #[test]
    fn the_errors_of_each_schedule_are_those_of_the_api_server() {
        let mut count = 0;
        for line in RECORDED_ERRORS.lines() {
            let (schedule, expected) = line.split_once(" => ").expect("a line has an arrow");
            let schedule: String = serde_json::from_str(schedule).expect("a schedule is a JSON text");
            let expected: Vec<String> = serde_json::from_str(expected).expect("problems are a JSON list");
            assert_eq!(problems(&schedule), expected, "{schedule:?}");
            count += 1;
        }
        assert!(count > 90, "{count}");
    }

    #[test]
    fn the_duration_in_a_schedule_is_validated_as_in_go() {
        for (every, why) in [
            ("2562047h", None),
            ("-9223372036854775808ns", None),
            ("1.99999999999999999999999s", None),
            ("1.h", None),
            ("99999999999999999999h", Some("invalid")),
            ("9999999999999h", Some("invalid")),
            ("2562048h", Some("invalid")),
            ("-2562048h", Some("invalid")),
            ("9223372036854775808ns", Some("invalid")),
            ("2562047h59m", Some("invalid")),
            ("1s99999999999999999999x", Some("invalid")),
            ("..1s", Some("invalid")),
            ("1.5.5s", Some("missing unit in")),
            ("1..5s", Some("missing unit in")),
            ("1h2", Some("missing unit in")),
            ("1 h", Some("unknown unit \" h\" in")),
        ] {
            let expected = why.map(|why| {
                format!("failed to parse duration @every {every}: time: {why} duration \"{every}\"")
            });
            assert_eq!(problems(&format!("@every {every}")).pop(), expected, "{every}");
        }
    }
}
