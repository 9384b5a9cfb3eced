//! `ReturningBody`: the body of an HTTP/1.1 response, which returns its connection to the pool.

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::runtime::Handle;

use super::{Pool, PoolKey};
use crate::client::transport::h1::Connection;

/// A response body. It polls its connection, and returns the connection to the pool at the end of the body.
pub(in crate::client::transport) struct ReturningBody {
    incoming: Incoming,
    /// `None` after the end of the body or an error.
    connection: Option<Connection>,
    key: PoolKey,
    pool: Arc<Pool>,
}

impl ReturningBody {
    pub(in crate::client::transport) fn new(
        incoming: Incoming,
        connection: Connection,
        key: PoolKey,
        pool: Arc<Pool>,
    ) -> Self {
        Self { incoming, connection: Some(connection), key, pool }
    }

    fn return_to_pool(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && connection.is_ready()
        {
            self.pool.add_idle_http1(self.key.clone(), connection);
        }
    }
}

impl HttpBody for ReturningBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let mut frame = Pin::new(&mut this.incoming).poll_frame(cx);
        if frame.is_pending()
            && let Some(connection) = &mut this.connection
        {
            connection.drive(cx);
            frame = Pin::new(&mut this.incoming).poll_frame(cx);
        }
        match &frame {
            Poll::Ready(None) => this.return_to_pool(),
            Poll::Ready(Some(Err(_))) => this.connection = None,
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Returns the connection to the pool if the body is complete or empty. Otherwise the connection is closed, because
/// the rest of the body would precede the next response.
impl Drop for ReturningBody {
    fn drop(&mut self) {
        // `return_to_pool` polls the connection. If a write returns `Pending`, the poll starts a tokio timer.
        // Outside of a runtime, this panics.
        if self.incoming.is_end_stream() && Handle::try_current().is_ok() {
            self.return_to_pool();
        }
    }
}
