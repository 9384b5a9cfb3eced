//! `Router`: finds the webhook of a request, and bounds the body and the time of the request.

use super::error::Error;
use super::limits::Limits;
use super::rejection::text_with_causes;
use crate::metrics::WebhookRequestMetrics;
use crate::serving::Handler;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use kube_client::BoxError;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Converts the body of a review to the body of its answer.
pub(super) type ReviewHandler =
    Arc<dyn Fn(Bytes) -> BoxFuture<'static, Result<Vec<u8>, ReviewHandlerError>> + Send + Sync>;

/// The reason why a handler of reviews has no answer. For example, the body is not a review, or the answer cannot be
/// serialized.
#[derive(Debug)]
pub(super) struct ReviewHandlerError(String);

impl ReviewHandlerError {
    pub(super) fn new(error: impl Into<BoxError>) -> Self {
        Self(text_with_causes(&*error.into()))
    }
}

impl From<serde_json::Error> for ReviewHandlerError {
    fn from(error: serde_json::Error) -> Self {
        Self::new(error)
    }
}

/// A webhook. `max_bytes` selects the maximum size of its request bodies from the [`Limits`] of the server.
pub(super) struct Endpoint {
    handler: ReviewHandler,
    max_bytes: fn(&Limits) -> usize,
}

impl Endpoint {
    pub(super) fn admission(handler: ReviewHandler) -> Self {
        Self { handler, max_bytes: |limits| limits.admission_bytes }
    }

    pub(super) fn conversion(handler: ReviewHandler) -> Self {
        Self { handler, max_bytes: |limits| limits.conversion_bytes }
    }
}

/// A webhook with its path, and the maximum size of its request bodies in bytes.
struct Route {
    path: Arc<str>,
    handler: ReviewHandler,
    max_bytes: usize,
}

/// The webhooks by path, and the limits on their requests.
pub(crate) struct Router {
    routes: HashMap<String, Route>,
    /// The free memory for request bodies. One permit stands for [`BYTES_PER_PERMIT`] bytes.
    memory: Semaphore,
    request_time: Duration,
}

/// The number of bytes for which one permit of `Router::memory` stands.
const BYTES_PER_PERMIT: usize = 1024;

impl Router {
    pub(super) fn new(endpoints: Vec<(String, Endpoint)>, limits: &Limits) -> Result<Self, Error> {
        let total = limits.total_bytes.clamp(BYTES_PER_PERMIT, u32::MAX as usize);
        let mut routes = HashMap::new();
        for (path, endpoint) in endpoints {
            let problem = |problem| Err(Error::Path { path: path.clone(), problem });
            if !path.starts_with('/') {
                return problem("does not begin with a slash");
            }
            if path.contains(['?', '#']) {
                return problem("has a query or a fragment");
            }
            let max_bytes = (endpoint.max_bytes)(limits).min(total / BYTES_PER_PERMIT * BYTES_PER_PERMIT);
            let route = Route { path: path.as_str().into(), handler: endpoint.handler, max_bytes };
            if routes.insert(path.clone(), route).is_some() {
                return problem("has two webhooks");
            }
        }
        Ok(Self {
            routes,
            memory: Semaphore::new(total / BYTES_PER_PERMIT),
            request_time: limits.request_time,
        })
    }

    async fn answer_review(&self, route: &Route, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::POST {
            let mut response = text_response(StatusCode::METHOD_NOT_ALLOWED, "reviews are sent by POST");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
        if !media_type.trim().eq_ignore_ascii_case("application/json") {
            return text_response(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "reviews have the content type application/json",
            );
        }
        let too_large = || {
            text_response(StatusCode::PAYLOAD_TOO_LARGE, "the review exceeds the limit of the webhook server")
        };
        let length = request.body().size_hint().upper().and_then(|length| usize::try_from(length).ok());
        let length = length.unwrap_or(route.max_bytes);
        if length > route.max_bytes {
            return too_large();
        }
        let units = u32::try_from(length.div_ceil(BYTES_PER_PERMIT)).unwrap_or(u32::MAX);
        // The permits are held until the response is made. The semaphore is never closed.
        let _memory = self.memory.acquire_many(units).await;
        let body = match Limited::new(request.into_body(), route.max_bytes).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return too_large(),
            Err(error) => {
                tracing::debug!(%error, "the body of a request to a webhook ended early");
                return text_response(StatusCode::BAD_REQUEST, "the body is incomplete");
            }
        };
        match (route.handler)(body).await {
            Ok(answer) => {
                let mut response = Response::new(Full::new(answer.into()));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            Err(ReviewHandlerError(error)) => {
                tracing::debug!(error, path = %route.path, "a request to a webhook is not a review");
                text_response(StatusCode::BAD_REQUEST, &format!("not a review: {error}"))
            }
        }
    }
}

impl Handler for Router {
    type Body = Full<Bytes>;

    /// Answers a request within its time limit.
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let Some(route) = self.routes.get(request.uri().path()) else {
            return text_response(StatusCode::NOT_FOUND, "no webhook has this path");
        };
        let metrics = WebhookRequestMetrics::new(route.path.clone());
        let limit = request_timeout(request.uri().query())
            .map_or(self.request_time, |time| time.min(self.request_time));
        let response = timeout(limit, self.answer_review(route, request)).await;
        let response = response.unwrap_or_else(|_| {
            tracing::warn!(path = %route.path, ?limit, "a request to a webhook was cancelled by its time limit");
            text_response(StatusCode::GATEWAY_TIMEOUT, "the webhook did not answer within the time limit of the request")
        });
        metrics.record_response(response.status().as_u16());
        response
    }
}

/// The `timeout` in the query: the time for which the API server waits for the answer.
fn request_timeout(query: Option<&str>) -> Option<Duration> {
    let value = query?.split('&').find_map(|pair| pair.strip_prefix("timeout="))?;
    let timeout: kube_client::core::Duration = value.parse().ok()?;
    (!timeout.is_negative()).then(|| timeout.into())
}

/// An answer in plain text.
fn text_response(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{message}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_of_the_api_server_is_read() {
        let check = |query: Option<&str>, expected: Option<u64>| {
            assert_eq!(request_timeout(query), expected.map(Duration::from_millis), "{query:?}");
        };
        check(Some("timeout=10s"), Some(10_000));
        check(Some("a=b&timeout=1m500ms"), Some(60_500));
        check(Some("timeout=-1s"), None);
        check(Some("timeout=soon"), None);
        check(None, None);
    }
}
