//! The `scale` subresource: maps an `autoscaling/v1` `Scale` to the replica fields of an object.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::reply::Reply;
use super::typed_body::BodyKind;
use super::write::{IfMissing, WriteContext, WrittenPart, parse_yaml};
use super::{Call, convert, patch, read};
use crate::apply::{self, ApplyError, Conflict};
use crate::patch as patches;
use crate::registry::Resource;
use crate::schema::FieldError;
use crate::status::SimError;
use crate::store::object::StoredObject;
use crate::store::selector::LabelSelector;

const SCALE: BodyKind<'_> = BodyKind { group: "autoscaling", version: "v1", kind: "Scale" };

fn check_name(scale: &Value, name: &str) -> Result<(), SimError> {
    match scale["metadata"]["name"].as_str().unwrap_or_default() {
        given if given.is_empty() || given == name => Ok(()),
        given => Err(SimError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        ))),
    }
}

/// Handles a request for the subresource `scale`.
pub(crate) async fn handle(call: &Call<'_>, verb: &str) -> Result<Reply, SimError> {
    let resource = &call.target.resource;
    match verb {
        "get" => {
            let object = read::find(call.inner.lock().view(), call.target)?;
            let object = call.converter().convert_stored(object).await?;
            return Ok(Reply::json(&scale_of(resource, &convert::from_stored(resource, &object))?));
        }
        "update" | "patch" => {}
        _ => return Err(SimError::method_not_allowed()),
    }
    let mut cx = call.write_context();
    let applies = verb == "patch" && patch_type(call)? == patch::PatchType::Apply;
    let config = if applies { Some(patch::begin_apply(&mut cx, &call.request.body)?) } else { None };
    let scale = |cx: &mut WriteContext<'_>, old: Option<&Arc<StoredObject>>| {
        let Some(old) = old else { return Err(SimError::internal("there is no object to scale")) };
        if let Some(config) = &config {
            return apply_scale(cx, resource, old, config);
        }
        let current = scale_of(resource, &convert::from_stored(resource, old))?;
        let wanted = match verb {
            "update" => {
                let body = SCALE.decode(call)?;
                check_name(&body, &call.target.name)?;
                body
            }
            _ => patched_scale(call, current)?,
        };
        with_replicas(resource, old, &wanted)
    };
    let written = cx.guaranteed_update(WrittenPart::Other, IfMissing::NotFound, scale).await?;
    let mut reply = Reply::json(&scale_of(resource, &convert::from_stored(resource, &written.object))?);
    reply.code = StatusCode::OK;
    Ok(reply)
}

fn patch_type(call: &Call<'_>) -> Result<patch::PatchType, SimError> {
    patch::PatchType::of(&call.request.content_type, call.target.resource.custom_properties().is_some())
}

/// Applies a `Scale` to the object with server-side apply. The field manager then owns the replica count of the object.
fn apply_scale(
    cx: &WriteContext<'_>,
    resource: &Resource,
    old: &StoredObject,
    config: &Value,
) -> Result<Value, SimError> {
    let text = |field: &str| config[field].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if (api_version, kind) != ("autoscaling/v1", SCALE.kind) {
        return Err(SimError::bad_request(format!("invalid object type: {api_version}, Kind={kind}")));
    }
    let path = replica_path(resource);
    let mut owned = json!({
        "apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": config["metadata"]["name"]},
    });
    if !config["spec"]["replicas"].is_null() {
        set_value_at(&mut owned, &path, replicas_of(config, old.name())?.into())?;
    }
    let live = convert::from_stored(resource, old);
    let force = cx.options.force == Some(true);
    let mut merged = cx
        .with_apply_context(|context| apply::apply(context, Some(&live), &owned, force))
        .map_err(|error| patch::apply_error(conflict_of_scale(error, resource)))?;
    if value_at(&merged, &path).is_null() {
        set_value_at(&mut merged, &path, 0.into())?;
    }
    set_version(&mut merged, config);
    Ok(merged)
}

/// In the texts of a conflict, replaces the API version and the replica field of the object with the API version and
/// the replica field of the `Scale`.
fn conflict_of_scale(error: ApplyError, resource: &Resource) -> ApplyError {
    let ApplyError::Conflict { message, causes } = error else { return error };
    let field = format!(".{}", replica_path(resource).join("."));
    let in_scale = |text: &str| {
        let text = text.replace(&format!(" using {}", resource.api_version), " using autoscaling/v1");
        text.replace(&field, ".spec.replicas")
    };
    let in_cause =
        |cause: Conflict| Conflict { message: in_scale(&cause.message), field: in_scale(&cause.field) };
    ApplyError::Conflict { message: in_scale(&message), causes: causes.into_iter().map(in_cause).collect() }
}

