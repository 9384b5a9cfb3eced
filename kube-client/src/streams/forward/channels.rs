//! The protocol of servers before Kubernetes 1.30: `v4.channel.k8s.io` with two channels for each port, one for bytes
//! and one for errors. The first message of a channel is its port (little endian). The protocol has no half-close.

use bytes::{Buf, Bytes};
use futures::stream::poll_fn;
use std::{
    io,
    task::{Context, Poll},
};
use tokio::sync::oneshot;

use super::{Endpoint, MAX_ERROR_BYTES};
use crate::{
    error::Result,
    streams::{
        inbound::{Failure, Sender},
        outbound::Receiver,
        socket::{Reader, ReceivedMessage, Writer},
    },
};

/// The error text of `shutdown` for a stream. It explains that `v4.channel.k8s.io` cannot end one direction
/// of a connection.
pub(super) const UNCLOSABLE_REASON: &str = "v4.channel.k8s.io, the protocol of servers before Kubernetes 1.30, cannot end one direction of a connection; \
     drop the stream to end both";

/// A port in a port-forward request. Passes the bytes and the error of the port to the program.
struct Port {
    number: u16,
    to_program: Sender,
    error: Option<oneshot::Sender<String>>,
    /// Whether the first message, which names the port, has arrived: on the channel for bytes, and on the channel for
    /// errors.
    is_named: [bool; 2],
}

impl Port {
    /// Returns whether the message is the first of its channel. If so, checks that the message names this port.
    fn check_first_message(&mut self, is_error: bool, mut message: &[u8]) -> Result<bool, String> {
        let is_named = &mut self.is_named[usize::from(is_error)];
        if std::mem::replace(is_named, true) {
            return Ok(false);
        }
        match message.try_get_u16_le() {
            Ok(port) if port == self.number && message.is_empty() => Ok(true),
            _ => {
                Err(format!("the first message of a channel of port {} does not name this port", self.number))
            }
        }
    }
}

/// Runs the connections until the server closes the WebSocket, the program has dropped all streams, or the WebSocket
/// fails.
pub(super) async fn run(reader: Reader, writer: Writer, endpoints: Vec<Endpoint>) -> Result<()> {
    let (mut ports, mut inputs) = (Vec::new(), Vec::new());
    for endpoint in endpoints {
        let Endpoint { port, to_program, from_program, error } = endpoint;
        ports.push(Port { number: port, to_program, error, is_named: [false; 2] });
        inputs.push(Some(from_program));
    }
    let mut first = 0;
    let messages = poll_fn(|cx| poll_inputs(&mut inputs, &mut first, cx));
    let result = writer.run(read_messages(reader, &mut ports), messages).await;
    let failure = result.as_ref().err().map(Failure::of);
    for port in ports {
        port.to_program.end(failure.clone().map_or(Ok(()), Err));
    }
    result
}

/// The next message to the server, or `None` after the program has dropped all streams. The program can end a
/// connection only if it drops the stream. The first byte of a message is the number of its channel. The
/// search for a message begins at `inputs[first]`. If `inputs[i]` has a message, `first` becomes `i + 1`, so
/// that a port with much input does not delay the other ports.
fn poll_inputs(
    inputs: &mut [Option<Receiver>],
    first: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<Option<Bytes>> {
    for index in (*first..inputs.len()).chain(0..*first) {
        let Some(receiver) = &mut inputs[index] else { continue };
        match receiver.poll_next(cx) {
            Poll::Ready(Some(mut message)) => {
                message[0] = u8::try_from(2 * index).unwrap_or_default();
                *first = index + 1;
                return Poll::Ready(Some(message.freeze()));
            }
            Poll::Ready(None) => inputs[index] = None,
            Poll::Pending => {}
        }
    }
    if inputs.iter().all(Option::is_none) { Poll::Ready(None) } else { Poll::Pending }
}

/// Reads messages until the server closes the WebSocket. Passes each message to its port.
async fn read_messages(mut reader: Reader, ports: &mut [Port]) -> Result<()> {
    loop {
        // The server closes the WebSocket after the end of all connections.
        let ReceivedMessage::Message(mut message) = reader.next().await? else { return Ok(()) };
        if message.is_empty() {
            continue;
        }
        let channel = message.get_u8();
        let (index, is_error) = (usize::from(channel / 2), channel % 2 == 1);
        let Some(port) = ports.get_mut(index) else {
            return Err(reader
                .request_line
                .violation_error(format!("the server sent a message on channel {channel}")));
        };
        if port
            .check_first_message(is_error, &message)
            .map_err(|problem| reader.request_line.violation_error(problem))?
        {
            continue;
        }
        if !is_error {
            port.to_program.send(message).await;
        } else if !message.is_empty() {
            let text = String::from_utf8_lossy(&message[..message.len().min(MAX_ERROR_BYTES)]).into_owned();
            port.to_program.end(Err(Failure::new(io::ErrorKind::Other, &text)));
            if let Some(error) = port.error.take() {
                let _ = error.send(text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::outbound::outbound_buffer;
    use futures::FutureExt;
    use tokio::io::AsyncWriteExt;

    #[test]
    fn a_port_with_much_input_does_not_delay_the_other_ports() {
        let (mut streams, mut inputs): (Vec<_>, Vec<_>) = (0..3)
            .map(|_| outbound_buffer(1 << 10, 1, None))
            .map(|(stream, input)| (stream, Some(input)))
            .unzip();
        let (mut first, mut context) = (0, Context::from_waker(std::task::Waker::noop()));
        let mut channels = Vec::new();
        for _ in 0..6 {
            for stream in &mut streams[..2] {
                stream.write_all(b"x").now_or_never().unwrap().unwrap();
            }
            let Poll::Ready(Some(message)) = poll_inputs(&mut inputs, &mut first, &mut context) else {
                panic!()
            };
            channels.push(message[0]);
        }
        assert_eq!(channels, [0, 2, 0, 2, 0, 2]);
    }
}
