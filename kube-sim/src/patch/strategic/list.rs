//! The merging and ordering of lists in a strategic merge patch.
//!
//! This module owns the ordering rules: items in the patch get the order of the patch. The other items keep their
//! position relative to the items in the patch where possible.

use serde_json::{Map, Value};

use super::{Field, PATCH_DIRECTIVE, merge_map, missing_merge_key_error, unknown_directive_error};
use crate::patch::{PatchError, go_format};

/// The type of the items of a list.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum ItemKind {
    Maps,
    Scalars,
}

/// Merges `patch` into `original`. If `deletes` is set and the items are scalars, removes the items of
/// `patch` from `original` instead. If `deletes` is not set and the patch strategy of the field is not
/// `merge`, returns `patch`.
pub(super) fn merge_lists(
    original: Vec<Value>,
    patch: Vec<Value>,
    field: &Field<'_>,
    deletes: bool,
) -> Result<Vec<Value>, PatchError> {
    if field.strategy != "merge" && !deletes {
        return Ok(patch);
    }
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    let kind = item_kind(&[&original, &patch])?;
    if kind == ItemKind::Scalars {
        if deletes {
            return Ok(original.into_iter().filter(|item| !patch.contains(item)).collect());
        }
        let merged = dedup([original.clone(), patch.clone()].concat());
        let (ours, theirs) = partition(merged, &patch, field.merge_key)?;
        return merge_in_order(ours, theirs, &patch, &original, field.merge_key, kind);
    }
    if field.merge_key.is_empty() {
        return Err(PatchError::Internal("cannot merge lists without merge key for struct".to_owned()));
    }
    let (mut original, patch) = apply_item_directives(original, patch, field.merge_key)?;
    let present = original.len();
    for item in &patch {
        let map = as_map(item)?;
        let key = map.get(field.merge_key).ok_or_else(|| missing_merge_key_error(map, field.merge_key))?;
        let found = position_of_key(&original, field.merge_key, key)?;
        match found {
            Some(index) => {
                let before = original[index].as_object().cloned().unwrap_or_default();
                original[index] = Value::Object(merge_map(before, map.clone(), field.schema)?);
            }
            None => original.push(item.clone()),
        }
    }
    let server = original[..present].to_vec();
    let (ours, theirs) = partition(original, &patch, field.merge_key)?;
    merge_in_order(ours, theirs, &patch, &server, field.merge_key, kind)
}

/// Applies the items of `patch` that have a directive. `delete` removes the original items with the same value of the
/// merge key, and `replace` removes all original items. Returns the remaining original items, and the patch items that
/// have no directive.
fn apply_item_directives(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    merge_key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut plain = Vec::new();
    let mut replace = false;
    for item in patch {
        let map = as_map(&item)?;
        match map.get(PATCH_DIRECTIVE).map(|directive| (directive, directive.as_str())) {
            None => plain.push(item),
            Some((_, Some("delete"))) => {
                let key = map.get(merge_key).ok_or_else(|| missing_merge_key_error(map, merge_key))?;
                while let Some(index) = position_of_key(&original, merge_key, key)? {
                    original.remove(index);
                }
            }
            Some((_, Some("replace"))) => replace = true,
            Some((_, Some("merge"))) => {
                return Err(PatchError::Internal(
                    "merging lists cannot yet be specified in the patch".to_owned(),
                ));
            }
            Some((directive, _)) => return Err(unknown_directive_error(directive, map)),
        }
    }
    Ok((if replace { Vec::new() } else { original }, plain))
}

/// Returns the common type of the items of all `lists`. Returns an error if the types differ, if the first item is a
/// list, or if there are no items.
pub(super) fn item_kind(lists: &[&[Value]]) -> Result<ItemKind, PatchError> {
    let mut items = lists.iter().flat_map(|list| list.iter());
    let Some(first) = items.next() else {
        return Err(PatchError::Internal("no elements in any of the given slices".to_owned()));
    };
    if first.is_array() {
        return Err(PatchError::Unprocessable(
            "the server rejected our request due to an error in our request".to_owned(),
        ));
    }
    if items.any(|item| go_format::type_name(item) != go_format::type_name(first)) {
        let lists: Vec<Value> = lists.iter().map(|list| Value::Array(list.to_vec())).collect();
        let lists = go_format::format_value(&Value::Array(lists));
        return Err(PatchError::Internal(format!("list element types are not identical: {lists}")));
    }
    Ok(if first.is_object() { ItemKind::Maps } else { ItemKind::Scalars })
}

/// Splits `list` into the items that are also in `by` and the items that are not. Compares items by the value of the
/// merge key if `merge_key` is not empty.
pub(super) fn partition(
    list: Vec<Value>,
    by: &[Value],
    merge_key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    if merge_key.is_empty() {
        return Ok(list.into_iter().partition(|item| by.contains(item)));
    }
    let mut mentioned = Vec::new();
    let mut others = Vec::new();
    for item in list {
        let map = as_map(&item)?;
        let key = map.get(merge_key).ok_or_else(|| missing_merge_key_error(map, merge_key))?;
        let target =
            if position_of_key(by, merge_key, key)?.is_some() { &mut mentioned } else { &mut others };
        target.push(item);
    }
    Ok((mentioned, others))
}

