//! Parses JSON numbers.

use super::Result;
use super::reader::{Reader, error};
use serde::de::{Unexpected, Visitor};

/// A JSON number. An integer that fits into 64 bits is `Unsigned` or, if negative, `Signed`; all other numbers and `-0`
/// are a `Float`. The variants match serde's visitor methods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Number {
    /// Calls the visitor's method for the type of the number.
    #[inline]
    pub(super) fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            Self::Unsigned(number) => visitor.visit_u64(number),
            Self::Signed(number) => visitor.visit_i64(number),
            Self::Float(number) => visitor.visit_f64(number),
        }
    }

    /// Converts the number to serde's `Unexpected`, for the error about a value of the wrong type.
    pub(super) fn to_unexpected(self) -> Unexpected<'static> {
        match self {
            Self::Unsigned(number) => Unexpected::Unsigned(number),
            Self::Signed(number) => Unexpected::Signed(number),
            Self::Float(number) => Unexpected::Float(number),
        }
    }
}

impl Reader<'_> {
    /// Reads a number. Its first byte has been peeked.
    pub(super) fn read_number(&mut self) -> Result<Number> {
        self.read_number_with(|text| text.parse().ok().filter(|number: &f64| number.is_finite()))
    }

    /// Reads a number for an `f32`. Parsing a float as `f64` and converting the `f64` to `f32` would round twice.
    pub(super) fn read_number_f32(&mut self) -> Result<Number> {
        self.read_number_with(|text| {
            text.parse().ok().filter(|number: &f32| number.is_finite()).map(f64::from)
        })
    }

    /// Reads a number. `parse_float` parses a number that does not fit into an integer of 64 bits, and returns `None` if
    /// the number is out of range.
    #[inline]
    fn read_number_with(&mut self, parse_float: impl FnOnce(&str) -> Option<f64>) -> Result<Number> {
        let text = self.take_number_text();
        match parse_integer(text) {
            Some(number) => Ok(number),
            None if is_number(text) => {
                parse_float(text).map(Number::Float).map_or_else(|| error("number out of range"), Ok)
            }
            None => error("invalid number"),
        }
    }

    /// Skips a number of any size.
    pub(super) fn skip_number(&mut self) -> Result<()> {
        if is_number(self.take_number_text()) { Ok(()) } else { error("invalid number") }
    }

    /// Consumes and returns all characters that a number may contain. Does not check that they form a number.
    fn take_number_text(&mut self) -> &str {
        self.take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
    }
}

/// Parses an integer that fits into 64 bits. Returns `None` for every other text, and for `-0`, which only a float can
/// represent.
fn parse_integer(text: &str) -> Option<Number> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    if whole && !leading_zero && !digits.is_empty() {
        if digits.len() == text.len() {
            if let Ok(number) = text.parse() {
                return Some(Number::Unsigned(number));
            }
        } else if digits != "0"
            && let Ok(number) = text.parse()
        {
            return Some(Number::Signed(number));
        }
    }
    None
}

/// Whether the text is a number by the JSON grammar. Rust's `parse` accepts more, such as `+1` and `inf`.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}
