//! The verb `patch`: JSON patch, merge patch, strategic merge patch and server-side apply.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::write::{IfMissing, WriteContext, WrittenObject, WrittenPart, go_yaml_error};
use super::{convert, object_meta};
use crate::apply::{self, ApplyError};
use crate::go_json::unmarshal_error;
use crate::patch::{self, PatchError};
use crate::schema::FieldError;
use crate::status::SimError;
use crate::store::object::StoredObject;

/// The type of a patch, selected by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchType {
    /// The patch type of a media type. `custom` is true for a custom resource.
    ///
    /// # Errors
    /// 415 if the media type does not belong to a patch type, or if the resource does not support the patch type.
    pub(crate) fn of(content_type: &str, custom: bool) -> Result<Self, SimError> {
        match content_type {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if !custom => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            "application/strategic-merge-patch+json" => Err(SimError::unsupported_media_type(
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )),
            _ => Err(SimError::new(
                http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedMediaType",
                "415: Unsupported Media Type",
            )
            .with_empty_details()),
        }
    }
}

/// Patches the object that the URL names.
pub(crate) async fn patch(
    cx: &mut WriteContext<'_>,
    body: &Bytes,
    content_type: &str,
    part: WrittenPart,
) -> Result<WrittenObject, SimError> {
    let kind = PatchType::of(content_type, cx.target.resource.custom_properties().is_some())?;
    if kind == PatchType::Apply {
        return apply(cx, body, part).await;
    }
    if cx.options.force.is_some() {
        let error = FieldError::forbidden("force", "may not be specified for non-apply patch");
        return Err(SimError::invalid("meta.k8s.io", "PatchOptions", "", &[error]));
    }
    cx.patching = true;
    let patch = |cx: &mut WriteContext<'_>, old: Option<&Arc<StoredObject>>| {
        let mut object = old.map_or(Value::Null, |old| convert::from_stored(&cx.target.resource, old));
        apply_patch(&mut object, cx, kind, body)?;
        let problems = if kind == PatchType::Json { unknown_operation_fields(body) } else { Vec::new() };
        cx.decode(&mut object, problems)?;
        Ok(object)
    };
    cx.guaranteed_update(part, IfMissing::NotFound, patch).await
}

/// Applies a JSON patch, a merge patch or a strategic merge patch to `object`. For a server-side apply,
/// call the function `apply`.
fn apply_patch(
    object: &mut Value,
    cx: &WriteContext<'_>,
    kind: PatchType,
    body: &Bytes,
) -> Result<(), SimError> {
    let resource = &cx.target.resource;
    let change = parse_patch_body(body)?;
    match kind {
        PatchType::Merge => patch::apply_merge_patch(object, change).map_err(patch_error),
        PatchType::Json => patch::apply_json_patch(object, &change).map_err(patch_error),
        PatchType::Strategic => {
            let schema = resource.schema();
            patch::apply_strategic_patch(&schema, object, change.clone()).map_err(patch_error)?;
            match patch::conversion_error(&schema, object, &change) {
                Some(error) => Err(SimError::invalid("", "", "", &[error])),
                None => Ok(()),
            }
        }
        PatchType::Apply => Ok(()),
    }
}

