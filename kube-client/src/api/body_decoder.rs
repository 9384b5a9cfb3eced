//! `BodyDecoder`: reads the body of a list or watch, splits the body into pieces, decodes the pieces, and emits the
//! values in order. A piece is the text of one list item or one watch event.

use super::filter::{PieceFilter, PieceVerdict, QueuedKeys};
use super::pipeline::{Pipeline, ValueSize};
use crate::client::Body;
use crate::error::TransportKind;
use crate::wire::{Split, WireError};
use crate::{Error, Result};
use bytes::Bytes;
use http_body::Body as _;
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::Instant;

/// The number of pieces that one poll drops before it yields to other tasks.
const MAX_DROPPED_PER_POLL: usize = 256;

/// The decoder stops reading ahead of the consumer when this number of bytes of text is buffered.
const READ_AHEAD_BYTES: usize = 16 << 20;

/// Whether to read the body although the pipeline has no room.
fn may_read_ahead<T: Send + 'static>(read_ahead_from: Option<Instant>, pipeline: &Pipeline<T>) -> bool {
    read_ahead_from
        .is_some_and(|start| pipeline.buffered_bytes() < READ_AHEAD_BYTES && Instant::now() >= start)
}

/// The result of submitting a piece.
#[derive(PartialEq, Eq)]
enum SubmitOutcome {
    /// The piece, or the value that the filter decoded, is in the pipeline.
    Queued,
    /// The filter dropped the piece.
    Dropped,
    /// The piece waits for an earlier piece about the same object. The next call of [`BodyDecoder::fill_pipeline`]
    /// submits the piece again.
    Deferred,
}

/// Splits and decodes the body of a list or watch, and emits the items or events in order.
pub(super) struct BodyDecoder<S: Split, T> {
    body: Body,
    /// `None` after the end of the body, and after an error that ends the stream.
    splitter: Option<S>,
    pipeline: Pipeline<Result<T, WireError>>,
    /// See [`end_data`](Self::end_data).
    end: Option<S::End>,
    /// The error that ends the stream. The stream emits all earlier items first.
    error: Option<Error>,
    /// From this time on, the body is read even if the consumer of the stream has not taken earlier items.
    read_ahead_from: Option<Instant>,
    filter: Option<PieceFilter<T>>,
    /// The keys of the values that the stream has not emitted; used only if there is a filter.
    queued: QueuedKeys,
    /// The length of the text of each value that the stream has not emitted; 0 for bookmarks in place of dropped pieces.
    lengths: VecDeque<usize>,
    /// See [`last_item_bytes`](Self::last_item_bytes).
    last_length: usize,
    /// The piece that the filter deferred. It is filtered again later.
    deferred: Option<Bytes>,
    /// Makes a bookmark with a resource version; `None` for lists, and for watches without a filter.
    bookmark: Option<fn(String) -> T>,
    /// The resource version of the last dropped piece that has a resource version. The field becomes `None`
    /// when a bookmark with this version is queued.
    dropped_version: Option<String>,
    kind: String,
    /// See [`response_description`](Self::response_description).
    response_description: String,
}

/// A decoder can be `Unpin` for every `S` and `T`: the methods pin only the field `body`, whose type is
/// `Unpin`.
impl<S: Split, T> Unpin for BodyDecoder<S, T> {}

