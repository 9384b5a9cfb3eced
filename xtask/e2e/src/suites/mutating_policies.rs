//! `MutatingAdmissionPolicy`: apply configurations, JSON patches, the failure policy and the reinvocation policy.

use std::time::Duration;

use http::Method;
use kube_client::Api;
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use super::webhooks::support::{ConfigurationKind, Hooks, allow_with_patch};
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::{Answer, MANAGED_BY_LABEL, eventually};

// Only the newest Kubernetes serves the version v1 of this API.
suite!("mutating_policies":
    mutations_change_objects [Latest],
    apply_configurations_merge_lists_by_key [Latest],
    the_failure_policy_applies_to_errors [Latest],
    policies_run_again_after_a_change [Latest],
    built_in_plugins_run_again_after_a_change [Latest],
    webhooks_run_after_policies [Latest, Loopback],
    invalid_policies_are_refused [Latest],
);

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The path of the collection of policies.
const POLICIES_PATH: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
/// The path of the collection of bindings.
const BINDINGS_PATH: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings";

/// A mutation of the type `ApplyConfiguration`.
fn apply_configuration_mutation(expression: &str) -> Value {
    json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}})
}

/// A mutation of the type `JSONPatch`.
fn json_patch_mutation(expression: &str) -> Value {
    json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}})
}

/// The spec of a policy for the config maps and deployments of the case's namespace. The spec has these mutations and the
/// entries of `fields`.
fn policy_spec(env: &Env, mutations: &[Value], fields: Value) -> Value {
    let mut spec = json!({
        "reinvocationPolicy": "Never",
        "mutations": mutations,
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": env.namespace()}},
            "resourceRules": [{
                "apiGroups": ["", "apps"], "apiVersions": ["v1"], "resources": ["configmaps", "deployments"],
                "operations": ["CREATE", "UPDATE"],
            }],
        },
    });
    if let Value::Object(fields) = fields {
        for (field, value) in fields {
            spec[field] = value;
        }
    }
    spec
}

/// Sends a POST request with a policy or a binding.
async fn send(hooks: &Hooks, kind: &str, collection: &str, name: &str, spec: &Value) -> Outcome<Answer> {
    let object = json!({
        "kind": kind, "apiVersion": "admissionregistration.k8s.io/v1",
        "metadata": {"name": name, "labels": {MANAGED_BY_LABEL.0: MANAGED_BY_LABEL.1}}, "spec": spec,
    });
    hooks.send(Method::POST, collection, &object).await
}

/// Creates a policy with its binding, and waits until the policy is active. For this wait, the function adds a mutation to
/// the policy. This mutation sets an annotation on objects with the label `probe`. `mutations` must not change objects with
/// this label.
async fn create_policy(hooks: &Hooks, name: &str, mutations: &[Value], fields: Value) -> Outcome<String> {
    let name = hooks.env.unique_name(name);
    let probe = apply_configuration_mutation(&format!(
        "has(object.metadata.labels) && 'probe' in object.metadata.labels ? \
         Object{{metadata: Object.metadata{{annotations: {{'{name}': 'active'}}}}}} : Object{{}}"
    ));
    let mutations: Vec<Value> = std::iter::once(probe).chain(mutations.iter().cloned()).collect();
    for (kind, collection, spec) in [
        ("MutatingAdmissionPolicy", POLICIES_PATH, policy_spec(&hooks.env, &mutations, fields)),
        ("MutatingAdmissionPolicyBinding", BINDINGS_PATH, json!({"policyName": name})),
    ] {
        let gvk = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        let resource = ApiResource::from_gvk(&gvk);
        hooks.env.delete_at_end(&Api::<DynamicObject>::all_with(hooks.env.client(), &resource), &name);
        let created = send(hooks, kind, collection, &name, &spec).await?;
        check_eq!((created.code, created.status().2), (201, ""));
    }
    eventually("the policy is active", TIMEOUT, async || {
        let answer = create_in_dry_run(hooks, &json!({"labels": {"probe": "true"}})).await;
        let answer = answer.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        Ok((answer.body["metadata"]["annotations"][&name] == "active").then_some(()))
    })
    .await?;
    Ok(name)
}

/// Creates a config map with this metadata in a dry run.
async fn create_in_dry_run(hooks: &Hooks, metadata: &Value) -> Outcome<Answer> {
    let path = format!("{}?dryRun=All", hooks.path("configmaps"));
    let mut map = json!({"metadata": metadata, "data": {"v": "1"}});
    map["metadata"]["name"] = "a".into();
    hooks.send(Method::POST, &path, &map).await
}

/// Metadata with the annotation `case`, which the expressions of [`case_is`] test.
fn metadata_with_case(case: &str) -> Value {
    json!({"annotations": {"case": case}})
}

