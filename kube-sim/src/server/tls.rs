//! The certificates of one listener: generates or reads them, and reads the users of client certificates.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::{ServeError, TlsFiles};
use crate::user::User;

/// The credentials of clients, and the CA certificate with which clients verify the server.
pub(crate) struct Credentials {
    pub(crate) ca_pem: String,
    pub(crate) client_cert_pem: String,
    pub(crate) client_key_pem: String,
    pub(crate) token: String,
}

fn certificate_error(e: impl std::error::Error + Send + Sync + 'static) -> ServeError {
    ServeError::certificates(e)
}

/// Generates a CA, a server certificate for `ip`, a client certificate and a token.
pub(crate) fn generate_credentials(ip: IpAddr) -> Result<(Credentials, TlsAcceptor), ServeError> {
    let ca_key = KeyPair::generate().map_err(certificate_error)?;
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "kube-sim-ca");
    ca.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let ca_cert = ca.self_signed(&ca_key).map_err(certificate_error)?;
    let issuer = Issuer::new(ca, ca_key);

    let mut names = vec!["localhost".to_owned(), "kubernetes".into(), "kubernetes.default.svc".into()];
    names.extend(["127.0.0.1".to_owned(), "::1".into()]);
    if !ip.is_unspecified() && !names.contains(&ip.to_string()) {
        names.push(ip.to_string());
    }
    let server_key = KeyPair::generate().map_err(certificate_error)?;
    let mut server = CertificateParams::new(names).map_err(certificate_error)?;
    server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let server_cert = server.signed_by(&server_key, &issuer).map_err(certificate_error)?;

    let client_key = KeyPair::generate().map_err(certificate_error)?;
    let mut client = CertificateParams::default();
    client.distinguished_name.push(DnType::CommonName, "kubernetes-admin");
    client.distinguished_name.push(DnType::OrganizationName, "system:masters");
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client_cert = client.signed_by(&client_key, &issuer).map_err(certificate_error)?;

    // The public key of a discarded key pair provides 32 random bytes.
    let discarded = KeyPair::generate().map_err(certificate_error)?;
    let token = URL_SAFE_NO_PAD.encode(&discarded.public_key_raw()[1..33]);

    let acceptor = tls_acceptor(ca_cert.der(), server_cert.der(), &server_key)?;
    let credentials = Credentials {
        ca_pem: ca_cert.pem(),
        client_cert_pem: client_cert.pem(),
        client_key_pem: client_key.serialize_pem(),
        token,
    };
    Ok((credentials, acceptor))
}

/// The TLS acceptor of the server. A client certificate is optional, but the CA must have signed it.
fn tls_acceptor(
    ca: &CertificateDer<'static>,
    server: &CertificateDer<'static>,
    key: &KeyPair,
) -> Result<TlsAcceptor, ServeError> {
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).map_err(certificate_error)?;
    acceptor(std::slice::from_ref(ca), vec![server.clone()], key)
}

/// The TLS acceptor with the certificates of these files.
pub(super) fn acceptor_of_files(files: &TlsFiles) -> Result<TlsAcceptor, ServeError> {
    let certificates = |pem: &[u8]| {
        CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(certificate_error)
    };
    let key = PrivateKeyDer::from_pem_slice(&files.key).map_err(certificate_error)?;
    let authorities = files.client_ca.as_deref().map(certificates).transpose()?.unwrap_or_default();
    acceptor(&authorities, certificates(&files.certificate)?, key)
}

/// A TLS acceptor with an optional client certificate, which one of `authorities` must have signed.
fn acceptor(
    authorities: &[CertificateDer<'static>],
    server: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<TlsAcceptor, ServeError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = if authorities.is_empty() {
        WebPkiClientVerifier::no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone()).map_err(certificate_error)?;
        }
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(certificate_error)?
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(certificate_error)?
        .with_client_cert_verifier(clients)
        .with_single_cert(server, key)
        .map_err(certificate_error)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The user of a client certificate: its common name, and the organizations as groups. `None` without a common name.
pub(super) fn user(certificate: &CertificateDer<'_>) -> Option<User> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().last()?.as_str().ok().filter(|name| !name.is_empty())?;
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok());
    Some(User::authenticated(name, groups.map(str::to_owned).collect()))
}
