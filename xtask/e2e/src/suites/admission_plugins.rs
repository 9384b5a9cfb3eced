//! The built-in admission plugins, as users see them: defaults, refusals and warnings.

use std::time::Duration;

use anyhow::ensure;
use http::Request;
use kube_client::Api;
use kube_client::api::PostParams;
use kube_client::client::Body;
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::case::suite;
use crate::env::Env;
use crate::failure::Outcome;
use crate::support::{Answer, MANAGED_BY_LABEL, eventually, send_raw};

suite!("admission_plugins":
    limit_ranges_set_defaults_and_refuse_values_above_the_maximum,
    priority_classes_set_the_priority_of_pods,
    runtime_classes_add_their_overhead_to_pods,
    namespace_labels_select_pod_security_standards,
    volume_claims_get_the_default_class,
    volume_claims_grow_only_if_their_class_allows_it,
    signing_requests_need_permissions_for_the_signer [Authorization],
    trust_bundles_need_a_permission_for_the_signer [Authorization, Latest],
    certificate_requests_of_pods_need_a_permission_for_the_signer [Authorization, Latest],
);

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A PKCS #10 request.
const SIGNING_REQUEST: &str = include_str!("signing-request.pem");
const SIGNER: &str = "example.com/e2e";
const SIGNING_REQUESTS_PATH: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// Sends a request with a JSON body, as an impersonated user if `user` is not empty.
async fn send(env: &Env, user: &str, method: &str, path: &str, body: &Value) -> anyhow::Result<Answer> {
    let content_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let mut request = Request::builder().method(method).uri(path).header("content-type", content_type);
    if !user.is_empty() {
        request = request.header("impersonate-user", user);
    }
    send_raw(&env.client(), request.body(Body::from(body.to_string().into_bytes()))?).await
}

/// The expected response to a request.
#[derive(Debug)]
enum ExpectedResponse<'a> {
    /// The server accepts the request, and the response has each of these values at its JSON pointer.
    Accepted(Vec<(&'a str, Value)>),
    /// The server accepts the request, and returns a warning that contains this text.
    Warned(&'a str),
    /// The server refuses the request with 403 and a message that contains this text.
    Refused(&'a str),
    /// The server refuses the request with 422 and a message that contains this text.
    Invalid(&'a str),
}

/// Repeats a request until the response is the expected one. The plugins read classes, labels and roles from caches,
/// which may be outdated.
async fn check_request(
    env: &Env,
    user: &str,
    request: (&str, &str),
    body: &Value,
    expected: &ExpectedResponse<'_>,
) -> Outcome {
    let (method, path) = request;
    eventually(&format!("the response to {method} {path} {body} is {expected:?}"), TIMEOUT, async || {
        let answer = send(env, user, method, path, body).await?;
        let is_accepted = (200..300).contains(&answer.code);
        let is_met = match expected {
            ExpectedResponse::Accepted(values) => {
                is_accepted && values.iter().all(|(at, value)| answer.body.pointer(at) == Some(value))
            }
            ExpectedResponse::Warned(text) => {
                is_accepted && answer.warnings.iter().any(|found| found.contains(text))
            }
            ExpectedResponse::Refused(text) => answer.code == 403 && answer.status().2.contains(text),
            ExpectedResponse::Invalid(text) => answer.code == 422 && answer.status().2.contains(text),
        };
        ensure!(is_met, "{} {:?} {}", answer.code, answer.warnings, answer.body);
        Ok(Some(()))
    })
    .await
}

/// For each row, creates an object of the core group in a dry run, and checks the response.
async fn check_dry_run_creations(
    env: &Env,
    collection: &str,
    rows: &[(Value, ExpectedResponse<'_>)],
) -> Outcome {
    let path = format!("/api/v1/namespaces/{}/{collection}?dryRun=All", env.namespace());
    for (body, expected) in rows {
        check_request(env, "", ("POST", &path), body, expected).await?;
    }
    Ok(())
}

/// Creates a cluster-scoped object with the fields of `object`. Returns the name of the object. The object is deleted
/// after the case.
async fn create_cluster_scoped(
    env: &Env,
    kind: (&str, &str),
    suffix: &str,
    mut object: Value,
) -> Outcome<String> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(kind.0, "v1", kind.1));
    let (api, name): (Api<DynamicObject>, _) =
        (Api::all_with(env.client(), &resource), env.unique_name(suffix));
    object["apiVersion"] = resource.api_version.as_str().into();
    object["kind"] = resource.kind.as_str().into();
    object["metadata"]["name"] = name.as_str().into();
    object["metadata"]["labels"][MANAGED_BY_LABEL.0] = MANAGED_BY_LABEL.1.into();
    env.delete_at_end(&api, &name);
    api.create(&PostParams::default(), &serde_json::from_value::<DynamicObject>(object)?).await?;
    Ok(name)
}

/// The JSON of a pod with one container. The pod's `spec` also has the entries of `fields`.
fn pod(fields: &Value) -> Value {
    let mut spec =
        json!({"automountServiceAccountToken": false, "containers": [{"name": "c", "image": "i"}]});
    for (field, value) in fields.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
}

async fn limit_ranges_set_defaults_and_refuse_values_above_the_maximum(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let range = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "a"},
        "spec": {"limits": [{
            "type": "Container", "default": {"cpu": "200m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"},
        }]},
    });
    let path = format!("/api/v1/namespaces/{}/limitranges", env.namespace());
    check_request(&env, "", ("POST", &path), &range, &ExpectedResponse::Accepted(Vec::new())).await?;
    let with =
        |resources: Value| pod(&json!({"containers": [{"name": "c", "image": "i", "resources": resources}]}));
    let resources = |value: Value| ExpectedResponse::Accepted(vec![("/spec/containers/0/resources", value)]);
    let own = json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}});
    check_dry_run_creations(
        &env,
        "pods",
        &[
            (pod(&json!({})), resources(json!({"limits": {"cpu": "200m"}, "requests": {"cpu": "100m"}}))),
            (with(own.clone()), resources(own)),
            (
                with(json!({"limits": {"cpu": "2"}})),
                ExpectedResponse::Refused("maximum cpu usage per Container is 1, but limit is 2"),
            ),
        ],
    )
    .await
}

