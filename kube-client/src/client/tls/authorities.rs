//! The certificate authorities that are trusted for the server's certificate. They can be replaced while the client is
//! in use.

use rustls::{
    DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::{Arc, PoisonError, RwLock};

use super::{config_error, provider::select_provider, roots::system_roots};
use crate::error::Result;

/// Verifies the server's certificate with the current authorities.
#[derive(Debug)]
pub(crate) struct Authorities {
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<WebPkiServerVerifier>>,
}

impl Authorities {
    /// Trusts certificates that are signed by one of `authorities` (DER). With `None`, trusts certificates that are
    /// signed by an authority in the system's CA bundle, and blocks on the file system to read it.
    pub(crate) fn new(authorities: Option<&[Vec<u8>]>) -> Result<Self> {
        let provider = select_provider()?;
        let store = match authorities {
            Some(authorities) => root_store(authorities)?,
            None => system_roots()?,
        };
        let current = RwLock::new(verifier(provider.clone(), store)?);
        Ok(Self { provider, current })
    }

    /// Replaces the authorities (DER) for new connections. Open connections and TLS sessions are unchanged.
    ///
    /// # Errors
    /// If a certificate cannot be used as a trust anchor. The previous authorities are then kept.
    pub(crate) fn set(&self, authorities: &[Vec<u8>]) -> Result<()> {
        let next = verifier(self.provider.clone(), root_store(authorities)?)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    fn current_verifier(&self) -> Arc<WebPkiServerVerifier> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A store with these authorities (DER).
fn root_store(authorities: &[Vec<u8>]) -> Result<RootCertStore> {
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
    Ok(roots)
}

/// A verifier that trusts the authorities in `store`.
fn verifier(provider: Arc<CryptoProvider>, store: RootCertStore) -> Result<Arc<WebPkiServerVerifier>> {
    WebPkiServerVerifier::builder_with_provider(store.into(), provider)
        .build()
        .map_err(|error| config_error("the certificate authorities cannot be used", error.into()))
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.current_verifier().verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.current_verifier().verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.current_verifier().verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current_verifier().supported_verify_schemes()
    }
}