/// A match condition for objects with labels or with the annotation `case`.
const HAS_LABELS_OR_CASE: &str = "has(object.metadata.labels) || (has(object.metadata.annotations) && 'case' in object.metadata.annotations)";

/// An expression that is true for objects whose annotation `case` has this value.
fn case_is(case: &str) -> String {
    format!(
        "(has(object.metadata.annotations) && object.metadata.annotations[?'case'].orValue('') == '{case}')"
    )
}

pub(super) async fn mutations_change_objects(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let configuration = format!(
        "{} ? Object{{metadata: Object.metadata{{labels: {{'size': variables.size}}}}}} : Object{{}}",
        case_is("map")
    );
    let added = format!(
        "{} ? [JSONPatch{{op: 'test', path: '/data/v', value: '1'}}, \
         JSONPatch{{op: 'add', path: '/metadata/annotations/' + jsonpatch.escapeKey('example.com/x'), \
         value: object.metadata.labels.size + ' ' + namespaceObject.metadata.name}}, \
         JSONPatch{{op: 'copy', from: '/data/v', path: '/data/w'}}] : []",
        case_is("map")
    );
    let failed_test = format!(
        "{} ? [JSONPatch{{op: 'test', path: '/data/v', value: 'other'}}, JSONPatch{{op: 'remove', path: '/data'}}] : []",
        case_is("map")
    );
    let fields = json!({
        "variables": [{"name": "size", "expression": "string(size(object.data))"}],
        "matchConditions": [{"name": "case", "expression": HAS_LABELS_OR_CASE}],
    });
    let mutations = [
        apply_configuration_mutation(&configuration),
        json_patch_mutation(&added),
        json_patch_mutation(&failed_test),
    ];
    create_policy(&hooks, "p", &mutations, fields).await?;

    let path = hooks.path("configmaps");
    let map = json!({"metadata": {"name": "m", "annotations": {"case": "map"}}, "data": {"v": "1"}});
    let created = hooks.send(Method::POST, &path, &map).await?;
    check_eq!((created.code, created.status().2), (201, ""));
    let stored = hooks.send(Method::GET, &format!("{path}/m"), &Value::Null).await?.body;
    check_eq!(stored["metadata"]["labels"], json!({"size": "1"}));
    check_eq!(stored["metadata"]["annotations"]["example.com/x"], format!("1 {}", hooks.env.namespace()));
    check_eq!(stored["data"], json!({"v": "1", "w": "1"}));
    // No manager owns the fields that a policy sets.
    let owned = stored["metadata"]["managedFields"][0]["fieldsV1"].to_string();
    check!(owned.contains("f:data") && !owned.contains("f:w") && !owned.contains("f:labels"), "{owned}");
    Ok(())
}

pub(super) async fn apply_configurations_merge_lists_by_key(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let containers = format!(
        "{} ? Object{{spec: Object.spec{{template: Object.spec.template{{spec: Object.spec.template.spec{{containers: [ \
         Object.spec.template.spec.containers{{name: 'side', image: 'side:1'}}, \
         Object.spec.template.spec.containers{{name: 'main', env: [Object.spec.template.spec.containers.env{{name: 'A', value: 'b'}}]}} \
         ]}}}}}}}} : Object{{}}",
        case_is("deployment")
    );
    create_policy(&hooks, "p", &[apply_configuration_mutation(&containers)], json!({})).await?;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "d", "annotations": {"case": "deployment"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "d"}},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "main", "image": "main:1"}]}},
        },
    });
    let path = format!("/apis/apps/v1/namespaces/{}/deployments?dryRun=All", hooks.env.namespace());
    let created = hooks.send(Method::POST, &path, &deployment).await?;
    check_eq!((created.code, created.status().2), (201, ""));
    let mut containers =
        created.body["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
    containers.sort_by_key(|container| container["name"].to_string());
    check_eq!(containers.len(), 2);
    check_eq!(
        (&containers[0]["image"], &containers[0]["env"]),
        (&json!("main:1"), &json!([{"name": "A", "value": "b"}]))
    );
    // The server also sets the defaults of the new container.
    check_eq!(
        (&containers[1]["image"], &containers[1]["imagePullPolicy"]),
        (&json!("side:1"), &json!("IfNotPresent"))
    );
    Ok(())
}

