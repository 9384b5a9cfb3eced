//! The bodies of an HTTP/2 stream. The reader of the response also sends the rest of the request's body.

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Method, Uri, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

use super::StreamLease;
use crate::client::body::Body;
use crate::client::transport::failure::{WriteStalled, classify_upload};
use crate::error::BoxError;

/// The body of a response. Dropping it before its end resets the stream, which cancels the request on the server.
pub(super) struct ResponseBody {
    /// `None` after the end of the body or an error. The stream must be dropped before its lease: the reset of the
    /// stream needs the connection.
    open: Option<(RecvStream, StreamLease)>,
    upload: Option<Box<Upload>>,
    /// The error of the upload, if it has failed.
    upload_error: Option<BoxError>,
    /// The number of bytes of `Content-Length` that have not been received yet.
    left: Option<u64>,
}

impl ResponseBody {
    pub(super) fn new(
        received: RecvStream,
        upload: Option<Box<Upload>>,
        lease: StreamLease,
        headers: &HeaderMap,
    ) -> Self {
        let left = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let open = (!received.is_end_stream()).then_some((received, lease));
        Self { open, upload, upload_error: None, left }
    }

    fn end(&mut self, cx: &Context<'_>) {
        self.upload = None;
        if let Some((received, lease)) = self.open.take() {
            lease.drop_stream(received, cx);
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.open.is_none() {
            return Poll::Ready(None);
        }
        if let Some(Err(error)) = Upload::poll_option(&mut this.upload, cx) {
            this.upload_error = Some(error);
        }
        loop {
            let Some((received, lease)) = &mut this.open else { return Poll::Ready(None) };
            let data = received.poll_data(cx);
            // Return the error of the upload only if no data of the response is available: the server may respond
            // before it has read the whole request.
            if data.is_pending()
                && let Some(error) = this.upload_error.take()
            {
                this.end(cx);
                return Poll::Ready(Some(Err(error)));
            }
            match ready!(data) {
                // Skip an empty chunk: a reader that collects the body copies its data if there is more than one chunk.
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    // An error means that the stream is closed. The next poll returns the error of the stream.
                    let _ = received.flow_control().release_capacity(data.len());
                    this.left = this.left.map(|left| left.saturating_sub(data.len() as u64));
                    if received.is_end_stream() {
                        this.end(cx);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                // The response is incomplete, even if the error is a reset with NO_ERROR. A server may also
                // send such a reset after a complete response (RFC 9113, 8.1). In this case, `h2` returns the
                // end of the body instead of an error.
                Some(Err(error)) => {
                    let cause = lease.failure_after_sending(error).error;
                    this.end(cx);
                    return Poll::Ready(Some(Err(cause)));
                }
                None => {
                    let trailers = ready!(received.poll_trailers(cx));
                    this.end(cx);
                    return Poll::Ready(
                        trailers.ok().flatten().map(|trailers| Ok(Frame::trailers(trailers))),
                    );
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.open.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Some(left) if self.open.is_some() => SizeHint::with_exact(left),
            Some(_) => SizeHint::with_exact(0),
            None => SizeHint::default(),
        }
    }
}

/// Sends a streamed body, and waits for the flow-control capacity that the server grants.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    body: Body,
    /// The request, for error texts.
    method: Method,
    target: Uri,
    /// The bytes that wait for capacity.
    pending: Bytes,
    /// The limit on a wait for capacity.
    limit: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    pub(super) fn new(
        stream: SendStream<Bytes>,
        body: Body,
        (method, target): (Method, Uri),
        limit: Option<Duration>,
    ) -> Self {
        Self { stream, body, method, target, pending: Bytes::new(), limit, timer: None }
    }

    /// Sends more of the body. Returns `None` while the upload is pending, and if `upload` is `None`. When the
    /// upload ends, sets `upload` to `None` and returns the result.
    ///
    /// The result is an error if the body fails, or if a wait for flow-control capacity times out. The caller
    /// must then drop the request, which resets the stream. If the stream fails, the result is no error: the
    /// response returns the error of the stream.
    pub(super) fn poll_option(
        upload: &mut Option<Box<Self>>,
        cx: &mut Context<'_>,
    ) -> Option<Result<(), BoxError>> {
        let running = upload.as_mut()?;
        let Poll::Ready(done) = running.poll(cx) else { return None };
        let done = done.map_err(|error| {
            classify_upload(error, &running.method, &running.target).map_or_else(|error| error, Into::into)
        });
        *upload = None;
        Some(done)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            while !self.pending.is_empty() {
                self.stream.reserve_capacity(self.pending.len());
                let Some(Ok(capacity)) = ready!(self.poll_capacity(cx))? else { return Poll::Ready(Ok(())) };
                let piece = self.pending.split_to(capacity.min(self.pending.len()));
                if self.stream.send_data(piece, false).is_err() {
                    return Poll::Ready(Ok(()));
                }
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => self.pending = data,
                Some(Err(frame)) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        let _ = self.stream.send_trailers(trailers);
                        return Poll::Ready(Ok(()));
                    }
                }
                None => {
                    let _ = self.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Waits for capacity. Fails if the wait takes longer than `limit`.
    fn poll_capacity(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Result<usize, h2::Error>>, WriteStalled>> {
        if let Poll::Ready(capacity) = self.stream.poll_capacity(cx) {
            self.timer = None;
            return Poll::Ready(Ok(capacity));
        }
        let Some(limit) = self.limit else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(cx).map(|()| Err(WriteStalled(limit)))
    }
}
