//! The buffer of the bytes that a connection receives. The connection fills the buffer, and the program that
//! uses this crate reads from it.

use bytes::{Buf, Bytes};
use futures::task::AtomicWaker;
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, ReadBuf};

/// The size in bytes below which a message is copied. A small slice would keep the whole read buffer of the connection
/// in memory.
const MIN_SHARED_BYTES: usize = 4 << 10;
/// The minimum number of bytes that the buffer counts for a message: the queue entry of a small message also uses memory.
const MIN_COST: usize = 64;

/// The reason that a stream ended early. Reads return this reason as an [`io::Error`].
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: io::ErrorKind,
    pub(super) text: Arc<str>,
}

impl Failure {
    pub(super) fn new(kind: io::ErrorKind, text: &str) -> Self {
        Self { kind, text: text.into() }
    }

    /// Converts an error and its causes to text. `AttachedProcess::join` or `Portforwarder::join` returns the
    /// `Error` itself, which cannot be cloned. Therefore a failure contains the text instead.
    pub(super) fn of(error: &crate::Error) -> Self {
        let kind = match error {
            crate::Error::Timeout { .. } => io::ErrorKind::TimedOut,
            crate::Error::Decode { .. } => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::ConnectionReset,
        };
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self::new(kind, &text)
    }

    fn to_io_error(&self) -> io::Error {
        io::Error::new(self.kind, self.text.to_string())
    }
}

struct BufferState {
    /// The received messages, each with its cost. The cost is the size of the message, but at least [`MIN_COST`].
    chunks: VecDeque<(Bytes, usize)>,
    /// The sum of the costs. While this sum is at least `capacity`, the sender waits.
    buffered: usize,
    capacity: usize,
    /// The end of the stream, which the reader receives after the last message; `None` while the stream is open.
    end: Option<Result<(), Failure>>,
    is_reader_dropped: bool,
}

