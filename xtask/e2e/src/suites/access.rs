//! `SubjectAccessReview`, RBAC, and the requests that a `Manager` authenticates and authorizes.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use http::Request;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube_client::Api;
use kube_client::api::PostParams;
use kube_client::client::Body;
use kube_runtime::Manager;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::{eventually, named_metadata, object_from_json, send_raw};

suite!("access":
    subject_access_reviews_apply_the_roles_of_a_service_account,
    refusal_messages_contain_the_user_the_verb_and_the_resource [Authorization],
    aggregated_roles_have_the_rules_of_the_selected_roles [Authorization, Controllers],
    users_grant_only_the_permissions_that_they_have [Authorization],
    the_manager_refuses_users_without_permission,
);

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Creates a service account, and returns a token of the account.
async fn create_account(env: &Env, name: &str) -> Outcome<String> {
    let accounts: Api<ServiceAccount> = env.api();
    let account = ServiceAccount { metadata: named_metadata(name), ..ServiceAccount::default() };
    accounts.create(&PostParams::default(), &account).await?;
    let request: TokenRequest = object_from_json(json!({"metadata": {}, "spec": {"audiences": []}}))?;
    let response: TokenRequest =
        accounts.create_subresource("token", name, &PostParams::default(), &request).await?;
    Ok(response.status.and_then(|status| status.token).context("the TokenRequest's status has no token")?)
}

/// Grants the verb `get` on the paths `/metrics` and `/debug/*` to a service account.
async fn grant_metrics(env: &Env, account: &str) -> Outcome {
    let name = env.unique_name(account);
    let (roles, bindings): (Api<ClusterRole>, Api<ClusterRoleBinding>) =
        (Api::all(env.client()), Api::all(env.client()));
    env.delete_at_end(&roles, &name);
    env.delete_at_end(&bindings, &name);
    let rule = json!({"nonResourceURLs": ["/metrics", "/debug/*"], "verbs": ["get"]});
    roles
        .create(
            &PostParams::default(),
            &object_from_json(json!({"metadata": {"name": name}, "rules": [rule]}))?,
        )
        .await?;
    let binding = object_from_json(json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": env.namespace()}],
    }))?;
    bindings.create(&PostParams::default(), &binding).await?;
    Ok(())
}

/// Creates a `SubjectAccessReview` for a service account. Returns the review's `status.allowed` and `status.reason`.
async fn create_access_review(env: &Env, account: &str, attributes: Value) -> anyhow::Result<(bool, String)> {
    let namespace = env.namespace();
    let mut spec = json!({
        "user": format!("system:serviceaccount:{namespace}:{account}"),
        "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}"), "system:authenticated"],
    });
    let kind = if attributes["path"].is_null() { "resourceAttributes" } else { "nonResourceAttributes" };
    spec[kind] = attributes;
    let review: SubjectAccessReview = serde_json::from_value(json!({"spec": spec}))?;
    let reviews: Api<SubjectAccessReview> = Api::all(env.client());
    let status = reviews.create(&PostParams::default(), &review).await?.status.context("no status")?;
    Ok((status.allowed, status.reason.unwrap_or_default()))
}

/// Creates a `SubjectAccessReview` with these attributes repeatedly, until `status.allowed` of a review is true. Returns
/// the `status.reason` of this review.
async fn wait_until_allowed(env: &Env, account: &str, attributes: &Value) -> Outcome<String> {
    eventually(&format!("{account} may {attributes}"), TIMEOUT, async || {
        let (allowed, reason) = create_access_review(env, account, attributes.clone()).await?;
        Ok(allowed.then_some(reason))
    })
    .await
}

