//! The manager's HTTP server: metrics, probes and the status page. No handler changes anything. Only the access filter
//! (see `access`) sends requests to the API server, to find out whether a client has permission.

use super::Error;
use super::access::{AccessFilter, filter_request};
use super::checks::{Checks, Report};
use super::page::{self, ElectionState, PageContent};
use super::parts::CacheCheck;
use crate::controller::{Gate, Inspection, Inspector};
use crate::reflector::Overview;
use crate::serving::{self, Handler, ServerTls, ServingCertificate};
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::get;
use futures::future::join_all;
use hyper::body::Incoming;
use std::{
    fmt,
    net::{SocketAddr, TcpListener},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tower::ServiceExt as _;

const DEFAULT_ADDRESS: &str = "127.0.0.1:8080";
/// The time for which the status page waits for the answer of a controller.
const INSPECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// A function that renders the metrics of the process.
pub(super) type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// The listeners of the server.
#[derive(Default)]
pub(super) struct Listeners {
    all: Option<TcpListener>,
    probes: Option<TcpListener>,
    is_disabled: bool,
    /// The TLS settings of the listener that serves all paths; `None` if this listener serves plain HTTP.
    tls: Option<ServerTls>,
    /// The access filter of the listener that serves all paths.
    pub(super) access: Option<AccessFilter>,
    /// The user's function that renders the metrics for `/metrics`. If it is `None`, the metrics recorder
    /// that all managers of the process share renders the metrics.
    pub(super) render: Option<RenderMetrics>,
}

impl Listeners {
    pub(super) fn bind_for_all_paths(&mut self, address: &str) -> Result<(), Error> {
        self.all = Some(bind(address)?);
        Ok(())
    }

    pub(super) fn bind_for_probes(&mut self, address: &str) -> Result<(), Error> {
        self.probes = Some(bind(address)?);
        Ok(())
    }

    /// Loads a certificate and its key from files, and uses TLS for the listener that serves all paths. Blocks the thread
    /// while it reads the files.
    pub(super) fn load_certificate(&mut self, certificate: &Path, key: &Path) -> Result<(), Error> {
        let certificate = ServingCertificate::from_files(certificate, key).map_err(Error::Certificate)?;
        self.tls = Some(ServerTls::new(Arc::new(certificate)).map_err(Error::Certificate)?);
        Ok(())
    }

    /// Closes the listener that serves all paths. A later call of [`into_endpoints`](Self::into_endpoints)
    /// does not bind this listener to the default address. The listener for the probes stays open.
    pub(super) fn disable_except_probes(&mut self) {
        (self.all, self.is_disabled) = (None, true);
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.all.as_ref()?.local_addr().ok()
    }

    pub(super) fn probe_address(&self) -> Option<SocketAddr> {
        self.probes.as_ref()?.local_addr().ok()
    }

    /// Whether `/metrics` is served from the recorder of the process.
    pub(super) fn needs_recorder(&self) -> bool {
        self.serves_all_paths() && self.render.is_none()
    }

    /// Whether the server serves all paths, on a listener that is already bound or on the default address.
    fn serves_all_paths(&self) -> bool {
        self.all.is_some() || !self.is_disabled
    }

    /// Returns the endpoints. If there is no listener for all paths, first binds this listener to the default
    /// address. Does not bind it after a call of [`disable_except_probes`](Self::disable_except_probes).
    pub(super) fn into_endpoints(mut self, state: &Arc<ServerState>) -> Result<Vec<Endpoint>, Error> {
        if self.all.is_none() && self.serves_all_paths() {
            self.bind_for_all_paths(DEFAULT_ADDRESS)?;
        }
        let router = router(state.clone(), self.access.map(Arc::new));
        let all = self.all.map(|listener| Endpoint { listener, router, tls: self.tls });
        // A client sends one probe per connection. After the answer, an open connection would only occupy a slot of the
        // listener.
        let closing = map_response(async |mut response: Response<Body>| {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            response
        });
        let probes = self.probes.map(|listener| Endpoint {
            listener,
            router: probe_router(state.clone()).layer(closing),
            tls: None,
        });
        Ok(all.into_iter().chain(probes).collect())
    }
}

impl Handler for Router {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let Ok(response) = self.clone().oneshot(request).await;
        response
    }
}

