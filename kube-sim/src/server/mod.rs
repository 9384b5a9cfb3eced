//! Listeners of a simulation: HTTP, or HTTPS with generated or given certificates.

mod authentication;
pub(crate) mod body;
mod request_labels;
pub(crate) mod service;
mod tasks;
mod tls;
mod upgrade;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::rt::Executor as _;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use authentication::{Caller, bearer_token};
use service::{BreakConnection, SimService};
use tasks::Tasks;
use tls::{ClientIdentity, Credentials, Tls};

use crate::user::User;

/// Maximum number of open connections of one listener; further connections wait in the accept queue of the operating
/// system.
const MAX_CONNECTIONS: usize = 4_096;

/// Time limit of a TLS handshake.
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Time limit for reading the head of an HTTP/1 request.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// After a restart of the API server, a connection has this time to send its responses. Then it is closed.
const RESTART_GRACE_PERIOD: Duration = Duration::from_secs(1);

/// The maximum number of concurrent streams of an HTTP/2 connection, as in kube-apiserver.
const MAX_STREAMS: u32 = 100;

/// The version of HTTP on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// The error of a listener that cannot start, or that cannot issue a client certificate.
#[derive(Debug, thiserror::Error)]
#[error("{operation}")]
pub struct ServeError {
    operation: String,
    #[source]
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl ServeError {
    /// The error of certificates that cannot be generated or used.
    pub(crate) fn unusable_certificates(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { operation: "preparing the certificates of the listener".into(), cause: Box::new(cause) }
    }

    /// The error of a listener that has no generated CA, and therefore cannot issue client certificates.
    fn no_authority() -> Self {
        let cause = "the listener has no generated authority".into();
        Self { operation: "issuing a client certificate".into(), cause }
    }

    /// The error of a failed attempt to listen on `addr`.
    pub(crate) fn cannot_listen(addr: SocketAddr, cause: io::Error) -> Self {
        Self { operation: format!("listening on {addr}"), cause: Box::new(cause) }
    }
}

/// The certificates and the key of a listener, as the content of PEM files; see
/// [`Sim::serve_https_with`](crate::Sim::serve_https_with).
#[derive(Clone)]
#[expect(clippy::exhaustive_structs, reason = "users build it by literal")]
pub struct TlsFiles {
    /// The certificate of the server, and the intermediate certificates after it.
    pub certificate: Vec<u8>,
    /// The private key of the server.
    pub key: Vec<u8>,
    /// The CA certificates with which the listener verifies client certificates; `None` if it requests no client
    /// certificates.
    pub client_ca: Option<Vec<u8>>,
}

impl std::fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key is a secret.
        f.debug_struct("TlsFiles").finish_non_exhaustive()
    }
}

/// Whether a listener uses TLS, and with which certificates.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Security<'a> {
    /// HTTP without TLS. The user of a request is the administrator, unless the request has the bearer token of a service
    /// account.
    Plain,
    /// HTTPS with generated certificates.
    Generated,
    /// HTTPS with these certificates.
    Files(&'a TlsFiles),
}

/// A running listener. Dropping the `Server` aborts its tasks; [`Server::shutdown`] also waits until the socket of the
/// listener is closed.
pub struct Server {
    addr: SocketAddr,
    secure: bool,
    credentials: Option<Arc<Credentials>>,
    task: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a listener.
    pub(crate) async fn start(
        service: SimService,
        addr: SocketAddr,
        security: Security<'_>,
    ) -> Result<Self, ServeError> {
        let listener = TcpListener::bind(addr).await.map_err(|e| ServeError::cannot_listen(addr, e))?;
        let addr = listener.local_addr().map_err(|e| ServeError::cannot_listen(addr, e))?;
        let (credentials, tls) = match security {
            Security::Plain => (None, None),
            Security::Generated => {
                let (credentials, tls) = tls::generate_credentials(addr.ip())?;
                (Some(Arc::new(credentials)), Some(tls))
            }
            Security::Files(files) => (None, Some(tls::tls_of_files(files)?)),
        };
        let secure = tls.is_some();
        let task = tokio::spawn(accept_connections(listener, service, tls, credentials.clone()));
        Ok(Self { addr, secure, credentials, task: Some(task) })
    }

    /// The address of the listener, with the actual port.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of the listener, without a trailing slash.
    pub fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
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

    /// The generated CA certificate of the listener in PEM; `None` without generated certificates.
    pub fn ca_pem(&self) -> Option<&str> {
        self.credentials.as_ref().map(|c| c.ca_pem.as_str())
    }

    /// The client certificate and key of the administrator in PEM; `None` without generated certificates.
    pub fn client_pem(&self) -> Option<(&str, &str)> {
        self.credentials.as_ref().map(|c| (c.client_cert_pem.as_str(), c.client_key_pem.as_str()))
    }

