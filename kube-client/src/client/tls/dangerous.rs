//! TLS without verification of the server's certificate, for `insecure-skip-tls-verify`.
//!
//! An attacker on the network path can read and change all data, including credentials. The signatures of the handshake
//! are still verified, so that a faulty TLS implementation is detected.

use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;

/// Logs a warning, and returns a verifier that accepts any certificate.
pub(super) fn verifier_that_accepts_any_certificate(
    provider: Arc<CryptoProvider>,
) -> Arc<dyn ServerCertVerifier> {
    tracing::warn!(
        "the server's certificate is not verified: the configuration sets insecure-skip-tls-verify"
    );
    Arc::new(AcceptsAnyCertificate(provider))
}

/// Accepts any server certificate, and verifies the signatures of the handshake.
#[derive(Debug)]
struct AcceptsAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptsAnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
