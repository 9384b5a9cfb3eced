//! One `tracing` span per request, with the attribute names of OpenTelemetry's semantic conventions for HTTP client
//! spans, and one event with the outcome. The span and the event must not contain headers, bodies or queries.

use futures::future::BoxFuture;
use http::{Request, Response, Uri, uri::Authority};
use std::task::{Context, Poll};
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::{Instrument, Span, field::Empty};

use crate::client::verb::verb;
use crate::error::{BoxError, Error, TransportKind};

/// Builds [`Trace`].
#[derive(Clone, Debug)]
pub(crate) struct TraceLayer {
    /// The address of the server.
    server: Uri,
}

impl TraceLayer {
    pub(crate) fn new(server: Uri) -> Self {
        Self { server }
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { inner, server: self.server.clone() }
    }
}

/// Wraps each request in a span if the level `DEBUG` is enabled.
#[derive(Clone, Debug)]
pub(crate) struct Trace<S> {
    inner: S,
    server: Uri,
}

impl<S, A, B> Service<Request<A>> for Trace<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return Box::pin(self.inner.call(request));
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let span = request_span(&request, &self.server);
        let response = span.in_scope(|| self.inner.call(request));
        let traced = async move {
            let started = Instant::now();
            let response = response.await;
            record_outcome(&Span::current(), &response);
            let elapsed = started.elapsed();
            match &response {
                Ok(response) => {
                    tracing::debug!(%method, path, status = response.status().as_u16(), ?elapsed, "request");
                }
                Err(error) => tracing::debug!(%method, path, %error, ?elapsed, "request failed"),
            }
            response
        };
        Box::pin(traced.instrument(span))
    }
}

/// The span of a request. Its field `otel.name` is the `&'static str` in the request's extensions. Without this
/// extension, the field is the verb.
fn request_span<A>(request: &Request<A>, server: &Uri) -> Span {
    let name = request.extensions().get::<&'static str>().copied();
    let name = name.unwrap_or_else(|| verb(request.method(), request.uri()));
    tracing::debug_span!(
        "HTTP",
        otel.name = name,
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = request.method().as_str(),
        http.request.resend_count = Empty,
        http.response.status_code = Empty,
        url.scheme = server.scheme_str(),
        url.path = request.uri().path(),
        server.address = server.host(),
        server.port = server.authority().and_then(Authority::port_u16),
        error.r#type = Empty,
    )
}

/// Records the outcome of a request in its span.
fn record_outcome<B>(span: &Span, outcome: &Result<Response<B>, BoxError>) {
    match outcome {
        Ok(response) => {
            let code = response.status();
            span.record("http.response.status_code", code.as_u16());
            if code.is_client_error() || code.is_server_error() {
                span.record("otel.status_code", "ERROR").record("error.type", code.as_str());
            }
        }
        Err(error) => {
            span.record("otel.status_code", "ERROR").record("error.type", error_type(error));
        }
    }
}

/// The class of an error, for the attribute `error.type`.
fn error_type(error: &BoxError) -> &'static str {
    match error.downcast_ref::<Error>() {
        Some(Error::Timeout { .. }) => "timeout",
        Some(Error::Auth { .. }) => "credentials",
        Some(Error::Transport { kind, .. }) => match kind {
            TransportKind::Resolve => "name_resolution",
            TransportKind::Connect => "connect",
            TransportKind::Proxy => "proxy",
            TransportKind::Tls => "tls",
            TransportKind::Broken => "broken_connection",
            TransportKind::Other => "_OTHER",
        },
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{Body, ClientBuilder},
        config::{Config, RetryPolicy},
    };
    use std::{
        collections::BTreeMap,
        sync::{Arc, Mutex},
        time::Duration,
    };
    use tower::service_fn;
    use tracing::{
        field::{Field, Visit},
        span::{Attributes, Id, Record},
    };
    use tracing_subscriber::{
        layer::{Context as SubscriberContext, SubscriberExt},
        registry::LookupSpan,
    };

    type Fields = Arc<Mutex<BTreeMap<String, String>>>;

    /// Collects the fields of new spans with the name `HTTP`, and all values that are recorded later.
    struct FieldCollector(Fields);

    struct Visitor<'a>(&'a Fields);

    impl Visit for Visitor<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            let text = format!("{value:?}").trim_matches('"').to_owned();
            self.0.lock().unwrap().insert(field.name().to_owned(), text);
        }
    }

    impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for FieldCollector {
        fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: SubscriberContext<'_, S>) {
            if attributes.metadata().name() == "HTTP" {
                attributes.record(&mut Visitor(&self.0));
            }
        }

        fn on_record(&self, _: &Id, values: &Record<'_>, _: SubscriberContext<'_, S>) {
            values.record(&mut Visitor(&self.0));
        }
    }

    /// Sends a request to a server that responds to the tries with `codes`, in this order. Each further try fails. Returns
    /// the fields of the request's span.
    async fn span_fields(codes: &'static [u16]) -> BTreeMap<String, String> {
        let fields = Fields::default();
        let _guard = tracing::subscriber::set_default(
            tracing_subscriber::registry().with(FieldCollector(fields.clone())),
        );
        let calls = std::sync::atomic::AtomicUsize::new(0);
        let calls = Arc::new(calls);
        let server = service_fn(move |_: Request<Body>| {
            let code = codes.get(calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
            std::future::ready(match code {
                Some(code) => Ok(Response::builder().status(*code).body(Body::empty()).unwrap()),
                None => Err(BoxError::from("reset")),
            })
        });
        let mut config = Config::new("https://example.com:6443/prefix".parse().unwrap());
        config.retry = RetryPolicy::default().tries(2).initial(Duration::ZERO);
        let client = ClientBuilder::over(server, &config).unwrap().build();
        let request = Request::get("/api/v1/namespaces/n/pods/p?pretty=s3cr3t").body(Body::empty()).unwrap();
        let _ = client.send(request).await;
        let fields = fields.lock().unwrap().clone();
        assert!(!format!("{fields:?}").contains("s3cr3t"));
        fields
    }

    #[tokio::test]
    async fn the_span_of_a_request_has_the_field_names_of_opentelemetry() {
        let common = [
            ("http.request.method", "GET"),
            ("otel.kind", "client"),
            ("otel.name", "get"),
            ("server.address", "example.com"),
            ("server.port", "6443"),
            ("url.path", "/api/v1/namespaces/n/pods/p"),
            ("url.scheme", "https"),
        ];
        for (codes, outcome) in [
            (&[200][..], &[("http.response.status_code", "200")][..]),
            (
                &[404],
                &[("error.type", "404"), ("http.response.status_code", "404"), ("otel.status_code", "ERROR")],
            ),
            (&[503, 200], &[("http.request.resend_count", "1"), ("http.response.status_code", "200")]),
            (
                &[],
                &[
                    ("error.type", "broken_connection"),
                    ("http.request.resend_count", "1"),
                    ("otel.status_code", "ERROR"),
                ],
            ),
        ] {
            let expected: BTreeMap<_, _> = common.iter().chain(outcome).copied().collect();
            let found = span_fields(codes).await;
            let found: BTreeMap<_, _> = found.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(found, expected);
        }
    }
}
