//! `Pipeline`: decodes the pieces of a body on the worker threads of the runtime, and returns the values in order. A
//! piece is the text of one list item or one watch event. A chunk is a sequence of pieces. One task decodes all pieces of a
//! chunk, or `poll_next` decodes them without a task.
//!
//! This module must not read or split the body; `BodyDecoder` does both.

use bytes::Bytes;
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    vec,
};
use tokio::runtime::Handle;

use crate::workers::{AbortOnDrop, workers};

/// The minimum number of bytes of text in a chunk that a task decodes. For a smaller chunk, spawning a task costs more
/// than it saves.
const MIN_TASK_BYTES: usize = 16 << 10;
/// A chunk is complete when its text has at least this number of bytes.
const CHUNK_BYTES: usize = 128 << 10;

/// The maximum number of chunks in flight is two per worker plus this number. With fewer chunks, workers would sometimes
/// be idle: while all cores decode, the polling task runs late and reads no new text.
const EXTRA_CHUNKS: usize = 4;

/// How much memory the values of a pipeline are expected to use.
#[derive(Clone, Copy)]
pub(super) enum ValueSize {
    /// The values are decoded objects. They take about four times the size of their text.
    Decoded,
    /// The values are compressed texts. They take about a quarter of the size of the original text.
    Compressed,
}

impl ValueSize {
    /// The number of bytes of memory that the values are expected to use if their text has `text_bytes` bytes.
    fn expected_bytes(self, text_bytes: usize) -> usize {
        match self {
            Self::Decoded => text_bytes * 4,
            Self::Compressed => text_bytes / 4,
        }
    }
}

/// The function that decodes one piece.
type PieceDecoder<T> = Arc<dyn Fn(&[u8]) -> T + Send + Sync>;

/// A queue of pieces. Decodes them, if possible in parallel, and returns the values in the order of the pieces.
pub(super) struct Pipeline<T> {
    decode: PieceDecoder<T>,
    value_size: ValueSize,
    /// The partial chunk: the pieces that were pushed after the last element of `chunks`.
    partial: Vec<Bytes>,
    partial_bytes: usize,
    /// The chunks in order, each with the number of bytes of its text.
    chunks: VecDeque<(Chunk<T>, usize)>,
    /// The number of bytes of the text of all `chunks`.
    queued_bytes: usize,
    /// The number of chunks at which the queue is full: [`has_room`](Self::has_room) returns false, and
    /// [`flush`](Self::flush) queues further chunks without a decoding task. 0 if no task can be spawned: `poll_next`
    /// then decodes the pieces one at a time.
    max_chunks: usize,
    /// The runtime on which decoding tasks are spawned. It is stored because the caller may poll outside of a runtime.
    runtime: Option<Handle>,
}

/// A chunk before, during or after its decoding.
enum Chunk<T> {
    /// Pieces that `poll_next` decodes.
    Raw(vec::IntoIter<Bytes>),
    /// A task decodes the pieces. It takes them from the [`SharedPieces`] when it starts.
    Running(AbortOnDrop<Vec<T>>, SharedPieces),
    /// The chunk is decoded. These values have not been returned.
    Done(vec::IntoIter<T>),
}

/// The pieces of a chunk. The decoding task takes the pieces when it starts. If the runtime shuts down before that,
/// the pipeline takes the pieces.
#[derive(Clone)]
struct SharedPieces(Arc<Mutex<Vec<Bytes>>>);

impl SharedPieces {
    fn new(pieces: Vec<Bytes>) -> Self {
        Self(Arc::new(Mutex::new(pieces)))
    }

    /// Takes all pieces. The clones of this handle share the pieces, so they have no pieces afterwards.
    fn take_all(&self) -> Vec<Bytes> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Pipeline<T> {
    /// The number of bytes of text in all chunks and in the partial chunk. The whole text of a chunk counts until all
    /// its values have been returned.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.queued_bytes + self.partial_bytes
    }
}

