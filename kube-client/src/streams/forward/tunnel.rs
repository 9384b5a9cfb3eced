//! Connections to ports, over one WebSocket. The messages of the WebSocket contain SPDY/3.1 frames (KEP-4006).
//!
//! A connection to a port has two SPDY streams. On the error stream, the server reports why a connection failed. The data
//! stream carries the bytes of both directions. The first connection has the error stream 1 and the data stream 3, the
//! second connection has the streams 5 and 7, and so on.

use bytes::Bytes;
use futures::{Stream, channel::mpsc};
use std::{
    collections::{HashMap, VecDeque},
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};
use tokio::sync::oneshot;

use super::{
    Endpoint, MAX_ERROR_BYTES,
    spdy::{self, Decoder, Frame, ResetStatus, SynStreamEncoder},
};
use crate::{
    error::Result,
    streams::{
        inbound::{Failure, Sender},
        outbound::Receiver,
        socket::{Reader, ReceivedMessage, Writer},
    },
};

/// The maximum number of queued answers to the server: pings, and resets of streams that the server opens. Further answers
/// are dropped: otherwise the server could make the queue grow without limit.
const MAX_QUEUED_ANSWERS: usize = 64;
/// The largest stream id.
const MAX_STREAM_ID: u32 = 0x7FFF_FFFF;

/// An open connection. Its key in [`State`] is the id of its data stream.
struct OpenConnection {
    port: u16,
    to_program: Arc<Sender>,
    error: Option<oneshot::Sender<String>>,
    error_text: Vec<u8>,
    /// Whether the server may still send an error.
    may_send_error: bool,
    /// Whether the server may still send bytes.
    may_send_output: bool,
    /// Whether the program may still send bytes.
    may_send_input: bool,
}

impl OpenConnection {
    fn is_ended(&self) -> bool {
        !self.may_send_error && !self.may_send_output && !self.may_send_input
    }

    /// Ends the error stream. If the server has sent an error on this stream, passes the error to the program.
    fn end_error_stream(&mut self) {
        self.may_send_error = false;
        if !self.error_text.is_empty() {
            let text = String::from_utf8_lossy(&self.error_text).into_owned();
            self.to_program.end(Err(Failure::new(io::ErrorKind::Other, &text)));
            if let Some(error) = self.error.take() {
                let _ = error.send(text);
            }
        }
        self.error = None;
    }
}

/// The state that the reading half and the writing half share.
#[derive(Default)]
struct State {
    open: HashMap<u32, OpenConnection>,
    answers: VecDeque<Bytes>,
    /// Whether no further connection can be opened.
    is_closing: bool,
}

#[derive(Clone, Default)]
struct SharedState(Arc<Mutex<State>>);

impl SharedState {
    /// Locks the state. Ignores poisoning: no code that holds the lock panics.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies `change` to an open connection. If the connection has then ended, removes the connection.
    fn change_connection(&self, stream: u32, change: impl FnOnce(&mut OpenConnection)) {
        let mut state = self.state();
        if let Some(open) = state.open.get_mut(&stream) {
            change(open);
            if open.is_ended() {
                state.open.remove(&stream);
            }
        }
    }

    /// Queues an answer to the server, unless the queue is full.
    fn queue_answer(&self, frame: Bytes) {
        let mut state = self.state();
        if state.answers.len() < MAX_QUEUED_ANSWERS {
            state.answers.push_back(frame);
        }
    }

    /// Resets a connection whose output the program no longer reads. The reset is queued even if the queue is full:
    /// otherwise the server would send the rest of the output. Each connection is reset at most once.
    fn reset_connection(&self, stream: u32) {
        let mut state = self.state();
        if state.open.remove(&stream).is_some() {
            state.answers.push_back(spdy::reset_frame(stream, ResetStatus::Cancel));
        }
    }

    /// Applies a frame of the server.
    async fn apply_frame(&self, frame: Frame) {
        match frame {
            // Bytes of an error stream. The id of the connection's data stream is higher by 2.
            Frame::Data { stream, bytes, is_last } if stream % 4 == 1 => {
                self.change_connection(stream.saturating_add(2), |open| {
                    let room = MAX_ERROR_BYTES.saturating_sub(open.error_text.len()).min(bytes.len());
                    open.error_text.extend_from_slice(&bytes[..room]);
                    if is_last {
                        open.end_error_stream();
                    }
                });
            }
            Frame::Data { stream, bytes, is_last } => {
                let output = self
                    .state()
                    .open
                    .get(&stream)
                    .filter(|open| open.may_send_output)
                    .map(|open| open.to_program.clone());
                if let Some(output) = output {
                    if output.is_reader_dropped() && !bytes.is_empty() {
                        self.reset_connection(stream);
                        return;
                    }
                    output.send(bytes).await;
                }
                if is_last {
                    self.change_connection(stream, |open| {
                        open.may_send_output = false;
                        open.to_program.end(Ok(()));
                    });
                }
            }
            Frame::Reset { stream, .. } if stream % 4 == 1 => {
                self.change_connection(stream.saturating_add(2), OpenConnection::end_error_stream);
            }
            Frame::Reset { stream, status } => {
                if let Some(mut open) = self.state().open.remove(&stream) {
                    open.end_error_stream();
                    let text = format!(
                        "the server reset the connection to port {} (SPDY status {status})",
                        open.port
                    );
                    open.to_program.end(Err(Failure::new(io::ErrorKind::ConnectionReset, &text)));
                }
            }
            Frame::Open { stream } => {
                self.queue_answer(spdy::reset_frame(stream, ResetStatus::RefusedStream));
            }
            Frame::Ping { id } if id % 2 == 0 => self.queue_answer(spdy::ping_frame(id)),
            Frame::Ping { .. } => {}
            Frame::GoAway => self.state().is_closing = true,
        }
    }

