//! Generates the certificates and keys of one run. This module writes no files.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// The time from `notBefore` to now. A client whose clock is slow by less than this time accepts a new certificate.
const CLOCK_SKEW_TOLERANCE: Duration = Duration::from_secs(3600);
/// The time from now to `notAfter`. A cluster runs for minutes, sometimes for days.
const VALIDITY: Duration = Duration::from_secs(30 * 24 * 3600);

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key of the certificate.
    pub key: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// The certificate authority of one run.
#[derive(Debug)]
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Generates a new certificate authority.
    ///
    /// # Errors
    /// When no key or certificate can be generated.
    pub fn new() -> anyhow::Result<Self> {
        let mut params = certificate_params("kube-xtask", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().context("cannot generate a key")?;
        let certificate = params.self_signed(&key).context("cannot create a CA certificate")?.pem();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// The CA certificate, in PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Creates a server certificate. It is valid for localhost, for the names of the `kubernetes` Service, and for
    /// `service_ip`, the IP address of this Service.
    ///
    /// # Errors
    /// When no key can be generated, or the certificate cannot be signed.
    pub fn issue_server_certificate(&self, service_ip: Ipv4Addr) -> anyhow::Result<Identity> {
        let mut params = certificate_params("kube-apiserver", None);
        for name in ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"] {
            params
                .subject_alt_names
                .push(SanType::DnsName(name.try_into().context("cannot use a name as a DNS name")?));
        }
        for ip in [Ipv4Addr::LOCALHOST, service_ip] {
            params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(ip)));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// Creates a client certificate for a user with this name and group (the subject's organization). rcgen can write
    /// only one organization: use a token for a user with several groups.
    ///
    /// # Errors
    /// When no key can be generated, or the certificate cannot be signed.
    pub fn issue_client_certificate(&self, user: &str, group: Option<&str>) -> anyhow::Result<Identity> {
        let mut params = certificate_params(user, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    /// Creates a key pair and a certificate for it.
    fn sign(&self, mut params: CertificateParams) -> anyhow::Result<Identity> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().context("cannot generate a key")?;
        let certificate = params.signed_by(&key, &self.issuer).context("cannot sign a certificate")?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// Generates a key pair, in PEM: the private key signs service account tokens, the public key verifies them.
pub(crate) fn generate_signing_keys() -> anyhow::Result<(String, String)> {
    let key = KeyPair::generate().context("cannot generate a key")?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

/// The parameters of a certificate with this common name and organization. The certificate is valid from
/// [`CLOCK_SKEW_TOLERANCE`] before now until [`VALIDITY`] after now.
fn certificate_params(name: &str, organization: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(organization) = organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_SKEW_TOLERANCE).into();
    params.not_after = (now + VALIDITY).into();
    params
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;

    /// Lets `authority` create a server certificate, and verifies that the certificate is valid for the server `name`.
    fn verify_server_certificate(authority: &Authority, name: &'static str) -> Result<(), rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let server = authority.issue_server_certificate(Ipv4Addr::new(10, 0, 0, 1)).unwrap();
        let certificate = CertificateDer::from_pem_slice(server.certificate.as_bytes()).unwrap();
        let name = ServerName::try_from(name).unwrap();
        verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now()).map(drop)
    }

    #[test]
    fn the_server_certificate_is_valid_only_for_its_names() {
        let authority = Authority::new().unwrap();
        for name in ["127.0.0.1", "10.0.0.1", "localhost", "kubernetes.default.svc"] {
            verify_server_certificate(&authority, name).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert!(verify_server_certificate(&authority, "example.com").is_err());
    }

    #[test]
    fn debug_output_contains_no_key() {
        let identity = Authority::new().unwrap().issue_client_certificate("u", Some("g")).unwrap();
        assert!(identity.key.contains("PRIVATE KEY"));
        assert!(!format!("{identity:?}").contains("BEGIN"));
    }
}
