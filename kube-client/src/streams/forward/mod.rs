//! Forwarded ports: `Portforwarder`, and the stream of one connection.
//!
//! `tunnel` carries any number of connections over one WebSocket, with the SPDY frames of `spdy`. `channels` is the
//! protocol of older servers, with one connection for each port of the request.

mod channels;
mod dictionary;
mod spdy;
mod tunnel;

use futures::{SinkExt, channel::mpsc};
use std::{
    collections::HashMap,
    future::Future,
    io,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

use super::{
    inbound::{ProcessOutput, Sender, inbound_buffer},
    outbound::{ProcessInput, Receiver, outbound_buffer},
    socket::{ConnectionTask, RequestLine, split_connection},
};
use crate::{
    client::{Connection, StreamProtocol},
    error::{Error, Result},
};

#[cfg(test)]
pub(super) use dictionary::dictionary as dictionary_for_tests;
#[cfg(any(test, fuzzing))]
pub(crate) use spdy::decode_frames;

/// The size in bytes of each of the two buffers of a connection.
const BUFFER_BYTES: usize = 128 << 10;
/// The maximum size in bytes of the error text of a connection.
const MAX_ERROR_BYTES: usize = 8 << 10;

/// The subprotocols that a port-forward request offers. An API server that tunnels SPDY selects the first subprotocol.
pub(crate) fn offered_protocols() -> String {
    format!("{}, {}", StreamProtocol::PortForward.as_str(), StreamProtocol::V4.as_str())
}

/// A connection to a port of a pod.
///
/// `shutdown` ends the direction to the pod, and the direction from the pod continues (half-close). Dropping the value
/// ends both directions. A read returns the end of the stream only if the pod closed its side. If the connection ends in
/// another way, the read returns an error with the reason, for example that nothing listens on the port. A write waits
/// while its buffer is full.
///
/// All connections of a [`Portforwarder`] share one WebSocket, which is not read while the buffer of any connection is
/// full: a program that does not read one connection delays the others (head-of-line blocking).
///
/// # Errors
/// With the protocol of servers before Kubernetes 1.30 there is no half-close: `shutdown` returns an error of the kind
/// `Unsupported`.
///
/// # Cancel safety
/// `read` and `write` are cancel safe.
#[derive(Debug)]
pub struct ForwardedStream {
    // The order of the fields matters: Rust drops `output` before `input`. When the input ends, the tunnel
    // can therefore already detect that the program no longer reads. If the pod then sends more bytes, the
    // tunnel resets the connection.
    output: ProcessOutput,
    input: ProcessInput,
}

impl AsyncRead for ForwardedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ForwardedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(cx)
    }
}

/// The connection's side of a [`ForwardedStream`].
struct Endpoint {
    port: u16,
    to_program: Sender,
    from_program: Receiver,
    /// Passes the connection's error to the program. `Some` only for the first connection to each port of the
    /// request.
    error: Option<oneshot::Sender<String>>,
}

impl Endpoint {
    /// A stream and its endpoint. Each message from the program begins with `header_bytes` zero bytes. With
    /// some protocols, the program cannot close the write side of the stream. `unclosable` is then the error
    /// text for an attempt to close it. `unclosable` is `None` if the program can close the write side.
    fn new(port: u16, header_bytes: usize, unclosable: Option<&'static str>) -> (ForwardedStream, Self) {
        let (to_program, output) = inbound_buffer(BUFFER_BYTES);
        let (input, from_program) = outbound_buffer(BUFFER_BYTES, header_bytes, unclosable);
        (ForwardedStream { output, input }, Self { port, to_program, from_program, error: None })
    }
}

/// Forwards ports of a pod. [`Api::portforward`](crate::Api::portforward) returns a `Portforwarder`.
///
/// One task reads and writes the WebSocket. Dropping this value ends the task, the WebSocket and all connections.
#[derive(Debug)]
pub struct Portforwarder {
    /// For each port of the request: its first connection, until the program takes this connection.
    streams: Mutex<HashMap<u16, FirstConnection>>,
    errors: HashMap<u16, oneshot::Receiver<String>>,
    /// Passes the endpoints of new connections to the tunnel; `None` with the protocol of older servers.
    opener: Option<mpsc::Sender<Endpoint>>,
    request_line: RequestLine,
    task: ConnectionTask,
}

/// The first connection to a port.
#[derive(Debug)]
enum FirstConnection {
    /// The connection is opened when the program takes it.
    Tunnel(oneshot::Sender<String>),
    /// The server has opened the connection.
    Open(Box<ForwardedStream>),
}

