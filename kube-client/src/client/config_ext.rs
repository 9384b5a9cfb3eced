//! The parts of the default stack, for clients that are composed by hand.

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;

use super::{
    auth::{self, AuthLayer, Credentials, Hooks},
    builder,
    middleware::{BaseUriLayer, ExtraHeadersLayer},
    settings::{self, ServerTls},
};
use crate::{
    config::Config,
    error::{Error, Result},
};

/// The parts of the default stack, for clients that are composed by hand. For most programs,
/// [`ClientBuilder`](super::ClientBuilder) composes these parts.
///
/// The parts set no time limits on responses and bodies, and do not retry requests: see
/// [`Client::with_request_timeout`](super::Client::with_request_timeout) and
/// [`retry::RetryPolicy`](super::retry::RetryPolicy). The files of certificates are read only once, when the TLS
/// configuration or the connector is built.
///
/// The trait is implemented for [`Config`] only.
///
/// ```
/// use hyper_util::{client::legacy, rt::TokioExecutor};
/// use kube_client::{BoxError, Client, Config, client::{Body, ConfigExt}};
/// use tower::ServiceBuilder;
///
/// // In a program: `Config::infer().await?`.
/// let mut config = Config::new("https://10.0.0.1:6443".parse()?);
/// # config.root_cert = Some(vec![rcgen::generate_simple_self_signed(["ca".into()])?.cert.der().to_vec()]);
/// let https = config.rustls_https_connector()?;
/// let service = ServiceBuilder::new()
///     .layer(config.base_uri_layer())
///     .option_layer(config.auth_layer()?)
///     .layer(config.extra_headers_layer()?)
///     .map_err(BoxError::from)
///     .service(legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(https));
/// let client = Client::new(service, config.default_namespace);
/// # Ok::<_, BoxError>(())
/// ```
pub trait ConfigExt: private::Sealed {
    /// A layer that prepends the API server's address to requests.
    fn base_uri_layer(&self) -> BaseUriLayer;

    /// A layer that adds credentials to requests, and renews the credentials; `None` if the configuration has no
    /// credentials that are sent in a header. Blocks on the file system for a token file.
    ///
    /// Client certificates belong to [`rustls_client_config`](Self::rustls_client_config). If a credential plugin
    /// prints a client certificate, the request fails: use a [`ClientBuilder`](super::ClientBuilder).
    ///
    /// # Errors
    /// If the credentials cannot be used, or are not allowed over plain `http`: see [`Config::allow_insecure_auth`].
    fn auth_layer(&self) -> Result<Option<AuthLayer>>;

    /// A layer that adds the headers of the configuration to requests: `User-Agent`, the impersonation headers, and
    /// [`Config::headers`].
    ///
    /// # Errors
    /// If `AuthInfo` has fields for impersonation but no user to impersonate, or if a value for impersonation cannot be
    /// sent in a header.
    fn extra_headers_layer(&self) -> Result<ExtraHeadersLayer>;

    /// The configuration of TLS: the trusted authorities and the client certificate, without ALPN protocols. Blocks on
    /// the file system.
    ///
    /// The result does not contain [`Config::tls_server_name`].
    ///
    /// # Errors
    /// If a setting of TLS cannot be used: for example a certificate, a key, or [`Config::tls_server_name`].
    fn rustls_client_config(&self) -> Result<ClientConfig>;

    /// A connector for TCP and TLS with HTTP/1.1, without a proxy. Blocks on the file system.
    ///
    /// # Errors
    /// As for [`rustls_client_config`](Self::rustls_client_config).
    fn rustls_https_connector(&self) -> Result<HttpsConnector<HttpConnector>>;

    /// Like [`rustls_https_connector`](Self::rustls_https_connector), over `connector`, which may connect through a
    /// proxy.
    ///
    /// # Errors
    /// As for [`rustls_https_connector`](Self::rustls_https_connector).
    fn rustls_https_connector_with_connector<H>(&self, connector: H) -> Result<HttpsConnector<H>>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for crate::config::Config {}
}

impl ConfigExt for Config {
    fn base_uri_layer(&self) -> BaseUriLayer {
        BaseUriLayer::new(self.cluster_url.clone())
    }

    fn auth_layer(&self) -> Result<Option<AuthLayer>> {
        let hooks = Hooks {
            on_certificate: Box::new(|_| {
                Err("a client that is composed by hand does not present it: use a ClientBuilder".into())
            }),
            files: None,
            build_fetch: &|address, authorities| builder::provider_service(self, address, authorities),
        };
        let credentials = auth::credentials(self, hooks).map_err(Error::config)?;
        settings::reject_credentials_over_plain_http(self, credentials.may_send_authorization())?;
        Ok(match credentials {
            Credentials::Fixed(None) => None,
            credentials => Some(AuthLayer::new(credentials)),
        })
    }

    fn extra_headers_layer(&self) -> Result<ExtraHeadersLayer> {
        settings::default_headers(self).map(ExtraHeadersLayer::new)
    }

    fn rustls_client_config(&self) -> Result<ClientConfig> {
        server_tls(self).map(|tls| tls.config)
    }

    fn rustls_https_connector(&self) -> Result<HttpsConnector<HttpConnector>> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(self.connect_timeout);
        self.rustls_https_connector_with_connector(tcp)
    }

    fn rustls_https_connector_with_connector<H>(&self, connector: H) -> Result<HttpsConnector<H>> {
        let tls = server_tls(self)?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls.config).https_or_http();
        let builder = match tls.server_name {
            Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name)),
            None => builder,
        };
        Ok(builder.enable_http1().wrap_connector(connector))
    }
}

/// The settings of TLS, without ALPN protocols.
fn server_tls(config: &Config) -> Result<ServerTls> {
    settings::tls_settings(config, settings::read_client_certificate(config)?)
}
