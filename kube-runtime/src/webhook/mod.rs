//! `Server`: serves admission and conversion webhooks over HTTPS.
//!
//! `admission`, `mutation` and `conversion` turn the body of a review into the body of the answer, and `router` bounds
//! requests. This module must not start tasks, except the blocking task of each conversion review.

mod admission;
mod conversion;
mod error;
mod limits;
mod mutation;
mod rejection;
mod router;
#[cfg(test)]
mod tests;

pub use crate::serving::CertificateError;
pub use error::Error;
pub use limits::Limits;
pub use rejection::Rejection;

use crate::serving::{self, ConnectionLimits, ReadyServer, ServerTls, ServingCertificate};
use kube_client::core::admission::{AdmissionRequest, AdmissionResponse};
use kube_client::core::conversion::Converter;
use router::{Endpoint, Router};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

/// The maximum idle time of a connection. Go's client closes an idle connection after 90 seconds, and the server must not
/// close the connection earlier: a request fails if the server closes the connection while the client sends the request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(100);
/// The time for which requests in flight may continue after the shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The default address, which is also the default of controller-runtime.
const DEFAULT_ADDRESS: &str = "0.0.0.0:9443";

/// The warnings of an admission. The API server shows them to the user, and may truncate each to 256 characters.
pub type Warnings = Vec<String>;

/// Serves admission and conversion webhooks over HTTPS, like controller-runtime's webhook server.
///
/// Each path has one webhook. The server decodes the objects of a request as the kind that the handler of the webhook
/// takes. API servers send a request before they store or delete an object
/// ([admission](https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/)), or to
/// convert objects between the versions of a custom resource
/// ([conversion](https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/)).
/// A `ValidatingWebhookConfiguration`, a `MutatingWebhookConfiguration` or a CRD names the service, the path and the CA
/// of the certificate.
///
/// The certificate must be valid for the DNS name of the service, such as `site-webhooks.prod.svc`. The server reads
/// the files of the certificate again when a client connects, but at most every 10 seconds. After a change
/// of the files, new connections get the new certificate.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_client::core::admission::AdmissionRequest;
/// use kube_runtime::webhook::{self, Rejection};
/// # async fn serve(folder: &std::path::Path) -> Result<(), webhook::Error> {
/// let server = webhook::Server::from_files(folder.join("tls.crt"), folder.join("tls.key"))?
///     .listen("127.0.0.1:0")?
///     .validate("/validate-configmap", async |request: AdmissionRequest<ConfigMap>| {
///         match request.object {
///             Some(map) if map.data.is_none() => Err(Rejection::new("a config map needs data")),
///             _ => Ok(vec![]),
///         }
///     })
///     .mutate("/default-configmap", async |mut map: ConfigMap, _| {
///         map.immutable.get_or_insert(true);
///         Ok(map)
///     });
/// // `Manager::webhooks` runs the server together with controllers.
/// server.run(async {}).await
/// # }
/// # let folder = std::env::temp_dir().join(format!("webhook-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # std::fs::write(folder.join("tls.crt"), pair.cert.pem()).unwrap();
/// # std::fs::write(folder.join("tls.key"), pair.signing_key.serialize_pem()).unwrap();
/// # tokio::runtime::Runtime::new().unwrap().block_on(serve(&folder)).unwrap();
/// # std::fs::remove_dir_all(&folder).unwrap();
/// ```
///
/// # Failures
///
/// A request whose handler panics is rejected with code 500; other requests continue. An admission request whose object
/// does not decode as its kind is rejected with code 400, and with a message that names the field and contains no value.
/// The conversion of such an object fails with the reason `Invalid`. A request that takes longer than the time limit of
/// the webhook's configuration, or than [`Limits::request_time`], is cancelled; a conversion that has started continues
/// without an answer. [`Limits`] bounds connections, bodies and time.
///
/// # Security
///
/// Like controller-runtime by default, the server authenticates no clients: each client that reaches the port can call
/// the handlers. Restrict the port to the API servers with a network policy if an answer is confidential.
#[must_use = "a server does nothing before `run`"]
pub struct Server {
    certificate: Arc<ServingCertificate>,
    listener: Option<TcpListener>,
    limits: Limits,
    endpoints: Vec<(String, Endpoint)>,
}

impl Server {
    /// Creates a server without webhooks. Reads the certificate chain, leaf first, and its private key from files in
    /// PEM format (blocking).
    ///
    /// # Errors
    ///
    /// [`Error::Certificate`] if the files cannot be used.
    pub fn from_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, Error> {
        let certificate = ServingCertificate::from_files(certificate.as_ref(), key.as_ref())?;
        Ok(Self {
            certificate: Arc::new(certificate),
            listener: None,
            limits: Limits::default(),
            endpoints: Vec::new(),
        })
    }

