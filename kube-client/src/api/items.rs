//! `Items`: reads a body, splits it, and decodes its pieces in order. What lists and watches share.

use super::filter::{Decoding, PieceFilter, PieceVerdict};
use super::pipeline::Pipeline;
use crate::client::Body;
use crate::wire::{Split, WireError};
use crate::{Error, Result};
use bytes::Bytes;
use http_body::Body as _;
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::Instant;

/// How often other tasks of the runtime may run, in which time more of a body may arrive, before what there is gets decoded: a
/// few events are not worth the way to another core, and many are.
const PATIENCE: u8 = 2;

/// How many pieces may be dropped before other tasks run.
const DROPPED_AT_ONCE: usize = 256;

/// How much text may wait for whoever takes items slowly.
const WAITING: usize = 16 << 20;

/// Whether a body is read that nobody wants more of yet.
fn overdue<T: Send + 'static>(hurry: Option<Instant>, pipeline: &Pipeline<T>) -> bool {
    hurry.is_some_and(|then| pipeline.waiting() < WAITING && Instant::now() >= then)
}

/// What has become of a piece.
#[derive(PartialEq, Eq)]
enum Taken {
    Kept,
    Dropped,
    /// It is looked at again when another piece has come out.
    Held,
}

/// The pieces of a body, decoded.
pub(super) struct Items<S: Split, T> {
    body: Body,
    /// Until the body has ended.
    splitter: Option<S>,
    pipeline: Pipeline<Result<T, WireError>>,
    end: Option<S::End>,
    /// What ends the stream, after the pieces before it.
    error: Option<Error>,
    /// From when on the body is read whether or not what came before is wanted.
    hurry: Option<Instant>,
    /// How often others may still run before what has arrived is decoded.
    patience: u8,
    /// Decides which pieces are decoded.
    filter: Option<PieceFilter<T>>,
    /// What of the pieces that a filter let pass has not come out yet.
    decoding: Decoding,
    /// The piece that the filter could not decide about.
    held: Option<Bytes>,
    /// Tells the version of what was dropped.
    tell: Option<fn(String) -> T>,
    /// That version, until it is told.
    dropped: Option<String>,
    kind: String,
}

/// No piece is ever pinned.
impl<S: Split, T> Unpin for Items<S, T> {}

