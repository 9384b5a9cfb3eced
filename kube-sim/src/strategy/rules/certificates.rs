//! The rules of trust bundles and of certificate requests of pods.

use serde_json::Value;

use super::Check::{AnyText, Custom, RequiredText, Text};
use super::{KindRules, Rule, texts};
use crate::schema::FieldError;
use crate::strategy::validation::{Errors, join};

pub(super) static KIND_RULES: [KindRules; 1] =
    [KindRules::new("certificates.k8s.io", "ClusterTrustBundle", &TRUST_BUNDLE)];

static TRUST_BUNDLE: [Rule; 1] = [("spec.signerName", Text(texts::signer_name_problem))];

/// The rules of a new `PodCertificateRequest`. An update is not validated with these rules, because the spec is
/// immutable.
pub(in crate::strategy) static POD_CERTIFICATE_REQUEST: [Rule; 9] = [
    ("spec.signerName", RequiredText(texts::signer_name_problem)),
    ("spec.unverifiedUserAnnotations", Custom(check_user_annotations)),
    ("spec.podName", AnyText(texts::subdomain_problem)),
    ("spec.podUID", Custom(check_uid)),
    ("spec.serviceAccountName", AnyText(texts::subdomain_problem)),
    ("spec.serviceAccountUID", Custom(check_uid)),
    ("spec.nodeName", AnyText(texts::subdomain_problem)),
    ("spec.nodeUID", Custom(check_uid)),
    ("spec", Custom(check_expiration)),
];

/// The shortest validity that a request may ask for, in seconds.
const MIN_VALIDITY_SECONDS: i64 = 60 * 60;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Checks `maxExpirationSeconds`: at least one hour, and at most one day for the signers of Kubernetes or 91 days for
/// other signers.
fn check_expiration(path: &str, spec: &Value, out: &mut Errors) {
    let domain = spec["signerName"].as_str().unwrap_or_default().split('/').next().unwrap_or_default();
    let is_kubernetes = domain == "kubernetes.io" || domain.ends_with(".kubernetes.io");
    let most = if is_kubernetes { DAY_SECONDS } else { 91 * DAY_SECONDS };
    let seconds = spec["maxExpirationSeconds"].as_i64().unwrap_or_default();
    if !(MIN_VALIDITY_SECONDS..=most).contains(&seconds) {
        let why = format!("must be in the range [{MIN_VALIDITY_SECONDS}, {most}]");
        out.push(FieldError::invalid(join(path, "maxExpirationSeconds"), seconds, why));
    }
}

fn check_uid(path: &str, uid: &Value, out: &mut Errors) {
    const MAX_LENGTH: usize = 128;
    let text = uid.as_str().unwrap_or_default();
    if text.is_empty() {
        out.push(FieldError::invalid(path, text, "must not be empty"));
    } else if text.len() > MAX_LENGTH {
        out.push(FieldError::too_long(path, MAX_LENGTH as u64));
    }
}

/// Checks that each key is a qualified name with a domain, and that all keys and values together have at most 256 KiB.
fn check_user_annotations(path: &str, annotations: &Value, out: &mut Errors) {
    const MAX_SIZE: usize = 256 << 10;
    let entries = || annotations.as_object().into_iter().flatten();
    for (key, _) in entries() {
        let key = key.to_lowercase();
        if key.is_empty() {
            out.push(FieldError::required(path, ""));
        } else if let Some(why) = texts::qualified_name_problem(&key) {
            out.push(FieldError::invalid(path, key, why));
        } else if !key.contains('/') {
            let why = "must be a domain-prefixed key (such as \"acme.io/foo\")";
            out.push(FieldError::invalid(path, key, why));
        }
    }
    let size: usize =
        entries().map(|(key, value)| key.len() + value.as_str().unwrap_or_default().len()).sum();
    if size > MAX_SIZE {
        out.push(FieldError::too_long(path, MAX_SIZE as u64));
    }
}
