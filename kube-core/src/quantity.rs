//! `ParsedQuantity`: arithmetic and comparison of resource quantities.
//!
//! A quantity is stored as an integer count of billionths, the smallest unit of Kubernetes' quantities.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::{
    cmp::Ordering,
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Neg, Sub, SubAssign},
    str::FromStr,
};
use thiserror::Error;

/// The number of decimal places of a quantity.
const SCALE: i32 = 9;
/// The number 1, in billionths.
const ONE: i128 = 1_000_000_000;
/// The maximum of a quantity with a binary suffix, in billionths. Kubernetes reduces a larger quantity to this maximum.
const MAX_BINARY: i128 = i64::MAX as i128 * ONE;

/// The error for a text that cannot be parsed as a quantity, for example because the number is too large.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "not a quantity: {0:?}; a quantity is a decimal number with an optional suffix: n, u, m, k, M, G, T, P, E, Ki, Mi, \
     Gi, Ti, Pi, Ei, or an exponent such as e3"
)]
pub struct ParseQuantityError(pub String);

/// A quantity such as `500m` or `1.5Gi` as a number, for arithmetic and comparison.
///
/// As in Go's `resource.Quantity`, a number has nine decimal places, and further places are rounded up (away from
/// zero). Parsing fails for numbers above about 1.7 × 10²⁹. Parsing can also fail for numbers of more than 38 digits, or of
/// more than 20 digits with a binary suffix. With a binary suffix, a number between 2⁶³ − 1 and 1.7 × 10²⁹ becomes
/// 2⁶³ − 1. Sums and differences are exact up to about 1.7 × 10²⁹; larger sums and differences saturate.
///
/// [`Display`](fmt::Display) writes the canonical form, as API servers do. A sum or a difference has the format of its
/// left operand or, if the left operand is zero, of its right operand.
///
/// ```
/// use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::api::resource::Quantity};
/// use kube_core::ParsedQuantity;
///
/// let limit = ParsedQuantity::try_from(&Quantity("1Gi".into()))?;
/// let used: ParsedQuantity = ["512Mi", "500M"].iter().map(|text| text.parse()).sum::<Result<_, _>>()?;
/// assert!(used < limit);
/// assert_eq!((limit - used).to_string(), "36870912");
/// assert_eq!(Quantity::from("0.5".parse::<ParsedQuantity>()?), Quantity("500m".into()));
/// # Ok::<(), kube_core::ParseQuantityError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ParsedQuantity {
    billionths: i128,
    format: Format,
}

/// The kind of suffix in a quantity's canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Powers of 1024: `Ki`, `Mi`, ...
    BinarySi,
    /// Powers of 1000: `m`, `k`, `M`, ...
    DecimalSi,
    /// Exponents: `e3`, `e6`, ...
    DecimalExponent,
}

/// The suffixes of the decimal format, each with its power of ten.
const DECIMAL_SUFFIXES: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
/// The suffixes of the binary format: 1024¹, 1024², and so on.
const BINARY_SUFFIXES: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl ParsedQuantity {
    /// Whether the quantity is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.billionths == 0
    }

    /// The quantity as a floating-point number, rounded if necessary: 0.5 for `500m`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "as documented")]
    pub fn to_f64(&self) -> f64 {
        self.billionths as f64 / ONE as f64
    }

    /// The number of whole units, rounded up (away from zero): 1 for `500m`, like `Value` in Go. Saturates at `i64::MIN`
    /// and `i64::MAX`.
    #[must_use]
    pub fn value(&self) -> i64 {
        to_i64(divide_away_from_zero(self.billionths, ONE))
    }

    /// The number of thousandths, rounded up (away from zero): 500 for `500m`, like `MilliValue` in Go. Saturates at
    /// `i64::MIN` and `i64::MAX`.
    #[must_use]
    pub fn milli_value(&self) -> i64 {
        to_i64(divide_away_from_zero(self.billionths, ONE / 1000))
    }
}

