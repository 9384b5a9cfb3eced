//! The byte stream of a server's connection: TLS, and the time limit on writes.

use super::{CertificateError, ServingCertificate};
use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The time limit on a write without progress. Without this limit, clients that do not read their responses would occupy all
/// connections.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The TLS acceptor of a server, with its certificate.
#[derive(Clone)]
pub(crate) struct ServerTls {
    certificate: Arc<ServingCertificate>,
    acceptor: TlsAcceptor,
}

impl ServerTls {
    pub(crate) fn new(certificate: Arc<ServingCertificate>) -> Result<Self, CertificateError> {
        let acceptor = TlsAcceptor::from(Arc::new(certificate.server_config()?));
        Ok(Self { certificate, acceptor })
    }

    /// Refreshes the certificate if a check is due, and performs the handshake.
    pub(super) async fn accept(
        &self,
        stream: WriteTimeoutStream,
    ) -> io::Result<TlsStream<WriteTimeoutStream>> {
        self.certificate.refresh().await;
        self.acceptor.accept(stream).await
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// A stream whose writes fail after [`WRITE_TIMEOUT`] without progress.
pub(super) struct WriteTimeoutStream {
    stream: TcpStream,
    /// The timer of the pending write, if any.
    end: Option<Pin<Box<Sleep>>>,
}

impl WriteTimeoutStream {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, end: None }
    }

    /// Returns the result of a write. Returns an error instead if writes have been pending for [`WRITE_TIMEOUT`].
    fn apply_timeout<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.end = None;
            return result;
        }
        let end = self.end.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        end.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for WriteTimeoutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for WriteTimeoutStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, data);
        self.apply_timeout(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, data);
        self.apply_timeout(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