    /// Issues a client certificate for `user`. If `group` is set, the user is a member of this group. Returns the
    /// certificate and its key in PEM.
    ///
    /// # Errors
    /// When the certificate cannot be generated, or when the listener has no generated CA: it serves plain HTTP, or uses
    /// the certificates of [`Sim::serve_https_with`](crate::Sim::serve_https_with).
    ///
    /// # Examples
    /// ```
    /// use kube_sim::Sim;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let sim = Sim::builder().rbac().build();
    /// let server = sim.serve_https("127.0.0.1:0".parse()?).await?;
    /// let (certificate, key) = server.issue_client_certificate("ada", Some("readers"))?;
    /// assert!(certificate.contains("BEGIN CERTIFICATE") && key.contains("PRIVATE KEY"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn issue_client_certificate(
        &self,
        user: &str,
        group: Option<&str>,
    ) -> Result<(String, String), ServeError> {
        let credentials = self.credentials.as_ref().ok_or_else(ServeError::no_authority)?;
        credentials.issue_client_certificate(user, group)
    }

    /// The bearer token of the administrator; `None` without generated certificates.
    pub fn token(&self) -> Option<&str> {
        self.credentials.as_ref().map(|c| c.token.as_str())
    }

    /// A kubeconfig for this listener, as YAML. With generated certificates, it contains the CA certificate of the
    /// listener, and the client certificate and key of the administrator. Otherwise it contains neither certificates
    /// nor credentials.
    #[expect(clippy::missing_panics_doc, reason = "a tree of strings always serializes to YAML")]
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
        yaml_serde::to_string(&config).expect("a tree of strings serializes to YAML")
    }

    /// Stops the listener, aborts the tasks of the open connections and waits until the socket of the listener is
    /// closed. Does not wait until the connections are closed.
    ///
    /// # Cancel safety
    /// Dropping the future also aborts the tasks, but does not wait until the socket is closed.
    pub async fn shutdown(mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // The task was aborted above, so the result is a cancellation error.
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

/// Runs in the task of a [`Server`]: accepts connections until this task is aborted. The abort also ends the tasks of the
/// connections.
async fn accept_connections(
    listener: TcpListener,
    service: SimService,
    tls: Option<Tls>,
    credentials: Option<Arc<Credentials>>,
) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        let Ok((stream, peer)) = listener.accept().await else {
            // Most likely no file descriptor is available: wait for connections to close.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // TCP_NODELAY sends small watch frames without delay. An error is ignored, because the connection also works
        // without this option.
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        let credentials = credentials.clone();
        match tls.clone() {
            None => {
                connections.spawn(serve_connection(stream, Protocol::Http1, service, None));
            }
            Some(tls) => {
                connections.spawn(async move {
                    match tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, tls.acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            let session = stream.get_ref().1;
                            let identity = tls.identify(session.peer_certificates());
                            let protocol = match session.alpn_protocol() {
                                Some(b"h2") => Protocol::Http2,
                                _ => Protocol::Http1,
                            };
                            let authenticator = Authenticator { identity, credentials };
                            serve_connection(stream, protocol, service, Some(authenticator)).await;
                        }
                        Ok(Err(e)) => tracing::debug!(%peer, error = %e, "TLS handshake failed"),
                        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
                    }
                });
            }
        }
    }
}

/// Authenticates the requests of one connection.
#[derive(Clone)]
struct Authenticator {
    identity: ClientIdentity,
    credentials: Option<Arc<Credentials>>,
}

impl Authenticator {
    /// Determines the caller from the client certificate or the bearer token. Does not verify the token of a service
    /// account.
    fn authenticate(&self, headers: &http::HeaderMap) -> Caller {
        if let ClientIdentity::User(user) = &self.identity {
            return Caller::User(user.clone());
        }
        match (bearer_token(headers), &self.credentials) {
            (Some(token), Some(c)) if token == c.token => {
                Caller::User(User::administrator("kubernetes-admin"))
            }
            (Some(token), _) => Caller::Token(token.to_owned()),
            (None, _) if matches!(self.identity, ClientIdentity::Invalid) => Caller::Unknown,
            (None, _) => Caller::Anonymous,
        }
    }
}

/// The error with which a fault rule breaks an HTTP/1 connection or an HTTP/2 stream.
#[derive(Debug, thiserror::Error)]
#[error("connection broken by a fault rule")]
struct BrokenConnection;

/// Serves the requests of one connection.
async fn serve_connection<S>(
    stream: S,
    protocol: Protocol,
    service: SimService,
    authenticator: Option<Authenticator>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut restarts = service.subscribe_to_restarts();
    let sessions = Tasks::default();
    let spawner = sessions.executor();
    let handler = service_fn(move |mut request: http::Request<Incoming>| {
        let service = service.clone();
        let upgrade = hyper::upgrade::on(&mut request);
        let spawner = spawner.clone();
        if let Some(authenticator) = &authenticator {
            let caller = authenticator.authenticate(request.headers());
            request.extensions_mut().insert(caller);
        }
        async move {
            let (mut response, session) = service.respond(request).await;
            if response.extensions().get::<BreakConnection>().is_some() {
                return Err(BrokenConnection);
            }
            response.body_mut().delay_error();
            if let Some(session) = session {
                spawner.execute(upgrade::run_session(upgrade, session));
            }
            Ok(response)
        }
    });
    let tasks = Tasks::default();
    let mut builder = auto::Builder::new(tasks.executor());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS);
    let builder = match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    };
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), handler));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        _ = restarts.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(RESTART_GRACE_PERIOD, connection).await;
            // Returning drops `sessions`: the session of an upgraded connection is aborted.
            return;
        }
    };
    if let Err(e) = result {
        tracing::trace!(error = %e, "connection ended");
    }
    tokio::select! {
        () = sessions.finish() => {}
        _ = restarts.changed() => {}
    }
}