/// Converts a number to the nearest `i64`.
fn to_i64(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

/// Divides, and rounds the quotient away from zero.
fn divide_away_from_zero(number: i128, divisor: i128) -> i128 {
    number / divisor + if number % divisor == 0 { 0 } else { number.signum() }
}

impl FromStr for ParsedQuantity {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| ParseQuantityError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<ParsedQuantity> {
    let (is_negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let number_end = unsigned.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if number.is_empty() || fraction.contains('.') {
        return None;
    }
    let (factor, exponent, format) = parse_suffix(suffix)?;
    let digits = format!("{whole}{fraction}");
    let digits: i128 = match digits.trim_start_matches('0') {
        "" => 0,
        digits => digits.parse().ok()?,
    };
    let places = i32::try_from(fraction.len()).ok()?;
    let magnitude = multiply_by_power_of_ten(
        digits.checked_mul(factor)?,
        exponent.checked_add(SCALE)?.checked_sub(places)?,
    )?;
    let (magnitude, format) = match format {
        // As in Go: a quantity with a binary suffix is written in the decimal format if it is below one. Only quantities
        // with a binary suffix have a maximum.
        Format::BinarySi if (1..ONE).contains(&magnitude) => (magnitude, Format::DecimalSi),
        Format::BinarySi => (magnitude.min(MAX_BINARY), format),
        _ => (magnitude, format),
    };
    Some(ParsedQuantity { billionths: if is_negative { -magnitude } else { magnitude }, format })
}

/// Returns the factor, the decimal exponent and the format of a suffix; `None` if the suffix is unknown.
fn parse_suffix(suffix: &str) -> Option<(i128, i32, Format)> {
    if let Some((_, exponent)) = DECIMAL_SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return Some((1, *exponent, Format::DecimalSi));
    }
    if let Some(power) = BINARY_SUFFIXES.iter().position(|name| *name == suffix) {
        return Some((1 << (10 * (power + 1)), 0, Format::BinarySi));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((1, exponent, Format::DecimalExponent))
}

/// `number` × 10^`exponent`, rounded up; `None` on overflow. `number` is not negative.
fn multiply_by_power_of_ten(number: i128, exponent: i32) -> Option<i128> {
    match (10_i128.checked_pow(exponent.unsigned_abs()), exponent >= 0) {
        (Some(factor), true) => number.checked_mul(factor),
        (Some(divisor), false) => Some(divide_away_from_zero(number, divisor)),
        (None, true) => (number == 0).then_some(0),
        (None, false) => Some(number.signum()),
    }
}

impl fmt::Display for ParsedQuantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_small = self.billionths.abs() < 1024 * ONE;
        match self.format {
            Format::BinarySi if !is_small => {
                let mut number = divide_away_from_zero(self.billionths, ONE);
                let mut suffix = "";
                for name in BINARY_SUFFIXES {
                    if number % 1024 != 0 {
                        break;
                    }
                    number /= 1024;
                    suffix = name;
                }
                write!(f, "{number}{suffix}")
            }
            Format::BinarySi | Format::DecimalSi => {
                let (number, exponent) = canonical_number_and_exponent(self.billionths, 18);
                let suffix =
                    DECIMAL_SUFFIXES.iter().find(|(_, of)| *of == exponent).map_or("", |(name, _)| name);
                write!(f, "{number}{suffix}")
            }
            Format::DecimalExponent => match canonical_number_and_exponent(self.billionths, i32::MAX) {
                (number, 0) => write!(f, "{number}"),
                (number, exponent) => write!(f, "{number}e{exponent}"),
            },
        }
    }
}

/// The number and the exponent of the canonical decimal form. The exponent is the largest multiple of three
/// for which the number is an integer, but at most `max_exponent`. For zero, the exponent is 0.
fn canonical_number_and_exponent(billionths: i128, max_exponent: i32) -> (i128, i32) {
    if billionths == 0 {
        return (0, 0);
    }
    let (mut number, mut exponent) = (billionths, -SCALE);
    while number % 1000 == 0 && exponent < max_exponent {
        number /= 1000;
        exponent += 3;
    }
    (number, exponent)
}

impl TryFrom<&Quantity> for ParsedQuantity {
    type Error = ParseQuantityError;

    fn try_from(quantity: &Quantity) -> Result<Self, Self::Error> {
        quantity.0.parse()
    }
}

impl From<ParsedQuantity> for Quantity {
    fn from(quantity: ParsedQuantity) -> Self {
        Self(quantity.to_string())
    }
}

impl PartialEq for ParsedQuantity {
    /// Compares the numbers; `1000m` equals `1`.
    fn eq(&self, other: &Self) -> bool {
        self.billionths == other.billionths
    }
}

impl Eq for ParsedQuantity {}

impl PartialOrd for ParsedQuantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ParsedQuantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.billionths.cmp(&other.billionths)
    }
}