/// Sorts `ours`, the items that the patch or its `$setElementOrder` contains, by `our_order`. Sorts `theirs`, the other
/// items, by `server_order`. Then merges `ours` and `theirs`: an item of `theirs` comes before the next item of `ours` only
/// if `server_order` contains both in this order.
pub(super) fn merge_in_order(
    ours: Vec<Value>,
    theirs: Vec<Value>,
    our_order: &[Value],
    server_order: &[Value],
    merge_key: &str,
    kind: ItemKind,
) -> Result<Vec<Value>, PatchError> {
    let ours = sort_by_order(ours, our_order, merge_key, kind)?;
    let theirs = sort_by_order(theirs, server_order, merge_key, kind)?;
    let rank = |item: &Value| rank(server_order, item, merge_key, kind);
    let mut merged = Vec::with_capacity(ours.len() + theirs.len());
    let mut ours = ours.into_iter().peekable();
    let mut theirs = theirs.into_iter().peekable();
    while let (Some(our), Some(their)) = (ours.peek(), theirs.peek()) {
        let before = matches!((rank(their), rank(our)), (Some(their), Some(our)) if their < our);
        merged.extend(if before { theirs.next() } else { ours.next() });
    }
    merged.extend(ours);
    merged.extend(theirs);
    Ok(merged)
}

/// Sorts `list` by `order` with an insertion sort, as Go's `sort` does for short lists. Maps with a `delete` directive
/// come last. The result depends on the algorithm, because the comparison is inconsistent: if one of two items `a` and
/// `b` is not in `order`, then both `a < b` and `b < a` hold.
fn sort_by_order(
    list: Vec<Value>,
    order: &[Value],
    merge_key: &str,
    kind: ItemKind,
) -> Result<Vec<Value>, PatchError> {
    let (mut list, deleted) = match kind {
        ItemKind::Scalars => (list, Vec::new()),
        ItemKind::Maps => {
            for item in list.iter().chain(order) {
                let map = as_map(item)?;
                if !map.contains_key(merge_key) {
                    return Err(missing_merge_key_error(map, merge_key));
                }
            }
            let kept = |item: &Value| item.get(PATCH_DIRECTIVE).and_then(Value::as_str) != Some("delete");
            list.into_iter().partition(kept)
        }
    };
    let less = |left: &Value, right: &Value| {
        let ranks = (rank(order, left, merge_key, kind), rank(order, right, merge_key, kind));
        matches!(ranks, (None, _) | (_, None)) || ranks.0 < ranks.1
    };
    for end in 1..list.len() {
        let mut at = end;
        while at > 0 && less(&list[at], &list[at - 1]) {
            list.swap(at, at - 1);
            at -= 1;
        }
    }
    list.extend(deleted);
    Ok(list)
}

/// The index in `order` of the first entry that is equal to `item` or, for maps, has the same value of the merge key.
fn rank(order: &[Value], item: &Value, merge_key: &str, kind: ItemKind) -> Option<usize> {
    match kind {
        ItemKind::Scalars => order.iter().position(|known| known == item),
        ItemKind::Maps => order.iter().position(|known| known.get(merge_key) == item.get(merge_key)),
    }
}

/// Checks that `order`, the value of `$setElementOrder`, contains all items of `patch` in the same order. An empty
/// `order` is not checked. Items with a `delete` directive are skipped. An item with another directive is
/// skipped if it comes before the item that matches the last entry of `order`. If it comes after that item,
/// it is an error, as in the API server.
pub(super) fn check_order(patch: &[Value], order: &[Value], merge_key: &str) -> Result<(), PatchError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut items = Vec::new();
    for item in patch {
        let deletes = !merge_key.is_empty()
            && as_map(item)?.get(PATCH_DIRECTIVE).is_some_and(|directive| directive == "delete");
        if !deletes {
            items.push(item);
        }
    }
    let (mut at, mut rank) = (0, 0);
    while let (Some(item), Some(wanted)) = (items.get(at), order.get(rank)) {
        if item.get(PATCH_DIRECTIVE).is_some() {
            at += 1;
            continue;
        }
        if is_same_item(item, wanted, merge_key)? {
            at += 1;
        }
        rank += 1;
    }
    if at == items.len() {
        return Ok(());
    }
    let show = |list: &[Value]| go_format::format_value(&Value::Array(list.to_vec()));
    let (patch, order) = (show(patch), show(order));
    let message =
        format!("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n");
    Err(PatchError::Internal(message))
}

/// Whether two items have the same value of the merge key. If `merge_key` is empty, whether they are equal.
fn is_same_item(left: &Value, right: &Value, merge_key: &str) -> Result<bool, PatchError> {
    if merge_key.is_empty() {
        return Ok(left == right);
    }
    let key = |item| {
        let map = as_map(item)?;
        map.get(merge_key).ok_or_else(|| missing_merge_key_error(map, merge_key))
    };
    Ok(key(left)? == key(right)?)
}

/// The index of the first item whose merge key has the value `key`.
fn position_of_key(list: &[Value], merge_key: &str, key: &Value) -> Result<Option<usize>, PatchError> {
    for (index, item) in list.iter().enumerate() {
        let Value::Object(map) = item else {
            return Err(PatchError::Internal(format!("value for key {index} is not a map")));
        };
        if map.get(merge_key) == Some(key) {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// Returns the item as a map, or an error if it is not a map.
fn as_map(item: &Value) -> Result<&Map<String, Value>, PatchError> {
    item.as_object().ok_or_else(|| {
        let found = go_format::type_name(item);
        PatchError::Internal(format!("expected a map[string]interface {{}}, but received a {found}"))
    })
}

/// Removes duplicates. As in the API server, the last item of the list moves to the index of the removed item.
fn dedup(mut list: Vec<Value>) -> Vec<Value> {
    let mut first = 0;
    while first < list.len() {
        let mut other = first + 1;
        while other < list.len() {
            if list[first] == list[other] {
                list.swap_remove(other);
            } else {
                other += 1;
            }
        }
        first += 1;
    }
    list
}