/// Applies the patch in the request to the current `Scale`.
fn patched_scale(call: &Call<'_>, mut scale: Value) -> Result<Value, SimError> {
    let body = &call.request.body;
    match patch_type(call)? {
        patch::PatchType::Json => {
            let change = patch::parse_patch_body(body)?;
            patches::apply_json_patch(&mut scale, &change).map_err(patch::patch_error)?;
        }
        // A Scale has no lists, so a strategic merge patch has the same result as a merge patch. The type
        // `Apply` does not occur here, because the caller handles a server-side apply with `apply_scale`.
        patch::PatchType::Merge | patch::PatchType::Strategic | patch::PatchType::Apply => {
            patches::apply_merge_patch(&mut scale, parse_yaml(body)?).map_err(patch::patch_error)?;
        }
    }
    Ok(scale)
}

/// A copy of the object `old` with the replica count of the `Scale` object `wanted`, and with the resource version of
/// `wanted` if it has one.
fn with_replicas(resource: &Resource, old: &StoredObject, wanted: &Value) -> Result<Value, SimError> {
    let mut object = convert::from_stored(resource, old);
    set_value_at(&mut object, &replica_path(resource), replicas_of(wanted, old.name())?.into())?;
    set_version(&mut object, wanted);
    Ok(object)
}

/// The replica count in a `Scale`. The error is 400 if the count is not an integer, and 422 if the count is negative. `name`
/// is the name of the scaled object.
fn replicas_of(scale: &Value, name: &str) -> Result<i64, SimError> {
    let replicas = match &scale["spec"]["replicas"] {
        Value::Null => 0,
        value => value.as_i64().ok_or_else(|| {
            SimError::bad_request(
                "Scale in version \"v1\" cannot be handled as a Scale: spec.replicas must be an integer",
            )
        })?,
    };
    if replicas < 0 {
        let error = FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
        return Err(SimError::invalid("autoscaling", "Scale", name, &[error]));
    }
    Ok(replicas)
}

/// Sets the resource version of an object to the resource version of the `Scale`, if the `Scale` has one.
fn set_version(object: &mut Value, scale: &Value) {
    let version = scale["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if !version.is_empty() {
        object["metadata"]["resourceVersion"] = version.into();
    }
}

/// Sets the replica count of an object to the replica count of a `Scale` that an admission plugin has changed.
pub(crate) fn replace_replicas(
    resource: &Resource,
    mut object: Value,
    scale: &Value,
) -> Result<Value, SimError> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    set_value_at(&mut object, &replica_path(resource), replicas.into())?;
    Ok(object)
}

fn replica_path(resource: &Resource) -> Vec<String> {
    match resource.custom_properties().and_then(|c| c.scale.as_ref()) {
        Some(scale) => scale.replicas.clone(),
        None => vec!["spec".into(), "replicas".into()],
    }
}

/// Sets the value at a path of field names. Inserts absent objects on the path.
fn set_value_at(object: &mut Value, path: &[String], value: Value) -> Result<(), SimError> {
    let mut at = object;
    for part in path {
        if at.is_null() {
            *at = json!({});
        }
        let Some(map) = at.as_object_mut() else {
            return Err(SimError::internal(format!("the path {} leads through no object", path.join("."))));
        };
        at = map.entry(part.clone()).or_insert(Value::Null);
    }
    *at = value;
    Ok(())
}

/// The value at a path of field names; null if it is absent.
fn value_at<'a>(object: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(object, |at, part| &at[part.as_str()])
}

/// Builds an `autoscaling/v1` `Scale` from the replica counts and the selector of an object.
pub(crate) fn scale_of(resource: &Resource, object: &Value) -> Result<Value, SimError> {
    let custom = resource.custom_properties().and_then(|c| c.scale.as_ref());
    let (replicas, selector) = match custom {
        Some(paths) => {
            let selector =
                paths.selector.as_ref().map(|p| value_at(object, p).as_str().unwrap_or_default().to_owned());
            (value_at(object, &paths.status_replicas).as_i64().unwrap_or(0), selector.unwrap_or_default())
        }
        None => (
            object["status"]["replicas"].as_i64().unwrap_or(0),
            LabelSelector::from_json(&object["spec"]["selector"]).to_string(),
        ),
    };
    let spec = value_at(object, &replica_path(resource));
    if custom.is_some() && spec.is_null() {
        return Err(SimError::internal(format!(
            "the spec replicas field \".{}\" does not exist",
            replica_path(resource).join(".")
        )));
    }
    let meta = &object["metadata"];
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"], "creationTimestamp": meta["creationTimestamp"],
        },
        "spec": {},
        "status": {"replicas": replicas},
    });
    if !resource.namespaced {
        scale["metadata"].as_object_mut().map(|metadata| metadata.remove("namespace"));
    }
    match spec.as_i64().unwrap_or(0) {
        0 => {}
        n => scale["spec"]["replicas"] = n.into(),
    }
    if !selector.is_empty() {
        scale["status"]["selector"] = selector.into();
    }
    Ok(scale)
}
