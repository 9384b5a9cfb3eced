//! The client: sends requests through one stack of middleware.
//!
//! Only `builder` composes the stack, and every request passes through the stack. `transport`, `tls`, `auth` and
//! `middleware` must not depend on each other, except that `middleware` re-exports the layer of `auth`. `core` and `wire`
//! decode the bodies of responses.

mod auth;
mod body;
mod builder;
mod clock;
mod config_ext;
mod discovery;
mod kinds_without_protobuf;
mod long_running;
pub mod middleware;
mod request_line;
mod request_timeout;
mod response;
pub mod retry;
pub mod scope;
mod service;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod transport;
#[cfg(feature = "ws")]
mod upgrade;
mod verb;

pub use crate::core::discovery::v2::{
    APIGroupDiscovery, APIGroupDiscoveryList, APIResourceDiscovery, APISubresourceDiscovery,
    APIVersionDiscovery, GroupVersionKind as DiscoveryGroupVersionKind,
};
pub use body::Body;
pub use builder::ClientBuilder;
pub use config_ext::ConfigExt;
pub use middleware::IdleLimit;
pub use request_timeout::RequestTimeout;
pub use service::HttpService;
pub use tls::crypto_provider;
#[cfg(feature = "ws")]
pub use upgrade::{Connection, StreamProtocol, UpgradeConnectionError};

use bytes::Bytes;
use either::Either;
use futures::{AsyncBufRead, TryStreamExt};
use http::{Request, Response};
use k8s_openapi::apimachinery::pkg::version::Info;
use serde::de::DeserializeOwned;
use std::{fmt, sync::Arc, time::Duration};
use tower::{Layer, Service};

use crate::{
    config::{Config, DEFAULT_MAX_OBJECT_BYTES, Kubeconfig, WireFormat},
    core::Status,
    error::{BoxError, Error, Result},
};
use kinds_without_protobuf::KindsWithoutProtobuf;
use request_line::RequestLine;

/// A client for one cluster. It is cheap to clone and can be used concurrently.
///
/// All clones share connections and credentials. Each request passes through the stack on the caller's task, so that
/// requests do not wait for each other.
///
/// # Renewed credentials
/// While the client is in use, it renews its credentials. It reads a token file again every 50 s. It runs a credential
/// plugin, or requests a token from an OpenID Connect provider, shortly before the current credentials expire. It
/// checks the files of client certificates, keys and trusted authorities every 10 s while it sends requests. After a
/// change, new connections use the new certificates, no new request uses an older connection, and requests in flight
/// continue.
///
/// The server may reject credentials with 401, and either side may reject a certificate in the TLS handshake. The client
/// then renews the credentials once for all requests that used the rejected ones. If there are new credentials, it sends
/// each of these requests once more: the server has not processed the first attempt. A request whose body is a stream is
/// not sent again.
///
/// # Cancel safety
/// Dropping the future of a request, or the body of its response, cancels the request. The server may already have
/// performed a write.
#[derive(Clone)]
pub struct Client {
    service: HttpService,
    default_namespace: Arc<str>,
    max_object_bytes: usize,
    request_timeout: Option<Duration>,
    wire_format: WireFormat,
    kinds_without_protobuf: KindsWithoutProtobuf,
}

impl Client {
    /// A client over any HTTP service: a custom stack, or an in-process server.
    ///
    /// A service that is not `Clone` and `Sync` can be wrapped with [`HttpService::locked`].
    ///
    /// The URI of a request has a path and no host. The service receives requests without the default stack: no retries
    /// (not even after a 429 with `Retry-After`), no time limits on responses and bodies, no credentials and headers,
    /// no address, no tracing. [`ClientBuilder::over`] adds the default stack to a service, so that a test has the
    /// behaviour of production.
    pub fn new<S, B, T>(service: S, default_namespace: T) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
        T: Into<String>,
    {
        let default_namespace: String = default_namespace.into();
        Self {
            service: HttpService::new(service),
            default_namespace: default_namespace.into(),
            max_object_bytes: DEFAULT_MAX_OBJECT_BYTES,
            request_timeout: None,
            wire_format: WireFormat::default(),
            kinds_without_protobuf: KindsWithoutProtobuf::default(),
        }
    }