struct SharedBuffer {
    state: Mutex<BufferState>,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl SharedBuffer {
    /// Locks the state. Ignores poisoning, because no code panics while it holds the lock.
    fn state(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection's side of the buffer.
pub(super) struct Sender(Arc<SharedBuffer>);

/// The output of a process: the bytes that arrive from its connection.
///
/// A read returns the end of the stream only if the server ended the stream, or has sent the result of the process. If the
/// connection breaks earlier, the read returns an error, so that truncated output does not look complete.
/// While the buffer is full, the connection is not read. After the value is dropped, the output is discarded.
///
/// # Cancel safety
/// `read` is cancel safe: no byte is lost.
pub struct ProcessOutput(Arc<SharedBuffer>);

/// The two sides of a buffer of `capacity` bytes. One message may exceed the capacity.
pub(super) fn inbound_buffer(capacity: usize) -> (Sender, ProcessOutput) {
    let state =
        BufferState { chunks: VecDeque::new(), buffered: 0, capacity, end: None, is_reader_dropped: false };
    let shared = Arc::new(SharedBuffer {
        state: Mutex::new(state),
        reader: AtomicWaker::new(),
        writer: AtomicWaker::new(),
    });
    (Sender(shared.clone()), ProcessOutput(shared))
}

impl Sender {
    /// Waits while the buffer is full, and appends the bytes. Discards the bytes if the reader has been dropped, or
    /// the stream has ended.
    pub(super) async fn send(&self, bytes: Bytes) {
        let mut bytes = Some(bytes);
        poll_fn(|cx| {
            self.0.writer.register(cx.waker());
            let mut state = self.0.state();
            if state.buffered >= state.capacity && !state.is_reader_dropped {
                return Poll::Pending;
            }
            if let Some(bytes) = bytes.take().filter(|bytes| !bytes.is_empty())
                && !state.is_reader_dropped
                && state.end.is_none()
            {
                let cost = bytes.len().max(MIN_COST);
                state.buffered += cost;
                let is_small = bytes.len() < MIN_SHARED_BYTES;
                let kept = if is_small { Bytes::copy_from_slice(&bytes) } else { bytes };
                state.chunks.push_back((kept, cost));
            }
            Poll::Ready(())
        })
        .await;
        self.0.reader.wake();
    }

    /// Ends the stream. Only the first call has an effect.
    pub(super) fn end(&self, end: Result<(), Failure>) {
        self.0.state().end.get_or_insert(end);
        self.0.reader.wake();
    }

    /// Whether the program has dropped the [`ProcessOutput`].
    pub(super) fn is_reader_dropped(&self) -> bool {
        self.0.state().is_reader_dropped
    }
}

/// Ends the stream with an error, unless the stream has already ended: without a sender, no further bytes can arrive.
impl Drop for Sender {
    fn drop(&mut self) {
        let text = "the stream is cut off: its connection was dropped or aborted";
        self.end(Err(Failure::new(io::ErrorKind::ConnectionAborted, text)));
    }
}

impl AsyncRead for ProcessOutput {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.reader.register(cx.waker());
        let mut state = self.0.state();
        let mut is_copied = false;
        while buffer.remaining() > 0
            && let Some((chunk, _)) = state.chunks.front_mut()
        {
            let count = chunk.len().min(buffer.remaining());
            buffer.put_slice(&chunk[..count]);
            chunk.advance(count);
            is_copied = true;
            if chunk.is_empty()
                && let Some((_, cost)) = state.chunks.pop_front()
            {
                state.buffered -= cost;
            }
        }
        if is_copied || buffer.remaining() == 0 {
            drop(state);
            self.0.writer.wake();
            return Poll::Ready(Ok(()));
        }
        match &state.end {
            None => Poll::Pending,
            Some(Ok(())) => Poll::Ready(Ok(())),
            Some(Err(failure)) => Poll::Ready(Err(failure.to_io_error())),
        }
    }
}

impl Drop for ProcessOutput {
    fn drop(&mut self) {
        let chunks = {
            let mut state = self.0.state();
            state.is_reader_dropped = true;
            std::mem::take(&mut state.chunks)
        };
        drop(chunks);
        self.0.writer.wake();
    }
}

impl fmt::Debug for ProcessOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessOutput").field("buffered", &self.0.state().buffered).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, poll};
    use std::pin::pin;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn a_sender_waits_while_the_buffer_is_full() {
        let (sender, mut output) = inbound_buffer(100);
        sender.send(Bytes::from(vec![1; 150])).await;
        {
            let mut second = pin!(sender.send(Bytes::from(vec![2; 10])));
            assert!(poll!(&mut second).is_pending());
            let mut bytes = [0; 149];
            output.read_exact(&mut bytes).await.unwrap();
            assert!(poll!(&mut second).is_pending());
            output.read_exact(&mut bytes[..1]).await.unwrap();
            assert!(poll!(&mut second).is_ready());
        }
        drop(sender);
        let mut rest = Vec::new();
        let error = output.read_to_end(&mut rest).await.unwrap_err();
        assert_eq!((rest, error.kind()), (vec![2; 10], io::ErrorKind::ConnectionAborted));
    }

    #[tokio::test]
    async fn each_message_has_a_minimum_cost() {
        let (sender, _output) = inbound_buffer(10 * MIN_COST);
        let mut sent = 0;
        while sender.send(Bytes::from_static(b"x")).now_or_never().is_some() {
            sent += 1;
        }
        assert_eq!(sent, 10);
    }

    #[tokio::test]
    async fn messages_without_a_reader_are_discarded_and_an_end_is_final() {
        let (sender, output) = inbound_buffer(1);
        sender.send(Bytes::from_static(b"x")).await;
        let mut blocked = pin!(sender.send(Bytes::from_static(b"y")));
        assert!(poll!(&mut blocked).is_pending());
        drop(output);
        blocked.await;
        assert!(sender.is_reader_dropped());
        let (sender, mut output) = inbound_buffer(1);
        sender.end(Ok(()));
        sender.end(Err(Failure::new(io::ErrorKind::Other, "later")));
        sender.send(Bytes::from_static(b"after the end")).await;
        assert_eq!(output.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    }
}
