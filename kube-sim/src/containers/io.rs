//! The streams between a handler and its client: pipes with a limited buffer, so that a slow reader slows the writer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;

/// The size in bytes of the buffer of each stream.
const PIPE_CAPACITY: usize = 64 * 1024;

/// The maximum number of terminal sizes that wait until the handler reads them. Further sizes are dropped.
const MAX_PENDING_SIZES: usize = 16;

/// The size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TerminalSize {
    /// The number of columns.
    pub width: u16,
    /// The number of rows.
    pub height: u16,
}

impl TerminalSize {
    pub(crate) fn new(width: u16, height: u16) -> Self {
        Self { width, height }
    }
}

/// The standard streams of a process.
#[derive(Debug)]
#[non_exhaustive]
pub struct Streams {
    /// The standard input. The stream ends when the client closes it. If the client requests no standard input, the
    /// stream is empty.
    pub stdin: Input,
    /// The standard output. If the client does not request it, the bytes are discarded.
    pub stdout: Output,
    /// The standard error. In a terminal, the bytes become part of the standard output. Without a terminal, the bytes
    /// are discarded if the client does not request the standard error.
    pub stderr: Output,
    /// The sizes that the client reports for its terminal.
    pub terminal_sizes: TerminalSizes,
}

/// The standard input of a process.
///
/// # Cancel safety
/// If the future of a read is dropped, no bytes are lost, as with [`tokio::io::AsyncReadExt::read`].
#[derive(Debug)]
pub struct Input(DuplexStream);

impl AsyncRead for Input {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

/// The standard output or error of a process.
///
/// If the client does not read, the buffer of the stream fills up, and a write waits for free space. After the client
/// has closed the connection, a write fails with [`io::ErrorKind::BrokenPipe`].
#[derive(Debug)]
pub struct Output(DuplexStream);

impl AsyncWrite for Output {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// The sizes that a client reports for its terminal, in order.
#[derive(Debug)]
pub struct TerminalSizes(mpsc::Receiver<TerminalSize>);

impl TerminalSizes {
    /// The next size; `None` after the client has closed the connection.
    ///
    /// # Cancel safety
    /// If the future of `next` is dropped, no size is lost.
    pub async fn next(&mut self) -> Option<TerminalSize> {
        self.0.recv().await
    }
}

/// The handler's end of a client's connection to a port of a pod. After the client has closed its output, the handler
/// reads the end of the stream, but can still write to the client. If the handler shuts down its output or drops the
/// connection, the client reads the end of the stream.
#[derive(Debug)]
pub struct PortConnection(DuplexStream);

impl AsyncRead for PortConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for PortConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// The server's ends of [`Streams`].
#[derive(Debug)]
pub(crate) struct ServerStreams {
    pub(crate) stdin: DuplexStream,
    pub(crate) stdout: DuplexStream,
    pub(crate) stderr: DuplexStream,
    pub(crate) terminal_sizes: mpsc::Sender<TerminalSize>,
}

/// Creates the streams of a process. Returns the handler's ends and the server's ends.
pub(crate) fn new_streams() -> (Streams, ServerStreams) {
    let [stdin, stdout, stderr] = [(); 3].map(|()| duplex(PIPE_CAPACITY));
    let (sizes, terminal_sizes) = mpsc::channel(MAX_PENDING_SIZES);
    (
        Streams {
            stdin: Input(stdin.0),
            stdout: Output(stdout.0),
            stderr: Output(stderr.0),
            terminal_sizes: TerminalSizes(terminal_sizes),
        },
        ServerStreams { stdin: stdin.1, stdout: stdout.1, stderr: stderr.1, terminal_sizes: sizes },
    )
}

/// A new connection to a port: the handler's end, and the server's.
pub(crate) fn new_port_connection() -> (PortConnection, DuplexStream) {
    let (handler, server) = duplex(PIPE_CAPACITY);
    (PortConnection(handler), server)
}
