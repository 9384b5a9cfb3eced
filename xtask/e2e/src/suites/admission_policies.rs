//! `ValidatingAdmissionPolicy`: validations, variables, parameters, the CEL variable `authorizer`, bindings and their
//! actions.

use std::time::Duration;

use http::Method;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube_client::Api;
use kube_client::api::PostParams;
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use super::webhooks::support::Hooks;
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::{Answer, MANAGED_BY_LABEL, eventually, object_from_json};

suite!("admission_policies":
    validations_deny_requests,
    the_failure_policy_applies_to_errors,
    bindings_select_requests_and_actions,
    bindings_select_parameters_for_expressions,
    expressions_use_the_authorizer [Authorization],
);

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The path of the collection of policies.
const POLICIES_PATH: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
/// The path of the collection of bindings.
const BINDINGS_PATH: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";

/// Creates a policy for the config maps of the case's namespace. The policy's `spec` also has the entries of `fields`.
/// Returns the name of the policy.
async fn create_policy(hooks: &Hooks, name: &str, fields: &Value) -> Outcome<String> {
    let name = hooks.env.unique_name(name);
    let mut spec = json!({"matchConstraints": {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": hooks.env.namespace()}},
        "resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
            "operations": ["CREATE", "UPDATE"],
        }],
    }});
    set_spec_fields(&mut spec, fields);
    create_policy_or_binding(hooks, "ValidatingAdmissionPolicy", POLICIES_PATH, &name, &spec).await?;
    Ok(name)
}

/// Creates a binding of a policy. The binding's `spec` also has the entries of `fields`. Returns the name of the binding.
async fn create_binding(hooks: &Hooks, policy: &str, suffix: &str, fields: &Value) -> Outcome<String> {
    let name = format!("{policy}-{suffix}");
    let mut spec = json!({"policyName": policy, "validationActions": ["Deny"]});
    set_spec_fields(&mut spec, fields);
    create_policy_or_binding(hooks, "ValidatingAdmissionPolicyBinding", BINDINGS_PATH, &name, &spec).await?;
    Ok(name)
}

fn set_spec_fields(spec: &mut Value, fields: &Value) {
    for (field, value) in fields.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
}

async fn create_policy_or_binding(
    hooks: &Hooks,
    kind: &str,
    collection: &str,
    name: &str,
    spec: &Value,
) -> Outcome {
    let version = "admissionregistration.k8s.io/v1";
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind));
    hooks.env.delete_at_end(&Api::<DynamicObject>::all_with(hooks.env.client(), &resource), name);
    let object = json!({
        "kind": kind, "apiVersion": version, "metadata": {"name": name, "labels": {MANAGED_BY_LABEL.0: MANAGED_BY_LABEL.1}}, "spec": spec,
    });
    let created = hooks.send(Method::POST, collection, &object).await?;
    check_eq!((created.code, created.status().2), (201, ""));
    Ok(())
}

/// Creates a config map in a dry run. The argument `case` is the value of the config map's annotation `case`. The argument
/// `labels` is the config map's labels.
async fn create_in_dry_run(hooks: &Hooks, case: &str, labels: &Value) -> Outcome<Answer> {
    let path = format!("{}?dryRun=All", hooks.path("configmaps"));
    let map = json!({"metadata": {"name": "a", "annotations": {"case": case}, "labels": labels}, "data": {"v": "1"}});
    hooks.send(Method::POST, &path, &map).await
}

/// Waits until the server refuses a config map whose annotation `case` has this value, or warns about the config map.
async fn wait_until_active(hooks: &Hooks, case: &str) -> Outcome {
    eventually("the policy is active", TIMEOUT, async || {
        let answer = create_in_dry_run(hooks, case, &Value::Null)
            .await
            .map_err(|failure| anyhow::anyhow!("{failure}"))?;
        Ok((answer.code != 201 || !answer.warnings.is_empty()).then_some(()))
    })
    .await
}

/// An expression that is false for objects whose annotation `case` has this value.
fn case_is_not(case: &str) -> String {
    format!("object.metadata.annotations['case'] != '{case}'")
}

