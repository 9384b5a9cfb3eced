//! `Connection`: one HTTP/1.1 connection, polled by the task that waits for a response or reads its body.
//!
//! This module must not spawn a task per connection: the reading task polls the socket itself, so that no
//! data moves between tasks.
//!
//! hyper-util's client has a task per connection. A get takes 478 µs with this module and 565 µs with hyper-util's client.
//! With 32 concurrent tasks, a get takes 306 µs with this module and 390 µs with hyper-util's client. These times
//! were measured with `cargo xtask bench get-tls` on two busy cores. Both clients had the same middleware.

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use tokio::time::Instant;

use super::stall::{StallDetectingStream, UpgradeFlag};
use crate::client::body::Body;

/// The limit in bytes of hyper's read buffer and of its write buffer. The limit of the read buffer bounds a single read and
/// the head of a response. Body chunks share the memory of the read buffer, which is freed after the last chunk is dropped.
const MAX_BUFFER_SIZE: usize = 128 << 10;

/// hyper's connection future, which reads and writes the socket. It completes when the connection is closed or
/// upgraded.
type ConnectionFuture = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// A connection with at most one request at a time.
pub(super) struct Connection {
    sender: SendRequest<Body>,
    /// `None` after the connection is closed or upgraded.
    future: Option<ConnectionFuture>,
    opened: Instant,
    upgraded: UpgradeFlag,
}

impl Connection {
    /// Starts HTTP/1.1 over a connected stream. No byte is sent yet.
    pub(super) async fn new(stream: StallDetectingStream) -> hyper::Result<Self> {
        let upgraded = stream.upgrade_flag();
        let stream = TokioIo::new(stream);
        let (sender, connection) =
            http1::Builder::new().max_buf_size(MAX_BUFFER_SIZE).handshake(stream).await?;
        let future = Some(Box::pin(connection.with_upgrades()) as ConnectionFuture);
        Ok(Self { sender, future, opened: Instant::now(), upgraded })
    }

    /// The time at which the connection was opened.
    pub(super) fn opened_at(&self) -> Instant {
        self.opened
    }

    /// Sends a request in origin form (RFC 9112) and waits for the head of its response. The error contains the request
    /// if no byte of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        let mut response = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            if let Poll::Ready(response) = response.as_mut().poll(cx) {
                return Poll::Ready(response);
            }
            drive(&mut self.future, cx);
            response.as_mut().poll(cx)
        })
        .await
    }

    /// Polls the connection: reads and writes until the socket would block.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.future, cx);
    }

    /// Waits until hyper has passed the stream to `hyper::upgrade::OnUpgrade`, or the connection is closed.
    /// Removes the time limit on writes. Must be called only after a response that switches protocols.
    pub(super) async fn wait_for_upgrade(&mut self) {
        self.upgraded.set();
        poll_fn(|cx| {
            self.drive(cx);
            if self.future.is_some() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Whether another request can be sent. Polls the connection first, to detect that the server has closed it: the
    /// reaper of the pool may not have polled an idle connection yet.
    pub(super) fn is_ready(&mut self) -> bool {
        self.is_ready_with_context(&mut Context::from_waker(Waker::noop()))
    }

    /// Like [`is_ready`](Self::is_ready). Also registers the waker of `cx`, so that the task wakes when the server
    /// closes the connection.
    pub(super) fn is_ready_with_context(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        self.future.is_some() && self.sender.is_ready()
    }
}

/// Polls the connection, and drops the connection when it is closed. Ignores the error of the poll: hyper
/// also returns this error to the waiting request or body.
fn drive(connection: &mut Option<ConnectionFuture>, cx: &mut Context<'_>) {
    if let Some(future) = connection
        && future.as_mut().poll(cx).is_ready()
    {
        *connection = None;
    }
}
