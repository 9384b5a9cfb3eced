//! The validation of `ClusterTrustBundle`.

use std::collections::HashSet;

use serde_json::Value;
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;

use crate::names;
use crate::schema::FieldError;
use crate::strategy::validation::{Errors, string_in};

/// The maximum size of `spec.trustBundle` in bytes.
const MAX_SIZE: usize = 1 << 20;
const BUNDLE_PATH: &str = "spec.trustBundle";

pub(super) fn check_create(bundle: &Value, out: &mut Errors) {
    check_name(bundle, out);
    check_bundle(string_in(&bundle["spec"], "trustBundle"), out);
}

/// Checks an update. As in the API server, checks `spec.trustBundle` only if the update changes this field.
pub(super) fn check_update(old: &Value, new: &Value, out: &mut Errors) {
    check_name(new, out);
    let bundle = string_in(&new["spec"], "trustBundle");
    if bundle != string_in(&old["spec"], "trustBundle") {
        check_bundle(bundle, out);
    }
    out.reject_change("spec.signerName", old, new);
}

/// Checks the name of a bundle. Without a signer, the name must be a DNS subdomain. With a signer, a prefix must precede
/// the subdomain: the name of the signer, with `:` instead of `/`, and a final `:`.
fn check_name(bundle: &Value, out: &mut Errors) {
    let (name, signer) = (string_in(&bundle["metadata"], "name"), string_in(&bundle["spec"], "signerName"));
    if name.is_empty() {
        return;
    }
    let prefix = format!("{}:", signer.replace('/', ":"));
    let problem = if signer.is_empty() {
        let why = "ClusterTrustBundle without signer name must not have \":\" in its name";
        if name.contains(':') {
            Some(why.to_owned())
        } else {
            names::subdomain_problem(name).map(str::to_owned)
        }
    } else if let Some(rest) = name.strip_prefix(&prefix) {
        names::subdomain_problem(rest).map(str::to_owned)
    } else {
        Some(format!("ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}"))
    };
    if let Some(why) = problem {
        out.push(FieldError::invalid("metadata.name", name, why));
    }
}

/// Checks the size of `spec.trustBundle`, and that its PEM blocks are CA certificates: at least one, and no duplicates.
/// Text outside of PEM blocks is permitted.
fn check_bundle(text: &str, out: &mut Errors) {
    if text.len() > MAX_SIZE {
        return out.push(FieldError::too_long(BUNDLE_PATH, MAX_SIZE as u64));
    }
    let before = out.0.len();
    let mut seen = HashSet::new();
    let mut has_duplicate = false;
    for (index, block) in Pem::iter_from_buffer(text.as_bytes()).enumerate() {
        match block.map_err(|_| "does not parse as X.509".to_owned()).and_then(ca_certificate_der) {
            Ok(certificate) => has_duplicate |= !seen.insert(certificate),
            Err(why) => reject_bundle(format!("entry {index} {why}"), out),
        }
    }
    if out.0.len() > before {
        return;
    }
    if seen.is_empty() {
        reject_bundle("at least one trust anchor must be provided".to_owned(), out);
    } else if has_duplicate {
        reject_bundle("duplicate trust anchor".to_owned(), out);
    }
}

fn reject_bundle(why: String, out: &mut Errors) {
    out.push(FieldError::invalid(BUNDLE_PATH, "<value omitted>", why));
}

/// Returns the DER form of the CA certificate in a PEM block, or an error text for any other PEM block.
fn ca_certificate_der(block: Pem) -> Result<Vec<u8>, String> {
    if block.label != "CERTIFICATE" {
        return Err(format!("has bad block type: {}", block.label));
    }
    let is_authority = match X509Certificate::from_der(&block.contents) {
        Ok(([], certificate)) => certificate.is_ca(),
        _ => return Err("does not parse as X.509".to_owned()),
    };
    if is_authority { Ok(block.contents) } else { Err("does not have the CA bit set".to_owned()) }
}
