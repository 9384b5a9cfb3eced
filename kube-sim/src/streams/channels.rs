//! WebSocket messages whose first byte is the number of a channel, for exec, attach and port-forward.

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{IDLE_TIMEOUT, WebSocket};

/// The maximum size of the data in one message to the client.
pub(super) const MAX_DATA: usize = 32 * 1024;

/// The error of [`send`]: the client has closed the connection, or does not read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionClosed;

/// The bytes of the binary message that carries `data` for a channel.
pub(super) fn message(channel: u8, data: &[u8]) -> Bytes {
    let mut message = Vec::with_capacity(data.len() + 1);
    message.push(channel);
    message.extend_from_slice(data);
    message.into()
}

pub(super) async fn send(
    sink: &mut SplitSink<WebSocket, Message>,
    message: Bytes,
) -> Result<(), ConnectionClosed> {
    match timeout(IDLE_TIMEOUT, sink.send(Message::Binary(message))).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(ConnectionClosed),
    }
}

/// Closes the connection with the code for a normal end.
pub(super) async fn close(sink: &mut SplitSink<WebSocket, Message>) {
    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    // An error or a timeout is ignored: the connection ends in any case.
    let _ = timeout(IDLE_TIMEOUT, sink.send(Message::Close(Some(frame)))).await;
}

/// The data of the client's next message, binary or text. Returns `None` if the client closes the connection, if reading
/// fails, or if no message arrives within [`IDLE_TIMEOUT`].
pub(super) async fn receive(received: &mut SplitStream<WebSocket>) -> Option<Bytes> {
    loop {
        match timeout(IDLE_TIMEOUT, received.next()).await.ok()??.ok()? {
            Message::Binary(data) => return Some(data),
            Message::Text(text) => return Some(Bytes::from(text)),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}
