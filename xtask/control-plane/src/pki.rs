//! The certificates and keys of one run: made at its start, gone with it. Writes no files.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// Certificates start to be valid this much before now, for clocks that differ.
const BACKDATED: Duration = Duration::from_secs(3600);
/// How long they are valid. A cluster is up for minutes, on occasion for days.
const VALID: Duration = Duration::from_secs(30 * 24 * 3600);

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
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
    /// Makes a new authority.
    ///
    /// # Errors
    /// When no key or certificate can be made.
    pub fn new() -> anyhow::Result<Self> {
        let mut params = params("kube-xtask", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().context("cannot make a key")?;
        let certificate = params.self_signed(&key).context("cannot make a certificate authority")?.pem();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// The authority's own certificate, in PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// For a server on this machine that also answers to the names of the Kubernetes service.
    ///
    /// # Errors
    /// When a name is no DNS name, or the certificate cannot be signed.
    ///
    /// # Errors
    /// When no key or certificate can be made.
    pub fn server(&self, service_ip: Ipv4Addr) -> anyhow::Result<Identity> {
        let mut params = params("kube-apiserver", None);
        for name in ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"] {
            params.subject_alt_names.push(SanType::DnsName(name.try_into().context("a bad host name")?));
        }
        for ip in [Ipv4Addr::LOCALHOST, service_ip] {
            params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(ip)));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// For a user of this name, in this group. Kubernetes would read several organizations as several groups, of which
    /// rcgen can only write one: a user of more groups wants a token.
    ///
    /// # Errors
    /// When the certificate cannot be signed.
    ///
    /// # Errors
    /// When no key or certificate can be made.
    pub fn client(&self, user: &str, group: Option<&str>) -> anyhow::Result<Identity> {
        let mut params = params(user, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> anyhow::Result<Identity> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().context("cannot make a key")?;
        let certificate = params.signed_by(&key, &self.issuer).context("cannot sign a certificate")?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// The pair with which service account tokens are signed and checked: private and public key, in PEM.
pub(crate) fn signing_pair() -> anyhow::Result<(String, String)> {
    let key = KeyPair::generate().context("cannot make a key")?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

fn params(name: &str, organization: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(organization) = organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + VALID).into();
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

    fn verify(authority: &Authority, name: &'static str) -> Result<(), rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let server = authority.server(Ipv4Addr::new(10, 0, 0, 1)).unwrap();
        let certificate = CertificateDer::from_pem_slice(server.certificate.as_bytes()).unwrap();
        let name = ServerName::try_from(name).unwrap();
        verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now()).map(drop)
    }

    #[test]
    fn the_server_is_trusted_under_its_names_only() {
        let authority = Authority::new().unwrap();
        for name in ["127.0.0.1", "10.0.0.1", "localhost", "kubernetes.default.svc"] {
            verify(&authority, name).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert!(verify(&authority, "example.com").is_err());
    }

    #[test]
    fn debug_shows_no_key() {
        let identity = Authority::new().unwrap().client("u", Some("g")).unwrap();
        assert!(identity.key.contains("PRIVATE KEY"));
        assert!(!format!("{identity:?}").contains("BEGIN"));
    }
}
