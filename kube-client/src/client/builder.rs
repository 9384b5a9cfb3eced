//! Composes the stack of a client. No other module orders the layers.
//!
//! From the outermost: tracing, warnings, retries, address, headers, credentials, time limits, transport. The layers of
//! [`ClientBuilder::with_layer`] are outside of all these.

use http::{HeaderMap, HeaderValue, Request, Response, Uri, header, uri::Scheme};
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};
use tower::{Layer, Service, ServiceExt};

use super::{
    Client, HttpService,
    auth::{self, AuthLayer, Credentials},
    body::Body,
    middleware::{BaseUriLayer, HeadersLayer, RetryLayer, TimeoutLayer, TraceLayer, WarningLayer},
    tls::{self, ClientIdentity, Trust},
    transport::{Connector, Dial, Limits, PoolSettings, Tls, Transport, http1_only},
};
use crate::{
    config::{Config, DEFAULT_MAX_OBJECT_BYTES, HttpVersions, bare_host, has_unusable_port},
    error::{BoxError, Error, Result, TransportKind},
};

/// Builds a [`Client`] from a [`Config`], optionally with custom layers around the default stack.
///
/// ```
/// use http::{HeaderValue, Request};
/// use kube_client::{Config, client::{Body, ClientBuilder}};
/// use tower::util::MapRequestLayer;
///
/// // In a program: `Config::infer().await?`.
/// let config = Config::new("http://localhost:8001".parse()?);
/// let audit = MapRequestLayer::new(|mut request: Request<Body>| {
///     request.headers_mut().insert("x-audit", HeaderValue::from_static("nightly"));
///     request
/// });
/// let client = ClientBuilder::try_from(config)?.with_layer(&audit).build();
/// assert_eq!(client.default_namespace(), "default");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientBuilder<S = HttpService> {
    service: S,
    default_namespace: String,
    max_object_bytes: usize,
}

impl<S> ClientBuilder<S> {
    /// A builder whose stack consists only of `service`. [`over`](ClientBuilder::over) adds the default stack to a
    /// service.
    pub fn new(service: S, default_namespace: impl Into<String>) -> Self {
        Self {
            service,
            default_namespace: default_namespace.into(),
            max_object_bytes: DEFAULT_MAX_OBJECT_BYTES,
        }
    }

    /// Adds a layer around the service. The layer receives a request before all existing layers. At this point the
    /// URI has a path and no host.
    #[must_use]
    pub fn with_layer<L: Layer<S>>(self, layer: &L) -> ClientBuilder<L::Service> {
        let Self { service, default_namespace, max_object_bytes } = self;
        ClientBuilder { service: layer.layer(service), default_namespace, max_object_bytes }
    }

    /// Builds the client.
    pub fn build<B>(self) -> Client
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Client::new(self.service, self.default_namespace).with_max_object_bytes(self.max_object_bytes)
    }
}

impl ClientBuilder<HttpService> {
    /// The default stack with `service` as transport, and with the retries, address, headers, credentials and time
    /// limits of `config`. Use it for custom transports, and for tests with an in-process server, with or without a
    /// paused clock.
    ///
    /// The connection settings in `config` are ignored: CA bundle and client certificates (including those of a
    /// credential plugin), the proxy, and the limits on connecting, TLS handshakes, writes and idle connections. The
    /// service receives requests with the full URI. An error of the service that is not an [`Error`] counts as a broken
    /// connection, so that reads are retried.
    ///
    /// # Errors
    /// If another setting cannot be used: a token, a plugin, an address, or credentials for a plain `http` address.
    ///
    /// ```
    /// use kube_client::{Config, client::ClientBuilder};
    ///
    /// let sim = kube_sim::Sim::new();
    /// let config = Config::new("http://localhost".parse()?);
    /// let client = ClientBuilder::over(sim.service(), &config)?.build();
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn over<S, B>(service: S, config: &Config) -> Result<Self>
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let base = base_uri_layer(config)?;
        let credentials = Credentials::new(&config.auth_info, Box::new(|_| Ok(()))).map_err(Error::config)?;
        reject_credentials_over_plain_http(config, has_credentials(config, &credentials))?;
        build_stack(config, &base, credentials, HttpService::new(service).map_err(to_transport_error))
    }
}

impl TryFrom<Config> for ClientBuilder<HttpService> {
    type Error = Error;