impl<S: Split, T: Send + 'static> BodyDecoder<S, T> {
    /// Creates a decoder of `body`. Error texts contain `kind`, the kind of the objects.
    pub(super) fn new(
        body: Body,
        splitter: S,
        kind: &str,
        decode: impl Fn(&[u8]) -> Result<T, WireError> + Send + Sync + 'static,
    ) -> Self {
        let pipeline = Pipeline::new(decode);
        let response_description = match body.request_line() {
            Some(request) => format!("the response to {request} with {kind} objects"),
            None => format!("a response with {kind} objects"),
        };
        Self {
            body,
            splitter: Some(splitter),
            pipeline,
            end: None,
            error: None,
            read_ahead_from: None,
            filter: None,
            queued: QueuedKeys::default(),
            lengths: VecDeque::new(),
            last_length: 0,
            deferred: None,
            bookmark: None,
            dropped_version: None,
            kind: kind.to_owned(),
            response_description,
        }
    }

    /// Sets how much memory the values are expected to use. The default is [`ValueSize::Decoded`].
    pub(super) fn set_value_size(&mut self, value_size: ValueSize) {
        self.pipeline.set_value_size(value_size);
    }

    /// Decodes only the pieces that `filter` does not drop. With `bookmark`, the stream emits bookmarks in place of the
    /// dropped pieces. One bookmark stands for successive dropped pieces, and has the resource version of the last piece.
    pub(super) fn filter_before_decode(&mut self, filter: PieceFilter<T>, bookmark: Option<fn(String) -> T>) {
        self.filter = Some(filter);
        self.bookmark = bookmark;
    }

    /// Polls for the next item. The stream continues after an object that does not decode; any other error ends the
    /// stream.
    pub(super) fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        self.fill_pipeline(cx);
        let mut next = self.pipeline.poll_next(cx);
        if self.pipeline.has_partial_chunk() && !matches!(next, Poll::Ready(Some(_))) {
            self.pipeline.flush();
            next = self.pipeline.poll_next(cx);
        }
        if matches!(next, Poll::Ready(Some(_))) {
            self.last_length = self.lengths.pop_front().unwrap_or_default();
            if self.filter.is_some() {
                self.queued.pop();
            }
        }
        match next {
            Poll::Ready(Some(Ok(item))) => Poll::Ready(Some(Ok(item))),
            Poll::Ready(Some(Err(WireError::Object(object)))) => {
                Poll::Ready(Some(Err(Error::Object(object))))
            }
            Poll::Ready(Some(Err(error))) => {
                self.stop();
                Poll::Ready(Some(Err(self.decode_error(error))))
            }
            // `fill_pipeline` has registered the waker. If it dropped `MAX_DROPPED_PER_POLL` pieces, it has called the
            // waker instead.
            Poll::Ready(None) if self.splitter.is_some() => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(self.error.take().map(Err)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Ends the stream and drops all buffered text.
    fn stop(&mut self) {
        self.splitter = None;
        self.body = Body::empty();
        self.error = None;
        self.deferred = None;
        self.lengths.clear();
        self.pipeline.clear();
    }

    /// From `start` on, reads the body as it arrives, even if the consumer of the stream takes items slowly. Stops when
    /// [`READ_AHEAD_BYTES`] are buffered, until the consumer has taken items.
    pub(super) fn read_ahead_from(&mut self, start: Instant) {
        self.read_ahead_from = Some(start);
    }

    /// Reads and splits text, and submits the pieces. Stops when no text is available, when the filter defers a piece,
    /// when the filter has dropped [`MAX_DROPPED_PER_POLL`] pieces, or when the pipeline has no room and reading ahead
    /// is not allowed.
    pub(super) fn fill_pipeline(&mut self, cx: &mut Context<'_>) {
        if let Some(piece) = self.deferred.take()
            && self.submit_piece(piece) == SubmitOutcome::Deferred
        {
            return;
        }
        // The body may have ended while its last piece was deferred. In this case, the call above has just
        // submitted that piece. Flush the pipeline here, because the loop below does not run after the end of
        // the body.
        if self.splitter.is_none() {
            self.queue_bookmark_for_dropped_pieces();
            self.pipeline.flush();
        }
        let mut dropped = 0;
        while let Some(splitter) = &mut self.splitter
            && (self.pipeline.has_room() || may_read_ahead(self.read_ahead_from, &self.pipeline))
        {
            match splitter.next() {
                Some(Ok(piece)) => {
                    match self.submit_piece(piece) {
                        SubmitOutcome::Queued => {}
                        SubmitOutcome::Dropped => dropped += 1,
                        // The stream must first emit the value of an earlier piece about the same
                        // object. The next call submits this piece again.
                        SubmitOutcome::Deferred => return,
                    }
                    // Yield to other tasks.
                    if dropped == MAX_DROPPED_PER_POLL {
                        self.queue_bookmark_for_dropped_pieces();
                        cx.waker().wake_by_ref();
                        return;
                    }
                    continue;
                }
                Some(Err(error)) => {
                    let error = self.decode_error(error);
                    return self.fail(error);
                }
                None => {}
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        splitter.push(data);
                    }
                }
                Poll::Ready(Some(Err(error))) => return self.fail(Error::from_box(error.into())),
                Poll::Ready(None) => return self.finish(),
                // Do not flush the pipeline here: `poll_item` flushes it when no value is ready.
                Poll::Pending => return self.queue_bookmark_for_dropped_pieces(),
            }
        }
    }

    /// Queues, drops or defers a piece, depending on the verdict of the filter.
    fn submit_piece(&mut self, piece: Bytes) -> SubmitOutcome {
        let length = piece.len();
        let Some(filter) = &mut self.filter else {
            self.lengths.push_back(length);
            self.pipeline.push(piece);
            return SubmitOutcome::Queued;
        };
        match filter(&piece, &self.queued) {
            PieceVerdict::Decode(key) => {
                self.queue_bookmark_for_dropped_pieces();
                self.queued.push(key);
                self.lengths.push_back(length);
                self.pipeline.push(piece);
            }
            PieceVerdict::Ready(value) => {
                self.queue_bookmark_for_dropped_pieces();
                self.queued.push(None);
                self.lengths.push_back(length);
                self.pipeline.push_value(*value);
            }
            PieceVerdict::Drop(version) => {
                self.dropped_version = version.or(self.dropped_version.take());
                return SubmitOutcome::Dropped;
            }
            PieceVerdict::Defer => {
                self.deferred = Some(piece);
                return SubmitOutcome::Deferred;
            }
        }
        SubmitOutcome::Queued
    }

    /// Queues a bookmark with the version of the last dropped piece, if pieces were dropped since the last bookmark.
    fn queue_bookmark_for_dropped_pieces(&mut self) {
        if let Some(bookmark) = self.bookmark
            && let Some(version) = self.dropped_version.take()
        {
            self.queued.push(None);
            self.lengths.push_back(0);
            self.pipeline.push_value(Ok(bookmark(version)));
        }
    }

    /// Handles the end of the body. Submits the last piece, or ends the stream with an error if the text is incomplete or
    /// malformed.
    fn finish(&mut self) {
        match self.splitter.take().map(Split::finish) {
            Some(Ok((rest, end))) => {
                if let Some(piece) = rest {
                    self.submit_piece(piece);
                }
                self.queue_bookmark_for_dropped_pieces();
                self.end = Some(end);
                self.pipeline.flush();
            }
            // A proxy that loses its connection to the server may end the body without an error.
            Some(Err(error @ WireError::Truncated { .. })) => self.fail(Error::Transport {
                kind: TransportKind::Broken,
                what: format!("the connection ended inside {}", self.response_description),
                source: Some(error.into()),
            }),
            Some(Err(error)) => {
                let error = self.decode_error(error);
                self.fail(error);
            }
            None => {}
        }
    }

    /// Ends the stream with `error`, after the pieces that are already split.
    pub(super) fn fail(&mut self, error: Error) {
        self.queue_bookmark_for_dropped_pieces();
        self.splitter = None;
        // Release the connection now: the caller may hold the failed stream for a long time.
        self.body = Body::empty();
        self.error = Some(error);
        self.pipeline.flush();
    }

    /// The error for a body that cannot be split or decoded.
    fn decode_error(&self, error: WireError) -> Error {
        Error::Decode { what: self.response_description.clone(), source: error.into() }
    }
}

