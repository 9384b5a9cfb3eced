//! The admission plugins CertificateApproval, CertificateSigning and ClusterTrustBundleAttest: the sender needs a
//! permission for the signer that the object names.

use serde_json::Value;

use super::Write;
use crate::handler::object_meta;
use crate::rbac::{Access, ResourceAccess, find_grant};
use crate::schema::{FieldError, quote};
use crate::status::SimError;
use crate::store::State;

const GROUP: &str = "certificates.k8s.io";

/// Refuses to approve or deny a `CertificateSigningRequest` without the permission `approve`.
pub(super) fn check_approval(state: &State, write: &Write<'_>, request: &Value) -> Result<(), SimError> {
    match write.old.filter(|_| write.is_to_subresource(GROUP, "certificatesigningrequests", "approval")) {
        Some(old) => require_permission(state, write, "approve", old, ("approve requests with", request)),
        None => Ok(()),
    }
}

/// Refuses to change the certificate or the conditions of a `CertificateSigningRequest` without the permission `sign`.
pub(super) fn check_signing(state: &State, write: &Write<'_>, request: &Value) -> Result<(), SimError> {
    let changed = |old: &&Value| {
        ["certificate", "conditions"].iter().any(|field| old["status"][field] != request["status"][field])
    };
    let is_signed = write.is_to_subresource(GROUP, "certificatesigningrequests", "status");
    match write.old.filter(|_| is_signed).filter(changed) {
        Some(old) => require_permission(state, write, "sign", old, ("sign requests with", request)),
        None => Ok(()),
    }
}

/// Refuses to write a `ClusterTrustBundle` that names a signer, if the sender does not have the permission `attest`.
pub(super) fn check_attestation(state: &State, write: &Write<'_>, bundle: &Value) -> Result<(), SimError> {
    let keeps_content = |old: &Value| object_meta::changes_only_gc_fields(old, bundle);
    if !write.is_to_any(&[(GROUP, "clustertrustbundles")])
        || signer_of(bundle).is_empty()
        || write.old.is_some_and(keeps_content)
    {
        return Ok(());
    }
    require_permission(state, write, "attest", bundle, ("attest for", bundle))
}

/// The error of a write that changes the status of a `PodCertificateRequest`, if the sender does not have the permission
/// `sign`.
pub(crate) fn signing_error(state: &State, write: &Write<'_>, request: &Value) -> Option<FieldError> {
    let user = write.user?;
    let old = write.old.filter(|_| write.is_to_subresource(GROUP, "podcertificaterequests", "status"))?;
    let signer = signer_of(old);
    if old["status"] == request["status"] || is_allowed(state, write, "sign", signer) {
        return None;
    }
    let why = format!("User {} is not permitted to \"sign\" for signer {}", quote(&user.name), quote(signer));
    Some(FieldError::forbidden("spec.signerName", why))
}

fn signer_of(object: &Value) -> &str {
    object["spec"]["signerName"].as_str().unwrap_or_default()
}

/// Returns an error about the new object `object`, unless the sender has the permission `verb` for the signer
/// that `signer_source` names. `signer_source` is the stored object for `approve` and `sign`, and the new
/// object for `attest`.
fn require_permission(
    state: &State,
    write: &Write<'_>,
    verb: &str,
    signer_source: &Value,
    (action, object): (&str, &Value),
) -> Result<(), SimError> {
    let signer = signer_of(signer_source);
    if is_allowed(state, write, verb, signer) {
        return Ok(());
    }
    Err(write.forbidden(object, &format!("user not permitted to {action} signerName {}", quote(signer))))
}

/// Whether the sender has a permission for the signer, or for all signers of its domain.
fn is_allowed(state: &State, write: &Write<'_>, verb: &str, signer: &str) -> bool {
    let Some(user) = write.user else { return true };
    let domain = signer.split('/').next().unwrap_or_default();
    [signer, &format!("{domain}/*")].into_iter().any(|name| {
        let access =
            ResourceAccess { verb, group: GROUP, resource: "signers", name, ..ResourceAccess::default() };
        find_grant(state, user, &Access::Resource(access)).is_some()
    })
}
