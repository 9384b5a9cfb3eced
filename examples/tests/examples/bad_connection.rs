//! Tests with unreachable servers, and with failed TLS verification and authentication. Each test expects a single
//! error that identifies the server or the cause.

use crate::support::{Cluster, Home, RunningExample, assert_contains};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::PrivateKeyDer;
use std::{net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::{io::AsyncReadExt, net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

/// Runs `pod_reflector` until it fails, and returns its error message.
async fn pod_reflector_failure(home: &Home, kubeconfig: PathBuf) -> String {
    RunningExample::new(home.example_command("pod_reflector", &kubeconfig)).wait_for_failure().await
}

#[tokio::test]
async fn an_error_names_the_address_of_a_refused_connection() {
    let cluster = Cluster::new().await;
    let address = cluster.server.local_addr().to_string();
    let home = cluster.home;
    cluster.server.shutdown().await;
    let error = pod_reflector_failure(&home, cluster.kubeconfig).await;
    assert_contains(&error, &[&address, "refused", "check the address"]);
}

#[tokio::test]
async fn an_error_names_a_host_that_does_not_resolve() {
    let cluster = Cluster::new().await;
    // The top-level domain `invalid` never resolves (RFC 2606).
    let changed = cluster.server.kubeconfig().replace(&cluster.server.url(), "https://cluster.invalid:6443");
    let error = pod_reflector_failure(&cluster.home, cluster.home.write_file("host.yaml", &changed)).await;
    assert_contains(&error, &["cluster.invalid", "address"]);
}

#[tokio::test]
async fn times_out_on_a_silent_server() {
    let cluster = Cluster::new().await;
    // The kernel accepts connections, but the test never reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let changed = cluster.server.kubeconfig().replace(&cluster.server.local_addr().to_string(), &address);
    let error = pod_reflector_failure(&cluster.home, cluster.home.write_file("silent.yaml", &changed)).await;
    assert_contains(&error, &["timed out after 10s", &address]);
}

#[tokio::test]
async fn an_error_tells_that_the_server_does_not_speak_tls() {
    let cluster = Cluster::new().await;
    let plain = cluster.sim.serve_http("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = plain.local_addr().to_string();
    let changed = cluster.server.kubeconfig().replace(&cluster.server.local_addr().to_string(), &address);
    let error = pod_reflector_failure(&cluster.home, cluster.home.write_file("plain.yaml", &changed)).await;
    assert_contains(&error, &[&address, "does not speak TLS", "http://"]);
}

#[tokio::test]
async fn a_server_certificate_of_an_unknown_authority_is_rejected() {
    let (cluster, other) = (Cluster::new().await, Cluster::new().await);
    let (address, wrong) = (cluster.server.local_addr().to_string(), other.server.local_addr().to_string());
    let changed = other.server.kubeconfig().replace(&wrong, &address);
    let error =
        pod_reflector_failure(&cluster.home, cluster.home.write_file("authority.yaml", &changed)).await;
    assert_contains(&error, &[&address, "certificate", "certificate-authority"]);
}

#[tokio::test]
async fn the_error_for_missing_credentials_contains_the_status_and_the_path() {
    let cluster = Cluster::new().await;
    let good = cluster.server.kubeconfig();
    let changed = good.replace("client-certificate-data:", "a:").replace("client-key-data:", "b:");
    let error =
        pod_reflector_failure(&cluster.home, cluster.home.write_file("anonymous.yaml", &changed)).await;
    assert_contains(&error, &["401", "/api/v1/pods", "credentials"]);
}

#[tokio::test]
async fn an_error_tells_that_the_server_certificate_has_expired() {
    let authority = Authority::new();
    let (server, address) = authority.start_server(EXPIRED_YEAR).await;
    let home = Home::new();
    let error = pod_reflector_failure(&home, authority.write_kubeconfig(&home, address, VALID_YEAR)).await;
    assert_contains(&error, &[&address.to_string(), "server's certificate has expired", "renew it"]);
    server.abort();
}

#[tokio::test]
async fn an_error_tells_that_the_client_certificate_has_expired() {
    let authority = Authority::new();
    let (server, address) = authority.start_server(VALID_YEAR).await;
    let home = Home::new();
    let error = pod_reflector_failure(&home, authority.write_kubeconfig(&home, address, EXPIRED_YEAR)).await;
    assert_contains(&error, &[&address.to_string(), "client-certificate", "expired"]);
    server.abort();
}

/// The year in which a certificate expires.
type ExpiryYear = i32;
const EXPIRED_YEAR: ExpiryYear = 2021;
const VALID_YEAR: ExpiryYear = 4000;

/// A certificate authority that issues valid and expired certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Issues a certificate for 127.0.0.1 that expires in the year `expiry`.
    fn issue_certificate(&self, expiry: ExpiryYear) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(expiry, 1, 1);
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Starts a server whose certificate expires in the year `expiry`. The server requires a client certificate of this
    /// authority, and sends nothing after the handshake.
    async fn start_server(&self, expiry: ExpiryYear) -> (JoinHandle<()>, SocketAddr) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let (certificate, key) = self.issue_certificate(expiry);
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_client_cert_verifier(clients);
        let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Ignore a failed handshake: the client reports it.
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            }
        });
        (task, address)
    }

    /// Writes a kubeconfig with a client certificate that expires in the year `expiry`. Returns the path of the
    /// kubeconfig.
    fn write_kubeconfig(&self, home: &Home, server: SocketAddr, expiry: ExpiryYear) -> PathBuf {
        let (certificate, key) = self.issue_certificate(expiry);
        home.write_file("ca.pem", &self.certificate.pem());
        home.write_file("client.pem", &certificate.pem());
        home.write_file("client.key", &key.serialize_pem());
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n\
             clusters: [{{name: test, cluster: {{server: 'https://{server}', certificate-authority: ca.pem}}}}]\n\
             users: [{{name: test, user: {{client-certificate: client.pem, client-key: client.key}}}}]\n"
        );
        home.write_file("kubeconfig", &text)
    }
}
