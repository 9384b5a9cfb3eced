//! The canonical form of quantities (`500m`, `1.5Gi`).
//!
//! This module owns parsing and serialization of `resource.Quantity`. This module must not know which fields are
//! quantities.

/// The maximum number of digits on each side of the decimal point. The maximum exceeds the precision of the server.
const MAX_DIGITS: usize = 60;

/// Binary suffixes, each with its power of 1024.
const BINARY_SUFFIXES: [(&str, u32); 6] = [("Ki", 1), ("Mi", 2), ("Gi", 3), ("Ti", 4), ("Pi", 5), ("Ei", 6)];
/// Decimal suffixes, each with its power of ten.
const DECIMAL_SUFFIXES: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// The quantities 1 and 0.001, in units of 10^-9.
pub(crate) const NANOS_PER_UNIT: i128 = 1_000_000_000;
pub(crate) const NANOS_PER_MILLI: i128 = 1_000_000;

/// Divides the amount `nanos` by the amount `unit`, and rounds the quotient up. Both amounts are in units of 10^-9.
pub(crate) fn divide_rounding_up(nanos: i128, unit: i128) -> i128 {
    nanos.saturating_add(unit - 1).div_euclid(unit)
}

/// The largest quantity with a binary suffix, in units of 10^-9. The server replaces a larger quantity with this one.
const MAX_BINARY_NANOS: u128 = 9_223_372_036_854_775_807 * 1_000_000_000;

/// The format of a quantity (`resource.Format`). The canonical form usually has the format of the input. A
/// `Binary` quantity becomes `Decimal` if its absolute value is below 1024 or is not an integer: `0.5Ki`
/// becomes `512`.
enum Format {
    Binary,
    Decimal,
    Exponent,
}

/// Returns the canonical form: `1000m` becomes `1`, `0.5Gi` becomes `512Mi`.
///
/// # Errors
/// The API server's error text for a malformed quantity.
pub(super) fn canonical_form(text: &str) -> Result<String, String> {
    let malformed = || {
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            .to_owned()
    };
    let (negative, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // A decimal point without digits is not malformed: the server parses it as zero.
    let no_number = fraction.contains('.') || number.is_empty();
    if no_number || whole.len() > MAX_DIGITS || fraction.len() > MAX_DIGITS {
        return Err(malformed());
    }
    let (format, power) = match parse_suffix(suffix) {
        Some(found) => found,
        None if suffix.chars().all(|c| "eEinumkKMGTP+-0123456789".contains(c)) => {
            return Err("unable to parse quantity's suffix".to_owned());
        }
        None => return Err(malformed()),
    };
    // All arithmetic is in units of 10^-9, the finest resolution of the server; smaller fractions are rounded up.
    let nanos = absolute_nanos(whole, fraction, &format, power);
    if matches!(format, Format::Binary) && nanos.is_none_or(|nanos| nanos > MAX_BINARY_NANOS) {
        return Ok(format!("{}{}", if negative { "-" } else { "" }, i64::MAX));
    }
    let Some(nanos) = nanos else {
        // A quantity that overflows is stored unchanged.
        return Ok(text.to_owned());
    };
    Ok(format_quantity(negative, nanos, &format))
}

/// The value of a quantity in units of 10^-9. On overflow, the result is `i128::MIN` for a negative quantity, otherwise
/// `i128::MAX`.
///
/// # Errors
/// The API server's error text for a malformed quantity.
pub(crate) fn parse(text: &str) -> Result<i128, String> {
    canonical_form(text)?;
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    Ok(signed_nanos(unsigned).unwrap_or(if text.starts_with('-') { i128::MIN } else { i128::MAX }))
}

/// Formats `nanos`, an amount in units of 10^-9, as a canonical quantity in the format of the quantity `example`.
pub(crate) fn format_like(nanos: i128, example: &str) -> String {
    let suffix = example.trim_start_matches(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let format = parse_suffix(suffix).map_or(Format::Decimal, |(format, _)| format);
    format_quantity(nanos < 0, nanos.unsigned_abs(), &format)
}

/// Whether the quantity `left` is larger than `right`; `false` if [`signed_nanos`] returns `None` for either.
pub(crate) fn exceeds(left: &str, right: &str) -> bool {
    match (signed_nanos(left), signed_nanos(right)) {
        (Some(left), Some(right)) => left > right,
        _ => false,
    }
}

/// The value of a quantity in units of 10^-9, with its sign. A text without digits counts as zero. Returns `None` if the
/// text begins with `+`, if the number or the suffix is malformed, or if the value overflows.
fn signed_nanos(text: &str) -> Option<i128> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let (format, power) = parse_suffix(suffix)?;
    let nanos = i128::try_from(absolute_nanos(whole, fraction, &format, power)?).ok()?;
    Some(if negative { -nanos } else { nanos })
}

/// The format that a suffix selects, and its power of 1024 or of ten. `None` if the suffix is malformed, or if its
/// exponent is out of range.
fn parse_suffix(suffix: &str) -> Option<(Format, i32)> {
    if let Some((_, power)) = BINARY_SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return Some((Format::Binary, i32::try_from(*power).ok()?));
    }
    if let Some((_, power)) = DECIMAL_SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return Some((Format::Decimal, *power));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let power: i32 = exponent.parse().ok()?;
    (power.unsigned_abs() <= 60).then_some((Format::Exponent, power))
}

