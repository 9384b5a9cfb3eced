//! The operators `!` and `in`, the comparison operators and the arithmetic operators. `eval` evaluates all other operators.

use std::cmp::Ordering;

use cel::common::ast::operators as op;

use super::time;
use crate::cel::value::{Failure, Outcome, Val};

/// Calls a function of this library; see [`Library`](super::Library).
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
    Some(match (name, arguments) {
        (op::LOGICAL_NOT, [Val::Bool(value)]) => Ok(Val::Bool(!value)),
        (op::NEGATE, [Val::Int(value)]) => int_or_overflow(value.checked_neg()),
        (op::NEGATE, [Val::Double(value)]) => Ok(Val::Double(-value)),
        (op::EQUALS, [a, b]) => Ok(Val::Bool(a.equals(b))),
        (op::NOT_EQUALS, [a, b]) => Ok(Val::Bool(!a.equals(b))),
        (op::LESS, [a, b]) => compare_with(a, b, Ordering::is_lt),
        (op::LESS_EQUALS, [a, b]) => compare_with(a, b, Ordering::is_le),
        (op::GREATER, [a, b]) => compare_with(a, b, Ordering::is_gt),
        (op::GREATER_EQUALS, [a, b]) => compare_with(a, b, Ordering::is_ge),
        (op::IN, [value, Val::List(list)]) => Ok(Val::Bool(list.contains(value))),
        (op::IN, [key, Val::Map(map)]) => map.get(key).transpose().map(|found| Val::Bool(found.is_some())),
        (op::ADD, [Val::List(a), Val::List(b)]) => a.plus(b),
        (op::ADD, [Val::String(a), Val::String(b)]) => Ok(Val::text(format!("{a}{b}"))),
        (op::ADD, [Val::Bytes(a), Val::Bytes(b)]) => Ok(Val::Bytes([&a[..], &b[..]].concat().into())),
        (op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO, [a, b]) => {
            evaluate_arithmetic(name, a, b)?
        }
        _ => return None,
    })
}

/// Compares two values. `holds` returns the result of the operator for an `Ordering`.
fn compare_with<'a>(a: &Val<'a>, b: &Val<'a>, holds: fn(Ordering) -> bool) -> Outcome<'a> {
    Ok(Val::Bool(holds(a.compare(b)?)))
}

/// Converts the result of a checked operation to a value. `None` means that the operation overflowed.
fn int_or_overflow<'a>(value: Option<i64>) -> Outcome<'a> {
    value.map(Val::Int).ok_or_else(|| Failure::new("integer overflow"))
}

/// Evaluates `+`, `-`, `*`, `/` or `%` on numbers, durations or timestamps; `None` if the operator has no overload for
/// the values.
fn evaluate_arithmetic<'a>(operator: &str, a: &Val<'a>, b: &Val<'a>) -> Option<Outcome<'a>> {
    let unsigned =
        |value: Option<u64>| value.map(Val::Uint).ok_or_else(|| Failure::new("unsigned integer overflow"));
    let by_zero = |operator: &str| {
        Err(Failure::new(if operator == op::MODULO { "modulus by zero" } else { "division by zero" }))
    };
    Some(match (a, b) {
        (Val::Int(_), Val::Int(0)) | (Val::Uint(_), Val::Uint(0))
            if matches!(operator, op::DIVIDE | op::MODULO) =>
        {
            by_zero(operator)
        }
        (Val::Int(a), Val::Int(b)) => int_or_overflow(match operator {
            op::ADD => a.checked_add(*b),
            op::SUBSTRACT => a.checked_sub(*b),
            op::MULTIPLY => a.checked_mul(*b),
            op::DIVIDE => a.checked_div(*b),
            _ => a.checked_rem(*b),
        }),
        (Val::Uint(a), Val::Uint(b)) => unsigned(match operator {
            op::ADD => a.checked_add(*b),
            op::SUBSTRACT => a.checked_sub(*b),
            op::MULTIPLY => a.checked_mul(*b),
            op::DIVIDE => a.checked_div(*b),
            _ => a.checked_rem(*b),
        }),
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(match operator {
            op::ADD => a + b,
            op::SUBSTRACT => a - b,
            op::MULTIPLY => a * b,
            op::DIVIDE => a / b,
            _ => return None,
        })),
        _ => time::evaluate_arithmetic(operator, a, b)?,
    })
}
