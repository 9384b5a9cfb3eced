//! The body of requests and responses.
//!
//! This module must not decode the bytes: `core` and `wire` decode them. It must not set time limits for
//! the readers of a body: `middleware` and `request_timeout` set them.

use bytes::Bytes;
use futures::{Stream, StreamExt, poll};
use http::{Method, Request, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use std::{
    any::Any,
    fmt,
    ops::ControlFlow,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::timeout;

use super::request_line::RequestLine;
use crate::error::{BoxError, Error, Result, TransportKind};

/// The maximum number of bytes that are drained from a body. The `Status` of a 401 or 429 is far smaller.
const MAX_DRAINED_BYTES: usize = 64 << 10;
/// The time limit on draining a body. After this time, a new connection costs less than a longer wait.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// The body of a request or response: buffered bytes, or a stream of frames.
///
/// Dropping a response's body before its end closes the HTTP/1.1 connection or resets the HTTP/2 stream, which also
/// cancels the request on the server.
pub struct Body(BodyKind);

enum BodyKind {
    /// Buffered bytes; `None` if there are none, or if they have been read.
    Buffered(Option<Bytes>),
    Frames {
        body: UnsyncBoxBody<Bytes, BoxError>,
        /// The request whose response has this body, for error texts; `None` until `for_request` sets it.
        request_line: Option<Box<RequestLine>>,
    },
}

impl Body {
    /// An empty body.
    pub fn empty() -> Self {
        Self(BodyKind::Buffered(None))
    }

    /// Converts a body of any type. A `Body` is returned unchanged.
    pub fn wrap_body<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        // Do not box a `Body` again.
        if let Some(own) = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>() {
            return own.take().unwrap_or_default();
        }
        match body {
            Some(body) => Self::from_frames(body.map_err(Into::into).boxed_unsync()),
            None => Self::empty(),
        }
    }

    /// A body from a stream of chunks.
    pub fn wrap_stream<S, D, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<D, E>> + Send + 'static,
        D: Into<Bytes>,
        E: Into<BoxError>,
    {
        let frames = stream.map(|piece| piece.map(|data| Frame::data(data.into())).map_err(Into::into));
        Self::from_frames(BodyExt::boxed_unsync(StreamBody::new(frames)))
    }

    fn from_frames(body: UnsyncBoxBody<Bytes, BoxError>) -> Self {
        Self(BodyKind::Frames { body, request_line: None })
    }

    /// Sets the request for the error texts of a streamed body. Keeps a request that is already set: the default transport
    /// sets a request whose URI contains the address of the server.
    pub(super) fn for_request(mut self, method: &Method, uri: &Uri) -> Self {
        if let BodyKind::Frames { request_line: request_line @ None, .. } = &mut self.0 {
            *request_line = Some(Box::new(RequestLine { method: method.clone(), uri: uri.clone() }));
        }
        self
    }

    /// The method and path of the request, for error texts; `None` for a buffered body, or if `for_request` was not
    /// called.
    pub(crate) fn request_line(&self) -> Option<String> {
        match &self.0 {
            BodyKind::Frames { request_line, .. } => request_line.as_ref().map(ToString::to_string),
            BodyKind::Buffered(_) => None,
        }
    }

    /// Reads the whole body into memory. The size is not limited.
    ///
    /// # Errors
    /// If the body fails: for example, the connection breaks, or a time limit on the body expires.
    ///
    /// # Cancel safety
    /// Not cancel safe: the bytes that were read are lost.
    pub async fn collect_bytes(self) -> Result<Bytes> {
        self.collect_bytes_up_to(usize::MAX).await
    }

    /// Reads the whole body into memory if it has at most `limit` bytes.
    ///
    /// # Errors
    /// As for [`collect_bytes`](Self::collect_bytes), and [`Error::Decode`] if the body is larger. The rest of a
    /// larger body is not read.
    ///
    /// # Cancel safety
    /// Not cancel safe: the bytes that were read are lost.
    pub async fn collect_bytes_up_to(mut self, limit: usize) -> Result<Bytes> {
        if self.size_hint().lower() > limit as u64 {
            return Err(self.too_large_error(limit));
        }
        if let BodyKind::Buffered(bytes) = self.0 {
            return Ok(bytes.unwrap_or_default());
        }
        let (mut first, mut all) = (Bytes::new(), Vec::new());
        while let Some(frame) = self.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            if first.len().max(all.len()) + data.len() > limit {
                return Err(self.too_large_error(limit));
            }
            if first.is_empty() {
                first = data;
                continue;
            }
            // Copy the data: a list of small chunks would use far more memory than their bytes.
            if all.is_empty() {
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
        Ok(if all.is_empty() { first } else { all.into() })
    }

    fn too_large_error(&self, limit: usize) -> Error {
        let what = match &self.0 {
            BodyKind::Frames { request_line: Some(request_line), .. } => {
                format!("the response to {request_line}")
            }
            _ => "a body".to_owned(),
        };
        let problem = format!("it is larger than {limit} bytes; Config::max_object_bytes sets this limit");
        Error::Decode { what, source: problem.into() }
    }

    /// Reads and drops the rest of the body, so that its connection can be reused. Stops after [`MAX_DRAINED_BYTES`] or
    /// [`DRAIN_TIMEOUT`].
    pub(crate) async fn drain(self) {
        let mut left = MAX_DRAINED_BYTES;
        let count = |frame: Frame<Bytes>| {
            // An empty frame counts as one byte, so that the limit also applies to an endless body of empty frames.
            match left.checked_sub(frame.data_ref().map_or(1, |data| data.len().max(1))) {
                Some(less) => left = less,
                None => return ControlFlow::Break(()),
            }
            ControlFlow::Continue(())
        };
        self.read_frames(DRAIN_TIMEOUT, count).await;
    }

    /// Passes the frames of the body to `visit` until `visit` returns `Break`, the body ends or fails, or `limit`
    /// elapses.
    pub(super) async fn read_frames(
        mut self,
        limit: Duration,
        mut visit: impl FnMut(Frame<Bytes>) -> ControlFlow<()>,
    ) {
        let mut read = pin!(async {
            while let Some(Ok(frame)) = self.frame().await
                && visit(frame).is_continue()
            {}
        });
        // The first poll reads a buffered body to its end. This poll is outside of `timeout`, which panics in
        // a runtime without a timer.
        if poll!(&mut read).is_pending() {
            let _ = timeout(limit, read).await;
        }
    }

    /// The chunks of the body as a stream, without trailers.
    pub fn into_data_stream(self) -> impl Stream<Item = Result<Bytes>> + Send {
        http_body_util::BodyDataStream::new(self)
    }

    /// The bytes of a buffered body, `None` if it is empty; `Err` with the body if it is a stream.
    pub(super) fn into_bytes(self) -> Result<Option<Bytes>, Self> {
        match self.0 {
            BodyKind::Buffered(bytes) => Ok(bytes),
            frames @ BodyKind::Frames { .. } => Err(Self(frames)),
        }
    }

    /// A copy of a buffered body; `None` for a stream.
    pub fn try_clone(&self) -> Option<Self> {
        match &self.0 {
            BodyKind::Buffered(bytes) => Some(Self(BodyKind::Buffered(bytes.clone()))),
            BodyKind::Frames { .. } => None,
        }
    }
}

/// A copy of a request for another attempt; `None` if its body is a stream.
pub(crate) fn clone_request(request: &Request<Body>) -> Option<Request<Body>> {
    let body = request.body().try_clone()?;
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        match &mut self.get_mut().0 {
            BodyKind::Buffered(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            BodyKind::Frames { body, request_line } => Pin::new(body).poll_frame(cx).map(|frame| {
                frame.map(|frame| frame.map_err(|error| to_transport_error(error, request_line.as_deref())))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            BodyKind::Buffered(bytes) => bytes.is_none(),
            BodyKind::Frames { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            BodyKind::Buffered(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            BodyKind::Frames { body, .. } => body.size_hint(),
        }
    }
}

/// Returns an [`Error`] of this crate unchanged. Converts any other error of a streamed body to
/// [`TransportKind::Broken`].
fn to_transport_error(error: BoxError, request_line: Option<&RequestLine>) -> Error {
    match error.downcast::<Error>() {
        Ok(own) => *own,
        Err(source) => Error::Transport {
            kind: TransportKind::Broken,
            what: match request_line {
                Some(request_line) => {
                    let host =
                        request_line.uri.authority().map(|host| format!(" to {host}")).unwrap_or_default();
                    format!(
                        "the connection{host} broke while the response body of {request_line} was being read"
                    )
                }
                None => "the connection broke while a body was being read".to_owned(),
            },
            source: Some(source),
        },
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(BodyKind::Buffered((!bytes.is_empty()).then_some(bytes)))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

/// Shows the size of a buffered body, or only that the body is a stream; never the bytes.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            BodyKind::Buffered(bytes) => write!(f, "Body({} bytes)", bytes.as_ref().map_or(0, Bytes::len)),
            BodyKind::Frames { .. } => f.write_str("Body(stream)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

    /// An endless body of chunks of 1 KiB, and the number of chunks that have been read.
    fn endless_body() -> (Body, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let counter = read.clone();
        let chunks = stream::repeat(Bytes::from(vec![b'x'; 1024])).inspect(move |_| {
            counter.fetch_add(1, SeqCst);
        });
        (Body::wrap_stream(chunks.map(Ok::<_, Error>)), read)
    }

    #[tokio::test]
    async fn a_body_is_collected_unless_it_exceeds_the_limit() {
        for body in
            [Body::from(b"abc".to_vec()), Body::wrap_stream(stream::iter(["a", "bc"]).map(Ok::<_, Error>))]
        {
            assert_eq!(body.collect_bytes_up_to(3).await.unwrap(), "abc");
        }
        let error = Body::from(b"abc".to_vec()).collect_bytes_up_to(2).await.unwrap_err();
        assert!(error.to_string().contains("a body"), "{error}");
    }

    #[tokio::test]
    async fn reading_stops_when_a_body_exceeds_the_limit() {
        let (body, read) = endless_body();
        let body = body.for_request(&Method::GET, &Uri::from_static("/api/v1/pods/a"));
        let error = body.collect_bytes_up_to(10_000).await.unwrap_err();
        assert_eq!(read.load(SeqCst), 10);
        assert!(
            matches!(&error, Error::Decode { what, .. } if what.contains("GET /api/v1/pods/a")),
            "{error}"
        );
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("10000 bytes") && source.contains("max_object_bytes"), "{source}");
    }

    #[tokio::test]
    async fn collecting_a_body_frees_each_small_chunk_after_copying_it() {
        /// A chunk of one byte that decrements a counter when it is dropped.
        struct Chunk(Arc<AtomicUsize>);
        impl AsRef<[u8]> for Chunk {
            fn as_ref(&self) -> &[u8] {
                b"x"
            }
        }
        impl Drop for Chunk {
            fn drop(&mut self) {
                self.0.fetch_sub(1, SeqCst);
            }
        }
        let (alive, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (chunk, most) = (alive.clone(), peak.clone());
        let chunks = stream::iter(0..1000).map(move |_| {
            most.fetch_max(chunk.fetch_add(1, SeqCst) + 1, SeqCst);
            Ok::<_, Error>(Bytes::from_owner(Chunk(chunk.clone())))
        });
        assert_eq!(Body::wrap_stream(chunks).collect_bytes_up_to(1000).await.unwrap().len(), 1000);
        assert_eq!((peak.load(SeqCst), alive.load(SeqCst)), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn draining_stops_at_the_limits_on_bytes_and_time() {
        let (body, read) = endless_body();
        body.drain().await;
        assert_eq!(read.load(SeqCst), MAX_DRAINED_BYTES / 1024 + 1);
        timeout(DRAIN_TIMEOUT * 2, Body::wrap_stream(stream::repeat("").map(Ok::<_, Error>)).drain())
            .await
            .unwrap();
        let stalled = Body::wrap_stream(stream::pending::<Result<Bytes>>());
        timeout(DRAIN_TIMEOUT * 2, stalled.drain()).await.unwrap();
    }

    #[tokio::test]
    async fn wrapping_a_body_again_keeps_its_bytes() {
        let pieces = stream::iter([Ok::<_, BoxError>("ab"), Ok("c")]);
        let body = Body::wrap_body(Body::wrap_stream(pieces));
        assert!(body.try_clone().is_none());
        assert_eq!(body.collect_bytes().await.unwrap(), "abc");
        assert!(Body::from(Vec::new()).is_end_stream());
        assert_eq!(Body::wrap_body(Body::from(b"x".to_vec())).collect_bytes().await.unwrap(), "x");
    }

    #[tokio::test]
    async fn foreign_errors_become_transport_errors_and_errors_of_this_crate_are_kept() {
        let failing = |error: BoxError| Body::wrap_stream(stream::iter([Ok("a"), Err(error)]));
        let error = failing("reset".into()).collect_bytes().await.unwrap_err();
        assert!(matches!(error, Error::Transport { kind: TransportKind::Broken, .. }), "{error}");
        let own = Error::Request { what: "mine".to_owned(), source: None };
        let error = failing(own.into()).collect_bytes().await.unwrap_err();
        assert!(matches!(error, Error::Request { .. }), "{error}");
    }

    #[test]
    fn debug_shows_no_bytes() {
        assert_eq!(format!("{:?}", Body::from(b"s3cr3t".to_vec())), "Body(6 bytes)");
    }
}