/// The messages about unknown fields of the operations in a JSON patch.
fn unknown_operation_fields(body: &Bytes) -> Vec<String> {
    let operations: Vec<Value> = serde_json::from_slice(body).unwrap_or_default();
    let fields = |operation: &Value| -> Vec<String> {
        operation.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let unknown = operations.iter().enumerate().flat_map(|(index, operation)| {
        let names = fields(operation).into_iter();
        let unknown = names.filter(|name| !matches!(name.as_str(), "op" | "path" | "from" | "value"));
        unknown.map(move |name| format!("json patch unknown field \"[{index}].{name}\""))
    });
    unknown.collect()
}

/// Parses the body of a JSON patch, a merge patch or a strategic merge patch.
pub(super) fn parse_patch_body(body: &Bytes) -> Result<Value, SimError> {
    serde_json::from_slice(body).map_err(|_| SimError::bad_request("invalid JSON patch"))
}

/// Converts the error of a patch to the error of the request.
pub(crate) fn patch_error(error: PatchError) -> SimError {
    match error {
        PatchError::BadRequest(message) => SimError::bad_request(message),
        PatchError::Unprocessable(message) => {
            SimError::new(http::StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).with_empty_details()
        }
        PatchError::TooLarge(message) => {
            SimError::new(http::StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
        }
        PatchError::Internal(message) => SimError::new(http::StatusCode::INTERNAL_SERVER_ERROR, "", message),
    }
}

/// Handles a server-side apply.
async fn apply(
    cx: &mut WriteContext<'_>,
    body: &Bytes,
    part: WrittenPart,
) -> Result<WrittenObject, SimError> {
    let resource = cx.target.resource.clone();
    let config = begin_apply(cx, body)?;
    let nameless = config["metadata"]["name"].as_str().is_none_or(str::is_empty);
    let force = cx.options.force == Some(true);
    let missing = if cx.target.subresource.is_empty() { IfMissing::Create } else { IfMissing::NotFound };
    let apply = |cx: &mut WriteContext<'_>, old: Option<&Arc<StoredObject>>| {
        let uid = config["metadata"]["uid"].as_str().unwrap_or_default();
        if old.is_none() && !uid.is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(SimError::conflict(&resource.group, &resource.plural, &cx.target.name, &why));
        }
        // An apply whose body has no name can update an existing object, but cannot create an object.
        if old.is_none() && nameless {
            return Err(SimError::bad_request(format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                cx.target.name
            )));
        }
        let live = old.map(|old| convert::from_stored(&resource, old));
        let mut merged = cx
            .with_apply_context(|context| apply::apply(context, live.as_ref(), &config, force))
            .map_err(apply_error)?;
        cx.decode(&mut merged, crate::schema::duplicate_field_messages(body))?;
        Ok(merged)
    };
    cx.guaranteed_update(part, missing, apply).await
}

/// Parses and checks the configuration of a server-side apply, and sets `applying` and `patching` in the context.
///
/// # Errors
/// 422 without a field manager; 400 for a configuration that is not an object, has no `kind` or `apiVersion`, sets
/// `managedFields`, or has another name than the URL.
pub(super) fn begin_apply(cx: &mut WriteContext<'_>, body: &Bytes) -> Result<Value, SimError> {
    if cx.options.manager.is_none() {
        let error = FieldError::required("fieldManager", "is required for apply patch");
        return Err(SimError::invalid("meta.k8s.io", "PatchOptions", "", &[error]));
    }
    let mut config = parse_config(body)?;
    check_applied_config(cx, &mut config)?;
    cx.patching = true;
    cx.applying = true;
    Ok(config)
}

/// Parses the configuration of a server-side apply.
fn parse_config(body: &Bytes) -> Result<Value, SimError> {
    let config: Value = yaml_serde::from_slice(body).map_err(|error| {
        SimError::bad_request(format!("error encoding patch: {}", go_yaml_error(&error.to_string())))
    })?;
    match config {
        Value::Null => Ok(json!({})),
        Value::Object(_) => Ok(config),
        other => {
            let problem = unmarshal_error(&other, "map[string]interface {}");
            Err(SimError::bad_request(format!(
                "error decoding patch: error unmarshaling JSON: while decoding JSON: {problem}"
            )))
        }
    }
}

/// Checks the kind, metadata and name of an applied configuration.
fn check_applied_config(cx: &WriteContext<'_>, config: &mut Value) -> Result<(), SimError> {
    for field in ["kind", "apiVersion"] {
        if config[field].as_str().is_none_or(str::is_empty) {
            let kind = config["kind"].as_str().unwrap_or_default();
            return Err(SimError::bad_request(format!("invalid object type: /, Kind={kind}")));
        }
    }
    let metadata = object_meta::metadata_mut(config)?;
    if metadata.get("managedFields").is_some_and(|m| !m.is_null()) {
        return Err(SimError::bad_request("metadata.managedFields must be nil"));
    }
    let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
    if !name.is_empty() && name != cx.target.name {
        return Err(SimError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            cx.target.name
        )));
    }
    Ok(())
}

pub(super) fn apply_error(error: ApplyError) -> SimError {
    match error {
        ApplyError::BadRequest(message) => SimError::bad_request(message),
        ApplyError::Schema(message) => SimError::new(http::StatusCode::INTERNAL_SERVER_ERROR, "", message),
        ApplyError::Conflict { message, causes } => {
            let causes = causes
                .into_iter()
                .map(|c| json!({"reason": "FieldManagerConflict", "message": c.message, "field": c.field}))
                .collect();
            SimError::new(http::StatusCode::CONFLICT, "Conflict", message).with_causes(causes)
        }
    }
}
