//! The configuration of a client: from a kubeconfig, from a pod's service account, or set in code.
//!
//! Only this module of the crate reads environment variables. It also reads files, and parses PEM text and addresses.
//! It must not depend on hyper or rustls: `client` applies the settings.

mod address;
mod decode;
mod env;
mod error;
mod incluster;
mod kubeconfig;
mod load;
mod merge;
mod overrides;
mod pem;
mod plugin_policy;
mod proxy;
mod resolve;
mod secret;
#[cfg(test)]
mod tests;
mod user;
mod warning;
mod write;

pub(crate) use address::{bare_host, has_unusable_port, is_loopback};
pub use error::{FieldError, InClusterError, InferConfigError, KubeconfigError};
pub use kubeconfig::{Cluster, Context, Kubeconfig, NamedCluster, NamedContext, NamedExtension, Preferences};
pub(crate) use pem::{Identity, identity_from_pem, read_authorities, read_certificates};
pub use plugin_policy::CredentialPluginPolicy;
pub use resolve::KubeConfigOptions;
pub use user::{
    AuthInfo, AuthProviderConfig, ExecAuthCluster, ExecConfig, ExecInteractiveMode, NamedAuthInfo,
};
pub use warning::{Warning, WarningHandler};
pub(crate) use write::UserOrigin;

pub use crate::core::WireFormat;

use env::Env;
use http::{HeaderName, HeaderValue, Uri};
use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

/// The default of [`Config::max_object_bytes`]. etcd limits objects to about 1.5 MiB; aggregated API servers may have
/// higher limits.
pub(crate) const DEFAULT_MAX_OBJECT_BYTES: usize = 64 << 20;

