//! The tower service: maps an HTTP request to a response, applies the fault rules and fills the journal.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::watch;
use tokio::time::Instant;

use super::authentication::{self, Caller};
use super::body::{SimBody, gzip_pieces};
use super::request_labels;
use super::upgrade;
use crate::fault::{Action, AppliedFault, BodyFaults, RequestAttributes};
use crate::handler::reply::{Content, Reply, Request};
use crate::handler::target::Path;
use crate::handler::{self, verb_of};
use crate::journal::{Entry, Recorder};
use crate::shared_state::Inner;
use crate::status::SimError;
use crate::store::cache::Arrival;
use crate::streams;
use crate::user::User;
use crate::warnings::MAX_WARNINGS;

/// Maximum size of a request body in bytes.
pub const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// The size in bytes above which the server compresses a response body, if the client accepts gzip.
const GZIP_THRESHOLD: usize = 128 * 1024;

/// Maximum time that a request waits until the watch cache or the store is fresh enough. After this time, a read at a
/// resource version gets 504, and a list without a resource version is read from the store.
const FRESHNESS_TIMEOUT: Duration = Duration::from_secs(3);
/// The interval at which the server repeats a request that waits for a resource version.
const FRESHNESS_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A response extension: the listener must break the HTTP/1 connection or the HTTP/2 stream instead of sending the
/// response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BreakConnection;

/// A simulation as a `tower::Service`, for use as the transport of a client.
///
/// The service is always ready and never returns an error: a failed request gets an error response. Watches and delays
/// need a tokio runtime with timers.
#[derive(Clone, Debug)]
pub struct SimService {
    inner: Arc<Inner>,
    /// The numbers of the API servers that receive the requests (round-robin).
    servers: Arc<[usize]>,
    /// The number of requests so far, which selects the API server of the next request.
    turn: Arc<AtomicUsize>,
}

impl SimService {
    /// A service that distributes its requests over the API servers with these numbers (round-robin).
    pub(crate) fn new(inner: Arc<Inner>, servers: Arc<[usize]>) -> Self {
        Self { inner, servers, turn: Arc::default() }
    }
}

impl<B> tower::Service<http::Request<B>> for SimService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<SimBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            if upgrade::is_requested(request.headers()) {
                return Ok(upgrade::respond_in_process(service, request).await);
            }
            Ok(service.respond(request).await.0)
        })
    }
}

impl SimService {
    /// A receiver that is notified when the API server restarts.
    pub(super) fn subscribe_to_restarts(&self) -> watch::Receiver<u64> {
        self.inner.subscribe_to_restarts()
    }

    /// Returns the response to a request, and the session to run on the connection after a response 101.
    pub(super) async fn respond<B>(
        &self,
        request: http::Request<B>,
    ) -> (Response<SimBody>, Option<streams::Session>)
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let server = self.servers.get(turn % self.servers.len().max(1)).copied().unwrap_or(0);
        respond(&self.inner, server, request).await
    }
}

/// Records a request in the journal, applies the fault rules, and returns the response.
async fn respond<B>(
    inner: &Arc<Inner>,
    server: usize,
    request: http::Request<B>,
) -> (Response<SimBody>, Option<streams::Session>)
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let request = request_without_body(&parts, server);
    let entry = journal_entry(inner, &request, false);
    let path = Path::parse(&request.path).unwrap_or_default();
    let faults = inner.faults.select_for_request(&fault_attributes(&entry, &path));
    let mut labels = request_labels::labels_of(&request, &path, entry.verb);
    let recorder = inner.journal.add_entry(entry);
    recorder.record_faults(&faults);
    let mut reply = if let Some(reply) = apply_request_faults(inner, &faults).await {
        reply
    } else {
        let caller = parts.extensions.get::<Caller>();
        match authentication::user_of_request(inner, caller, &parts.headers, &request.path) {
            Ok(user) => handle_request(inner, &recorder, user, request, body).await,
            Err(error) => Reply::error(&error),
        }
    };
    let upgraded = upgrade::take_session(&mut reply, &parts.headers);
    labels.code = reply.code.as_u16();
    let version = {
        let state = inner.lock();
        request_labels::remove_labels_if_unserved(&mut labels, &state.registry);
        state.version()
    };
    inner.counters.count_request(labels);
    recorder.record_status(reply.code, version);
    let gzip = header_text(&parts.headers, &header::ACCEPT_ENCODING).contains("gzip");
    let body_faults = BodyFaults::of(&faults);
    let mut response = build_response(reply, recorder, body_faults, gzip);
    if faults.iter().any(|f| matches!(f.action, Action::Reset | Action::ResetAfterHandling)) {
        response.extensions_mut().insert(BreakConnection);
    }
    let session = upgraded.map(|(headers, session)| {
        *response.headers_mut() = headers;
        session
    });
    (response, session)
}

