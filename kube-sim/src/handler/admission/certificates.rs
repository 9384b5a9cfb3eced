//! The admission plugin CertificateSubjectRestriction.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;

use super::Write;
use crate::status::SimError;

const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// Refuses a new `CertificateSigningRequest` for a client certificate, if the subject in the request contains the
/// group `system:masters`, or if the request does not parse.
pub(super) fn check_subject(write: &Write<'_>, request: &Value) -> Result<(), SimError> {
    if write.old.is_some()
        || !write.is_to_any(&[("certificates.k8s.io", "certificatesigningrequests")])
        || request["spec"]["signerName"] != CLIENT_SIGNER
    {
        return Ok(());
    }
    let text = request["spec"]["request"].as_str().unwrap_or_default();
    let groups = organizations(text)
        .map_err(|error| write.forbidden(request, &format!("failed to parse CSR: {error}")))?;
    if groups.iter().any(|group| group == "system:masters") {
        let why = format!("use of {CLIENT_SIGNER} signer with system:masters group is not allowed");
        return Err(write.forbidden(request, &why));
    }
    Ok(())
}

/// The organizations in the subject of a certificate request, which is PEM in Base64.
fn organizations(request: &str) -> Result<Vec<String>, String> {
    let pem = STANDARD.decode(request).map_err(|error| error.to_string())?;
    let pem = Pem::iter_from_buffer(&pem).next().ok_or("no PEM block")?.map_err(|error| error.to_string())?;
    let (_, parsed) = X509CertificationRequest::from_der(&pem.contents).map_err(|error| error.to_string())?;
    let names = parsed.certification_request_info.subject.iter_organization();
    Ok(names.filter_map(|name| name.as_str().ok().map(str::to_owned)).collect::<Vec<_>>())
}
