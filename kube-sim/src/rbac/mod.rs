//! Role-based access control: decides what the roles and bindings in the store allow a user to do.
//!
//! This module must not depend on the handlers. It reads the latest state of the store, even for a request to a server
//! whose watch cache lags.

mod permission_coverage;

use serde_json::Value;

pub(crate) use self::permission_coverage::{missing_permissions, quote_list};
use crate::json::{text, texts};
use crate::store::State;
use crate::store::object;
use crate::store::selector::{LabelSelector, Labels};
use crate::user::{SUPERUSERS, User, service_account_parts};

/// The API group of roles and bindings.
pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";
const ROLES: &str = "rbac.authorization.k8s.io/roles";
const CLUSTER_ROLES: &str = "rbac.authorization.k8s.io/clusterroles";
const ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/rolebindings";
const CLUSTER_ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/clusterrolebindings";

/// An action in the API that a user wants to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access<'a> {
    Resource(ResourceAccess<'a>),
    /// An action on a path that is not a resource, such as `/metrics`.
    Path {
        verb: &'a str,
        path: &'a str,
    },
}

/// An action on objects of a resource.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ResourceAccess<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    /// Empty for cluster-scoped resources and for all namespaces.
    pub(crate) namespace: &'a str,
    /// Empty for collections.
    pub(crate) name: &'a str,
}

/// Returns the reason why the user may do the action `access`, or `None` if no role allows this action. The reason is
/// empty for superusers.
pub(crate) fn find_grant(state: &State, user: &User, access: &Access<'_>) -> Option<String> {
    if user.is_in(SUPERUSERS) {
        return Some(String::new());
    }
    let namespace = match access {
        Access::Resource(access) => access.namespace,
        Access::Path { .. } => "",
    };
    let mut bindings = bindings(state, user, namespace);
    let found = bindings.find(|binding| binding.rules(state).iter().any(|rule| allows(rule, access)))?;
    Some(format!("RBAC: allowed by {}", found.description()))
}

/// Returns the rules that apply to the user in a namespace. Includes the rules from cluster role bindings.
pub(crate) fn rules_of(state: &State, user: &User, namespace: &str) -> Vec<Value> {
    bindings(state, user, namespace).flat_map(|binding| binding.rules(state)).collect()
}

/// Returns the rules of a role, or `None` if the role does not exist. `role` is the `roleRef` of a binding in
/// `namespace`. If the role has an `aggregationRule`, also returns the rules of all cluster roles whose labels match a
/// selector in `clusterRoleSelectors`.
pub(crate) fn rules_of_role(state: &State, role: &Value, namespace: &str) -> Option<Vec<Value>> {
    let (storage, namespace) = match text(&role["kind"]) {
        "ClusterRole" => (CLUSTER_ROLES, ""),
        _ => (ROLES, namespace),
    };
    let role = state.get(storage, &object::key(namespace, text(&role["name"])))?.value();
    let mut rules = rules_in(&role);
    let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array().into_iter().flatten();
    let selectors: Vec<_> = selectors.map(LabelSelector::from_json).collect();
    if !selectors.is_empty() {
        let all = stored_objects(state, CLUSTER_ROLES, "");
        let selected = all.filter(|role| {
            let labels = Labels::of(&role["metadata"]);
            selectors.iter().any(|selector| selector.matches(&labels))
        });
        rules.extend(selected.flat_map(|role| rules_in(&role)));
    }
    Some(rules)
}

/// A binding that applies to a user: one of its subjects is the user or a group of the user.
struct Binding<'a> {
    object: Value,
    /// Empty for a cluster role binding.
    namespace: &'a str,
    /// The text that describes the subject. The reason that [`find_grant`] returns contains this text.
    subject: String,
}

