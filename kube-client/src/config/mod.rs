//! Where the cluster is and who the client is there: from a kubeconfig, from inside a pod, or by hand.
//!
//! This module is the one reader of the environment. It knows files, PEM and addresses, and no HTTP or TLS library: it
//! says what is wanted, and `client` makes it so.

mod address;
mod data;
mod decode;
mod env;
mod error;
mod incluster;
mod kubeconfig;
mod load;
mod merge;
mod proxy;
mod resolve;
mod secret;
#[cfg(test)]
mod tests;
mod user;

pub(crate) use data::{Identity, identity_from_pem};
pub use error::{FieldError, InClusterError, InferConfigError, KubeconfigError};
pub use kubeconfig::{Cluster, Context, Kubeconfig, NamedCluster, NamedContext, NamedExtension, Preferences};
pub use resolve::KubeConfigOptions;
pub use user::{
    AuthInfo, AuthProviderConfig, ExecAuthCluster, ExecConfig, ExecInteractiveMode, NamedAuthInfo,
};

use env::Env;
use http::{HeaderName, HeaderValue, Uri};
use std::{fmt, path::Path, time::Duration};

/// How to reach a cluster, and as whom.
///
/// [`infer`](Self::infer) finds out by itself; every field can be changed before a [`Client`](crate::Client) is made.
///
/// # Time limits
/// Every wait has one, and each is set on its own: see the fields. `None` lifts a limit.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The API server's address; a path in it goes before the path of each request.
    pub cluster_url: Uri,
    /// The namespace of `Api::default_namespaced`.
    pub default_namespace: String,
    /// The certificate authorities to trust, in DER form; the system's where it is `None`.
    pub root_cert: Option<Vec<Vec<u8>>>,
    /// The longest wait for name lookup and a TCP connection (default 10 s).
    pub connect_timeout: Option<Duration>,
    /// The longest wait for the TLS handshake (default 10 s).
    pub tls_timeout: Option<Duration>,
    /// The longest wait from the start of a request to the head of its response (default 65 s).
    ///
    /// API servers end what is not a watch after 60 s with an answer of their own, which says more than this limit can.
    pub response_timeout: Option<Duration>,
    /// The longest pause between two pieces of a response body (default 60 s). Watches and followed logs are exempt: a
    /// quiet watch is a healthy one, and TCP keepalive notices when its peer is gone.
    pub read_timeout: Option<Duration>,
    /// The longest time that the connection may refuse to take more of a request (default 60 s).
    pub write_timeout: Option<Duration>,
    /// How long an unused connection is kept (default 90 s).
    pub pool_idle_timeout: Option<Duration>,
    /// After how long a silence the peer is asked whether it is still there, and how often (default 15 s). A peer that
    /// does not answer three times is gone.
    pub tcp_keepalive: Option<Duration>,
    /// Whether any certificate of the server is accepted, which makes the connection insecure.
    pub accept_invalid_certs: bool,
    /// Who the client is.
    pub auth_info: AuthInfo,
    /// Whether credentials may be sent over `http` to an address that is not this machine's.
    pub allow_insecure_auth: bool,
    /// Whether responses must not be compressed. This client asks for no compression so far, so that nothing changes.
    pub disable_compression: bool,
    /// The proxy to connect through.
    pub proxy_url: Option<Uri>,
    /// The name that the server's certificate is checked against, instead of the host in `cluster_url`.
    pub tls_server_name: Option<String>,
    /// Headers to send with every request, such as `User-Agent`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What is tried again, how often and for how long.
    pub retry: RetryPolicy,
}

/// What a client tries again by itself. The default suits almost everyone; [`RetryPolicy::never`] turns it off.
///
/// A request is repeated only when that is safe: with any verb if the server refused it with 429 or 503 and said when to
/// come back (`Retry-After`); with a reading verb also if the connection failed or broke, or if a server or proxy answered
/// 429, 502, 503 or 504 without more. A write whose outcome is unknown is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How many times a request is sent at most, the first time included (default 5).
    pub tries: u32,
    /// For how long, waits included, a request is tried again (default 30 s). A server that asks for a longer wait than
    /// is left gets its answer passed on at once.
    pub total: Duration,
    /// The wait before the first repetition where the server asks for none; it doubles each time (default 200 ms).
    pub initial: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { tries: 5, total: Duration::from_secs(30), initial: Duration::from_millis(200) }
    }
}

impl RetryPolicy {
    /// Sends everything once.
    #[must_use]
    pub fn never() -> Self {
        Self { tries: 1, ..Self::default() }
    }

    /// Sets how many times a request is sent at most, the first time included.
    #[must_use]
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = tries;
        self
    }

    /// Sets for how long, waits included, a request is tried again.
    #[must_use]
    pub fn total(mut self, total: Duration) -> Self {
        self.total = total;
        self
    }

    /// Sets the wait before the first repetition.
    #[must_use]
    pub fn initial(mut self, initial: Duration) -> Self {
        self.initial = initial;
        self
    }
}

impl Config {
    /// A configuration with nothing but an address: no credentials, the system's certificate authorities, no proxy, and
    /// the defaults of everything else. The environment is not consulted.
    pub fn new(cluster_url: Uri) -> Self {
        let seconds = |n| Some(Duration::from_secs(n));
        Self {
            cluster_url,
            default_namespace: "default".to_owned(),
            root_cert: None,
            connect_timeout: seconds(10),
            tls_timeout: seconds(10),
            response_timeout: seconds(65),
            read_timeout: seconds(60),
            write_timeout: seconds(60),
            pool_idle_timeout: seconds(90),
            tcp_keepalive: seconds(15),
            accept_invalid_certs: false,
            auth_info: AuthInfo::default(),
            allow_insecure_auth: false,
            disable_compression: false,
            proxy_url: None,
            tls_server_name: None,
            headers: Vec::new(),
            retry: RetryPolicy::default(),
        }
    }