impl Portforwarder {
    pub(crate) fn new(connection: Connection, ports: &[u16]) -> Self {
        let protocol = connection.protocol();
        let (reader, writer) = split_connection(connection);
        let request_line = reader.request_line.clone();
        let (mut streams, mut errors, mut endpoints) = (HashMap::new(), HashMap::new(), Vec::new());
        for port in ports {
            let (to_error, error) = oneshot::channel();
            errors.insert(*port, error);
            if protocol == StreamProtocol::PortForward {
                streams.insert(*port, FirstConnection::Tunnel(to_error));
            } else {
                let (stream, mut endpoint) = Endpoint::new(*port, 1, Some(channels::UNCLOSABLE_REASON));
                endpoint.error = Some(to_error);
                endpoints.push(endpoint);
                streams.insert(*port, FirstConnection::Open(Box::new(stream)));
            }
        }
        let (opener, task) = if protocol == StreamProtocol::PortForward {
            let (opener, endpoints) = mpsc::channel(0);
            (Some(opener), ConnectionTask::spawn(tunnel::run(reader, writer, endpoints)))
        } else {
            (None, ConnectionTask::spawn(channels::run(reader, writer, endpoints)))
        };
        Self { streams: Mutex::new(streams), errors, opener, request_line, task }
    }

    /// Takes the first connection to `port`. Returns `None` if `port` is not one of the ports that were
    /// passed to [`Api::portforward`](crate::Api::portforward), or if the connection was taken before.
    pub fn take_stream(&mut self, port: u16) -> Option<ForwardedStream> {
        match self.take_first_connection(port)? {
            FirstConnection::Open(stream) => Some(*stream),
            FirstConnection::Tunnel(error) => {
                let (stream, mut endpoint) = Endpoint::new(port, spdy::FRAME_HEADER_BYTES, None);
                endpoint.error = Some(error);
                // A cloned sender has its own slot in the channel, so `try_send` fails only if the WebSocket has ended. The
                // endpoint is then dropped, and reads of the stream fail with `ConnectionAborted`.
                let _ = self.opener.clone()?.try_send(endpoint);
                Some(stream)
            }
        }
    }

    /// Takes a future that returns the error of the first connection to a port. `None` if the request does not have the
    /// port, or the future was taken before. The future returns `None` if the connection ends before the server sends an
    /// error.
    pub fn take_error(&mut self, port: u16) -> Option<impl Future<Output = Option<String>> + Send + use<>> {
        let error = self.errors.remove(&port)?;
        Some(async { error.await.ok() })
    }

    /// Opens a further connection to any port of the pod. Connections run concurrently, over the same WebSocket.
    ///
    /// # Errors
    /// If the connection to the server has ended. With the protocol of servers before Kubernetes 1.30, this method can only
    /// take the first connection to a port of the request: for further connections, open a new [`Portforwarder`]. If
    /// nothing listens on the port, reads of the stream return an error.
    ///
    /// # Cancel safety
    /// Cancel safe: the forwarder may still open the connection, but then ends it.
    pub async fn connect(&self, port: u16) -> Result<ForwardedStream> {
        let Some(mut opener) = self.opener.clone() else {
            return match self.take_first_connection(port) {
                Some(FirstConnection::Open(stream)) => Ok(*stream),
                _ => Err(Error::Request {
                    what: format!(
                        "the server forwards one connection to each requested port, so that no further connection to port {port} \
                         can be opened (servers since Kubernetes 1.30 have no such limit)"
                    ),
                    source: None,
                }),
            };
        };
        let (stream, endpoint) = Endpoint::new(port, spdy::FRAME_HEADER_BYTES, None);
        match opener.send(endpoint).await {
            Ok(()) => Ok(stream),
            Err(error) => Err(self.request_line.broken_connection_error("has ended", Some(error.into()))),
        }
    }

    fn take_first_connection(&self, port: u16) -> Option<FirstConnection> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(&port)
    }

    /// Ends the WebSocket and all connections immediately.
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Waits until all connections have ended. Connections that were not taken are not opened, or are closed if the
    /// server has opened them.
    ///
    /// # Errors
    /// If the WebSocket fails before all connections have ended, or [`abort`](Self::abort) was called.
    ///
    /// # Cancel safety
    /// Cancelling ends all connections, as dropping this value does.
    pub async fn join(self) -> Result<()> {
        let Self { streams, errors: _, opener, request_line: _, task } = self;
        drop((streams, opener));
        task.await
    }
}