async fn priority_classes_set_the_priority_of_pods(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let fields = json!({"value": 7, "preemptionPolicy": "Never"});
    let name = create_cluster_scoped(&env, ("scheduling.k8s.io", "PriorityClass"), "class", fields).await?;
    let values = vec![("/spec/priority", json!(7)), ("/spec/preemptionPolicy", json!("Never"))];
    check_dry_run_creations(
        &env,
        "pods",
        &[
            (pod(&json!({"priorityClassName": name})), ExpectedResponse::Accepted(values)),
            (pod(&json!({})), ExpectedResponse::Accepted(vec![("/spec/priority", json!(0))])),
            (
                pod(&json!({"priorityClassName": name, "priority": 8})),
                ExpectedResponse::Refused(
                    "the integer value of priority (8) must not be provided in pod spec",
                ),
            ),
            (
                pod(&json!({"priorityClassName": "missing"})),
                ExpectedResponse::Refused("no PriorityClass with name missing was found"),
            ),
        ],
    )
    .await
}

async fn runtime_classes_add_their_overhead_to_pods(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let fields = json!({
        "handler": "e2e", "overhead": {"podFixed": {"cpu": "10m"}}, "scheduling": {"nodeSelector": {"a": "b"}},
    });
    let name = create_cluster_scoped(&env, ("node.k8s.io", "RuntimeClass"), "class", fields).await?;
    let values = vec![("/spec/overhead", json!({"cpu": "10m"})), ("/spec/nodeSelector", json!({"a": "b"}))];
    check_dry_run_creations(
        &env,
        "pods",
        &[
            (pod(&json!({"runtimeClassName": name})), ExpectedResponse::Accepted(values)),
            (
                pod(&json!({"runtimeClassName": name, "overhead": {"cpu": "20m"}})),
                ExpectedResponse::Refused("Pod's Overhead doesn't match RuntimeClass's defined Overhead"),
            ),
            (
                pod(&json!({"runtimeClassName": "missing"})),
                ExpectedResponse::Refused("RuntimeClass \"missing\" not found"),
            ),
        ],
    )
    .await
}

