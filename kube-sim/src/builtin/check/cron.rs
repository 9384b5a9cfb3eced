//! Cron schedules in the standard format of `robfig/cron`, which Kubernetes uses: five fields or a descriptor.
//!
//! Owns the validation of a schedule, with that library's error texts. It does not compute when a schedule is due.

/// The minimum and maximum of each field, and the names of its values.
const FIELDS: [(i64, i64, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

const DESCRIPTORS: [&str; 7] =
    ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// All errors of a schedule.
pub(super) fn problems(schedule: &str) -> Vec<String> {
    let mut problems = Vec::new();
    problems.extend(parse(schedule).err());
    if schedule.contains("TZ") {
        problems.push("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".to_owned());
    }
    problems
}

fn parse(schedule: &str) -> Result<(), String> {
    let mut spec = schedule;
    if spec.starts_with("TZ=") || spec.starts_with("CRON_TZ=") {
        // The zone is not parsed, because Kubernetes rejects any zone in a schedule.
        let Some((_, rest)) = spec.split_once(' ') else {
            return Err("invalid schedule format: runtime error: slice bounds out of range [:-1]".to_owned());
        };
        spec = rest.trim();
    }
    if spec.starts_with('@') {
        return descriptor(spec);
    }
    let fields: Vec<&str> = spec.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (field, (least, most, names)) in fields.into_iter().zip(FIELDS) {
        // The parser ignores empty entries of a list.
        for range in field.split(',').filter(|range| !range.is_empty()) {
            check_range(range, least, most, names)?;
        }
    }
    Ok(())
}

fn descriptor(spec: &str) -> Result<(), String> {
    if DESCRIPTORS.contains(&spec) {
        return Ok(());
    }
    match spec.strip_prefix("@every ") {
        Some(every) => duration(every).map_err(|why| format!("failed to parse duration {spec}: time: {why}")),
        None => Err(format!("unrecognized descriptor: {spec}")),
    }
}

/// Validates `*`, a value or a range of values, with an optional step.
fn check_range(range: &str, least: i64, most: i64, names: &[&str]) -> Result<(), String> {
    let (bounds, steps) = parts(range, '/');
    let (first, more) = parts(bounds, '-');
    let (start, mut end) = if matches!(first, "*" | "?") {
        (least, most)
    } else {
        let start = value(first, names)?;
        match more[..] {
            [] => (start, start),
            [end] => (start, value(end, names)?),
            _ => return Err(format!("too many hyphens: {range}")),
        }
    };
    let step = match steps[..] {
        [] => 1,
        [step] => {
            if more.is_empty() {
                end = most;
            }
            integer(step)?
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

fn parts(text: &str, separator: char) -> (&str, Vec<&str>) {
    let mut parts = text.split(separator);
    (parts.next().unwrap_or_default(), parts.collect())
}

fn value(text: &str, names: &[&str]) -> Result<i64, String> {
    let lower = text.to_lowercase();
    match names.iter().position(|name| *name == lower) {
        // Months are counted from one, days of the week from zero.
        Some(at) => Ok(i64::try_from(at).unwrap_or(i64::MAX) + i64::from(names.len() == 12)),
        None => integer(text),
    }
}

fn integer(text: &str) -> Result<i64, String> {
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

/// Validates a duration in Go's format, such as `1h30m` or `-1.5s`.
fn duration(text: &str) -> Result<(), String> {
    let shown = text.escape_debug();
    let invalid = || Err(format!("invalid duration \"{shown}\""));
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Ok(());
    }
    if rest.is_empty() {
        return invalid();
    }
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (number, unit) = rest.split_at(rest.find(|c| !is_number(c)).unwrap_or(rest.len()));
        let is_sound =
            number.bytes().any(|b| b.is_ascii_digit()) && number.bytes().filter(|b| *b == b'.').count() < 2;
        if !is_sound {
            return invalid();
        }
        let (unit, after) = unit.split_at(unit.find(is_number).unwrap_or(unit.len()));
        match unit {
            "" => return Err(format!("missing unit in duration \"{shown}\"")),
            "ns" | "us" | "µs" | "μs" | "ms" | "s" | "m" | "h" => {}
            unit => return Err(format!("unknown unit \"{unit}\" in duration \"{shown}\"")),
        }
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::problems;

    /// Each line is a schedule; for an invalid one, a tab and the error of kube-apiserver 1.37.2 follow.
    const RECORDED: &str = include_str!("cron.txt");

    #[test]
    fn schedules_are_validated_as_by_the_api_server() {
        let mut count = 0;
        for line in RECORDED.lines() {
            let (schedule, expected) = line.split_once(" => ").expect("a line has an arrow");
            let schedule: String = serde_json::from_str(schedule).expect("a schedule is a JSON text");
            let expected: Vec<String> = serde_json::from_str(expected).expect("problems are a JSON list");
            assert_eq!(problems(&schedule), expected, "{schedule:?}");
            count += 1;
        }
        assert!(count > 90, "{count}");
    }
}
