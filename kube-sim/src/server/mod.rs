//! The simulation on a socket: HTTP, or HTTPS with certificates of its own.

pub(crate) mod body;
pub(crate) mod service;
mod tls;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tower::Service as _;

use service::{BreakConnection, Caller, SimService};
use tls::Credentials;

/// Connections of one listener at a time; further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 4_096;

/// Time that a TLS handshake and the head of a request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A listener could not be started.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct ServeError {
    doing: String,
    #[source]
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl ServeError {
    fn certificates(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { doing: "making certificates for the listener".into(), cause: Box::new(cause) }
    }

    fn listen(addr: SocketAddr, cause: io::Error) -> Self {
        Self { doing: format!("listening on {addr}"), cause: Box::new(cause) }
    }
}

/// A running listener. Its tasks end when it is dropped; [`Server::shutdown`] also waits for their end.
pub struct Server {
    addr: SocketAddr,
    credentials: Option<Arc<Credentials>>,
    task: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl Server {
    pub(crate) async fn start(
        service: SimService,
        addr: SocketAddr,
        secure: bool,
    ) -> Result<Self, ServeError> {
        let listener = TcpListener::bind(addr).await.map_err(|e| ServeError::listen(addr, e))?;
        let addr = listener.local_addr().map_err(|e| ServeError::listen(addr, e))?;
        let (credentials, acceptor) = if secure {
            let (credentials, acceptor) = tls::make(addr.ip())?;
            (Some(Arc::new(credentials)), Some(acceptor))
        } else {
            (None, None)
        };
        let task = tokio::spawn(accept(listener, service, acceptor, credentials.clone()));
        Ok(Self { addr, credentials, task: Some(task) })
    }

    /// The address that is listened on, with the port that was chosen.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The server's URL, without a slash at its end.
    pub fn url(&self) -> String {
        let scheme = if self.credentials.is_some() { "https" } else { "http" };
        let mut addr = self.addr;
        if addr.ip().is_unspecified() {
            addr.set_ip(if addr.is_ipv4() {
                [127, 0, 0, 1].into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        format!("{scheme}://{addr}")
    }

    /// The certificate of the listener's CA in PEM; `None` for plain HTTP.
    pub fn ca_pem(&self) -> Option<&str> {
        self.credentials.as_ref().map(|c| c.ca_pem.as_str())
    }

    /// A client certificate of the administrator, and its key, in PEM; `None` for plain HTTP.
    pub fn client_pem(&self) -> Option<(&str, &str)> {
        self.credentials.as_ref().map(|c| (c.client_cert_pem.as_str(), c.client_key_pem.as_str()))
    }

    /// A bearer token of the administrator; `None` for plain HTTP.
    pub fn token(&self) -> Option<&str> {
        self.credentials.as_ref().map(|c| c.token.as_str())
    }

    /// A kubeconfig for this listener as YAML; over HTTPS with the client certificate in it.
    #[expect(clippy::missing_panics_doc, reason = "a tree of strings always has a YAML form")]
    #[expect(clippy::expect_used, reason = "every tree of strings has a YAML form")]
    pub fn kubeconfig(&self) -> String {
        let mut cluster = json!({"server": self.url()});
        let mut user = json!({});
        if let Some(c) = &self.credentials {
            cluster["certificate-authority-data"] = STANDARD.encode(&c.ca_pem).into();
            user["client-certificate-data"] = STANDARD.encode(&c.client_cert_pem).into();
            user["client-key-data"] = STANDARD.encode(&c.client_key_pem).into();
        }
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "kube-sim", "cluster": cluster}],
            "users": [{"name": "kube-sim-admin", "user": user}],
            "contexts": [{"name": "kube-sim", "context": {"cluster": "kube-sim", "user": "kube-sim-admin"}}],
            "current-context": "kube-sim",
        });
        yaml_serde::to_string(&config).expect("a tree of strings has a YAML form")
    }

    /// Stops listening, breaks the open connections and waits until their tasks have ended.
    ///
    /// # Cancel safety
    /// Stopping begins at once; a caller that does not wait for the end only misses it.
    pub async fn shutdown(mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // The task was told to end; that it was cancelled is what was wanted.
            let _ = task.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Takes connections until it is aborted; the connections' tasks are in its set and end with it.
async fn accept(
    listener: TcpListener,
    service: SimService,
    acceptor: Option<TlsAcceptor>,
    credentials: Option<Arc<Credentials>>,
) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MOST_CONNECTIONS {
            connections.join_next().await;
        }
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of file descriptors, most likely: let some connections end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Small frames go out at once; a socket that refuses works all the same.
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        let credentials = credentials.clone();
        match acceptor.clone() {
            None => {
                connections.spawn(serve(stream, service, None));
            }
            Some(acceptor) => {
                connections.spawn(async move {
                    match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            let certified =
                                stream.get_ref().1.peer_certificates().is_some_and(|c| !c.is_empty());
                            serve(stream, service, Some(Gate { certified, credentials })).await;
                        }
                        Ok(Err(e)) => tracing::debug!(%peer, error = %e, "TLS handshake failed"),
                        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
                    }
                });
            }
        }
    }
}

/// Who may pass over a connection.
#[derive(Clone)]
struct Gate {
    /// The client showed a certificate of the listener's CA.
    certified: bool,
    credentials: Option<Arc<Credentials>>,
}

impl Gate {
    fn caller(&self, headers: &http::HeaderMap) -> Caller {
        let admin = || Caller::User("kubernetes-admin".into());
        if self.certified {
            return admin();
        }
        let sent = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let token = sent.and_then(|v| v.strip_prefix("Bearer ")).map(str::trim);
        match (token, &self.credentials) {
            (Some(token), Some(c)) if token == c.token => admin(),
            _ => Caller::Anonymous,
        }
    }
}

/// A fault asked for the connection to break.
#[derive(Debug, thiserror::Error)]
#[error("connection broken by a fault rule")]
struct Broken;

async fn serve<S>(stream: S, service: SimService, gate: Option<Gate>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handler = service_fn(move |mut request: http::Request<Incoming>| {
        let mut service = service.clone();
        if let Some(gate) = &gate {
            let caller = gate.caller(request.headers());
            request.extensions_mut().insert(caller);
        }
        async move {
            let response = match service.call(request).await {
                Ok(response) => response,
                Err(never) => {
                    let never: Infallible = never;
                    match never {}
                }
            };
            if response.extensions().get::<BreakConnection>().is_some() {
                return Err(Broken);
            }
            Ok(response)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(1_000);
    if let Err(e) = builder.serve_connection_with_upgrades(TokioIo::new(stream), handler).await {
        tracing::trace!(error = %e, "connection ended");
    }
}
