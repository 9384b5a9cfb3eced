//! The body of requests and responses.
//!
//! Owns the type alone; time limits are put around it by `middleware`, and its bytes are understood elsewhere.

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{Method, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use std::{
    any::Any,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use super::request_line::RequestLine;
use crate::error::{BoxError, Error, Result, TransportKind};

/// A request's or a response's body: bytes that are there, or that arrive.
///
/// Dropping a response's body before its end closes the connection, and so ends the request on the server too.
pub struct Body(Kind);

enum Kind {
    Once(Option<Bytes>),
    Frames {
        body: UnsyncBoxBody<Bytes, BoxError>,
        /// The request that this answers, for errors.
        request_line: Option<Box<RequestLine>>,
    },
}

impl Body {
    /// No bytes at all.
    pub fn empty() -> Self {
        Self(Kind::Once(None))
    }

    /// Any other body.
    pub fn wrap_body<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        // A body of this type needs no second box around it.
        if let Some(own) = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>() {
            return own.take().unwrap_or_default();
        }
        match body {
            Some(body) => Self::frames(body.map_err(Into::into).boxed_unsync()),
            None => Self::empty(),
        }
    }

    /// Bytes that arrive piece by piece.
    pub fn wrap_stream<S, D, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<D, E>> + Send + 'static,
        D: Into<Bytes>,
        E: Into<BoxError>,
    {
        let frames = stream.map(|piece| piece.map(|data| Frame::data(data.into())).map_err(Into::into));
        Self::frames(BodyExt::boxed_unsync(StreamBody::new(frames)))
    }

    fn frames(body: UnsyncBoxBody<Bytes, BoxError>) -> Self {
        Self(Kind::Frames { body, request_line: None })
    }

    /// The same body, whose errors name the request that it answers. The first call counts: it knows the server.
    pub(super) fn answering(mut self, method: &Method, uri: &Uri) -> Self {
        if let Kind::Frames { request_line: request_line @ None, .. } = &mut self.0 {
            *request_line = Some(Box::new(RequestLine { method: method.clone(), uri: uri.clone() }));
        }
        self
    }

    /// Reads everything into one piece. There is no limit on the size.
    ///
    /// # Errors
    /// If the connection breaks, or a pause between two pieces is too long.
    ///
    /// # Cancel safety
    /// What was read is lost.
    pub async fn collect_bytes(self) -> Result<Bytes> {
        match self.0 {
            Kind::Once(bytes) => Ok(bytes.unwrap_or_default()),
            Kind::Frames { .. } => Ok(self.collect().await?.to_bytes()),
        }
    }

    /// The bytes as they arrive; trailers are left out.
    pub fn into_data_stream(self) -> impl Stream<Item = Result<Bytes>> + Send {
        http_body_util::BodyDataStream::new(self)
    }

    /// A copy, if all bytes are there.
    pub(crate) fn try_clone(&self) -> Option<Self> {
        match &self.0 {
            Kind::Once(bytes) => Some(Self(Kind::Once(bytes.clone()))),
            Kind::Frames { .. } => None,
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        match &mut self.get_mut().0 {
            Kind::Once(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Frames { body, request_line } => Pin::new(body).poll_frame(cx).map(|frame| {
                frame.map(|frame| frame.map_err(|error| broken(error, request_line.as_deref())))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Once(bytes) => bytes.is_none(),
            Kind::Frames { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Once(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Frames { body, .. } => body.size_hint(),
        }
    }
}

fn broken(error: BoxError, request_line: Option<&RequestLine>) -> Error {
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
        Self(Kind::Once((!bytes.is_empty()).then_some(bytes)))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

/// The kind of body and its size, never its bytes.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Once(bytes) => write!(f, "Body({} bytes)", bytes.as_ref().map_or(0, Bytes::len)),
            Kind::Frames { .. } => f.write_str("Body(stream)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    #[tokio::test]
    async fn pieces_come_together() {
        let pieces = stream::iter([Ok::<_, BoxError>("ab"), Ok("c")]);
        let body = Body::wrap_body(Body::wrap_stream(pieces));
        assert!(body.try_clone().is_none());
        assert_eq!(body.collect_bytes().await.unwrap(), "abc");
        assert!(Body::from(Vec::new()).is_end_stream());
        assert_eq!(Body::wrap_body(Body::from(b"x".to_vec())).collect_bytes().await.unwrap(), "x");
    }

    #[tokio::test]
    async fn a_foreign_error_is_a_broken_connection_and_an_own_one_stays() {
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
