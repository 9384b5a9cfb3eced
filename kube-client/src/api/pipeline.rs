//! `Pipeline`: decodes the pieces of a body in order, on several cores where there are.
//!
//! It only decodes. Reading and splitting the body is the business of the streams around it.

use bytes::Bytes;
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    vec,
};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;

/// How much text is worth the way to another core.
const WORTHWHILE: usize = 16 << 10;
/// How much text is decoded in one go.
const CHUNK: usize = 128 << 10;

/// How many chunks are on their way besides those that are decoded or wait for their turn: what has arrived is noticed late while
/// all cores decode.
const AHEAD: usize = 4;
/// More cores than that have to wait for the one that reads and splits.
const MOST: usize = 16;

/// How many times as large as its text a decoded object may be expected to be.
const GROWTH: usize = 4;

type Decode<T> = Arc<dyn Fn(&[u8]) -> T + Send + Sync>;

/// Pieces on their way to becoming values.
pub(super) struct Pipeline<T> {
    decode: Decode<T>,
    /// Pieces that have not been handed out to be decoded.
    chunk: Vec<Bytes>,
    chunk_bytes: usize,
    /// Chunks in order, each with the length of its text.
    stages: VecDeque<(Stage<T>, usize)>,
    /// The length of all of them.
    waiting: usize,
    /// How many chunks may be on their way; 0 where all is decoded on the spot, one piece at a time.
    depth: usize,
    /// Where tasks run. Whoever polls may do so outside of a runtime.
    runtime: Option<Handle>,
}

enum Stage<T> {
    /// To be decoded on the spot.
    Raw(vec::IntoIter<Bytes>),
    /// Being decoded elsewhere. Until that has begun, the pieces are here.
    Running(Task<Vec<T>>, Pieces),
    Done(vec::IntoIter<T>),
}

/// Pieces that belong to whoever takes them: the task that decodes them and drops them after that, or, where that is never
/// run, the pipeline.
#[derive(Clone)]
struct Pieces(Arc<Mutex<Vec<Bytes>>>);

impl Pieces {
    fn new(pieces: Vec<Bytes>) -> Self {
        Self(Arc::new(Mutex::new(pieces)))
    }

    fn take(&self) -> Vec<Bytes> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A task that ends with its owner.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Pipeline<T> {
    /// How much text was pushed of which not all values have been taken.
    pub(super) fn waiting(&self) -> usize {
        self.waiting + self.chunk_bytes
    }
}

impl<T: Send + 'static> Pipeline<T> {
    /// On as many cores as the runtime has threads for.
    pub(super) fn new(decode: impl Fn(&[u8]) -> T + Send + Sync + 'static) -> Self {
        let runtime = Handle::try_current().ok();
        let depth = runtime.as_ref().map_or(0, |runtime| match runtime.runtime_flavor() {
            RuntimeFlavor::CurrentThread => 0,
            _ => match runtime.metrics().num_workers() {
                1 => 0,
                workers => AHEAD + 2 * workers.min(MOST),
            },
        });
        Self {
            decode: Arc::new(decode),
            chunk: Vec::new(),
            chunk_bytes: 0,
            stages: VecDeque::new(),
            waiting: 0,
            depth,
            runtime,
        }
    }

    /// Whether another piece is wanted. Without this bound a slow reader would have the whole body in memory.
    pub(super) fn has_room(&self) -> bool {
        if self.depth == 0 { self.is_empty() } else { self.stages.len() < self.depth }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stages.is_empty() && self.chunk.is_empty()
    }