/// A listener, and the router and the TLS of its connections.
pub(super) struct Endpoint {
    pub(super) listener: TcpListener,
    pub(super) router: Router,
    /// The TLS settings of the connections; `None` for plain HTTP.
    pub(super) tls: Option<ServerTls>,
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners")
            .field("all", &self.address())
            .field("probes", &self.probe_address())
            .field("tls", &self.tls)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

fn bind(address: &str) -> Result<TcpListener, Error> {
    serving::bind(address).map_err(|source| Error::Listen { address: address.to_owned(), source })
}

/// The data from which the HTTP server answers requests.
pub(super) struct ServerState {
    pub(super) checks: Checks,
    /// One check for each cache in `caches`, and for each other store that a controller waits for.
    pub(super) cache_checks: Vec<CacheCheck>,
    /// The name and the state of each cache.
    pub(super) caches: Vec<(String, Arc<dyn Fn() -> Overview + Send + Sync>)>,
    pub(super) controllers: Vec<(String, Inspector)>,
    /// The name of the lease, the identity of this process, and the gate that is open while this process is the leader.
    pub(super) lease: Option<(String, String, Gate)>,
    pub(super) render: RenderMetrics,
}

/// The router of all paths. `access` filters all requests except the probes.
fn router(state: Arc<ServerState>, access: Option<Arc<AccessFilter>>) -> Router {
    let mut content =
        Router::new().route("/", get(status_page)).route("/metrics", get(metrics)).with_state(state.clone());
    if let Some(access) = access {
        // Set a fallback before the layer, so that the filter also covers unknown paths.
        content = content
            .fallback(async || StatusCode::NOT_FOUND)
            .layer(from_fn_with_state(access, filter_request));
    }
    content.merge(probe_router(state))
}

fn probe_router(state: Arc<ServerState>) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(state)
}

async fn metrics(State(state): State<Arc<ServerState>>) -> Response<Body> {
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    // `render` may be a user's function, and may panic.
    let (status, metrics) = match catch_unwind(AssertUnwindSafe(|| (state.render)())) {
        Ok(metrics) => (StatusCode::OK, metrics),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "rendering the metrics panicked\n".to_owned()),
    };
    build_response(status, [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")], metrics)
}

async fn healthz(State(state): State<Arc<ServerState>>, RawQuery(query): RawQuery) -> Response<Body> {
    probe_answer("healthz", &state.checks.run_health_checks(), query.as_deref())
}

async fn readyz(State(state): State<Arc<ServerState>>, RawQuery(query): RawQuery) -> Response<Body> {
    let mut report = state.checks.run_ready_checks();
    for check in &state.cache_checks {
        report.add_result(&check.name(), check.run());
    }
    probe_answer("readyz", &report, query.as_deref())
}

/// If a check failed or the query contains `verbose`, answers with the lines of all checks. Otherwise answers `ok`.
fn probe_answer(probe: &str, report: &Report, query: Option<&str>) -> Response<Body> {
    let is_verbose = query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("verbose")));
    let (status, outcome) =
        if report.passed { (StatusCode::OK, "passed") } else { (StatusCode::SERVICE_UNAVAILABLE, "failed") };
    let text = if report.passed && !is_verbose {
        "ok".to_owned()
    } else {
        format!("{}{probe} check {outcome}\n", report.lines)
    };
    let plain = (CONTENT_TYPE, "text/plain; charset=utf-8");
    build_response(status, [plain, (CACHE_CONTROL, "no-store")], text)
}

async fn status_page(State(state): State<Arc<ServerState>>) -> Response<Body> {
    let html = page::render(&state.collect_status().await);
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, policy),
    ];
    build_response(StatusCode::OK, headers, html)
}

/// Creates an answer. Panics if a header value is invalid.
pub(super) fn build_response<const N: usize>(
    status: StatusCode,
    headers: [(HeaderName, &'static str); N],
    body: String,
) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

impl ServerState {
    /// Collects the content of the status page. Asks each controller for its state.
    pub(super) async fn collect_status(&self) -> PageContent {
        let inspections = self.controllers.iter().map(async |(name, inspector)| {
            let inspection: Option<Inspection> = inspector.inspect(INSPECTION_TIMEOUT).await;
            (name.clone(), inspection)
        });
        PageContent {
            lease: self.lease.as_ref().map(|(name, identity, gate)| ElectionState {
                name: name.clone(),
                identity: identity.clone(),
                is_leader: gate.is_open(),
            }),
            caches: self.caches.iter().map(|(name, overview)| (name.clone(), overview())).collect(),
            controllers: join_all(inspections).await,
        }
    }
}
