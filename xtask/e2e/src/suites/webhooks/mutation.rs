//! Mutating webhooks: their order, reinvocation and dry runs, and the validation of the changed object.

use http::Method;
use serde_json::{Value, json};

use super::support::{ConfigurationKind, Hooks, allow, allow_with_patch, respond};
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::webhook_server::Reply;

/// A handler that appends `letter` to the value of the key `trace` in the data of a config map.
fn appending_handler(letter: &'static str) -> impl Fn(&Value) -> Reply {
    move |review| {
        let before = review["request"]["object"]["data"]["trace"].as_str().unwrap_or_default();
        let value = format!("{before}{letter}");
        allow_with_patch(review, &json!([{"op": "add", "path": "/data/trace", "value": value}]))
    }
}

pub(super) async fn mutating_webhooks_run_in_order(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let (c, d) = (hooks.add_hook("c", appending_handler("c")), hooks.add_hook("d", appending_handler("d")));
    hooks.configure(ConfigurationKind::Mutating, "2", &[d, c]).await?;
    let last = hooks.add_hook("last", appending_handler("1"));
    hooks.configure(ConfigurationKind::Mutating, "1", &[last]).await?;
    let check = hooks.add_hook("check", |review| {
        respond(review, &json!({"warnings": [review["request"]["object"]["data"]["trace"]]}))
    });
    hooks.configure(ConfigurationKind::Validating, "0", &[check]).await?;
    let created = hooks.create_config_map(json!({"generateName": "a-"})).await?;
    check_eq!(created.code, 201);
    check_eq!(created.body["data"]["trace"], "1dc");
    check_eq!(created.warnings, ["299 - \"1dc\""]);
    let name = created.body["metadata"]["name"].as_str().unwrap_or_default().to_owned();

    // The mutating webhooks receive the object before the server generates its name. The validating webhooks receive the
    // final object.
    let mutated = hooks.server.take_calls("/last").remove(0);
    check!(mutated["request"].get("name").is_none(), "{mutated}");
    check!(mutated["request"]["object"]["metadata"].get("uid").is_none(), "{mutated}");
    let validated = hooks.server.take_calls("/check").remove(0);
    check_eq!(validated["request"]["name"], name);
    check_eq!(validated["request"]["object"]["metadata"]["uid"], created.body["metadata"]["uid"]);

    // No field manager owns a field that a webhook has set.
    let owned = created.body["metadata"]["managedFields"].to_string();
    check!(owned.contains("f:v") && !owned.contains("f:trace"), "{owned}");

    let path = format!("{}/{name}", hooks.path("configmaps"));
    let patched = hooks.send(Method::PATCH, &path, &json!({"data": {"trace": null}})).await?;
    check_eq!((patched.code, &patched.body["data"]["trace"]), (200, &json!("1dc")));
    let mut object = patched.body;
    object["data"]["trace"] = "x".into();
    let updated = hooks.send(Method::PUT, &path, &object).await?;
    check_eq!((updated.code, &updated.body["data"]["trace"]), (200, &json!("x1dc")));
    Ok(())
}

pub(super) async fn a_changed_object_is_defaulted_and_validated(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let mut hook = hooks.add_hook("ports", |review| {
        let port = json!({"name": "web", "port": review["request"]["object"]["metadata"]["labels"]["port"].as_str().and_then(|p| p.parse::<i64>().ok())});
        allow_with_patch(review, &json!([
            {"op": "add", "path": "/spec/ports/-", "value": port},
            {"op": "add", "path": "/spec/unknown", "value": 1},
        ]))
    });
    hook["rules"] = json!([{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["services"], "operations": ["CREATE"]}]);
    hooks.configure(ConfigurationKind::Mutating, "0", &[hook]).await?;
    let service = |port: &str| {
        json!({
            "kind": "Service", "apiVersion": "v1",
            "metadata": {"name": format!("s{port}"), "labels": {"port": port}},
            "spec": {"clusterIP": "None", "ports": [{"name": "a", "port": 1}]},
        })
    };
    let created = hooks.send(Method::POST, &hooks.path("services"), &service("80")).await?;
    check_eq!(created.code, 201);
    check_eq!(
        created.body["spec"]["ports"][1],
        json!({"name": "web", "port": 80, "protocol": "TCP", "targetPort": 80})
    );
    check!(created.body["spec"].get("unknown").is_none(), "{}", created.body);
    let refused = hooks.send(Method::POST, &hooks.path("services"), &service("70000")).await?;
    check_eq!((refused.code, &refused.body["reason"]), (422, &json!("Invalid")));
    check_eq!(refused.body["details"]["causes"][0]["field"], "spec.ports[1].port");
    Ok(())
}

pub(super) async fn webhooks_are_invoked_again_after_later_changes(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let again = |mut hook: Value| {
        hook["reinvocationPolicy"] = "IfNeeded".into();
        hook
    };
    let webhooks = [
        again(hooks.add_hook("a", appending_handler("a"))),
        hooks.add_hook("b", appending_handler("b")),
        again(hooks.add_hook("c", appending_handler("c"))),
        again(hooks.add_hook("d", allow)),
    ];
    hooks.configure(ConfigurationKind::Mutating, "0", &webhooks).await?;
    let created = hooks.create_config_map(json!({"name": "a"})).await?;
    // The server calls `a` again because `b` and `c` have changed the object since the first call of `a`. The second
    // call of `a` changes the object, so the server also calls `c` and `d` again. `b` has the reinvocation policy
    // `Never`.
    check_eq!(created.body["data"]["trace"], "abcac");
    let calls = ["/a", "/b", "/c", "/d"].map(|path| hooks.server.take_calls(path).len());
    check_eq!(calls, [2, 1, 2, 2]);
    Ok(())
}

pub(super) async fn a_webhook_receives_the_dry_run_flag(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let mut safe = hooks.add_hook("safe", appending_handler("x"));
    safe["sideEffects"] = "NoneOnDryRun".into();
    hooks.configure(ConfigurationKind::Mutating, "0", &[safe]).await?;
    let path = format!("{}?dryRun=All", hooks.path("configmaps"));
    let dry = hooks.send(Method::POST, &path, &json!({"metadata": {"name": "a"}, "data": {}})).await?;
    // The object in the review has no `data`, because the server omits empty maps. The patch of `/data/trace` fails.
    check_eq!(dry.code, 500);
    let dry =
        hooks.send(Method::POST, &path, &json!({"metadata": {"name": "a"}, "data": {"v": "1"}})).await?;
    check_eq!((dry.code, &dry.body["data"]["trace"]), (201, &json!("x")));
    let call = hooks.server.take_calls("/safe").remove(1);
    check_eq!(call["request"]["dryRun"], true);
    check_eq!(call["request"]["options"]["dryRun"], json!(["All"]));
    check_eq!(
        hooks.send(Method::GET, &format!("{}/a", hooks.path("configmaps")), &Value::Null).await?.code,
        404
    );
    Ok(())
}