    /// Listens on `address` instead of `0.0.0.0:9443`. Port 0 selects a free port. Binds the address before it returns.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] if the address is invalid or in use.
    pub fn listen(mut self, address: &str) -> Result<Self, Error> {
        self.listener = Some(bind(address)?);
        Ok(self)
    }

    /// The address that [`listen`](Self::listen) has bound; `None` before that call.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref()?.local_addr().ok()
    }

    /// Replaces the limits.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds a validating webhook: the handler rejects a request, or allows the request and may return warnings.
    pub fn validate<K, Fut>(
        self,
        path: &str,
        handler: impl Fn(AdmissionRequest<K>) -> Fut + Send + Sync + 'static,
    ) -> Self
    where
        K: DeserializeOwned + Send + 'static,
        Fut: Future<Output = Result<Warnings, Rejection>> + Send + 'static,
    {
        self.add_endpoint(path, Endpoint::admission(admission::validation_handler(handler)))
    }

    /// Adds a mutating webhook: the handler returns the changed object, or rejects the request.
    ///
    /// The handler takes the object and then the request, whose `object` is `None`. The answer is a JSON Patch with the
    /// fields that the handler has changed; fields that `K` does not have stay as they are, except in the items of an
    /// array whose length the handler changes. Requests without an object, such as deletions, are allowed without a
    /// call of the handler.
    ///
    /// The API server may call the webhook several times for one request (reinvocation). A later call may receive the
    /// object that an earlier call has changed.
    pub fn mutate<K, Fut>(
        self,
        path: &str,
        handler: impl Fn(K, AdmissionRequest<K>) -> Fut + Send + Sync + 'static,
    ) -> Self
    where
        K: Serialize + DeserializeOwned + Send + 'static,
        Fut: Future<Output = Result<K, Rejection>> + Send + 'static,
    {
        self.add_endpoint(path, Endpoint::admission(mutation::mutation_handler(handler)))
    }

    /// Adds an admission webhook whose handler returns the whole response.
    pub fn admit<K, Fut>(
        self,
        path: &str,
        handler: impl Fn(AdmissionRequest<K>) -> Fut + Send + Sync + 'static,
    ) -> Self
    where
        K: DeserializeOwned + Send + 'static,
        Fut: Future<Output = AdmissionResponse> + Send + 'static,
    {
        self.add_endpoint(path, Endpoint::admission(admission::admission_handler(handler)))
    }

    /// Adds a conversion webhook for the versions of one kind.
    pub fn convert<H: 'static>(self, path: &str, converter: Converter<H>) -> Self {
        self.add_endpoint(path, Endpoint::conversion(conversion::conversion_handler(converter)))
    }

    /// Serves until `shutdown` completes. After that, requests in flight have 10 seconds to end.
    ///
    /// # Errors
    ///
    /// If the address is in use, if a path is invalid or has two webhooks, or if TLS cannot be configured.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes all connections immediately.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        self.start()?.run(shutdown).await;
        Ok(())
    }

    /// Checks the settings, and binds the default address if the server does not listen yet. The returned
    /// [`ReadyServer`] accepts no connection before [`ReadyServer::run`].
    pub(crate) fn start(self) -> Result<ReadyServer<Router>, Error> {
        let listener = match self.listener {
            Some(listener) => listener,
            None => bind(DEFAULT_ADDRESS)?,
        };
        let router = Router::new(self.endpoints, &self.limits)?;
        let tls = ServerTls::new(self.certificate)?;
        let limits = ConnectionLimits {
            connections: self.limits.connections,
            idle: IDLE_TIMEOUT,
            drain: DRAIN_TIMEOUT,
        };
        let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
        let server = ReadyServer::new(listener, Some(tls), router, limits)
            .map_err(|source| Error::Listen { address: address.clone(), source })?;
        tracing::info!(address, "serving webhooks");
        Ok(server)
    }

    fn add_endpoint(mut self, path: &str, endpoint: Endpoint) -> Self {
        self.endpoints.push((path.to_owned(), endpoint));
        self
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.endpoints.iter().map(|(path, _)| path).collect();
        f.debug_struct("Server")
            .field("address", &self.address())
            .field("paths", &paths)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn bind(address: &str) -> Result<TcpListener, Error> {
    serving::bind(address).map_err(|source| Error::Listen { address: address.to_owned(), source })
}
