//! Tests of authorization by roles and bindings, and of impersonation.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use kube_sim::Sim;
use serde_json::{Value, json};

use crate::common::{TestResponse, call, send};

/// A simulation with RBAC and the service account `x/robot`.
fn sim_with_rbac() -> Sim {
    let sim = Sim::builder().rbac().namespace("x").build();
    sim.create(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": "x"}}))
        .unwrap();
    sim
}

/// Sends a request without a body. The request impersonates `user`.
async fn send_as(sim: &Sim, user: &str, method: Method, path: &str) -> TestResponse {
    send_with_headers(sim, &[("impersonate-user", user)], method, path).await
}

async fn send_with_headers(sim: &Sim, headers: &[(&str, &str)], method: Method, path: &str) -> TestResponse {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(sim, request.body(Full::new(Bytes::new())).unwrap()).await
}

/// Creates a role or a binding.
fn create_rbac_object(sim: &Sim, kind: &str, namespace: &str, name: &str, mut fields: Value) {
    fields["apiVersion"] = "rbac.authorization.k8s.io/v1".into();
    fields["kind"] = kind.into();
    fields["metadata"]["name"] = name.into();
    if !namespace.is_empty() {
        fields["metadata"]["namespace"] = namespace.into();
    }
    sim.create(&fields).unwrap();
}

fn binding(role_kind: &str, role: &str, subject: &Value) -> Value {
    let group = "rbac.authorization.k8s.io";
    json!({"roleRef": {"apiGroup": group, "kind": role_kind, "name": role}, "subjects": [subject]})
}

fn user(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name})
}

#[tokio::test]
async fn a_refusal_message_contains_the_user_the_verb_and_the_resource() {
    let sim = sim_with_rbac();
    for (method, path, message) in [
        (
            Method::GET,
            "/api/v1/pods",
            r#"pods is forbidden: User "jane" cannot list resource "pods" in API group "" at the cluster scope"#,
        ),
        (
            Method::DELETE,
            "/apis/apps/v1/namespaces/x/deployments",
            r#"deployments.apps is forbidden: User "jane" cannot deletecollection resource "deployments" in API group "apps" in the namespace "x""#,
        ),
        (
            Method::GET,
            "/api/v1/namespaces/x/pods/a/log",
            r#"pods "a" is forbidden: User "jane" cannot get resource "pods/log" in API group "" in the namespace "x""#,
        ),
        (
            Method::GET,
            "/api/v1/namespaces/x",
            r#"namespaces "x" is forbidden: User "jane" cannot get resource "namespaces" in API group "" in the namespace "x""#,
        ),
        (
            Method::GET,
            "/api/v1/nodes?watch=1&fieldSelector=metadata.name%3Da",
            r#"nodes "a" is forbidden: User "jane" cannot watch resource "nodes" in API group "" at the cluster scope"#,
        ),
        (
            Method::GET,
            "/apis/none/v1/things",
            r#"things.none is forbidden: User "jane" cannot list resource "things" in API group "none" at the cluster scope"#,
        ),
        (Method::GET, "/logs", r#"forbidden: User "jane" cannot get path "/logs""#),
    ] {
        assert_eq!(send_as(&sim, "jane", method, path).await.fails(403, "Forbidden"), message);
    }
    // The bootstrap roles allow discovery for authenticated users. Anonymous users may read `/version`, but the roles allow
    // no discovery for these users.
    send_as(&sim, "jane", Method::GET, "/apis").await.ok();
    send_as(&sim, "system:anonymous", Method::GET, "/version").await.ok();
    send_as(&sim, "system:anonymous", Method::GET, "/apis").await.fails(403, "Forbidden");
}

#[tokio::test]
async fn bindings_grant_the_rules_of_their_roles() {
    let sim = sim_with_rbac();
    let rule = json!({"rules": [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"], "verbs": ["get"]},
    ]});
    create_rbac_object(&sim, "ClusterRole", "", "reader", rule);
    create_rbac_object(&sim, "RoleBinding", "x", "jane", binding("ClusterRole", "reader", &user("jane")));
    let account = json!({"kind": "ServiceAccount", "name": "robot", "namespace": "x"});
    create_rbac_object(&sim, "ClusterRoleBinding", "", "robot", binding("ClusterRole", "reader", &account));
    let maps = "/api/v1/namespaces/x/configmaps";
    send_as(&sim, "jane", Method::GET, maps).await.ok();
    send_as(&sim, "jane", Method::DELETE, maps).await.fails(403, "Forbidden");
    send_as(&sim, "jane", Method::GET, "/api/v1/configmaps").await.fails(403, "Forbidden");
    send_as(&sim, "jane", Method::GET, "/api/v1/namespaces/x/secrets/a").await.fails(404, "NotFound");
    send_as(&sim, "jane", Method::GET, "/api/v1/namespaces/x/secrets/b").await.fails(403, "Forbidden");
    let robot = "system:serviceaccount:x:robot";
    send_as(&sim, robot, Method::GET, "/api/v1/configmaps").await.ok();

    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let path = "/api/v1/namespaces/x/serviceaccounts/robot/token";
    let issued = call(&sim, Method::POST, path, body).await.ok();
    let authorization = format!("Bearer {}", issued["status"]["token"].as_str().unwrap());
    send_with_headers(&sim, &[("authorization", &authorization)], Method::GET, "/api/v1/configmaps")
        .await
        .ok();
    send_with_headers(&sim, &[("authorization", &authorization)], Method::GET, "/api/v1/pods")
        .await
        .fails(403, "Forbidden");
    let forged = format!("{}x", &authorization[..authorization.len() - 1]);
    send_with_headers(&sim, &[("authorization", &forged)], Method::GET, maps)
        .await
        .fails(401, "Unauthorized");
}

#[tokio::test]
async fn aggregated_roles_have_the_rules_of_the_selected_roles() {
    let sim = sim_with_rbac();
    create_rbac_object(&sim, "RoleBinding", "x", "jane", binding("ClusterRole", "view", &user("jane")));
    let path = "/apis/example.com/v1/namespaces/x/things";
    send_as(&sim, "jane", Method::GET, "/api/v1/namespaces/x/pods").await.ok();
    send_as(&sim, "jane", Method::GET, path).await.fails(403, "Forbidden");
    let rule = json!({"apiGroups": ["example.com"], "resources": ["things"], "verbs": ["list"]});
    let label = json!({"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}});
    create_rbac_object(&sim, "ClusterRole", "", "things", json!({"rules": [rule], "metadata": label}));
    assert_eq!(send_as(&sim, "jane", Method::GET, path).await.code, 404);

    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "x"}});
    let request = Request::post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews")
        .header("content-type", "application/json")
        .header("impersonate-user", "jane")
        .body(Full::new(Bytes::from(body.to_string())));
    let status = send(&sim, request.unwrap()).await.ok()["status"].take();
    assert!(status["resourceRules"].as_array().unwrap().contains(&rule), "{status}");
    assert!(status["nonResourceRules"].to_string().contains("/openapi/*"), "{status}");
}

