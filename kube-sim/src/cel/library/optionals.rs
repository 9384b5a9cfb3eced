//! Functions for optional values, such as `optional.of` and `hasValue`.

use crate::cel::value::{Failure, Outcome, Val};

/// Calls a function of this library; see [`Library`](super::Library).
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
    Some(match (name, arguments) {
        ("optional.of", [value]) => Ok(Val::some(value.clone())),
        ("optional.ofNonZeroValue", [value]) => {
            Ok(if value.is_zero() { Val::NONE } else { Val::some(value.clone()) })
        }
        ("optional.none", []) => Ok(Val::NONE),
        ("value", [Val::Optional(Some(value))]) => Ok((**value).clone()),
        ("value", [Val::Optional(None)]) => Err(Failure::new("optional.none() dereference")),
        ("hasValue", [Val::Optional(value)]) => Ok(Val::Bool(value.is_some())),
        ("first", [Val::List(list)]) => list.get(0).transpose().map(|item| item.map_or(Val::NONE, Val::some)),
        ("last", [Val::List(list)]) => match list.len().checked_sub(1).and_then(|last| list.get(last)) {
            Some(item) => item.map(Val::some),
            None => Ok(Val::NONE),
        },
        ("optional.unwrap" | "unwrapOpt", [Val::List(list)]) => list.items().map(|items| {
            let present = items.into_iter().filter_map(|item| match item {
                Val::Optional(value) => value.map(|value| (*value).clone()),
                other => Some(other),
            });
            Val::list(present.collect())
        }),
        _ => return None,
    })
}
