//! The client: requests in, responses out, over one stack of middleware.
//!
//! `builder` is the only place that composes the stack, and no request goes around it. `transport`, `tls`, `auth` and
//! `middleware` do not know each other. What the bytes mean is decided in `core` and `wire`.

mod auth;
mod body;
mod builder;
mod clock;
mod middleware;
mod request_line;
mod response;
mod service;
#[cfg(test)]
mod tests;
mod tls;
mod transport;

pub use body::Body;
pub use builder::ClientBuilder;
pub use middleware::IdleLimit;
pub use service::HttpService;

use bytes::Bytes;
use either::Either;
use http::{Request, Response};
use k8s_openapi::apimachinery::pkg::version::Info;
use serde::de::DeserializeOwned;
use std::{fmt, sync::Arc};
use tower::Service;

use crate::{
    config::Config,
    core::Status,
    error::{BoxError, Error, Result},
};
use request_line::RequestLine;

/// A connection to a cluster: cheap to clone, and safe to use from everywhere at once.
///
/// All clones share connections and credentials. Requests do not queue behind each other: every call goes straight
/// through the stack on the caller's task.
///
/// # Cancel safety
/// Dropping the future of a request, or its response's body, ends the request. A write may have been carried out by then.
#[derive(Clone)]
pub struct Client {
    service: HttpService,
    default_namespace: Arc<str>,
}

impl Client {
    /// A client over any HTTP service: a stack of one's own, or a server in the same process.
    ///
    /// Requests carry a path without host. Nothing of the usual stack is there: no retries (also not after a 429 with
    /// `Retry-After`), no time limits on responses and bodies, no credentials and headers, no address, no trace.
    /// [`ClientBuilder::over`] puts that stack over a service, so that a test sees what production does.
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
        Self { service: HttpService::new(service), default_namespace: default_namespace.into() }
    }

    /// A client for the cluster that [`Config::infer`] finds.
    ///
    /// # Errors
    /// If there is no usable configuration. Nothing is sent yet, so an unreachable server shows at the first request.
    ///
    /// # Cancel safety
    /// Nothing but time is lost.
    pub async fn try_default() -> Result<Self> {
        let config = Config::infer().await.map_err(Error::config)?;
        // Certificates are read from files.
        tokio::task::spawn_blocking(|| Self::try_from(config)).await.map_err(Error::config)?
    }

    /// The namespace of requests that name none.
    pub fn default_namespace(&self) -> &str {
        &self.default_namespace
    }

    /// Sends a request and returns the response whatever its status is.
    ///
    /// # Errors
    /// If there is no response.
    ///
    /// # Cancel safety
    /// See [`Client`].
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>> {
        let request_line = RequestLine::of(&request);
        let response = self.service.send(request).await.map_err(Error::from_box)?;
        Ok(response.map(|body| body.answering(&request_line.method, &request_line.uri)))
    }

    /// Sends a request and returns the response if it is a success; its body has not been read yet.
    ///
    /// # Errors
    /// [`Error::Api`] if the server refuses; any other if there is no response.
    ///
    /// # Cancel safety
    /// See [`Client`].
    pub async fn open(&self, request: Request<Vec<u8>>) -> Result<Response<Body>> {
        let request_line = RequestLine::of(&request);
        let response = self.send(request.map(Body::from)).await?;
        response::check(&request_line, response).await
    }

    /// Sends a request and decodes the JSON body of the response.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and [`Error::Decode`] if the body is not a `T`.
    ///
    /// # Cancel safety
    /// See [`Client`].
    pub async fn request<T: DeserializeOwned>(&self, request: Request<Vec<u8>>) -> Result<T> {
        let (request_line, body) = self.fetch(request).await?;
        response::decode(&request_line, &body)
    }

    /// Sends a request and returns the body of the response as text.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and [`Error::Decode`] if the body is not UTF-8.
    ///
    /// # Cancel safety
    /// See [`Client`].
    pub async fn request_text(&self, request: Request<Vec<u8>>) -> Result<String> {
        let (request_line, body) = self.fetch(request).await?;
        String::from_utf8(body.into()).map_err(|error| Error::Decode {
            what: format!("the response to {request_line} as text"),
            source: error.utf8_error().into(),
        })
    }

    /// Sends a request whose answer is an object or a [`Status`], as deletions have it.
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
        let (request_line, body) = self.fetch(request).await?;
        match response::parse_status(&body) {
            Some(status) => Ok(Either::Right(status)),
            None => response::decode(&request_line, &body).map(Either::Left),
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

    async fn fetch(&self, request: Request<Vec<u8>>) -> Result<(RequestLine, Bytes)> {
        let request_line = RequestLine::of(&request);
        let response = self.send(request.map(Body::from)).await?;
        let body = response::check(&request_line, response).await?.into_body().collect_bytes().await?;
        Ok((request_line, body))
    }
}

impl TryFrom<Config> for Client {
    type Error = Error;

    /// Makes a client with the usual stack: see [`ClientBuilder`].
    fn try_from(config: Config) -> Result<Self> {
        Ok(ClientBuilder::try_from(config)?.build())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("default_namespace", &self.default_namespace).finish_non_exhaustive()
    }
}
