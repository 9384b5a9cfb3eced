//! The selection of the requests that webhooks receive.

use http::Method;
use serde_json::{Value, json};

use super::support::{ConfigurationKind, Hooks, allow};
use crate::env::Env;
use crate::failure::{Outcome, check_eq};

/// A rule for all operations on these resources.
fn rule(groups: &[&str], versions: &[&str], resources: &[&str]) -> Value {
    json!({"apiGroups": groups, "apiVersions": versions, "resources": resources, "operations": ["*"]})
}

/// Creates a webhook for each entry of `webhooks`. An entry contains a name, which is also the path of the webhook, and
/// fields that replace the default fields.
async fn configure(hooks: &Hooks, webhooks: &[(&str, Value)]) -> Outcome {
    let webhooks: Vec<Value> = webhooks
        .iter()
        .map(|(name, fields)| {
            let mut hook = hooks.add_hook(name, allow);
            for (field, value) in fields.as_object().into_iter().flatten() {
                hook[field] = value.clone();
            }
            hook
        })
        .collect();
    hooks.configure(ConfigurationKind::Validating, "0", &webhooks).await
}

/// Removes the recorded calls, and returns the names of the called webhooks in the order of `names`.
fn take_called_names<'a>(hooks: &Hooks, names: &[&'a str]) -> Vec<&'a str> {
    let is_called = |name: &&str| !hooks.server.take_calls(&format!("/{name}")).is_empty();
    names.iter().filter(|name| is_called(name)).copied().collect()
}

pub(super) async fn rules_select_requests(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let one = |rule: Value| json!({"rules": [rule]});
    let mut update = rule(&[""], &["v1"], &["configmaps"]);
    update["operations"] = json!(["UPDATE"]);
    // With the resource `*`, this rule would match the writes of cluster-scoped objects by other cases.
    let mut cluster = rule(&["*"], &["*"], &["namespaces", "configmaps"]);
    cluster["scope"] = "Cluster".into();
    let mut namespaced = rule(&["*"], &["*"], &["*/*"]);
    namespaced["scope"] = "Namespaced".into();
    let mut star = rule(&["*"], &["*"], &["*"]);
    star["scope"] = "Namespaced".into();
    let events = rule(&["events.k8s.io"], &["v1"], &["events"]);
    configure(
        &hooks,
        &[
            ("exact", one(rule(&[""], &["v1"], &["configmaps"]))),
            ("group", one(rule(&["apps"], &["v1"], &["configmaps"]))),
            ("update", one(update)),
            ("star", one(star)),
            ("all", one(rule(&["*"], &["*"], &["configmaps/*", "services/*", "namespaces/*", "events/*"]))),
            ("status", one(rule(&[""], &["*"], &["*/status"]))),
            ("cluster", one(cluster)),
            ("namespaced", one(namespaced)),
            ("equivalent", one(events.clone())),
            ("other", json!({"rules": [events], "matchPolicy": "Exact"})),
        ],
    )
    .await?;
    let names =
        ["exact", "group", "update", "star", "all", "status", "cluster", "namespaced", "equivalent", "other"];
    take_called_names(&hooks, &names);
    hooks.create_config_map(json!({"name": "a"})).await?;
    check_eq!(take_called_names(&hooks, &names), ["exact", "star", "all", "namespaced"]);
    let map = format!("{}/a", hooks.path("configmaps"));
    hooks.send(Method::PATCH, &map, &json!({"data": {"v": "2"}})).await?;
    check_eq!(take_called_names(&hooks, &names), ["exact", "update", "star", "all", "namespaced"]);
    hooks.send(Method::GET, &map, &Value::Null).await?;
    check_eq!(take_called_names(&hooks, &names), [""; 0]);
    let service = json!({
        "kind": "Service", "apiVersion": "v1", "metadata": {"name": "s"},
        "spec": {"clusterIP": "None", "ports": [{"port": 1}]},
    });
    hooks.send(Method::POST, &hooks.path("services"), &service).await?;
    take_called_names(&hooks, &names);
    let status = format!("{}/s/status", hooks.path("services"));
    check_eq!(hooks.send(Method::PATCH, &status, &json!({"status": {}})).await?.code, 200);
    check_eq!(take_called_names(&hooks, &names), ["all", "status", "namespaced"]);
    let namespace = format!("/api/v1/namespaces/{}", hooks.env.namespace());
    hooks.send(Method::PATCH, &namespace, &json!({"metadata": {"annotations": {"a": "b"}}})).await?;
    check_eq!(take_called_names(&hooks, &names), ["all", "cluster"]);

    let event = json!({
        "kind": "Event", "apiVersion": "v1", "metadata": {"name": "e"}, "message": "text",
        "involvedObject": {"namespace": hooks.env.namespace(), "name": "a", "kind": "ConfigMap"},
    });
    check_eq!(hooks.send(Method::POST, &hooks.path("events"), &event).await?.code, 201);
    let review = hooks.server.take_calls("/equivalent").remove(0);
    check_eq!(
        review["request"]["resource"],
        json!({"group": "events.k8s.io", "version": "v1", "resource": "events"})
    );
    check_eq!(
        review["request"]["requestResource"],
        json!({"group": "", "version": "v1", "resource": "events"})
    );
    check_eq!(review["request"]["object"]["note"], "text");
    check_eq!(take_called_names(&hooks, &names), ["star", "all", "namespaced"]);
    Ok(())
}