impl<S: Split, T: Send + 'static> Items<S, T> {
    /// Pieces of `body` about objects of `kind`, which errors name.
    pub(super) fn new(
        body: Body,
        splitter: S,
        kind: &str,
        decode: impl Fn(&[u8]) -> Result<T, WireError> + Send + Sync + 'static,
    ) -> Self {
        let pipeline = Pipeline::new(decode);
        Self {
            body,
            splitter: Some(splitter),
            pipeline,
            end: None,
            error: None,
            hurry: None,
            patience: 0,
            filter: None,
            decoding: Decoding::default(),
            held: None,
            tell: None,
            dropped: None,
            kind: kind.to_owned(),
        }
    }

    /// Decodes only what `filter` lets pass. Where `tell` is there, the version of what was dropped comes out in its place, the
    /// last of several in a row.
    pub(super) fn filter_before_decode(&mut self, filter: PieceFilter<T>, tell: Option<fn(String) -> T>) {
        self.filter = Some(filter);
        self.tell = tell;
    }

    /// The next piece. An object that does not decode is an error after which others follow; any other error is the last item.
    pub(super) fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        self.fill(cx);
        let mut next = self.pipeline.poll_next(cx);
        if self.pipeline.holds_back() && !matches!(next, Poll::Ready(Some(_))) {
            if self.patience > 0 {
                self.patience -= 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.pipeline.flush();
            next = self.pipeline.poll_next(cx);
        }
        if self.filter.is_some() && matches!(next, Poll::Ready(Some(_))) {
            self.decoding.end();
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
            // `fill` has come to the end of what has arrived, and has arranged to be woken.
            Poll::Ready(None) if self.splitter.is_some() => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(self.error.take().map(Err)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Ends the stream here, whatever is still to come.
    fn stop(&mut self) {
        self.splitter = None;
        self.body = Body::empty();
        self.error = None;
        self.held = None;
        self.pipeline.clear();
    }

    /// From then on the body is read as it comes, up to a bound, however slowly its items are taken.
    pub(super) fn hurry_from(&mut self, then: Instant) {
        self.hurry = Some(then);
    }

    /// Reads and splits as much as there is room and text for, and has it decoded.
    pub(super) fn fill(&mut self, cx: &mut Context<'_>) {
        if let Some(piece) = self.held.take()
            && self.take(piece) == Taken::Held
        {
            return;
        }
        let mut dropped = 0;
        while let Some(splitter) = &mut self.splitter
            && (self.pipeline.has_room() || overdue(self.hurry, &self.pipeline))
        {
            match splitter.next() {
                Some(Ok(piece)) => {
                    match self.take(piece) {
                        Taken::Kept => {}
                        Taken::Dropped => dropped += 1,
                        // Whoever polls gets what it waits for first.
                        Taken::Held => return,
                    }
                    // Others want to run, too.
                    if dropped == DROPPED_AT_ONCE {
                        self.tell_dropped();
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
                    self.patience = PATIENCE;
                    if let Ok(data) = frame.into_data() {
                        splitter.push(data);
                    }
                }
                Poll::Ready(Some(Err(error))) => return self.fail(Error::from_box(error.into())),
                Poll::Ready(None) => return self.finish(),
                // What there is may be too little to be worth its way to another core; see `poll_item`.
                Poll::Pending => return self.tell_dropped(),
            }
        }
    }

    /// Has a piece decoded, unless the filter says otherwise.
    fn take(&mut self, piece: Bytes) -> Taken {
        let Some(filter) = &mut self.filter else {
            self.pipeline.push(piece);
            return Taken::Kept;
        };
        match filter(&piece, &self.decoding) {
            PieceVerdict::Decode(key) => {
                self.tell_dropped();
                self.decoding.begin(key);
                self.pipeline.push(piece);
            }
            PieceVerdict::Ready(value) => {
                self.tell_dropped();
                self.decoding.begin(None);
                self.pipeline.push_value(*value);
            }
            PieceVerdict::Drop(version) => {
                self.dropped = version.or(self.dropped.take());
                return Taken::Dropped;
            }
            PieceVerdict::Later => {
                self.held = Some(piece);
                return Taken::Held;
            }
        }
        Taken::Kept
    }

    fn tell_dropped(&mut self) {
        if let Some(tell) = self.tell
            && let Some(version) = self.dropped.take()
        {
            self.decoding.begin(None);
            self.pipeline.push_value(Ok(tell(version)));
        }
    }

    fn finish(&mut self) {
        match self.splitter.take().map(Split::finish) {
            Some(Ok((rest, end))) => {
                if let Some(piece) = rest {
                    self.take(piece);
                }
                self.tell_dropped();
                self.end = Some(end);
                self.pipeline.flush();
            }
            Some(Err(error)) => {
                let error = self.decode_error(error);
                self.fail(error);
            }
            None => {}
        }
    }

    /// Ends the stream with this error, after what has been split.
    pub(super) fn fail(&mut self, error: Error) {
        self.tell_dropped();
        self.splitter = None;
        // The connection is not to wait for a stream that nobody may drop for long.
        self.body = Body::empty();
        self.error = Some(error);
        self.pipeline.flush();
    }

    fn decode_error(&self, error: WireError) -> Error {
        Error::Decode { what: format!("an answer about {} objects", self.kind), source: error.into() }
    }
}

impl<S: Split, T> Items<S, T> {
    /// What there is to know once the body has ended well.
    pub(super) fn end(&self) -> Option<&S::End> {
        self.end.as_ref()
    }

    pub(super) fn into_end(self) -> Option<S::End> {
        self.end
    }

    /// The splitter, until the body has ended.
    pub(super) fn splitter(&self) -> Option<&S> {
        self.splitter.as_ref()
    }

    /// How much text was split off of which nothing has come out.
    pub(super) fn waiting(&self) -> usize {
        self.pipeline.waiting() + self.held.as_ref().map_or(0, Bytes::len)
    }

    /// The kind that errors name.
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

    /// A list of so many items of so many bytes, each in a frame of its own; how many frames have been read.
    fn list(count: usize, bytes: usize) -> (Items<ListSplitter, usize>, Arc<AtomicUsize>) {
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
        let mut items = Items::new(body, ListSplitter::default(), "A", decode);
        items.hurry_from(Instant::now() + Duration::from_secs(20));
        (items, read)
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_whose_items_are_taken_slowly_is_read_all_the_same() {
        let (mut items, read) = list(100, 1000);
        let mut taken = Vec::new();
        while let Some(item) = poll_fn(|cx| items.poll_item(cx)).await {
            taken.push(item.unwrap());
            let read = read.load(Ordering::Relaxed);
            if taken.len() <= 19 {
                assert!(read <= taken.len() + 2, "{read} of {taken:?}");
            } else if taken.len() > 22 {
                assert_eq!(read, 100);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(taken, (0..100).collect::<Vec<_>>());
        assert!(items.end().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_of_it_waits_than_there_is_memory_for() {
        let (mut items, read) = list(60, 1 << 20);
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