async fn subject_access_reviews_apply_the_roles_of_a_service_account(env: Env) -> Outcome {
    create_account(&env, "robot").await?;
    let metrics = json!({"verb": "get", "path": "/metrics"});
    check_eq!(create_access_review(&env, "robot", metrics.clone()).await?, (false, String::new()));
    grant_metrics(&env, "robot").await?;
    let name = env.unique_name("robot");
    let reason = wait_until_allowed(&env, "robot", &metrics).await?;
    let subject = format!("robot/{}", env.namespace());
    check_eq!(
        reason,
        format!(
            "RBAC: allowed by ClusterRoleBinding {name:?} of ClusterRole {name:?} to ServiceAccount {subject:?}"
        )
    );
    for (verb, path, allowed) in [
        ("get", "/debug/pprof/heap", true),
        ("get", "/debug", false),
        ("post", "/metrics", false),
        ("get", "/metrics/a", false),
    ] {
        let (found, _) = create_access_review(&env, "robot", json!({"verb": verb, "path": path})).await?;
        check!(found == allowed, "{verb} {path}");
    }

    let (roles, bindings): (Api<Role>, Api<RoleBinding>) = (env.api(), env.api());
    let allowed = json!([
        {"apiGroups": [""], "resources": ["pods", "*/scale"], "verbs": ["*"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"], "verbs": ["get"]},
    ]);
    let role = object_from_json(json!({"metadata": {"name": "pods"}, "rules": allowed}))?;
    roles.create(&PostParams::default(), &role).await?;
    let binding = object_from_json(json!({
        "metadata": {"name": "pods"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "pods"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": env.namespace()}],
    }))?;
    bindings.create(&PostParams::default(), &binding).await?;
    let access = |change: Value| {
        let mut attributes = json!({"namespace": env.namespace(), "verb": "get", "resource": "pods"});
        for (key, value) in change.as_object().into_iter().flatten() {
            attributes[key.as_str()] = value.clone();
        }
        attributes
    };
    wait_until_allowed(&env, "robot", &access(json!({}))).await?;
    for (change, allowed) in [
        (json!({"verb": "list"}), true),
        (json!({"resource": "replicationcontrollers", "subresource": "scale"}), true),
        (json!({"subresource": "log"}), false),
        (json!({"namespace": "default"}), false),
        (json!({"group": "apps"}), false),
        (json!({"group": "apps", "resource": "deployments", "name": "web"}), true),
        (json!({"group": "apps", "resource": "deployments", "name": "db"}), false),
    ] {
        let (found, _) = create_access_review(&env, "robot", access(change.clone())).await?;
        check!(found == allowed, "{change}");
    }
    Ok(())
}

/// Sends a request as an impersonated user. Returns the status code and the message of the response.
async fn send_as(env: &Env, user: &str, method: &str, path: &str) -> anyhow::Result<(u16, String)> {
    let request = Request::builder().method(method).uri(path).header("impersonate-user", user);
    let answer = send_raw(&env.client(), request.body(Body::from(Vec::new()))?).await?;
    let (code, _, message) = answer.status();
    Ok((code, message.to_owned()))
}

async fn refusal_messages_contain_the_user_the_verb_and_the_resource(env: Env) -> Outcome {
    let namespace = env.namespace();
    let own = format!("in the namespace {namespace:?}");
    let user = format!("{namespace}-jane");
    for (method, path, subject, access, scope) in [
        ("GET", "/api/v1/pods", "pods", r#"list resource "pods" in API group """#, "at the cluster scope"),
        (
            "DELETE",
            "/apis/apps/v1/namespaces/NS/deployments",
            "deployments.apps",
            r#"deletecollection resource "deployments" in API group "apps""#,
            &own,
        ),
        (
            "GET",
            "/api/v1/namespaces/NS/pods/a/log",
            r#"pods "a""#,
            r#"get resource "pods/log" in API group """#,
            &own,
        ),
        (
            "PATCH",
            "/api/v1/namespaces/NS",
            r#"namespaces "NS""#,
            r#"patch resource "namespaces" in API group """#,
            &own,
        ),
        (
            "GET",
            "/api/v1/nodes?watch=1&fieldSelector=metadata.name%3Da",
            r#"nodes "a""#,
            r#"watch resource "nodes" in API group """#,
            "at the cluster scope",
        ),
        (
            "GET",
            "/apis/none/v1/things",
            "things.none",
            r#"list resource "things" in API group "none""#,
            "at the cluster scope",
        ),
    ] {
        let [path, subject] = [path, subject].map(|text| text.replace("NS", namespace));
        let (code, message) = send_as(&env, &user, method, &path).await?;
        check_eq!(code, 403);
        check_eq!(message, format!("{subject} is forbidden: User {user:?} cannot {access} {scope}"));
    }
    let (code, message) = send_as(&env, &user, "GET", "/debug").await?;
    check_eq!((code, message), (403, format!("forbidden: User {user:?} cannot get path \"/debug\"")));
    check_eq!(send_as(&env, &user, "GET", "/apis").await?.0, 200);
    Ok(())
}

async fn aggregated_roles_have_the_rules_of_the_selected_roles(env: Env) -> Outcome {
    let user = format!("{}-jane", env.namespace());
    let binding = object_from_json(json!({
        "metadata": {"name": "jane"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }))?;
    env.api::<RoleBinding>().create(&PostParams::default(), &binding).await?;
    let maps = format!("/api/v1/namespaces/{}/configmaps", env.namespace());
    eventually("the server applies the binding", TIMEOUT, async || {
        Ok((send_as(&env, &user, "GET", &maps).await?.0 == 200).then_some(()))
    })
    .await?;
    let things = format!("/apis/{}.example.com/v1/namespaces/{}/things", env.namespace(), env.namespace());
    check_eq!(send_as(&env, &user, "GET", &things).await?.0, 403);
    let (roles, name): (Api<ClusterRole>, _) = (Api::all(env.client()), env.unique_name("things"));
    env.delete_at_end(&roles, &name);
    let group = format!("{}.example.com", env.namespace());
    let role = object_from_json(json!({
        "metadata": {"name": name, "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": [group], "resources": ["things"], "verbs": ["list"]}],
    }))?;
    roles.create(&PostParams::default(), &role).await?;
    eventually("the aggregated role has the rule", TIMEOUT, async || {
        Ok((send_as(&env, &user, "GET", &things).await?.0 == 404).then_some(()))
    })
    .await
}

/// Creates an object as an impersonated user. Returns the status code and the message of the response.
async fn create_as(env: &Env, user: &str, path: &str, body: &Value) -> anyhow::Result<(u16, String)> {
    let request =
        Request::post(path).header("impersonate-user", user).header("content-type", "application/json");
    let answer = send_raw(&env.client(), request.body(Body::from(body.to_string().into_bytes()))?).await?;
    let (code, _, message) = answer.status();
    Ok((code, message.to_owned()))
}

async fn users_grant_only_the_permissions_that_they_have(env: Env) -> Outcome {
    let (namespace, user) = (env.namespace(), format!("{}-jane", env.namespace()));
    let group = json!(["rbac.authorization.k8s.io"]);
    let held = json!([
        {"apiGroups": group, "resources": ["*"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]},
        {"apiGroups": group, "resources": ["clusterroles"], "resourceNames": ["view"], "verbs": ["bind"]},
    ]);
    env.api::<Role>()
        .create(
            &PostParams::default(),
            &object_from_json(json!({"metadata": {"name": "author"}, "rules": held}))?,
        )
        .await?;
    let binding = |name: &str, kind: &str, role: &str| {
        json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        })
    };
    env.api::<RoleBinding>()
        .create(&PostParams::default(), &object_from_json(binding("jane", "Role", "author"))?)
        .await?;
    let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
    eventually("the server applies the binding", TIMEOUT, async || {
        Ok((send_as(&env, &user, "GET", &maps).await?.0 == 200).then_some(()))
    })
    .await?;
    let base = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
    let (roles, bindings) = (format!("{base}/roles"), format!("{base}/rolebindings"));
    let role = |name: &str, rules: Value| json!({"metadata": {"name": name}, "rules": rules});
    let read = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    check_eq!(create_as(&env, &user, &roles, &role("reader", read)).await?.0, 201);
    let write = json!([
        {"apiGroups": ["", "apps"], "resources": ["configmaps", "*/scale"], "verbs": ["get", "delete"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a", "b"], "verbs": ["get"]},
    ]);
    let missing = [
        r#"{APIGroups:[""], Resources:["*/scale"], Verbs:["get" "delete"]}"#,
        r#"{APIGroups:[""], Resources:["configmaps"], Verbs:["delete"]}"#,
        r#"{APIGroups:[""], Resources:["secrets"], ResourceNames:["a"], Verbs:["get"]}"#,
        r#"{APIGroups:[""], Resources:["secrets"], ResourceNames:["b"], Verbs:["get"]}"#,
        r#"{APIGroups:["apps"], Resources:["*/scale"], Verbs:["get" "delete"]}"#,
        r#"{APIGroups:["apps"], Resources:["configmaps"], Verbs:["get" "delete"]}"#,
    ];
    let refusal = format!(
        "user {user:?} (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{}",
        missing.join("\n")
    );
    check_eq!(
        create_as(&env, &user, &roles, &role("writer", write)).await?,
        (403, format!("roles.rbac.authorization.k8s.io \"writer\" is forbidden: {refusal}"))
    );
    for (name, kind, role, code) in [
        ("a", "Role", "reader", 201),
        ("b", "ClusterRole", "view", 201),
        ("c", "ClusterRole", "edit", 403),
        ("d", "Role", "none", 404),
    ] {
        let (found, message) = create_as(&env, &user, &bindings, &binding(name, kind, role)).await?;
        check!(found == code, "{name}: {found} {message}");
    }
    Ok(())
}

/// Sends a GET request to a manager. Returns the response as text.
async fn get_from_manager(address: SocketAddr, path: &str, token: Option<&str>) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    timeout(TIMEOUT, stream.read_to_string(&mut answer)).await??;
    Ok(answer)
}

async fn the_manager_refuses_users_without_permission(env: Env) -> Outcome {
    let (token, other) = (create_account(&env, "prometheus").await?, create_account(&env, "other").await?);
    grant_metrics(&env, "prometheus").await?;
    wait_until_allowed(&env, "prometheus", &json!({"verb": "get", "path": "/metrics"})).await?;
    let manager = Manager::new(env.client()).listen("127.0.0.1:0")?.render_metrics(|| "up 1\n".to_owned());
    let address = manager.address().context("the manager does not listen")?;
    let (stop, stopped) = oneshot::channel::<()>();
    let manager = manager.with_authentication_and_authorization();
    let running = tokio::spawn(manager.shutdown_on(async { drop(stopped.await) }).run());
    for (path, token, status) in [
        ("/healthz", None, "200"),
        ("/metrics", None, "401"),
        ("/metrics", Some("wrong"), "401"),
        ("/metrics", Some(&*other), "403"),
        ("/", Some(&*token), "403"),
        ("/metrics", Some(&*token), "200"),
    ] {
        let answer = get_from_manager(address, path, token).await?;
        check!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        check!(status != "200" || path != "/metrics" || answer.ends_with("up 1\n"), "{answer}");
    }
    drop(stop);
    timeout(TIMEOUT, running).await???;
    Ok(())
}