/// The address of a cluster, the credentials, and the connection settings.
///
/// [`infer`](Self::infer) detects the configuration. All fields can be changed before a [`Client`](crate::Client) is
/// built.
///
/// # Time limits
/// Every wait has its own limit: see the fields. `None` means no limit.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The API server's address. Its path is prepended to the path of each request.
    pub cluster_url: Uri,
    /// The namespace of `Api::default_namespaced`.
    pub default_namespace: String,
    /// The trusted certificate authorities, in DER form. `None` stands for the certificates in `root_cert_file`, or for the
    /// system's CA bundle if `root_cert_file` is not set either.
    pub root_cert: Option<Vec<Vec<u8>>>,
    /// The PEM file of the trusted certificate authorities, if they are in a file.
    ///
    /// The file is read again while the client is in use: see [`Client`](crate::Client). The file is ignored if the
    /// program sets `root_cert` to other certificates.
    pub root_cert_file: Option<PathBuf>,
    /// The longest total time of the name lookup, the TCP connection and the connection through a proxy (default 10 s).
    pub connect_timeout: Option<Duration>,
    /// The longest wait for the TLS handshake (default 10 s).
    pub tls_timeout: Option<Duration>,
    /// The longest wait from the start of a try to the head of its response (default 65 s). The limit applies to each
    /// try separately.
    ///
    /// The default is longer than the request timeout of API servers (60 s), so that the server can report its own,
    /// more specific error.
    pub response_timeout: Option<Duration>,
    /// The read deadline: the longest time that a read of a response body waits for the next chunk (default 60 s).
    /// Watches and followed logs are exempt: a watch without events is normal, and TCP keepalive detects a lost peer.
    pub read_timeout: Option<Duration>,
    /// The longest time from the start of a request to the end of its response body, including retries and the time
    /// that the reader of the body takes (default: no limit). Watches and followed logs are exempt.
    /// [`Client::with_request_timeout`](crate::Client::with_request_timeout) sets this limit for the requests of one
    /// client only.
    pub request_timeout: Option<Duration>,
    /// The maximum size in bytes of one object (default 64 MiB). The limit applies to a response that contains one object
    /// or one text, to each item of a list, and to each event of a watch. The total size of a list is not limited,
    /// because the client decodes a list item by item.
    pub max_object_bytes: usize,
    /// The format in which objects are read (default [`WireFormat::Json`]).
    pub wire_format: WireFormat,
    /// The longest time that a write to the connection may make no progress (default 60 s).
    pub write_timeout: Option<Duration>,
    /// The time after which an idle connection is closed (default 90 s). An HTTP/2 server that is silent for 30 s is
    /// pinged, and the connection is closed if there is no answer within 15 s.
    pub pool_idle_timeout: Option<Duration>,
    /// The idle time before the first TCP keepalive probe, and the interval between probes (default 15 s). Three
    /// unanswered probes close the connection.
    pub tcp_keepalive: Option<Duration>,
    /// The versions of HTTP that are used (default [`HttpVersions::Negotiate`]).
    pub http_versions: HttpVersions,
    /// The age after which a connection gets no further requests (default: no limit). The connection is closed when its
    /// in-flight requests, such as watches, have ended. Set a limit if a load balancer selects one of several API
    /// servers for each connection: the load then spreads to servers that were started later.
    pub max_connection_age: Option<Duration>,
    /// Whether to accept any certificate of the server, which makes the connection insecure.
    pub accept_invalid_certs: bool,
    /// The credentials, and the user to impersonate.
    pub auth_info: AuthInfo,
    /// The policy on credential plugins (default: all may be started).
    pub credential_plugin_policy: CredentialPluginPolicy,
    /// Whether credentials may be sent over plain `http` to an address other than loopback.
    pub allow_insecure_auth: bool,
    /// Whether to request uncompressed responses. By default, the client accepts gzip, and API servers compress responses
    /// of more than 128 KiB. Set this to `true` if compression takes more time than it saves on the network.
    pub disable_compression: bool,
    /// The proxy to connect through; `None` connects directly.
    pub proxy_url: Option<Uri>,
    /// The server name (SNI) that the certificate is verified against, instead of the host in `cluster_url`.
    pub tls_server_name: Option<String>,
    /// Headers to send with every request, such as `User-Agent`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The limits on automatic retries.
    pub retry: RetryPolicy,
    /// Receives the warnings of the API server, such as those about deprecated APIs and unknown fields (default:
    /// [`WarningHandler::log_once`]).
    pub warning_handler: WarningHandler,
    /// The certificates that were read from `root_cert_file`. If `root_cert` differs, the program has changed `root_cert`.
    root_cert_of_file: Option<Vec<Vec<u8>>>,
    /// Where to write new tokens of the auth provider. `None` if the user has no auth provider, or if the configuration
    /// was not read from kubeconfig files.
    user_origin: Option<UserOrigin>,
}

/// The versions of HTTP that a client uses.
///
/// ```
/// use kube_client::config::{Config, HttpVersions};
///
/// let mut config = Config::new("https://10.0.0.1:6443".parse()?);
/// // A load balancer in front of this server does not support HTTP/2 correctly.
/// config.http_versions = HttpVersions::Http1;
/// # Ok::<_, http::uri::InvalidUri>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpVersions {
    /// HTTP/2 if the server selects it in the TLS handshake (ALPN, RFC 7301), and otherwise HTTP/1.1.
    ///
    /// Several requests share an HTTP/2 connection. Watches and followed logs share connections only with each other. For
    /// all other requests, the client opens one connection, and a second one if 16 requests are in flight on the first. It
    /// opens more connections only if the limits on concurrent streams require this. HTTP upgrades always use HTTP/1.1.
    #[default]
    Negotiate,
    /// Only HTTP/1.1. Each concurrent request has its own connection.
    Http1,
}

