//! The metrics of a webhook, under the names of controller-runtime.

use std::sync::Arc;
#[cfg(feature = "metrics")]
use tokio::time::Instant;

/// A request in flight. Dropping it records the request; a request without [`answered`](Self::answered) was cancelled,
/// and is only subtracted from the gauge of requests in flight.
pub(crate) struct WebhookRequest {
    #[cfg(feature = "metrics")]
    path: Arc<str>,
    #[cfg(feature = "metrics")]
    started: Instant,
    #[cfg(feature = "metrics")]
    code: Option<u16>,
}

#[cfg(feature = "metrics")]
impl WebhookRequest {
    /// `path` is that of the webhook.
    pub(crate) fn new(path: Arc<str>) -> Self {
        metrics::gauge!("controller_runtime_webhook_requests_in_flight", "webhook" => path.clone())
            .increment(1.0);
        Self { path, started: Instant::now(), code: None }
    }

    /// Sets the HTTP status of the response.
    pub(crate) fn answered(mut self, code: u16) {
        self.code = Some(code);
    }

    /// Counts a panic of a handler.
    pub(crate) fn count_panic() {
        metrics::counter!("controller_runtime_webhook_panics_total").increment(1);
    }
}

#[cfg(feature = "metrics")]
impl Drop for WebhookRequest {
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
impl WebhookRequest {
    pub(crate) fn new(_: Arc<str>) -> Self {
        Self {}
    }

    #[expect(clippy::unused_self, reason = "the method with the feature uses it")]
    pub(crate) fn answered(self, _: u16) {}

    pub(crate) fn count_panic() {}
}
