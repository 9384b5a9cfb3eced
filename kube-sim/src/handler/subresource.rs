//! Dispatches the requests for subresources, and handles `status`, `binding` and `finalize`.

use http::StatusCode;
use serde_json::{Value, json};

use super::reply::Reply;
use super::typed_body::BodyKind;
use super::write::{WrittenPart, parse_body};
use super::{
    Call, admission, convert, deletion, eviction, object_meta, read, scale, service_account_token, streaming,
};
use crate::controllers;
use crate::schema::FieldError;
use crate::status::SimError;

/// Handles a request for a subresource.
pub(crate) async fn handle(call: &Call<'_>, verb: &str) -> Result<Reply, SimError> {
    let resource = call.target.resource.clone();
    let Some(sub) = resource.subresource(&call.target.subresource) else {
        if resource.custom_properties().is_some() {
            return Err(SimError::not_found(&resource.group, &resource.plural, &call.target.name));
        }
        return crate::discovery::unknown_resource_reply(&resource.group);
    };
    if !sub.verbs.iter().any(|v| v == verb) {
        return Err(SimError::method_not_allowed());
    }
    match (resource.plural.as_str(), sub.name.as_str()) {
        (_, "scale") => scale::handle(call, verb).await,
        ("pods", "log") => streaming::log(call),
        ("pods", "exec" | "attach" | "portforward") => connect(call, &sub.name).await,
        ("pods", "eviction") => eviction::evict_pod(call).await,
        ("pods", "binding") => bind_pod(call, Some(&call.target.name)).await,
        ("pods" | "services" | "nodes", "proxy") => Err(SimError::new(
            StatusCode::NOT_IMPLEMENTED,
            "NotImplemented",
            format!("{} is not served: the simulation runs no containers", sub.name),
        )),
        ("serviceaccounts", "token") => service_account_token::issue(call).await,
        ("namespaces", "finalize") => finalize_namespace(call).await,
        (_, "status" | "approval") => handle_object_part(call, verb, WrittenPart::Status).await,
        _ => handle_object_part(call, verb, WrittenPart::Other).await,
    }
}

/// Runs the admission plugins, then connects the client to the pod.
async fn connect(call: &Call<'_>, subresource: &str) -> Result<Reply, SimError> {
    call.admit_connection().await?;
    match subresource {
        "exec" => streaming::exec(call),
        "attach" => streaming::attach(call),
        _ => streaming::port_forward(call),
    }
}

/// Reads the object, or writes the part of the object that the subresource changes.
async fn handle_object_part(call: &Call<'_>, verb: &str, part: WrittenPart) -> Result<Reply, SimError> {
    match verb {
        "get" => call.handle_get().await,
        "update" => call.handle_update(part).await,
        "patch" => call.handle_patch(part).await,
        _ => Err(SimError::method_not_allowed()),
    }
}

/// The response with a `Status` that reports success. `code` is the code of the response and of the `Status`.
pub(super) fn success_reply(code: StatusCode) -> Reply {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code.as_u16(),
    });
    let mut reply = Reply::json(&status);
    reply.code = code;
    reply
}

const BINDING: BodyKind<'_> = BodyKind { group: "", version: "v1", kind: "Binding" };