/// Limits on automatic retries. [`RetryPolicy::never`] disables retries.
///
/// A request is retried only if a retry is safe. A request whose body is a stream is never retried. Any other request is
/// retried if the response has both `Retry-After` and the code 429 or 503. A GET, HEAD or OPTIONS request without an HTTP
/// upgrade is also retried after a failed or broken connection, and after a 429, 502, 503 or 504. A write whose outcome is
/// unknown is never retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The maximum number of tries, including the first (default 5).
    pub tries: u32,
    /// The latest start of a retry, measured from the start of the first try (default 30 s). If the wait before a retry
    /// would end after this time, the client returns the response or the error immediately. A try that has started is not
    /// interrupted.
    pub total: Duration,
    /// The wait before the first retry if the server sends no `Retry-After` (default 200 ms). Each further retry doubles
    /// the wait. Random jitter adds up to 25 % to every wait.
    pub initial: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { tries: 5, total: Duration::from_secs(30), initial: Duration::from_millis(200) }
    }
}

impl RetryPolicy {
    /// A policy without retries: each request is sent once.
    #[must_use]
    pub fn never() -> Self {
        Self { tries: 1, ..Self::default() }
    }

    /// Sets the maximum number of tries, including the first.
    #[must_use]
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = tries;
        self
    }

    /// Sets the latest start of a retry, measured from the start of the first try.
    #[must_use]
    pub fn total(mut self, total: Duration) -> Self {
        self.total = total;
        self
    }

    /// Sets the wait before the first retry.
    #[must_use]
    pub fn initial(mut self, initial: Duration) -> Self {
        self.initial = initial;
        self
    }
}

impl Config {
    /// A configuration with the defaults: no credentials, the system's CA bundle, no proxy. Does not read the
    /// environment.
    pub fn new(cluster_url: Uri) -> Self {
        let seconds = |n| Some(Duration::from_secs(n));
        Self {
            cluster_url,
            default_namespace: "default".to_owned(),
            root_cert: None,
            root_cert_file: None,
            connect_timeout: seconds(10),
            tls_timeout: seconds(10),
            response_timeout: seconds(65),
            read_timeout: seconds(60),
            request_timeout: None,
            max_object_bytes: DEFAULT_MAX_OBJECT_BYTES,
            wire_format: WireFormat::default(),
            write_timeout: seconds(60),
            pool_idle_timeout: seconds(90),
            tcp_keepalive: seconds(15),
            http_versions: HttpVersions::default(),
            max_connection_age: None,
            accept_invalid_certs: false,
            auth_info: AuthInfo::default(),
            credential_plugin_policy: CredentialPluginPolicy::default(),
            allow_insecure_auth: false,
            disable_compression: false,
            proxy_url: None,
            tls_server_name: None,
            headers: Vec::new(),
            warning_handler: WarningHandler::log_once(),
            retry: RetryPolicy::default(),
            root_cert_of_file: None,
            user_origin: None,
        }
    }

    /// Sets the trusted certificate authorities, and the file that contains them.
    fn set_root_cert_and_file(&mut self, certificates: Vec<Vec<u8>>, path: PathBuf) {
        self.root_cert_of_file = Some(certificates.clone());
        self.root_cert = Some(certificates);
        self.root_cert_file = Some(path);
    }

    /// The trusted certificate authorities; `None` stands for the system's CA bundle. Reads
    /// [`root_cert_file`](Self::root_cert_file) if [`root_cert`](Self::root_cert) is not set.
    pub(crate) fn authorities(&self) -> Result<Option<Vec<Vec<u8>>>, FieldError> {
        match (&self.root_cert, &self.root_cert_file) {
            (None, Some(path)) => read_certificates(path).map(Some),
            (authorities, _) => Ok(authorities.clone()),
        }
    }

    /// The value of [`root_cert_file`](Self::root_cert_file); `None` if the program has set
    /// [`root_cert`](Self::root_cert) to other certificates.
    pub(crate) fn authority_file(&self) -> Option<&Path> {
        let is_other = self.root_cert.is_some() && self.root_cert != self.root_cert_of_file;
        self.root_cert_file.as_deref().filter(|_| !is_other)
    }

    /// Where to write new tokens of the auth provider. `None` if the user has no auth provider, or if the configuration
    /// was not read from kubeconfig files.
    pub(crate) fn user_origin(&self) -> Option<UserOrigin> {
        self.user_origin.clone()
    }

