//! Converts a [`Config`] to the settings of layers and connections, and rejects a configuration that cannot be used.
//!
//! This module must not compose a stack: `builder` composes the stack.

use http::{HeaderMap, HeaderValue, Uri, header, uri::Scheme};
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use std::sync::Arc;

use super::{
    auth::{self, Credentials},
    middleware::BaseUriLayer,
    tls::{self, Authorities, AuthorityFile, CertificateFiles, ClientIdentity, IdentityFiles, Trust},
    transport::{Limits, PoolSettings, Route, TlsSettings, http1_only},
};
use crate::{
    config::{Config, HttpVersions, has_unusable_port, is_loopback},
    error::{BoxError, Error, Result},
};

pub(super) fn base_uri_layer(config: &Config) -> Result<BaseUriLayer> {
    // Errors and logs show the authority of `cluster_url`. Therefore the authority must not contain a user
    // name or a password.
    if config.cluster_url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(config_error(
            "cluster_url must not hold a user name or a password: give them in Config::auth_info",
        ));
    }
    if has_unusable_port(&config.cluster_url) {
        return Err(config_error("cluster_url has a port that is not a number up to 65535"));
    }
    if config.cluster_url.scheme().is_none() || config.cluster_url.authority().is_none() {
        return Err(config_error("cluster_url needs a scheme and a host, such as https://10.0.0.1:6443"));
    }
    Ok(BaseUriLayer::new(config.cluster_url.clone()))
}

/// The client certificate that connections present, and its resolver.
pub(super) struct ClientCertificate {
    pub(super) resolver: Arc<ClientIdentity>,
    /// The certificate chain; `None` if there is no certificate.
    pub(super) chain: Option<Vec<CertificateDer<'static>>>,
}

/// Reads the client certificate and its key (blocking), if the user has a client certificate.
pub(super) fn read_client_certificate(config: &Config) -> Result<ClientCertificate> {
    let resolver = Arc::<ClientIdentity>::default();
    let found =
        config.auth_info.identity().map_err(|(field, error)| UnusableField::error(field, error.into()))?;
    let Some((chain, key)) = found else { return Ok(ClientCertificate { resolver, chain: None }) };
    resolver.set((chain.clone(), key)).map_err(|error| UnusableField::error("client-key", error.into()))?;
    Ok(ClientCertificate { resolver, chain: Some(chain) })
}

/// The settings of TLS with the API server.
pub(super) struct ServerTls {
    pub(super) config: ClientConfig,
    pub(super) server_name: Option<ServerName<'static>>,
    /// The certificate and key files that the client reads again to detect changes; `None` if the certificates in use
    /// come from no file.
    pub(super) files: Option<CertificateFiles>,
}

impl ServerTls {
    pub(super) fn into_tls_settings(self) -> TlsSettings {
        TlsSettings::new(self.config, self.server_name, tls::explain)
    }
}

/// Whether the address of the server begins with `https`.
pub(super) fn uses_tls(config: &Config) -> Result<bool> {
    match config.cluster_url.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => Ok(false),
        Some(scheme) if *scheme == Scheme::HTTPS => Ok(true),
        _ => Err(config_error("cluster_url must begin with https:// or http://")),
    }
}

