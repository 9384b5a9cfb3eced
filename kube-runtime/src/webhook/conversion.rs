//! The handler of conversion reviews.

use super::admission::panic_text;
use super::router::{ReviewHandler, ReviewHandlerError};
use crate::metrics::WebhookRequestMetrics;
use bytes::Bytes;
use futures::FutureExt;
use kube_client::core::conversion::{ConversionRequest, ConversionResponse, ConversionReview, Converter};
use kube_client::core::{Status, reason};
use std::sync::Arc;

/// Wraps the `converter` of [`Server::convert`](super::Server::convert) as a handler of reviews.
pub(super) fn conversion_handler<H: 'static>(converter: Converter<H>) -> ReviewHandler {
    let converter = Arc::new(converter);
    Arc::new(move |body: Bytes| {
        let converter = converter.clone();
        async move {
            // A review may contain many objects: their conversion must not block a thread that serves other requests.
            let task = tokio::task::spawn_blocking(move || answer(&converter, &body));
            task.await.map_err(ReviewHandlerError::new)?
        }
        .boxed()
    })
}

/// The answer to a review. If a conversion panics, the answer reports a failure.
fn answer<H>(converter: &Converter<H>, body: &[u8]) -> Result<Vec<u8>, ReviewHandlerError> {
    let review: ConversionReview = serde_json::from_slice(body)?;
    let types = review.types.clone();
    let uid = review.request.as_ref().map(|request| request.uid.clone());
    let uid = uid.ok_or_else(|| ReviewHandlerError::new("the field `request` is missing"))?;
    let respond = std::panic::AssertUnwindSafe(|| converter.respond(review));
    let answer = std::panic::catch_unwind(respond).unwrap_or_else(|panic| {
        WebhookRequestMetrics::count_panic();
        tracing::error!(panic = panic_text(&*panic), "a conversion panicked");
        let request = ConversionRequest {
            types: Some(types),
            uid,
            desired_api_version: String::new(),
            objects: Vec::new(),
        };
        let status = Status::failure("the conversion panicked", reason::INTERNAL_ERROR).with_code(500);
        ConversionResponse::for_request(request).failure(status).into_review()
    });
    Ok(serde_json::to_vec(&answer)?)
}
