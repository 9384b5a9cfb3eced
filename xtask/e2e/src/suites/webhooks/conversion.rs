//! Conversion webhooks of CustomResourceDefinitions.

use std::time::Duration;

use futures::TryStreamExt as _;
use http::Method;
use kube_client::Api;
use kube_client::api::{WatchEvent, WatchParams};
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use super::support::Hooks;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::{MANAGED_BY_LABEL, eventually};
use crate::webhook_server::Reply;

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Converts the field `address` of version `v1` to the fields `host` and `port` of `v2`, or back.
fn convert(object: &Value, wanted: &Value) -> Value {
    let mut object = object.clone();
    let spec = object["spec"].clone();
    object["spec"] = if let Some(address) = spec["address"].as_str() {
        let (host, port) = address.split_once(':').unwrap_or((address, "0"));
        json!({"host": host, "port": port.parse::<u16>().unwrap_or_default()})
    } else {
        let port = &spec["port"];
        json!({"address": format!("{}:{port}", spec["host"].as_str().unwrap_or_default())})
    };
    object["apiVersion"] = wanted.clone();
    object["metadata"]["annotations"]["converted"] = "yes".into();
    object
}

/// The response to a review. The annotation `case` of the first object can select a failed or malformed response.
fn respond(review: &Value) -> Reply {
    let request = &review["request"];
    let wanted = &request["desiredAPIVersion"];
    let objects = request["objects"].as_array().cloned().unwrap_or_default();
    let mut converted: Vec<Value> = objects.iter().map(|object| convert(object, wanted)).collect();
    let mut uid = request["uid"].clone();
    let mut result = json!({"status": "Success"});
    match objects[0]["metadata"]["annotations"]["case"].as_str().unwrap_or_default() {
        "failed" => result = json!({"status": "Failed", "message": "no"}),
        "silent" => result = json!({"status": "Failed"}),
        "uid" => uid = "other".into(),
        "none" => converted.clear(),
        "version" => converted[0]["apiVersion"] = "example.com/v9".into(),
        "kind" => converted[0]["kind"] = "Other".into(),
        "name" => converted[0]["metadata"]["name"] = "other".into(),
        "label" => converted[0]["metadata"]["labels"] = json!({"a": "!"}),
        "labels" => converted[0]["metadata"]["labels"] = json!({"a": 5}),
        "finalizers" => converted[0]["metadata"]["finalizers"] = json!(["example.com/x"]),
        "500" => return Reply::Text(500, "broken"),
        _ => {}
    }
    let response = json!({"uid": uid, "result": result, "convertedObjects": converted});
    Reply::Json(
        json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response": response}),
    )
}

/// The group of the custom resources of a case.
fn group(env: &Env) -> String {
    format!("{}.example.com", env.namespace())
}

/// The path of the custom resources in a version.
fn path(env: &Env, version: &str) -> String {
    format!("/apis/{}/{version}/namespaces/{}/servers", group(env), env.namespace())
}

