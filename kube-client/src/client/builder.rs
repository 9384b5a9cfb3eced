//! Composes the stack of a client. No other module orders the layers.
//!
//! From the outermost: tracing, warnings, compression, retries, address, headers, credentials, time limits, transport.
//! With the feature `metrics`, one layer of metrics follows tracing and another follows the retries. The layers of
//! [`ClientBuilder::with_layer`] are outside of all these.

use http::{Request, Response, Uri, uri::Scheme};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tower::{Layer, Service, ServiceExt};

#[cfg(feature = "metrics")]
use super::middleware::{MeasuredValues, MetricsLayer};
use super::{
    Client, HttpService,
    auth::{self, AuthLayer, CertificateReloader, Credentials, Hooks, ProviderFetcher},
    body::Body,
    middleware::{
        BaseUriLayer, ExtraHeadersLayer, GzipLayer, RetryLayer, TimeoutLayer, TraceLayer, WarningLayer,
    },
    settings::{self, UnusableField},
    tls,
    transport::{Connector, Route, TlsSettings, Transport},
};
use crate::{
    config::{Config, DEFAULT_MAX_OBJECT_BYTES, WireFormat},
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
    request_timeout: Option<Duration>,
    wire_format: WireFormat,
}

impl<S> ClientBuilder<S> {
    /// A builder whose stack consists only of `service`. [`over`](ClientBuilder::over) adds the default stack to a
    /// service.
    pub fn new(service: S, default_namespace: impl Into<String>) -> Self {
        Self {
            service,
            default_namespace: default_namespace.into(),
            max_object_bytes: DEFAULT_MAX_OBJECT_BYTES,
            request_timeout: None,
            wire_format: WireFormat::default(),
        }
    }

    /// Adds a layer around the service. The layer receives a request before all existing layers. At this point the
    /// URI has a path and no host.
    #[must_use]
    pub fn with_layer<L: Layer<S>>(self, layer: &L) -> ClientBuilder<L::Service> {
        let Self { service, default_namespace, max_object_bytes, request_timeout, wire_format } = self;
        let service = layer.layer(service);
        ClientBuilder { service, default_namespace, max_object_bytes, request_timeout, wire_format }
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
        Client::new(self.service, self.default_namespace)
            .with_max_object_bytes(self.max_object_bytes)
            .with_request_timeout(self.request_timeout)
            .with_wire_format(self.wire_format)
    }
}

impl ClientBuilder<HttpService> {
    /// The default stack with `service` as transport, and with the retries, address, headers, credentials and time
    /// limits of `config`. This function is for custom transports, and for tests with an in-process server, with or
    /// without a paused clock.
    ///
    /// Because `service` opens the connections to the server, the settings of these connections have no effect: for
    /// example [`Config::root_cert`], client certificates (including those of a credential plugin), [`Config::proxy_url`],
    /// [`Config::tls_server_name`], [`Config::http_versions`], and the limits on connecting, TLS handshakes, writes and
    /// idle connections. The service receives requests with the full URI. An error of the service that is not an
    /// [`Error`] counts as a broken connection, so that reads are retried.
    ///
    /// # Errors
    /// If a setting that has an effect cannot be used: a token, a plugin, an address, a header, or credentials for a
    /// plain `http` address (see [`Config::allow_insecure_auth`]).
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
        let base = settings::base_uri_layer(config)?;
        let hooks = Hooks {
            on_certificate: Box::new(|_| Ok(())),
            files: None,
            build_fetch: &|address, authorities| provider_service(config, address, authorities),
        };
        let credentials = auth::credentials(config, hooks).map_err(Error::config)?;
        settings::reject_credentials_over_plain_http(
            config,
            settings::has_credentials(config, &credentials),
        )?;
        build_stack(config, &base, credentials, HttpService::new(service).map_err(to_transport_error))
    }
}

impl TryFrom<Config> for ClientBuilder<HttpService> {
    type Error = Error;

