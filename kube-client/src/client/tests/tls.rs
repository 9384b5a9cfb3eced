//! Tests of TLS: server certificates, client certificates, changed certificate files, and errors of failed handshakes.

use super::server::{Authority, Leaf, Server};
use crate::{
    client::Client,
    config::{Config, HttpVersions},
    error::{Error, TransportKind},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::date_time_ymd;
use std::{sync::atomic::Ordering::SeqCst, time::Duration};

/// Requests the version of the server.
async fn request_version(config: Config) -> Result<String, Error> {
    Client::try_from(config)?.apiserver_version().await.map(|info| info.git_version)
}

/// Asserts that the outcome is a transport error of this kind, and that its text contains `parts`.
#[track_caller]
fn assert_transport_error(outcome: Result<String, Error>, kind: TransportKind, parts: &[&str]) {
    let error = outcome.unwrap_err();
    let Error::Transport { kind: found, what, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*found, kind, "{what}");
    for part in parts {
        assert!(what.contains(part), "`{part}` not in: {what}");
    }
}

/// The texts of the error and of all its sources.
fn error_chain(error: &Error) -> String {
    let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Sets the client certificate of a configuration.
fn set_client_certificate(config: &mut Config, leaf: &Leaf) {
    config.auth_info.client_certificate_data = Some(STANDARD.encode(&leaf.pem));
    config.auth_info.client_key_data = Some(STANDARD.encode(leaf.key.serialize_pem()).into());
}

#[tokio::test]
async fn a_client_accepts_a_trusted_server_by_address_and_by_server_name() {
    let (other, authority) = (Authority::new("other"), Authority::new("ca"));
    let server = Server::https(&authority.issue(&["127.0.0.1"], |_| {}), None).await;
    let mut config = server.config(&authority);
    // A CA bundle with several authorities.
    config.root_cert = Some(vec![other.der(), authority.der()]);
    assert_eq!(request_version(config).await.unwrap(), "v1.37.2");

    let server = Server::https(&authority.issue(&["api.internal"], |_| {}), None).await;
    let mut config = server.config(&authority);
    assert_transport_error(
        request_version(config.clone()).await,
        TransportKind::Tls,
        &["another host", "api.internal", "tls-server-name"],
    );
    config.tls_server_name = Some("api.internal".into());
    assert_eq!(request_version(config).await.unwrap(), "v1.37.2");
}

#[tokio::test]
async fn an_error_names_an_unusable_trust_anchor() {
    let authority = Authority::new("ca");
    let server = Server::https(&authority.issue(&["127.0.0.1"], |_| {}), None).await;
    let mut config = server.config(&authority);
    config.root_cert = Some(vec![authority.der(), vec![0; 3]]);
    let error = request_version(config).await.unwrap_err();
    let error = error_chain(&error);
    assert!(error.contains("certificate 2 of 2 of certificate-authority"), "{error}");
}

#[tokio::test]
async fn an_error_names_the_unsupported_curve_of_a_client_key() {
    let authority = Authority::new("ca");
    let leaf = authority.issue(&["me"], |_| {});
    let mut config = Config::new("https://127.0.0.1".parse().unwrap());
    set_client_certificate(&mut config, &leaf);
    // A truncated PKCS #8 key with the curve P-521.
    let der =
        b"\x30\x18\x02\x01\0\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\0\x23\x04\x01\0";
    let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
    config.auth_info.client_key_data = Some(STANDARD.encode(key).into());
    let error = error_chain(&request_version(config).await.unwrap_err());
    assert!(error.contains("client-key") && error.contains("its curve P-521 is not supported"), "{error}");
}

#[tokio::test]
async fn an_error_tells_whether_a_certificate_is_untrusted_or_expired_or_not_yet_valid() {
    let authority = Authority::new("ca");
    let server = Server::https(&authority.issue(&["127.0.0.1"], |_| {}), None).await;
    let mut config = server.config(&Authority::new("ca of an earlier cluster"));
    let host = server.address.to_string();
    assert_transport_error(
        request_version(config.clone()).await,
        TransportKind::Tls,
        &["unknown authority", "certificate-authority", &host],
    );
    (config.root_cert, config.accept_invalid_certs) = (None, true);
    assert_eq!(request_version(config).await.unwrap(), "v1.37.2");

    let expired = authority.issue(&["127.0.0.1"], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let server = Server::https(&expired, None).await;
    assert_transport_error(
        request_version(server.config(&authority)).await,
        TransportKind::Tls,
        &["has expired", "clock"],
    );

    let early = authority.issue(&["127.0.0.1"], |params| params.not_before = date_time_ymd(2090, 1, 1));
    let server = Server::https(&early, None).await;
    assert_transport_error(
        request_version(server.config(&authority)).await,
        TransportKind::Tls,
        &["not valid yet", "clock"],
    );
}

#[tokio::test]
async fn a_client_presents_its_certificate_and_an_error_explains_a_missing_or_rejected_one() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let server = Server::https(&authority.issue(&["127.0.0.1"], |_| {}), Some(&clients)).await;
    let mut config = server.config(&authority);
    assert_transport_error(
        request_version(config.clone()).await,
        TransportKind::Tls,
        &["client certificate", "client-key"],
    );
    set_client_certificate(&mut config, &clients.issue(&["me"], |_| {}));
    assert_eq!(request_version(config.clone()).await.unwrap(), "v1.37.2");
    set_client_certificate(&mut config, &Authority::new("clients").issue(&["me"], |_| {}));
    assert_transport_error(
        request_version(config).await,
        TransportKind::Tls,
        &["does not accept", "client-certificate"],
    );
}

#[tokio::test]
async fn a_client_is_not_built_with_the_key_of_another_certificate() {
    let authority = Authority::new("ca");
    let (one, two) = (authority.issue(&["one"], |_| {}), authority.issue(&["two"], |_| {}));
    let mut config = Config::new("https://127.0.0.1:1".parse().unwrap());
    config.root_cert = Some(vec![authority.der()]);
    set_client_certificate(&mut config, &Leaf { key: two.key, ..one });
    let error = Client::try_from(config).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("client-key"), "{source}");
}

#[tokio::test]
async fn a_client_is_built_with_a_sec1_or_pkcs8_or_pkcs1_key() {
    // Generated with openssl: one P-256 key as SEC1 and PKCS#8, one RSA key as PKCS#1.
    for (certificate, key) in [
        (include_str!("keys/ec.crt"), include_str!("keys/ec.sec1.key")),
        (include_str!("keys/ec.crt"), include_str!("keys/ec.pkcs8.key")),
        (include_str!("keys/rsa.crt"), include_str!("keys/rsa.pkcs1.key")),
    ] {
        let mut config = Config::new("https://127.0.0.1:1".parse().unwrap());
        config.root_cert = Some(vec![Authority::new("ca").der()]);
        config.auth_info.client_certificate_data = Some(STANDARD.encode(certificate));
        config.auth_info.client_key_data = Some(STANDARD.encode(key).into());
        Client::try_from(config).unwrap();
    }
}

#[tokio::test]
async fn an_error_tells_that_a_plain_http_server_does_not_speak_tls() {
    let server = Server::http(|_| async { super::server::version_response() }).await;
    assert_transport_error(
        request_version(server.config(&Authority::new("ca"))).await,
        TransportKind::Tls,
        &["does not speak TLS", "http://"],
    );
}

#[tokio::test]
async fn a_silent_server_causes_a_timeout_of_the_tls_handshake() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new(format!("https://{}", listener.local_addr().unwrap()).parse().unwrap());
    config.root_cert = Some(vec![Authority::new("ca").der()]);
    config.tls_timeout = Some(Duration::from_millis(50));
    config.retry = crate::config::RetryPolicy::never();
    let error = request_version(config).await.unwrap_err();
    let address = listener.local_addr().unwrap();
    let expected = format!("timed out after 50ms in the TLS handshake ({address}, for GET /version): check");
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_client_presents_each_new_certificate_of_a_credential_plugin() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let server = Server::https(&authority.issue(&["127.0.0.1"], |_| {}), Some(&clients)).await;
    let folder = tempfile::tempdir().unwrap();
    let write_credential = |leaf: &Leaf| {
        let credential = serde_json::json!({
            "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1", "status": {
                "clientCertificateData": leaf.pem, "clientKeyData": leaf.key.serialize_pem(),
                // Expired already, so that the plugin runs for each request.
                "expirationTimestamp": "2020-01-01T00:00:00Z",
            },
        });
        std::fs::write(folder.path().join("out"), credential.to_string()).unwrap();
    };
    let mut config = server.config(&authority);
    config.auth_info.exec = Some(crate::config::ExecConfig {
        api_version: Some("client.authentication.k8s.io/v1beta1".into()),
        command: Some("cat".into()),
        args: Some(vec![folder.path().join("out").to_str().unwrap().to_owned()]),
        interactive_mode: Some(crate::config::ExecInteractiveMode::Never),
        ..crate::config::ExecConfig::default()
    });
    let client = Client::try_from(config).unwrap();
    for name in ["one", "two"] {
        let leaf = clients.issue(&[name], |_| {});
        write_credential(&leaf);
        let presented = client.apiserver_version().await.unwrap().git_commit;
        assert_eq!(presented, STANDARD.encode(&leaf.der), "{name}");
    }
}

