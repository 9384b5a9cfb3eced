//! Metrics of requests, with the metric names of client-go, for the crate `metrics` (Cargo feature `metrics`).
//!
//! Labels must not contain paths: the number of label values would be unlimited.

use http::{Method, Request, Response};
use metrics::SharedString;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::error::BoxError;

/// The values that a [`Metered`] service measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MeasuredValues {
    /// The number of tries by their outcome, and the number of retries.
    Tries,
    /// The time to the head of the response, including all retries.
    Duration,
}

/// The extension that marks a request as a retry: the status code of the previous response, or `<error>`.
#[derive(Clone, Debug)]
pub(crate) struct PreviousOutcome(String);

impl PreviousOutcome {
    pub(crate) fn of<B>(outcome: &Result<Response<B>, BoxError>) -> Self {
        Self(code_label(outcome))
    }
}

/// Builds [`Metered`].
#[derive(Clone, Debug)]
pub(crate) struct MetricsLayer {
    host: Arc<str>,
    measured: MeasuredValues,
}

impl MetricsLayer {
    /// A layer for requests to this host.
    pub(crate) fn new(host: Arc<str>, measured: MeasuredValues) -> Self {
        Self { host, measured }
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Metered<S>;

    fn layer(&self, inner: S) -> Metered<S> {
        Metered { inner, layer: self.clone() }
    }
}

/// Records the metrics that its [`MeasuredValues`] selects.
#[derive(Clone, Debug)]
pub(crate) struct Metered<S> {
    inner: S,
    layer: MetricsLayer,
}

impl<S, A, B> Service<Request<A>> for Metered<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = BoxError>,
    S::Future: Unpin,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = MeteredFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let method = request.method().clone();
        let previous = request.extensions().get::<PreviousOutcome>();
        if let (MeasuredValues::Tries, Some(previous)) = (self.layer.measured, previous) {
            let (code, host) = (previous.0.clone(), SharedString::from(self.layer.host.clone()));
            metrics::counter!(
                "rest_client_request_retries_total",
                "code" => code, "verb" => method.to_string(), "host" => host
            )
            .increment(1);
        }
        MeteredFuture {
            inner: self.inner.call(request),
            method,
            layer: self.layer.clone(),
            started: Instant::now(),
        }
    }
}

pub(crate) struct MeteredFuture<F> {
    inner: F,
    method: Method,
    layer: MetricsLayer,
    started: Instant,
}

impl<F, B> Future for MeteredFuture<F>
where
    F: Future<Output = Result<Response<B>, BoxError>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let outcome = ready!(Pin::new(&mut self.inner).poll(cx));
        let (method, host) = (self.method.to_string(), SharedString::from(self.layer.host.clone()));
        match self.layer.measured {
            MeasuredValues::Tries => metrics::counter!(
                "rest_client_requests_total",
                "code" => code_label(&outcome), "method" => method, "host" => host
            )
            .increment(1),
            MeasuredValues::Duration => metrics::histogram!(
                "rest_client_request_duration_seconds",
                "verb" => method, "host" => host
            )
            .record(self.started.elapsed().as_secs_f64()),
        }
        Poll::Ready(outcome)
    }
}

/// The value of the label `code`: the status code of the response. As in client-go, the value is `<error>` if
/// there is no response.
fn code_label<B>(outcome: &Result<Response<B>, BoxError>) -> String {
    outcome.as_ref().map_or_else(|_| "<error>".to_owned(), |response| response.status().as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{Body, ClientBuilder},
        config::{Config, RetryPolicy},
    };
    use metrics::{
        Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString,
        Unit,
    };
    use std::{collections::BTreeMap, sync::Mutex, time::Duration};
    use tower::service_fn;

    type ValuesByMetric = Arc<Mutex<BTreeMap<String, Vec<f64>>>>;

    /// Stores each value under the name and labels of its metric.
    #[derive(Clone)]
    struct TestRecorder(ValuesByMetric, String);

    impl TestRecorder {
        fn push_value(&self, value: f64) {
            self.0.lock().unwrap().entry(self.1.clone()).or_default().push(value);
        }

        fn recorder_for(&self, key: &Key) -> Arc<Self> {
            let labels: Vec<_> =
                key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            Arc::new(Self(self.0.clone(), format!("{} {}", key.name(), labels.join(" "))))
        }
    }

    impl CounterFn for TestRecorder {
        fn increment(&self, value: u64) {
            self.push_value(f64::from(u32::try_from(value).unwrap()));
        }

        fn absolute(&self, _: u64) {}
    }

    impl HistogramFn for TestRecorder {
        fn record(&self, value: f64) {
            self.push_value(value);
        }
    }

    impl Recorder for TestRecorder {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.recorder_for(key))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(self.recorder_for(key))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_metrics_of_a_request_have_the_names_and_labels_of_client_go() {
        let recorder = TestRecorder(ValuesByMetric::default(), String::new());
        let _guard = metrics::set_default_local_recorder(&recorder);
        let calls = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let server = service_fn(move |_: Request<Body>| {
            let call = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                match call {
                    0 => Err(BoxError::from("reset")),
                    1 => Ok(Response::builder().status(503).body(Body::empty())?),
                    _ => Ok(Response::new(Body::from(b"ok".to_vec()))),
                }
            }
        });
        let mut config = Config::new("https://10.0.0.1:6443/prefix".parse().unwrap());
        config.retry = RetryPolicy::default().initial(Duration::ZERO);
        let client = ClientBuilder::over(server, &config).unwrap().build();
        client
            .request_text(Request::get("/api/v1/pods/secret-name").body(Vec::new()).unwrap())
            .await
            .unwrap();
        let host = "host=10.0.0.1:6443";
        let expected = [
            (format!("rest_client_request_duration_seconds verb=GET {host}"), vec![3.0]),
            (format!("rest_client_request_retries_total code=503 verb=GET {host}"), vec![1.0]),
            (format!("rest_client_request_retries_total code=<error> verb=GET {host}"), vec![1.0]),
            (format!("rest_client_requests_total code=200 method=GET {host}"), vec![1.0]),
            (format!("rest_client_requests_total code=503 method=GET {host}"), vec![1.0]),
            (format!("rest_client_requests_total code=<error> method=GET {host}"), vec![1.0]),
        ];
        let mut found = recorder.0.lock().unwrap().clone();
        for values in found.values_mut() {
            for value in values.iter_mut() {
                *value = value.round();
            }
        }
        assert_eq!(found, expected.into_iter().collect());
    }
}
