//! Requests compressed responses, and decompresses them as they arrive (gzip, RFC 1952).
//!
//! A response may consist of several gzip members: API servers send one for each flush of a streaming list (feature
//! gate `WatchListCompression`). Each chunk is decompressed as far as possible before the next one is awaited.

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body::{Body as HttpBody, Frame};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tower::{Layer, Service};

use crate::client::{body::Body, request_line::RequestLine};
use crate::error::{BoxError, Error, Result};

/// The base-2 logarithm of the largest window of deflate (RFC 1951).
const WINDOW_BITS: u8 = 15;
/// The maximum size in bytes of a chunk of decompressed bytes: `NEXT_CHUNK_SIZE` if the previous chunk was full, otherwise
/// `FIRST_CHUNK_SIZE`. These limits bound the memory of one read, whatever the compression ratio. This layer does not limit
/// the total size of a body: [`Body::collect_bytes_up_to`] does.
const FIRST_CHUNK_SIZE: usize = 8 << 10;
const NEXT_CHUNK_SIZE: usize = 64 << 10;

/// Builds [`Gzip`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct GzipLayer {
    /// Whether compressed responses are requested.
    pub(crate) is_enabled: bool,
}

impl<S> Layer<S> for GzipLayer {
    type Service = Gzip<S>;

    fn layer(&self, inner: S) -> Gzip<S> {
        Gzip { inner, is_enabled: self.is_enabled }
    }
}

/// Requests compressed responses and decompresses them, except for requests that [`should_request_gzip`] excludes.
#[derive(Clone, Debug)]
pub(crate) struct Gzip<S> {
    inner: S,
    is_enabled: bool,
}

impl<S> Service<Request<Body>> for Gzip<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = GzipFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let decompresses = self.is_enabled && should_request_gzip(request.method(), request.headers());
        let request_line = decompresses.then(|| {
            request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
            RequestLine::of(&request)
        });
        GzipFuture { inner: self.inner.call(request), request_line }
    }
}

/// Whether to request a compressed response. Returns `false` for HEAD requests and upgrades (no response body), for range
/// requests (the range would select compressed bytes), and for requests with `Accept-Encoding` (their sender decompresses
/// the response).
fn should_request_gzip(method: &Method, headers: &HeaderMap) -> bool {
    let excluded = [header::ACCEPT_ENCODING, header::RANGE, header::UPGRADE];
    *method != Method::HEAD && !excluded.iter().any(|name| headers.contains_key(name))
}

pub(crate) struct GzipFuture<F> {
    inner: F,
    /// The request, for error texts; `None` if the layer did not request gzip, and therefore must not decompress.
    request_line: Option<RequestLine>,
}

impl<F, E> Future for GzipFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut response = ready!(Pin::new(&mut self.inner).poll(cx))?;
        let Some(request_line) = self.request_line.take().filter(|_| is_gzip(response.headers())) else {
            return Poll::Ready(Ok(response));
        };
        // `Content-Encoding` and `Content-Length` describe the compressed bytes.
        response.headers_mut().remove(header::CONTENT_ENCODING);
        response.headers_mut().remove(header::CONTENT_LENGTH);
        Poll::Ready(Ok(response.map(|body| {
            let (method, uri) = (request_line.method.clone(), request_line.uri.clone());
            Body::wrap_body(GzipBody::new(body, request_line)).for_request(&method, &uri)
        })))
    }
}

