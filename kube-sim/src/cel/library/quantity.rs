//! Functions for quantities such as `500m` and `1.5Gi`. An integer in units of 10^-9 represents a quantity.

use crate::cel::value::{Failure, Outcome, Val};
use crate::schema::{NANOS_PER_UNIT, parse_quantity};

/// Calls a function of this library; see [`Library`](super::Library).
#[expect(clippy::cast_precision_loss, reason = "the function returns an approximation")]
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
    Some(match (name, arguments) {
        ("quantity", [Val::String(text)]) => parse_quantity(text).map(Val::Quantity).map_err(Failure::new),
        ("isQuantity", [Val::String(text)]) => Ok(Val::Bool(parse_quantity(text).is_ok())),
        ("sign", [Val::Quantity(value)]) => Ok(Val::Int(i64::try_from(value.signum()).unwrap_or(0))),
        ("isGreaterThan", [Val::Quantity(a), Val::Quantity(b)]) => Ok(Val::Bool(a > b)),
        ("isLessThan", [Val::Quantity(a), Val::Quantity(b)]) => Ok(Val::Bool(a < b)),
        ("compareTo", [Val::Quantity(a), Val::Quantity(b)]) => Ok(Val::Int(a.cmp(b) as i64)),
        ("asApproximateFloat", [Val::Quantity(value)]) => {
            Ok(Val::Double(*value as f64 / NANOS_PER_UNIT as f64))
        }
        ("isInteger", [Val::Quantity(value)]) => Ok(Val::Bool(as_integer(*value).is_some())),
        ("asInteger", [Val::Quantity(value)]) => {
            as_integer(*value).map(Val::Int).ok_or_else(|| Failure::new("cannot convert value to integer"))
        }
        ("add", [Val::Quantity(a), Val::Quantity(b)]) => Ok(Val::Quantity(a.saturating_add(*b))),
        ("add", [Val::Quantity(a), Val::Int(b)]) => {
            Ok(Val::Quantity(a.saturating_add(i128::from(*b) * NANOS_PER_UNIT)))
        }
        ("sub", [Val::Quantity(a), Val::Quantity(b)]) => Ok(Val::Quantity(a.saturating_sub(*b))),
        ("sub", [Val::Quantity(a), Val::Int(b)]) => {
            Ok(Val::Quantity(a.saturating_sub(i128::from(*b) * NANOS_PER_UNIT)))
        }
        _ => return None,
    })
}

/// The integer that equals a quantity; `None` if the quantity has a fraction or is out of range.
fn as_integer(value: i128) -> Option<i64> {
    (value % NANOS_PER_UNIT == 0).then(|| i64::try_from(value / NANOS_PER_UNIT).ok()).flatten()
}