pub(super) async fn validations_deny_requests(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let validation = |case: &str, mut fields: Value| {
        fields["expression"] = case_is_not(case).into();
        fields
    };
    let policy = create_policy(&hooks, "p", &json!({
        "variables": [
            {"name": "size", "expression": "size(object.data)"},
            {"name": "text", "expression": "'size ' + string(variables.size)"},
            {"name": "none", "expression": "object.data.none"},
            {"name": "allowed", "expression": "authorizer.requestResource.check('create').allowed()"},
        ],
        "matchConditions": [{"name": "included", "expression": case_is_not("excluded")}],
        "validations": [
            validation("plain", json!({})),
            validation("message", json!({"message": " fixed text ", "reason": "Forbidden"})),
            validation("computed", json!({"message": "unused", "messageExpression": "variables.text + ' in ' + namespaceObject.metadata.name"})),
            validation("broken", json!({"message": "fixed", "messageExpression": "string(object.data.none)"})),
            validation("authorizer", json!({"message": "fixed", "messageExpression": "variables.allowed ? 'a' : 'b'"})),
            {
                "expression": format!("{} || !variables.allowed", case_is_not("allowed")),
                "message": "fixed", "messageExpression": "variables.allowed ? 'a' : 'b'",
            },
            validation("large", json!({"reason": "RequestEntityTooLarge"})),
            {"expression": format!("{} || request.operation == 'UPDATE' && oldObject != null", case_is_not("request"))},
            {"expression": format!("{} || variables.none == 'x'", case_is_not("variable"))},
        ],
    })).await?;
    let binding = create_binding(&hooks, &policy, "b", &json!({})).await?;
    wait_until_active(&hooks, "plain").await?;
    let plain = format!("failed expression: {}", case_is_not("plain"));
    let request = format!(
        "failed expression: {} || request.operation == 'UPDATE' && oldObject != null",
        case_is_not("request")
    );
    let variable = format!(
        "expression '{} || variables.none == 'x'' resulted in error: composited variable \"none\" fails to evaluate: no such key: none",
        case_is_not("variable")
    );
    let computed = format!("size 1 in {}", hooks.env.namespace());
    for (case, code, reason, text) in [
        ("plain", 422, "Invalid", plain.as_str()),
        ("message", 403, "Forbidden", "fixed text"),
        ("computed", 422, "Invalid", &computed),
        ("broken", 422, "Invalid", "fixed"),
        // A variable that uses the authorizer can be read by `expression`, but not by `messageExpression`.
        ("authorizer", 422, "Invalid", "fixed"),
        ("allowed", 422, "Invalid", "fixed"),
        ("large", 413, "RequestEntityTooLarge", &format!("failed expression: {}", case_is_not("large"))),
        ("request", 422, "Invalid", &request),
        ("variable", 422, "Invalid", &variable),
    ] {
        let answer = create_in_dry_run(&hooks, case, &Value::Null).await?;
        let denied =
            format!("ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {text}");
        check_eq!(
            answer.status(),
            (code, reason, format!("configmaps \"a\" is forbidden: {denied}").as_str())
        );
        check_eq!(answer.body["details"]["causes"], json!([{"message": denied}]));
    }
    check_eq!(create_in_dry_run(&hooks, "excluded", &Value::Null).await?.code, 201);
    let map = json!({"metadata": {"name": "a", "annotations": {"case": "other"}}, "data": {"v": "1"}});
    check_eq!(hooks.send(Method::POST, &hooks.path("configmaps"), &map).await?.code, 201);
    let request = json!({"metadata": {"annotations": {"case": "request"}}});
    let path = format!("{}/a", hooks.path("configmaps"));
    check_eq!(hooks.send(Method::PATCH, &path, &request).await?.code, 200);
    Ok(())
}

pub(super) async fn the_failure_policy_applies_to_errors(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let failing = |policy: &str, case: &str| {
        json!({"failurePolicy": policy, "validations": [
            {"expression": format!("{} || object.data.none == 'x'", case_is_not(case))},
            {"expression": case_is_not(&format!("{case}-active"))},
        ]})
    };
    let fails = create_policy(&hooks, "fails", &failing("Fail", "f")).await?;
    let ignores = create_policy(&hooks, "ignores", &failing("Ignore", "i")).await?;
    let binding = create_binding(&hooks, &fails, "b", &json!({})).await?;
    create_binding(&hooks, &ignores, "b", &json!({})).await?;
    wait_until_active(&hooks, "f-active").await?;
    wait_until_active(&hooks, "i-active").await?;
    let answer = create_in_dry_run(&hooks, "f", &Value::Null).await?;
    let why = format!(
        "expression '{} || object.data.none == 'x'' resulted in error: no such key: none",
        case_is_not("f")
    );
    let expected = format!(
        "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy '{fails}' with binding '{binding}' denied request: {why}"
    );
    check_eq!(answer.status(), (422, "Invalid", expected.as_str()));
    check_eq!(create_in_dry_run(&hooks, "i", &Value::Null).await?.code, 201);
    Ok(())
}

