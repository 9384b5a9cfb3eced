//! The approval that groups of the Kubernetes community need (`api-approved.kubernetes.io`, KEP-1111).
//!
//! Owns which groups those are and what the annotation stands for. Validation refuses a definition without it, and the
//! registry shows the state as a condition.

use serde_json::Value;

use super::super::field_error::FieldError;
use super::text;

const ANNOTATION: &str = "api-approved.kubernetes.io";
const PROPOSAL: &str = "see https://github.com/kubernetes/enhancements/pull/1111";

/// What the annotation of a definition in a protected group says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Approval {
    /// It is the address of an approval.
    Approved,
    /// It begins with `unapproved`.
    Bypassed,
    /// There is none.
    Missing,
    /// It is anything else.
    Invalid,
}

/// The annotation's text and what it stands for; `None` for a group that needs no approval.
pub(crate) fn approval(crd: &Value) -> Option<(Approval, &str)> {
    let group = text(&crd["spec"], "group");
    let within =
        |domain: &str| group.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if !within("k8s.io") && !within("kubernetes.io") {
        return None;
    }
    let annotation = text(&crd["metadata"]["annotations"], ANNOTATION);
    let state = match annotation {
        "" => Approval::Missing,
        text if text.starts_with("unapproved") => Approval::Bypassed,
        text if is_address(text) => Approval::Approved,
        _ => Approval::Invalid,
    };
    Some((state, annotation))
}

fn is_address(text: &str) -> bool {
    text.parse::<http::Uri>()
        .is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some_and(|host| !host.is_empty()))
}

/// A definition needs a usable annotation, unless an update leaves the state as it was.
pub(super) fn check(old: Option<&Value>, crd: &Value, errors: &mut Vec<FieldError>) {
    let state = |crd| approval(crd).map(|(state, _)| state);
    if old.is_some_and(|old| state(old) == state(crd)) {
        return;
    }
    let field = format!("metadata.annotations[{ANNOTATION}]");
    let needed = format!("protected groups must have approval annotation \"{ANNOTATION}\"");
    match approval(crd) {
        Some((Approval::Missing, _)) => {
            errors.push(FieldError::required(field, format!("{needed}, {PROPOSAL}")));
        }
        Some((Approval::Invalid, annotation)) => {
            let why =
                format!("{needed} with either a URL or a reason starting with \"unapproved\", {PROPOSAL}");
            errors.push(FieldError::invalid(field, annotation, why));
        }
        Some((Approval::Approved | Approval::Bypassed, _)) | None => {}
    }
}
