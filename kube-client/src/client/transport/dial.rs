//! Opens byte streams to a server: name lookup, TCP, an optional proxy, TLS. One time limit applies to name lookup, TCP
//! and proxy together, and another to the TLS handshake with the server. Each step has its own error.

use futures::future::BoxFuture;
use http::{HeaderValue, Uri, uri::Scheme};
use hyper_util::client::legacy::connect::{
    HttpConnector,
    dns::{GaiResolver, Name},
    proxy::{SocksV5, Tunnel},
};
use rustls::ClientConfig;
use std::{
    error::Error as StdError,
    fmt, io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::timeout;
use tower::{Service, util::ServiceExt};

use super::{
    failure::{ConnectFailure, ResolveFailure, copy_io_error, find_source},
    stall::{Duplex, StallDetectingStream},
    tls::{Offer, Protocol, TlsSettings, connector_of_stream, handshake, server_name},
};
use crate::error::{BoxError, TransportKind, Wait};

/// The longest duration that Linux accepts for `TCP_KEEPIDLE` and for `TCP_KEEPINTVL`.
const MAX_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(32_767);

/// The time limits of a connection, and the interval of its TCP keepalive; `None` means no limit or no keepalive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connect: Option<Duration>,
    pub(crate) tls: Option<Duration>,
    pub(crate) write: Option<Duration>,
    pub(crate) keepalive: Option<Duration>,
}

/// The path to the server: direct, or through a proxy.
#[derive(Clone)]
pub(crate) enum Route {
    /// A connection without a proxy.
    Direct,
    /// Through an HTTP proxy, with `CONNECT`. The connection to the proxy uses TLS if the scheme of `proxy` is `https`.
    Http { proxy: Uri, authorization: Option<HeaderValue>, tls: Option<Arc<ClientConfig>> },
    /// Through a SOCKS 5 proxy, which resolves the server's host name.
    Socks5 { proxy: Uri, login: Option<(String, String)> },
}

