//! The declarations of operators and functions: the standard library of CEL and the libraries that Kubernetes adds.
//!
//! This module owns the table `functions.txt`, which must contain each function. `library` evaluates most of the
//! functions. `eval` evaluates the other functions, or lets `authorization` evaluate them.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::authorization;
use super::types::{Param, Type};

/// One signature of a function.
#[derive(Debug)]
pub(super) struct Overload {
    pub(super) id: String,
    /// Whether the first argument is the target: `target.function(..)`.
    pub(super) member: bool,
    pub(super) arguments: Vec<Type>,
    pub(super) result: Type,
}

/// The overloads of the function `name`; `None` if there is no such function.
pub(super) fn overloads(name: &str) -> Option<&'static [Overload]> {
    TABLE.get(name).map(Vec::as_slice)
}

/// The type of the identifier `name` if `name` is the name of a type: `type(int)` for `int`, `type(net.IP)` for `net.IP`.
pub(super) fn type_of_identifier(name: &str) -> Option<Type> {
    let ty = match name {
        "bool" => Type::Bool,
        "bytes" => Type::Bytes,
        "double" => Type::Double,
        "duration" | "google.protobuf.Duration" => Type::Duration,
        "int" => Type::Int,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "null_type" => Type::Null,
        "string" => Type::String,
        "timestamp" | "google.protobuf.Timestamp" => Type::Timestamp,
        "type" => Type::Meta(Type::Dyn.into()),
        "uint" => Type::Uint,
        "optional_type" => Type::optional(Type::Dyn),
        _ => Type::Named(kubernetes_type(name)?),
    };
    Some(Type::Meta(ty.into()))
}

/// Returns `name` if a Kubernetes library other than the authorization library has a type with this name.
fn kubernetes_type(name: &str) -> Option<&'static str> {
    const NAMES: [&str; 6] = [
        "net.IP",
        "net.CIDR",
        "kubernetes.URL",
        "kubernetes.Quantity",
        "kubernetes.Semver",
        "kubernetes.NamedFormat",
    ];
    NAMES.into_iter().find(|known| *known == name)
}

/// The overloads in `functions.txt`, by the name of their function.
static TABLE: LazyLock<HashMap<&'static str, Vec<Overload>>> = LazyLock::new(|| {
    let mut table: HashMap<&str, Vec<Overload>> = HashMap::new();
    for line in include_str!("functions.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.splitn(3, ' ');
        let (Some(name), Some(id), Some(signature)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        for (id, signature) in expand_line(id, signature) {
            let overload = parse_overload(id, &signature);
            table.entry(name).or_default().push(overload);
        }
    }
    table
});

/// The ids and signatures of the overloads that a line of the table declares. A line with `$ordered` declares one
/// overload for each ordered type, and a line with `$summable` one overload for each summable type.
fn expand_line(id: &str, signature: &str) -> Vec<(String, String)> {
    const SUMMABLE_TYPES: &[&str] = &["int", "uint", "double", "duration"];
    const ORDERED_TYPES: &[&str] =
        &["int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes"];
    for (variable, types) in [("$ordered", ORDERED_TYPES), ("$summable", SUMMABLE_TYPES)] {
        if signature.contains(variable) {
            let overload = |name: &&str| (id.replace('$', name), signature.replace(variable, name));
            return types.iter().map(overload).collect();
        }
    }
    vec![(id.to_owned(), signature.to_owned())]
}

/// Parses a signature such as `.(list(A), A) -> int`; a leading dot marks a member function.
fn parse_overload(id: String, signature: &str) -> Overload {
    let member = signature.starts_with('.');
    let (arguments, result) =
        signature.trim_start_matches('.').rsplit_once(" -> ").unwrap_or((signature, "dyn"));
    let inner = &arguments[1..arguments.len() - 1];
    Overload {
        id,
        member,
        arguments: split_at_commas(inner).into_iter().map(parse_type).collect(),
        result: parse_type(result),
    }
}

fn parse_type(text: &str) -> Type {
    if let Some((outer, inner)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let mut inner = split_at_commas(inner).into_iter().map(parse_type);
        let mut next = || inner.next().unwrap_or(Type::Dyn);
        return match outer {
            "list" => Type::list(next()),
            "optional" => Type::optional(next()),
            "type" => Type::Meta(next().into()),
            _ => {
                let key = next();
                Type::map(key, next())
            }
        };
    }
    match text {
        "dyn" => Type::Dyn,
        one if one.len() == 1 => Type::Param(Param::Declared(one.chars().next().unwrap_or('A'))),
        name => match type_of_identifier(name) {
            Some(Type::Meta(ty)) => (*ty).clone(),
            _ => authorization::known_type_name(name).map_or(Type::Error, Type::Named),
        },
    }
}

/// Splits a text at the commas that are outside of parentheses.
fn split_at_commas(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (index, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    if !text[start..].trim().is_empty() {
        parts.push(text[start..].trim());
    }
    parts
}

#[cfg(test)]
mod tests;
