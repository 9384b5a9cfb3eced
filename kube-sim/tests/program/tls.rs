//! Certificates as envtest generates them, and an HTTPS client that uses them.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// An authority that signs certificates.
pub(crate) struct Authority {
    certificate: Certificate,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn generate() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "envtest-environment");
        let certificate = params.self_signed(&key).unwrap();
        let pem = certificate.pem();
        Self { certificate, pem, issuer: Issuer::new(params, key) }
    }

    /// The certificate of the authority in PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.pem
    }

    /// Issues a certificate with this common name and these organizations. Returns the certificate and its key in PEM.
    pub(crate) fn issue_certificate(&self, name: &str, organizations: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        // rcgen keeps one value for each `DnType`, so the second organization uses another `DnType` with the same OID.
        let types = [DnType::OrganizationName, DnType::CustomDnType(vec![2, 5, 4, 10])];
        assert!(organizations.len() <= types.len());
        for (kind, organization) in types.into_iter().zip(organizations) {
            params.distinguished_name.push(kind, *organization);
        }
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A client of an HTTPS server on a loopback port. Each request has its own connection.
pub(crate) struct Client {
    port: u16,
    config: Arc<ClientConfig>,
}

impl Client {
    /// Returns a client that trusts the authority `servers`. `certificate` is an optional client certificate with its key,
    /// both in PEM.
    pub(crate) fn new(port: u16, servers: &Authority, certificate: Option<(String, String)>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(servers.certificate.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        Self { port, config: Arc::new(config) }
    }

    /// Sends a GET request. Returns the status code and the text of the response, or `None` if the connection fails.
    pub(crate) async fn get(&self, path: &str) -> Option<(u16, String)> {
        let (code, body) = self.try_send("GET", path, Bytes::new()).await?;
        Some((code.as_u16(), String::from_utf8(body.to_vec()).unwrap()))
    }

    /// Sends a request with the JSON body `object`. If `object` is null, the request has no body. Returns the status code
    /// and the JSON body of the response.
    pub(crate) async fn send(&self, method: &str, path: &str, object: &Value) -> (StatusCode, Value) {
        let body = if object.is_null() { Bytes::new() } else { Bytes::from(object.to_string()) };
        let (code, body) = self.try_send(method, path, body).await.expect("the server responds");
        (code, serde_json::from_slice(&body).unwrap())
    }

    async fn try_send(&self, method: &str, path: &str, body: Bytes) -> Option<(StatusCode, Bytes)> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(self.config.clone()).connect(name, stream).await.ok()?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .unwrap();
        let response = sender.send_request(request).await.ok()?;
        let code = response.status();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        connection.abort();
        Some((code, body))
    }
}