async fn namespace_labels_select_pod_security_standards(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let container = json!({"name": "c", "image": "i", "securityContext": {"privileged": true}});
    let privileged = pod(&json!({"containers": [container]}));
    let restricted = pod(&json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "c", "image": "i",
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        }],
    }));
    let namespace = format!("/api/v1/namespaces/{}", env.namespace());
    for (mode, expected) in [
        ("enforce", ExpectedResponse::Refused("violates PodSecurity \"restricted:latest\"")),
        ("warn", ExpectedResponse::Warned("would violate PodSecurity \\\"restricted:latest\\\"")),
    ] {
        let labels = json!({
            "pod-security.kubernetes.io/enforce": null, (format!("pod-security.kubernetes.io/{mode}")): "restricted",
        });
        let labels = json!({"metadata": {"labels": labels}});
        check_request(&env, "", ("PATCH", &namespace), &labels, &ExpectedResponse::Accepted(Vec::new()))
            .await?;
        let rows =
            [(privileged.clone(), expected), (restricted.clone(), ExpectedResponse::Accepted(Vec::new()))];
        check_dry_run_creations(&env, "pods", &rows).await?;
    }
    Ok(())
}

/// The JSON of a volume claim. The claim's `spec` also has the entries of `fields`.
fn claim(fields: &Value) -> Value {
    let mut spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    for (field, value) in fields.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": spec})
}

async fn volume_claims_get_the_default_class(env: Env) -> Outcome {
    let metadata = json!({"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}});
    let fields = json!({"metadata": metadata, "provisioner": "example.com/e2e"});
    let name = create_cluster_scoped(&env, ("storage.k8s.io", "StorageClass"), "class", fields).await?;
    let class = |name: &str| ExpectedResponse::Accepted(vec![("/spec/storageClassName", json!(name))]);
    check_dry_run_creations(
        &env,
        "persistentvolumeclaims",
        &[
            (claim(&json!({})), class(&name)),
            (claim(&json!({"storageClassName": "other"})), class("other")),
            (claim(&json!({"storageClassName": ""})), class("")),
        ],
    )
    .await
}

async fn volume_claims_grow_only_if_their_class_allows_it(env: Env) -> Outcome {
    let claims = format!("/api/v1/namespaces/{}/persistentvolumeclaims", env.namespace());
    for (suffix, grows) in [("fixed", false), ("grows", true)] {
        let fields = json!({"provisioner": "example.com/e2e", "allowVolumeExpansion": grows});
        let name = create_cluster_scoped(&env, ("storage.k8s.io", "StorageClass"), suffix, fields).await?;
        let mut claim = claim(&json!({"storageClassName": name}));
        claim["metadata"]["name"] = suffix.into();
        check_request(&env, "", ("POST", &claims), &claim, &ExpectedResponse::Accepted(Vec::new())).await?;
        let one = format!("{claims}/{suffix}");
        let (status, larger) = (format!("{one}/status"), format!("{one}?dryRun=All"));
        let bound = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
        let size = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
        let why = "the storageclass that provisions the pvc must support resize";
        // A volume controller may reset the phase to `Pending`, so each attempt sets `Bound` first.
        eventually(&format!("{suffix} is resized or not"), TIMEOUT, async || {
            send(&env, "", "PATCH", &status, &bound).await?;
            let answer = send(&env, "", "PATCH", &larger, &size).await?;
            let (code, _, message) = answer.status();
            let is_met = if grows { code == 200 } else { code == 403 && message.contains(why) };
            ensure!(is_met, "{code} {message}");
            Ok(Some(()))
        })
        .await?;
    }
    Ok(())
}

/// Creates roles for two users, and returns the users' names. RBAC permits both users to write the approval and the status
/// of certificate requests, and to create trust bundles. Only the second user may also use the signers of `example.com`.
async fn create_roles_for_users(env: &Env) -> Outcome<[String; 2]> {
    let group = "certificates.k8s.io";
    let writes = json!({
        "apiGroups": [group],
        "resources": [
            "certificatesigningrequests/approval",
            "certificatesigningrequests/status",
            "clustertrustbundles",
            "podcertificaterequests/status",
        ],
        "verbs": ["create", "patch"],
    });
    let signs = json!({
        "apiGroups": [group],
        "resources": ["signers"],
        "resourceNames": ["example.com/*"],
        "verbs": ["approve", "attest", "sign"],
    });
    let users = ["jane", "signer"].map(|user| env.unique_name(user));
    for (suffix, rules, users) in [("writes", writes, &users[..]), ("signs", signs, &users[1..])] {
        let role = create_cluster_scoped(env, (RBAC_GROUP, "ClusterRole"), suffix, json!({"rules": [rules]}))
            .await?;
        let subjects: Vec<_> =
            users.iter().map(|user| json!({"apiGroup": RBAC_GROUP, "kind": "User", "name": user})).collect();
        let fields = json!({
            "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": role}, "subjects": subjects,
        });
        create_cluster_scoped(env, (RBAC_GROUP, "ClusterRoleBinding"), suffix, fields).await?;
    }
    Ok(users)
}

async fn signing_requests_need_permissions_for_the_signer(env: Env) -> Outcome {
    let [jane, signer] = create_roles_for_users(&env).await?;
    let request = k8s_openapi::ByteString(SIGNING_REQUEST.as_bytes().to_vec());
    let spec = json!({"request": request, "signerName": SIGNER, "usages": ["client auth"]});
    let kind = ("certificates.k8s.io", "CertificateSigningRequest");
    let name = create_cluster_scoped(&env, kind, "csr", json!({"spec": spec})).await?;
    for (subresource, condition, action) in
        [("approval", "Approved", "approve"), ("status", "Failed", "sign")]
    {
        let condition = json!({"type": condition, "status": "True", "reason": "E2e"});
        let body = json!({"status": {"conditions": [condition]}});
        let path = format!("{SIGNING_REQUESTS_PATH}/{name}/{subresource}?dryRun=All");
        let why = format!("user not permitted to {action} requests with signerName {SIGNER:?}");
        check_request(&env, &jane, ("PATCH", &path), &body, &ExpectedResponse::Refused(&why)).await?;
        check_request(&env, &signer, ("PATCH", &path), &body, &ExpectedResponse::Accepted(Vec::new()))
            .await?;
    }
    Ok(())
}

async fn trust_bundles_need_a_permission_for_the_signer(env: Env) -> Outcome {
    let [jane, signer] = create_roles_for_users(&env).await?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&KeyPair::generate()?)?.pem();
    let path = "/apis/certificates.k8s.io/v1/clustertrustbundles?dryRun=All";
    let bundle = |name: &str, signer: &str| {
        json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "ClusterTrustBundle", "metadata": {"name": name},
            "spec": {"signerName": signer, "trustBundle": authority},
        })
    };
    let attested = bundle(&format!("example.com:e2e:{}", env.namespace()), SIGNER);
    let why = format!("user not permitted to attest for signerName {SIGNER:?}");
    let accepted = || ExpectedResponse::Accepted(Vec::new());
    check_request(&env, &jane, ("POST", path), &attested, &ExpectedResponse::Refused(&why)).await?;
    check_request(&env, &jane, ("POST", path), &bundle(&env.unique_name("bundle"), ""), &accepted()).await?;
    check_request(&env, &signer, ("POST", path), &attested, &accepted()).await
}

