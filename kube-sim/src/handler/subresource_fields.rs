//! The parts of a pod that are written through subresources of their own. Decides what such a write takes over.

use serde_json::Value;

/// Reduces `new` to `old` with the part that the subresource may change. A subresource that is the whole object leaves it as
/// it is.
pub(super) fn restrict(subresource: &str, old: &Value, new: &mut Value) {
    let mut kept = old.clone();
    if take_over(subresource, &mut kept, new) {
        *new = kept;
    }
}

/// Writes the part of `new` that the subresource may change into `kept`; false if there is no such part.
pub(super) fn take_over(subresource: &str, kept: &mut Value, new: &Value) -> bool {
    match subresource {
        "ephemeralcontainers" => set(&mut kept["spec"], &new["spec"], "ephemeralContainers"),
        "resize" => {
            for list in ["containers", "initContainers"] {
                if let Some(containers) = kept["spec"].get_mut(list) {
                    resize(containers, &new["spec"][list]);
                }
            }
        }
        _ => return false,
    }
    true
}

fn resize(kept: &mut Value, new: &Value) {
    let wanted = new.as_array().map_or(&[][..], Vec::as_slice);
    for container in kept.as_array_mut().into_iter().flatten() {
        if let Some(wanted) = wanted.iter().find(|wanted| wanted["name"] == container["name"]) {
            set(container, wanted, "resources");
        }
    }
}

fn set(kept: &mut Value, new: &Value, field: &str) {
    if let (Some(kept), Some(value)) = (kept.as_object_mut(), new.get(field)) {
        kept.insert(field.to_owned(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(subresource: &str, new: &Value, expected: &Value) {
        let old = json!({"spec": {"containers": [{"name": "a", "image": "x"}]}});
        let mut new = json!({ "spec": new });
        restrict(subresource, &old, &mut new);
        assert_eq!(new["spec"], *expected);
    }

    #[test]
    fn only_their_own_part_is_taken_over() {
        let ephemeral = json!([{"name": "debug"}]);
        check(
            "ephemeralcontainers",
            &json!({"containers": [], "ephemeralContainers": ephemeral}),
            &json!({"containers": [{"name": "a", "image": "x"}], "ephemeralContainers": ephemeral}),
        );
        let resources = json!({"limits": {"cpu": "1"}});
        check(
            "resize",
            &json!({"containers": [{"name": "a", "image": "y", "resources": resources}, {"name": "b"}]}),
            &json!({"containers": [{"name": "a", "image": "x", "resources": resources}]}),
        );
        check("proxy", &json!({"containers": []}), &json!({"containers": []}));
    }
}
