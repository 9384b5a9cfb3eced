//! Tests of the manager's server with TLS, and with authentication by `TokenReview` and authorization by
//! `SubjectAccessReview`.

use crate::common::client;
use http::Method;
use kube_runtime::leader::LeaderElector;
use kube_runtime::manager::{Error, Manager};
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use std::{fs, net::SocketAddr, path::Path, path::PathBuf, sync::Arc, time::Duration};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// A time limit for waits on the real clock. No test asserts how long a wait takes.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// A running manager.
struct RunningManager {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

impl RunningManager {
    /// Starts `manager` on a free port.
    fn start(manager: Manager) -> Self {
        let manager = manager.listen("127.0.0.1:0").unwrap();
        let address = manager.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(manager.shutdown_on(async { drop(stopped.await) }).run());
        Self { address, stop, task }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(WAIT_LIMIT, self.task).await.unwrap().unwrap().unwrap();
    }

    /// Sends a GET request with this token. Returns the answer.
    async fn get(&self, path: &str, token: Option<&str>) -> String {
        let stream = TcpStream::connect(self.address).await.unwrap();
        send(stream, "GET", path, token).await.unwrap()
    }
}

/// Sends a request, and returns the head and the body of the answer.
async fn send(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
    token: Option<&str>,
) -> std::io::Result<String> {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    timeout(WAIT_LIMIT, stream.read_to_string(&mut answer)).await.unwrap()?;
    Ok(answer)
}

/// A folder with `tls.crt` and `tls.key`.
struct CertificateFiles(tempfile::TempDir);

impl CertificateFiles {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a new certificate for `localhost` with its key, and returns the certificate.
    fn write(&self) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(self.path("tls.crt"), cert.pem()).unwrap();
        fs::write(self.path("tls.key"), signing_key.serialize_pem()).unwrap();
        cert.der().clone()
    }
}

/// Sends `GET /healthz` over TLS. Returns the answer, or an error if the server does not present `certificate`.
async fn get_over_tls(address: SocketAddr, certificate: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    send(connector.connect(name, stream).await?, "GET", "/healthz", None).await
}

#[tokio::test]
async fn tls_uses_a_changed_certificate_for_new_connections() {
    let files = CertificateFiles(tempfile::tempdir().unwrap());
    let first = files.write();
    let manager = Manager::new(client(&Sim::new())).listen_for_probes("127.0.0.1:0").unwrap();
    let probes = manager.probe_address().unwrap();
    let manager = manager.with_certificate_files(files.path("tls.crt"), files.path("tls.key")).unwrap();
    let running = RunningManager::start(manager);
    // These clients do not finish the handshake. They delay no other client.
    let silent = TcpStream::connect(running.address).await.unwrap();
    let mut plain = TcpStream::connect(running.address).await.unwrap();
    plain.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let answer = get_over_tls(running.address, &first).await.unwrap();
    assert!(answer.contains("200 OK"), "{answer}");
    let mut refused = Vec::new();
    // Ignore an error of the read: the manager may reset the connection.
    let _ = timeout(WAIT_LIMIT, plain.read_to_end(&mut refused)).await.unwrap();
    assert!(!String::from_utf8_lossy(&refused).contains("HTTP/1.1 200"), "{refused:?}");
    let probe = send(TcpStream::connect(probes).await.unwrap(), "GET", "/healthz", None).await.unwrap();
    assert!(probe.contains("200 OK"), "the probes have no TLS: {probe}");

    let second = files.write();
    assert!(get_over_tls(running.address, &second).await.is_err(), "the files are read every 10 s");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
    let answer = get_over_tls(running.address, &second).await.unwrap();
    assert!(answer.contains("200 OK"), "{answer}");
    assert!(get_over_tls(running.address, &first).await.is_err());
    drop(silent);
    running.stop().await;
}

#[test]
fn a_missing_certificate_is_an_error_that_names_the_file() {
    let manager = Manager::new(client(&Sim::new()));
    let missing = Path::new("/missing/tls.crt");
    let error = manager.with_certificate_files(missing, "/missing/tls.key").unwrap_err();
    assert!(matches!(error, Error::Certificate(_)), "{error}");
    let text = crate::common::error_chain(&error);
    assert!(text.contains("/missing/tls.crt"), "{text}");
}

/// Creates a service account. Returns a token of the account.
fn create_account(sim: &Sim, name: &str) -> String {
    sim.create(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})).unwrap();
    let path = format!("/api/v1/namespaces/default/serviceaccounts/{name}/token");
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let issued = sim.request(&Method::POST, &path, "application/json", &body).unwrap();
    issued["status"]["token"].as_str().unwrap().to_owned()
}