impl Binding<'_> {
    fn rules(&self, state: &State) -> Vec<Value> {
        rules_of_role(state, &self.object["roleRef"], self.namespace).unwrap_or_default()
    }

    fn description(&self) -> String {
        let name = text(&self.object["metadata"]["name"]);
        let (kind, name) = match self.namespace {
            "" => ("ClusterRoleBinding", name.to_owned()),
            namespace => ("RoleBinding", format!("{name}/{namespace}")),
        };
        let role = &self.object["roleRef"];
        format!("{kind} {name:?} of {} {:?} to {}", text(&role["kind"]), text(&role["name"]), self.subject)
    }
}

/// Returns the cluster role bindings of a user. If `namespace` is not empty, also returns the role bindings of the user
/// in this namespace.
fn bindings<'a>(state: &'a State, user: &'a User, namespace: &'a str) -> impl Iterator<Item = Binding<'a>> {
    let cluster_wide = stored_objects(state, CLUSTER_ROLE_BINDINGS, "").map(|object| (object, ""));
    let local = (!namespace.is_empty()).then(|| stored_objects(state, ROLE_BINDINGS, namespace));
    let local = local.into_iter().flatten().map(move |object| (object, namespace));
    cluster_wide.chain(local).filter_map(move |(object, namespace)| {
        let mut subjects = object["subjects"].as_array().into_iter().flatten();
        let subject = subjects.find_map(|subject| describe_subject(subject, user, namespace))?;
        Some(Binding { object, namespace, subject })
    })
}

/// Returns the text for a subject of a binding in `namespace`, or `None` if the subject does not include the user.
fn describe_subject(subject: &Value, user: &User, namespace: &str) -> Option<String> {
    let (kind, name) = (text(&subject["kind"]), text(&subject["name"]));
    let is_user = match kind {
        "User" => name == user.name,
        "Group" => user.is_in(name),
        "ServiceAccount" => {
            let own = text(&subject["namespace"]);
            let of = if own.is_empty() { namespace } else { own };
            let is_same = !of.is_empty() && service_account_parts(&user.name) == Some((of, name));
            return is_same.then(|| format!("{kind} {:?}", format!("{name}/{of}")));
        }
        _ => false,
    };
    is_user.then(|| format!("{kind} {name:?}"))
}

fn stored_objects(state: &State, storage: &str, namespace: &str) -> impl Iterator<Item = Value> + use<> {
    state.objects(storage, namespace).into_iter().map(|object| object.value())
}

fn rules_in(role: &Value) -> Vec<Value> {
    role["rules"].as_array().cloned().unwrap_or_default()
}

/// Whether a rule of a role allows the action `access`.
fn allows(rule: &Value, access: &Access<'_>) -> bool {
    match access {
        Access::Path { verb, path } => {
            includes(&rule["verbs"], verb)
                && texts(&rule["nonResourceURLs"]).any(|listed| matches_path(listed, path))
        }
        Access::Resource(access) => {
            let names = &rule["resourceNames"];
            includes(&rule["verbs"], access.verb)
                && includes(&rule["apiGroups"], access.group)
                && texts(&rule["resources"])
                    .any(|listed| matches_resource(listed, access.resource, access.subresource))
                && (texts(names).next().is_none() || texts(names).any(|name| name == access.name))
        }
    }
}

/// Whether a list in a rule, such as its `verbs`, contains `wanted` or `*`.
fn includes(list: &Value, wanted: &str) -> bool {
    texts(list).any(|listed| listed == "*" || listed == wanted)
}

/// Whether an entry in the `nonResourceURLs` of a rule, such as `/metrics` or `/debug/*`, includes this path.
fn matches_path(listed: &str, path: &str) -> bool {
    listed == path || listed.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

/// Whether an entry in the `resources` of a rule, such as `pods`, `pods/log` or `*/scale`, includes this resource or
/// subresource.
fn matches_resource(listed: &str, resource: &str, subresource: &str) -> bool {
    if listed == "*" {
        return true;
    }
    match listed.split_once('/') {
        None => subresource.is_empty() && listed == resource,
        Some((main, sub)) => sub == subresource && (main == "*" || main == resource),
    }
}
