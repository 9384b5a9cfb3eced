//! Port-forward over SPDY in WebSocket messages: the subprotocol `SPDY/3.1+portforward.k8s.io` (KEP-4006).
//!
//! The client opens two streams with the same request id for each connection to a port: one for data, one for an error.
//! The binary messages of the WebSocket connection are the bytes of one SPDY connection.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::SplitSink;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::spdy::{Decoder, Encoder, Frame};
use super::{IDLE_TIMEOUT, WebSocket};
use crate::containers::{ContainerError, PortConnection, new_port_connection};

/// The served subprotocols.
pub(crate) const PROTOCOLS: &[&str] = &["SPDY/3.1+portforward.k8s.io"];

/// Maximum number of open streams; the server resets further streams.
const MAX_STREAMS: usize = 2_000;

/// Maximum number of data frames of one stream that wait for its handler. At this number, the server reads no further
/// frames of the connection: without flow control, the server cannot pause a single stream. If the handler does not run
/// yet, the server resets the stream instead.
const MAX_PENDING_DATA: usize = 64;

/// The maximum size of the data in one frame to the client.
const MAX_DATA: usize = 32 * 1024;

/// Runs the handler of a test for each port connection that the client opens, until the tunnel ends. `describe` returns
/// the text of an error.
pub(crate) async fn forward_tunnel<F, D>(socket: WebSocket, handler: F, describe: D)
where
    F: Fn(u16, PortConnection) -> BoxFuture<'static, Result<(), ContainerError>> + Send,
    D: Fn(u16, ContainerError) -> String + Clone + Send + 'static,
{
    let (sink, mut received) = socket.split();
    let (frames, outgoing) = mpsc::channel(1);
    let mut tunnel = Tunnel { handler, describe, frames, streams: HashMap::new(), tasks: JoinSet::new() };
    let read = async {
        let mut decoder = Decoder::default();
        while let Ok(Some(Ok(message))) = timeout(IDLE_TIMEOUT, received.next()).await {
            match message {
                Message::Binary(data) => decoder.push(&data),
                Message::Close(_) => return,
                _ => continue,
            }
            loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => {
                        if tunnel.handle_frame(frame).await.is_none() {
                            return;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(%error, "port-forward tunnel ended");
                        return;
                    }
                }
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = send_frames(sink, outgoing) => {}
    }
}

/// Sends frames until the client closes the connection or does not read.
async fn send_frames(mut sink: SplitSink<WebSocket, Message>, mut frames: mpsc::Receiver<Frame>) {
    let mut encoder = Encoder::default();
    while let Some(frame) = frames.recv().await {
        let message = Message::Binary(encoder.encode(frame));
        if !matches!(timeout(IDLE_TIMEOUT, sink.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// The purpose for which the client has opened a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Data,
    Error,
}

struct OpenStream {
    purpose: Purpose,
    request: String,
    port: u16,
    /// Sends the client's data to the handler; `None` after the end of the data.
    data: Option<mpsc::Sender<Bytes>>,
    /// The receiver for `data`. When both streams of the request exist, [`Tunnel::start_handler`] takes the receiver of
    /// the data stream.
    unread: Option<mpsc::Receiver<Bytes>>,
    /// The task that runs the handler of the request; `None` until both streams exist.
    task: Option<AbortHandle>,
}

/// The state of a tunnel.
struct Tunnel<F, D> {
    handler: F,
    describe: D,
    frames: mpsc::Sender<Frame>,
    streams: HashMap<u32, OpenStream>,
    /// The tasks that run the handlers. Each returns the ids of its streams.
    tasks: JoinSet<[u32; 2]>,
}

impl<F, D> Tunnel<F, D>
where
    F: Fn(u16, PortConnection) -> BoxFuture<'static, Result<(), ContainerError>>,
    D: Fn(u16, ContainerError) -> String + Clone + Send + 'static,
{
    /// Handles a frame of the client; `None` if the tunnel ends.
    async fn handle_frame(&mut self, frame: Frame) -> Option<()> {
        while let Some(ended) = self.tasks.try_join_next() {
            // A handler that panics leaves its streams open, as a crashed kubelet does.
            for id in ended.into_iter().flatten() {
                self.streams.remove(&id);
            }
        }
        match frame {
            Frame::SynStream { id, fin, headers } => self.open_stream(id, fin, &headers).await?,
            Frame::Data { id, fin, data } => self.receive_data(id, fin, data).await?,
            Frame::Reset { id } => self.end_request_of(id),
            // A ping with an even number answers a ping of the server, and this server sends no pings.
            Frame::Ping { number } if number % 2 == 1 => self.send_frame(Frame::Ping { number }).await?,
            Frame::Ping { .. } | Frame::SynReply { .. } | Frame::GoAway { .. } | Frame::Ignored => {}
        }
        Some(())
    }

    /// Sends a frame; `None` if the connection has ended.
    async fn send_frame(&self, frame: Frame) -> Option<()> {
        self.frames.send(frame).await.ok()
    }

    /// Opens a stream. If the data stream and the error stream with the same request id now exist, starts the
    /// handler.
    async fn open_stream(&mut self, id: u32, fin: bool, headers: &[(String, String)]) -> Option<()> {
        let header = |name: &str| {
            let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map_or("", |(_, value)| value.as_str())
        };
        let purpose = match header("streamtype") {
            "data" => Some(Purpose::Data),
            "error" => Some(Purpose::Error),
            _ => None,
        };
        let port = header("port").parse::<u16>().ok().filter(|port| *port > 0);
        let request = match (header("requestid"), purpose) {
            // A client that sends no request ids opens the data stream directly after the error stream. So the ids
            // of the two streams differ by 2.
            ("", Some(Purpose::Data)) => id.wrapping_sub(2).to_string(),
            ("", _) => id.to_string(),
            (request, _) => request.to_owned(),
        };
        let taken = self.streams.values().any(|s| s.request == request && Some(s.purpose) == purpose);
        let free = !taken && !self.streams.contains_key(&id) && self.streams.len() < MAX_STREAMS;
        let (Some(purpose), Some(port), true) = (purpose, port, free) else {
            return self.send_frame(Frame::Reset { id }).await;
        };
        let (sender, unread) = mpsc::channel(MAX_PENDING_DATA);
        let data = (!fin).then_some(sender);
        let partner = self.streams.iter().find(|(_, s)| s.request == request).map(|(id, _)| *id);
        let stream = OpenStream { purpose, request, port, data, unread: Some(unread), task: None };
        self.streams.insert(id, stream);
        self.send_frame(Frame::SynReply { id }).await?;
        if let Some(partner) = partner {
            let [data, error] = if purpose == Purpose::Data { [id, partner] } else { [partner, id] };
            self.start_handler(data, error);
        }
        Some(())
    }

    /// Starts the handler for a request. `data` and `error` are the ids of the two streams.
    fn start_handler(&mut self, data: u32, error: u32) {
        let Some(stream) = self.streams.get_mut(&data) else { return };
        let (port, Some(mut received)) = (stream.port, stream.unread.take()) else { return };
        let (connection, server) = new_port_connection();
        let process = (self.handler)(port, connection);
        let failed = AtomicBool::new(false);
        let (frames, describe) = (self.frames.clone(), self.describe.clone());
        let future = async move {
            let process = async {
                let result = process.await;
                failed.store(result.is_err(), Ordering::Relaxed);
                result
            };
            let (mut output, mut input) = split(server);
            let write = async {
                while let Some(bytes) = received.recv().await {
                    if input.write_all(&bytes).await.is_err() {
                        // The handler has dropped the connection. The rest of the data is discarded.
                        while received.recv().await.is_some() {}
                        return;
                    }
                }
                let _ = input.shutdown().await;
            };
            let read = async {
                let mut buffer = vec![0; MAX_DATA];
                while let Ok(n @ 1..) = output.read(&mut buffer).await {
                    let bytes = Bytes::copy_from_slice(&buffer[..n]);
                    if frames.send(Frame::Data { id: data, fin: false, data: bytes }).await.is_err() {
                        return;
                    }
                }
                // If the handler has failed, do not end the data stream here. As with a kubelet, the client
                // then receives the error before the data stream ends.
                if !failed.load(Ordering::Relaxed) {
                    // The result is ignored: if this send fails, the connection to the client has ended.
                    let _ = frames.send(Frame::Data { id: data, fin: true, data: Bytes::new() }).await;
                }
            };
            let run = async { futures::join!(process, read).0 };
            let mut write = std::pin::pin!(write);
            let mut run = std::pin::pin!(run);
            let result = tokio::select! {
                result = &mut run => result,
                () = &mut write => run.await,
            };
            let text = result.err().map(|cause| Bytes::from(describe(port, cause)));
            let _ = match text {
                Some(text) => {
                    let _ = frames.send(Frame::Data { id: error, fin: true, data: text }).await;
                    frames.send(Frame::Reset { id: data }).await
                }
                None => frames.send(Frame::Data { id: error, fin: true, data: Bytes::new() }).await,
            };
            [data, error]
        };
        let handle = self.tasks.spawn(future);
        for id in [data, error] {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.task = Some(handle.clone());
            }
        }
    }

    /// Passes the data of a data stream to its handler. The data of all other streams is discarded.
    async fn receive_data(&mut self, id: u32, fin: bool, data: Bytes) -> Option<()> {
        let Some(stream) = self.streams.get_mut(&id).filter(|s| s.purpose == Purpose::Data) else {
            return Some(());
        };
        let started = stream.task.is_some();
        if let Some(sender) = stream.data.as_ref().filter(|_| !data.is_empty()) {
            // No handler reads the data before the error stream exists. Until then, `send` could wait
            // forever for space in the channel: the tunnel handles the next frame, which may open the
            // error stream, only after this call.
            let full =
                if started { sender.send(data).await.is_err() } else { sender.try_send(data).is_err() };
            if full && !started {
                self.streams.remove(&id);
                return self.send_frame(Frame::Reset { id }).await;
            }
        }
        if fin && let Some(stream) = self.streams.get_mut(&id) {
            stream.data = None;
        }
        Some(())
    }

    /// Ends the request of a stream that the client has reset.
    fn end_request_of(&mut self, id: u32) {
        let Some(stream) = self.streams.remove(&id) else { return };
        if let Some(task) = stream.task {
            task.abort();
        }
        self.streams.retain(|_, other| other.request != stream.request);
    }
}
