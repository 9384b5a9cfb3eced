//! Handlers of admission reviews: each turns the body of a review into the body of the answer.

use super::Warnings;
use super::rejection::{Rejection, text_with_causes};
use super::router::{ReviewHandler, ReviewHandlerError};
use crate::metrics::WebhookRequestMetrics;
use bytes::Bytes;
use futures::FutureExt;
use kube_client::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use kube_client::core::{Status, reason};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{panic::AssertUnwindSafe, sync::Arc};

/// Wraps the `handler` of [`Server::admit`](super::Server::admit) as a handler of reviews.
pub(super) fn admission_handler<K, Fut>(
    handler: impl Fn(AdmissionRequest<K>) -> Fut + Send + Sync + 'static,
) -> ReviewHandler
where
    K: DeserializeOwned + Send + 'static,
    Fut: Future<Output = AdmissionResponse> + Send + 'static,
{
    let handler = Arc::new(handler);
    review_handler(move |request| {
        let handler = handler.clone();
        async move {
            match request.decode::<K>() {
                Ok(request) => handler(request).await,
                Err(error) => answer_to_undecodable_object(&request, &error),
            }
        }
    })
}

/// Wraps the `handler` of [`Server::validate`](super::Server::validate) as a handler of reviews.
pub(super) fn validation_handler<K, Fut>(
    handler: impl Fn(AdmissionRequest<K>) -> Fut + Send + Sync + 'static,
) -> ReviewHandler
where
    K: DeserializeOwned + Send + 'static,
    Fut: Future<Output = Result<Warnings, Rejection>> + Send + 'static,
{
    let handler = Arc::new(handler);
    admission_handler(move |request: AdmissionRequest<K>| {
        let handler = handler.clone();
        async move {
            let mut response = AdmissionResponse::from(&request);
            match handler(request).await {
                Ok(warnings) => {
                    response.warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
                    response
                }
                Err(rejection) => rejection.apply_to(response),
            }
        }
    })
}

/// A handler of reviews that calls `handler` with the request of each review. A panic in `handler` rejects the request.
pub(super) fn review_handler<Fut>(
    handler: impl Fn(AdmissionRequest<Value>) -> Fut + Send + Sync + 'static,
) -> ReviewHandler
where
    Fut: Future<Output = AdmissionResponse> + Send + 'static,
{
    let handler = Arc::new(handler);
    Arc::new(move |body: Bytes| {
        let handler = handler.clone();
        async move {
            let review: AdmissionReview<Value> = serde_json::from_slice(&body)?;
            drop(body);
            let request = AdmissionRequest::try_from(review).map_err(ReviewHandlerError::new)?;
            let (name, allowed) = (request.name.clone(), AdmissionResponse::from(&request));
            let uid = request.uid.clone();
            // Each request decodes its own object. After a panic, only state that `handler` itself shares between requests
            // can be inconsistent.
            let called = AssertUnwindSafe(async { handler(request).await }).catch_unwind().await;
            let mut response = called.unwrap_or_else(|panic| {
                WebhookRequestMetrics::count_panic();
                tracing::error!(name, panic = panic_text(&*panic), "the handler of a webhook panicked");
                let status = Status::failure("the handler of the webhook panicked", reason::INTERNAL_ERROR);
                Rejection::from_status(status.with_code(500)).apply_to(allowed)
            });
            // The API server rejects an answer whose uid differs from the uid of the request.
            response.uid = uid;
            Ok::<_, ReviewHandlerError>(serde_json::to_vec(&response.into_review())?)
        }
        .boxed()
    })
}

/// The answer to a request whose object does not decode.
pub(super) fn answer_to_undecodable_object(
    request: &AdmissionRequest<Value>,
    error: &dyn std::error::Error,
) -> AdmissionResponse {
    let status = Status::failure(&text_with_causes(error), reason::BAD_REQUEST).with_code(400);
    Rejection::from_status(status).apply_to(AdmissionResponse::from(request))
}

/// The message of a panic.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "without a message",
    }
}