    /// Builds the default stack. Reads certificate and token files, and blocks on the file system. Sends no request and
    /// runs no plugin.
    ///
    /// # Errors
    /// If the configuration cannot be used: a certificate, a key, a token file, an address, or a setting that is not
    /// supported.
    fn try_from(config: Config) -> Result<Self> {
        let base = base_uri_layer(&config)?;
        let identity = Arc::new(ClientIdentity::default());
        let has_certificate = set_identity(&config, &identity)?;
        let tls = tls_settings(&config, identity.clone())?;
        let limits = Limits {
            connect: config.connect_timeout,
            tls: config.tls_timeout,
            write: config.write_timeout,
            keepalive: config.tcp_keepalive,
        };
        let pool = PoolSettings {
            idle_timeout: config.pool_idle_timeout,
            max_age: config.max_connection_age,
            offers_http2: config.http_versions == HttpVersions::Negotiate,
        };
        let connector = Connector::new(parse_proxy(config.proxy_url.as_ref())?, tls, limits);
        let transport = Transport::new(connector, pool);

        // A connection keeps the certificate of its handshake: a changed certificate requires new connections.
        let transport_to_renew = transport.clone();
        let first_certificate = OnceLock::new();
        let on_certificate = Box::new(move |certificate| {
            identity.set(certificate).map_err(BoxError::from)?;
            if first_certificate.set(()).is_err() {
                transport_to_renew.renew();
            }
            Ok(())
        });
        let credentials = Credentials::new(&config.auth_info, on_certificate).map_err(Error::config)?;
        reject_credentials_over_plain_http(
            &config,
            has_certificate || has_credentials(&config, &credentials),
        )?;
        build_stack(&config, &base, credentials, transport)
    }
}

/// Adds the layers of the default stack to a transport.
fn build_stack<S>(
    config: &Config,
    base: &BaseUriLayer,
    credentials: Credentials,
    transport: S,
) -> Result<ClientBuilder<HttpService>>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let timeouts = TimeoutLayer { response: config.response_timeout, idle: config.read_timeout };
    let service = timeouts.layer(transport);
    let service = AuthLayer(credentials).layer(service);
    let service = HeadersLayer::new(default_headers(config)?).layer(service);
    let service = base.layer(service);
    let service = RetryLayer(config.retry).layer(service);
    let service = WarningLayer(config.warning_handler.clone()).layer(service);
    let service = TraceLayer.layer(service);
    let mut builder = ClientBuilder::new(HttpService::new(service), config.default_namespace.as_str());
    builder.max_object_bytes = config.max_object_bytes;
    Ok(builder)
}

/// The layer that prepends the server's address, which must be complete and without userinfo.
fn base_uri_layer(config: &Config) -> Result<BaseUriLayer> {
    // Errors and logs contain the authority of the server. With userinfo they would contain a password.
    if config.cluster_url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(config_error(
            "cluster_url must not hold a user name or a password: give them in Config::auth_info",
        ));
    }
    if has_unusable_port(&config.cluster_url) {
        return Err(config_error("cluster_url has a port that is not a number up to 65535"));
    }
    BaseUriLayer::new(&config.cluster_url)
        .ok_or_else(|| config_error("cluster_url needs a scheme and a host, such as https://10.0.0.1:6443"))
}

/// Converts an error of a custom transport, unless it is an [`Error`], to a broken connection, so that reads are
/// retried.
fn to_transport_error(error: BoxError) -> BoxError {
    if error.is::<Error>() {
        return error;
    }
    let what = "the service under the client's stack failed".to_owned();
    Error::Transport { kind: TransportKind::Broken, what, source: Some(error) }.into()
}

/// Sets `identity` to the client certificate of the configuration. Returns whether the configuration has one.
fn set_identity(config: &Config, identity: &ClientIdentity) -> Result<bool> {
    let found =
        config.auth_info.identity().map_err(|(field, error)| UnusableField::error(field, error.into()))?;
    let Some(found) = found else { return Ok(false) };
    identity.set(found).map_err(|error| UnusableField::error("client-key", error.into()))?;
    Ok(true)
}

