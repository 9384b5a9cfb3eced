//! Webhooks that deny requests, that fail, or whose responses are invalid.

use http::Method;
use serde_json::{Value, json};

use super::support::{ConfigurationKind, Hooks, allow, allow_with_patch, respond};
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::webhook_server::Reply;

/// The value of the annotation `case` of the object in a review.
fn case_of(review: &Value) -> String {
    review["request"]["object"]["metadata"]["annotations"]["case"].as_str().unwrap_or_default().to_owned()
}

/// Creates a config map for each entry of `expected`. An entry contains the value of the annotation `case`, and the
/// expected code, reason and message of the response.
async fn check_answers(hooks: &Hooks, expected: &[(&str, u16, &str, &str)]) -> Outcome {
    let mut wrong = Vec::new();
    for (case, code, reason, message) in expected {
        let metadata = json!({"generateName": "a-", "annotations": {"case": case}});
        let answer = hooks.create_config_map(metadata).await?;
        let (_, _, text) = answer.status();
        let text = text.replace(&hooks.server.address().to_string(), "ADDRESS");
        let (got_code, got_reason, _) = answer.status();
        if (got_code, got_reason, text.as_str()) != (*code, *reason, *message) {
            wrong.push(format!("{case}: {got_code} {got_reason:?} {text:?}"));
        }
    }
    check!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    Ok(())
}

pub(super) async fn webhooks_deny_requests(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let deny = |status: Value| json!({"allowed": false, "status": status});
    let hook = hooks.add_hook("deny", move |review| {
        respond(review, &match case_of(review).as_str() {
            "bare" => json!({"allowed": false}),
            "absent" => json!({"allowed": null}),
            "message" => deny(json!({"message": "no"})),
            "reason" => deny(json!({"reason": "Because"})),
            "code" => deny(json!({"code": 403, "reason": "Forbidden", "message": "no"})),
            "success" => deny(json!({"code": 200, "status": "Success", "message": "no"})),
            "details" => deny(json!({
                "code": 422, "reason": "Invalid", "message": "no",
                "details": {"causes": [{"reason": "FieldValueInvalid", "field": "data.v", "message": "m"}]},
            })),
            _ => json!({"warnings": ["first", "say \"second\""], "auditAnnotations": {"a": "b"}}),
        })
    });
    hooks.configure(ConfigurationKind::Validating, "0", &[hook]).await?;
    let denied = "admission webhook \"deny.example.com\" denied the request";
    let no = format!("{denied}: no");
    check_answers(
        &hooks,
        &[
            ("bare", 400, "", &format!("{denied} without explanation")),
            ("absent", 400, "", &format!("{denied} without explanation")),
            ("message", 400, "", &no),
            ("reason", 400, "Because", &format!("{denied}: Because")),
            ("code", 403, "Forbidden", &no),
            ("success", 400, "", &no),
            ("details", 422, "Invalid", &no),
            ("allowed", 201, "", ""),
        ],
    )
    .await?;
    let details = hooks.create_config_map(json!({"name": "a", "annotations": {"case": "details"}})).await?;
    check_eq!(details.body["details"]["causes"][0]["field"], "data.v");
    let allowed = hooks.create_config_map(json!({"name": "a"})).await?;
    check_eq!(allowed.warnings, ["299 - \"first\"", "299 - \"say \\\"second\\\"\""]);
    Ok(())
}

/// The response of a webhook to a review. An unknown `case` selects a response that admits the request.
fn failing_response(case: &str, review: &Value) -> Reply {
    let uid = &review["request"]["uid"];
    let raw = |kind: &str, version: &str, response: Value| {
        Reply::Json(json!({"kind": kind, "apiVersion": version, "response": response}))
    };
    let v1 = "admission.k8s.io/v1";
    match case {
        "500" => Reply::Text(500, "broken"),
        "503" => Reply::Text(503, "broken"),
        "400" => Reply::Text(400, "broken"),
        "404" => Reply::Text(404, "nothing"),
        "302" => Reply::Text(302, ""),
        "no-kind" => Reply::Json(json!({"apiVersion": v1, "response": {"uid": uid, "allowed": true}})),
        "no-response" => raw("AdmissionReview", v1, Value::Null),
        "uid" => raw("AdmissionReview", v1, json!({"uid": "other", "allowed": true})),
        "patch" => allow_with_patch(review, &json!([{"op": "add", "path": "/data/x", "value": "y"}])),
        "patch-type" => respond(review, &json!({"patchType": "JSONPatch"})),
        "silence" => Reply::Silence,
        _ => allow(review),
    }
}