impl<T: Send + 'static> Pipeline<T> {
    /// Creates an empty pipeline. It calls `decode` in the tasks that [`flush`](Self::flush) spawns on the current runtime,
    /// and otherwise in `poll_next`. If the runtime is not multi-threaded, `flush` spawns no tasks.
    pub(super) fn new(decode: impl Fn(&[u8]) -> T + Send + Sync + 'static) -> Self {
        let (runtime, max_chunks) = match workers() {
            Some((runtime, workers)) => (Some(runtime), EXTRA_CHUNKS + 2 * workers),
            None => (None, 0),
        };
        Self {
            decode: Arc::new(decode),
            value_size: ValueSize::Decoded,
            partial: Vec::new(),
            partial_bytes: 0,
            chunks: VecDeque::new(),
            queued_bytes: 0,
            max_chunks,
            runtime,
        }
    }

    /// Sets how much memory the values are expected to use. The default is [`ValueSize::Decoded`].
    pub(super) fn set_value_size(&mut self, value_size: ValueSize) {
        self.value_size = value_size;
    }

    /// Whether the caller should push another piece. `max_chunks` limits the queued chunks; if it is 0, the
    /// pipeline must be empty. If there were no limit and the consumer of the stream were slow, the whole
    /// body would be buffered.
    pub(super) fn has_room(&self) -> bool {
        if self.max_chunks == 0 { self.is_empty() } else { self.chunks.len() < self.max_chunks }
    }

    /// Whether all values have been returned.
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.partial.is_empty()
    }

    /// Whether a partial chunk awaits more pieces before it is decoded.
    pub(super) fn has_partial_chunk(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Appends a piece.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.partial_bytes += piece.len();
        self.partial.push(piece);
        if self.max_chunks == 0 || self.partial_bytes >= CHUNK_BYTES {
            self.flush();
        }
    }

    /// Appends a value that is already decoded.
    pub(super) fn push_value(&mut self, value: T) {
        self.flush();
        self.push_chunk(Chunk::Done(vec![value].into_iter()), 0);
    }

    /// Ends the partial chunk, and queues it. A task decodes the chunk if all these conditions are true: fewer
    /// than `max_chunks` chunks were queued before, the chunk has several pieces, and the text of the pieces has
    /// at least [`MIN_TASK_BYTES`]. Otherwise `poll_next` decodes the pieces.
    pub(super) fn flush(&mut self) {
        if self.partial.is_empty() {
            return;
        }
        let pieces = std::mem::take(&mut self.partial);
        let bytes = std::mem::take(&mut self.partial_bytes);
        let chunk = match &self.runtime {
            // Beyond the limit, pieces stay undecoded: text takes less memory than decoded objects.
            Some(runtime)
                if self.chunks.len() < self.max_chunks && bytes >= MIN_TASK_BYTES && pieces.len() > 1 =>
            {
                let decode = self.decode.clone();
                let pieces = SharedPieces::new(pieces);
                let shared = pieces.clone();
                let heap = self.value_size.expected_bytes(bytes);
                let task = runtime.spawn(async move { decode_all(&shared.take_all(), heap, &*decode) });
                Chunk::Running(AbortOnDrop::new(task), pieces)
            }
            _ => Chunk::Raw(pieces.into_iter()),
        };
        self.push_chunk(chunk, bytes);
    }

    /// Appends a chunk whose text has `bytes` bytes.
    fn push_chunk(&mut self, chunk: Chunk<T>, bytes: usize) {
        self.queued_bytes += bytes;
        self.chunks.push_back((chunk, bytes));
    }

    /// Removes the first chunk, which has no more values.
    fn pop_chunk(&mut self) {
        if let Some((_, bytes)) = self.chunks.pop_front() {
            self.queued_bytes -= bytes;
        }
    }

    /// Drops all pieces and values, and aborts their tasks.
    pub(super) fn clear(&mut self) {
        self.chunks.clear();
        self.queued_bytes = 0;
        self.partial.clear();
        self.partial_bytes = 0;
    }

    /// The next value; `None` if `chunks` is empty. Does not decode the partial chunk before [`flush`](Self::flush).
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        loop {
            let Some((chunk, _)) = self.chunks.front_mut() else { return Poll::Ready(None) };
            // Remove a chunk together with its last value, so that `has_room` does not count an empty chunk. Values are
            // large: do not move a value out of its `Option` before returning it.
            match chunk {
                Chunk::Raw(pieces) => {
                    let piece = pieces.next();
                    if pieces.len() == 0 {
                        self.pop_chunk();
                    }
                    if let Some(piece) = piece {
                        return Poll::Ready(Some((self.decode)(&piece)));
                    }
                }
                Chunk::Done(values) => {
                    let value = values.next();
                    if values.len() == 0 {
                        self.pop_chunk();
                    }
                    if value.is_some() {
                        return Poll::Ready(value);
                    }
                }
                Chunk::Running(task, pieces) => match ready!(Pin::new(task).poll(cx)) {
                    Ok(values) => *chunk = Chunk::Done(values.into_iter()),
                    Err(error) => match error.try_into_panic() {
                        // This panic is a bug in this crate: `wire::json::decode` catches the panics of
                        // `Deserialize` implementations.
                        Ok(panic) => std::panic::resume_unwind(panic),
                        // The runtime shut down before the task started. The task has no await, so it cannot
                        // stop halfway. Therefore `pieces` still contains all pieces.
                        Err(_) => *chunk = Chunk::Raw(pieces.take_all().into_iter()),
                    },
                },
            }
        }
    }
}