/// Sends a request with a body to the RBAC API. The request impersonates `user`. `path` is the path after the API version.
async fn send_rbac_object_as(
    sim: &Sim,
    user: &str,
    method: Method,
    path: &str,
    body: &Value,
) -> TestResponse {
    let request = Request::builder()
        .method(method)
        .uri(format!("/apis/rbac.authorization.k8s.io/v1/{path}"))
        .header("content-type", "application/json")
        .header("impersonate-user", user)
        .body(Full::new(Bytes::from(body.to_string())));
    send(sim, request.unwrap()).await
}

#[tokio::test]
async fn users_need_the_verb_bind_or_escalate_to_grant_permissions_that_they_do_not_have() {
    let sim = sim_with_rbac();
    let group = json!(["rbac.authorization.k8s.io"]);
    let held = json!({"rules": [
        {"apiGroups": group, "resources": ["*"], "verbs": ["create", "update", "get"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]},
        {"apiGroups": group, "resources": ["clusterroles"], "resourceNames": ["view"], "verbs": ["bind"]},
        {"apiGroups": group, "resources": ["roles"], "resourceNames": ["any"], "verbs": ["escalate"]},
    ]});
    create_rbac_object(&sim, "ClusterRole", "", "author", held);
    create_rbac_object(&sim, "RoleBinding", "x", "jane", binding("ClusterRole", "author", &user("jane")));
    let role = |name: &str, verbs: &[&str]| json!({"metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]});
    let roles = "namespaces/x/roles";
    send_rbac_object_as(&sim, "jane", Method::POST, roles, &role("reader", &["get"])).await.ok();
    let refused =
        send_rbac_object_as(&sim, "jane", Method::POST, roles, &role("writer", &["get", "delete", "create"]))
            .await;
    let missing = r#"user "jane" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["configmaps"], Verbs:["delete" "create"]}"#;
    let expected = format!(r#"roles.rbac.authorization.k8s.io "writer" is forbidden: {missing}"#);
    assert_eq!(refused.fails(403, "Forbidden"), expected);
    let path = "namespaces/x/roles/reader";
    send_rbac_object_as(&sim, "jane", Method::PUT, path, &role("reader", &["get", "list"])).await.ok();
    send_rbac_object_as(&sim, "jane", Method::PUT, path, &role("reader", &["watch"]))
        .await
        .fails(403, "Forbidden");
    create_rbac_object(&sim, "Role", "x", "any", json!({}));
    send_rbac_object_as(&sim, "jane", Method::PUT, "namespaces/x/roles/any", &role("any", &["*"])).await.ok();

    create_rbac_object(&sim, "Role", "x", "other", role("other", &["*"]));
    let path = "namespaces/x/roles/other";
    let mut other = send_rbac_object_as(&sim, "jane", Method::GET, path, &Value::Null).await.ok();
    other["metadata"]["finalizers"] = json!(["example.com/a"]);
    send_rbac_object_as(&sim, "jane", Method::PUT, path, &other).await.ok();
    other["metadata"]["labels"] = json!({"a": "b"});
    other["metadata"]["resourceVersion"] = Value::Null;
    send_rbac_object_as(&sim, "jane", Method::PUT, path, &other).await.fails(403, "Forbidden");

    let bindings = "namespaces/x/rolebindings";
    let bind = |name: &str, kind: &str, role: &str| {
        let mut object = binding(kind, role, &user("joe"));
        object["metadata"]["name"] = name.into();
        object
    };
    send_rbac_object_as(&sim, "jane", Method::POST, bindings, &bind("a", "Role", "reader")).await.ok();
    send_rbac_object_as(&sim, "jane", Method::POST, bindings, &bind("b", "ClusterRole", "view")).await.ok();
    send_rbac_object_as(&sim, "jane", Method::POST, bindings, &bind("c", "ClusterRole", "edit"))
        .await
        .fails(403, "Forbidden");
    let absent = send_rbac_object_as(&sim, "jane", Method::POST, bindings, &bind("d", "Role", "none")).await;
    assert_eq!(absent.fails(404, "NotFound"), r#"roles.rbac.authorization.k8s.io "none" not found"#);
}

#[tokio::test]
async fn creating_an_aggregated_role_needs_all_permissions_or_the_verb_escalate() {
    let sim = sim_with_rbac();
    let rules = json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    create_rbac_object(&sim, "ClusterRole", "", "author", rules);
    create_rbac_object(
        &sim,
        "ClusterRoleBinding",
        "",
        "jane",
        binding("ClusterRole", "author", &user("jane")),
    );
    create_rbac_object(
        &sim,
        "ClusterRoleBinding",
        "",
        "root",
        binding("ClusterRole", "cluster-admin", &user("root")),
    );
    let role = json!({
        "metadata": {"name": "all"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
    });
    // The verb `*` includes `escalate`.
    send_rbac_object_as(&sim, "jane", Method::POST, "clusterroles", &role).await.ok();
    let rules = json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["create"]}]});
    create_rbac_object(&sim, "ClusterRole", "", "creator", rules);
    create_rbac_object(
        &sim,
        "ClusterRoleBinding",
        "",
        "joe",
        binding("ClusterRole", "creator", &user("joe")),
    );
    let mut other = role.clone();
    other["metadata"]["name"] = "other".into();
    assert_eq!(
        send_rbac_object_as(&sim, "joe", Method::POST, "clusterroles", &other).await.fails(403, "Forbidden"),
        r#"clusterroles.rbac.authorization.k8s.io "other" is forbidden: must have cluster-admin privileges to use the aggregationRule"#
    );
    send_rbac_object_as(&sim, "root", Method::POST, "clusterroles", &other).await.ok();
}

#[tokio::test]
async fn impersonation_needs_permission() {
    let sim = sim_with_rbac();
    let rule = json!({"rules": [{"apiGroups": [""], "resources": ["users"], "resourceNames": ["joe"], "verbs": ["impersonate"]}]});
    create_rbac_object(&sim, "ClusterRole", "", "impersonator", rule);
    let account = json!({"kind": "ServiceAccount", "name": "robot", "namespace": "x"});
    create_rbac_object(
        &sim,
        "ClusterRoleBinding",
        "",
        "robot",
        binding("ClusterRole", "impersonator", &account),
    );
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let path = "/api/v1/namespaces/x/serviceaccounts/robot/token";
    let issued = call(&sim, Method::POST, path, body).await.ok();
    let authorization = format!("bearer {}", issued["status"]["token"].as_str().unwrap());
    let headers = |name: &'static str, value: &'static str| {
        [("authorization", authorization.as_str()), ("impersonate-user", "joe"), (name, value)]
    };
    send_with_headers(&sim, &headers("accept", "*/*"), Method::GET, "/apis").await.ok();
    let refused =
        send_with_headers(&sim, &headers("impersonate-group", "system:masters"), Method::GET, "/apis").await;
    let message = r#"groups "system:masters" is forbidden: User "system:serviceaccount:x:robot" cannot impersonate resource "groups" in API group "" at the cluster scope"#;
    assert_eq!(refused.fails(403, "Forbidden"), message);
    let refused = [("authorization", authorization.as_str()), ("impersonate-user", "jane")];
    send_with_headers(&sim, &refused, Method::GET, "/apis").await.fails(403, "Forbidden");
    let alone = send_with_headers(&sim, &[("impersonate-group", "a")], Method::GET, "/apis").await;
    alone.fails(500, "InternalError");
}

#[tokio::test]
async fn without_rbac_each_user_has_all_permissions() {
    let sim = Sim::new();
    send_as(&sim, "jane", Method::GET, "/api/v1/pods").await.ok();
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    assert_eq!(send_as(&sim, "jane", Method::GET, path).await.ok()["items"], json!([]));
}
