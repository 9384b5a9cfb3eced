//! The TLS settings of a call, and the error texts of a failed handshake.

use std::io;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// The settings that trust only the certificates in `authorities`, which is PEM.
///
/// # Errors
/// The error text, if a certificate does not parse.
pub(super) fn config(authorities: &[u8]) -> Result<ClientConfig, String> {
    let invalid = |e: &dyn std::fmt::Display| format!("unable to load root certificates: {e}");
    let mut roots = RootCertStore::empty();
    let mut trusted = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(authorities) {
        let certificate = certificate.map_err(|e| invalid(&e))?;
        roots.add(certificate.clone()).map_err(|e| invalid(&e))?;
        trusted.push(certificate);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS settings: {e}"))?;
    if trusted.is_empty() {
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    }
    let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    let webpki = webpki.build().map_err(|e| invalid(&e))?;
    let verifier = Arc::new(Verifier { webpki, trusted });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Verifies the certificate of a server as Go does: an authority has signed it, or it is one of the authorities. In
/// envtest, the `caBundle` is the server's own certificate, which is not a CA.
#[derive(Debug)]
struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.trusted.iter().any(|trusted| trusted == end_entity) {
            return verify_trusted(end_entity, server_name, now);
        }
        self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Verifies the validity period, the usage and the name of a certificate that is itself one of the authorities.
fn verify_trusted(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, rustls::Error> {
    let malformed = || rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| malformed())?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < parsed.validity().not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > parsed.validity().not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    let usage = parsed.extended_key_usage().map_err(|_| malformed())?;
    if usage.is_some_and(|usage| !usage.value.any && !usage.value.server_auth) {
        return Err(CertificateError::InvalidPurpose.into());
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
    Ok(ServerCertVerified::assertion())
}

/// The error text of a failed handshake.
pub(super) fn error_text(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let Some(tls) = tls else { return connection_text(error) };
    let rustls::Error::InvalidCertificate(why) = tls else { return format!("tls: {tls}") };
    let why = match why {
        CertificateError::UnknownIssuer => "x509: certificate signed by unknown authority".to_owned(),
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            format!("x509: certificate has expired or is not yet valid: {why}")
        }
        other => format!("x509: {other}"),
    };
    format!("tls: failed to verify certificate: {why}")
}

/// The error text of a broken connection.
fn connection_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        io::ErrorKind::ConnectionReset => "read: connection reset by peer".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};

    use super::*;

    /// Verifies a self-signed certificate that is its own authority. The date of the verification is in 2020.
    fn verify(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Result<(), rustls::Error> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        change(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let verifier = Verifier { webpki, trusted: vec![certificate.der().clone()] };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_577_836_800));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(certificate.der(), &[], &name, &[], now).map(|_| ())
    }

    #[test]
    fn a_server_certificate_can_be_its_own_authority() {
        verify("localhost", |_| {}).unwrap();
        verify("localhost", |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)).unwrap();
        let server = vec![ExtendedKeyUsagePurpose::ServerAuth];
        verify("localhost", |params| params.extended_key_usages = server).unwrap();
    }

    #[test]
    fn a_trusted_certificate_is_valid_only_for_its_name_time_and_usage() {
        use CertificateError as Expected;
        let is = |result: Result<(), rustls::Error>, expected: CertificateError| {
            assert_eq!(result.unwrap_err(), rustls::Error::InvalidCertificate(expected));
        };
        is(verify("localhost", |p| p.not_after = date_time_ymd(2019, 6, 1)), Expected::Expired);
        is(verify("localhost", |p| p.not_before = date_time_ymd(2020, 6, 1)), Expected::NotValidYet);
        let client = vec![ExtendedKeyUsagePurpose::ClientAuth];
        is(verify("localhost", |p| p.extended_key_usages = client), Expected::InvalidPurpose);
        verify("example.com", |_| {}).unwrap_err();
    }
}