/// Decodes the pieces of a chunk. `heap` is the number of bytes that the returned values are expected to use.
fn decode_all<T>(pieces: &[Bytes], heap: usize, decode: &dyn Fn(&[u8]) -> T) -> Vec<T> {
    reserve_heap(heap);
    pieces.iter().map(|piece| decode(piece)).collect()
}

/// Grows the heap of this thread by `bytes` at once. Otherwise glibc grows the arena of a thread by one page at a time,
/// and each of these system calls (`mprotect`) blocks the page faults of all other threads.
///
/// Measured with `cargo xtask bench store-list list` on two cores, without this call: 1.26 s of processor time instead
/// of 1.02 s for a store of 20,000 pods, 2.48 s instead of 2.13 s for a list of them. With other allocators, this call
/// costs one allocation per 128 KiB of text; decoding such a text takes about 1 ms.
fn reserve_heap(bytes: usize) {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(bytes)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    /// Decodes `count` numbers. Each number is a piece of 9,000 bytes, so a chunk of two or more pieces has at
    /// least [`MIN_TASK_BYTES`]. Returns the numbers, and the maximum number of pieces in flight: pieces whose
    /// numbers the pipeline has not yet returned.
    async fn decode_numbers(count: usize) -> (Vec<usize>, usize) {
        let mut pipeline = Pipeline::new(|text| std::str::from_utf8(text).unwrap().trim().parse().unwrap());
        let (mut next, mut most, mut out) = (0, 0, Vec::new());
        loop {
            while next < count && pipeline.has_room() {
                pipeline.push(Bytes::from(format!("{next:>9000}")));
                next += 1;
            }
            if next == count {
                pipeline.flush();
            }
            most = most.max(next - out.len());
            match poll_fn(|cx| pipeline.poll_next(cx)).await {
                Some(number) => out.push(number),
                None if next == count => return (out, most),
                None => {}
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_pipeline_on_several_threads_preserves_the_order_and_limits_the_pieces_in_flight() {
        let (numbers, most) = decode_numbers(500).await;
        assert_eq!(numbers, (0..500).collect::<Vec<_>>());
        assert!(most <= (EXTRA_CHUNKS + 4) * (CHUNK_BYTES / 9000 + 1), "{most} were in flight");
    }

    #[test]
    fn a_pipeline_may_be_polled_outside_of_its_runtime() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let mut pipeline = runtime.block_on(async { Pipeline::new(<[u8]>::len) });
        for _ in 0..4 {
            pipeline.push(Bytes::from(vec![b' '; MIN_TASK_BYTES]));
        }
        pipeline.flush();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let first = loop {
            match pipeline.poll_next(&mut cx) {
                Poll::Ready(first) => break first,
                Poll::Pending => std::thread::yield_now(),
            }
        };
        assert_eq!(first, Some(MIN_TASK_BYTES));
    }

    #[test]
    fn poll_next_decodes_the_pieces_after_the_runtime_has_shut_down() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let mut pipeline = runtime.block_on(async { Pipeline::new(<[u8]>::len) });
        drop(runtime);
        for chunk in 0..2 {
            for piece in 0..3 {
                pipeline.push(Bytes::from(vec![b' '; MIN_TASK_BYTES + 3 * chunk + piece]));
            }
            pipeline.flush();
        }
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for more in 0..6 {
            assert_eq!(pipeline.poll_next(&mut cx), Poll::Ready(Some(MIN_TASK_BYTES + more)));
        }
        assert_eq!(pipeline.poll_next(&mut cx), Poll::Ready(None));
    }

    #[tokio::test]
    async fn a_pipeline_decodes_one_piece_at_a_time_on_a_current_thread_runtime() {
        assert_eq!(decode_numbers(20).await, ((0..20).collect(), 1));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[should_panic(expected = "boom")]
    async fn poll_next_resumes_a_panic_of_the_decode_function() {
        let mut pipeline = Pipeline::new(|_| -> u8 { panic!("boom") });
        for _ in 0..4 {
            pipeline.push(Bytes::from(vec![b' '; MIN_TASK_BYTES]));
        }
        pipeline.flush();
        poll_fn(|cx| pipeline.poll_next(cx)).await;
    }
}