/// Grants `get` for `/metrics` to a service account.
fn grant_metrics_access(sim: &Sim, account: &str) {
    let api_version = "rbac.authorization.k8s.io/v1";
    let rules = json!([{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]);
    let role = json!({"apiVersion": api_version, "kind": "ClusterRole", "metadata": {"name": account}, "rules": rules});
    sim.create(&role).unwrap();
    sim.create(&json!({
        "apiVersion": api_version, "kind": "ClusterRoleBinding", "metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "default"}],
    }))
    .unwrap();
}

/// Starts a manager that serves one line of metrics. Its filter authenticates and authorizes clients.
fn start_with_filter(manager: Manager) -> RunningManager {
    RunningManager::start(
        manager.render_metrics(|| "up 1\n".to_owned()).with_authentication_and_authorization(),
    )
}

/// The numbers of token reviews and of access reviews that the API server has received.
fn review_counts(sim: &Sim) -> [usize; 2] {
    ["tokenreviews", "subjectaccessreviews"].map(|resource| sim.journal().count_of("create", resource))
}

#[tokio::test]
async fn the_filter_admits_only_users_with_permission_and_caches_verdicts() {
    let sim = Sim::new();
    let (token, other) = (create_account(&sim, "prometheus"), create_account(&sim, "other"));
    grant_metrics_access(&sim, "prometheus");
    let running = start_with_filter(Manager::new(client(&sim)));
    for token in [None, Some("wrong"), Some("wrong")] {
        let answer = running.get("/metrics", token).await;
        assert!(
            answer.contains("401 Unauthorized") && answer.contains("www-authenticate: Bearer"),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\nUnauthorized\n"), "{answer}");
    }
    assert_eq!(review_counts(&sim), [1, 0], "a rejection is cached, and no token needs no review");
    for _ in 0..2 {
        let answer = running.get("/metrics", Some(&token)).await;
        assert!(answer.contains("200 OK") && answer.ends_with("up 1\n"), "{answer}");
    }
    assert_eq!(review_counts(&sim), [2, 1]);
    for path in ["/", "/unknown", "/metrics/"] {
        let answer = running.get(path, Some(&token)).await;
        let text = "Authorization denied for user system:serviceaccount:default:prometheus\n";
        assert!(answer.contains("403 Forbidden") && answer.ends_with(text), "{path}: {answer}");
    }
    let stream = TcpStream::connect(running.address).await.unwrap();
    let head = send(stream, "HEAD", "/metrics", Some(&token)).await.unwrap();
    assert!(head.contains("403 Forbidden"), "the permission is for the verb `get`: {head}");
    assert!(running.get("/metrics", Some(&other)).await.contains("403 Forbidden"));
    assert_eq!(review_counts(&sim), [3, 6]);
    for probe in ["/healthz", "/readyz"] {
        assert!(running.get(probe, None).await.contains("200 OK"), "{probe}");
    }

    // A denial is cached for half a minute.
    grant_metrics_access(&sim, "other");
    assert!(running.get("/metrics", Some(&other)).await.contains("403 Forbidden"));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    assert!(running.get("/metrics", Some(&other)).await.contains("200 OK"));
    // The deletion of the account invalidates its token. The cached verdict expires after at most a minute.
    sim.delete("v1", "ServiceAccount", "default", "other").unwrap();
    assert!(running.get("/metrics", Some(&other)).await.contains("200 OK"));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    assert!(running.get("/metrics", Some(&other)).await.contains("401 Unauthorized"));
    running.stop().await;
}

#[tokio::test]
async fn a_failed_review_is_an_internal_error_and_is_not_cached() {
    let sim = Sim::new();
    let token = create_account(&sim, "prometheus");
    grant_metrics_access(&sim, "prometheus");
    let running = start_with_filter(Manager::new(client(&sim)));
    let steps = [
        ("tokenreviews", "Authentication failed\n"),
        ("subjectaccessreviews", "Authorization for user system:serviceaccount:default:prometheus failed\n"),
    ];
    for (resource, text) in steps {
        let fault = sim.faults().add(Rule::new(Fault::status(403)).resource(resource));
        let answer = running.get("/metrics", Some(&token)).await;
        assert!(answer.contains("500 Internal Server Error") && answer.ends_with(text), "{answer}");
        sim.faults().remove(fault);
    }
    // The manager sends a review again after the API server answers with the status 500.
    for resource in ["tokenreviews", "subjectaccessreviews"] {
        sim.faults().add(Rule::new(Fault::status(500)).resource(resource).times(1));
    }
    let answer = running.get("/metrics", Some(&token)).await;
    assert!(answer.contains("200 OK"), "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn a_manager_that_is_not_the_leader_also_reviews_requests() {
    let sim = Sim::new();
    let token = create_account(&sim, "prometheus");
    grant_metrics_access(&sim, "prometheus");
    sim.create(&json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "operator"},
        "spec": {"holderIdentity": "another", "leaseDurationSeconds": 3600, "leaseTransitions": 0},
    }))
    .unwrap();
    let elector = LeaderElector::new(client(&sim), "default", "operator", "pod");
    let running = start_with_filter(Manager::elected(elector).unwrap());
    // The manager must not send the reviews with the fenced client: a review is a `create` request, and the fence
    // refuses writes.
    let answer = running.get("/metrics", Some(&token)).await;
    assert!(answer.contains("200 OK"), "{answer}");
    running.stop().await;
}
