//! The annotation `api-approved.kubernetes.io`, which CRDs in protected groups need (KEP-2337).
//!
//! This module owns the protected groups and the parsing of the annotation. Validation rejects a CRD in a protected
//! group if the annotation is absent or invalid. The registry reports the annotation's state as a condition.

use serde_json::Value;

use super::super::field_error::FieldError;
use super::string_field;

const ANNOTATION: &str = "api-approved.kubernetes.io";
/// The end of the error texts, which links to the proposal.
const SEE_PROPOSAL: &str = "see https://github.com/kubernetes/enhancements/pull/1111";

/// The state of the annotation on a CRD in a protected group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Approval {
    /// The annotation is a URL.
    Approved,
    /// The annotation begins with `unapproved`.
    Bypassed,
    /// The annotation is absent or empty.
    Missing,
    /// The annotation has any other value.
    Invalid,
}

/// Returns the state and the value of the annotation, or `None` if the group is not protected.
pub(crate) fn approval(crd: &Value) -> Option<(Approval, &str)> {
    let group = string_field(&crd["spec"], "group");
    let within =
        |domain: &str| group.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if !within("k8s.io") && !within("kubernetes.io") {
        return None;
    }
    let annotation = string_field(&crd["metadata"]["annotations"], ANNOTATION);
    let state = match annotation {
        "" => Approval::Missing,
        text if text.starts_with("unapproved") => Approval::Bypassed,
        text if is_url(text) => Approval::Approved,
        _ => Approval::Invalid,
    };
    Some((state, annotation))
}

fn is_url(text: &str) -> bool {
    text.parse::<http::Uri>()
        .is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some_and(|host| !host.is_empty()))
}

/// Checks that a CRD in a protected group has a valid annotation. An update that leaves the annotation's state unchanged
/// is always accepted.
pub(super) fn check(old: Option<&Value>, crd: &Value, errors: &mut Vec<FieldError>) {
    let state = |crd| approval(crd).map(|(state, _)| state);
    if old.is_some_and(|old| state(old) == state(crd)) {
        return;
    }
    let field = format!("metadata.annotations[{ANNOTATION}]");
    let needed = format!("protected groups must have approval annotation \"{ANNOTATION}\"");
    match approval(crd) {
        Some((Approval::Missing, _)) => {
            errors.push(FieldError::required(field, format!("{needed}, {SEE_PROPOSAL}")));
        }
        Some((Approval::Invalid, annotation)) => {
            let why = format!(
                "{needed} with either a URL or a reason starting with \"unapproved\", {SEE_PROPOSAL}"
            );
            errors.push(FieldError::invalid(field, annotation, why));
        }
        Some((Approval::Approved | Approval::Bypassed, _)) | None => {}
    }
}
