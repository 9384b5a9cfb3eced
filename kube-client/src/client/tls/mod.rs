//! TLS: builds a rustls configuration from certificates and keys, and explains rustls' errors.
//!
//! It must not depend on connections or requests.

mod dangerous;
mod explain;
mod identity;
mod key;

pub(super) use explain::explain;
pub(super) use identity::ClientIdentity;

use rustls::{
    ClientConfig, RootCertStore,
    client::WebPkiServerVerifier,
    crypto::{CryptoProvider, ring},
};
use rustls_pki_types::CertificateDer;
use std::sync::Arc;

use crate::error::{BoxError, Error, Result};

/// Which server certificates are trusted.
#[derive(Debug)]
pub(super) enum Trust<'a> {
    /// Certificates signed by one of these authorities (DER).
    Authorities(&'a [Vec<u8>]),
    /// Certificates signed by an authority in the system's CA bundle.
    System,
    /// All certificates (`insecure-skip-tls-verify`).
    All,
}

/// Builds the configuration of all TLS connections to one cluster, without ALPN protocols. Blocks on the file system
/// for the system's CA bundle.
pub(super) fn client_config(trust: &Trust<'_>, identity: Arc<ClientIdentity>) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(Error::config)?;
    let builder = match trust {
        Trust::All => {
            builder.dangerous().with_custom_certificate_verifier(dangerous::accept_any_verifier(provider))
        }
        Trust::Authorities(authorities) => {
            let mut roots = RootCertStore::empty();
            for (index, der) in authorities.iter().enumerate() {
                roots.add(CertificateDer::from_slice(der).into_owned()).map_err(|error| {
                    let (number, count) = (index + 1, authorities.len());
                    let what = format!(
                        "certificate {number} of {count} of certificate-authority cannot be used as a trust anchor"
                    );
                    config_error(what, error.into())
                })?;
            }
            builder.with_webpki_verifier(root_verifier(roots, provider)?)
        }
        Trust::System => builder.with_webpki_verifier(root_verifier(system_roots()?, provider)?),
    };
    Ok(builder.with_client_cert_resolver(identity))
}

/// A verifier of server certificates that trusts the authorities in `roots`.
fn root_verifier(roots: RootCertStore, provider: Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
        .build()
        .map_err(|error| config_error("the certificate authorities cannot be used", error.into()))
}

/// The authorities in the system's CA bundle.
fn system_roots() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // The system's CA bundle may contain certificates that rustls cannot parse; the others are used.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why: BoxError = match found.errors.into_iter().next() {
            Some(error) => error.into(),
            None => "the system's store is empty".into(),
        };
        return Err(config_error(
            "no certificate authority to trust: set certificate-authority of the cluster, or install the system's",
            why,
        ));
    }
    Ok(roots)
}

fn config_error(what: impl Into<String>, source: BoxError) -> Error {
    Error::config(TlsConfigError { what: what.into(), source })
}

/// Why the TLS configuration cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct TlsConfigError {
    what: String,
    source: BoxError,
}
