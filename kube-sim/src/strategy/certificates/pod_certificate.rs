//! The validation of `PodCertificateRequest`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::public_key::{check_request, is_proof, key_type};
use crate::schema::FieldError;
use crate::strategy::SubresourceUpdate;
use crate::strategy::conditions::{check_conditions_in, is_condition_true};
use crate::strategy::rules::{self, POD_CERTIFICATE_REQUEST};
use crate::strategy::validation::{Errors, items, string_in};

/// The maximum size in bytes of a PKCS#10 request, of a public key and of a proof of possession.
const MAX_INPUT_SIZE: usize = 10 << 10;
/// The maximum size of the certificate chain in bytes.
const MAX_CHAIN_SIZE: usize = 100 << 10;
const REQUEST_PATH: &str = "spec.stubPKCS10Request";
const KEY_PATH: &str = "spec.pkixPublicKey";
const PROOF_PATH: &str = "spec.proofOfPossession";
const CHAIN_PATH: &str = "status.certificateChain";

/// The conditions after which the status is immutable.
const TERMINAL_CONDITIONS: [&str; 3] = ["Issued", "Denied", "Failed"];

/// The bytes that the base64 text of a field encodes; empty if the field is absent. The server has already checked the text
/// when it decoded the object.
fn decode_base64(spec: &Value, field: &str) -> Vec<u8> {
    STANDARD.decode(string_in(spec, field)).unwrap_or_default()
}

/// An error about a field whose value the API server does not show.
fn error_without_value(path: &str, why: impl Into<String>) -> FieldError {
    FieldError::invalid(path, Value::Null, why).without_value()
}

pub(super) fn check_create(object: &Value, out: &mut Errors) {
    rules::apply(&POD_CERTIFICATE_REQUEST, "", object, out);
    let spec = &object["spec"];
    let [request, key, proof] =
        ["stubPKCS10Request", "pkixPublicKey", "proofOfPossession"].map(|field| decode_base64(spec, field));
    let checked = match (request.is_empty(), key.is_empty(), proof.is_empty()) {
        (false, true, true) => check_stub_request(&request),
        (true, false, false) => check_key_and_proof(&key, &proof, string_in(spec, "podUID")),
        _ => {
            let why = "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set";
            Err(error_without_value("spec", why))
        }
    };
    out.0.extend(checked.err());
}

fn check_stub_request(request: &[u8]) -> Result<(), FieldError> {
    if request.len() > MAX_INPUT_SIZE {
        return Err(FieldError::too_long(REQUEST_PATH, MAX_INPUT_SIZE as u64));
    }
    match X509CertificationRequest::from_der(request) {
        Ok(([], request)) => check_request(&request).map_err(|why| error_without_value(REQUEST_PATH, why)),
        _ => Err(error_without_value(REQUEST_PATH, "must be a valid PKCS#10 CSR")),
    }
}

/// Checks the deprecated form of the request: a public key, and a signature of the pod's UID.
fn check_key_and_proof(key: &[u8], proof: &[u8], uid: &str) -> Result<(), FieldError> {
    for (path, bytes) in [(KEY_PATH, key), (PROOF_PATH, proof)] {
        if bytes.len() > MAX_INPUT_SIZE {
            return Err(FieldError::too_long(path, MAX_INPUT_SIZE as u64));
        }
    }
    let Ok(([], key)) = SubjectPublicKeyInfo::from_der(key) else {
        return Err(error_without_value(KEY_PATH, "must be a valid PKIX-serialized public key"));
    };
    let key_type = key_type(&key).map_err(|why| error_without_value(KEY_PATH, why))?;
    if is_proof(key_type, &key, uid, proof) {
        return Ok(());
    }
    Err(error_without_value(PROOF_PATH, "could not verify proof-of-possession signature"))
}

/// Validates a write of the status. A write may change the status only if it adds one of the
/// [`TERMINAL_CONDITIONS`].
pub(super) fn check_status(update: &SubresourceUpdate<'_>, new: &Value, out: &mut Errors) {
    let before = out.0.len();
    check_conditions(new, out);
    check_conditions_in("status", &new["status"], out);
    if out.0.len() > before {
        return;
    }
    let (old_status, status) = (&update.old["status"], &new["status"]);
    if TERMINAL_CONDITIONS.iter().any(|kind| is_condition_true(update.old, kind)) {
        if status != old_status {
            let why = "immutable after PodCertificateRequest is issued, denied, or failed";
            out.push(error_without_value("status", why));
        }
    } else if is_condition_true(new, "Denied") || is_condition_true(new, "Failed") {
        if status
            .as_object()
            .is_some_and(|map| map.iter().any(|(key, value)| key != "conditions" && !value.is_null()))
        {
            let why =
                "non-condition status fields must be empty when denying or failing the PodCertificateRequest";
            out.push(error_without_value("status", why));
        }
    } else if is_condition_true(new, "Issued") {
        out.0.extend(check_issued_certificate(new, update.now).err().into_iter().flatten());
    } else if status != old_status {
        let why = "status is immutable unless transitioning to \"Issued\", \"Denied\", or \"Failed\"";
        out.push(error_without_value("status", why));
    }
}

