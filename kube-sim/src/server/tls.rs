//! Generates or reads the certificates of one listener, and identifies users by their client certificates.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    self, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::{ServeError, TlsFiles};
use crate::user::{CREDENTIAL_ID, User};

/// The generated CA (`ca_pem` and `issuer`), and the credentials of the administrator.
pub(crate) struct Credentials {
    pub(crate) ca_pem: String,
    pub(crate) client_cert_pem: String,
    pub(crate) client_key_pem: String,
    pub(crate) token: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Credentials {
    /// Issues a client certificate for `user`. If `group` is set, the user is a member of this group. Returns the
    /// certificate and its key in PEM.
    pub(crate) fn issue_client_certificate(
        &self,
        user: &str,
        group: Option<&str>,
    ) -> Result<(String, String), ServeError> {
        issue_client_certificate(&self.issuer, user, group)
    }
}

/// The TLS configuration of an HTTPS listener.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    /// Verifies client certificates; `None` if the listener has no CA certificates for this verification.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

/// The result of verifying the certificate of a client.
#[derive(Clone, Debug)]
pub(super) enum ClientIdentity {
    /// The client has no certificate, its certificate has no common name, or the listener has no CA certificates to
    /// verify client certificates.
    Nobody,
    /// The certificate is not valid: for example, it has expired, or no CA of the listener has signed it.
    Invalid,
    User(User),
}

impl Tls {
    /// Identifies the user by the certificate chain that a client has presented. The first certificate is that of the
    /// client.
    pub(super) fn identify(&self, certificates: Option<&[CertificateDer<'_>]>) -> ClientIdentity {
        let presented = certificates.and_then(<[_]>::split_first);
        let (Some(verifier), Some((certificate, intermediates))) = (&self.verifier, presented) else {
            return ClientIdentity::Nobody;
        };
        match verifier.verify_client_cert(certificate, intermediates, UnixTime::now()) {
            Ok(_) => user_of_certificate(certificate).map_or(ClientIdentity::Nobody, ClientIdentity::User),
            Err(_) => ClientIdentity::Invalid,
        }
    }
}

fn certificate_error(e: impl std::error::Error + Send + Sync + 'static) -> ServeError {
    ServeError::unusable_certificates(e)
}

/// Generates a CA, a server certificate for `ip`, a client certificate and a token.
pub(crate) fn generate_credentials(ip: IpAddr) -> Result<(Credentials, Tls), ServeError> {
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

    let (client_cert_pem, client_key_pem) =
        issue_client_certificate(&issuer, "kubernetes-admin", Some("system:masters"))?;

    // The public key of a discarded key pair provides 32 random bytes.
    let discarded = KeyPair::generate().map_err(certificate_error)?;
    let token = URL_SAFE_NO_PAD.encode(&discarded.public_key_raw()[1..33]);

    let key =
        PrivateKeyDer::from_pem_slice(server_key.serialize_pem().as_bytes()).map_err(certificate_error)?;
    let tls = build_tls(std::slice::from_ref(ca_cert.der()), vec![server_cert.der().clone()], key)?;
    let credentials = Credentials { ca_pem: ca_cert.pem(), client_cert_pem, client_key_pem, token, issuer };
    Ok((credentials, tls))
}

/// Issues a client certificate. Returns the certificate and its key in PEM.
fn issue_client_certificate(
    issuer: &Issuer<'_, KeyPair>,
    user: &str,
    group: Option<&str>,
) -> Result<(String, String), ServeError> {
    let key = KeyPair::generate().map_err(certificate_error)?;
    let mut client = CertificateParams::default();
    client.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        client.distinguished_name.push(DnType::OrganizationName, group);
    }
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = client.signed_by(&key, issuer).map_err(certificate_error)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Creates the TLS configuration of a listener from the certificates and the key in `files`.
pub(super) fn tls_of_files(files: &TlsFiles) -> Result<Tls, ServeError> {
    let certificates = |pem: &[u8]| {
        CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(certificate_error)
    };
    let key = PrivateKeyDer::from_pem_slice(&files.key).map_err(certificate_error)?;
    let authorities = files.client_ca.as_deref().map(certificates).transpose()?.unwrap_or_default();
    build_tls(&authorities, certificates(&files.certificate)?, key)
}

/// Creates the TLS configuration of a listener. `server` contains the certificate of the server and the intermediate
/// certificates. The listener verifies client certificates with the CA certificates in `authorities`. If `authorities` is
/// empty, the listener requests no client certificates.
fn build_tls(
    authorities: &[CertificateDer<'static>],
    server: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Tls, ServeError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = if authorities.is_empty() {
        None
    } else {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone()).map_err(certificate_error)?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        Some(builder.allow_unauthenticated().build().map_err(certificate_error)?)
    };
    let in_handshake: Arc<dyn ClientCertVerifier> = match &verifier {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(verifier) => Arc::new(AnyCertificate(verifier.clone())),
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(certificate_error)?
        .with_client_cert_verifier(in_handshake)
        .with_single_cert(server, key)
        .map_err(certificate_error)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), verifier })
}

/// Accepts each certificate in the handshake, as the API server does: requests with a certificate that is not valid get
/// 401, unless they have a valid token.
#[derive(Debug)]
struct AnyCertificate(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// The user of a client certificate: its common name, and the organizations as groups. `None` without a common name.
fn user_of_certificate(certificate: &CertificateDer<'_>) -> Option<User> {
    let hash = ring::digest::digest(&ring::digest::SHA256, certificate);
    let hash: String = hash.as_ref().iter().flat_map(|byte| hex_digits(*byte)).collect();
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().last()?.as_str().ok().filter(|name| !name.is_empty())?;
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok());
    let mut user = User::in_groups(name, groups.map(str::to_owned).collect());
    user.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={hash}")]);
    Some(user)
}

/// The two hexadecimal digits of a byte, in lower case.
fn hex_digits(byte: u8) -> [char; 2] {
    [byte >> 4, byte & 0xf].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0'))
}