    /// The proxy that the environment sets for an address. The error contains the name of the environment variable.
    pub(crate) fn environment_proxy(address: &Uri) -> Result<Option<Uri>, (&'static str, FieldError)> {
        proxy::from_env(address, Env::of_process())
    }

    /// Detects the configuration: the files of `KUBECONFIG`, otherwise `~/.kube/config`, otherwise the pod's service
    /// account.
    ///
    /// The first source that exists is used. If this source is unreadable or invalid, the result is an error, as with
    /// kubectl: falling back to the next source could select another cluster. If `KUBECONFIG` is set, but none of its files
    /// exists, the result is an error for the same reason.
    ///
    /// The environment variables `KUBE_RS_DEBUG_*` override the address, and the user and groups to impersonate: see
    /// [`apply_debug_overrides`](Self::apply_debug_overrides).
    ///
    /// # Errors
    /// If no source exists, or the first source that exists cannot be used.
    ///
    /// # Cancel safety
    /// Cancel safe: there are no side effects.
    pub async fn infer() -> Result<Self, InferConfigError> {
        let inferred = run_blocking(|| infer_from(Env::of_process(), None))
            .await
            .map_err(|error| InferConfigError::Kubeconfig(KubeconfigError::Interrupted(error.into())))?;
        inferred.map(|mut config| {
            config.apply_debug_overrides();
            config
        })
    }

    /// The configuration of a process in a pod; the same as [`incluster_env`](Self::incluster_env).
    ///
    /// # Errors
    /// As for [`incluster_env`](Self::incluster_env).
    pub fn incluster() -> Result<Self, InClusterError> {
        Self::incluster_env()
    }

    /// The configuration of a process in a pod. The variables `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`
    /// contain the address. The credentials are from the pod's service account.
    ///
    /// The namespace is the value of `POD_NAMESPACE`, otherwise the namespace of the service account, otherwise
    /// `default`. If the service account has no `ca.crt`, the system's CA bundle is trusted.
    ///
    /// Blocks on the file system.
    ///
    /// # Errors
    /// If the variables of the address are not set or are invalid, if there is no token, if `ca.crt` exists and is
    /// invalid, or if a proxy variable is invalid.
    pub fn incluster_env() -> Result<Self, InClusterError> {
        let env = Env::of_process();
        incluster_from(incluster::env_address(env)?, env, None)
    }

    /// The configuration of a process in a pod, with the address `https://kubernetes.default.svc` and the pod's service
    /// account.
    ///
    /// Blocks on the file system.
    ///
    /// # Errors
    /// As for [`incluster_env`](Self::incluster_env), except for the variables of the address.
    pub fn incluster_dns() -> Result<Self, InClusterError> {
        incluster_from(incluster::dns_address(), Env::of_process(), None)
    }

    /// The configuration from the files of `KUBECONFIG`, otherwise `~/.kube/config`.
    ///
    /// # Errors
    /// If none of these files exists, or if a file is unreadable or invalid. Also as for
    /// [`from_custom_kubeconfig`](Self::from_custom_kubeconfig).
    ///
    /// # Cancel safety
    /// Cancel safe: there are no side effects.
    pub async fn from_kubeconfig(options: &KubeConfigOptions) -> Result<Self, KubeconfigError> {
        let options = options.clone();
        run_blocking(move || resolve::resolve(&Kubeconfig::read()?, &options, Env::of_process()))
            .await
            .map_err(|error| KubeconfigError::Interrupted(error.into()))?
    }

    /// The configuration from a kubeconfig value. Reads the certificate files and the key file of the selected entries.
    ///
    /// # Errors
    /// If the selected entries are missing or invalid, or if a proxy variable is invalid.
    ///
    /// # Cancel safety
    /// Cancel safe: there are no side effects.
    pub async fn from_custom_kubeconfig(
        kubeconfig: Kubeconfig,
        options: &KubeConfigOptions,
    ) -> Result<Self, KubeconfigError> {
        let options = options.clone();
        run_blocking(move || resolve::resolve(&kubeconfig, &options, Env::of_process()))
            .await
            .map_err(|error| KubeconfigError::Interrupted(error.into()))?
    }
}

