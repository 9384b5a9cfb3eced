//! Resources that are not stored: access and token reviews, bindings, component statuses, metrics.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::reply::Reply;
use super::typed_body::BodyKind;
use super::{Call, access_review, metrics, service_account_token, subresource};
use crate::registry::METRICS_GROUP;
use crate::schema::FieldError;
use crate::status::SimError;

/// Handles a request for a resource that is not stored.
pub(crate) async fn handle(call: &Call<'_>, verb: &str) -> Result<Reply, SimError> {
    let resource = call.target.resource.clone();
    if resource.group == METRICS_GROUP {
        return metrics::handle(call, verb);
    }
    match (resource.plural.as_str(), verb) {
        ("componentstatuses", "list") => Ok(Reply::json(&json!({
            "kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": [],
        }))),
        ("componentstatuses", "get") => Err(SimError::not_found("", "componentstatuses", &call.target.name)),
        (_, "create") if resource.namespaced && call.target.namespace.is_empty() => {
            Err(SimError::method_not_allowed())
        }
        ("bindings", "create") => subresource::bind_pod(call, None).await,
        (_, "create") => handle_review(call).await,
        _ => Err(SimError::method_not_allowed()),
    }
}

/// Handles the create of a review, such as a `TokenReview` or a `SubjectAccessReview`.
async fn handle_review(call: &Call<'_>) -> Result<Reply, SimError> {
    let resource = &call.target.resource;
    let kind = BodyKind { group: &resource.group, version: &resource.version, kind: &resource.kind };
    let mut object = call.admit_body(kind.decode(call)?, "", None).await?;
    check_namespace(call, &mut object)?;
    call.set_managed_fields(&kind.schema(), &mut object);
    let mut errors = Vec::new();
    check_access_review(&resource.kind, &object, &mut errors);
    if !errors.is_empty() {
        return Err(SimError::invalid(&resource.group, "", "", &errors));
    }
    if resource.kind == "SelfSubjectReview" {
        object["metadata"]["creationTimestamp"] = call.inner.clock.stamp().into();
    }
    object["status"] = status_of(call, &object["spec"])?;
    if resource.kind == "SelfSubjectRulesReview" {
        object["spec"] = json!({});
    }
    let mut reply = Reply::json(&object);
    reply.code = StatusCode::CREATED;
    Ok(reply)
}

