//! The format `duration`: a Go duration, or a string that contains a number followed by a time unit in the syntax of
//! Scala's `Duration`, such as `5 minutes`.

use std::sync::LazyLock;

use regex::Regex;

/// The words that are units, in lower case.
const UNITS: [&str; 11] = ["ns", "us", "\u{b5}s", "ms", "s", "m", "h", "hr", "d", "w", "wk"];
/// A word such as `minutes`, which begins with one of these prefixes, is also a unit.
const UNIT_PREFIXES: [&str; 8] = ["nano", "micro", "milli", "sec", "min", "hour", "day", "week"];

/// The syntax of Go's `time.ParseDuration`, such as `1h30m`. The expression accepts numbers of any size:
/// `is_duration` checks that the numbers fit into an int64.
static GO_DURATION: LazyLock<Regex> = LazyLock::new(|| {
    const NUMBER_AND_UNIT: &str = "(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)(?:ns|us|\u{b5}s|\u{3bc}s|ms|s|m|h)";
    super::compile_pattern(&format!("^[+-]?(?:0|(?:{NUMBER_AND_UNIT})+)$"))
});
static DIGITS: LazyLock<Regex> = LazyLock::new(|| super::compile_pattern("[0-9]+"));
/// A number and the word after it.
static NUMBER_AND_WORD: LazyLock<Regex> =
    LazyLock::new(|| super::compile_pattern("([0-9]+)[\\t\\n\\f\\r ]*([A-Za-z\u{b5}]+)"));

/// Whether the format `duration` accepts the string.
pub(super) fn is_duration(text: &str) -> bool {
    let fits = |digits: &str| digits.parse::<i64>().is_ok();
    if GO_DURATION.is_match(text) && DIGITS.find_iter(text).all(|digits| fits(digits.as_str())) {
        return true;
    }
    let mut found = false;
    for captures in NUMBER_AND_WORD.captures_iter(text) {
        if !fits(&captures[1]) {
            return false;
        }
        let unit = captures[2].to_lowercase();
        found |=
            UNITS.contains(&unit.as_str()) || UNIT_PREFIXES.iter().any(|prefix| unit.starts_with(prefix));
    }
    found
}