impl TryFrom<Kubeconfig> for Config {
    type Error = KubeconfigError;

    /// Uses the current context. Blocks on the file system if certificates or keys are in files.
    fn try_from(kubeconfig: Kubeconfig) -> Result<Self, KubeconfigError> {
        resolve::resolve(&kubeconfig, &KubeConfigOptions::default(), Env::of_process())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |uri: &Uri| address::without_userinfo(&uri.to_string());
        f.debug_struct("Config")
            .field("cluster_url", &shown(&self.cluster_url))
            .field("default_namespace", &self.default_namespace)
            .field("root_cert", &self.root_cert.as_ref().map(Vec::len))
            .field("root_cert_file", &self.root_cert_file)
            .field("connect_timeout", &self.connect_timeout)
            .field("tls_timeout", &self.tls_timeout)
            .field("response_timeout", &self.response_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("max_object_bytes", &self.max_object_bytes)
            .field("wire_format", &self.wire_format)
            .field("write_timeout", &self.write_timeout)
            .field("pool_idle_timeout", &self.pool_idle_timeout)
            .field("tcp_keepalive", &self.tcp_keepalive)
            .field("http_versions", &self.http_versions)
            .field("max_connection_age", &self.max_connection_age)
            .field("accept_invalid_certs", &self.accept_invalid_certs)
            .field("auth_info", &self.auth_info)
            .field("credential_plugin_policy", &self.credential_plugin_policy)
            .field("allow_insecure_auth", &self.allow_insecure_auth)
            .field("disable_compression", &self.disable_compression)
            .field("proxy_url", &self.proxy_url.as_ref().map(shown))
            .field("tls_server_name", &self.tls_server_name)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("retry", &self.retry)
            .field("warning_handler", &self.warning_handler)
            .finish_non_exhaustive()
    }
}

/// Like [`Config::infer`], but with a given environment and without the debug overrides. Only tests set
/// `service_account`, the directory of the service account's files.
fn infer_from(env: Env<'_>, service_account: Option<&Path>) -> Result<Config, InferConfigError> {
    let options = KubeConfigOptions::default();
    let home = env.home_kubeconfig();
    let kubeconfig = match (env.kubeconfig(), &home) {
        (Some(list), _) => Some(load::read_listed_files(&list)),
        // Only a file that does not exist is skipped; an unreadable file is an error.
        (None, Some(path)) if path.try_exists().unwrap_or(true) => Some(Kubeconfig::read_from(path)),
        _ => None,
    };
    if let Some(kubeconfig) = kubeconfig {
        let config = kubeconfig.and_then(|kubeconfig| resolve::resolve(&kubeconfig, &options, env));
        return config.map_err(InferConfigError::Kubeconfig);
    }
    match incluster::env_address(env) {
        Ok(url) => incluster_from(url, env, service_account).map_err(InferConfigError::InCluster),
        Err(InClusterError::NotInCluster(variable)) => {
            let home = home.map_or("there is no home directory".to_owned(), |path| {
                format!("{} does not exist", path.display())
            });
            Err(InferConfigError::Nothing {
                tried: format!("KUBECONFIG is not set, {home}, and {variable} is not set"),
            })
        }
        Err(error) => Err(InferConfigError::InCluster(error)),
    }
}

/// The configuration from the service account, with the proxy from the environment.
fn incluster_from(url: Uri, env: Env<'_>, service_account: Option<&Path>) -> Result<Config, InClusterError> {
    let mut config = incluster::load_service_account(url, env, service_account)?;
    config.proxy_url = proxy::from_env(&config.cluster_url, env)
        .map_err(|(variable, error)| InClusterError::Proxy(variable, error))?;
    Ok(config)
}

/// Runs file access on the runtime's blocking threads.
async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    tokio::task::spawn_blocking(work).await
}
