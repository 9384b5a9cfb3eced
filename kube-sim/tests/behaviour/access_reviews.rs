//! Tests of `SubjectAccessReview`, which evaluates the stored roles and bindings.

use http::Method;
use kube_sim::Sim;
use serde_json::{Value, json};

const RBAC_API_VERSION: &str = "rbac.authorization.k8s.io/v1";

/// Creates a role and a binding of this role. The name of both is `name`. If `namespace` is `None`, creates a cluster
/// role and a cluster role binding.
fn create_role_and_binding(sim: &Sim, name: &str, namespace: Option<&str>, rule: &Value, subject: &Value) {
    let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
    let metadata = json!({"name": name, "namespace": namespace});
    sim.create(&json!({"apiVersion": RBAC_API_VERSION, "kind": kind, "metadata": metadata, "rules": [rule]}))
        .unwrap();
    let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    let binding = format!("{kind}Binding");
    let object = json!({"apiVersion": RBAC_API_VERSION, "kind": binding, "metadata": metadata, "roleRef": reference, "subjects": [subject]});
    sim.create(&object).unwrap();
}

fn review_access(sim: &Sim, spec: &Value) -> Value {
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec});
    sim.request(&Method::POST, path, "application/json", &body).unwrap()["status"].take()
}

fn user(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name})
}

#[test]
fn a_rule_allows_its_verbs_on_its_urls() {
    let sim = Sim::new();
    let rule = json!({"nonResourceURLs": ["/metrics", "/debug/*"], "verbs": ["get"]});
    create_role_and_binding(&sim, "metrics", None, &rule, &user("jane"));
    let is_allowed = |user: &str, verb: &str, path: &str| {
        let spec = json!({"user": user, "nonResourceAttributes": {"verb": verb, "path": path}});
        review_access(&sim, &spec)["allowed"] == true
    };
    assert!(is_allowed("jane", "get", "/metrics") && is_allowed("jane", "get", "/debug/pprof/heap"));
    for (user, verb, path) in [
        ("joe", "get", "/metrics"),
        ("jane", "post", "/metrics"),
        ("jane", "get", "/metrics/x"),
        ("jane", "get", "/debug"),
    ] {
        assert!(!is_allowed(user, verb, path), "{user} {verb} {path}");
    }
    let allowed = review_access(
        &sim,
        &json!({"user": "jane", "nonResourceAttributes": {"verb": "get", "path": "/metrics"}}),
    );
    let reason =
        "RBAC: allowed by ClusterRoleBinding \"metrics\" of ClusterRole \"metrics\" to User \"jane\"";
    assert_eq!(allowed, json!({"allowed": true, "reason": reason}));
    let master =
        json!({"groups": ["system:masters"], "nonResourceAttributes": {"verb": "put", "path": "/x"}});
    assert_eq!(review_access(&sim, &master)["allowed"], true);
}

#[test]
fn a_rule_allows_its_resources_in_the_scope_of_its_binding() {
    let sim = Sim::new();
    let rule = json!({"apiGroups": [""], "resources": ["pods", "*/scale"], "verbs": ["*"]});
    create_role_and_binding(
        &sim,
        "pods",
        Some("default"),
        &rule,
        &json!({"kind": "ServiceAccount", "name": "robot", "namespace": "default"}),
    );
    let rule = json!({"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"], "verbs": ["get"]});
    create_role_and_binding(
        &sim,
        "web",
        None,
        &rule,
        &json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "readers"}),
    );
    let check = |attributes: Value| {
        let user = "system:serviceaccount:default:robot";
        let spec = json!({"user": user, "groups": ["readers"], "resourceAttributes": attributes});
        review_access(&sim, &spec)
    };
    let pods = json!({"namespace": "default", "verb": "list", "resource": "pods"});
    let reason =
        "RBAC: allowed by RoleBinding \"pods/default\" of Role \"pods\" to ServiceAccount \"robot/default\"";
    assert_eq!(check(pods), json!({"allowed": true, "reason": reason}));
    let allowed = [
        json!({"namespace": "default", "verb": "get", "resource": "replicationcontrollers", "subresource": "scale"}),
        json!({"namespace": "other", "group": "apps", "verb": "get", "resource": "deployments", "name": "web"}),
    ];
    for attributes in allowed {
        assert_eq!(check(attributes.clone())["allowed"], true, "{attributes}");
    }
    let denied = [
        json!({"namespace": "other", "verb": "list", "resource": "pods"}),
        json!({"verb": "list", "resource": "pods"}),
        json!({"namespace": "default", "verb": "get", "resource": "pods", "subresource": "log"}),
        json!({"namespace": "default", "verb": "get", "resource": "pods", "group": "apps"}),
        json!({"namespace": "default", "verb": "get", "group": "apps", "resource": "deployments", "name": "db"}),
    ];
    for attributes in denied {
        assert_eq!(check(attributes.clone()), json!({"allowed": false}), "{attributes}");
    }
}