/// Opens connections to an API server or to an OpenID Connect provider.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector<Resolver>,
    route: Route,
    tls: Option<TlsSettings>,
    limits: Limits,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Connector {
    pub(crate) fn new(route: Route, tls: Option<TlsSettings>, limits: Limits) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(limits.connect);
        let keepalive = limits.keepalive.map(|pause| pause.min(MAX_KEEPALIVE_INTERVAL));
        tcp.set_keepalive(keepalive);
        tcp.set_keepalive_interval(keepalive);
        tcp.set_keepalive_retries(keepalive.map(|_| 3));
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        // Keepalive probes are sent only on an idle connection. `TCP_USER_TIMEOUT` closes a connection whose data the
        // server does not acknowledge for four keepalive intervals.
        tcp.set_tcp_user_timeout(keepalive.map(|pause| pause * 4));
        Self { tcp, route, tls, limits }
    }

    /// A copy with an empty TLS session cache; see [`TlsSettings::without_sessions`].
    pub(super) fn without_sessions(&self) -> Self {
        Self { tls: self.tls.as_ref().map(TlsSettings::without_sessions), ..self.clone() }
    }

    /// Explains a TLS error in terms of kubeconfig fields.
    pub(super) fn explain(&self, error: &rustls::Error) -> String {
        self.tls.as_ref().map_or_else(|| error.to_string(), |tls| tls.explain(error))
    }

    /// Opens a connection to the authority of `target`, with TLS if the scheme of `target` is `https`. Also
    /// returns the negotiated protocol. Without TLS, the protocol is HTTP/1.1.
    pub(super) async fn connect(
        &self,
        target: &Uri,
        offer: Offer,
    ) -> Result<(StallDetectingStream, Protocol), ConnectFailure> {
        let host = target.authority().map_or("", |authority| authority.as_str()).to_owned();
        let connecting = self.dial(target, &host);
        let raw = match self.limits.connect {
            None => connecting.await?,
            Some(after) => timeout(after, connecting)
                .await
                .map_err(|_| ConnectFailure::timeout(Wait::Connect, after, self.server_and_proxy(&host)))??,
        };
        let (stream, protocol) = if target.scheme() == Some(&Scheme::HTTPS) {
            self.handshake_with_server(raw, target, &host, offer).await?
        } else {
            (raw, Protocol::Http1)
        };
        Ok((StallDetectingStream::new(stream, self.limits.write), protocol))
    }

    /// Opens the byte stream to the server, through the proxy if there is one. TLS with the server is not included.
    async fn dial(&self, target: &Uri, host: &str) -> Result<Box<dyn Duplex>, ConnectFailure> {
        match &self.route {
            Route::Direct => {
                let stream = self.tcp.clone().oneshot(target.clone()).await;
                let stream = stream.map_err(|error| self.connect_failure(host, &*BoxError::from(error)))?;
                Ok(Box::new(stream.into_inner()))
            }
            Route::Http { proxy, authorization, tls } => {
                let stream = self.dial_proxy(proxy, tls.as_ref(), host).await?;
                let mut tunnel = Tunnel::new(proxy.clone(), connector_of_stream(stream));
                if let Some(authorization) = authorization {
                    tunnel = tunnel.with_auth(authorization.clone());
                }
                let stream = tunnel.oneshot(with_port(target)).await;
                Ok(stream.map_err(|error| self.proxy_failure(host, error.into()))?.into_inner())
            }
            Route::Socks5 { proxy, login } => {
                let stream = self.dial_proxy(proxy, None, host).await?;
                let mut socks = SocksV5::new(proxy.clone(), connector_of_stream(stream)).local_dns(false);
                if let Some((user, password)) = login {
                    socks = socks.with_auth(user.clone(), password.clone());
                }
                let stream = socks.oneshot(with_port(target)).await;
                Ok(stream.map_err(|error| self.proxy_failure(host, error.into()))?.into_inner())
            }
        }
    }

    /// Connects to a proxy, with TLS if the scheme of `proxy` is `https`.
    async fn dial_proxy(
        &self,
        proxy: &Uri,
        tls: Option<&Arc<ClientConfig>>,
        host: &str,
    ) -> Result<Box<dyn Duplex>, ConnectFailure> {
        let stream = self.tcp.clone().oneshot(proxy.clone()).await;
        let stream =
            stream.map_err(|error| self.connect_failure(host, &*BoxError::from(error)))?.into_inner();
        let Some(tls) = tls else { return Ok(Box::new(stream)) };
        let done = match server_name(proxy) {
            Ok(name) => handshake(Box::new(stream), proxy, name, tls.clone()).await,
            Err(error) => Err(error),
        };
        done.map(|(stream, _)| stream).map_err(|error| {
            let what = format!(
                "no TLS connection with the proxy itself for {}: its certificate must be for its name and from an \
                 authority that this system trusts",
                self.server_and_proxy(host)
            );
            ConnectFailure::new(TransportKind::Proxy, what, error)
        })
    }

    /// Performs the TLS handshake with the server over the byte stream `raw`.
    async fn handshake_with_server(
        &self,
        raw: Box<dyn Duplex>,
        target: &Uri,
        host: &str,
        offer: Offer,
    ) -> Result<(Box<dyn Duplex>, Protocol), ConnectFailure> {
        let failed = |what: String, source: BoxError| ConnectFailure::new(TransportKind::Tls, what, source);
        let Some(tls) = &self.tls else {
            return Err(failed(
                format!("no TLS connection to {host}"),
                "the client is configured for http".into(),
            ));
        };
        let name = tls
            .server_name(target)
            .map_err(|error| failed(format!("no TLS connection to {host}: not a host name"), error))?;
        let handshake_future = handshake(raw, target, name, tls.config(offer));
        let done = match self.limits.tls {
            None => handshake_future.await,
            Some(after) => timeout(after, handshake_future)
                .await
                .map_err(|_| ConnectFailure::timeout(Wait::TlsHandshake, after, host.to_owned()))?,
        };
        done.map_err(|error| {
            let why = match find_source::<rustls::Error>(&*error) {
                Some(tls_error) => tls.explain(tls_error),
                None => "the connection was closed in the handshake".to_owned(),
            };
            failed(format!("no TLS connection to {host}: {why}"), error)
        })
    }

    fn connect_failure(&self, host: &str, error: &(dyn StdError + 'static)) -> ConnectFailure {
        if let Some(ResolveFailure(cause)) = find_source::<ResolveFailure>(error) {
            let what =
                format!("cannot find the address of {}: check the host name", self.server_and_proxy(host));
            return ConnectFailure::new(TransportKind::Resolve, what, copy_io_error(cause));
        }
        let cause = find_source::<io::Error>(error)
            .map_or_else(|| io::Error::other(error.to_string()), copy_io_error);
        match self.limits.connect {
            Some(after) if cause.kind() == io::ErrorKind::TimedOut => {
                ConnectFailure::timeout(Wait::Connect, after, self.server_and_proxy(host))
            }
            _ => {
                let advice = "check the address, and that the server is running";
                let what = format!("cannot connect to {}: {advice}", self.server_and_proxy(host));
                ConnectFailure::new(TransportKind::Connect, what, cause)
            }
        }
    }

    fn proxy_failure(&self, host: &str, error: BoxError) -> ConnectFailure {
        let what =
            format!("no connection to {}: check proxy-url and HTTPS_PROXY", self.server_and_proxy(host));
        ConnectFailure::new(TransportKind::Proxy, what, error)
    }

    /// The server and the proxy, if there is one, for error messages. Omits the proxy's credentials.
    fn server_and_proxy(&self, host: &str) -> String {
        let proxy = match &self.route {
            Route::Direct => return host.to_owned(),
            Route::Http { proxy, .. } | Route::Socks5 { proxy, .. } => proxy,
        };
        let port = proxy.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{host} through the proxy {}{port}", proxy.host().unwrap_or_default())
    }
}

/// Adds the default port of the scheme if `target` has no port: `CONNECT` and SOCKS require a port.
fn with_port(target: &Uri) -> Uri {
    if target.port().is_some() {
        return target.clone();
    }
    let port = if target.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 };
    let mut parts = target.clone().into_parts();
    parts.authority = format!("{}:{port}", target.host().unwrap_or_default()).parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| target.clone())
}

/// The system's resolver with the error type [`ResolveFailure`], which [`find_source`] can recognise.
#[derive(Clone, Debug)]
struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = <GaiResolver as Service<Name>>::Response;
    type Error = ResolveFailure;
    type Future = BoxFuture<'static, Result<Self::Response, ResolveFailure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ResolveFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = self.0.call(name);
        Box::pin(async move { found.await.map_err(ResolveFailure) })
    }
}