/// Creates a CustomResourceDefinition with the versions `v1` and `v2` and with a conversion webhook, and waits until both
/// versions are served. The server stores objects in `v1`.
async fn install_crd(hooks: &Hooks) -> Outcome {
    hooks.server.set_handler("/convert", respond);
    let env = &hooks.env;
    let string = json!({"type": "string"});
    let version = |name: &str, properties: Value| {
        let spec = json!({"type": "object", "properties": properties});
        json!({"name": name, "served": true, "storage": name == "v1", "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": spec},
        }}})
    };
    let name = format!("servers.{}", group(env));
    let definition = json!({
        "kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1",
        "metadata": {"name": name, "labels": {MANAGED_BY_LABEL.0: MANAGED_BY_LABEL.1}},
        "spec": {
            "group": group(env), "scope": "Namespaced", "names": {"plural": "servers", "kind": "Server"},
            "versions": [
                version("v1", json!({"address": string})),
                version("v2", json!({"host": string, "port": {"type": "integer"}, "scheme": {"type": "string", "default": "https"}})),
            ],
            "conversion": {"strategy": "Webhook", "webhook": {
                "clientConfig": hooks.server.client_config("/convert"), "conversionReviewVersions": ["v1"],
            }},
        },
    });
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let resource = ApiResource::from_gvk_with_plural(&kind, "customresourcedefinitions");
    env.delete_at_end(&Api::<DynamicObject>::all_with(env.client(), &resource), &name);
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let created = hooks.send(Method::POST, definitions, &definition).await?;
    check_eq!((created.code, created.status().2), (201, ""));
    eventually("both versions are served", TIMEOUT, async || {
        for version in ["v1", "v2"] {
            let list = hooks.send(Method::GET, &path(env, version), &Value::Null).await;
            if list.map_err(|failure| anyhow::anyhow!("{failure}"))?.code != 200 {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}

/// A custom resource of the kind `Server` in the version `version`.
fn custom_resource(env: &Env, version: &str, name: &str, spec: &Value) -> Value {
    json!({
        "kind": "Server", "apiVersion": format!("{}/{version}", group(env)), "metadata": {"name": name}, "spec": spec,
    })
}

pub(super) async fn custom_resources_are_converted(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    install_crd(&hooks).await?;
    let env = &hooks.env;
    let (v1, v2) = (path(env, "v1"), path(env, "v2"));
    let kind = GroupVersionKind::gvk(&group(env), "v2", "Server");
    let api: Api<DynamicObject> = Api::namespaced_with(
        env.client(),
        env.namespace(),
        &ApiResource::from_gvk_with_plural(&kind, "servers"),
    );
    let watch = api.watch(&WatchParams::default().timeout(60), "0").await?;
    let mut watch = std::pin::pin!(watch);

    let created =
        hooks.send(Method::POST, &v1, &custom_resource(env, "v1", "a", &json!({"address": "a:1"}))).await?;
    check_eq!((created.code, &created.body["spec"]), (201, &json!({"address": "a:1"})));
    check!(created.body["metadata"].get("annotations").is_none(), "{}", created.body);
    // The server sets no defaults after the conversion of a stored object, so `scheme` is missing.
    let converted = json!({"host": "a", "port": 1});
    let read = hooks.send(Method::GET, &format!("{v2}/a"), &Value::Null).await?;
    check_eq!((read.code, &read.body["spec"]), (200, &converted));
    check_eq!(read.body["apiVersion"], format!("{}/v2", group(env)));
    check_eq!(read.body["metadata"]["annotations"]["converted"], "yes");
    check_eq!(read.body["metadata"]["uid"], created.body["metadata"]["uid"]);

    let created = hooks
        .send(Method::POST, &v2, &custom_resource(env, "v2", "b", &json!({"host": "b", "port": 2})))
        .await?;
    check_eq!((created.code, &created.body["spec"]["port"]), (201, &json!(2)));
    check_eq!(created.body["metadata"]["generation"], 1);
    let stored = hooks.send(Method::GET, &format!("{v1}/b"), &Value::Null).await?;
    check_eq!(stored.body["spec"], json!({"address": "b:2"}));
    let patched = hooks.send(Method::PATCH, &format!("{v2}/a"), &json!({"spec": {"port": 3}})).await?;
    check_eq!((patched.code, &patched.body["spec"]["port"]), (200, &json!(3)));
    check_eq!(patched.body["metadata"]["generation"], 2);
    let list = hooks.send(Method::GET, &v1, &Value::Null).await?;
    let addresses: Vec<_> =
        list.body["items"].as_array().into_iter().flatten().map(|item| &item["spec"]["address"]).collect();
    check_eq!(addresses, [&json!("a:3"), &json!("b:2")]);
    let list = hooks.send(Method::GET, &v2, &Value::Null).await?;
    check_eq!(list.body["items"][1]["spec"]["host"], "b");

    check_eq!(hooks.send(Method::DELETE, &format!("{v2}/b"), &Value::Null).await?.code, 200);
    let mut events = Vec::new();
    while events.len() < 4 {
        let (event, object) = match tokio::time::timeout(TIMEOUT, watch.try_next()).await?? {
            Some(WatchEvent::Added(object)) => ("added", object),
            Some(WatchEvent::Modified(object)) => ("modified", object),
            Some(WatchEvent::Deleted(object)) => ("deleted", object),
            Some(WatchEvent::Bookmark(_)) => continue,
            other => return Err(anyhow::anyhow!("unexpected event {other:?}").into()),
        };
        events.push(format!("{event} {} {}", object.data["spec"]["host"], object.data["spec"]["port"]));
    }
    check_eq!(events, ["added \"a\" 1", "added \"b\" 2", "modified \"a\" 3", "deleted \"b\" 2"]);
    Ok(())
}

/// Sends a patch without changes, and returns the resource version of the object.
async fn patch_without_changes(hooks: &Hooks, object: &str) -> Outcome<String> {
    let patched = hooks.send(Method::PATCH, object, &json!({})).await?;
    check_eq!((patched.code, patched.status().2), (200, ""));
    Ok(patched.body["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned())
}

pub(super) async fn writes_without_changes_migrate_objects_to_the_storage_version(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    install_crd(&hooks).await?;
    let env = &hooks.env;
    let v1 = path(env, "v1");
    let created =
        hooks.send(Method::POST, &v1, &custom_resource(env, "v1", "a", &json!({"address": "a:1"}))).await?;
    check_eq!(created.code, 201);
    let first = patch_without_changes(&hooks, &format!("{v1}/a")).await?;
    check_eq!(created.body["metadata"]["resourceVersion"], first);
    let definition =
        format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/servers.{}", group(env));
    let read = hooks.send(Method::GET, &definition, &Value::Null).await?;
    let mut versions = read.body["spec"]["versions"].clone();
    versions[0]["storage"] = false.into();
    versions[1]["storage"] = true.into();
    let changed = hooks.send(Method::PATCH, &definition, &json!({"spec": {"versions": versions}})).await?;
    check_eq!((changed.code, changed.status().2), (200, ""));
    check_eq!(changed.body["status"]["storedVersions"], json!(["v1", "v2"]));
    eventually("an unchanged write stores the object in v2", TIMEOUT, async || {
        let version = patch_without_changes(&hooks, &format!("{v1}/a")).await;
        let version = version.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        Ok((version != first).then_some(()))
    })
    .await?;
    Ok(())
}

pub(super) async fn failed_conversions_are_reported(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    install_crd(&hooks).await?;
    let env = &hooks.env;
    let hook = format!("conversion webhook for {}/v2, Kind=Server", group(env));
    let url = hooks.server.url("/convert");
    let mut wrong = Vec::new();
    for (case, message) in [
        ("failed", format!("{hook} failed: no")),
        ("silent", format!("{hook} failed: response.result.status was 'Failed', not 'Success'")),
        ("none", format!("{hook} returned 0 objects, expected 1")),
        (
            "version",
            format!(
                "{hook} returned invalid object at index 0: invalid groupVersion (expected {}/v1, received example.com/v9)",
                group(env)
            ),
        ),
        (
            "kind",
            format!(
                "{hook} returned invalid object at index 0: invalid kind (expected Server, received Other)"
            ),
        ),
        ("name", format!("{hook} returned invalid object: must have the same name: name != other")),
        (
            "500",
            format!(
                "{hook} failed: an error on the server (\"broken\") has prevented the request from succeeding"
            ),
        ),
    ] {
        let mut object = custom_resource(env, "v2", case, &json!({"host": "a", "port": 1}));
        object["metadata"]["annotations"] = json!({"case": case});
        let answer = hooks.send(Method::POST, &path(env, "v2"), &object).await?;
        let got = (answer.code, answer.status().2.replace(&url, "URL"));
        if got != (500, message.clone()) {
            wrong.push(format!("{case}: {got:?}"));
        }
    }
    check!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    for case in ["uid", "label", "labels"] {
        let mut object = custom_resource(env, "v2", case, &json!({"host": "a", "port": 1}));
        object["metadata"]["annotations"] = json!({"case": case});
        check_eq!((case, hooks.send(Method::POST, &path(env, "v2"), &object).await?.code), (case, 500));
    }
    // A webhook can change labels and annotations. The server ignores changes of other metadata.
    let mut object = custom_resource(env, "v2", "a", &json!({"host": "a", "port": 1}));
    object["metadata"]["annotations"] = json!({"case": "finalizers"});
    check_eq!(hooks.send(Method::POST, &path(env, "v2"), &object).await?.code, 201);
    let stored = hooks.send(Method::GET, &format!("{}/a", path(env, "v1")), &Value::Null).await?;
    check!(stored.body["metadata"].get("finalizers").is_none(), "{}", stored.body);
    Ok(())
}
