//! The strategies of the group `certificates.k8s.io`.

mod pod_certificate;
mod public_key;
mod trust_bundle;

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::fields::SelectableField;
use super::printer::{self, Printer};
use super::validation::{Errors, items};
use super::{Strategy, SubresourceUpdate};
use crate::schema::FieldError;

/// The part of the strategy that all kinds of this API group share.
const DEFAULT: Strategy = Strategy { group: "certificates.k8s.io", ..Strategy::DEFAULT };

pub(super) static STRATEGIES: [Strategy; 3] = [
    Strategy {
        kind: "CertificateSigningRequest",
        main_reset_fields: &["spec", "status"],
        prepare_for_update: |old, new| new["spec"] = old["spec"].clone(),
        prepare_status,
        validate_subresource,
        printer: Printer::new(printer::cluster::signing_request_cells),
        name_problem: |_| None,
        status_reset_fields: &["spec", "status.conditions"],
        selectable_fields: &[SelectableField::new("spec.signerName")],
        ..DEFAULT
    },
    Strategy {
        kind: "ClusterTrustBundle",
        allow_unconditional_update: false,
        name_problem: |_| None,
        validate: trust_bundle::check_create,
        validate_update: Some(trust_bundle::check_update),
        printer: Printer::new(printer::cluster::trust_bundle_cells),
        selectable_fields: &[SelectableField::new("spec.signerName")],
        ..DEFAULT
    },
    Strategy {
        kind: "PodCertificateRequest",
        allow_unconditional_update: false,
        validate: pod_certificate::check_create,
        validate_update: Some(|old, new, out| out.reject_change("spec", old, new)),
        validate_subresource: pod_certificate::check_status,
        status_metadata: &["managedFields"],
        selectable_fields: &[
            SelectableField::new("spec.signerName"),
            SelectableField::new("spec.podName"),
            SelectableField::new("spec.nodeName"),
        ],
        printer: Printer::new(printer::cluster::pod_certificate_request_cells),
        ..DEFAULT
    },
];

/// The JSON pointer of the conditions.
const CONDITIONS_POINTER: &str = "/status/conditions";

/// The types of the conditions that only a write to the subresource `approval` can add or change.
const APPROVAL_TYPES: [&str; 2] = ["Approved", "Denied"];

fn conditions(request: &Value) -> &[Value] {
    request["status"]["conditions"].as_array().map_or(&[], Vec::as_slice)
}

fn conditions_mut(request: &mut Value) -> impl Iterator<Item = &mut Value> {
    request.pointer_mut(CONDITIONS_POINTER).and_then(Value::as_array_mut).into_iter().flatten()
}

fn conditions_of_type<'a>(request: &'a Value, kind: &str) -> Vec<&'a Value> {
    conditions(request).iter().filter(|condition| condition["type"] == kind).collect()
}

/// Prepares a write to the subresource `approval` or `status`. A write to `approval` changes only the conditions. A write
/// to `status` does not change the conditions `Approved` and `Denied`. Sets the absent times of the conditions.
fn prepare_status(update: &SubresourceUpdate<'_>, request: &mut Value) {
    let SubresourceUpdate { subresource, old, now, .. } = *update;
    if subresource == "approval" {
        let conditions = request.pointer_mut(CONDITIONS_POINTER).map(Value::take);
        request["status"] = old["status"].clone();
        if let Some(conditions) = conditions {
            request["status"]["conditions"] = conditions;
        } else if let Some(status) = request["status"].as_object_mut() {
            status.remove("conditions");
        }
    } else {
        for kind in APPROVAL_TYPES {
            keep_conditions(kind, old, request);
        }
    }
    for condition in conditions_mut(request) {
        if condition["lastUpdateTime"].is_null() {
            condition["lastUpdateTime"] = now.into();
        }
        if condition["lastTransitionTime"].is_null() {
            let same = |old: &&Value| {
                old["type"] == condition["type"]
                    && old["status"] == condition["status"]
                    && !old["lastTransitionTime"].is_null()
            };
            let earlier = conditions(old).iter().find(same);
            condition["lastTransitionTime"] =
                earlier.map_or_else(|| now.into(), |old| old["lastTransitionTime"].clone());
        }
    }
}