    /// Finds the configuration: the files of `KUBECONFIG`, else `~/.kube/config`, else the pod's service account.
    ///
    /// The first that is there is used. If it cannot be used, or not be read, that is the error, as with kubectl: another cluster
    /// is never chosen instead.
    ///
    /// # Errors
    /// If there is none of them, or the one that there is cannot be used.
    ///
    /// # Cancel safety
    /// Nothing but time is lost.
    pub async fn infer() -> Result<Self, InferConfigError> {
        blocking(|| infer_from(Env::process(), None))
            .await
            .map_err(|error| InferConfigError::Kubeconfig(KubeconfigError::Interrupted(error.into())))?
    }

    /// The configuration of a process inside a pod; the same as [`incluster_env`](Self::incluster_env).
    ///
    /// # Errors
    /// See there.
    pub fn incluster() -> Result<Self, InClusterError> {
        Self::incluster_env()
    }

    /// The pod's service account, at the address in `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
    ///
    /// The namespace is that of `POD_NAMESPACE`, else of the service account, else `default`. Where the service account has no
    /// `ca.crt`, the system's certificate authorities are trusted.
    ///
    /// Blocks on the file system, briefly.
    ///
    /// # Errors
    /// If the variables are not set, there is no token, or `ca.crt` is there and cannot be used.
    pub fn incluster_env() -> Result<Self, InClusterError> {
        let env = Env::process();
        incluster_from(incluster::address(env)?, env, None)
    }

    /// The pod's service account, at `https://kubernetes.default.svc`.
    ///
    /// Blocks on the file system, briefly.
    ///
    /// # Errors
    /// If the service account's files cannot be read.
    pub fn incluster_dns() -> Result<Self, InClusterError> {
        incluster_from(incluster::dns_address(), Env::process(), None)
    }

    /// The configuration from the files of `KUBECONFIG`, else `~/.kube/config`.
    ///
    /// # Errors
    /// If there is no such file, or what it says cannot be used.
    ///
    /// # Cancel safety
    /// Nothing but time is lost.
    pub async fn from_kubeconfig(options: &KubeConfigOptions) -> Result<Self, KubeconfigError> {
        let options = options.clone();
        blocking(move || resolve::resolve(&Kubeconfig::read()?, &options, Env::process()))
            .await
            .map_err(|error| KubeconfigError::Interrupted(error.into()))?
    }

    /// The configuration from a kubeconfig that is already read, or made by hand.
    ///
    /// # Errors
    /// If what it says cannot be used.
    ///
    /// # Cancel safety
    /// Nothing but time is lost.
    pub async fn from_custom_kubeconfig(
        kubeconfig: Kubeconfig,
        options: &KubeConfigOptions,
    ) -> Result<Self, KubeconfigError> {
        let options = options.clone();
        blocking(move || resolve::resolve(&kubeconfig, &options, Env::process()))
            .await
            .map_err(|error| KubeconfigError::Interrupted(error.into()))?
    }
}

impl TryFrom<Kubeconfig> for Config {
    type Error = KubeconfigError;

    /// Uses the current context. Blocks on the file system for certificates that are in files.
    fn try_from(kubeconfig: Kubeconfig) -> Result<Self, KubeconfigError> {
        resolve::resolve(&kubeconfig, &KubeConfigOptions::default(), Env::process())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |uri: &Uri| address::without_userinfo(&uri.to_string());
        f.debug_struct("Config")
            .field("cluster_url", &shown(&self.cluster_url))
            .field("default_namespace", &self.default_namespace)
            .field("root_cert", &self.root_cert.as_ref().map(Vec::len))
            .field("connect_timeout", &self.connect_timeout)
            .field("tls_timeout", &self.tls_timeout)
            .field("response_timeout", &self.response_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("pool_idle_timeout", &self.pool_idle_timeout)
            .field("tcp_keepalive", &self.tcp_keepalive)
            .field("accept_invalid_certs", &self.accept_invalid_certs)
            .field("auth_info", &self.auth_info)
            .field("allow_insecure_auth", &self.allow_insecure_auth)
            .field("disable_compression", &self.disable_compression)
            .field("proxy_url", &self.proxy_url.as_ref().map(shown))
            .field("tls_server_name", &self.tls_server_name)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("retry", &self.retry)
            .finish()
    }
}

/// [`Config::infer`] over any environment; `service_account` is where a test keeps a pod's files.
fn infer_from(env: Env<'_>, service_account: Option<&Path>) -> Result<Config, InferConfigError> {
    let options = KubeConfigOptions::default();
    let home = env.home_kubeconfig();
    let kubeconfig = match (env.kubeconfig(), &home) {
        (Some(list), _) => Some(load::read_list(&list)),
        // Only a file that is not there at all sends the search on.
        (None, Some(path)) if path.try_exists().unwrap_or(true) => Some(Kubeconfig::read_from(path)),
        _ => None,
    };
    if let Some(kubeconfig) = kubeconfig {
        let config = kubeconfig.and_then(|kubeconfig| resolve::resolve(&kubeconfig, &options, env));
        return config.map_err(InferConfigError::Kubeconfig);
    }
    match incluster::address(env) {
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

fn incluster_from(url: Uri, env: Env<'_>, service_account: Option<&Path>) -> Result<Config, InClusterError> {
    let mut config = incluster::load(url, env, service_account)?;
    config.proxy_url = proxy::from_env(&config.cluster_url, env)
        .map_err(|(variable, error)| InClusterError::Proxy(variable, error))?;
    Ok(config)
}

/// Runs file access off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    tokio::task::spawn_blocking(work).await
}