/// Checks that there is at most one condition, with a known type and the status `True`.
fn check_conditions(new: &Value, out: &mut Errors) {
    let mut known = 0;
    for (index, (_, condition)) in items("status", &new["status"], "conditions").enumerate() {
        // In these paths, the API server writes a dot before the index.
        let at = |field: &str| format!("status.conditions.[{index}].{field}");
        let kind = string_in(condition, "type");
        if !TERMINAL_CONDITIONS.contains(&kind) {
            out.push(FieldError::not_supported(at("type"), kind, &TERMINAL_CONDITIONS));
            continue;
        }
        known += 1;
        if known > 1 {
            let why = "There may be at most one condition with type \"Issued\", \"Denied\", or \"Failed\"";
            out.push(FieldError::invalid(at("type"), kind, why));
        }
        if condition["status"] != "True" {
            out.push(FieldError::not_supported(at("status"), string_in(condition, "status"), &["True"]));
        }
    }
}

/// Checks the certificates and the times of an issued request.
fn check_issued_certificate(new: &Value, now: &str) -> Result<(), Vec<FieldError>> {
    let chain = string_in(&new["status"], "certificateChain");
    if chain.len() > MAX_CHAIN_SIZE {
        return Err(vec![FieldError::too_long(CHAIN_PATH, MAX_CHAIN_SIZE as u64)]);
    }
    let bad_chain = |why: &str| vec![FieldError::invalid(CHAIN_PATH, chain, why)];
    let other_block = "issued certificate chain must consist entirely of CERTIFICATE PEM blocks";
    let blocks: Vec<Pem> = Pem::iter_from_buffer(chain.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| bad_chain(other_block))?;
    if blocks.iter().any(|block| block.label != "CERTIFICATE") {
        return Err(bad_chain(other_block));
    }
    let mut certificates = Vec::new();
    for block in &blocks {
        match X509Certificate::from_der(&block.contents) {
            Ok(([], certificate)) => certificates.push(certificate),
            _ if certificates.is_empty() => {
                return Err(bad_chain("leaf certificate does not parse as valid X.509"));
            }
            _ => return Err(bad_chain("intermediate certificate does not parse as valid X.509")),
        }
    }
    let Some(leaf) = certificates.first() else {
        return Err(bad_chain("issued certificate chain must contain at least one certificate"));
    };
    if !has_requested_key(leaf, &new["spec"]) {
        return Err(bad_chain("leaf certificate was not issued to the requested public key"));
    }
    check_times(leaf, new, now)
}

/// Whether the certificate has the requested public key.
fn has_requested_key(leaf: &X509Certificate<'_>, spec: &Value) -> bool {
    let same = |key: &SubjectPublicKeyInfo<'_>| {
        let leaf = &leaf.tbs_certificate.subject_pki;
        key.algorithm == leaf.algorithm && key.subject_public_key.data == leaf.subject_public_key.data
    };
    let request = decode_base64(spec, "stubPKCS10Request");
    if request.is_empty() {
        SubjectPublicKeyInfo::from_der(&decode_base64(spec, "pkixPublicKey")).is_ok_and(|(_, key)| same(&key))
    } else {
        X509CertificationRequest::from_der(&request)
            .is_ok_and(|(_, request)| same(&request.certification_request_info.subject_pki))
    }
}

/// Checks the lifetime of the certificate, and that the times in the status are consistent with the certificate and with
/// the current time. Ignores fractions of a second.
fn check_times(leaf: &X509Certificate<'_>, new: &Value, now: &str) -> Result<(), Vec<FieldError>> {
    let status = &new["status"];
    let seconds = |text: &str| text.parse::<Timestamp>().ok().map(Timestamp::as_second);
    let of_certificate = "must be present and consistent with the issued certificate";
    let in_lifetime = "must be present and in the range [notbefore+10min, notafter-10min]";
    let fields =
        [("notBefore", of_certificate), ("notAfter", of_certificate), ("beginRefreshAt", in_lifetime)];
    let mut missing = Vec::new();
    let [not_before, not_after, refresh] = fields.map(|(field, why)| {
        seconds(string_in(status, field)).unwrap_or_else(|| {
            missing.push(FieldError::required(format!("status.{field}"), why));
            0
        })
    });
    if !missing.is_empty() {
        return Err(missing);
    }
    let (from, to) = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
    let most = new["spec"]["maxExpirationSeconds"].as_i64().unwrap_or_default();
    let is_near = seconds(now).is_some_and(|now| (now - not_before).abs() < 5 * 60);
    let problem = [
        (
            not_before != from,
            "notBefore",
            "must be set to the NotBefore time encoded in the leaf certificate",
        ),
        (!is_near, "notBefore", "must be set to within 5 minutes of kube-apiserver's current time"),
        (not_after != to, "notAfter", "must be set to the NotAfter time encoded in the leaf certificate"),
        (to - from < 3_600, "certificateChain", "leaf certificate lifetime must be >= 1 hour"),
        (
            to - from > most,
            "certificateChain",
            "leaf certificate lifetime must be <= spec.maxExpirationSeconds",
        ),
        (refresh < not_before + 600, "beginRefreshAt", "must be at least 10 minutes after status.notBefore"),
        (refresh > not_after - 600, "beginRefreshAt", "must be at least 10 minutes before status.notAfter"),
    ];
    match problem.into_iter().find(|(is_wrong, ..)| *is_wrong) {
        Some((_, field, why)) => {
            Err(vec![FieldError::invalid(format!("status.{field}"), json!(status[field]), why)])
        }
        None => Ok(()),
    }
}
