//! The buffer of the bytes that the program passes to the connection.

use bytes::BytesMut;
use futures::task::AtomicWaker;
use std::{
    collections::VecDeque,
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};
use tokio::io::AsyncWrite;

/// The maximum size in bytes of one message, without its header.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

struct BufferState {
    /// The messages before `filling`, in order. Writes append to `filling`. Each message begins with `header_bytes` bytes,
    /// which the connection overwrites.
    full: VecDeque<BytesMut>,
    filling: BytesMut,
    /// The number of bytes in `full` and `filling`, without headers.
    buffered: usize,
    capacity: usize,
    header_bytes: usize,
    is_closed: bool,
    is_connection_dropped: bool,
}

struct SharedBuffer {
    state: Mutex<BufferState>,
    reader: AtomicWaker,
    writer: AtomicWaker,
    /// The reason that the program cannot close the stream; `None` if the program can close the stream.
    unclosable: Option<&'static str>,
}

impl SharedBuffer {
    /// Locks the state. Ignores poisoning: no code that holds the lock panics.
    fn state(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The standard input of a process.
///
/// Writes wait while the buffer is full, for example because the process does not read. To close the standard input after
/// the buffered bytes, call `shutdown` or drop the value: the output of the process continues.
///
/// # Errors
/// With `v4.channel.k8s.io`, the protocol of servers before Kubernetes 1.30, the standard input cannot be closed:
/// `shutdown` returns an error of the kind `Unsupported`. Writes fail with `BrokenPipe` after the connection has ended.
///
/// # Cancel safety
/// A cancelled `write` has written nothing. A cancelled `write_all` may have written a part of the bytes.
pub struct ProcessInput(Arc<SharedBuffer>);

/// The connection's side of the buffer.
pub(super) struct Receiver(Arc<SharedBuffer>);

/// The two sides of a buffer of `capacity` bytes. Each message begins with `header_bytes` zero bytes. `unclosable` is the
/// reason that the program cannot close the stream, or `None` if the program can close the stream.
pub(super) fn outbound_buffer(
    capacity: usize,
    header_bytes: usize,
    unclosable: Option<&'static str>,
) -> (ProcessInput, Receiver) {
    let state = BufferState {
        full: VecDeque::new(),
        filling: BytesMut::new(),
        buffered: 0,
        capacity,
        header_bytes,
        is_closed: false,
        is_connection_dropped: false,
    };
    let shared = Arc::new(SharedBuffer {
        state: Mutex::new(state),
        reader: AtomicWaker::new(),
        writer: AtomicWaker::new(),
        unclosable,
    });
    (ProcessInput(shared.clone()), Receiver(shared))
}

impl Receiver {
    /// The next message, with room for its header; `None` after the program has closed the stream.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<BytesMut>> {
        self.0.reader.register(cx.waker());
        let mut state = self.0.state();
        let next = state.full.pop_front();
        let chunk = next.unwrap_or_else(|| state.filling.split());
        if chunk.is_empty() {
            return if state.is_closed { Poll::Ready(None) } else { Poll::Pending };
        }
        state.buffered -= chunk.len() - state.header_bytes;
        drop(state);
        self.0.writer.wake();
        Poll::Ready(Some(chunk))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.0.state().is_connection_dropped = true;
        self.0.writer.wake();
    }
}

impl AsyncWrite for ProcessInput {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.0.writer.register(cx.waker());
        let mut state = self.0.state();
        if state.is_connection_dropped || state.is_closed {
            let text = if state.is_closed { "the stream is closed" } else { "the connection has ended" };
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, text)));
        }
        let count = bytes.len().min(state.capacity - state.buffered).min(MAX_MESSAGE_BYTES);
        if count == 0 {
            return Poll::Pending;
        }
        let header_bytes = state.header_bytes;
        if state.filling.len() + count > header_bytes + MAX_MESSAGE_BYTES {
            let full = state.filling.split();
            state.full.push_back(full);
        }
        if state.filling.is_empty() {
            state.filling.resize(header_bytes, 0);
        }
        state.filling.extend_from_slice(&bytes[..count]);
        state.buffered += count;
        drop(state);
        self.0.reader.wake();
        Poll::Ready(Ok(count))
    }

    /// Does nothing: the connection sends the buffered bytes without a flush.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(text) = self.0.unclosable {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::Unsupported, text)));
        }
        self.0.state().is_closed = true;
        self.0.reader.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for ProcessInput {
    fn drop(&mut self) {
        self.0.state().is_closed = true;
        self.0.reader.wake();
    }
}

impl fmt::Debug for ProcessInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessInput").field("buffered", &self.0.state().buffered).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, poll};
    use std::{future::poll_fn, pin::pin};
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn writes_wait_for_the_connection_and_arrive_in_order() {
        let (mut input, mut receiver) = outbound_buffer(MAX_MESSAGE_BYTES + 10, 1, None);
        let bytes: Vec<u8> = (0..=250).cycle().take(MAX_MESSAGE_BYTES + 100).collect();
        let mut written = pin!(input.write_all(&bytes));
        assert!(poll!(&mut written).is_pending());
        let mut arrived = Vec::new();
        for _ in 0..2 {
            let chunk = poll_fn(|cx| receiver.poll_next(cx)).await.unwrap();
            assert!(chunk.len() <= 1 + MAX_MESSAGE_BYTES && chunk[0] == 0);
            arrived.extend_from_slice(&chunk[1..]);
        }
        assert!(poll!(&mut written).is_ready());
        let chunk = poll_fn(|cx| receiver.poll_next(cx)).await.unwrap();
        arrived.extend_from_slice(&chunk[1..]);
        assert!(arrived == bytes);
        assert!(poll_fn(|cx| receiver.poll_next(cx)).now_or_never().is_none());
        input.shutdown().await.unwrap();
        assert!(poll_fn(|cx| receiver.poll_next(cx)).await.is_none());
        assert_eq!(input.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn a_waiting_write_fails_if_the_connection_is_dropped() {
        let (mut input, receiver) = outbound_buffer(1, 0, Some("no close"));
        let mut written = pin!(input.write_all(b"ab"));
        assert!(poll!(&mut written).is_pending());
        drop(receiver);
        assert_eq!(written.await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let error = input.shutdown().await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::Unsupported, "no close"));
    }
}