/// Handles the `Binding` of a scheduler: assigns a pod to a node. `pod_name` is `None` if only the body names the pod.
pub(crate) async fn bind_pod(call: &Call<'_>, pod_name: Option<&str>) -> Result<Reply, SimError> {
    let body = BINDING.decode(call)?;
    let named = object_meta::text(&body, "name").to_owned();
    let pod_name = pod_name.unwrap_or(&named);
    if named != pod_name {
        return Err(SimError::bad_request("name in URL does not match name in Binding object"));
    }
    let body = call.admit_body(body, pod_name, None).await?;
    let target = |field: &str| body["target"][field].as_str().unwrap_or_default();
    let node = target("name");
    let mut errors = Vec::new();
    if !matches!(target("kind"), "" | "Node") {
        errors.push(FieldError::not_supported("target.kind", target("kind"), &["Node", "<empty>"]));
    }
    if node.is_empty() {
        errors.push(FieldError::required("target.name", ""));
    }
    if !errors.is_empty() {
        // The API server reports these errors as internal errors.
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let message =
            if let [text] = texts.as_slice() { text.clone() } else { format!("[{}]", texts.join(", ")) };
        return Err(SimError::new(StatusCode::INTERNAL_SERVER_ERROR, "", message));
    }
    let storage = "/pods";
    let key = crate::store::object::key(&call.target.namespace, pod_name);
    let mut state = call.inner.lock();
    let Some(pod) = state.get(storage, &key).cloned() else {
        return Err(SimError::not_found("", "pods", pod_name));
    };
    let mut value = pod.value();
    let uid = object_meta::text(&body, "uid");
    if !uid.is_empty() && uid != &*pod.uid {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", pod.uid);
        return Err(SimError::conflict("", "pods", pod_name, &why));
    }
    let assigned = value["spec"]["nodeName"].as_str().unwrap_or_default();
    let refuse = |why: String| Err(SimError::conflict("", "pods/binding", pod_name, &why));
    if object_meta::is_being_deleted(&value) {
        return refuse(format!("pod {pod_name} is being deleted, cannot be assigned to a host"));
    }
    if !assigned.is_empty() {
        return refuse(format!("pod {pod_name} is already assigned to node \"{assigned}\""));
    }
    for field in ["annotations", "labels"] {
        for (key, given) in body["metadata"][field].as_object().into_iter().flatten() {
            value["metadata"][field][key] = given.clone();
        }
    }
    value["spec"]["nodeName"] = node.into();
    if target("kind") == "Node" {
        admission::label_pod(&state, &mut value);
    }
    let now = call.inner.clock.stamp();
    let condition =
        json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now});
    if !value["status"]["conditions"].is_array() {
        value["status"]["conditions"] = json!([]);
    }
    if let Some(conditions) = value["status"]["conditions"].as_array_mut() {
        conditions.retain(|c| c["type"] != "PodScheduled");
        conditions.push(condition);
    }
    if let Some(resource) = state.registry.find_by_storage(storage)
        && !call.options.dry_run
    {
        state.commit(&resource, key, value)?;
        controllers::run(&mut state);
    }
    Ok(success_reply(StatusCode::CREATED))
}

/// Replaces `spec.finalizers` of a namespace.
async fn finalize_namespace(call: &Call<'_>) -> Result<Reply, SimError> {
    let accept = call.negotiate()?;
    let body = parse_body(&call.request.body, &call.request.content_type, "Namespace")?;
    let old = read::find(call.inner.lock().view(), call.target)?;
    let old = convert::from_stored(&call.target.resource, &old);
    let body = call.admit_body(body, &call.target.name, Some(old)).await?;
    let mut state = call.inner.lock();
    let old = read::find(state.view(), call.target)?;
    let mut value: Value = old.value();
    let wanted = body["spec"]["finalizers"].as_array().cloned().unwrap_or_default();
    value["spec"] = if wanted.is_empty() { json!({}) } else { json!({"finalizers": wanted}) };
    let resource = call.target.resource.clone();
    call.write_context()
        .track_managed_fields(Some(&old.typed_value(&resource.api_version, &resource.kind)), &mut value);
    let object = if deletion::completes_deletion(&resource, &old.value(), &value) {
        state.erase(&(resource.storage.clone(), old.key.clone()));
        super::write::response_object(&resource, &old.key, old.version, value)
    } else {
        state.commit(&resource, old.key.clone(), value)?
    };
    controllers::run(&mut state);
    drop(state);
    let written = super::write::WrittenObject { object, created: false };
    Ok(call.reply_to_write(&written, accept))
}
