//! The metrics of the requests to webhooks, under the names of controller-runtime.

use std::sync::Arc;
#[cfg(feature = "metrics")]
use tokio::time::Instant;

/// The metrics of a request in flight. Dropping this value subtracts the request from the gauge of requests in flight.
/// If [`record_response`](Self::record_response) was not called, the request was cancelled, and no other metric changes.
pub(crate) struct WebhookRequestMetrics {
    #[cfg(feature = "metrics")]
    path: Arc<str>,
    #[cfg(feature = "metrics")]
    started: Instant,
    #[cfg(feature = "metrics")]
    code: Option<u16>,
}

#[cfg(feature = "metrics")]
impl WebhookRequestMetrics {
    /// Adds a request to the gauge of requests in flight. `path` is the path of the webhook.
    pub(crate) fn new(path: Arc<str>) -> Self {
        metrics::gauge!("controller_runtime_webhook_requests_in_flight", "webhook" => path.clone())
            .increment(1.0);
        Self { path, started: Instant::now(), code: None }
    }

    /// Records the duration of the request, and counts the request with the HTTP status `code` of its response.
    pub(crate) fn record_response(mut self, code: u16) {
        self.code = Some(code);
    }

    /// Counts a panic of a handler.
    pub(crate) fn count_panic() {
        metrics::counter!("controller_runtime_webhook_panics_total").increment(1);
    }
}

#[cfg(feature = "metrics")]
impl Drop for WebhookRequestMetrics {
    fn drop(&mut self) {
        let path = || self.path.clone();
        metrics::gauge!("controller_runtime_webhook_requests_in_flight", "webhook" => path()).decrement(1.0);
        let Some(code) = self.code else { return };
        metrics::histogram!("controller_runtime_webhook_latency_seconds", "webhook" => path())
            .record(self.started.elapsed());
        metrics::counter!("controller_runtime_webhook_requests_total", "webhook" => path(), "code" => code.to_string())
            .increment(1);
    }
}

#[cfg(not(feature = "metrics"))]
impl WebhookRequestMetrics {
    pub(crate) fn new(_: Arc<str>) -> Self {
        Self {}
    }

    #[expect(clippy::unused_self, reason = "the method with the feature uses it")]
    pub(crate) fn record_response(self, _: u16) {}

    pub(crate) fn count_panic() {}
}
