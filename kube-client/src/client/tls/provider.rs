//! Selects the implementation of the cryptographic algorithms.

use rustls::crypto::CryptoProvider;
use std::sync::Arc;

use crate::error::{Error, Result};

/// Returns the crypto provider that the program has installed for the process. If there is none, returns the provider of
/// the first of these Cargo features that is enabled: `fips`, `aws-lc-rs`, `ring`.
///
/// # Errors
/// If there is no provider.
pub(super) fn select_provider() -> Result<Arc<CryptoProvider>> {
    if let Some(installed) = CryptoProvider::get_default() {
        return Ok(installed.clone());
    }
    built_in_provider().map(Arc::new).ok_or_else(|| {
        Error::config(
            "TLS needs a crypto provider: enable the feature `ring`, `aws-lc-rs` or `fips` of kube-client, or install a \
             provider with rustls::crypto::CryptoProvider::install_default",
        )
    })
}

/// The crypto provider that clients use for TLS. A TLS server of the same program can use this provider, too.
///
/// Returns the provider that the program has installed for the process. If there is none, returns the provider of the
/// first of these Cargo features that is enabled: `fips`, `aws-lc-rs`, `ring`.
///
/// # Errors
///
/// If there is no provider.
///
/// ```
/// let provider = kube_client::client::crypto_provider()?;
/// assert!(!provider.cipher_suites.is_empty());
/// # Ok::<(), kube_client::Error>(())
/// ```
pub fn crypto_provider() -> Result<Arc<CryptoProvider>> {
    select_provider()
}

/// The provider that the enabled Cargo features select. With `fips`, which enables `aws-lc-rs`, the provider of rustls uses
/// the FIPS-validated module of AWS-LC.
#[expect(clippy::unnecessary_wraps, reason = "without one of the features there is no provider")]
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
fn built_in_provider() -> Option<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    return Some(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(not(feature = "aws-lc-rs"))]
    return Some(rustls::crypto::ring::default_provider());
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
fn built_in_provider() -> Option<CryptoProvider> {
    None
}