    async fn read_frames(&self, mut reader: Reader) -> Result<()> {
        let mut decoder = Decoder::default();
        loop {
            let message = match reader.next().await? {
                ReceivedMessage::Message(message) => message,
                ReceivedMessage::Closed(_) if self.state().open.is_empty() => return Ok(()),
                ReceivedMessage::Closed(reason) => {
                    let problem = "was closed by the server while connections were open";
                    return Err(reader.request_line.broken_connection_error(problem, reason.map(Into::into)));
                }
            };
            decoder.push(message);
            while let Some(frame) =
                decoder.next().map_err(|error| reader.request_line.violation_error(error))?
            {
                self.apply_frame(frame).await;
            }
        }
    }
}

/// The messages to the server. A message contains an answer to a frame of the server, the frames that open a
/// connection, bytes that the program sends on a connection, or the frame that ends these bytes.
struct OutgoingMessages {
    shared: SharedState,
    endpoints: Option<mpsc::Receiver<Endpoint>>,
    syn_encoder: SynStreamEncoder,
    next_stream: u32,
    inputs: VecDeque<(u32, Receiver)>,
}

impl OutgoingMessages {
    /// Opens a connection: returns the frames that open its two streams. If the connection cannot be opened, returns
    /// `None`, and reads of the `ForwardedStream` return an error.
    fn open_connection(&mut self, endpoint: Endpoint) -> Option<Bytes> {
        let Endpoint { port, to_program, from_program, error } = endpoint;
        let (error_stream, stream) = (self.next_stream, self.next_stream.saturating_add(2));
        let (number, port_text) = (error_stream.to_string(), port.to_string());
        let mut headers = [("streamtype", "error"), ("port", &*port_text), ("requestid", &*number)];
        let is_closing = self.shared.state().is_closing || stream > MAX_STREAM_ID;
        let frames = if is_closing {
            Err("the server accepts no further connections".into())
        } else {
            // The client sends nothing on the error stream.
            self.syn_encoder.encode(error_stream, &headers, true).and_then(|mut frames| {
                headers[0].1 = "data";
                frames.unsplit(self.syn_encoder.encode(stream, &headers, false)?);
                Ok(frames.freeze())
            })
        };
        match frames {
            Ok(frames) => {
                let open = OpenConnection {
                    port,
                    to_program: Arc::new(to_program),
                    error,
                    error_text: Vec::new(),
                    may_send_error: true,
                    may_send_output: true,
                    may_send_input: true,
                };
                self.next_stream = stream.saturating_add(2);
                self.shared.state().open.insert(stream, open);
                self.inputs.push_back((stream, from_program));
                Some(frames)
            }
            Err(problem) => {
                let text = format!("cannot open a connection to port {port}: {problem}");
                to_program.end(Err(Failure::new(io::ErrorKind::ConnectionRefused, &text)));
                None
            }
        }
    }

    /// The next message of any connection. The connections are polled round-robin.
    fn poll_inputs(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        for _ in 0..self.inputs.len() {
            let Some((stream, mut receiver)) = self.inputs.pop_front() else { break };
            if !self.shared.state().open.contains_key(&stream) {
                continue;
            }
            match receiver.poll_next(cx) {
                Poll::Ready(Some(mut frame)) => {
                    spdy::write_data_header(stream, &mut frame);
                    self.inputs.push_back((stream, receiver));
                    return Poll::Ready(frame.freeze());
                }
                Poll::Ready(None) => {
                    self.shared.change_connection(stream, |open| open.may_send_input = false);
                    return Poll::Ready(spdy::last_data_frame(stream));
                }
                Poll::Pending => self.inputs.push_back((stream, receiver)),
            }
        }
        Poll::Pending
    }
}

impl Stream for OutgoingMessages {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(answer) = self.shared.state().answers.pop_front() {
            return Poll::Ready(Some(answer));
        }
        while let Some(endpoints) = &mut self.endpoints {
            match Pin::new(endpoints).poll_next(cx) {
                Poll::Ready(Some(endpoint)) => {
                    if let Some(frames) = self.open_connection(endpoint) {
                        return Poll::Ready(Some(frames));
                    }
                }
                Poll::Ready(None) => self.endpoints = None,
                Poll::Pending => break,
            }
        }
        match self.poll_inputs(cx) {
            Poll::Ready(message) => Poll::Ready(Some(message)),
            // No connection is open, and none can be opened.
            Poll::Pending if self.endpoints.is_none() && self.shared.state().open.is_empty() => {
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Runs the tunnel until the WebSocket ends, or until all connections have ended and the program can open no further
/// connections.
pub(super) async fn run(reader: Reader, writer: Writer, endpoints: mpsc::Receiver<Endpoint>) -> Result<()> {
    let shared = SharedState::default();
    let syn_encoder = SynStreamEncoder::new().map_err(|error| reader.request_line.violation_error(error))?;
    let messages = OutgoingMessages {
        shared: shared.clone(),
        endpoints: Some(endpoints),
        syn_encoder,
        next_stream: 1,
        inputs: VecDeque::new(),
    };
    let result = writer.run(shared.read_frames(reader), messages).await;
    let failure = result.as_ref().err().map(Failure::of);
    for (_, mut open) in std::mem::take(&mut shared.state().open) {
        open.end_error_stream();
        if let Some(failure) = &failure {
            open.to_program.end(Err(failure.clone()));
        }
    }
    result
}
