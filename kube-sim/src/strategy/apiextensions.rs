//! The strategy of CustomResourceDefinitions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use x509_parser::pem::Pem;

use super::defaulting::{object_in, set_default};
use super::deletion::DeletionStrategy;
use super::printer::{Printer, items, name_cell, string_or_empty, text_cell};
use super::rules::{check_client_config, check_review_versions};
use super::{Errors, InitialStatus, Strategy};
use crate::cel;
use crate::json::has_condition;
use crate::schema::{DefinitionChecks, FieldError, validate_crd, validate_crd_status};

pub(super) static STRATEGIES: [Strategy; 1] = [Strategy {
    group: "apiextensions.k8s.io",
    kind: "CustomResourceDefinition",
    has_generation: true,
    allow_unconditional_update: false,
    set_defaults: |_, object| set_defaults(object),
    initial_status: InitialStatus::Set(initial_status),
    prepare_for_update: |_, new| add_stored_version(new),
    validate: |object, out| validate(None, object, out),
    validate_update: Some(|old, new, out| validate(Some(old), new, out)),
    validate_status: Some(|new, out| out.0.extend(validate_crd_status(new))),
    // As in the API server, a write to the status may also change these metadata fields.
    status_metadata: &["managedFields", "annotations", "finalizers", "labels", "ownerReferences"],
    status_reset_fields: &["spec"],
    printer: Printer::new(|object, _| cells(object)),
    deletion: DeletionStrategy { defer: Some(set_terminating), ..DeletionStrategy::RETURNS_OBJECT },
    ..Strategy::DEFAULT
}];

/// The finalizer that the API server removes once all custom resources of the definition are deleted.
pub(crate) const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The cells of a CustomResourceDefinition in a `Table`.
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
    vec![
        name_cell(crd),
        text_cell(&spec["scope"]),
        versions.join(",").into(),
        crd["metadata"]["creationTimestamp"].clone(),
        text_cell(&spec["group"]),
        text_cell(&spec["names"]["kind"]),
        short_names.join(",").into(),
        is_established(crd).into(),
    ]
}

/// Marks a CustomResourceDefinition as terminating, before a controller deletes its custom resources.
fn set_terminating(crd: &mut Value, now: &str) {
    crd["metadata"]["deletionTimestamp"] = now.into();
    if !items(&crd["metadata"]["finalizers"]).any(|finalizer| finalizer == CLEANUP_FINALIZER) {
        push_item(&mut crd["metadata"], "finalizers", CLEANUP_FINALIZER.into());
    }
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    set_condition(crd, ("Terminating", "True"), "InstanceDeletionPending", message, now);
}

/// Sets a condition of a CustomResourceDefinition to a status, `True` or `False`. `lastTransitionTime` changes only
/// with the status.
pub(crate) fn set_condition(
    crd: &mut Value,
    (kind, status): (&str, &str),
    reason: &str,
    message: &str,
    now: &str,
) {
    let mut conditions = crd["status"]["conditions"].as_array_mut().into_iter().flatten();
    if let Some(condition) = conditions.find(|condition| condition["type"] == kind) {
        if condition["status"] != status {
            condition["lastTransitionTime"] = now.into();
        }
        condition["status"] = status.into();
        condition["reason"] = reason.into();
        condition["message"] = message.into();
    } else {
        let condition = json!({
            "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now,
        });
        push_item(&mut crd["status"], "conditions", condition);
    }
}

fn push_item(parent: &mut Value, field: &str, item: Value) {
    match parent[field].as_array_mut() {
        Some(list) => list.push(item),
        None => parent[field] = json!([item]),
    }
}

/// Validates a CustomResourceDefinition. `old` is the stored one if the request is an update.
fn validate(old: Option<&Value>, crd: &Value, out: &mut Errors) {
    // As in the API server, an invalid `caBundle` of the conversion webhook is an error only if the stored
    // definition is established and has a valid `caBundle`.
    let requires_valid_bundle = old.is_some_and(|old| is_established(old) && has_valid_ca_bundle(old));
    let checks = DefinitionChecks {
        rules: &cel::check_rules,
        conversion_webhook: &|conversion| check_conversion_webhook(conversion, requires_valid_bundle),
    };
    out.0.extend(validate_crd(old, crd, checks));
}