/// The attributes of a request, for the comparison with the conditions of fault rules.
fn fault_attributes<'a>(entry: &'a Entry, path: &'a Path) -> RequestAttributes<'a> {
    RequestAttributes {
        verb: entry.verb,
        group: &path.group,
        resource: &path.resource,
        namespace: &path.namespace,
        name: &path.name,
        subresource: &path.subresource,
        user_agent: &entry.user_agent,
        replica: entry.replica,
    }
}

/// The request for the handlers. Its user and its body are still empty.
fn request_without_body(parts: &Parts, server: usize) -> Request {
    let content_type = header_text(&parts.headers, &header::CONTENT_TYPE);
    Request {
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        accept: header_text(&parts.headers, &header::ACCEPT).to_owned(),
        content_type: content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase(),
        user_agent: header_text(&parts.headers, &header::USER_AGENT).to_owned(),
        user: User::default(),
        if_none_match: header_text(&parts.headers, &header::IF_NONE_MATCH).to_owned(),
        calls_webhooks: true,
        upgrade: upgrade::read_offer(&parts.headers),
        body: Bytes::new(),
        arrival: Arrival { server, version: 0, waits: true },
    }
}

/// The entry of a request in the journal. `direct` is true for a request without a connection, from a method such as
/// `Sim::create`.
pub(crate) fn journal_entry(inner: &Inner, request: &Request, direct: bool) -> Entry {
    let path = Path::parse(&request.path);
    let verb = path.as_ref().map_or("", |p| verb_of(&request.method, p, &request.query));
    let (group, resource) = path.map(|p| (p.group, p.resource)).unwrap_or_default();
    Entry {
        number: 0,
        time: inner.clock.now(),
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        verb,
        group,
        resource,
        status: None,
        user_agent: request.user_agent.clone(),
        accept: request.accept.clone(),
        content_type: request.content_type.clone(),
        direct,
        replica: request.arrival.server,
        faults: Vec::new(),
        handling: None,
        request_body: None,
        response_body: None,
    }
}

/// Applies the faults that precede the handling of a request. If this function returns a response, the request is not
/// handled.
async fn apply_request_faults(inner: &Inner, faults: &[AppliedFault]) -> Option<Reply> {
    for fault in faults {
        match &fault.action {
            Action::Delay(time) => tokio::time::sleep(*time).await,
            Action::Hang => std::future::pending::<()>().await,
            Action::Reset => return Some(Reply::text(StatusCode::OK, "")),
            Action::Status { code, message, retry_after } => {
                let code = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut error = SimError::of_code(code, message.as_deref());
                if let Some(seconds) = retry_after {
                    error = error.with_retry_after(*seconds);
                }
                return Some(Reply::error(&error));
            }
            Action::Compact => inner.lock().compact(u64::MAX),
            Action::Restart => inner.restart(),
            Action::Rewind(changes) => {
                if let Err(error) = inner.rewind(*changes) {
                    let why = format!("fault rule {}: {}", fault.rule, error.message());
                    return Some(Reply::error(&SimError::internal(why)));
                }
            }
            _ => {}
        }
    }
    None
}

