//! The verdict of a `SubjectAccessReview` or a `LocalSubjectAccessReview`: role-based access control with the roles and bindings
//! of the store.
//!
//! Requests themselves are not authorized, and there are no bindings of bootstrap roles, such as `system:discovery`, unless a
//! test creates them. Aggregated cluster roles have the rules that are stored in them.

use serde_json::{Value, json};

use super::Call;

const ROLES: &str = "rbac.authorization.k8s.io/roles";
const CLUSTER_ROLES: &str = "rbac.authorization.k8s.io/clusterroles";
const ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/rolebindings";
const CLUSTER_ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/clusterrolebindings";

/// The members of this group have all permissions.
const SUPERUSERS: &str = "system:masters";

/// The status of a review with this spec.
pub(super) fn review(call: &Call<'_>, spec: &Value) -> Value {
    let subject = Subject { user: text(&spec["user"]), groups: texts(&spec["groups"]).collect() };
    if subject.groups.contains(&SUPERUSERS) {
        return json!({"allowed": true});
    }
    let namespace = text(&spec["resourceAttributes"]["namespace"]);
    match find_grant(call, spec, &subject, namespace) {
        Some(grant) => json!({"allowed": true, "reason": format!("RBAC: allowed by {grant}")}),
        None => json!({"allowed": false}),
    }
}

/// The user of a review.
struct Subject<'a> {
    user: &'a str,
    groups: Vec<&'a str>,
}

impl Subject<'_> {
    /// Whether the user is this subject of a binding in `namespace`. Returns the subject's text for reasons.
    fn matches(&self, subject: &Value, namespace: &str) -> Option<String> {
        let (kind, name) = (text(&subject["kind"]), text(&subject["name"]));
        match kind {
            "User" if name == self.user => Some(format!("{kind} {name:?}")),
            "Group" if self.groups.contains(&name) => Some(format!("{kind} {name:?}")),
            "ServiceAccount" => {
                let own = text(&subject["namespace"]);
                let of = if own.is_empty() { namespace } else { own };
                let is_same = !of.is_empty() && self.user == format!("system:serviceaccount:{of}:{name}");
                is_same.then(|| format!("{kind} {:?}", format!("{name}/{of}")))
            }
            _ => None,
        }
    }
}

/// The description of the binding that grants the access.
fn find_grant(call: &Call<'_>, spec: &Value, subject: &Subject<'_>, namespace: &str) -> Option<String> {
    let cluster_wide = objects(call, CLUSTER_ROLE_BINDINGS, "").into_iter().map(|binding| (binding, ""));
    let local = if namespace.is_empty() { Vec::new() } else { objects(call, ROLE_BINDINGS, namespace) };
    let bindings = cluster_wide.chain(local.into_iter().map(|binding| (binding, namespace)));
    bindings.into_iter().find_map(|(binding, namespace)| {
        let subjects = binding["subjects"].as_array().into_iter().flatten();
        let matched = subjects.into_iter().find_map(|known| subject.matches(known, namespace))?;
        let role = &binding["roleRef"];
        let rules = rules(call, role, namespace)?;
        rules.as_array()?.iter().any(|rule| allows(rule, spec)).then(|| {
            let name = text(&binding["metadata"]["name"]);
            let (what, name) = match namespace {
                "" => ("ClusterRoleBinding", name.to_owned()),
                _ => ("RoleBinding", format!("{name}/{namespace}")),
            };
            format!("{what} {name:?} of {} {:?} to {matched}", text(&role["kind"]), text(&role["name"]))
        })
    })
}

fn objects(call: &Call<'_>, storage: &str, namespace: &str) -> Vec<Value> {
    let stored = call.inner.lock().table(storage).map(|table| table.objects(namespace));
    stored.into_iter().flatten().map(|object| object.value()).collect()
}

/// The rules of a role that a binding in `namespace` refers to.
fn rules(call: &Call<'_>, role: &Value, namespace: &str) -> Option<Value> {
    let (storage, namespace) = match text(&role["kind"]) {
        "ClusterRole" => (CLUSTER_ROLES, ""),
        _ => (ROLES, namespace),
    };
    let key = crate::store::object::key(namespace, text(&role["name"]));
    let found = call.inner.lock().get(storage, &key).cloned();
    Some(found?.value()["rules"].take())
}

/// Whether a rule of a role allows the access.
fn allows(rule: &Value, spec: &Value) -> bool {
    let attributes = &spec["nonResourceAttributes"];
    if !attributes.is_null() {
        return lists(&rule["verbs"], text(&attributes["verb"]))
            && texts(&rule["nonResourceURLs"]).any(|url| matches_url(url, text(&attributes["path"])));
    }
    let attributes = &spec["resourceAttributes"];
    let (resource, subresource) = (text(&attributes["resource"]), text(&attributes["subresource"]));
    let names = &rule["resourceNames"];
    lists(&rule["verbs"], text(&attributes["verb"]))
        && lists(&rule["apiGroups"], text(&attributes["group"]))
        && texts(&rule["resources"]).any(|listed| matches_resource(listed, resource, subresource))
        && (texts(names).next().is_none() || texts(names).any(|name| name == text(&attributes["name"])))
}

/// Whether a list has this entry or `*`.
fn lists(list: &Value, wanted: &str) -> bool {
    texts(list).any(|listed| listed == "*" || listed == wanted)
}

/// Whether an entry of a rule, such as `/metrics` or `/debug/*`, has this path.
fn matches_url(listed: &str, path: &str) -> bool {
    listed == path || listed.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

/// Whether an entry of a rule, such as `pods`, `pods/log` or `*/scale`, has this resource.
fn matches_resource(listed: &str, resource: &str, subresource: &str) -> bool {
    if listed == "*" {
        return true;
    }
    match listed.split_once('/') {
        None => subresource.is_empty() && listed == resource,
        Some((main, sub)) => sub == subresource && (main == "*" || main == resource),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
