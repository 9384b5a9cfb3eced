//! Tests of the HTTPS listener (authentication, faults, kubeconfig), and of the shutdown of an HTTP listener.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube_sim::fault::{Action, Rule};
use kube_sim::{Server, Sim};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// A certificate and its key in PEM.
type Identity<'a> = (&'a str, &'a str);

/// Connects to the listener, with or without a client certificate, and sends a request over `protocol`.
async fn send(
    server: &Server,
    certificate: Option<Identity<'_>>,
    protocol: &str,
    request: Request<Full<Bytes>>,
) -> hyper::Result<Response<Incoming>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(server.ca_pem().unwrap().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = if let Some((cert, key)) = certificate {
        let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        builder.with_client_auth_cert(vec![cert], key).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(server.local_addr()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
    if protocol == "h2" {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await
    } else {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await
    }
}

/// A request for the list of namespaces.
fn list_request(server: &Server, token: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::get(format!("{}/api/v1/namespaces", server.url())).header("host", "x");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(Full::default()).unwrap()
}

/// Lists the namespaces over `protocol`, with an optional client certificate and an optional token. Returns the status
/// code and the body.
async fn list_namespaces(
    server: &Server,
    certificate: Option<Identity<'_>>,
    token: Option<&str>,
    protocol: &str,
) -> (StatusCode, String) {
    let response = send(server, certificate, protocol, list_request(server, token)).await.unwrap();
    let code = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_request_needs_a_valid_client_certificate_or_a_valid_token() {
    let sim = Sim::new();
    let server = sim.serve_https("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let token = server.token().unwrap().to_owned();
    let admin = server.client_pem();
    assert!(admin.is_some());
    let stranger = sim.serve_https("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let unknown = stranger.client_pem();
    assert!(unknown.is_some());
    for protocol in ["http/1.1", "h2"] {
        for (certificate, token, succeeds) in [
            (admin, None, true),
            (None, Some(&*token), true),
            (None, None, false),
            (None, Some("wrong"), false),
            // The authority of another listener has signed the certificate `unknown`. A request with this certificate
            // needs a valid token.
            (unknown, None, false),
            (unknown, Some("wrong"), false),
            (unknown, Some(&*token), true),
        ] {
            let (code, body) = list_namespaces(&server, certificate, token, protocol).await;
            if succeeds {
                assert_eq!(code, 200);
                assert!(body.contains("kube-system"), "{body}");
            } else {
                assert_eq!(code, 401);
                assert!(body.contains("\"reason\":\"Unauthorized\""), "{body}");
            }
        }
    }
}

#[tokio::test]
async fn issued_certificates_have_the_name_and_the_group_of_their_user() {
    let sim = Sim::builder().rbac().build();
    let server = sim.serve_https("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (certificate, key) = server.issue_client_certificate("ada", None).unwrap();
    let (code, body) = list_namespaces(&server, Some((&certificate, &key)), None, "h2").await;
    assert!(code == 403 && body.contains("User \\\"ada\\\" cannot list resource"), "{code} {body}");
    let (certificate, key) = server.issue_client_certificate("joe", Some("system:masters")).unwrap();
    assert_eq!(list_namespaces(&server, Some((&certificate, &key)), None, "h2").await.0, 200);
    let plain = sim.serve_http("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = plain.issue_client_certificate("ada", None).unwrap_err();
    assert_eq!(error.to_string(), "issuing a client certificate");
}

#[tokio::test]
async fn faults_break_responses_over_http1_and_http2() {
    let sim = Sim::new();
    let server = sim.serve_https("127.0.0.1:0".parse().unwrap()).await.unwrap();
    for protocol in ["http/1.1", "h2"] {
        sim.faults().clear();
        sim.faults().add(Rule::new(Action::Reset).nth(1));
        sim.faults().add(Rule::new(Action::CutAfterBytes(10)).nth(2));
        let admin = server.client_pem();
        assert!(send(&server, admin, protocol, list_request(&server, None)).await.is_err(), "{protocol}");
        let mut body = send(&server, admin, protocol, list_request(&server, None)).await.unwrap().into_body();
        let sent = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(sent.len(), 10, "{protocol}");
        assert!(body.frame().await.unwrap().is_err(), "{protocol}");
    }
}

#[tokio::test]
async fn a_server_puts_credentials_into_its_kubeconfig_but_not_into_its_debug_output() {
    let sim = Sim::new();
    let server = sim.serve_https("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let config = server.kubeconfig();
    for part in [&*server.url(), "certificate-authority-data", "client-certificate-data", "client-key-data"] {
        assert!(config.contains(part), "{part} in {config}");
    }
    let text = format!("{server:?}");
    assert!(!text.contains(server.token().unwrap()) && !text.contains("PRIVATE"), "{text}");
}

#[tokio::test]
async fn shutdown_frees_the_address_of_the_listener() {
    let sim = Sim::new();
    let first = sim.serve_http("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = first.local_addr();
    let error = sim.serve_http(addr).await.unwrap_err();
    assert_eq!(error.to_string(), format!("listening on {addr}"));
    first.shutdown().await;
    assert!(TcpStream::connect(addr).await.is_err());
    sim.serve_http(addr).await.unwrap().shutdown().await;
}