pub(super) async fn the_failure_policy_applies_to_errors(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let evaluation = format!(
        "{} ? Object{{metadata: Object.metadata{{labels: {{'a': string(object.data.none)}}}}}} : Object{{}}",
        case_is("evaluation")
    );
    let type_name = format!("{} ? Object{{metadata: Object.spec{{}}}} : Object{{}}", case_is("type"));
    let undeclared = format!("{} ? Object{{spec: Object.spec{{a: 1}}}} : Object{{}}", case_is("undeclared"));
    let atomic = format!(
        "{} ? Object{{metadata: Object.metadata{{finalizers: ['example.com/x'], ownerReferences: []}}}} : Object{{}}",
        case_is("sets")
    );
    let missing = format!("{} ? [JSONPatch{{op: 'remove', path: '/data/none'}}] : []", case_is("missing"));
    let unknown =
        format!("{} ? [JSONPatch{{op: 'add', path: '/spec', value: 'x'}}] : []", case_is("unknown"));
    let mutations = [
        apply_configuration_mutation(&evaluation),
        apply_configuration_mutation(&type_name),
        apply_configuration_mutation(&undeclared),
        apply_configuration_mutation(&atomic),
        json_patch_mutation(&missing),
        json_patch_mutation(&unknown),
    ];
    let fails = create_policy(&hooks, "fails", &mutations, json!({})).await?;
    let ignored = [apply_configuration_mutation(&format!(
        "{} ? Object{{metadata: Object.metadata{{labels: {{'a': string(object.data.none)}}}}}} : Object{{}}",
        case_is("ignored")
    ))];
    create_policy(&hooks, "ignores", &ignored, json!({"failurePolicy": "Ignore"})).await?;

    let denied = |why: &str| format!("policy '{fails}' with binding '{fails}' denied request: {why}");
    for (name, why) in [
        ("evaluation", format!("expression '{evaluation}' resulted in error: no such key: none")),
        (
            "type",
            "type mismatch: unexpected type name \"Object.spec\", expected \"Object.metadata\", which matches field name \
             path from root Object type"
                .to_owned(),
        ),
        (
            "undeclared",
            "error applying patch: failed to convert patch object to typed object: .spec: field not declared in schema"
                .to_owned(),
        ),
        (
            "missing",
            "JSON Patch: error in remove for path: '/data/none': Unable to remove nonexistent key: none: missing value"
                .to_owned(),
        ),
    ] {
        let answer = create_in_dry_run(&hooks, &metadata_with_case(name)).await?;
        check_eq!(answer.status(), (403, "Invalid", denied(&why).as_str()));
        check_eq!(answer.body["details"]["causes"], json!([{"message": denied(&why)}]));
    }
    let answer = create_in_dry_run(&hooks, &metadata_with_case("unknown")).await?;
    let why = "Internal error occurred: strict decoding error: unknown field \"spec\"";
    check_eq!(answer.status(), (500, "InternalError", why));
    let answer = create_in_dry_run(&hooks, &metadata_with_case("sets")).await?;
    check_eq!((answer.code, &answer.body["metadata"]["finalizers"]), (201, &json!(["example.com/x"])));
    check_eq!(create_in_dry_run(&hooks, &metadata_with_case("ignored")).await?.code, 201);
    Ok(())
}

pub(super) async fn policies_run_again_after_a_change(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    // Each invocation of a policy appends an `x` to the policy's annotation. The order of the policies is not defined.
    let count = |name: &str| {
        apply_configuration_mutation(&format!(
            "{} ? Object{{metadata: Object.metadata{{annotations: {{'{name}': \
             object.metadata.annotations[?'{name}'].orValue('') + 'x'}}}}}} : Object{{}}",
            case_is("again")
        ))
    };
    create_policy(&hooks, "again", &[count("again")], json!({"reinvocationPolicy": "IfNeeded"})).await?;
    create_policy(&hooks, "once", &[count("once")], json!({})).await?;
    let answer = create_in_dry_run(&hooks, &metadata_with_case("again")).await?;
    check_eq!((answer.code, answer.status().2), (201, ""));
    let annotations = &answer.body["metadata"]["annotations"];
    check_eq!((&annotations["again"], &annotations["once"]), (&json!("xx"), &json!("x")));
    Ok(())
}

pub(super) async fn built_in_plugins_run_again_after_a_change(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    hooks.env.wait_until_pods_can_be_created().await?;
    let limits = json!({"metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "2"}, "defaultRequest": {"cpu": "1"}},
    ]}});
    let limited = hooks.send(Method::POST, &hooks.path("limitranges"), &limits).await?;
    check_eq!((limited.code, limited.status().2), (201, ""));
    let sidecar = apply_configuration_mutation(
        "object.kind == 'Pod' ? Object{spec: Object.spec{containers: \
         [Object.spec.containers{name: 'sidecar', image: 'i'}]}} : Object{}",
    );
    let rules = json!({"matchConstraints": {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": hooks.env.namespace()}},
        "resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps", "pods"], "operations": ["CREATE"],
        }],
    }});
    create_policy(&hooks, "sidecar", &[sidecar], rules).await?;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let answer = hooks.send(Method::POST, &format!("{}?dryRun=All", hooks.path("pods")), &pod).await?;
    check_eq!((answer.code, answer.status().2), (201, ""));
    let containers = answer.body["spec"]["containers"].as_array().cloned().unwrap_or_default();
    check_eq!(containers.len(), 2);
    for container in &containers {
        check_eq!(container["resources"]["limits"]["cpu"], "2");
        // The plugin ServiceAccount mounts a token in each container.
        check_eq!(container["volumeMounts"].as_array().map(Vec::len), Some(1));
    }
    Ok(())
}