/// Reads the body and calls the handlers. If the watch cache or the store has not reached the resource
/// version that the request needs, repeats the call for [`FRESHNESS_TIMEOUT`]. Then sets `arrival.waits` to
/// false, and calls the handlers a last time.
async fn handle_request<B>(
    inner: &Arc<Inner>,
    recorder: &Recorder,
    user: User,
    mut request: Request,
    body: B,
) -> Reply
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    request.user = user;
    request.body = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(e) if e.is::<LengthLimitError>() => return Reply::error(&SimError::too_large_body(BODY_LIMIT)),
        Err(e) => {
            return Reply::error(&SimError::bad_request(format!("reading the request body failed: {e}")));
        }
    };
    recorder.record_request_body(&request.body);
    request.arrival.version = inner.lock().version();
    let deadline = Instant::now() + FRESHNESS_TIMEOUT;
    loop {
        recorder.record_handling(inner.clock.now(), inner.lock().version());
        match handler::handle(inner, &request).await {
            Ok(reply) => return reply,
            Err(e) if e.is_too_large_resource_version() && Instant::now() < deadline => {
                tokio::time::sleep(FRESHNESS_POLL_INTERVAL).await;
            }
            Err(e) if e.is_too_large_resource_version() && request.arrival.waits => {
                request.arrival.waits = false;
            }
            Err(e) => return Reply::negotiated_error(&e, &request.accept),
        }
    }
}

/// The value of a header; empty if the header is absent or not ASCII.
pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

fn build_response(
    reply: Reply,
    recorder: Recorder,
    faults: Option<BodyFaults>,
    accepts_gzip: bool,
) -> Response<SimBody> {
    let Reply { code, content_type, warnings, retry_after, headers: others, mut content } = reply;
    let mut recorder = Some(recorder).filter(Recorder::records_bodies);
    content = match (content, recorder.as_ref()) {
        (Content::Whole(bytes), Some(recorder)) => {
            recorder.record_response_part(&bytes);
            Content::Whole(bytes)
        }
        (Content::Pieces(pieces, size), Some(_)) => {
            let recorder = recorder.take();
            let record = move |piece: &Bytes| recorder.iter().for_each(|r| r.record_response_part(piece));
            Content::Pieces(Box::new(pieces.inspect(record)), size)
        }
        (content, _) => content,
    };
    if let Some(faults) = faults.as_ref().filter(|f| f.replaces_objects()) {
        content = match content {
            Content::Whole(bytes) => Content::Whole(faults.apply_to_body(bytes)),
            Content::Pieces(pieces, _) => {
                let mut whole = BytesMut::new();
                pieces.for_each(|piece| whole.extend_from_slice(&piece));
                Content::Whole(faults.apply_to_body(whole.freeze()))
            }
            other => other,
        };
    }
    let mut compressed = false;
    content = match content {
        Content::Pieces(pieces, size) if accepts_gzip && size > GZIP_THRESHOLD => {
            compressed = true;
            Content::Pieces(gzip_pieces(pieces), size)
        }
        Content::Whole(bytes) if accepts_gzip && bytes.len() > GZIP_THRESHOLD => {
            compressed = true;
            let size = bytes.len();
            Content::Pieces(gzip_pieces(Box::new(std::iter::once(bytes))), size)
        }
        other => other,
    };
    let mut response = Response::new(SimBody::new(content, faults, recorder));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.extend(others);
    if !content_type.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    if compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    for warning in warnings.iter().take(MAX_WARNINGS) {
        if let Ok(value) = HeaderValue::from_str(&warning_text(warning)) {
            headers.append(header::WARNING, value);
        }
    }
    response
}

/// The value of a `Warning` header (RFC 7234), with at most 1,000 characters of `text`. A character that is not
/// printable ASCII becomes `?`.
fn warning_text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 10);
    quoted.push_str("299 - \"");
    for c in text.chars().take(1_000) {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            ' '..='~' => quoted.push(c),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}