/// Whether the body is compressed with gzip only.
fn is_gzip(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let first = encodings.next().map(|value| value.as_bytes().trim_ascii());
    encodings.next().is_none()
        && first
            .is_some_and(|name| name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip"))
}

/// A body that decompresses its inner body.
struct GzipBody {
    inner: Body,
    /// The compressed bytes that have not been decompressed.
    input: Bytes,
    /// The current member; `None` between two members, so that an idle watch keeps no decompression window in memory.
    member: Option<Decompress>,
    /// Whether the last chunk was filled: `member` may then emit more bytes without more input.
    has_more: bool,
    /// Whether the body has ended or failed.
    is_done: bool,
    request_line: RequestLine,
}

impl GzipBody {
    fn new(inner: Body, request_line: RequestLine) -> Self {
        Self { inner, input: Bytes::new(), member: None, has_more: false, is_done: false, request_line }
    }

    /// The next chunk of decompressed bytes; `None` if the decompressor needs more input.
    fn next_chunk(&mut self) -> Result<Option<Bytes>, BoxError> {
        while self.has_more || !self.input.is_empty() {
            let mut chunk =
                Vec::with_capacity(if self.has_more { NEXT_CHUNK_SIZE } else { FIRST_CHUNK_SIZE });
            let member = self.member.get_or_insert_with(|| Decompress::new_gzip(WINDOW_BITS));
            let before = member.total_in();
            let status = member.decompress_vec(&self.input, &mut chunk, FlushDecompress::None)?;
            let read = usize::try_from(member.total_in() - before).unwrap_or(usize::MAX);
            let is_stuck = read == 0 && chunk.is_empty();
            self.input = self.input.split_off(read.min(self.input.len()));
            self.has_more = chunk.len() == chunk.capacity();
            if status == Status::StreamEnd {
                self.member = None;
                self.has_more = false;
            } else if is_stuck && !self.input.is_empty() {
                return Err("the compressed data makes no progress".into());
            }
            if !chunk.is_empty() {
                // Copy a small chunk: otherwise it would keep its much larger buffer in memory.
                let is_sparse = chunk.len() < chunk.capacity() / 2;
                let chunk = if is_sparse { Bytes::copy_from_slice(&chunk) } else { chunk.into() };
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    fn decompression_error(&self, source: BoxError) -> Error {
        Error::Decode { what: format!("the compressed response to {}", self.request_line), source }
    }
}

impl HttpBody for GzipBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        while !this.is_done {
            match this.next_chunk() {
                Ok(Some(chunk)) => return Poll::Ready(Some(Ok(Frame::data(chunk)))),
                Ok(None) => {}
                Err(error) => {
                    this.is_done = true;
                    return Poll::Ready(Some(Err(this.decompression_error(error))));
                }
            }
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)).transpose() {
                Ok(Some(frame)) => match frame.into_data() {
                    Ok(data) => this.input = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Ok(None) => {
                    this.is_done = true;
                    if this.member.is_some() {
                        let error = "it ends in the middle of the compressed data".into();
                        return Poll::Ready(Some(Err(this.decompression_error(error))));
                    }
                }
                Err(error) => {
                    this.is_done = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.is_done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use futures::{FutureExt, StreamExt, channel::mpsc, stream};
    use http_body_util::BodyExt;
    use std::io::Write;
    use tower::{ServiceExt, service_fn};

    fn compress(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn decompressing_body(body: Body) -> Body {
        let request_line = RequestLine { method: Method::GET, uri: "/api/v1/pods".parse().unwrap() };
        Body::wrap_body(GzipBody::new(body, request_line))
    }

    fn body_of_pieces(data: &[u8], size: usize) -> Body {
        let pieces: Vec<_> = data.chunks(size).map(|piece| Ok::<_, Error>(piece.to_vec())).collect();
        Body::wrap_stream(stream::iter(pieces))
    }

    #[tokio::test]
    async fn consecutive_gzip_members_are_decompressed_from_pieces_of_different_sizes() {
        // Random bytes do not compress; zeros do.
        let random: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(100_000).collect();
        let members = [b"first".to_vec(), Vec::new(), random, vec![0; 1_000_000], b"last".to_vec()];
        let text: Vec<u8> = members.concat();
        let bytes: Vec<u8> = members.iter().flat_map(|member| compress(member)).collect();
        for size in [1, 7, 1000, bytes.len()] {
            let collected = decompressing_body(body_of_pieces(&bytes, size)).collect_bytes().await.unwrap();
            assert!(collected == text, "{size}");
        }
        assert_eq!(decompressing_body(Body::empty()).collect_bytes().await.unwrap(), "");
    }

    #[tokio::test]
    async fn each_event_of_a_watch_is_decompressed_before_the_next_event_arrives() {
        let (server, body) = mpsc::unbounded();
        let mut body = decompressing_body(Body::wrap_stream(body.map(Ok::<_, Error>)));
        // Each event is a complete gzip member, as in the response of an API server to a streaming list.
        for event in ["one\n", "two\n"] {
            server.unbounded_send(compress(event.as_bytes())).unwrap();
            let frame = body.frame().now_or_never().unwrap().unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), event);
            assert!(body.frame().now_or_never().is_none());
        }
        // Both events are in one gzip member. The encoder is flushed after each event. An event is larger
        // than a chunk of the decompressed body.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let event = "x".repeat(300_000);
        for _ in 0..2 {
            encoder.write_all(event.as_bytes()).unwrap();
            encoder.flush().unwrap();
            server.unbounded_send(std::mem::take(encoder.get_mut())).unwrap();
            let mut received = 0;
            while let Some(frame) = body.frame().now_or_never() {
                received += frame.unwrap().unwrap().into_data().unwrap().len();
            }
            assert_eq!(received, event.len());
        }
    }

    #[tokio::test]
    async fn a_decompression_bomb_is_read_in_bounded_chunks_up_to_the_limit() {
        let bomb = compress(&vec![0; 50 << 20]);
        assert!(bomb.len() < 1 << 20);
        let mut body = decompressing_body(Body::from(bomb.clone()));
        while let Some(frame) = body.frame().await {
            assert!(frame.unwrap().into_data().unwrap().len() <= NEXT_CHUNK_SIZE);
        }
        let error = decompressing_body(Body::from(bomb)).collect_bytes_up_to(1 << 20).await.unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn corrupt_and_truncated_data_is_an_error_that_names_the_request() {
        let good = compress(b"some text");
        let mut wrong_sum = good.clone();
        let last = wrong_sum.len() - 5;
        wrong_sum[last] ^= 1;
        let trailing = [good.clone(), b"no member".to_vec()].concat();
        for bad in [b"{}".to_vec(), good[..good.len() - 1].to_vec(), wrong_sum, trailing] {
            let error = decompressing_body(Body::from(bad)).collect_bytes().await.unwrap_err();
            assert!(
                matches!(&error, Error::Decode { what, .. } if what == "the compressed response to GET /api/v1/pods"),
                "{error:?}"
            );
        }
    }

    #[tokio::test]
    async fn gzip_is_requested_and_decompressed_unless_the_request_or_the_configuration_excludes_it() {
        let server = service_fn(|request: Request<Body>| {
            let accepted = request.headers().get("accept-encoding").cloned();
            let response =
                Response::builder().header("content-encoding", "GZIP").header("content-length", "9");
            let response = match accepted {
                Some(accepted) => response.header("accepted", accepted),
                None => response,
            };
            std::future::ready(Ok::<_, BoxError>(response.body(Body::from(compress(b"text"))).unwrap()))
        });
        for (is_enabled, header, method, accepted, is_decompressed) in [
            (true, None, "GET", Some("gzip"), true),
            (true, None, "POST", Some("gzip"), true),
            (true, Some(("accept-encoding", "identity")), "GET", Some("identity"), false),
            (true, Some(("range", "bytes=0-1")), "GET", None, false),
            (true, Some(("upgrade", "websocket")), "GET", None, false),
            (true, None, "HEAD", None, false),
            (false, None, "GET", None, false),
        ] {
            let mut request = Request::builder().method(method).uri("/x");
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            let service = GzipLayer { is_enabled }.layer(server);
            let response = service.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let sent = response.headers().get("accepted").map(|value| value.to_str().unwrap());
            assert_eq!(sent, accepted, "{method} {header:?}");
            assert_eq!(response.headers().contains_key("content-encoding"), !is_decompressed);
            assert_eq!(response.headers().contains_key("content-length"), !is_decompressed);
            let body = response.into_body().collect_bytes().await.unwrap();
            assert_eq!(body == "text", is_decompressed, "{method} {header:?}");
        }
    }
}