pub(super) async fn webhooks_run_after_policies(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let hook = hooks.add_hook("copy", |review| {
        let object = &review["request"]["object"]["metadata"];
        let label = object["labels"]["by-policy"].as_str().unwrap_or("none");
        let seen = json!({"op": "add", "path": "/metadata/annotations/seen", "value": label});
        allow_with_patch(review, &json!([seen]))
    });
    let mut hook = hook;
    hook["matchConditions"] = json!([{"name": "case", "expression": case_is("hook")}]);
    hooks.configure(ConfigurationKind::Mutating, "h", &[hook]).await?;
    let label = format!(
        "{} ? Object{{metadata: Object.metadata{{labels: {{'by-policy': object.metadata.annotations[?'seen'].orValue('first')}}}}}} : Object{{}}",
        case_is("hook")
    );
    create_policy(
        &hooks,
        "p",
        &[apply_configuration_mutation(&label)],
        json!({"reinvocationPolicy": "IfNeeded"}),
    )
    .await?;
    let answer = create_in_dry_run(&hooks, &metadata_with_case("hook")).await?;
    check_eq!((answer.code, answer.status().2), (201, ""));
    // The webhook receives the label that the policy has set. Then the policy runs again, and receives the
    // annotation that the webhook has set.
    let metadata = &answer.body["metadata"];
    check_eq!(
        (&metadata["annotations"]["seen"], &metadata["labels"]["by-policy"]),
        (&json!("first"), &json!("first"))
    );
    Ok(())
}

pub(super) async fn invalid_policies_are_refused(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let name = hooks.env.unique_name("invalid");
    let rule = |operation: &str| {
        json!({"resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": [operation],
        }]})
    };
    let valid = apply_configuration_mutation("Object{}");
    let both = json!({
        "patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}, "applyConfiguration": {"expression": "Object{}"},
    });
    for (mutations, fields, fields_with_errors) in [
        (vec![valid.clone()], json!({"reinvocationPolicy": ""}), &["spec.reinvocationPolicy"][..]),
        (vec![valid.clone()], json!({"reinvocationPolicy": "Always"}), &["spec.reinvocationPolicy"]),
        (
            vec![valid.clone()],
            json!({"matchConstraints": rule("DELETE")}),
            &["spec.matchConstraints.resourceRules.operations"],
        ),
        (vec![], json!({}), &["spec.mutations"]),
        (vec![json!({"patchType": "Other"})], json!({}), &["spec.mutations[0].patchType"]),
        (vec![json!({"patchType": "JSONPatch"})], json!({}), &["spec.mutations[0].jsonPatch"]),
        (
            vec![apply_configuration_mutation("{'a': 'b'}")],
            json!({}),
            &["spec.mutations[0].applyConfiguration.expression"],
        ),
        (
            vec![apply_configuration_mutation("Object{a: params.b}")],
            json!({}),
            &["spec.mutations[0].applyConfiguration.expression"],
        ),
        (
            vec![json_patch_mutation("[JSONPatch{op: 1}]")],
            json!({}),
            &["spec.mutations[0].jsonPatch.expression"],
        ),
        (
            vec![both],
            json!({}),
            &["spec.mutations[0].jsonPatch.expression", "spec.mutations[0].applyConfiguration"],
        ),
    ] {
        let spec = policy_spec(&hooks.env, &mutations, fields);
        let path = format!("{POLICIES_PATH}?dryRun=All");
        let answer = send(&hooks, "MutatingAdmissionPolicy", &path, &name, &spec).await?;
        check_eq!((answer.code, answer.status().1), (422, "Invalid"));
        let causes = answer.body["details"]["causes"].as_array().cloned().unwrap_or_default();
        let found: Vec<_> = causes.iter().filter_map(|cause| cause["field"].as_str()).collect();
        check_eq!(found, fields_with_errors);
    }
    let spec = json!({"policyName": "p", "matchResources": rule("DELETE")});
    let path = format!("{BINDINGS_PATH}?dryRun=All");
    let answer = send(&hooks, "MutatingAdmissionPolicyBinding", &path, &name, &spec).await?;
    check_eq!((answer.code, answer.status().1), (422, "Invalid"));
    Ok(())
}