/// The TLS settings; `None` for an `http` address.
fn tls_settings(config: &Config, identity: Arc<ClientIdentity>) -> Result<Option<Tls>> {
    match config.cluster_url.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => return Ok(None),
        Some(scheme) if *scheme == Scheme::HTTPS => {}
        _ => return Err(config_error("cluster_url must begin with https:// or http://")),
    }
    let trust = match &config.root_cert {
        Some(_) if config.accept_invalid_certs => {
            return Err(config_error(
                "root_cert is not allowed with accept_invalid_certs, which would ignore it: set only one of the two",
            ));
        }
        None if config.accept_invalid_certs => Trust::All,
        Some(authorities) => Trust::Authorities(authorities),
        None => Trust::System,
    };
    let server_name = config.tls_server_name.clone().map(ServerName::try_from).transpose();
    let server_name = server_name.map_err(|error| UnusableField::error("tls-server-name", error.into()))?;
    Ok(Some(Tls::new(tls::client_config(&trust, identity)?, server_name, tls::explain)))
}

/// Parses the address of the proxy. Without a proxy, the client connects to the server directly.
fn parse_proxy(proxy: Option<&Uri>) -> Result<Dial> {
    let Some(proxy) = proxy else { return Ok(Dial::Direct) };
    let authority = proxy.authority().ok_or_else(|| config_error("proxy_url needs a host"))?;
    if has_unusable_port(proxy) {
        return Err(config_error("proxy_url has a port that is not a number up to 65535"));
    }
    let login = authority.as_str().rsplit_once('@').map(|(login, _)| {
        let (name, password) = login.split_once(':').unwrap_or((login, ""));
        let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        (decode(name), decode(password))
    });
    let address = |port: u16| {
        let port = proxy.port_u16().unwrap_or(port);
        let scheme = if proxy.scheme() == Some(&Scheme::HTTPS) { "https" } else { "http" };
        format!("{scheme}://{}:{port}", authority.host())
            .parse::<Uri>()
            .map_err(|error| UnusableField::error("proxy_url", error.into()))
    };
    let http_proxy = |port, tls: Option<Arc<ClientConfig>>| {
        let authorization =
            login.as_ref().map(|(name, password)| auth::proxy_authorization(name, password)).transpose();
        Ok(Dial::Http { proxy: address(port)?, authorization: authorization.map_err(Error::config)?, tls })
    };
    match proxy.scheme_str() {
        Some("http") => http_proxy(80, None),
        Some("https") => {
            let config = tls::client_config(&Trust::System, Arc::default())?;
            http_proxy(443, Some(http1_only(config)))
        }
        // As in Go, the proxy resolves the host names with both schemes.
        Some("socks5" | "socks5h") => Ok(Dial::Socks5 { proxy: address(1080)?, login }),
        _ => Err(config_error("proxy_url must begin with http://, https://, socks5:// or socks5h://")),
    }
}

/// Whether requests contain credentials in their headers.
fn has_credentials(config: &Config, credentials: &Credentials) -> bool {
    credentials.may_send_authorization()
        || config.headers.iter().any(|(name, _)| *name == header::AUTHORIZATION)
}

/// Rejects credentials over plain `http`, except to a loopback address or with `allow_insecure_auth`.
fn reject_credentials_over_plain_http(config: &Config, has_credentials: bool) -> Result<()> {
    let host = bare_host(&config.cluster_url);
    let local = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let plain = config.cluster_url.scheme() == Some(&Scheme::HTTP);
    if plain && has_credentials && !local && !config.allow_insecure_auth {
        return Err(config_error(
            "credentials would be sent in the clear: use https:// in the cluster's address, remove the user's \
             credentials, or set Config::allow_insecure_auth",
        ));
    }
    Ok(())
}

/// The headers to add to every request.
fn default_headers(config: &Config) -> Result<HeaderMap> {
    let mut headers = auth::impersonation_headers(&config.auth_info).map_err(Error::config)?;
    for (name, value) in &config.headers {
        headers.append(name, value.clone());
    }
    headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(concat!(
        env!("CARGO_PKG_NAME"),
        "/",
        env!("CARGO_PKG_VERSION")
    )));
    Ok(headers)
}

/// The error for a configuration that cannot be used.
fn config_error(what: &'static str) -> Error {
    Error::config(what)
}

/// A field of the configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {field}")]
struct UnusableField {
    field: &'static str,
    source: BoxError,
}

impl UnusableField {
    /// The error of a client whose configuration has this unusable field.
    fn error(field: &'static str, source: BoxError) -> Error {
        Error::config(Self { field, source })
    }
}