/// Advances the clock to the next check of the certificate files.
async fn advance_to_file_check() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_changed_ca_file_is_used_after_ten_seconds_or_after_a_rejected_certificate() {
    for http_versions in [HttpVersions::Negotiate, HttpVersions::Http1] {
        let (first, second) = (Authority::new("first"), Authority::new("second"));
        let leaf = |authority: &Authority| authority.issue(&["127.0.0.1"], |_| {});
        let server = Server::https(&leaf(&first), None).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        std::fs::write(&path, first.pem()).unwrap();
        let mut config = server.config(&first);
        config.http_versions = http_versions;
        (config.root_cert, config.root_cert_file) = (None, Some(path.clone()));
        let client = Client::try_from(config.clone()).unwrap();
        client.apiserver_version().await.unwrap();

        // The server and the file change to the authority `second`. The client keeps the open connection until
        // the next check of the file.
        server.rotate_certificates(&leaf(&second), None);
        std::fs::write(&path, second.pem()).unwrap();
        client.apiserver_version().await.unwrap();
        assert_eq!(server.accepted.load(SeqCst), 1);
        advance_to_file_check().await;
        client.apiserver_version().await.unwrap();
        client.apiserver_version().await.unwrap();
        assert_eq!(server.accepted.load(SeqCst), 2);

        // The server changes back to the authority `first`. The file still contains the certificate of
        // `second`. The new client has no open connection. Its requests fail until the file contains the
        // certificate of `first` again.
        config.pool_idle_timeout = Some(Duration::ZERO);
        let client = Client::try_from(config).unwrap();
        server.rotate_certificates(&leaf(&first), None);
        let request = || http::Request::post("/version").body(Vec::new()).unwrap();
        let error = client.request_text(request()).await.unwrap_err();
        assert!(error.to_string().contains("unknown authority"), "{error}");
        std::fs::write(&path, "half of").unwrap();
        assert!(client.request_text(request()).await.is_err());
        std::fs::write(&path, first.pem()).unwrap();
        client.request_text(request()).await.unwrap();
    }
}

