//! TLS: builds a rustls configuration from certificates and keys, and explains rustls' errors.
//!
//! This module must not depend on connections or requests.

mod authorities;
mod dangerous;
mod explain;
mod identity;
mod key;
mod provider;
mod reload;
mod roots;

pub(super) use authorities::Authorities;
pub(super) use explain::explain;
pub(super) use identity::ClientIdentity;
pub use provider::crypto_provider;
pub(super) use reload::{AuthorityFile, CertificateFiles, IdentityFiles, is_certificate_rejected};

use rustls::{ClientConfig, client::danger::ServerCertVerifier};
use std::sync::Arc;

use crate::error::{BoxError, Error, Result};
use provider::select_provider;

/// The server certificates that clients trust.
#[derive(Debug)]
pub(super) enum Trust {
    /// Certificates signed by one of these authorities.
    Authorities(Arc<Authorities>),
    /// All certificates (`insecure-skip-tls-verify`).
    All,
}

/// Builds a configuration of TLS connections, without ALPN protocols.
pub(super) fn client_config(trust: &Trust, identity: Arc<ClientIdentity>) -> Result<ClientConfig> {
    let provider = select_provider()?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(Error::config)?;
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::All => dangerous::verifier_that_accepts_any_certificate(provider),
        Trust::Authorities(authorities) => authorities.clone(),
    };
    // rustls requires `dangerous` for every custom verifier. `Authorities` calls rustls' own verifier.
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    Ok(builder.with_client_cert_resolver(identity))
}

fn config_error(what: impl Into<String>, source: BoxError) -> Error {
    Error::config(TlsConfigError { what: what.into(), source })
}

/// An error in building the TLS configuration.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct TlsConfigError {
    what: String,
    source: BoxError,
}