    /// Returns a client with a layer around the stack of this client: requests pass through the layer first. Both clients
    /// share connections and credentials, and have the same limits.
    ///
    /// ```
    /// use kube_client::Client;
    /// use tower::layer::util::Identity;
    ///
    /// let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let layered = client.with_layer(&Identity::new());
    /// assert_eq!(layered.default_namespace(), "default");
    /// ```
    #[must_use]
    pub fn with_layer<L, B>(&self, layer: &L) -> Self
    where
        L: Layer<HttpService>,
        L::Service: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self { service: HttpService::new(layer.layer(self.service.clone())), ..self.clone() }
    }

    /// Sets the time limit on each request of the returned client: see [`Config::request_timeout`]. `None` is no limit.
    ///
    /// A [`RequestTimeout`] sets the limit on a single request that is built by hand.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube_client::{Api, Client, Config};
    /// use std::time::Duration;
    ///
    /// let client = Client::try_from(Config::new("http://localhost:8001".parse()?))?;
    /// // A call of this `Api` fails if it is not complete, including its retries, within five seconds.
    /// let pods: Api<Pod> = Api::all(client.clone().with_request_timeout(Some(Duration::from_secs(5))));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_request_timeout(mut self, limit: Option<Duration>) -> Self {
        self.request_timeout = limit;
        self
    }

    /// Sets the size in bytes of the largest object that the returned client reads into memory: see
    /// [`Config::max_object_bytes`].
    #[must_use]
    pub fn with_max_object_bytes(mut self, limit: usize) -> Self {
        self.max_object_bytes = limit;
        self
    }

    /// Sets the format in which each [`Api`](crate::Api) of the returned client reads objects: see
    /// [`Config::wire_format`].
    ///
    /// ```
    /// use kube_client::{Client, config::WireFormat};
    ///
    /// let client = Client::new(kube_sim::Sim::new().service(), "default").with_wire_format(WireFormat::Auto);
    /// ```
    #[must_use]
    pub fn with_wire_format(mut self, format: WireFormat) -> Self {
        self.wire_format = format;
        self
    }

    /// The format in which objects are read.
    pub(crate) fn wire_format(&self) -> WireFormat {
        self.wire_format
    }

    /// The kinds for which the server refused Protobuf.
    pub(crate) fn kinds_without_protobuf(&self) -> &KindsWithoutProtobuf {
        &self.kinds_without_protobuf
    }

    /// The size in bytes of the largest object that is read into memory.
    pub(crate) fn max_object_bytes(&self) -> usize {
        self.max_object_bytes
    }

    /// A client with the configuration that [`Config::infer`] detects, including its debug overrides.
    ///
    /// # Errors
    /// If there is no usable configuration. Sends no request: if the server is unreachable, the first request fails.
    ///
    /// # Cancel safety
    /// Cancel safe: there are no side effects.
    pub async fn try_default() -> Result<Self> {
        let config = Config::infer().await.map_err(Error::config)?;
        // Building the client reads files of certificates and tokens (blocking).
        tokio::task::spawn_blocking(|| Self::try_from(config)).await.map_err(Error::config)?
    }

    /// The namespace of `Api::default_namespaced`.
    pub fn default_namespace(&self) -> &str {
        &self.default_namespace
    }

    /// Sends a request and returns the response, regardless of its status code.
    ///
    /// # Errors
    /// If no response arrives.
    ///
    /// # Cancel safety
    /// See [`Client`].
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>> {
        let request_line = RequestLine::of(&request);
        let limit = RequestTimeout::of(&request, self.request_timeout);
        let response = self.service.send(request);
        let response = match limit {
            None => response.await,
            Some(limit) => request_timeout::limit_response(&request_line, limit, response).await,
        };
        let response = response.map_err(Error::from_box)?;
        Ok(response.map(|body| body.for_request(&request_line.method, &request_line.uri)))
    }

    /// Sends a request and returns a successful response with its unread body.
    ///
    /// # Errors
    /// [`Error::Api`] for an unsuccessful status code; another variant if no response arrives.
    ///
    /// # Cancel safety
    /// See [`Client`].
    pub async fn open(&self, request: Request<Vec<u8>>) -> Result<Response<Body>> {
        let request_line = RequestLine::of(&request);
        let response = self.send(request.map(Body::from)).await?;
        response::error_for_status(&request_line, response).await
    }

    /// Sends a request and decodes the JSON body of the response.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and [`Error::Decode`] if the body does not decode as a `T`, or is larger than
    /// [`with_max_object_bytes`](Self::with_max_object_bytes) allows.
    ///
    /// # Cancel safety
    /// See [`Client`].
    pub async fn request<T: DeserializeOwned>(&self, request: Request<Vec<u8>>) -> Result<T> {
        let (request_line, body) = self.fetch_bytes(request).await?;
        response::decode_body(&request_line, &body)
    }

    /// Sends a request and returns the body of the response as text.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and [`Error::Decode`] if the body is not UTF-8, or is larger than
    /// [`with_max_object_bytes`](Self::with_max_object_bytes) allows.
    ///
    /// # Cancel safety
    /// See [`Client`].
    pub async fn request_text(&self, request: Request<Vec<u8>>) -> Result<String> {
        let (request_line, body) = self.fetch_bytes(request).await?;
        String::from_utf8(body.into()).map_err(|error| Error::Decode {
            what: format!("the response to {request_line} as text"),
            source: error.utf8_error().into(),
        })
    }

    /// Sends a request and returns the body of the response as a stream of bytes, without a size limit.
    ///
    /// # Errors
    /// As for [`open`](Self::open). The stream returns later errors as `std::io::Error`s with an [`Error`] inside.
    ///
    /// # Cancel safety
    /// See [`Client`]. Dropping the stream ends the request.
    pub async fn request_stream(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<impl AsyncBufRead + Send + use<>> {
        let chunks = self.open(request).await?.into_body().into_data_stream();
        Ok(chunks.map_err(std::io::Error::other).into_async_read())
    }

    /// Sends a request, such as a deletion, whose response is an object or a [`Status`].
    ///
    /// # Errors
    /// As for [`request`](Self::request).
    ///
    /// # Cancel safety
    /// See [`Client`].
    pub async fn request_status<T: DeserializeOwned>(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Either<T, Status>> {
        let (request_line, body) = self.fetch_bytes(request).await?;
        match response::parse_status(&body) {
            Some(status) => Ok(Either::Right(status)),
            None => response::decode_body(&request_line, &body).map(Either::Left),
        }
    }

    /// The API server's version.
    ///
    /// # Errors
    /// As for [`request`](Self::request).
    ///
    /// # Cancel safety
    /// See [`Client`].
    pub async fn apiserver_version(&self) -> Result<Info> {
        let mut request = Request::new(Vec::new());
        *request.uri_mut() = http::Uri::from_static("/version");
        self.request(request).await
    }

    /// Sends a request and returns the whole body of a successful response.
    pub(crate) async fn request_bytes(&self, request: Request<Vec<u8>>) -> Result<Bytes> {
        Ok(self.fetch_bytes(request).await?.1)
    }

    /// Sends a request. Returns its method and URI for error texts, and the whole body of a successful response.
    async fn fetch_bytes(&self, request: Request<Vec<u8>>) -> Result<(RequestLine, Bytes)> {
        let request_line = RequestLine::of(&request);
        let response = self.send(request.map(Body::from)).await?;
        let body = response::error_for_status(&request_line, response)
            .await?
            .into_body()
            .collect_bytes_up_to(self.max_object_bytes)
            .await?;
        Ok((request_line, body))
    }
}

impl TryFrom<Config> for Client {
    type Error = Error;

    /// Builds a client with the default stack: see [`ClientBuilder`].
    fn try_from(config: Config) -> Result<Self> {
        Ok(ClientBuilder::try_from(config)?.build())
    }
}

impl TryFrom<Kubeconfig> for Client {
    type Error = Error;

    /// Builds a client for the current context, with the default stack. Reads the files that the kubeconfig names
    /// (blocking).
    fn try_from(kubeconfig: Kubeconfig) -> Result<Self> {
        Self::try_from(Config::try_from(kubeconfig).map_err(Error::config)?)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("default_namespace", &self.default_namespace).finish_non_exhaustive()
    }
}