#[tokio::test]
async fn root_certificates_that_differ_from_the_file_are_not_replaced() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let server = Server::https(&first.issue(&["127.0.0.1"], |_| {}), None).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.crt");
    std::fs::write(&path, second.pem()).unwrap();
    let mut config = server.config(&first);
    config.root_cert_file = Some(path);
    let client = Client::try_from(config).unwrap();
    client.apiserver_version().await.unwrap();
    advance_to_file_check().await;
    client.apiserver_version().await.unwrap();
    assert_eq!(server.accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn changed_files_of_a_client_certificate_are_used_when_key_and_certificate_match() {
    for http_versions in [HttpVersions::Negotiate, HttpVersions::Http1] {
        let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
        let server = Server::https(&authority.issue(&["127.0.0.1"], |_| {}), Some(&clients)).await;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let leaves = ["one", "two"].map(|name| clients.issue(&[name], |_| {}));
        std::fs::write(path("crt"), &leaves[0].pem).unwrap();
        std::fs::write(path("key"), leaves[0].key.serialize_pem()).unwrap();
        let mut config = server.config(&authority);
        config.http_versions = http_versions;
        config.auth_info.client_certificate = Some(path("crt"));
        config.auth_info.client_key = Some(path("key"));
        let client = Client::try_from(config).unwrap();
        let presented = async || client.apiserver_version().await.unwrap().git_commit;
        let der = |leaf: &Leaf| STANDARD.encode(&leaf.der);
        assert_eq!(presented().await, der(&leaves[0]));

        std::fs::write(path("crt"), &leaves[1].pem).unwrap();
        advance_to_file_check().await;
        assert_eq!(presented().await, der(&leaves[0]));
        std::fs::write(path("key"), leaves[1].key.serialize_pem()).unwrap();
        assert_eq!(presented().await, der(&leaves[0]));
        advance_to_file_check().await;
        assert_eq!(presented().await, der(&leaves[1]));
        assert_eq!(server.accepted.load(SeqCst), 2);
    }
}