impl<S: Split, T> BodyDecoder<S, T> {
    /// The data that the splitter returns at the end of the body, such as the metadata of a list. `None` before the end
    /// of the body.
    pub(super) fn end_data(&self) -> Option<&S::End> {
        self.end.as_ref()
    }

    /// Drops the decoder, and returns the data of [`end_data`](Self::end_data).
    pub(super) fn into_end_data(self) -> Option<S::End> {
        self.end
    }

    /// The splitter; `None` after the end of the body, and after an error that ends the stream.
    pub(super) fn splitter(&self) -> Option<&S> {
        self.splitter.as_ref()
    }

    /// The number of bytes in the pieces that the stream has not emitted as items. All pieces of a chunk
    /// count until the stream has emitted all items of the chunk.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.pipeline.buffered_bytes() + self.deferred.as_ref().map_or(0, Bytes::len)
    }

    /// The length in bytes of the text of the item that the stream emitted last. The length is 0 if the
    /// stream has emitted no item yet. It is also 0 if the last item is a bookmark that replaces dropped
    /// pieces.
    pub(super) fn last_item_bytes(&self) -> usize {
        self.last_length
    }

    /// The description of the response for error texts. The description contains the request, if it is known, and the kind
    /// of the objects.
    pub(super) fn response_description(&self) -> &str {
        &self.response_description
    }

    /// The kind of the objects.
    pub(super) fn kind(&self) -> &str {
        &self.kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ListSplitter;
    use futures::{StreamExt, stream};
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// Returns a decoder of a list with `count` items, and the counter of the items that have been read from the body.
    /// Each frame of the body contains one item, padded with `bytes` bytes.
    fn decoder_of_padded_list(
        count: usize,
        bytes: usize,
    ) -> (BodyDecoder<ListSplitter, usize>, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let counter = read.clone();
        let item = move |n: usize| {
            counter.fetch_add(1, Ordering::Relaxed);
            let text = format!("\"{}{n}\"", " ".repeat(bytes));
            Ok::<_, std::io::Error>(if n == 0 { format!("{{\"items\":[{text}") } else { format!(",{text}") })
        };
        let end = stream::iter([Ok("]}".to_owned())]);
        let body = Body::wrap_stream(stream::iter((0..count).map(item)).chain(end));
        let decode = |text: &[u8]| {
            let text = std::str::from_utf8(text).unwrap();
            Ok(text.trim_matches('"').trim().parse().unwrap())
        };
        let mut items = BodyDecoder::new(body, ListSplitter::new(usize::MAX), "A", decode);
        items.read_ahead_from(Instant::now() + Duration::from_secs(20));
        (items, read)
    }

    #[tokio::test(start_paused = true)]
    async fn the_decoder_reads_ahead_for_a_slow_consumer_after_the_delay() {
        let (mut items, read) = decoder_of_padded_list(100, 1000);
        let mut taken = Vec::new();
        while let Some(item) = poll_fn(|cx| items.poll_item(cx)).await {
            taken.push(item.unwrap());
            // An item consists of two quotes, 1000 bytes of padding, and the number.
            assert_eq!(items.last_item_bytes(), 1002 + taken.last().unwrap().to_string().len());
            let read = read.load(Ordering::Relaxed);
            if taken.len() <= 19 {
                assert!(read <= taken.len() + 2, "{read} of {taken:?}");
            } else if taken.len() > 22 {
                assert_eq!(read, 100);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(taken, (0..100).collect::<Vec<_>>());
        assert!(items.end_data().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn reading_ahead_is_limited_in_bytes() {
        let (mut items, read) = decoder_of_padded_list(60, 1 << 20);
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(poll_fn(|cx| items.poll_item(cx)).await.unwrap().unwrap(), 0);
        let first = read.load(Ordering::Relaxed);
        assert!((10..20).contains(&first), "{first} items were read");
        let mut count = 1;
        while let Some(item) = poll_fn(|cx| items.poll_item(cx)).await {
            assert_eq!(item.unwrap(), count);
            count += 1;
        }
        assert_eq!(count, 60);
    }
}
