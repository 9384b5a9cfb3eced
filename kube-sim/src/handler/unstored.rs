//! Resources that are not stored: access and token reviews, bindings, component statuses.

use http::StatusCode;
use serde_json::{Value, json};

use super::reply::Reply;
use super::write::parse_body;
use super::{Call, access_review, service_account_token, subresource};
use crate::schema::FieldError;
use crate::status::SimError;

/// Handles a request for a resource that is not stored.
pub(crate) async fn handle(call: &Call<'_>, verb: &str) -> Result<Reply, SimError> {
    let resource = call.target.resource.clone();
    match (resource.plural.as_str(), verb) {
        ("componentstatuses", "list") => Ok(Reply::json(&json!({
            "kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": [],
        }))),
        ("componentstatuses", "get") => Err(SimError::not_found("", "componentstatuses", &call.target.name)),
        (_, "create") if resource.namespaced && call.target.namespace.is_empty() => {
            Err(SimError::method_not_allowed())
        }
        ("bindings", "create") => {
            let body = parse_body(&call.request.body, &call.request.content_type)?;
            let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            subresource::bind_pod(call, &name).await
        }
        (_, "create") => handle_review(call).await,
        _ => Err(SimError::method_not_allowed()),
    }
}

/// Handles an access or token review.
async fn handle_review(call: &Call<'_>) -> Result<Reply, SimError> {
    let body = parse_body(&call.request.body, &call.request.content_type)?;
    let (mut body, warnings) = call.admit_body(body, "", None).await?;
    let Some(map) = body.as_object_mut() else {
        return Err(SimError::bad_request("the body must be an object"));
    };
    let resource = &call.target.resource;
    map.insert("kind".into(), resource.kind.clone().into());
    map.insert("apiVersion".into(), resource.api_version.clone().into());
    let attributes = |name: &str| map.get("spec").is_some_and(|spec| !spec[name].is_null());
    let is_access_review = resource.kind.ends_with("AccessReview");
    if is_access_review && attributes("resourceAttributes") == attributes("nonResourceAttributes") {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        let error = FieldError::invalid("spec", Value::Null, why);
        return Err(SimError::invalid(&resource.group, "", "", &[error]));
    }
    let user = call.request.user.as_str();
    let status: Value = match resource.kind.as_str() {
        "TokenReview" => service_account_token::review(call, map.get("spec").unwrap_or(&Value::Null)),
        "SelfSubjectReview" => {
            json!({"userInfo": {"username": user, "groups": ["system:masters", "system:authenticated"]}})
        }
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            access_review::review(call, map.get("spec").unwrap_or(&Value::Null))
        }
        // kube-sim does not authorize requests: the user of each request has all rights.
        _ => json!({"allowed": true}),
    };
    map.insert("status".into(), status);
    map.entry("metadata").or_insert_with(|| json!({}));
    let mut reply = Reply::json(&body);
    reply.code = StatusCode::CREATED;
    reply.warnings = warnings;
    Ok(reply)
}