    /// Builds the default stack. Reads certificate and token files, and blocks on the file system. Sends no request and
    /// runs no plugin.
    ///
    /// # Errors
    /// If a setting cannot be used: a certificate, a key, a token, a plugin, a proxy, an address, a header, or
    /// credentials for a plain `http` address (see [`Config::allow_insecure_auth`]).
    fn try_from(config: Config) -> Result<Self> {
        let base = settings::base_uri_layer(&config)?;
        let identity = settings::read_client_certificate(&config)?;
        let (resolver, has_certificate) = (identity.resolver.clone(), identity.chain.is_some());
        let mut tls =
            settings::uses_tls(&config)?.then(|| settings::tls_settings(&config, identity)).transpose()?;
        let files = tls.as_mut().and_then(|tls| tls.files.take());
        let tls = tls.map(settings::ServerTls::into_tls_settings);
        let transport = transport(&config, settings::proxy_route(config.proxy_url.as_ref())?, tls);

        // A connection keeps the certificates of its handshake: changed certificates require new connections.
        let transport_to_renew = transport.clone();
        let files = files.map(|files| CertificateReloader {
            reload: Arc::new(move || {
                let (has_changed, outcome) = files.reload();
                if has_changed {
                    transport_to_renew.renew_connections();
                }
                (has_changed, outcome)
            }),
            is_certificate_rejected: tls::is_certificate_rejected,
        });
        let transport_to_renew = transport.clone();
        let first_certificate = OnceLock::new();
        let on_certificate = Box::new(move |certificate| {
            resolver.set(certificate).map_err(BoxError::from)?;
            if first_certificate.set(()).is_err() {
                transport_to_renew.renew_connections();
            }
            Ok(())
        });
        let hooks = Hooks {
            on_certificate,
            files,
            build_fetch: &|address, authorities| provider_service(&config, address, authorities),
        };
        let credentials = auth::credentials(&config, hooks).map_err(Error::config)?;
        let has_credentials = has_certificate || settings::has_credentials(&config, &credentials);
        settings::reject_credentials_over_plain_http(&config, has_credentials)?;
        build_stack(&config, &base, credentials, transport)
    }
}

fn transport(config: &Config, route: Route, tls: Option<TlsSettings>) -> Transport {
    Transport::new(
        Connector::new(route, tls, settings::connection_limits(config)),
        settings::pool_settings(config),
    )
}

/// A service for requests to an OpenID Connect provider, with the time limits of the configuration and the proxy of the
/// environment. Trusts `authorities` (DER), or the system's CA bundle if `authorities` is `None`.
pub(super) fn provider_service(
    config: &Config,
    address: &Uri,
    authorities: Option<&[Vec<u8>]>,
) -> Result<ProviderFetcher> {
    let proxy = Config::environment_proxy(address)
        .map_err(|(variable, error)| UnusableField::error(variable, error.into()))?;
    let is_secure = address.scheme() == Some(&Scheme::HTTPS);
    let tls = is_secure.then(|| settings::tls_without_identity(authorities)).transpose()?;
    let tls = tls.map(|config| TlsSettings::new(config, None, tls::explain));
    let timeouts = TimeoutLayer { response: config.response_timeout, idle: config.read_timeout };
    let service = timeouts.layer(transport(config, settings::proxy_route(proxy.as_ref())?, tls));
    Ok(Box::new(move |request| Box::pin(service.clone().oneshot(request))))
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
    let service = AuthLayer::new(credentials).layer(service);
    let service = ExtraHeadersLayer::new(settings::default_headers(config)?).layer(service);
    let service = base.layer(service);
    #[cfg(feature = "metrics")]
    let service = metrics_layer(config, MeasuredValues::Tries).layer(service);
    let service = RetryLayer(config.retry).layer(service);
    let service = GzipLayer { is_enabled: !config.disable_compression }.layer(service);
    let service = WarningLayer(config.warning_handler.clone()).layer(service);
    #[cfg(feature = "metrics")]
    let service = metrics_layer(config, MeasuredValues::Duration).layer(service);
    let service = TraceLayer::new(config.cluster_url.clone()).layer(service);
    let mut builder = ClientBuilder::new(HttpService::new(service), config.default_namespace.as_str());
    builder.max_object_bytes = config.max_object_bytes;
    builder.wire_format = config.wire_format;
    builder.request_timeout = config.request_timeout;
    Ok(builder)
}

/// The layer that measures requests to the server of the configuration.
#[cfg(feature = "metrics")]
fn metrics_layer(config: &Config, measured: MeasuredValues) -> MetricsLayer {
    let host = config.cluster_url.authority().map_or("", |authority| authority.as_str());
    MetricsLayer::new(host.into(), measured)
}

/// Returns an [`Error`] of this crate unchanged. Converts any other error of a custom transport to
/// [`TransportKind::Broken`], so that reads are retried.
fn to_transport_error(error: BoxError) -> BoxError {
    if error.is::<Error>() {
        return error;
    }
    let what = "the service under the client's stack failed".to_owned();
    Error::Transport { kind: TransportKind::Broken, what, source: Some(error) }.into()
}
