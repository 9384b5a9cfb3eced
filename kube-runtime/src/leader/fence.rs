//! `Fence`: refuses the writes of a process that may no longer be the leader.

use futures::future::{BoxFuture, Either, select};
use http::{Method, Request, Response, header};
use kube_client::Error;
use kube_client::client::{Body, HttpService};
use kube_client::error::BoxError;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::watch;
use tokio::time::Instant;
use tower::{Layer, Service};

/// The error of a process that is not the leader, or may no longer be the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this process is not the leader")]
#[non_exhaustive]
pub struct NotLeader;

/// Whether a request failed because this process is not the leader; see
/// [`Leadership::client`](super::Leadership::client).
pub fn is_fenced(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<NotLeader>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The term of this process as the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Term {
    /// Not the leader yet.
    Candidate,
    /// The leader until this time: the start of the last successful renewal plus the renew deadline.
    Until(Instant),
    /// Never the leader again.
    Ended,
}

/// Sets the [`Term`] of a [`Fence`].
#[derive(Debug, Clone)]
pub(super) struct TermSender(Arc<watch::Sender<Term>>);

impl TermSender {
    /// Begins or extends the term, unless it has ended.
    pub(super) fn extend(&self, until: Instant) {
        self.0.send_if_modified(|term| {
            let continues = *term != Term::Ended;
            if continues {
                *term = Term::Until(until);
            }
            continues
        });
    }

    /// Ends the term permanently.
    pub(super) fn end(&self) {
        self.0.send_replace(Term::Ended);
    }
}

/// A fence around the writes of this process: open while the process is the leader.
#[derive(Debug, Clone)]
pub(super) struct Fence {
    term: watch::Receiver<Term>,
}

impl Fence {
    /// A closed fence, and the sender of its term.
    pub(super) fn new() -> (TermSender, Self) {
        let sender = watch::Sender::new(Term::Candidate);
        let fence = Self { term: sender.subscribe() };
        (TermSender(Arc::new(sender)), fence)
    }

    /// Whether this process is the leader now.
    pub(super) fn is_open(&self) -> bool {
        matches!(*self.term.borrow(), Term::Until(until) if Instant::now() < until)
    }

    /// Waits until this process is no longer the leader. Renewals extend the wait.
    async fn wait_until_closed(&mut self) {
        loop {
            let term = *self.term.borrow_and_update();
            let Term::Until(until) = term else { return };
            if Instant::now() >= until {
                return;
            }
            let (elapsed, changed) = (pin!(tokio::time::sleep_until(until)), pin!(self.term.changed()));
            // The error means that the election has ended.
            if let Either::Right((Err(_), _)) = select(elapsed, changed).await {
                return;
            }
        }
    }
}

/// Adds a [`Fence`] to a client.
pub(super) struct FenceLayer(pub(super) Fence);

impl Layer<HttpService> for FenceLayer {
    type Service = FencedService;

    fn layer(&self, inner: HttpService) -> FencedService {
        FencedService { inner, fence: self.0.clone() }
    }
}

/// A service that sends a write only while the fence is open, and cancels the write when the fence closes. It always
/// sends reads.
#[derive(Clone)]
pub(super) struct FencedService {
    inner: HttpService,
    fence: Fence,
}

impl Service<Request<Body>> for FencedService {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !is_write(&request) {
            return self.inner.call(request);
        }
        let (mut inner, fence) = (self.inner.clone(), self.fence.clone());
        Box::pin(async move {
            let line = format!("{} {}", request.method(), request.uri().path());
            if !fence.is_open() {
                return Err(fenced_error(format!("{line} was not sent: this process is not the leader")));
            }
            let mut response = inner.call(request);
            let mut waiting = fence.clone();
            let mut closed = pin!(waiting.wait_until_closed());
            // After a pause of the process, the timer of `closed` may fire late. Therefore each poll also
            // calls `is_open`, which reads the clock.
            poll_fn(move |cx| {
                if fence.is_open() && closed.as_mut().poll(cx).is_pending() {
                    return Pin::new(&mut response).poll(cx);
                }
                Poll::Ready(Err(fenced_error(format!(
                    "{line} was cancelled: this process is no longer the leader. The server may have performed the write"
                ))))
            })
            .await
        })
    }
}

/// Whether a request can change something. Returns `true` for each HTTP upgrade, such as a command in a container, and for
/// each method other than GET, HEAD and OPTIONS.
fn is_write(request: &Request<Body>) -> bool {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    !reads || request.headers().contains_key(header::UPGRADE)
}

/// The error of a fenced request.
fn fenced_error(what: String) -> BoxError {
    Error::Request { what, source: Some(NotLeader.into()) }.into()
}
