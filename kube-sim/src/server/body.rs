//! The body of a response: one buffer, an iterator of pieces, the frames of a watch, or the parts of a log.

use std::fmt;
use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::fault::BodyFaults;
use crate::fault::body::BodyStop;
use crate::handler::reply::Content;
use crate::journal::Recorder;
use crate::watch::Watch;

/// The pieces of a body. Each piece is serialized when the body is read.
type Pieces = Box<dyn Iterator<Item = Bytes> + Send>;

/// The time for which a body waits before it returns its error, if a fault rule cuts the body. Only the
/// bodies of a [`Server`] wait: hyper and h2 discard unsent bytes when a body fails, so the bytes before the
/// cut must be sent before the error occurs.
///
/// [`Server`]: super::Server
const BREAK_DELAY: Duration = Duration::from_millis(50);

/// The source of the frames of a body.
enum Source {
    Whole(Option<Bytes>),
    Pieces(Pieces),
    Watch(Box<Watch>),
    Stream(BoxStream<'static, Bytes>),
}

/// The body of a response of the simulation.
///
/// Frames are produced only when the client reads them. Dropping the body closes its watch.
pub struct SimBody {
    source: Source,
    faults: Option<BodyFaults>,
    /// Appends the frames of a watch and the parts of a log to the journal entry of the request.
    recorder: Option<Recorder>,
    /// Whether a fault rule has cut the body. If so, the body ends with an error: see [`Self::poll_error`].
    /// A cut before the first byte does not set this field.
    broken: bool,
    ended: bool,
    /// Whether [`Self::poll_error`] waits for [`BREAK_DELAY`] before it returns the error.
    delays_error: bool,
    /// The timer of `BREAK_DELAY`; `None` before the first call of [`Self::poll_error`].
    delay: Option<Pin<Box<Sleep>>>,
}

/// The error of a response body that a fault rule cuts.
#[derive(Debug, thiserror::Error)]
#[error("connection reset by a fault rule")]
#[non_exhaustive]
pub struct SimBodyError {}

impl SimBody {
    pub(crate) fn new(content: Content, faults: Option<BodyFaults>, recorder: Option<Recorder>) -> Self {
        let source = match content {
            Content::Whole(bytes) => Source::Whole(Some(bytes)),
            Content::Pieces(pieces, _) => Source::Pieces(pieces),
            Content::Watch(watch) => Source::Watch(watch),
            Content::Stream(parts) => Source::Stream(parts),
            Content::Upgrade(_) => Source::Whole(None),
        };
        Self { source, faults, recorder, broken: false, ended: false, delays_error: false, delay: None }
    }

    pub(crate) fn empty() -> Self {
        Self::new(Content::Whole(Bytes::new()), None, None)
    }

    /// Records a part of the body. Must be called before the faults are applied to the part.
    fn record_part(recorder: Option<&Recorder>, part: Option<&Bytes>) {
        if let (Some(recorder), Some(part)) = (recorder, part) {
            recorder.record_response_part(part);
        }
    }

    /// If a fault rule cuts this body, delays the error, so that the frames before the error are sent.
    pub(crate) fn delay_error(&mut self) {
        self.delays_error = true;
    }

    /// Ends the body with an error, after [`BREAK_DELAY`] if `delays_error` is true.
    fn poll_error(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, SimBodyError>>> {
        if self.delays_error {
            let delay = self.delay.get_or_insert_with(|| Box::pin(sleep(BREAK_DELAY)));
            ready!(delay.as_mut().poll(cx));
        }
        self.ended = true;
        Poll::Ready(Some(Err(SimBodyError {})))
    }

    /// The next piece; `None` at the end of the body. Applies the faults that concern the events of a watch: if a fault
    /// must cause an error instead of the next event, sets `broken` and returns `None`. The caller applies the byte limit.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match &mut self.source {
            Source::Whole(bytes) => Poll::Ready(bytes.take().filter(|b| !b.is_empty())),
            Source::Pieces(pieces) => Poll::Ready(pieces.next()),
            Source::Stream(parts) => {
                let part = ready!(parts.poll_next_unpin(cx));
                Self::record_part(self.recorder.as_ref(), part.as_ref());
                Poll::Ready(part)
            }
            Source::Watch(watch) => match self.faults.as_ref().and_then(BodyFaults::stop_before_event) {
                Some(BodyStop::Hang) => Poll::Pending,
                Some(BodyStop::Close) => Poll::Ready(None),
                Some(BodyStop::Cut) => {
                    self.broken = true;
                    Poll::Ready(None)
                }
                None => {
                    let frame = ready!(watch.poll_frame(cx));
                    Self::record_part(self.recorder.as_ref(), frame.as_ref());
                    Poll::Ready(match (frame, &mut self.faults) {
                        (Some(frame), Some(faults)) => Some(faults.apply_to_event(frame)),
                        (frame, _) => frame,
                    })
                }
            },
        }
    }
}

impl Body for SimBody {
    type Data = Bytes;
    type Error = SimBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if this.broken || this.faults.as_ref().is_some_and(BodyFaults::is_cut_at_start) {
            return this.poll_error(cx);
        }
        let Some(piece) = ready!(this.poll_piece(cx)) else {
            if this.broken {
                return this.poll_error(cx);
            }
            this.ended = true;
            return Poll::Ready(None);
        };
        let piece = match &mut this.faults {
            Some(faults) => {
                let (piece, broken) = faults.cut_at_limit(piece);
                this.broken = broken;
                piece
            }
            None => piece,
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.faults.is_none() && matches!(self.source, Source::Whole(None)))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            _ => SizeHint::default(),
        }
    }
}

impl fmt::Debug for SimBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.source {
            Source::Whole(_) => "whole",
            Source::Pieces(_) => "pieces",
            Source::Watch(_) => "watch",
            Source::Stream(_) => "stream",
        };
        f.debug_tuple("SimBody").field(&what).finish()
    }
}

/// Compresses the pieces of a body with gzip when the body is read.
pub(crate) fn gzip_pieces(mut pieces: Pieces) -> Pieces {
    let mut encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    Box::new(std::iter::from_fn(move || {
        loop {
            let writer = encoder.as_mut()?;
            let Some(piece) = pieces.next() else {
                // Writing to memory is infallible.
                return encoder.take()?.finish().ok().map(Bytes::from);
            };
            writer.write_all(&piece).ok()?;
            if !writer.get_ref().is_empty() {
                return Some(Bytes::from(std::mem::take(writer.get_mut())));
            }
        }
    }))
}