    /// Whether pieces wait for more to come, so that decoding them is worth the way to another core.
    pub(super) fn holds_back(&self) -> bool {
        !self.chunk.is_empty()
    }

    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.chunk_bytes += piece.len();
        self.chunk.push(piece);
        if self.depth == 0 || self.chunk_bytes >= CHUNK {
            self.flush();
        }
    }

    /// Takes a value that is there already; it comes out in its turn.
    pub(super) fn push_value(&mut self, value: T) {
        self.flush();
        self.stage(Stage::Done(vec![value].into_iter()), 0);
    }

    /// There is no further piece for now: decode what there is.
    pub(super) fn flush(&mut self) {
        if self.chunk.is_empty() {
            return;
        }
        let pieces = std::mem::take(&mut self.chunk);
        let bytes = std::mem::take(&mut self.chunk_bytes);
        let stage = match &self.runtime {
            // What is more than there is room for stays text, which takes less memory.
            Some(runtime) if self.stages.len() < self.depth && bytes >= WORTHWHILE && pieces.len() > 1 => {
                let decode = self.decode.clone();
                let pieces = Pieces::new(pieces);
                let shared = pieces.clone();
                let task = runtime.spawn(async move { decode_all(&shared.take(), bytes, &*decode) });
                Stage::Running(Task(task), pieces)
            }
            _ => Stage::Raw(pieces.into_iter()),
        };
        self.stage(stage, bytes);
    }

    fn stage(&mut self, stage: Stage<T>, bytes: usize) {
        self.waiting += bytes;
        self.stages.push_back((stage, bytes));
    }

    /// The front stage is used up.
    fn leave_stage(&mut self) {
        if let Some((_, bytes)) = self.stages.pop_front() {
            self.waiting -= bytes;
        }
    }

    /// Drops all that is on its way.
    pub(super) fn clear(&mut self) {
        self.stages.clear();
        self.waiting = 0;
        self.chunk.clear();
        self.chunk_bytes = 0;
    }

    /// The next value; `None` if nothing is on its way.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        loop {
            let Some((stage, _)) = self.stages.front_mut() else { return Poll::Ready(None) };
            // A stage that is used up goes at once, so that the room it took is seen. Values are large: they are not moved about.
            match stage {
                Stage::Raw(pieces) => {
                    let piece = pieces.next();
                    if pieces.len() == 0 {
                        self.leave_stage();
                    }
                    if let Some(piece) = piece {
                        return Poll::Ready(Some((self.decode)(&piece)));
                    }
                }
                Stage::Done(values) => {
                    let value = values.next();
                    if values.len() == 0 {
                        self.leave_stage();
                    }
                    if value.is_some() {
                        return Poll::Ready(value);
                    }
                }
                Stage::Running(task, pieces) => match ready!(Pin::new(&mut task.0).poll(cx)) {
                    Ok(values) => *stage = Stage::Done(values.into_iter()),
                    Err(error) => match error.try_into_panic() {
                        // A defect in `decode` itself: it catches panics of the type's own code.
                        Ok(panic) => std::panic::resume_unwind(panic),
                        // The runtime has shut down. A task without an await either runs to its end or never begins.
                        Err(_) => *stage = Stage::Raw(pieces.take().into_iter()),
                    },
                },
            }
        }
    }
}

fn decode_all<T>(pieces: &[Bytes], bytes: usize, decode: &dyn Fn(&[u8]) -> T) -> Vec<T> {
    make_room(bytes * GROWTH);
    pieces.iter().map(|piece| decode(piece)).collect()
}

/// Has the allocator make room for what is about to be decoded. The heaps that glibc gives to threads grow by a page at a time
/// otherwise, each time with a system call that holds up the page faults of all other threads.
fn make_room(bytes: usize) {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(bytes)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    /// Numbers as text, padded so that chunks are worth their way; a number comes out as itself.
    async fn run(count: usize) -> (Vec<usize>, usize) {
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
    async fn keeps_the_order_and_a_bound_over_several_threads() {
        let (numbers, most) = run(500).await;
        assert_eq!(numbers, (0..500).collect::<Vec<_>>());
        assert!(most <= (AHEAD + 4) * (CHUNK / 9000 + 1), "{most} were on their way");
    }

    #[test]
    fn may_be_polled_outside_of_its_runtime() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let mut pipeline = runtime.block_on(async { Pipeline::new(<[u8]>::len) });
        for _ in 0..4 {
            pipeline.push(Bytes::from(vec![b' '; WORTHWHILE]));
        }
        pipeline.flush();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let first = loop {
            match pipeline.poll_next(&mut cx) {
                Poll::Ready(first) => break first,
                Poll::Pending => std::thread::yield_now(),
            }
        };
        assert_eq!(first, Some(WORTHWHILE));
    }

    #[test]
    fn what_a_runtime_leaves_undone_is_decoded_on_the_spot() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let mut pipeline = runtime.block_on(async { Pipeline::new(<[u8]>::len) });
        drop(runtime);
        for chunk in 0..2 {
            for piece in 0..3 {
                pipeline.push(Bytes::from(vec![b' '; WORTHWHILE + 3 * chunk + piece]));
            }
            pipeline.flush();
        }
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for more in 0..6 {
            assert_eq!(pipeline.poll_next(&mut cx), Poll::Ready(Some(WORTHWHILE + more)));
        }
        assert_eq!(pipeline.poll_next(&mut cx), Poll::Ready(None));
    }

    #[tokio::test]
    async fn decodes_one_at_a_time_on_a_single_thread() {
        assert_eq!(run(20).await, ((0..20).collect(), 1));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[should_panic(expected = "boom")]
    async fn a_panic_of_the_types_own_code_is_passed_on() {
        let mut pipeline = Pipeline::new(|_| -> u8 { panic!("boom") });
        for _ in 0..4 {
            pipeline.push(Bytes::from(vec![b' '; WORTHWHILE]));
        }
        pipeline.flush();
        poll_fn(|cx| pipeline.poll_next(cx)).await;
    }
}
