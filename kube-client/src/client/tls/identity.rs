//! The client certificate, which a credential plugin or a changed file may replace while the client is in use.

use rustls::{SignatureScheme, client::ResolvesClientCert, sign::CertifiedKey};
use std::sync::{Arc, PoisonError, RwLock};

use super::{key, provider::select_provider};
use crate::{config::Identity, error::Error};

/// The client certificate for new connections; initially none.
#[derive(Debug, Default)]
pub(crate) struct ClientIdentity(RwLock<Option<Arc<CertifiedKey>>>);

impl ClientIdentity {
    /// Replaces the certificate. New connections present the new certificate; open connections are unchanged.
    ///
    /// # Errors
    /// If the key is not supported or does not belong to the certificate, or if there is no crypto provider.
    pub(crate) fn set(&self, (chain, key): Identity) -> Result<(), IdentityError> {
        let provider = select_provider().map_err(IdentityError::Provider)?;
        // The error of rustls does not contain the algorithm of the key; the text of `explain_unusable_key` does.
        let why = key::explain_unusable_key(&key);
        let signing =
            provider.key_provider.load_private_key(key).map_err(|_| IdentityError::UnusableKey(why))?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            // `Unknown`: the key's implementation cannot compute the public key.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(source) => return Err(IdentityError::Mismatch(source)),
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified));
        Ok(())
    }

    /// The certificate for new connections, if there is one.
    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The reason that a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("the private key cannot be used: {0}")]
    UnusableKey(String),
    #[error("the private key does not belong to the certificate")]
    Mismatch(#[source] rustls::Error),
    #[error(transparent)]
    Provider(Error),
}

impl ResolvesClientCert for ClientIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.current()
    }

    fn has_certs(&self) -> bool {
        self.current().is_some()
    }
}