/// Checks that the body has the namespace of the URL. Sets the namespace if it is missing, and removes it from a
/// cluster-scoped body.
fn check_namespace(call: &Call<'_>, object: &mut Value) -> Result<(), SimError> {
    let given = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let wanted = &call.target.namespace;
    if call.target.resource.namespaced {
        if !given.is_empty() && given != wanted {
            return Err(SimError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        object["metadata"]["namespace"] = wanted.as_str().into();
    } else if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    Ok(())
}

/// Validates the spec and the metadata of an access review.
fn check_access_review(kind: &str, object: &Value, errors: &mut Vec<FieldError>) {
    if !kind.ends_with("AccessReview") {
        return;
    }
    let is_local = kind == "LocalSubjectAccessReview";
    let spec = &object["spec"];
    let (resource, other) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let shown = |attributes: &Value| match attributes {
        Value::Null => FieldError::invalid("spec", Value::Null, ATTRIBUTES_MESSAGE),
        attributes => FieldError::invalid("spec", go_attributes(attributes), ATTRIBUTES_MESSAGE),
    };
    if !resource.is_null() && !other.is_null() {
        errors.push(if is_local { shown(&Value::Null) } else { shown(other) });
    }
    if resource.is_null() && other.is_null() {
        errors.push(shown(&Value::Null));
    }
    if kind != "SelfSubjectAccessReview" {
        let is_empty = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
        if spec["user"].as_str().is_none_or(str::is_empty) && is_empty(&spec["groups"]) {
            let why = "at least one of user or group must be specified";
            errors.push(FieldError::invalid("spec.user", "", why));
        }
    }
    for field in ["fieldSelector", "labelSelector"] {
        check_selector(&format!("spec.resourceAttributes.{field}"), &resource[field], errors);
    }
    let mut metadata = object["metadata"].as_object().cloned().unwrap_or_default();
    let ignored: &[_] = if is_local { &["managedFields", "namespace"] } else { &["managedFields"] };
    metadata.retain(|key, value| !ignored.contains(&key.as_str()) && !value.is_null());
    if !metadata.is_empty() {
        let why = if is_local { "must be empty except for namespace" } else { "must be empty" };
        errors.push(FieldError::invalid("metadata", object["metadata"].clone(), why));
    }
    if is_local {
        check_local_review(object, errors);
    }
}

/// The text of the error about the attributes of an access review.
const ATTRIBUTES_MESSAGE: &str =
    "exactly one of nonResourceAttributes or resourceAttributes must be specified";

/// Returns a copy of `attributes` with the field names of the Go struct, such as `Path` for `path`.
fn go_attributes(attributes: &Value) -> Value {
    let capitalized = |name: &String| {
        let (first, rest) = name.split_at(1.min(name.len()));
        format!("{}{rest}", first.to_uppercase())
    };
    let fields = attributes.as_object().into_iter().flatten();
    Value::Object(fields.map(|(name, value)| (capitalized(name), value.clone())).collect::<Map<_, _>>())
}

/// Validates the `fieldSelector` or the `labelSelector` in the `resourceAttributes` of an access review.
fn check_selector(path: &str, selector: &Value, errors: &mut Vec<FieldError>) {
    if selector.is_null() {
        return;
    }
    let requirements = selector["requirements"].as_array().map(Vec::as_slice).unwrap_or_default();
    let raw = selector["rawSelector"].as_str().unwrap_or_default();
    match (raw.is_empty(), requirements.is_empty()) {
        (false, false) => {
            let why = "may not specified at the same time as requirements";
            errors.push(FieldError::invalid(format!("{path}.rawSelector"), raw, why));
        }
        (true, true) => {
            let why = format!("when {path} is specified, requirements or rawSelector is required");
            errors.push(FieldError::required(format!("{path}.requirements"), why));
        }
        _ => {}
    }
    for (index, requirement) in requirements.iter().enumerate() {
        if requirement["key"].as_str().is_none_or(str::is_empty) {
            let field = format!("{path}.requirements[{index}].key");
            errors.push(FieldError::required(field, "must be specified"));
        }
    }
}

/// Validates the restrictions that apply only to a `LocalSubjectAccessReview`.
fn check_local_review(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let reviewed = &spec["resourceAttributes"];
    if !reviewed.is_null() && reviewed["namespace"] != namespace {
        let given = reviewed["namespace"].as_str().unwrap_or_default();
        let why = "must match metadata.namespace";
        errors.push(FieldError::invalid("spec.resourceAttributes.namespace", given, why));
    }
    if !spec["nonResourceAttributes"].is_null() {
        let shown = go_attributes(&spec["nonResourceAttributes"]);
        let why = "disallowed on this kind of request";
        errors.push(FieldError::invalid("spec.nonResourceAttributes", shown, why));
    }
}

fn status_of(call: &Call<'_>, spec: &Value) -> Result<Value, SimError> {
    Ok(match call.target.resource.kind.as_str() {
        "TokenReview" => {
            if spec["token"].as_str().is_none_or(str::is_empty) {
                return Err(SimError::bad_request("token is required for TokenReview in authentication"));
            }
            service_account_token::review_token(call, spec)
        }
        "SelfSubjectReview" => json!({"userInfo": call.request.user.to_user_info()}),
        "SelfSubjectRulesReview" => {
            if spec["namespace"].as_str().is_none_or(str::is_empty) {
                return Err(SimError::bad_request("no namespace on request"));
            }
            access_review::review_rules(call, spec)
        }
        "SubjectAccessReview" | "LocalSubjectAccessReview" => access_review::review(call, spec),
        _ => access_review::review_self(call, spec),
    })
}
