//! The fields of a pod that a write to the subresource `ephemeralcontainers` or `resize` may change.

use serde_json::Value;

/// Copies from `new` to `kept` the fields that a write to the subresource may change. Copies nothing and returns false for
/// a subresource other than `ephemeralcontainers` and `resize`.
pub(super) fn copy_fields(subresource: &str, kept: &mut Value, new: &Value) -> bool {
    match subresource {
        "ephemeralcontainers" => copy_field(&mut kept["spec"], &new["spec"], "ephemeralContainers"),
        "resize" => {
            for list in ["containers", "initContainers"] {
                if let Some(containers) = kept["spec"].get_mut(list) {
                    copy_resources(containers, &new["spec"][list]);
                }
            }
            // Keeps the `resources` of the pod if the request omits this field. An old client does not know the field.
            if new["spec"]["resources"].is_object() {
                copy_field(&mut kept["spec"], &new["spec"], "resources");
            }
        }
        _ => return false,
    }
    true
}

/// Copies the resources and the resize policies of each container in `new` to the container with the same name in
/// `kept`.
fn copy_resources(kept: &mut Value, new: &Value) {
    let wanted = new.as_array().map_or(&[][..], Vec::as_slice);
    for container in kept.as_array_mut().into_iter().flatten() {
        if let Some(wanted) = wanted.iter().find(|wanted| wanted["name"] == container["name"]) {
            copy_field(container, wanted, "resources");
            copy_field(container, wanted, "resizePolicy");
        }
    }
}

/// Copies `field` from `new` to `kept`. If `new` does not have the field, removes it from `kept`.
fn copy_field(kept: &mut Value, new: &Value, field: &str) {
    let Some(kept) = kept.as_object_mut() else { return };
    match new.get(field) {
        Some(value) => kept.insert(field.to_owned(), value.clone()),
        None => kept.remove(field),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check_write(subresource: &str, new: &Value, expected: &Value) {
        let old = json!({"spec": {"containers": [{"name": "a", "image": "x"}]}});
        let new = json!({ "spec": new });
        let mut kept = old.clone();
        let restricted = copy_fields(subresource, &mut kept, &new);
        assert_eq!(if restricted { &kept } else { &new }["spec"], *expected);
    }

    #[test]
    fn a_write_changes_only_the_fields_of_its_subresource() {
        let ephemeral = json!([{"name": "debug"}]);
        check_write(
            "ephemeralcontainers",
            &json!({"containers": [], "ephemeralContainers": ephemeral}),
            &json!({"containers": [{"name": "a", "image": "x"}], "ephemeralContainers": ephemeral}),
        );
        let resources = json!({"limits": {"cpu": "1"}});
        check_write(
            "resize",
            &json!({"containers": [{"name": "a", "image": "y", "resources": resources}, {"name": "b"}]}),
            &json!({"containers": [{"name": "a", "image": "x", "resources": resources}]}),
        );
        check_write("proxy", &json!({"containers": []}), &json!({"containers": []}));
    }
}
