//! The client's own certificate, which may change while the client lives.

use rustls::{SignatureScheme, client::ResolvesClientCert, crypto::ring, sign::CertifiedKey};
use std::sync::{Arc, PoisonError, RwLock};

use crate::config::Identity;

/// The certificate that new connections present; none at first.
#[derive(Debug, Default)]
pub(crate) struct ClientIdentity(RwLock<Option<Arc<CertifiedKey>>>);

impl ClientIdentity {
    /// Presents another certificate from the next connection on.
    ///
    /// # Errors
    /// If the key is of an unknown kind, or does not belong to the certificate.
    pub(crate) fn set(&self, (chain, key): Identity) -> Result<(), rustls::Error> {
        let key = ring::sign::any_supported_type(&key)?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            // Not every kind of key can tell.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(error) => return Err(error),
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified));
        Ok(())
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesClientCert for ClientIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.current()
    }

    fn has_certs(&self) -> bool {
        self.current().is_some()
    }
}