pub(super) async fn selectors_exclude_objects(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let app = |value: &str| json!({"matchLabels": {"app": value}});
    configure(&hooks, &[
        ("a", json!({"objectSelector": app("a")})),
        ("not-a", json!({"objectSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]}})),
        ("elsewhere", json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}})),
    ])
    .await?;
    let names = ["a", "not-a", "elsewhere"];
    take_called_names(&hooks, &names);
    hooks.create_config_map(json!({"name": "a", "labels": {"app": "a"}})).await?;
    check_eq!(take_called_names(&hooks, &names), ["a"]);
    hooks.create_config_map(json!({"name": "b"})).await?;
    check_eq!(take_called_names(&hooks, &names), ["not-a"]);
    // A request is selected if the selector matches the new object or the old object.
    let a = format!("{}/a", hooks.path("configmaps"));
    hooks.patch_and_wait_for_cache(&a, &json!({"metadata": {"labels": {"app": "b"}}})).await?;
    check_eq!(take_called_names(&hooks, &names), ["a", "not-a"]);
    hooks.send(Method::DELETE, &a, &Value::Null).await?;
    check_eq!(take_called_names(&hooks, &names), ["not-a"]);
    Ok(())
}

pub(super) async fn match_conditions_exclude_requests(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let conditions = |expressions: &[&str]| -> Value {
        let entry = |(index, text): (usize, &&str)| json!({"name": format!("c{index}"), "expression": text});
        expressions.iter().enumerate().map(entry).collect()
    };
    let small = "!has(object.data) || size(object.data) < 2";
    configure(&hooks, &[
        ("both", json!({"matchConditions": conditions(&[small, "request.operation == 'CREATE'"])})),
        ("old", json!({"matchConditions": conditions(&["oldObject != null", "request.userInfo.username != ''"])})),
        ("ignored", json!({
            "matchConditions": conditions(&["object.data.none == 'x'"]), "failurePolicy": "Ignore",
        })),
        // A false condition excludes the request. The error of the other condition has no effect.
        ("excluded", json!({"matchConditions": conditions(&["object.data.none == 'x'", "false"])})),
        ("fails", json!({
            "matchConditions": conditions(&["object.data.none == 'x'", "object.metadata.none == 'y'"]),
            "objectSelector": {"matchLabels": {"fails": "true"}},
        })),
    ])
    .await?;
    let names = ["both", "old", "ignored", "excluded", "fails"];
    take_called_names(&hooks, &names);
    check_eq!(hooks.create_config_map(json!({"name": "a"})).await?.code, 201);
    check_eq!(take_called_names(&hooks, &names), ["both"]);
    let a = format!("{}/a", hooks.path("configmaps"));
    hooks.send(Method::PATCH, &a, &json!({"data": {"w": "2"}})).await?;
    check_eq!(take_called_names(&hooks, &names), ["old"]);
    let answer = hooks.create_config_map(json!({"name": "b", "labels": {"fails": "true"}})).await?;
    let expected = "configmaps \"b\" is forbidden: [expression 'object.data.none == 'x'' resulted in error: no such key: none, expression 'object.metadata.none == 'y'' resulted in error: no such key: none]";
    check_eq!(answer.status(), (403, "Forbidden", expected));
    Ok(())
}

pub(super) async fn requests_for_webhook_configurations_call_no_webhook(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let everything = json!({
        "rules": [rule(&["admissionregistration.k8s.io"], &["*"], &["*"])], "namespaceSelector": {},
    });
    configure(&hooks, &[("all", everything)]).await?;
    hooks.configure(ConfigurationKind::Mutating, "1", &[]).await?;
    check_eq!(take_called_names(&hooks, &["all"]), [""; 0]);
    Ok(())
}