/// The absolute value of a quantity in units of 10^-9, rounded up; `None` on overflow.
fn absolute_nanos(whole: &str, fraction: &str, format: &Format, power: i32) -> Option<u128> {
    let digits: u128 = match format!("{whole}{fraction}").trim_start_matches('0') {
        "" => 0,
        digits => digits.parse().ok()?,
    };
    let scale = i32::try_from(fraction.len()).ok()?;
    match format {
        Format::Binary => {
            let units = 1024_u128.checked_pow(u32::try_from(power).ok()?)?;
            scale_by_power_of_ten(digits.checked_mul(units)?, 9 - scale)
        }
        Format::Decimal | Format::Exponent => scale_by_power_of_ten(digits, 9 - scale + power),
    }
}

/// `value` times ten to the `power`, rounded up; `None` on overflow.
fn scale_by_power_of_ten(value: u128, power: i32) -> Option<u128> {
    if power >= 0 {
        return value.checked_mul(10_u128.checked_pow(power.unsigned_abs())?);
    }
    match 10_u128.checked_pow(power.unsigned_abs()) {
        Some(divisor) => Some(value.div_ceil(divisor)),
        None => Some(u128::from(value > 0)),
    }
}

fn format_quantity(negative: bool, nanos: u128, format: &Format) -> String {
    if nanos == 0 {
        return "0".to_owned();
    }
    let sign = if negative { "-" } else { "" };
    let billion = 1_000_000_000;
    if matches!(format, Format::Binary) && nanos.is_multiple_of(billion) && nanos / billion >= 1024 {
        let mut units = nanos / billion;
        let mut suffix = "";
        for (name, _) in BINARY_SUFFIXES {
            if !units.is_multiple_of(1024) {
                break;
            }
            units /= 1024;
            suffix = name;
        }
        return format!("{sign}{units}{suffix}");
    }
    let mut units = nanos;
    let mut power = -9;
    while units.is_multiple_of(1000) && power < 18 {
        units /= 1000;
        power += 3;
    }
    if matches!(format, Format::Exponent) {
        return if power == 0 { format!("{sign}{units}") } else { format!("{sign}{units}e{power}") };
    }
    let suffix = DECIMAL_SUFFIXES.iter().find(|(_, known)| *known == power).map_or("", |(name, _)| name);
    format!("{sign}{units}{suffix}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_canonical_form_is_that_of_the_server() {
        let cases = [
            ("1", "1"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1.5", "1500m"),
            ("0.5Gi", "512Mi"),
            ("1024Mi", "1Gi"),
            ("1025Mi", "1025Mi"),
            ("1000Ki", "1000Ki"),
            ("100Ki", "100Ki"),
            ("1000k", "1M"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("12e0", "12"),
            ("0", "0"),
            ("-0.5", "-500m"),
            ("+2", "2"),
            (".5", "500m"),
            ("1.", "1"),
            ("1000000000000", "1T"),
            ("0.0000000001", "1n"),
            ("512", "512"),
            ("0.5Ki", "512"),
            (".", "0"),
            ("-.Ki", "0"),
            ("8Ei", "9223372036854775807"),
            ("-9999Pi", "-9223372036854775807"),
            ("912345600000000000000000000Ei", "9223372036854775807"),
            ("7Ei", "7Ei"),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical_form(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_amount_is_formatted_like_another_quantity() {
        let mebibytes = 1_i128 << 20;
        for (nanos, example, expected) in [
            (1_500_000_000, "1", "1500m"),
            (mebibytes * 1_000_000_000, "1Gi", "1Mi"),
            (mebibytes * 1_000_000_000, "1G", "1048576"),
            (-2_000_000_000_000, "1e3", "-2e3"),
        ] {
            assert_eq!(format_like(nanos, example), expected, "{example}");
        }
    }

    #[test]
    fn malformed_quantities_are_rejected() {
        for text in ["", "abc", "1..2", "1x", "Gi", "--1", "1 Gi", ".."] {
            assert!(canonical_form(text).is_err(), "{text}");
        }
        assert_eq!(canonical_form("1Kib"), canonical_form("abc"));
        for exponent in [i32::MIN, i32::MAX, -61, 61] {
            assert!(canonical_form(&format!("1e{exponent}")).is_err(), "{exponent}");
            assert!(!exceeds(&format!("1e{exponent}"), "0"), "{exponent}");
        }
    }

    #[test]
    fn quantities_with_different_suffixes_are_compared_by_value() {
        assert!(exceeds("2", "1500m"));
        assert!(exceeds("1Gi", "1G"));
        assert!(!exceeds("1", "1000m"));
        assert!(!exceeds("-1", "0"));
        assert!(!exceeds("x", "1"));
    }

    proptest! {
        #[test]
        fn canonicalization_is_idempotent(number in 0_u64..10_000_000_000, suffix in prop::sample::select(vec!["", "m", "k", "M", "Ki", "Mi", "Gi", "n"])) {
            let once = canonical_form(&format!("{number}{suffix}")).unwrap();
            prop_assert_eq!(canonical_form(&once), Ok(once.clone()));
        }

        #[test]
        fn arbitrary_strings_cause_no_panic(text in ".{0,80}") {
            let _ = canonical_form(&text);
        }
    }
}
