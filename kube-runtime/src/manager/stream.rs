//! `Stream`: the bytes of a connection of the server, with or without TLS.

use crate::serving::{CertificateError, ServingCertificate};
use futures::future::{BoxFuture, FutureExt};
use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The TLS of a listener.
#[derive(Clone)]
pub(super) struct Tls {
    certificate: Arc<ServingCertificate>,
    acceptor: TlsAcceptor,
}

impl Tls {
    pub(super) fn new(certificate: ServingCertificate) -> Result<Self, CertificateError> {
        let certificate = Arc::new(certificate);
        let acceptor = TlsAcceptor::from(Arc::new(certificate.server_config()?));
        Ok(Self { certificate, acceptor })
    }

    async fn accept(self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.certificate.refresh().await;
        self.acceptor.accept(stream).await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// A connection. The first read or write performs the TLS handshake, so that a client that does not finish it occupies its own
/// connection only, and not the listener.
pub(super) enum Stream {
    Plain(TcpStream),
    /// `None` after the handshake has failed.
    Handshake(Option<BoxFuture<'static, io::Result<TlsStream<TcpStream>>>>),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream that bytes can be read from and written to.
trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

impl Stream {
    pub(super) fn new(stream: TcpStream, tls: Option<&Tls>) -> Self {
        match tls {
            Some(tls) => Self::Handshake(Some(tls.clone().accept(stream).boxed())),
            None => Self::Plain(stream),
        }
    }

    /// The stream after the handshake.
    fn poll_io(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut dyn Io>>> {
        if let Self::Handshake(handshake) = self {
            let Some(accept) = handshake else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            match ready!(accept.as_mut().poll(cx)) {
                Ok(stream) => *self = Self::Tls(Box::new(stream)),
                Err(error) => {
                    tracing::debug!(%error, "the TLS handshake of a client failed");
                    *handshake = None;
                    return Poll::Ready(Err(error));
                }
            }
        }
        match self {
            Self::Plain(stream) => Poll::Ready(Ok(Pin::new(stream))),
            Self::Tls(stream) => Poll::Ready(Ok(Pin::new(&mut **stream))),
            Self::Handshake(_) => Poll::Pending,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_io(cx))?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_io(cx))?.poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
            // Nothing has been written.
            Self::Handshake(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            // Dropping the connection closes it.
            Self::Handshake(_) => Poll::Ready(Ok(())),
        }
    }
}
