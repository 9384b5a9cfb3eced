//! The cost of the evaluation of one call.

use cel::common::ast::operators as op;

use super::range::scaled;
use super::{LIST_CREATION_COST, MESSAGE_CREATION_COST, REGEX_COST, TRAVERSAL_COST};
use crate::cel::value::Val;

/// The cost of an evaluated call. `arguments` begins with the target of the call, if it has one. `result` is `None` if
/// the call failed.
pub(in crate::cel) fn call_cost(function: &str, arguments: &[Val<'_>], result: Option<&Val<'_>>) -> u64 {
    let size = |index: usize| arguments.get(index).map_or(1, Val::size);
    let traversal = |size: u64| scaled(size, TRAVERSAL_COST);
    let texts = matches!(arguments.first(), Some(Val::String(_) | Val::Bytes(_)));
    let allocating = |factor: f64, size: u64| scaled(size, factor).saturating_add(LIST_CREATION_COST + 1);
    match function {
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => {
            arguments.first().map_or(0, deep_traversal_cost)
        }
        "ip" if !texts => 1,
        // The cost limit of one evaluation is 1,000,000: it allows two checks.
        "check" => 350_000,
        "fieldSelector" | "labelSelector" => {
            let requirements = scaled(size(1), 0.5) * (LIST_CREATION_COST + MESSAGE_CREATION_COST);
            LIST_CREATION_COST + traversal(size(1)) + requirements
        }
        "url" | "ip" | "bytes" | "format" | "strings.quote" | "lowerAscii" | "upperAscii" | "substring"
        | "trim" | "cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity" | "semver" | "isSemver" => {
            traversal(size(0))
        }
        "replace" | "split" | "ip.isCanonical" => scaled(size(0), 2.0 * TRAVERSAL_COST),
        "join" => scaled(result.map_or(1, Val::size), 2.0 * TRAVERSAL_COST),
        "find" | "findAll" => scaled(size(0) + 1, TRAVERSAL_COST) * scaled(size(1), REGEX_COST),
        "matches" => scaled(size(0) + 1, TRAVERSAL_COST).saturating_mul(scaled(size(1), REGEX_COST)),
        "validate" => scaled(size(1) + 1, TRAVERSAL_COST) * scaled(60, REGEX_COST),
        "containsIP" => {
            let parsed =
                if matches!(arguments.get(1), Some(Val::String(_))) { traversal(size(1)) } else { 0 };
            traversal(2 * size(0)) + parsed
        }
        "containsCIDR" => {
            let parsed =
                if matches!(arguments.get(1), Some(Val::String(_))) { traversal(size(1)) } else { 0 };
            traversal(2 * size(0)) + traversal(size(0)) + 1 + parsed
        }
        "startsWith" | "endsWith" => traversal(size(1)),
        "string" if matches!(arguments.first(), Some(Val::Bytes(_))) => traversal(size(0)),
        "contains" => traversal(size(0)).saturating_mul(traversal(size(1))),
        op::IN if matches!(arguments.get(1), Some(Val::List(_))) => size(1),
        op::EQUALS | op::NOT_EQUALS => match arguments.first() {
            Some(
                Val::Quantity(_) | Val::Ip(_) | Val::Cidr(_) | Val::Format(_) | Val::Url(_) | Val::Semver(_),
            ) if function == op::EQUALS => 1,
            _ => traversal(size(0).min(size(1))),
        },
        op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS if texts => {
            traversal(size(0).min(size(1)))
        }
        op::ADD if texts => traversal(size(0).saturating_add(size(1))),
        "slice" | "lists.range" | "reverse" => allocating(1.0, result.map_or(0, Val::size)),
        "flatten" => allocating(1.0, size(0)),
        "distinct" | "sort" | "@sortByAssociatedKeys" => {
            let keys = arguments.last().map_or(0, Val::size);
            allocating(2.0, keys.saturating_mul(keys))
        }
        "sets.contains" | "sets.intersects" => 1 + size(0).saturating_mul(size(1)),
        "sets.equivalent" => 1 + size(0).saturating_mul(size(1)).saturating_mul(2),
        _ => 1,
    }
}

/// The cost of traversing a value with all its items and keys. Each value of a map costs 1, whatever it contains.
fn deep_traversal_cost(value: &Val<'_>) -> u64 {
    match value {
        Val::String(text) => text.len() as u64 / 10,
        Val::Bytes(bytes) => bytes.len() as u64 / 10,
        Val::List(list) => list.iter().flatten().map(|item| deep_traversal_cost(&item)).sum(),
        Val::Map(map) => {
            let entry = |key: &Val<'_>| deep_traversal_cost(key);
            map.keys().iter().map(entry).sum::<u64>() + map.len() as u64
        }
        _ => 1,
    }
}
