//! `StallDetectingStream`: a connection whose writes fail when they make no progress within a time limit.

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

/// A connection, plain or TLS, with a time limit on writes without progress. `client::middleware` limits reads.
pub(crate) struct StallDetectingStream {
    inner: Box<dyn Duplex>,
    limit: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    is_upgraded: UpgradeFlag,
}

/// Removes the time limit on the writes of a [`StallDetectingStream`] after an HTTP upgrade. The peer can then be a process
/// in a container. A write makes no progress until the process reads its input; this wait is not a failure.
#[derive(Clone, Debug, Default)]
pub(super) struct UpgradeFlag(Arc<AtomicBool>);

impl UpgradeFlag {
    /// Removes the time limit.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl StallDetectingStream {
    pub(super) fn new(inner: Box<dyn Duplex>, limit: Option<Duration>) -> Self {
        Self { inner, limit, timer: None, is_upgraded: UpgradeFlag::default() }
    }

    /// The flag that removes the time limit after an HTTP upgrade.
    pub(super) fn upgrade_flag(&self) -> UpgradeFlag {
        self.is_upgraded.clone()
    }

    /// The time after which a write without progress fails; `None` is no limit.
    pub(super) fn write_limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Calls `write`. Returns the error [`WriteStalled`] if writes have been pending for the whole time limit.
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

impl AsyncRead for StallDetectingStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for StallDetectingStream {
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
    use crate::client::transport::failure::find_source;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::Instant,
    };

    #[tokio::test(start_paused = true)]
    async fn a_write_fails_if_it_makes_no_progress_within_the_limit() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut stream = StallDetectingStream::new(Box::new(near), Some(Duration::from_secs(10)));
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
        assert!(find_source::<WriteStalled>(&error).is_some(), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn writes_after_an_upgrade_have_no_time_limit() {
        let (near, _far) = tokio::io::duplex(4);
        let mut stream = StallDetectingStream::new(Box::new(near), Some(Duration::from_secs(10)));
        stream.upgrade_flag().set();
        let written = stream.write_all(&[7; 16]);
        assert!(tokio::time::timeout(Duration::from_secs(3600), written).await.is_err());
    }
}