pub(super) async fn bindings_select_requests_and_actions(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let policy = create_policy(
        &hooks,
        "p",
        &json!({"validations": [{"expression": case_is_not("no"), "message": "no"}]}),
    )
    .await?;
    let labelled =
        |value: &str| json!({"matchResources": {"objectSelector": {"matchLabels": {"app": value}}}});
    let with_actions = |mut fields: Value, actions: &[&str]| {
        fields["validationActions"] = json!(actions);
        fields
    };
    let warn = create_binding(&hooks, &policy, "warn", &with_actions(json!({}), &["Warn", "Audit"])).await?;
    create_binding(&hooks, &policy, "deny", &with_actions(labelled("deny"), &["Deny"])).await?;
    let mut excluded = labelled("excluded");
    excluded["matchResources"]["excludeResourceRules"] = json!([{
        "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"], "resourceNames": ["a"],
    }]);
    create_binding(&hooks, &policy, "excluded", &with_actions(excluded, &["Deny"])).await?;
    wait_until_active(&hooks, "no").await?;
    eventually("the binding is active", TIMEOUT, async || {
        let answer = create_in_dry_run(&hooks, "no", &json!({"app": "deny"})).await;
        Ok((answer.map_err(|failure| anyhow::anyhow!("{failure}"))?.code == 422).then_some(()))
    })
    .await?;
    let warned = create_in_dry_run(&hooks, "no", &Value::Null).await?;
    let text = format!(
        "299 - \"Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{warn}': no\""
    );
    check_eq!((warned.code, &warned.warnings[..]), (201, &[text][..]));
    check!(create_in_dry_run(&hooks, "yes", &json!({"app": "deny"})).await?.warnings.is_empty());
    check_eq!(create_in_dry_run(&hooks, "no", &json!({"app": "excluded"})).await?.code, 201);
    Ok(())
}

pub(super) async fn bindings_select_parameters_for_expressions(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let policy = create_policy(&hooks, "p", &json!({
        "paramKind": {"apiVersion": "v1", "kind": "Secret"},
        "matchConditions": [{"name": "probe", "expression": "object.metadata.annotations['case'] != 'none'"}],
        "validations": [{
            "expression": "params != null && object.metadata.annotations['case'] == params.metadata.labels.wanted",
            "messageExpression": "'wanted: ' + params.metadata.labels.wanted",
        }],
    })).await?;
    for (name, wanted) in [("one", "x"), ("two", "y")] {
        let secret = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name, "labels": {"wanted": wanted}}});
        check_eq!(hooks.send(Method::POST, &hooks.path("secrets"), &secret).await?.code, 201);
    }
    let selected = |app: &str, reference: Value| json!({"paramRef": reference, "matchResources": {"objectSelector": {"matchLabels": {"app": app}}}});
    create_binding(
        &hooks,
        &policy,
        "name",
        &selected("name", json!({"name": "one", "parameterNotFoundAction": "Deny"})),
    )
    .await?;
    create_binding(&hooks, &policy, "all", &selected("all", json!({
        "selector": {"matchExpressions": [{"key": "wanted", "operator": "Exists"}]}, "parameterNotFoundAction": "Deny",
    }))).await?;
    create_binding(
        &hooks,
        &policy,
        "allowed",
        &selected("allowed", json!({"name": "none", "parameterNotFoundAction": "Allow"})),
    )
    .await?;
    let denied = create_binding(
        &hooks,
        &policy,
        "denied",
        &selected("denied", json!({"name": "none", "parameterNotFoundAction": "Deny"})),
    )
    .await?;
    let app = |app: &str| json!({"app": app});
    for label in ["name", "all", "denied"] {
        eventually("the binding is active", TIMEOUT, async || {
            let answer = create_in_dry_run(&hooks, "probe", &app(label)).await;
            Ok((answer.map_err(|failure| anyhow::anyhow!("{failure}"))?.code == 422).then_some(()))
        })
        .await?;
    }
    check_eq!(create_in_dry_run(&hooks, "x", &app("name")).await?.code, 201);
    let refused = create_in_dry_run(&hooks, "y", &app("name")).await?;
    check!(
        refused.code == 422 && refused.status().2.ends_with("denied request: wanted: x"),
        "{:?}",
        refused.status()
    );
    // The server evaluates the policy for each selected parameter. With the parameter `two`, the policy denies the request.
    check_eq!(create_in_dry_run(&hooks, "x", &app("all")).await?.code, 422);
    check_eq!(create_in_dry_run(&hooks, "z", &app("allowed")).await?.code, 201);
    let refused = create_in_dry_run(&hooks, "x", &app("denied")).await?;
    let why = format!(
        "ValidatingAdmissionPolicy '{policy}' with binding '{denied}' denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    );
    check_eq!(refused.status(), (422, "Invalid", format!("configmaps \"a\" is forbidden: {why}").as_str()));
    Ok(())
}

