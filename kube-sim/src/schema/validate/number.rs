//! Judges numbers: whether the declared type and format can hold the value and the limits, and the limits themselves.
//!
//! Numbers are what Go reads: an int64 where the text is one, else a float64. A limit is always a float64, so that one which
//! no int64 holds, such as a `maximum` of 2^63 - 1, refuses every value of an integer field.

use std::cmp::Ordering;

use serde_json::Value;

use super::super::field_error::{FieldError, go_float};
use super::super::node::{Bound, Kind, Schema};
use super::Outcome;

/// The largest magnitude up to which a float64 counts as a whole number.
const MAX_WHOLE: f64 = 9_007_199_254_740_991.0;

/// Checks `value`, a number, whose place is `path`.
pub(super) fn check(schema: &Schema, value: &Value, path: &str, out: &mut Outcome) {
    let Some(number) = value.as_f64() else { return };
    let whole = value.as_i64();
    let capacity = Capacity { kind: schema.kind(), format: schema.format.as_deref(), path };
    if !whole.map_or_else(|| capacity.holds(number), |whole| capacity.holds_whole(whole)) {
        out.errors.push(capacity.exceeded("Checked"));
    }
    let judge = Judge { value, number, path };
    let rules = &schema.rules;
    if let Some(factor) = rules.multiple_of {
        let fits = capacity.holds(factor);
        out.errors.extend((!fits).then(|| capacity.exceeded("MultipleOf")));
        out.errors.extend(match whole.filter(|_| fits) {
            Some(whole) => judge.multiple_of_whole(whole, go_int64(factor)),
            None => judge.multiple_of(fits, factor),
        });
    }
    let bounds = [
        ("Minimum boundary", rules.minimum, "greater than", Ordering::Greater),
        ("Maximum boundary", rules.maximum, "less than", Ordering::Less),
    ];
    for (name, bound, relation, wanted) in bounds {
        let Some(Bound { value: limit, exclusive }) = bound else { continue };
        let fits = capacity.holds(limit);
        out.errors.extend((!fits).then(|| capacity.exceeded(name)));
        let (order, limit) = match whole.filter(|_| fits) {
            Some(whole) => (whole.cmp(&go_int64(limit)), go_int64(limit).to_string()),
            None => (number.partial_cmp(&limit).unwrap_or(Ordering::Equal), go_float(limit)),
        };
        if order != wanted && (exclusive || order != Ordering::Equal) {
            let or_equal = if exclusive { "" } else { " or equal to" };
            out.errors.push(judge.complaint(fits, &format!("{relation}{or_equal} {limit}")));
        }
    }
    out.checks += 1;
}

/// One number at one place. Where the type holds the limit, an int64 is compared with the limit's whole part, as the server
/// does: with a `maximum` of 3.5 of a number, 4 is "less than or equal to 3" or not.
struct Judge<'a> {
    value: &'a Value,
    number: f64,
    path: &'a str,
}

impl Judge<'_> {
    fn multiple_of_whole(&self, whole: i64, factor: i64) -> Option<FieldError> {
        if factor <= 0 {
            return Some(self.no_factor(factor.into(), &factor.to_string()));
        }
        (whole % factor != 0).then(|| self.complaint(true, &format!("a multiple of {factor}")))
    }

    fn multiple_of(&self, fits: bool, factor: f64) -> Option<FieldError> {
        if factor <= 0.0 {
            return Some(self.no_factor(factor.into(), &go_float(factor)));
        }
        // Small factors are inverted first, as the server does.
        let quotient = if factor < 1.0 { 1.0 / factor * self.number } else { self.number / factor };
        (!is_whole(quotient)).then(|| self.complaint(fits, &format!("a multiple of {}", go_float(factor))))
    }

    fn no_factor(&self, factor: Value, text: &str) -> FieldError {
        let detail = format!("factor MultipleOf declared for {} must be positive: {text}", self.path);
        FieldError::invalid(self.field(), factor, detail)
    }

    /// A limit that the type cannot hold is compared, and the value shown, as a float64.
    fn complaint(&self, fits: bool, requirement: &str) -> FieldError {
        let value = if fits { self.value.clone() } else { Value::from(self.number) };
        FieldError::invalid(self.field(), value, format!("{} in body should be {requirement}", self.path))
    }

    fn field(&self) -> &str {
        self.path.trim_start_matches('.')
    }
}

/// What a field's type and format can hold.
struct Capacity<'a> {
    kind: Kind,
    format: Option<&'a str>,
    path: &'a str,
}

impl Capacity<'_> {
    fn holds_whole(&self, number: i64) -> bool {
        !(self.kind == Kind::Integer && self.format == Some("int32")) || i32::try_from(number).is_ok()
    }

    fn holds(&self, number: f64) -> bool {
        match (self.kind, self.format) {
            (Kind::Integer, _) => as_i64(number).is_some_and(|whole| self.holds_whole(whole)),
            (Kind::Number, Some("float")) => number.abs() <= f64::from(f32::MAX),
            _ => true,
        }
    }

    fn exceeded(&self, what: &str) -> FieldError {
        let name = if self.kind == Kind::Integer { "integer" } else { "number" };
        let known = self.format.filter(|format| match self.kind {
            Kind::Integer => matches!(*format, "int32" | "int64"),
            _ => matches!(*format, "float" | "double"),
        });
        let format = known.map_or("(default format)".to_owned(), |format| format!("with format {format}"));
        let detail = format!("{what} value must be of type {name} {format} in {}", self.path);
        FieldError::invalid("", "", detail)
    }
}

/// Whether a server takes a float64 for a whole number.
pub(super) fn is_whole(number: f64) -> bool {
    number.abs() <= MAX_WHOLE && (number - number.round()).abs() <= 1e-9 * number.abs().max(1.0)
}

/// The int64 that a float64 is, if it is one.
fn as_i64(number: f64) -> Option<i64> {
    // The server judges the shortest text, which for a whole float64 has neither point nor exponent: that of -2^63 is
    // -9223372036854776000 and no int64.
    number.to_string().parse().ok()
}

/// The whole part of a float64, or what the conversion makes of one that is too large.
fn go_int64(number: f64) -> i64 {
    format!("{:.0}", number.trunc()).parse().unwrap_or(i64::MIN)
}