impl Default for ParsedQuantity {
    /// Returns zero.
    fn default() -> Self {
        Self { billionths: 0, format: Format::DecimalSi }
    }
}

impl Neg for ParsedQuantity {
    type Output = Self;

    fn neg(self) -> Self {
        Self { billionths: self.billionths.saturating_neg(), ..self }
    }
}

impl Add for ParsedQuantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { billionths: self.billionths.saturating_add(other.billionths), format }
    }
}

impl Sub for ParsedQuantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl AddAssign for ParsedQuantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for ParsedQuantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for ParsedQuantity {
    fn sum<I: Iterator<Item = Self>>(quantities: I) -> Self {
        quantities.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parse_quantity(text: &str) -> ParsedQuantity {
        text.parse().unwrap()
    }

    #[test]
    fn display_writes_the_canonical_form_of_the_api_server() {
        for (text, canonical) in [
            ("0", "0"),
            ("0Ki", "0"),
            (".", "0"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            ("+1", "1"),
            ("-1500m", "-1500m"),
            ("1.5Gi", "1536Mi"),
            ("0.5Gi", "512Mi"),
            ("0.5Ki", "512"),
            ("0.0001Ki", "102400u"),
            ("1025Ki", "1025Ki"),
            ("1000Ki", "1000Ki"),
            ("1100.1Ki", "1126503"),
            ("1000000", "1M"),
            ("1e3", "1e3"),
            ("12E2", "1200"),
            ("1E", "1E"),
            ("1000E", "1000E"),
            ("1e21", "1e21"),
            ("1e-3", "1e-3"),
            ("0.1n", "1n"),
            ("1.0000000001", "1000000001n"),
            ("100Ei", "9223372036854775807"),
            ("8Ei", "9223372036854775807"),
            ("00.10", "100m"),
        ] {
            assert_eq!(parse_quantity(text).to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn parsing_rejects_invalid_texts_and_too_large_numbers() {
        let long = "9".repeat(60);
        for text in [
            "",
            "-",
            "x",
            "1x",
            "1.2.3",
            "1KI",
            "1 ",
            " 1",
            "1e",
            "1e1.5",
            "--1",
            "Ki",
            "1e99999999999",
            &long,
        ] {
            assert_eq!(text.parse::<ParsedQuantity>().unwrap_err(), ParseQuantityError(text.into()));
        }
    }

    #[test]
    fn quantities_of_different_formats_compare_by_their_number() {
        assert_eq!(parse_quantity("1000m"), parse_quantity("1"));
        assert_eq!(parse_quantity("1Ki"), parse_quantity("1024"));
        assert!(parse_quantity("1Ki") > parse_quantity("1k") && parse_quantity("-1") < parse_quantity("1n"));
    }

    #[test]
    fn sums_and_differences_are_exact_and_have_the_format_of_the_first_nonzero_operand() {
        assert_eq!((parse_quantity("1Gi") + parse_quantity("512Mi")).to_string(), "1536Mi");
        assert_eq!((parse_quantity("0") + parse_quantity("1Gi")).to_string(), "1Gi");
        assert_eq!((parse_quantity("0.1") + parse_quantity("0.2")).to_string(), "300m");
        assert_eq!((parse_quantity("1") - parse_quantity("1n")).to_string(), "999999999n");
        assert_eq!(["1Mi", "1Mi"].map(parse_quantity).into_iter().sum::<ParsedQuantity>().to_string(), "2Mi");
        let mut sum = parse_quantity("2");
        sum += parse_quantity("1");
        sum -= parse_quantity("3");
        assert!(sum.is_zero());
    }

    #[test]
    fn value_and_milli_value_round_away_from_zero() {
        let quantity = parse_quantity("1500001u");
        assert_eq!((quantity.value(), quantity.milli_value()), (2, 1501));
        assert_eq!((-quantity).value(), -2);
        assert!((quantity.to_f64() - 1.500_001).abs() < 1e-9);
        assert_eq!(parse_quantity("1e25").value(), i64::MAX);
    }
}
