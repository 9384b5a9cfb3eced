//! The reviews that webhooks receive, and a webhook server behind a service.

use http::Method;
use serde_json::{Value, json};

use super::support::{ConfigurationKind, Hooks, allow, respond};
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};

/// The fields of a request that are the same on every server. An object is represented by its `kind`.
fn comparable_fields(review: &Value) -> Value {
    let request = &review["request"];
    let mut shown = json!({});
    for field in ["subResource", "name", "operation", "dryRun", "options"] {
        if let Some(value) = request.get(field) {
            shown[field] = value.clone();
        }
    }
    shown["kind"] = request["kind"]["kind"].clone();
    shown["resource"] = request["resource"]["resource"].clone();
    for field in ["object", "oldObject"] {
        shown[field] = request[field]["kind"].clone();
    }
    shown
}

pub(super) async fn a_review_describes_its_request(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let mut hook = hooks.add_hook("all", allow);
    hook["rules"] = json!([{
        "apiGroups": ["", "apps"], "apiVersions": ["v1"], "operations": ["*"],
        "resources": ["configmaps", "replicasets", "replicasets/scale", "serviceaccounts/token"],
    }]);
    hooks.configure(ConfigurationKind::Validating, "0", &[hook]).await?;
    hooks.server.take_calls("/all");
    let maps = hooks.path("configmaps");
    let a = format!("{maps}/a");
    hooks.create_config_map(json!({"name": "a"})).await?;
    let patch = json!({"data": {"v": "2"}});
    hooks.patch_and_wait_for_cache(&format!("{a}?fieldManager=me&fieldValidation=Strict"), &patch).await?;
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 5, "propagationPolicy": "Background"});
    hooks.send(Method::DELETE, &a, &options).await?;
    hooks.create_config_map(json!({"name": "b"})).await?;
    hooks.send(Method::DELETE, &maps, &Value::Null).await?;
    let calls: Vec<Value> = hooks.server.take_calls("/all");
    let first = &calls[0];
    check_eq!(
        (&first["kind"], &first["apiVersion"]),
        (&json!("AdmissionReview"), &json!("admission.k8s.io/v1"))
    );
    let request = &first["request"];
    check!(request["uid"].as_str().is_some_and(|uid| uid.len() == 36), "{request}");
    check_eq!(request["namespace"], hooks.env.namespace());
    check_eq!(request["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
    check_eq!(request["requestKind"], request["kind"]);
    check_eq!(request["requestResource"], request["resource"]);
    check!(
        request["userInfo"]["username"].is_string() && request["userInfo"]["groups"].is_array(),
        "{request}"
    );
    let create = json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"});
    let update = json!({"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me", "fieldValidation": "Strict"});
    let delete = json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "gracePeriodSeconds": 5, "propagationPolicy": "Background"});
    let map = |operation: &str, name: Option<&str>, options: &Value, objects: [Value; 2]| {
        let mut expected = json!({"operation": operation, "dryRun": false, "options": options, "kind": "ConfigMap", "resource": "configmaps"});
        [expected["object"], expected["oldObject"]] = objects;
        if let Some(name) = name {
            expected["name"] = name.into();
        }
        expected
    };
    let kind = || json!("ConfigMap");
    let shown: Vec<Value> = calls
        .iter()
        .filter(|call| call["request"]["name"] != "kube-root-ca.crt")
        .map(comparable_fields)
        .collect();
    // In a cluster with controllers, the namespace also contains `kube-root-ca.crt`. The deletion of the
    // collection then causes two reviews. Both have the same comparable fields, so only one is compared.
    check_eq!(
        shown[..4],
        [
            map("CREATE", Some("a"), &create, [kind(), Value::Null]),
            map("UPDATE", Some("a"), &update, [kind(), kind()]),
            map("DELETE", Some("a"), &delete, [Value::Null, kind()]),
            map("CREATE", Some("b"), &create, [kind(), Value::Null]),
        ]
    );
    let bare = json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"});
    check!(shown.len() > 4, "{shown:?}");
    check_eq!(shown[4], map("DELETE", None, &bare, [Value::Null, kind()]));
    check_reviews_of_subresources(&hooks).await
}

/// Checks the reviews of requests for the subresources `scale` and `token`. Each subresource has a kind of its own.
async fn check_reviews_of_subresources(hooks: &Hooks) -> Outcome {
    let sets = format!("/apis/apps/v1/namespaces/{}/replicasets", hooks.env.namespace());
    let labels = json!({"app": "a"});
    let set = json!({
        "kind": "ReplicaSet", "apiVersion": "apps/v1", "metadata": {"name": "r"},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]},
        }},
    });
    check_eq!(hooks.send(Method::POST, &sets, &set).await?.code, 201);
    hooks.server.take_calls("/all");
    let scaled = hooks
        .send(Method::PATCH, &format!("{sets}/r/scale?dryRun=All"), &json!({"spec": {"replicas": 1}}))
        .await?;
    check_eq!((scaled.code, &scaled.body["spec"]["replicas"]), (200, &json!(1)));
    let review = hooks.server.take_calls("/all").remove(0);
    let request = &review["request"];
    check_eq!(request["kind"], json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}));
    check_eq!((&request["subResource"], &request["name"]), (&json!("scale"), &json!("r")));
    check_eq!(
        (&request["object"]["kind"], &request["object"]["spec"]["replicas"]),
        (&json!("Scale"), &json!(1))
    );
    check_eq!(
        (&request["oldObject"]["kind"], &request["oldObject"]["status"]["replicas"]),
        (&json!("Scale"), &json!(0))
    );

    hooks.server.set_handler("/all", |review| respond(review, &json!({"allowed": false})));
    let account = json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "s"}});
    hooks.send(Method::POST, &hooks.path("serviceaccounts"), &account).await?;
    let token = json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {}});
    let refused = hooks.send(Method::POST, &hooks.path("serviceaccounts/s/token"), &token).await?;
    check_eq!(refused.code, 400);
    let review = hooks.server.take_calls("/all").remove(0);
    let request = &review["request"];
    check_eq!((&request["operation"], &request["kind"]["kind"]), (&json!("CREATE"), &json!("TokenRequest")));
    check_eq!((&request["subResource"], &request["name"]), (&json!("token"), &json!("s")));
    Ok(())
}

pub(super) async fn a_webhook_is_called_through_a_service(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let service = json!({
        "kind": "Service", "apiVersion": "v1", "metadata": {"name": "hook"},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    });
    check_eq!(hooks.send(Method::POST, &hooks.path("services"), &service).await?.code, 201);
    let mut hook = hooks.add_hook("service", allow);
    hook["clientConfig"] = json!({
        "service": {
            "namespace": hooks.env.namespace(), "name": "hook", "path": "/service", "port": hooks.server.address().port(),
        },
        "caBundle": hooks.server.ca_bundle(),
    });
    hooks.configure(ConfigurationKind::Validating, "0", &[hook]).await?;
    check_eq!(hooks.create_config_map(json!({"name": "a"})).await?.code, 201);
    check_eq!(hooks.server.take_calls("/service").len(), 1);
    Ok(())
}
