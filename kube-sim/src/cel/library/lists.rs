//! Functions for lists, sets and maps.

use std::cmp::Ordering;

use cel::common::ast::operators as op;

use super::arithmetic;
use crate::cel::value::{Failure, List, Mapping, Outcome, Val};

/// Calls a function of this library; see [`Library`](super::Library).
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
    if name == "cel.@mapInsert" {
        return insert_entries(arguments);
    }
    if name == "lists.range"
        && let [Val::Int(count)] = arguments
    {
        return Some(range(*count));
    }
    let (Val::List(list), rest) = arguments.split_first()? else { return None };
    Some(match (name, rest) {
        ("isSorted", []) => is_sorted(list),
        ("sum", []) => sum(list),
        ("max", []) => max_or_min(list, name, Ordering::Greater),
        ("min", []) => max_or_min(list, name, Ordering::Less),
        ("indexOf", [value]) => {
            Ok(index_or_minus_one(list.iter().position(|item| equals_value(&item, value))))
        }
        ("lastIndexOf", [value]) => Ok(index_or_minus_one(
            (0..list.len()).rev().find(|at| list.get(*at).is_some_and(|item| equals_value(&item, value))),
        )),
        ("slice", [Val::Int(start), Val::Int(end)]) => slice(list, *start, *end),
        ("flatten", []) => flatten(list, 1).map(Val::list),
        ("flatten", [Val::Int(depth)]) if *depth < 0 => Err(Failure::new("level must be non-negative")),
        ("flatten", [Val::Int(depth)]) => flatten(list, *depth).map(Val::list),
        ("sort", []) => sort(list, list),
        ("@sortByAssociatedKeys", [Val::List(keys)]) => sort(list, keys),
        ("reverse", []) => list.items().map(|items| Val::list(items.into_iter().rev().collect())),
        ("distinct", []) => list.items().map(|items| {
            let mut unique: Vec<Val<'a>> = Vec::new();
            for item in items {
                if !unique.iter().any(|known| known.equals(&item)) {
                    unique.push(item);
                }
            }
            Val::list(unique)
        }),
        ("sets.contains", [Val::List(part)]) => Ok(Val::Bool(contains_all(list, part))),
        ("sets.equivalent", [Val::List(other)]) => {
            Ok(Val::Bool(contains_all(list, other) && contains_all(other, list)))
        }
        ("sets.intersects", [Val::List(other)]) => {
            Ok(Val::Bool(list.iter().flatten().any(|item| other.contains(&item))))
        }
        _ => return None,
    })
}

/// Whether an item equals a value. An item that is an error equals no value.
fn equals_value<'a>(item: &Outcome<'a>, value: &Val<'a>) -> bool {
    item.as_ref().is_ok_and(|item| item.equals(value))
}

/// Converts an index to a value; -1 for `None`.
fn index_or_minus_one(at: Option<usize>) -> Val<'static> {
    Val::Int(at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1))
}

/// Whether `list` contains all items of `part`. Ignores an item of `part` that is an error.
fn contains_all<'a>(list: &List<'a>, part: &List<'a>) -> bool {
    part.iter().flatten().all(|item| list.contains(&item))
}

fn is_sorted<'a>(list: &List<'a>) -> Outcome<'a> {
    let items = list.items()?;
    for pair in items.windows(2) {
        if pair[0].compare(&pair[1])? == Ordering::Greater {
            return Ok(Val::Bool(false));
        }
    }
    Ok(Val::Bool(true))
}

fn sum<'a>(list: &List<'a>) -> Outcome<'a> {
    let mut items = list.items()?.into_iter();
    let Some(mut total) = items.next() else { return Ok(Val::Int(0)) };
    for item in items {
        total =
            arithmetic::call(op::ADD, &[total, item]).unwrap_or_else(|| Err(Failure::no_such_overload()))?;
    }
    Ok(total)
}

/// The maximum of a list if `wanted` is `Greater`; the minimum if `wanted` is `Less`. `name` is the name of the function.
fn max_or_min<'a>(list: &List<'a>, name: &str, wanted: Ordering) -> Outcome<'a> {
    let mut items = list.items()?.into_iter();
    let Some(mut best) = items.next() else {
        return Err(Failure::new(format!("{name} called on empty list")));
    };
    for item in items {
        if item.compare(&best)? == wanted {
            best = item;
        }
    }
    Ok(best)
}

fn slice<'a>(list: &List<'a>, start: i64, end: i64) -> Outcome<'a> {
    let problem = |why: String| Err(Failure::new(format!("cannot slice({start}, {end}), {why}")));
    let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
    if start < 0 || end < 0 {
        return problem("negative indexes not supported".to_owned());
    }
    if start > end {
        return problem("start index must be less than or equal to end index".to_owned());
    }
    if length < end {
        return problem(format!("list is length {length}"));
    }
    let at = |index: i64| usize::try_from(index).unwrap_or(usize::MAX);
    Ok(Val::list(list.items()?[at(start)..at(end)].to_vec()))
}

fn flatten<'a>(list: &List<'a>, depth: i64) -> Result<Vec<Val<'a>>, Failure> {
    let mut flat = Vec::new();
    for item in list.items()? {
        match item {
            Val::List(inner) if depth > 0 => flat.extend(flatten(&inner, depth - 1)?),
            other => flat.push(other),
        }
    }
    Ok(flat)
}

/// Sorts `list` by `keys`. The key of an item has the same index as the item.
fn sort<'a>(list: &List<'a>, keys: &List<'a>) -> Outcome<'a> {
    let keys = keys.items()?;
    if keys.windows(2).any(|pair| pair[0].type_name() != pair[1].type_name()) {
        return Err(Failure::new("list elements must have the same type"));
    }
    let mut pairs: Vec<(Val<'a>, Val<'a>)> = keys.into_iter().zip(list.items()?).collect();
    pairs.sort_by(|a, b| a.0.compare(&b.0).unwrap_or(Ordering::Equal));
    Ok(Val::list(pairs.into_iter().map(|(_, item)| item).collect()))
}

fn range<'a>(count: i64) -> Outcome<'a> {
    const MAX_SIZE: i64 = 10_000_000;
    if count < 0 {
        return Err(Failure::new(format!("lists.range: size must be non-negative, got {count}")));
    }
    if count > MAX_SIZE {
        return Err(Failure::new(format!("lists.range: size {count} exceeds maximum allowed ({MAX_SIZE})")));
    }
    Ok(Val::list((0..count).map(Val::Int).collect()))
}

/// Evaluates `cel.@mapInsert`, which adds an entry, or the entries of another map, to a map.
fn insert_entries<'a>(arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
    let (Val::Map(map), rest) = arguments.split_first()? else { return None };
    let added: Vec<(Val<'a>, Val<'a>)> = match rest {
        [key, value] => vec![(key.clone(), value.clone())],
        [Val::Map(other)] => entries(other),
        _ => return None,
    };
    let mut all = entries(map);
    for (key, value) in added {
        if all.iter().any(|(known, _)| known.equals(&key)) {
            let key = super::convert::format_for_error(&key);
            return Some(Err(Failure::new(format!("insert failed: key {key} already exists"))));
        }
        all.push((key, value));
    }
    Some(Ok(Val::map(all)))
}

fn entries<'a>(map: &Mapping<'a>) -> Vec<(Val<'a>, Val<'a>)> {
    let value = |key: Val<'a>| Some((key.clone(), map.get(&key)?.ok()?));
    map.keys().into_iter().filter_map(value).collect()
}
