//! The admission plugin DefaultTolerationSeconds, and the union of two lists of tolerations.

use serde_json::{Value, json};

use crate::json::text;

/// Adds a toleration of 300 s for the taint `not-ready` and one for the taint `unreachable`. Omits the toleration of a
/// taint that the pod already tolerates.
pub(super) fn add_defaults(pod: &mut Value) {
    let Some(spec) = pod["spec"].as_object_mut() else { return };
    let list = spec.entry("tolerations").or_insert_with(|| json!([]));
    if list.is_null() {
        *list = json!([]);
    }
    let Some(tolerations) = list.as_array_mut() else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerates = |toleration: &Value| {
            ["", key].contains(&text(&toleration["key"]))
                && ["", "NoExecute"].contains(&text(&toleration["effect"]))
        };
        if !tolerations.iter().any(tolerates) {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
}

/// The tolerations of both lists, without those that another toleration includes.
pub(super) fn merge(first: &Value, second: &Value) -> Vec<Value> {
    let lists = [first, second].into_iter().filter_map(Value::as_array);
    let all: Vec<&Value> = lists.flatten().collect();
    let mut merged: Vec<Value> = Vec::new();
    for (index, toleration) in all.iter().enumerate() {
        let later = &all[index + 1..];
        let is_included = merged.iter().any(|kept| includes(kept, toleration))
            || later.iter().any(|other| other != toleration && includes(other, toleration));
        if !is_included {
            merged.push((*toleration).clone());
        }
    }
    merged
}

/// Whether `outer` tolerates each taint that `inner` tolerates, for at least as long.
fn includes(outer: &Value, inner: &Value) -> bool {
    if outer == inner {
        return true;
    }
    let (key, operator, effect) = (text(&outer["key"]), text(&outer["operator"]), text(&outer["effect"]));
    let matches_all_keys = key.is_empty() && operator == "Exists";
    if (text(&inner["key"]) != key && !matches_all_keys)
        || (text(&inner["effect"]) != effect && !effect.is_empty())
    {
        return false;
    }
    if effect == "NoExecute"
        && let Some(limit) = outer["tolerationSeconds"].as_i64()
        && inner["tolerationSeconds"].as_i64().is_none_or(|seconds| seconds > limit)
    {
        return false;
    }
    match operator {
        "" | "Equal" => text(&inner["operator"]) == "Equal" && text(&inner["value"]) == text(&outer["value"]),
        "Exists" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merged_list_has_no_toleration_that_another_includes() {
        let short = json!({"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1});
        let long = json!({"key": "a", "operator": "Exists", "effect": "NoExecute"});
        let other = json!({"key": "b", "operator": "Equal", "value": "1"});
        assert_eq!(merge(&json!([short, other]), &json!([long, other])), [other.clone(), long.clone()]);
        let all = json!({"operator": "Exists"});
        assert_eq!(merge(&json!([long, other]), &json!([all])), [all]);
    }
}