pub(super) async fn failed_calls_follow_the_failure_policy(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let mut hook = hooks.add_hook("fails", |review| failing_response(&case_of(review), review));
    hook["timeoutSeconds"] = 1.into();
    hooks.configure(ConfigurationKind::Validating, "0", std::slice::from_ref(&hook)).await?;
    let uid = "expected response.uid=";
    let failed = "Internal error occurred: failed calling webhook \"fails.example.com\": ";
    let call = |why: &str| format!("{failed}failed to call webhook: {why}");
    let invalid = |why: &str| format!("{failed}received invalid webhook response: {why}");
    check_answers(
        &hooks,
        &[
            (
                "500",
                500,
                "InternalError",
                &call("an error on the server (\"broken\") has prevented the request from succeeding"),
            ),
            ("503", 500, "InternalError", &call("the server is currently unable to handle the request")),
            ("400", 500, "InternalError", &call("the server rejected our request for an unknown reason")),
            ("404", 500, "InternalError", &call("the server could not find the requested resource")),
            ("no-kind", 500, "InternalError", &invalid("expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got admission.k8s.io/v1, Kind=")),
        ("no-response", 500, "InternalError", &invalid("webhook response was absent")),
            ("patch", 500, "InternalError", &invalid("validating webhook may not return response.patch")),
            (
                "patch-type",
                500,
                "InternalError",
                &invalid("validating webhook may not return response.patchType"),
            ),
            (
                "silence",
                500,
                "InternalError",
                &call("Post \"https://ADDRESS/fails?timeout=1s\": context deadline exceeded"),
            ),
            ("allowed", 201, "", ""),
        ],
    )
    .await?;
    let wrong_uid = hooks.create_config_map(json!({"name": "u", "annotations": {"case": "uid"}})).await?;
    check!(wrong_uid.status().2.contains(uid) && wrong_uid.code == 500, "{:?}", wrong_uid.status());
    // With the failure policy `Ignore`, the server admits the request although the calls of both webhooks fail.
    hook["failurePolicy"] = "Ignore".into();
    hook["name"] = "ignored.example.com".into();
    hook["rules"] =
        json!([{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"], "operations": ["*"]}]);
    let mut unreachable = hook.clone();
    unreachable["name"] = "unreachable.example.com".into();
    unreachable["clientConfig"]["url"] = "https://127.0.0.1:1/".into();
    hooks.configure(ConfigurationKind::Validating, "1", &[hook, unreachable]).await?;
    let secret = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a", "annotations": {"case": "500"}}});
    check_eq!(hooks.send(Method::POST, &hooks.path("secrets"), &secret).await?.code, 201);
    check_connection_errors(&hooks).await
}

/// Checks the errors for webhook servers that cannot be reached, or whose certificate is not trusted.
async fn check_connection_errors(hooks: &Hooks) -> Outcome {
    let webhook = |name: &str, resource: &str, config: Value| {
        json!({
            "name": format!("{name}.example.com"), "clientConfig": config,
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": [resource], "operations": ["*"]}],
        })
    };
    let namespace = hooks.env.namespace();
    let bundle = hooks.server.ca_bundle();
    let webhooks = [
        webhook("refused", "secrets", json!({"url": "https://127.0.0.1:1/x", "caBundle": bundle})),
        webhook("untrusted", "serviceaccounts", json!({"url": hooks.server.url("/fails")})),
        webhook(
            "service",
            "endpoints",
            json!({
                "service": {"namespace": namespace, "name": "none", "path": "/x"}, "caBundle": bundle,
            }),
        ),
    ];
    hooks.configure(ConfigurationKind::Mutating, "2", &webhooks).await?;
    let service =
        format!("Post \"https://none.{namespace}.svc:443/x?timeout=10s\": service \"none\" not found");
    for (collection, kind, name, why) in [
        (
            "secrets",
            "Secret",
            "refused",
            "Post \"https://127.0.0.1:1/x?timeout=10s\": dial tcp 127.0.0.1:1: connect: connection refused",
        ),
        (
            "serviceaccounts",
            "ServiceAccount",
            "untrusted",
            "Post \"https://ADDRESS/fails?timeout=10s\": tls: failed to verify certificate: x509: certificate signed by unknown authority",
        ),
        ("endpoints", "Endpoints", "service", &service),
    ] {
        let object = json!({"kind": kind, "apiVersion": "v1", "metadata": {"name": "b"}});
        let answer = hooks.send(Method::POST, &hooks.path(collection), &object).await?;
        let text = answer.status().2.replace(&hooks.server.address().to_string(), "ADDRESS");
        let expected = format!(
            "Internal error occurred: failed calling webhook \"{name}.example.com\": failed to call webhook: {why}"
        );
        check_eq!((answer.code, text), (500, expected));
    }
    Ok(())
}

pub(super) async fn invalid_patches_are_refused(env: Env) -> Outcome {
    let hooks = Hooks::start(env).await?;
    let hook = hooks.add_hook("patches", |review| match case_of(review).as_str() {
        "untyped" => respond(review, &json!({"patch": "W10="})),
        "typed" => respond(review, &json!({"patchType": "JSONPatch"})),
        "strange" => respond(review, &json!({"patchType": "Strange", "patch": "W3sib3AiOiJ0ZXN0In1d"})),
        "list" => allow_with_patch(review, &json!({"op": "add"})),
        "empty" => allow_with_patch(review, &json!([])),
        "decode" => allow_with_patch(review, &json!([{"op": "add", "path": "/data/x", "value": 5}])),
        "missing" => allow_with_patch(review, &json!([{"op": "remove", "path": "/data/none"}])),
        "test" => allow_with_patch(review, &json!([{"op": "test", "path": "/data/v", "value": "2"}])),
        "invalid" => {
            allow_with_patch(review, &json!([{"op": "add", "path": "/metadata/labels", "value": {"a": "!"}}]))
        }
        "name" => allow_with_patch(
            review,
            &json!([{"op": "replace", "path": "/metadata/namespace", "value": "other"}]),
        ),
        _ => allow(review),
    });
    hooks.configure(ConfigurationKind::Mutating, "0", &[hook]).await?;
    let failed = "Internal error occurred: failed calling webhook \"patches.example.com\": ";
    let invalid = |why: &str| format!("{failed}received invalid webhook response: {why}");
    check_answers(&hooks, &[
        ("untyped", 500, "InternalError", &invalid("webhook returned response.patch but not response.patchType")),
        ("typed", 500, "InternalError", &invalid("webhook returned response.patchType but not response.patch")),
        ("strange", 500, "InternalError", &format!("{failed}unsupported patch type \"Strange\"")),
        ("list", 500, "InternalError", &format!("{failed}received undecodable patch in webhook response: json: cannot unmarshal object into Go value of type jsonpatch.Patch")),
        ("empty", 201, "", ""),
        ("missing", 500, "InternalError", "Internal error occurred: error in remove for path: '/data/none': Unable to remove nonexistent key: none: missing value"),
        ("test", 500, "InternalError", "Internal error occurred: testing value /data/v failed: test failed"),
        ("allowed", 201, "", ""),
    ])
    .await?;
    for (case, code) in [("decode", 500), ("invalid", 422), ("name", 400)] {
        let answer = hooks.create_config_map(json!({"name": "a", "annotations": {"case": case}})).await?;
        check_eq!((case, answer.code), (case, code));
    }
    // A deletion has no object that a patch could change.
    check_eq!(hooks.create_config_map(json!({"name": "a"})).await?.code, 201);
    hooks.server.set_handler("/patches", |review| {
        allow_with_patch(review, &json!([{"op": "add", "path": "/x", "value": 1}]))
    });
    let answer = hooks.send(Method::DELETE, &format!("{}/a", hooks.path("configmaps")), &Value::Null).await?;
    let expected = "Internal error occurred: admission webhook \"patches.example.com\" attempted to modify the object, which is not supported for this operation";
    check_eq!(answer.status(), (500, "InternalError", expected));
    hooks.server.set_handler("/patches", allow);
    Ok(())
}
