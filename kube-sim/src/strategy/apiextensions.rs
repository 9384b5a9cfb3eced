//! The strategy of CustomResourceDefinitions.

use serde_json::{Value, json};

use super::defaulting::{object_in, set_default};
use super::deletion::Deletion;
use super::printer::{Printer, items, name_cell, string_or_empty, text_cell};
use super::rules::{check_client_config, check_review_versions};
use super::{Errors, InitialStatus, Strategy};
use crate::cel;
use crate::schema::{FieldError, validate_crd};

pub(super) static STRATEGIES: [Strategy; 1] = [Strategy {
    group: "apiextensions.k8s.io",
    kind: "CustomResourceDefinition",
    has_generation: true,
    allow_unconditional_update: false,
    set_defaults: |_, object| set_defaults(object),
    initial_status: InitialStatus::Set(initial_status),
    validate: |object, out| validate(None, object, out),
    validate_update: Some(|old, new, out| validate(Some(old), new, out)),
    printer: Printer::new(|object, _| cells(object)),
    deletion: Deletion { deferred: Some(set_terminating), ..Deletion::RETURNS_OBJECT },
    ..Strategy::DEFAULT
}];

/// The finalizer that the API server removes once all custom resources are deleted.
pub(crate) const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The cells of a CustomResourceDefinition.
fn cells(crd: &Value) -> Vec<Value> {
    let spec = &crd["spec"];
    let served = items(&spec["versions"]).filter(|version| version["served"] == true);
    let mut versions: Vec<_> = served
        .map(|version| {
            let suffix = if version["storage"] == true { "(storage)" } else { "" };
            format!("{}{suffix}", string_or_empty(&version["name"]))
        })
        .collect();
    versions.sort();
    let short_names: Vec<_> = items(&spec["names"]["shortNames"]).map(string_or_empty).collect();
    let established = items(&crd["status"]["conditions"])
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True");
    vec![
        name_cell(crd),
        text_cell(&spec["scope"]),
        versions.join(",").into(),
        crd["metadata"]["creationTimestamp"].clone(),
        text_cell(&spec["group"]),
        text_cell(&spec["names"]["kind"]),
        short_names.join(",").into(),
        established.into(),
    ]
}

/// Marks a CustomResourceDefinition whose custom resources are about to be deleted.
fn set_terminating(crd: &mut Value, now: &str) {
    crd["metadata"]["deletionTimestamp"] = now.into();
    push_item(&mut crd["metadata"], "finalizers", CLEANUP_FINALIZER.into());
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    let condition = json!({
        "type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
        "lastTransitionTime": now, "message": message,
    });
    push_item(&mut crd["status"], "conditions", condition);
}

fn push_item(parent: &mut Value, field: &str, item: Value) {
    match parent[field].as_array_mut() {
        Some(list) => list.push(item),
        None => parent[field] = json!([item]),
    }
}

/// Validates a CustomResourceDefinition, then the CEL rules in its schemas.
fn validate(old: Option<&Value>, crd: &Value, out: &mut Errors) {
    out.0.extend(validate_crd(old, crd));
    check_conversion(&crd["spec"]["conversion"], out);
    let errors = cel::check_rules(crd, &out.0);
    out.0.extend(errors);
}

/// Checks `webhook` of `spec.conversion`. The API server's errors contain the field names of its internal version.
fn check_conversion(conversion: &Value, out: &mut Errors) {
    let webhook = &conversion["webhook"];
    let (config, versions) =
        ("spec.conversion.webhookClientConfig", "spec.conversion.conversionReviewVersions");
    let review_versions = &webhook["conversionReviewVersions"];
    if conversion["strategy"] == "Webhook" {
        if webhook["clientConfig"].is_null() {
            out.push(FieldError::required(config, "required when strategy is set to Webhook"));
        } else {
            check_client_config(config, &webhook["clientConfig"], out);
        }
        check_review_versions(versions, review_versions, "", out);
        return;
    }
    let why = "should not be set when strategy is not set to Webhook";
    if !webhook["clientConfig"].is_null() {
        out.push(FieldError::forbidden(config, why));
    }
    if review_versions.as_array().is_some_and(|list| !list.is_empty()) {
        out.push(FieldError::forbidden(versions, why));
    }
}

/// `listKind` in the `spec.names` of a CustomResourceDefinition, or its default: the kind followed by `List`.
pub(crate) fn list_kind(names: &Value) -> String {
    match names["listKind"].as_str() {
        Some(kind) if !kind.is_empty() => kind.to_owned(),
        _ => format!("{}List", names["kind"].as_str().unwrap_or_default()),
    }
}

/// `singular` in the `spec.names` of a CustomResourceDefinition, or its default: the kind in lower case.
pub(crate) fn singular(names: &Value) -> String {
    match names["singular"].as_str() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => names["kind"].as_str().unwrap_or_default().to_lowercase(),
    }
}

/// Sets the defaults in the spec of a CustomResourceDefinition: `names.listKind`, `names.singular`, `conversion`, and
/// the port of the service of its conversion webhook.
fn set_defaults(crd: &mut Value) {
    let names = &mut crd["spec"]["names"];
    if names["kind"].as_str().is_some_and(|kind| !kind.is_empty()) {
        names["listKind"] = list_kind(names).into();
        names["singular"] = singular(names).into();
    }
    if !crd["spec"]["conversion"].is_object() && crd["spec"].is_object() {
        crd["spec"]["conversion"] = json!({"strategy": "None"});
    }
    let service = object_in(crd, "spec")
        .and_then(|spec| object_in(spec, "conversion"))
        .and_then(|conversion| object_in(conversion, "webhook"))
        .and_then(|webhook| object_in(webhook, "clientConfig"))
        .and_then(|config| object_in(config, "service"));
    if let Some(service) = service {
        set_default(service, "port", 443);
    }
}

fn initial_status(object: &Value) -> Value {
    json!({
        "conditions": null,
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": stored_versions(object),
    })
}

/// The initial `status.storedVersions` of a CustomResourceDefinition.
fn stored_versions(crd: &Value) -> Vec<Value> {
    let versions = crd["spec"]["versions"].as_array().into_iter().flatten();
    versions.filter(|v| v["storage"] == true).map(|v| v["name"].clone()).collect()
}
