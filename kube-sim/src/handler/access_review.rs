//! Access reviews: whether RBAC grants an access to a user, and the rules that apply to the sender of a request.

use serde_json::{Value, json};

use super::Call;
use crate::json::{text, texts};
use crate::rbac::{Access, ResourceAccess, find_grant, rules_of};
use crate::user::User;

/// The status of a `SubjectAccessReview` or a `LocalSubjectAccessReview` with this spec. The RBAC roles and bindings
/// decide, even if the server does not enforce RBAC.
pub(super) fn review(call: &Call<'_>, spec: &Value) -> Value {
    let user = User {
        name: text(&spec["user"]).to_owned(),
        groups: texts(&spec["groups"]).map(str::to_owned).collect(),
        ..User::default()
    };
    verdict(call, &user, spec)
}

/// The status of a `SelfSubjectAccessReview` with this spec. Without RBAC, each user has all permissions.
pub(super) fn review_self(call: &Call<'_>, spec: &Value) -> Value {
    if call.inner.settings.rbac { verdict(call, &call.request.user, spec) } else { json!({"allowed": true}) }
}

/// The status of a `SelfSubjectRulesReview` with this spec. Without RBAC, each user has all permissions.
pub(super) fn review_rules(call: &Call<'_>, spec: &Value) -> Value {
    let rules = if call.inner.settings.rbac {
        rules_of(&call.inner.lock(), &call.request.user, text(&spec["namespace"]))
    } else {
        vec![
            json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
            json!({"verbs": ["*"], "nonResourceURLs": ["*"]}),
        ]
    };
    let (paths, resources): (Vec<_>, Vec<_>) = rules
        .into_iter()
        .partition(|rule| rule["nonResourceURLs"].as_array().is_some_and(|all| !all.is_empty()));
    json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
}

fn verdict(call: &Call<'_>, user: &User, spec: &Value) -> Value {
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let access = if path.is_null() {
        Access::Resource(ResourceAccess {
            verb: text(&resource["verb"]),
            group: text(&resource["group"]),
            resource: text(&resource["resource"]),
            subresource: text(&resource["subresource"]),
            namespace: text(&resource["namespace"]),
            name: text(&resource["name"]),
        })
    } else {
        Access::Path { verb: text(&path["verb"]), path: text(&path["path"]) }
    };
    match find_grant(&call.inner.lock(), user, &access) {
        None => json!({"allowed": false}),
        Some(reason) if reason.is_empty() => json!({"allowed": true}),
        Some(reason) => json!({"allowed": true, "reason": reason}),
    }
}