/// Restores the conditions of one type, unless their number has changed.
fn keep_conditions(kind: &str, old: &Value, request: &mut Value) {
    let kept = conditions_of_type(old, kind);
    let mut new: Vec<_> = conditions_mut(request).filter(|condition| condition["type"] == kind).collect();
    if kept.len() == new.len() {
        new.iter_mut().zip(kept).for_each(|(condition, kept)| **condition = kept.clone());
    }
}

fn validate_subresource(update: &SubresourceUpdate<'_>, request: &Value, out: &mut Errors) {
    let SubresourceUpdate { subresource, old, .. } = *update;
    check_conditions(old, request, out);
    let (before, certificate) = (&old["status"]["certificate"], &request["status"]["certificate"]);
    if before != certificate
        && let Some(why) = certificate_problem(certificate)
    {
        out.push(FieldError::invalid("status.certificate", "<certificate data>", why));
    }
    for kind in ["Approved", "Denied", "Failed"] {
        if conditions_of_type(request, kind).len() < conditions_of_type(old, kind).len() {
            let why = format!("updates may not remove a condition of type \"{kind}\"");
            out.push(FieldError::forbidden("status.conditions", why));
        }
    }
    if subresource != "approval" {
        for kind in APPROVAL_TYPES {
            if conditions_of_type(request, kind).len() > conditions_of_type(old, kind).len() {
                let why = format!("updates may not add a condition of type \"{kind}\"");
                out.push(FieldError::forbidden("status.conditions", why));
            }
        }
    }
    if before != certificate && !before.is_null() {
        let why = "updates may not modify existing certificate content";
        out.push(FieldError::forbidden("status.certificate", why));
    }
}

/// Checks the conditions. Permits a repeated type, or `Approved` together with `Denied`, if the stored object violates
/// the same rule.
fn check_conditions(old: &Value, request: &Value, out: &mut Errors) {
    let has_both =
        |request: &Value| APPROVAL_TYPES.iter().all(|kind| !conditions_of_type(request, kind).is_empty());
    let has_duplicates = |request: &Value| {
        let mut seen = HashSet::new();
        !conditions(request).iter().all(|condition| seen.insert(condition["type"].as_str()))
    };
    let mut seen = HashSet::new();
    for (path, condition) in items("status", &request["status"], "conditions") {
        let kind = condition["type"].as_str().unwrap_or_default();
        if kind.is_empty() {
            out.push(FieldError::required(format!("{path}.type"), ""));
        }
        let supported: &[&str] = match kind {
            "Approved" | "Denied" | "Failed" => &["True"],
            _ => &["False", "True", "Unknown"],
        };
        let status = condition["status"].as_str().unwrap_or_default();
        if status.is_empty() {
            out.push(FieldError::required(format!("{path}.status"), ""));
        } else if !supported.contains(&status) {
            out.push(FieldError::not_supported(format!("{path}.status"), status, supported));
        }
        if !seen.insert(kind.to_owned()) && !has_duplicates(old) {
            out.push(FieldError::duplicate(format!("{path}.type"), kind));
        }
    }
    if has_both(request) && !has_both(old) {
        let members = r#"conditions[{"type": "Approved"}], conditions[{"type": "Denied"}]"#;
        let why = format!("must specify at most one of: {members}");
        out.push(FieldError::invalid("status.conditions", format!("{{{members}}}"), why));
    }
}

/// The reason that the content is not a list of certificates in PEM; `None` for a valid list, and if the content is absent
/// or empty. Does not parse the certificates.
fn certificate_problem(content: &Value) -> Option<String> {
    const BEGIN: &str = "-----BEGIN ";
    let bytes = STANDARD.decode(content.as_str()?).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut types =
        text.lines().filter_map(|line| line.strip_prefix(BEGIN)?.strip_suffix("-----")).peekable();
    if types.peek().is_none() && !bytes.is_empty() {
        return Some("must contain at least one CERTIFICATE PEM block".to_owned());
    }
    let other = types.find(|kind| *kind != "CERTIFICATE")?;
    Some(format!("only CERTIFICATE PEM blocks are allowed, found {other:?}"))
}
