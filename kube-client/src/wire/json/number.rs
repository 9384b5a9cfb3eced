//! Numbers.

use super::Result;
use super::reader::{Reader, error};
use serde::de::{Unexpected, Visitor};

/// A number as JSON has it, in the smallest of the types that hold it whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Number {
    #[inline]
    pub(super) fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            Self::Unsigned(number) => visitor.visit_u64(number),
            Self::Signed(number) => visitor.visit_i64(number),
            Self::Float(number) => visitor.visit_f64(number),
        }
    }

    pub(super) fn unexpected(self) -> Unexpected<'static> {
        match self {
            Self::Unsigned(number) => Unexpected::Unsigned(number),
            Self::Signed(number) => Unexpected::Signed(number),
            Self::Float(number) => Unexpected::Float(number),
        }
    }
}

impl Reader<'_> {
    /// Reads a number, whose first byte was looked at.
    pub(super) fn number(&mut self) -> Result<Number> {
        self.number_by(|text| text.parse().ok().filter(|number: &f64| number.is_finite()))
    }

    /// The same, rounded to what an `f32` can be. A detour over an `f64` would round twice.
    pub(super) fn single(&mut self) -> Result<Number> {
        self.number_by(|text| text.parse().ok().filter(|number: &f32| number.is_finite()).map(f64::from))
    }

    /// Reads a number; `float` one that is no integer, and `None` from it means that the number is too large.
    #[inline]
    fn number_by(&mut self, float: impl FnOnce(&str) -> Option<f64>) -> Result<Number> {
        let text = self.number_text();
        match integer(text) {
            Some(number) => Ok(number),
            None if is_number(text) => {
                float(text).map(Number::Float).map_or_else(|| error("number out of range"), Ok)
            }
            None => error("invalid number"),
        }
    }

    /// Goes behind a number, however large.
    pub(super) fn skip_number(&mut self) -> Result<()> {
        if is_number(self.number_text()) { Ok(()) } else { error("invalid number") }
    }

    fn number_text(&mut self) -> &str {
        self.take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
    }
}

/// `None` for what is beyond the integers, and for minus zero, which is none.
fn integer(text: &str) -> Option<Number> {
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

/// Whether JSON calls it a number: Rust reads more than that.
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