/// Builds the settings of TLS with the API server. Reads the certificates of the authorities (blocking).
pub(super) fn tls_settings(config: &Config, identity: ClientCertificate) -> Result<ServerTls> {
    let (trust, authorities) = if config.accept_invalid_certs {
        if config.root_cert.is_some() || config.root_cert_file.is_some() {
            return Err(config_error(
                "root_cert and root_cert_file are not allowed with accept_invalid_certs, which would ignore them: unset \
                 them or accept_invalid_certs",
            ));
        }
        (Trust::All, None)
    } else {
        let authorities =
            config.authorities().map_err(|error| UnusableField::error("root_cert_file", error.into()))?;
        let trusted = Arc::new(Authorities::new(authorities.as_deref())?);
        let file = config.authority_file().zip(authorities);
        let file = file.map(|(path, certificates)| {
            (AuthorityFile { path: path.to_owned(), verifier: trusted.clone() }, certificates)
        });
        (Trust::Authorities(trusted), file)
    };
    let server_name = config.tls_server_name.clone().map(ServerName::try_from).transpose();
    let server_name = server_name.map_err(|error| UnusableField::error("tls-server-name", error.into()))?;
    let tls = tls::client_config(&trust, identity.resolver.clone())?;
    let chain = identity.chain.filter(|_| config.auth_info.has_identity_files());
    let identity = chain
        .map(|chain| (IdentityFiles { user: config.auth_info.clone(), resolver: identity.resolver }, chain));
    let has_files = authorities.is_some() || identity.is_some();
    let files = has_files.then(|| CertificateFiles::new(authorities, identity));
    Ok(ServerTls { config: tls, server_name, files })
}

/// The TLS configuration for a server other than the API server: a proxy or an OpenID Connect provider. It trusts
/// `authorities` (DER), or the system's CA bundle if `authorities` is `None`. It contains no client certificate and no
/// ALPN protocols.
pub(super) fn tls_without_identity(authorities: Option<&[Vec<u8>]>) -> Result<ClientConfig> {
    tls::client_config(&Trust::Authorities(Arc::new(Authorities::new(authorities)?)), Arc::default())
}

pub(super) fn connection_limits(config: &Config) -> Limits {
    Limits {
        connect: config.connect_timeout,
        tls: config.tls_timeout,
        write: config.write_timeout,
        keepalive: config.tcp_keepalive,
    }
}

pub(super) fn pool_settings(config: &Config) -> PoolSettings {
    PoolSettings {
        idle_timeout: config.pool_idle_timeout,
        max_age: config.max_connection_age,
        offers_http2: config.http_versions == HttpVersions::Negotiate,
    }
}

/// The [`Route`] through this proxy, or [`Route::Direct`] if `proxy` is `None`.
pub(super) fn proxy_route(proxy: Option<&Uri>) -> Result<Route> {
    let Some(proxy) = proxy else { return Ok(Route::Direct) };
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
        Ok(Route::Http { proxy: address(port)?, authorization: authorization.map_err(Error::config)?, tls })
    };
    match proxy.scheme_str() {
        Some("http") => http_proxy(80, None),
        Some("https") => http_proxy(443, Some(http1_only(tls_without_identity(None)?))),
        // With both schemes the proxy resolves host names, as in Go.
        Some("socks5" | "socks5h") => Ok(Route::Socks5 { proxy: address(1080)?, login }),
        _ => Err(config_error("proxy_url must begin with http://, https://, socks5:// or socks5h://")),
    }
}

/// Whether requests may have an `Authorization` header.
pub(super) fn has_credentials(config: &Config, credentials: &Credentials) -> bool {
    credentials.may_send_authorization()
        || config.headers.iter().any(|(name, _)| *name == header::AUTHORIZATION)
}

/// Rejects credentials over plain `http`, except to a loopback address or with `allow_insecure_auth`.
pub(super) fn reject_credentials_over_plain_http(config: &Config, has_credentials: bool) -> Result<()> {
    let plain = config.cluster_url.scheme() == Some(&Scheme::HTTP);
    if plain && has_credentials && !is_loopback(&config.cluster_url) && !config.allow_insecure_auth {
        return Err(config_error(
            "credentials would be sent in the clear: use https:// in the cluster's address, remove the user's \
             credentials, or set Config::allow_insecure_auth",
        ));
    }
    Ok(())
}

/// The headers to add to every request.
pub(super) fn default_headers(config: &Config) -> Result<HeaderMap> {
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

fn config_error(what: &'static str) -> Error {
    Error::config(what)
}

/// A field of the configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {field}")]
pub(super) struct UnusableField {
    field: &'static str,
    source: BoxError,
}

impl UnusableField {
    pub(super) fn error(field: &'static str, source: BoxError) -> Error {
        Error::config(Self { field, source })
    }
}