async fn certificate_requests_of_pods_need_a_permission_for_the_signer(env: Env) -> Outcome {
    let [jane, signer] = create_roles_for_users(&env).await?;
    let csr = CertificateParams::default().serialize_request(&KeyPair::generate()?)?;
    let request = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "PodCertificateRequest", "metadata": {"name": "r"},
        "spec": {
            "signerName": SIGNER, "podName": "p", "podUID": "1", "serviceAccountName": "default",
            "serviceAccountUID": "2", "nodeName": "n", "nodeUID": "3", "maxExpirationSeconds": 3600,
            "stubPKCS10Request": k8s_openapi::ByteString(csr.der().to_vec()),
        },
    });
    let requests =
        format!("/apis/certificates.k8s.io/v1/namespaces/{}/podcertificaterequests", env.namespace());
    let accepted = || ExpectedResponse::Accepted(Vec::new());
    check_request(&env, "", ("POST", &requests), &request, &accepted()).await?;
    let condition = json!({
        "type": "Denied", "status": "True", "reason": "E2e", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let (path, body) =
        (format!("{requests}/r/status?dryRun=All"), json!({"status": {"conditions": [condition]}}));
    let why = format!("User {jane:?} is not permitted to \"sign\" for signer {SIGNER:?}");
    check_request(&env, &jane, ("PATCH", &path), &body, &ExpectedResponse::Invalid(&why)).await?;
    check_request(&env, &signer, ("PATCH", &path), &body, &accepted()).await
}