/// Whether the condition `Established` is true.
fn is_established(crd: &Value) -> bool {
    has_condition(crd, "Established", "True")
}

/// Checks `webhook` of `spec.conversion`. The API server's errors contain the field names of its internal version.
fn check_conversion_webhook(conversion: &Value, requires_valid_bundle: bool) -> Vec<FieldError> {
    let mut out = Errors::default();
    let webhook = &conversion["webhook"];
    let (config, versions) =
        ("spec.conversion.webhookClientConfig", "spec.conversion.conversionReviewVersions");
    let review_versions = &webhook["conversionReviewVersions"];
    if conversion["strategy"] == "Webhook" {
        if webhook["clientConfig"].is_null() {
            out.push(FieldError::required(config, "required when strategy is set to Webhook"));
        } else {
            check_client_config(config, &webhook["clientConfig"], &mut out);
            let bundle = &webhook["clientConfig"]["caBundle"];
            if let Some(problem) = ca_bundle_problem(bundle.as_str().unwrap_or_default())
                && requires_valid_bundle
            {
                out.push(FieldError::invalid(format!("{config}.caBundle"), bundle.clone(), problem));
            }
        }
        check_review_versions(versions, review_versions, "", &mut out);
        return out.0;
    }
    let why = "should not be set when strategy is not set to Webhook";
    if !webhook["clientConfig"].is_null() {
        out.push(FieldError::forbidden(config, why));
    }
    if review_versions.as_array().is_some_and(|list| !list.is_empty()) {
        out.push(FieldError::forbidden(versions, why));
    }
    out.0
}

/// The `caBundle` of the conversion webhook, in base64; empty if there is none.
fn ca_bundle_of(crd: &Value) -> &str {
    crd["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"].as_str().unwrap_or_default()
}

/// Whether the `caBundle` of the conversion webhook contains a valid certificate; true if the bundle is empty or
/// missing.
pub(crate) fn has_valid_ca_bundle(crd: &Value) -> bool {
    ca_bundle_problem(ca_bundle_of(crd)).is_none()
}

/// The reason that a bundle in base64 contains no certificate; `None` if it contains one or is empty.
fn ca_bundle_problem(bundle: &str) -> Option<&'static str> {
    let pem = STANDARD.decode(bundle).unwrap_or_default();
    if pem.is_empty() {
        return None;
    }
    let mut blocks = Pem::iter_from_buffer(&pem).flatten().peekable();
    let has_blocks = blocks.peek().is_some();
    if blocks.any(|block| block.label == "CERTIFICATE" && block.parse_x509().is_ok()) {
        return None;
    }
    Some(if has_blocks {
        "unable to load root certificates: no valid certificate authority data seen"
    } else {
        "unable to load root certificates: unable to parse bytes as PEM block"
    })
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

/// Sets the defaults of a CustomResourceDefinition: `names.listKind`, `names.singular`, `conversion`, the port of the
/// service of its conversion webhook, and `status.storedVersions`.
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
    if crd["status"].is_object() && items(&crd["status"]["storedVersions"]).next().is_none() {
        add_stored_version(crd);
    }
}

fn initial_status(object: &Value) -> Value {
    json!({
        "conditions": null,
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": initial_stored_versions(object),
    })
}

/// The `status.storedVersions` of a new CustomResourceDefinition: a list with the storage version.
fn initial_stored_versions(crd: &Value) -> Vec<Value> {
    items(&crd["spec"]["versions"])
        .find(|version| version["storage"] == true)
        .map(|version| version["name"].clone())
        .into_iter()
        .collect()
}

/// Adds the storage version to `status.storedVersions`.
fn add_stored_version(crd: &mut Value) {
    for name in initial_stored_versions(crd) {
        if !items(&crd["status"]["storedVersions"]).any(|stored| *stored == name) {
            push_item(&mut crd["status"], "storedVersions", name);
        }
    }
}