pub(super) async fn expressions_use_the_authorizer(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    grant_get_pods(&hooks.env, "robot").await?;
    let namespace = hooks.env.namespace();
    let account = format!("authorizer.serviceAccount('{namespace}', 'robot')");
    let pods = format!("{account}.group('').resource('pods')");
    let reason = format!(
        r#"RBAC: allowed by RoleBinding "pods/{namespace}" of Role "pods" to ServiceAccount "robot/{namespace}""#
    );
    let three_checks = ["authorizer.path('/').check('get').allowed()"; 3].join(" && ");
    let true_expressions = [
        "authorizer.path('/healthz').check('get').allowed()".to_owned(),
        "authorizer.requestResource.check('create').reason() == ''".to_owned(),
        format!("{pods}.namespace('{namespace}').check('get').allowed()"),
        format!("{pods}.namespace('{namespace}').name('a').check('get').reason() == '{reason}'"),
        format!("{pods}.labelSelector('a=b').namespace('{namespace}').check('get').allowed()"),
        format!("!{pods}.check('get').allowed()"),
        format!("!{pods}.namespace('{namespace}').check('delete').allowed()"),
        format!("!{pods}.subresource('log').namespace('{namespace}').check('get').allowed()"),
        format!("!{account}.path('/healthz').check('get').allowed()"),
        format!("!{account}.group('a.io').resource('a').check('get').errored()"),
    ];
    let errors = [
        ("path", "authorizer.path(' ').check('get').allowed()", "path must not be empty"),
        ("cost", three_checks.as_str(), "operation cancelled: actual cost limit exceeded"),
    ];
    let failing = errors.map(|(case, expression, _)| format!("{} || {expression}", case_is_not(case)));
    let validations: Vec<_> =
        true_expressions.iter().chain(&failing).map(|e| json!({"expression": e})).collect();
    let condition = "authorizer.requestResource.check('create').allowed()";
    let policy = create_policy(
        &hooks,
        "p",
        &json!({
            "matchConditions": [{"name": "a", "expression": condition}], "validations": validations,
        }),
    )
    .await?;
    create_binding(&hooks, &policy, "b", &json!({})).await?;
    wait_until_active(&hooks, "path").await?;
    let answer = create_in_dry_run(&hooks, "none", &Value::Null).await?;
    check_eq!((answer.code, answer.status().2), (201, ""));
    for ((case, _, why), expression) in errors.iter().zip(&failing) {
        let answer = create_in_dry_run(&hooks, case, &Value::Null).await?;
        let expected = format!("denied request: expression '{expression}' resulted in error: {why}");
        check!(answer.status().2.ends_with(&expected), "{:?}", answer.status());
    }

    let rule = json!({
        "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"],
    });
    for (validation, why) in [
        (
            json!({"expression": "authorizer.group('')"}),
            "must evaluate to bool but got kubernetes.authorization.GroupCheck",
        ),
        (
            json!({"expression": "authorizer.resource('a').check('get').allowed()"}),
            "found no matching overload for 'resource' applied to 'kubernetes.authorization.Authorizer.(string)'",
        ),
        (
            json!({"expression": "true", "messageExpression": "authorizer.path('/').check('get').reason()"}),
            "undeclared reference to 'authorizer'",
        ),
    ] {
        let refused = json!({
            "kind": "ValidatingAdmissionPolicy", "apiVersion": "admissionregistration.k8s.io/v1",
            "metadata": {"name": hooks.env.unique_name("refused")},
            "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [validation]},
        });
        let answer = hooks.send(Method::POST, &format!("{POLICIES_PATH}?dryRun=All"), &refused).await?;
        check!(answer.code == 422 && answer.status().2.contains(why), "{validation}: {:?}", answer.status());
    }
    Ok(())
}

/// Grants the verb `get` for pods in the case's namespace to a service account, and waits until the grant is
/// effective.
async fn grant_get_pods(env: &Env, account: &str) -> Outcome {
    let (roles, bindings): (Api<Role>, Api<RoleBinding>) = (env.api(), env.api());
    let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
    roles
        .create(
            &PostParams::default(),
            &object_from_json(json!({"metadata": {"name": "pods"}, "rules": [rule]}))?,
        )
        .await?;
    let binding = object_from_json(json!({
        "metadata": {"name": "pods"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "pods"},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": env.namespace()}],
    }))?;
    bindings.create(&PostParams::default(), &binding).await?;
    let review: SubjectAccessReview = object_from_json(json!({"spec": {
        "user": format!("system:serviceaccount:{}:{account}", env.namespace()),
        "resourceAttributes": {"namespace": env.namespace(), "verb": "get", "resource": "pods"},
    }}))?;
    let reviews: Api<SubjectAccessReview> = Api::all(env.client());
    eventually("the role is effective", TIMEOUT, async || {
        let review = reviews.create(&PostParams::default(), &review).await?;
        Ok(review.status.is_some_and(|status| status.allowed).then_some(()))
    })
    .await
}
