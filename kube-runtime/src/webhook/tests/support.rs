//! A server with a certificate of its own, and a client that trusts that certificate.

use super::super::{Error, Server};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A time limit for waits on the real clock. No test asserts how long a wait takes.
pub(super) const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// Writes a new certificate with its key. Returns the certificate.
pub(super) fn write_certificate(folder: &Path) -> String {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("tls.key"), pair.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("tls.crt"), pair.cert.pem()).unwrap();
    pair.cert.pem()
}

/// A running server. `send`, `post` and `post_review` act as a client that trusts only the first
/// certificate of the server.
pub(super) struct RunningServer {
    pub(super) address: SocketAddr,
    pub(super) folder: TempDir,
    pub(super) certificate: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), Error>>,
}

impl RunningServer {
    /// Starts a server. `configure` adds the webhooks, and may change settings of the server.
    pub(super) fn start(configure: impl FnOnce(Server) -> Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificate = write_certificate(folder.path());
        let files = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let server = configure(Server::from_files(files.0, files.1).unwrap().listen("127.0.0.1:0").unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let address = server.address().unwrap();
        let task = tokio::spawn(server.run(async { drop(stopped.await) }));
        Self { address, folder, certificate, stop: Some(stop), task }
    }

    /// Requests the shutdown.
    pub(super) fn request_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until the server has ended.
    pub(super) async fn wait_for_end(self) {
        timeout(WAIT_LIMIT, self.task).await.unwrap().unwrap().unwrap();
    }

    /// Connects as a client that trusts `certificate`.
    pub(super) async fn connect(&self, certificate: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
        let provider = kube_client::client::crypto_provider().unwrap();
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Sends the text of a request on a connection of its own. Returns the status and the body of the answer.
    pub(super) async fn send(&self, request: &str) -> (u16, String) {
        let answer = async {
            let mut stream = self.connect(&self.certificate).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        split_answer(&timeout(WAIT_LIMIT, answer).await.unwrap())
    }

    /// Posts a body. Returns the status and the body of the answer.
    pub(super) async fn post(&self, path: &str, body: &str) -> (u16, String) {
        self.send(&format_post_request(path, body, "close")).await
    }

    /// Posts a review, and returns the `response` of the answer.
    pub(super) async fn post_review(&self, path: &str, review: &Value) -> Value {
        let (status, body) = self.post(path, &review.to_string()).await;
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&answer["kind"], &answer["apiVersion"]), (&review["kind"], &review["apiVersion"]));
        assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
        answer["response"].clone()
    }
}

/// Formats a POST request. `connection` is the value of the header `Connection`.
pub(super) fn format_post_request(path: &str, body: &str, connection: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// The status and the body of an answer.
pub(super) fn split_answer(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A review of the creation of a config map.
pub(super) fn review_of(object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5", "operation": "CREATE", "userInfo": {"username": "jane"},
            "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "resource": {"group": "", "version": "v1", "resource": "configmaps"},
            "name": "settings", "namespace": "web", "object": object,
        },
    })
}

/// A config map with a value.
pub(super) fn config_map(value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"v": value}})
}
