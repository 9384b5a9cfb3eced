//! Checks whether the rules of a user contain all permissions of the rules of a role.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{includes, matches_path};
use crate::json::texts;

/// A permission with one verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission<'a> {
    Resource {
        group: &'a str,
        resource: &'a str,
        name: Option<&'a str>,
        verb: &'a str,
    },
    /// A permission for a path that is not a resource.
    Path {
        path: &'a str,
        verb: &'a str,
    },
}

/// Returns the permissions in the rules `wanted` that no rule in `owned` contains. The result has the format of the API
/// server's error messages: it is sorted, and one entry contains all missing verbs for the same group, resource and
/// resource name.
pub(crate) fn missing_permissions(owned: &[Value], wanted: &[Value]) -> Vec<String> {
    let all = wanted.iter().flat_map(permissions);
    let missing = all.filter(|permission| !owned.iter().any(|rule| covers(rule, *permission)));
    let mut paths = BTreeSet::new();
    let mut resources: Vec<(Permission<'_>, Vec<&str>)> = Vec::new();
    for permission in missing {
        match permission {
            Permission::Path { path, verb } => {
                paths.insert(format!("{{NonResourceURLs:[{path:?}], Verbs:[{verb:?}]}}"));
            }
            Permission::Resource { group, resource, name, verb } => {
                let of_all_verbs = Permission::Resource { group, resource, name, verb: "" };
                match resources.iter_mut().find(|(known, _)| *known == of_all_verbs) {
                    Some((_, verbs)) => verbs.push(verb),
                    None => resources.push((of_all_verbs, vec![verb])),
                }
            }
        }
    }
    let texts = resources.into_iter().filter_map(|(permission, verbs)| match permission {
        Permission::Resource { group, resource, name, .. } => {
            let names = name.map(|name| format!(", ResourceNames:[{name:?}]")).unwrap_or_default();
            let verbs = quote_list(verbs);
            Some(format!("{{APIGroups:[{group:?}], Resources:[{resource:?}]{names}, Verbs:{verbs}}}"))
        }
        Permission::Path { .. } => None,
    });
    paths.extend(texts);
    paths.into_iter().collect()
}

/// Formats a list of strings as Go's `%q` does.
pub(crate) fn quote_list<T: AsRef<str>>(list: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = list.into_iter().map(|item| format!("{:?}", item.as_ref())).collect();
    format!("[{}]", items.join(" "))
}

/// Splits a rule into permissions with one verb each. The order of the permissions determines the order of the verbs in
/// the error messages.
fn permissions(rule: &Value) -> Vec<Permission<'_>> {
    let mut all = Vec::new();
    for group in texts(&rule["apiGroups"]) {
        for resource in texts(&rule["resources"]) {
            for verb in texts(&rule["verbs"]) {
                let mut names = texts(&rule["resourceNames"]).map(Some).collect::<Vec<_>>();
                if names.is_empty() {
                    names.push(None);
                }
                all.extend(names.into_iter().map(|name| Permission::Resource {
                    group,
                    resource,
                    name,
                    verb,
                }));
            }
        }
    }
    for path in texts(&rule["nonResourceURLs"]) {
        all.extend(texts(&rule["verbs"]).map(|verb| Permission::Path { path, verb }));
    }
    all
}

/// Whether a rule contains the permission.
fn covers(rule: &Value, permission: Permission<'_>) -> bool {
    let mut names = texts(&rule["resourceNames"]).peekable();
    match permission {
        Permission::Path { path, verb } => {
            names.peek().is_none()
                && includes(&rule["verbs"], verb)
                && texts(&rule["nonResourceURLs"]).any(|listed| matches_path(listed, path))
        }
        Permission::Resource { group, resource, name, verb } => {
            includes(&rule["verbs"], verb)
                && includes(&rule["apiGroups"], group)
                && texts(&rule["resources"]).any(|listed| covers_resource(listed, resource))
                && (names.peek().is_none() || names.any(|listed| Some(listed) == name))
        }
    }
}

/// Whether `listed` includes `resource`. Both are entries in the `resources` of a rule, such as `pods` or `*/scale`.
fn covers_resource(listed: &str, resource: &str) -> bool {
    let subresource = resource.split_once('/').map(|(_, subresource)| subresource);
    listed == "*" || listed == resource || subresource.is_some() && listed.strip_prefix("*/") == subresource
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_missing_permissions(owned: &Value, wanted: &Value, missing: &[&str]) {
        let (owned, wanted) = (std::slice::from_ref(owned), std::slice::from_ref(wanted));
        assert_eq!(missing_permissions(owned, wanted), missing, "{wanted:?}");
    }

    fn rule(groups: &[&str], resources: &[&str], names: &[&str], verbs: &[&str]) -> Value {
        json!({"apiGroups": groups, "resources": resources, "resourceNames": names, "verbs": verbs})
    }

    #[test]
    fn permissions_that_no_rule_contains_are_missing() {
        let all = rule(&["*"], &["*"], &[], &["*"]);
        check_missing_permissions(&all, &rule(&["", "apps"], &["*", "a/b"], &["x"], &["get", "*"]), &[]);
        check_missing_permissions(
            &all,
            &json!({"nonResourceURLs": ["/x"], "verbs": ["get"]}),
            &[r#"{NonResourceURLs:["/x"], Verbs:["get"]}"#],
        );
        let scales = rule(&[""], &["*/scale", "pods"], &[], &["get"]);
        check_missing_permissions(
            &scales,
            &rule(&[""], &["pods", "a/scale", "a", "*"], &[], &["get"]),
            &[
                r#"{APIGroups:[""], Resources:["*"], Verbs:["get"]}"#,
                r#"{APIGroups:[""], Resources:["a"], Verbs:["get"]}"#,
            ],
        );
        let named = rule(&[""], &["pods"], &["a"], &["get"]);
        check_missing_permissions(&named, &rule(&[""], &["pods"], &["a"], &["get"]), &[]);
        check_missing_permissions(
            &named,
            &rule(&[""], &["pods"], &["a", "b"], &["get"]),
            &[r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["get"]}"#],
        );
        check_missing_permissions(
            &named,
            &rule(&[""], &["pods"], &[], &["list", "get"]),
            &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["list" "get"]}"#],
        );
        let paths = json!({"nonResourceURLs": ["/debug/*"], "verbs": ["get"]});
        check_missing_permissions(
            &paths,
            &json!({"nonResourceURLs": ["/debug/*", "/debug", "*"], "verbs": ["get"]}),
            &[r#"{NonResourceURLs:["*"], Verbs:["get"]}"#, r#"{NonResourceURLs:["/debug"], Verbs:["get"]}"#],
        );
    }
}
