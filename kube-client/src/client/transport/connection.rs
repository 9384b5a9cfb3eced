//! `Connection`: one HTTP/1.1 connection, driven by whoever waits for something from it.
//!
//! There is no task for a connection: what arrives is read in the task that wants it, and nothing crosses to another one.

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

use super::stall::Stream;
use crate::client::body::Body;

/// How much is read at once at most, and how large a response's head may be. What is read stays until the last of it is
/// decoded.
const BUFFER: usize = 128 << 10;

/// What reads and writes; it is done when the connection has ended.
type Running = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// A connection that serves one request at a time.
pub(super) struct Connection {
    sender: SendRequest<Body>,
    /// Until it has ended.
    connection: Option<Running>,
}

impl Connection {
    /// Over bytes that go to the server and come from it.
    pub(super) async fn new(stream: Stream) -> hyper::Result<Self> {
        let stream = TokioIo::new(stream);
        let (sender, connection) = http1::Builder::new().max_buf_size(BUFFER).handshake(stream).await?;
        Ok(Self { sender, connection: Some(Box::pin(connection.with_upgrades())) })
    }

    /// Sends a request, whose URI is the path alone. The error holds the request if nothing of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            drive(&mut self.connection, cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// Reads and writes what can be.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.connection, cx);
    }

    /// Waits until the connection has ended, or has been handed over to what it was upgraded to.
    pub(super) async fn ended(&mut self) {
        poll_fn(|cx| {
            self.drive(cx);
            if self.connection.is_some() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Whether another request can be sent. Without this look nobody would notice that the server has closed the connection.
    pub(super) fn is_ready(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.connection.is_some() && self.sender.is_ready()
    }
}

/// A request that waits is answered when the connection goes, with an error: errors of the connection come out there.
fn drive(connection: &mut Option<Running>, cx: &mut Context<'_>) {
    if let Some(running) = connection
        && running.as_mut().poll(cx).is_ready()
    {
        *connection = None;
    }
}
