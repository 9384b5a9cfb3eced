//! Sends watches and logs over WebSocket: one message for each item of a stream.

use bytes::Bytes;
use futures::{SinkExt as _, Stream, StreamExt as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::{IDLE_TIMEOUT, WebSocket};

/// Sends each item as a text message, or as a binary message if the item is not UTF-8. Closes the connection after the
/// last item. Returns early if the client closes the connection, or does not read a message within [`IDLE_TIMEOUT`].
/// Ignores the data that the client sends.
pub(crate) async fn send_messages<S>(socket: WebSocket, items: S)
where
    S: Stream<Item = Bytes> + Send,
{
    let (mut sink, mut received) = socket.split();
    let send = async {
        let mut items = std::pin::pin!(items);
        while let Some(bytes) = items.next().await {
            let message = match Utf8Bytes::try_from(bytes.clone()) {
                Ok(text) => Message::Text(text),
                Err(_) => Message::Binary(bytes),
            };
            if !matches!(timeout(IDLE_TIMEOUT, sink.send(message)).await, Ok(Ok(()))) {
                return;
            }
        }
        // An error or a timeout is ignored: the connection ends in any case.
        let _ = timeout(IDLE_TIMEOUT, sink.close()).await;
    };
    let receive = async { while let Some(Ok(_)) = received.next().await {} };
    tokio::select! {
        () = send => {}
        () = receive => {}
    }
}
