//! `Stream`: a connection whose writes fail when they make no progress within a time limit.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::failure::WriteStalled;

/// A bidirectional byte stream.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A connection, plain or TLS, with a time limit on writes without progress. The middleware limits reads.
pub(crate) struct Stream {
    inner: Box<dyn Duplex>,
    limit: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    is_upgraded: Upgraded,
}

/// Removes the time limit on the writes of a [`Stream`] after an HTTP upgrade. The peer can then be a process in a
/// container: a write makes no progress while the process does not read its input, and that is not a failure.
#[derive(Clone, Debug, Default)]
pub(super) struct Upgraded(Arc<AtomicBool>);

impl Upgraded {
    /// Removes the limit.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Stream {
    pub(super) fn new(inner: Box<dyn Duplex>, limit: Option<Duration>) -> Self {
        Self { inner, limit, timer: None, is_upgraded: Upgraded::default() }
    }

    /// The handle that removes the limit after an HTTP upgrade.
    pub(super) fn upgraded(&self) -> Upgraded {
        self.is_upgraded.clone()
    }

    /// The limit on a write without progress.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Calls `write`. Fails if no write has succeeded for the time limit.
    fn limit_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut Box<dyn Duplex>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = write(Pin::new(&mut self.inner), cx) {
            self.timer = None;
            return Poll::Ready(done);
        }
        let Some(limit) = self.limit.filter(|_| !self.is_upgraded.0.load(Ordering::Relaxed)) else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(cx).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, WriteStalled(limit))))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().limit_write(cx, |inner, cx| inner.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().limit_write(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().limit_write(cx, AsyncWrite::poll_shutdown)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().limit_write(cx, |inner, cx| inner.poll_write_vectored(cx, pieces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::transport::failure::find;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::Instant,
    };

    #[tokio::test(start_paused = true)]
    async fn a_write_fails_only_after_the_limit_without_progress() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut stream = Stream::new(Box::new(near), Some(Duration::from_secs(10)));
        let reader = async {
            let mut piece = [0; 4];
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(8)).await;
                far.read_exact(&mut piece).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(stream.write_all(&[7; 16]), reader);
        written.unwrap();
        let started = Instant::now();
        let error = stream.write_all(&[7; 4]).await.unwrap_err();
        assert_eq!(started.elapsed().as_secs(), 10);
        assert!(find::<WriteStalled>(&error).is_some(), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_upgraded_stream_may_stall() {
        let (near, _far) = tokio::io::duplex(4);
        let mut stream = Stream::new(Box::new(near), Some(Duration::from_secs(10)));
        stream.upgraded().set();
        let written = stream.write_all(&[7; 16]);
        assert!(tokio::time::timeout(Duration::from_secs(3600), written).await.is_err());
    }
}
