//! Validation of numbers: `minimum`, `maximum`, `multipleOf`, and the range of the type and format.
//!
//! As in Go, a number that is written without a fraction and without an exponent is an int64 if it fits into an int64.
//! Any other number is a float64. A bound or factor is always a float64. If a bound or factor of an integer
//! field is fractional or outside of the range of the field, the field rejects every number. For example, a
//! `maximum` of 2^63 - 1 rounds to 2^63, which is outside of the range of int64.

use std::cmp::Ordering;

use serde_json::Value;

use super::super::field_error::FieldError;
use super::super::go_float::format_go_float;
use super::super::node::{Bound, Kind, Schema};
use super::Findings;

/// The largest absolute value of a float64 that the server treats as an integer: 2^53 - 1.
const MAX_WHOLE_NUMBER: f64 = 9_007_199_254_740_991.0;

/// Validates the number `value` at `path`.
pub(super) fn check(schema: &Schema, value: &Value, path: &str, out: &mut Findings) {
    let Some(number) = value.as_f64() else { return };
    let whole = value.as_i64();
    let format_of_field = NumberFormat { kind: schema.kind(), format: schema.format.as_deref(), path };
    if !whole
        .map_or_else(|| format_of_field.contains_f64(number), |whole| format_of_field.contains_i64(whole))
    {
        out.errors.push(format_of_field.out_of_range_error("Checked"));
    }
    let validator = NumberValidator { value, number, path };
    let validations = &schema.validations;
    if let Some(factor) = validations.multiple_of {
        let fits = format_of_field.contains_f64(factor);
        out.errors.extend((!fits).then(|| format_of_field.out_of_range_error("MultipleOf")));
        out.errors.extend(match whole.filter(|_| fits) {
            Some(whole) => validator.check_multiple_of_i64(whole, truncate_to_i64(factor)),
            None => validator.check_multiple_of_f64(fits, factor),
        });
    }
    let bounds = [
        ("Minimum boundary", validations.minimum, "greater than", Ordering::Greater),
        ("Maximum boundary", validations.maximum, "less than", Ordering::Less),
    ];
    for (name, bound, relation, wanted) in bounds {
        let Some(Bound { value: limit, exclusive }) = bound else { continue };
        let fits = format_of_field.contains_f64(limit);
        out.errors.extend((!fits).then(|| format_of_field.out_of_range_error(name)));
        let (order, limit) = match whole.filter(|_| fits) {
            Some(whole) => (whole.cmp(&truncate_to_i64(limit)), truncate_to_i64(limit).to_string()),
            None => (number.partial_cmp(&limit).unwrap_or(Ordering::Equal), format_go_float(limit)),
        };
        if order != wanted && (exclusive || order != Ordering::Equal) {
            let or_equal = if exclusive { "" } else { " or equal to" };
            out.errors.push(validator.violation(fits, &format!("{relation}{or_equal} {limit}")));
        }
    }
    out.checks += 1;
}

/// Creates the errors about one number.
///
/// The server compares an int64 with a truncated bound: the bound without its fraction. The server does not
/// truncate a bound that the type and format of the field cannot represent. For example, a field of type
/// `number` with a `maximum` of 3.5 rejects the int64 4 with the error "should be less than or equal to 3".
struct NumberValidator<'a> {
    value: &'a Value,
    number: f64,
    path: &'a str,
}

impl NumberValidator<'_> {
    fn check_multiple_of_i64(&self, whole: i64, factor: i64) -> Option<FieldError> {
        if factor <= 0 {
            return Some(self.non_positive_factor_error(factor.into(), &factor.to_string()));
        }
        (whole % factor != 0).then(|| self.violation(true, &format!("a multiple of {factor}")))
    }

    /// Checks that the number is a multiple of `factor`. `fits` is true if the type and format of the field can
    /// represent `factor`.
    fn check_multiple_of_f64(&self, fits: bool, factor: f64) -> Option<FieldError> {
        if factor <= 0.0 {
            return Some(self.non_positive_factor_error(factor.into(), &format_go_float(factor)));
        }
        // For a factor below 1, the server multiplies by the reciprocal, which rounds differently than a division.
        let quotient = if factor < 1.0 { 1.0 / factor * self.number } else { self.number / factor };
        (!is_whole(quotient))
            .then(|| self.violation(fits, &format!("a multiple of {}", format_go_float(factor))))
    }

    fn non_positive_factor_error(&self, factor: Value, text: &str) -> FieldError {
        let detail = format!("factor MultipleOf declared for {} must be positive: {text}", self.path);
        FieldError::invalid(self.field_path(), factor, detail)
    }

    /// The error for a value that violates a bound or `multipleOf`. `fits` is true if the type can represent the bound
    /// or the factor. If `fits` is false, the error contains the value as a float64.
    fn violation(&self, fits: bool, requirement: &str) -> FieldError {
        let value = if fits { self.value.clone() } else { Value::from(self.number) };
        FieldError::invalid(
            self.field_path(),
            value,
            format!("{} in body should be {requirement}", self.path),
        )
    }

    /// The path of the field that contains the number, in the form that errors use.
    fn field_path(&self) -> &str {
        self.path.trim_start_matches('.')
    }
}

/// The type and the format of the field at `path`. They determine the range of its numbers.
struct NumberFormat<'a> {
    kind: Kind,
    format: Option<&'a str>,
    path: &'a str,
}

impl NumberFormat<'_> {
    /// Whether the range of the field contains the int64 `number`.
    fn contains_i64(&self, number: i64) -> bool {
        !(self.kind == Kind::Integer && self.format == Some("int32")) || i32::try_from(number).is_ok()
    }

    /// Whether the range of the field contains the float64 `number`.
    fn contains_f64(&self, number: f64) -> bool {
        match (self.kind, self.format) {
            (Kind::Integer, _) => as_i64(number).is_some_and(|whole| self.contains_i64(whole)),
            (Kind::Number, Some("float")) => number.abs() <= f64::from(f32::MAX),
            _ => true,
        }
    }

    /// The error for a value, bound or factor that the type and format cannot represent. `what` is the name of the value,
    /// bound or factor in the error.
    fn out_of_range_error(&self, what: &str) -> FieldError {
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

/// Whether the server treats a float64 as an integer. The server tolerates a relative error of 10^-9, and for numbers
/// between -1 and 1 an absolute error of 10^-9.
pub(super) fn is_whole(number: f64) -> bool {
    number.abs() <= MAX_WHOLE_NUMBER && (number - number.round()).abs() <= 1e-9 * number.abs().max(1.0)
}

/// Converts a float64 to int64; `None` if it is fractional or outside of int64.
fn as_i64(number: f64) -> Option<i64> {
    // As in Go, the float64 is formatted as the shortest decimal that round-trips, and the text is parsed as an int64.
    // This rejects -2^63, although int64 contains -2^63: the shortest decimal is -9223372036854776000.
    number.to_string().parse().ok()
}

/// Truncates a float64 to int64. A value outside of int64 becomes `i64::MIN`, as in Go on amd64.
fn truncate_to_i64(number: f64) -> i64 {
    format!("{:.0}", number.trunc()).parse().unwrap_or(i64::MIN)
}
