//! `HttpClient`: a minimal HTTP client for requests to etcd and the API servers of a cluster. It must not use `kube-client`,
//! because the end-to-end suites test `kube-client` on this cluster.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::pki::Identity;

/// The timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends requests to ports of this machine, each on a new connection.
#[derive(Clone)]
pub(crate) struct HttpClient {
    tls: Option<TlsConnector>,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").field("tls", &self.tls.is_some()).finish()
    }
}

impl HttpClient {
    /// A client that sends requests without TLS.
    pub(crate) fn without_tls() -> Self {
        Self { tls: None }
    }

    /// A client that sends requests over TLS, with this client certificate. `authority` is the CA certificate of the
    /// server, in PEM.
    pub(crate) fn with_tls(authority: &str, client: &Identity) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(client.certificate.as_bytes())?],
                PrivateKeyDer::from_pem_slice(client.key.as_bytes())?,
            )?;
        Ok(Self { tls: Some(TlsConnector::from(Arc::new(config))) })
    }

    /// Sends a request, and returns the response's status and body.
    ///
    /// # Cancel safety
    /// The request may have taken effect.
    pub(crate) async fn send(
        &self,
        method: Method,
        port: u16,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, String)> {
        let exchange = self.send_without_timeout(method.clone(), port, path, body);
        match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(result) => result.with_context(|| format!("{method} {path} on port {port} failed")),
            Err(_) => bail!("{method} {path} on port {port} timed out after {} s", TIMEOUT.as_secs()),
        }
    }

    /// Sends a request, and parses the body of the response as JSON. Fails if the status is not a success.
    pub(crate) async fn request_json(
        &self,
        method: Method,
        port: u16,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let (status, text) = self.send(method.clone(), port, path, body).await?;
        if !status.is_success() {
            bail!("{method} {path} on port {port} failed with {status}: {}", text.trim());
        }
        serde_json::from_str(&text)
            .with_context(|| format!("cannot parse the response to {method} {path} on port {port} as JSON"))
    }

    /// Like [`Self::send`], without a time limit.
    async fn send_without_timeout(
        &self,
        method: Method,
        port: u16,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, String)> {
        let body = body.map_or_else(Bytes::new, |value| value.to_string().into());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, format!("127.0.0.1:{port}"))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        match &self.tls {
            None => send_on(stream, request).await,
            Some(tls) => {
                send_on(tls.connect(ServerName::try_from("127.0.0.1")?, stream).await?, request).await
            }
        }
    }
}

/// Sends a request on a connection, and returns the response's status and body.
async fn send_on(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, String)> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    };
    // Poll the connection in this function, not in a task: if the caller drops the future of `send_on`, the connection
    // closes.
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        result = &mut connection => {
            // The connection may end before `exchange` has read the complete response from hyper's buffer.
            match result {
                Ok(()) => exchange.await,
                Err(error) => Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Starts a server that sends one response. Returns the port of the server and a task that returns the received
    /// request.
    async fn start_server_with_response(response: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                let mut chunk = [0; 1024];
                let length = stream.read(&mut chunk).await.unwrap();
                assert!(length > 0, "the request ends early");
                request.extend_from_slice(&chunk[..length]);
            }
            stream.write_all(response.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        (port, task)
    }

    /// Posts to a server that sends `response`. Returns the result and the request that the server received.
    async fn post(response: &'static str) -> (anyhow::Result<Value>, String) {
        let (port, request) = start_server_with_response(response).await;
        let body = serde_json::json!({ "a": 1 });
        let result = HttpClient::without_tls().request_json(Method::POST, port, "/path", Some(&body)).await;
        (result, request.await.unwrap())
    }

    #[tokio::test]
    async fn request_json_returns_the_json_of_the_response() {
        let (result, request) = post("HTTP/1.1 201 Created\r\ncontent-length: 7\r\n\r\n{\"b\":2}").await;
        assert_eq!(result.unwrap(), serde_json::json!({ "b": 2 }));
        assert!(
            request.starts_with("POST /path HTTP/1.1\r\n") && request.ends_with("{\"a\":1}"),
            "{request}"
        );
    }

    #[tokio::test]
    async fn a_response_without_content_length_ends_with_the_connection() {
        let (result, _) = post("HTTP/1.1 200 OK\r\n\r\n{\"b\":2}").await;
        assert_eq!(result.unwrap(), serde_json::json!({ "b": 2 }));
    }

    #[tokio::test]
    async fn an_error_status_is_reported_with_the_request() {
        let (result, _) = post("HTTP/1.1 409 Conflict\r\ncontent-length: 6\r\n\r\nexists").await;
        let error = format!("{:#}", result.unwrap_err());
        assert!(error.contains("POST /path") && error.contains("409 Conflict: exists"), "{error}");
    }

    #[tokio::test]
    async fn a_refused_connection_is_an_error() {
        let port = super::super::ports::choose_free(1).unwrap()[0];
        let error = HttpClient::without_tls().send(Method::GET, port, "/x", None).await.unwrap_err();
        assert!(format!("{error:#}").contains(&format!("GET /x on port {port} failed")), "{error:#}");
    }
}
