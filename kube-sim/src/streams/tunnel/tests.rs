//! Tests of the tunnel with a client that sends single frames.

use futures::FutureExt as _;
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

/// The client's end of a tunnel.
struct Client {
    socket: WebSocketStream<DuplexStream>,
    encoder: Encoder,
    decoder: Decoder,
}

impl Client {
    /// Connects to a tunnel whose port 80 echoes, and whose other ports refuse connections.
    async fn connect() -> Self {
        let (client, server) = tokio::io::duplex(4096);
        tokio::spawn(async {
            let socket = crate::streams::accept_web_socket(Box::new(server)).await;
            let handler = |port, connection: PortConnection| {
                async move {
                    match port {
                        80 => crate::containers::defaults::port_forward(connection).await,
                        _ => Err("connection refused".into()),
                    }
                }
                .boxed()
            };
            forward_tunnel(socket, handler, |port, error| format!("port {port}: {error}")).await;
        });
        let socket = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        Self { socket, encoder: Encoder::default(), decoder: Decoder::default() }
    }

    async fn send_frame(&mut self, frame: Frame) {
        let message = Message::Binary(self.encoder.encode(frame));
        self.socket.send(message).await.unwrap();
    }

    async fn open_stream(&mut self, id: u32, purpose: &str, port: &str, request: &str) {
        let headers = [("streamtype", purpose), ("port", port), ("requestid", request)];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        self.send_frame(Frame::SynStream { id, fin: false, headers }).await;
    }

    async fn send_data(&mut self, id: u32, fin: bool, data: &'static str) {
        self.send_frame(Frame::Data { id, fin, data: Bytes::from_static(data.as_bytes()) }).await;
    }

    /// The next frame; `None` after the server has ended the connection.
    async fn receive_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            match self.socket.next().await? {
                Ok(Message::Binary(data)) => self.decoder.push(&data),
                Ok(other) => panic!("{other:?}"),
                Err(_) => return None,
            }
        }
    }

    /// Reads until the server ends both streams. Returns the data of each.
    async fn read_streams(&mut self, data: u32, error: u32) -> [String; 2] {
        let mut texts = [String::new(), String::new()];
        let mut open = vec![data, error];
        while !open.is_empty() {
            match self.receive_frame().await.expect("the streams are open") {
                Frame::Data { id, fin, data: bytes } => {
                    texts[usize::from(id == error)].push_str(std::str::from_utf8(&bytes).unwrap());
                    open.retain(|stream| *stream != id || !fin);
                }
                Frame::Reset { id } => open.retain(|stream| *stream != id),
                other => panic!("{other:?}"),
            }
        }
        texts
    }
}

#[tokio::test]
async fn connections_share_a_tunnel_and_end_separately() {
    let mut client = Client::connect().await;
    for (error, data, request) in [(1, 3, "a"), (5, 7, "b")] {
        client.open_stream(error, "error", "80", request).await;
        client.open_stream(data, "data", "80", request).await;
        assert_eq!(client.receive_frame().await, Some(Frame::SynReply { id: error }));
        assert_eq!(client.receive_frame().await, Some(Frame::SynReply { id: data }));
    }
    client.send_data(7, false, "second").await;
    assert_eq!(client.receive_frame().await, Some(Frame::Data { id: 7, fin: false, data: "second".into() }));
    for (error, data, rest) in [(1, 3, "first"), (5, 7, "")] {
        client.send_data(data, true, rest).await;
        assert_eq!(client.read_streams(data, error).await, [rest, ""]);
    }
    client.send_frame(Frame::Ping { number: 9 }).await;
    assert_eq!(client.receive_frame().await, Some(Frame::Ping { number: 9 }));
}

#[tokio::test]
async fn the_error_stream_has_the_cause_of_a_failed_connection() {
    let mut client = Client::connect().await;
    client.open_stream(1, "error", "81", "a").await;
    client.open_stream(3, "data", "81", "a").await;
    for id in [1, 3] {
        assert_eq!(client.receive_frame().await, Some(Frame::SynReply { id }));
    }
    assert_eq!(client.read_streams(3, 1).await, ["", "port 81: connection refused"]);
}

#[tokio::test]
async fn invalid_and_duplicate_streams_are_reset() {
    let mut client = Client::connect().await;
    client.open_stream(1, "error", "0", "a").await;
    assert_eq!(client.receive_frame().await, Some(Frame::Reset { id: 1 }));
    client.open_stream(3, "other", "80", "b").await;
    assert_eq!(client.receive_frame().await, Some(Frame::Reset { id: 3 }));
    client.open_stream(5, "data", "80", "c").await;
    assert_eq!(client.receive_frame().await, Some(Frame::SynReply { id: 5 }));
    client.open_stream(7, "data", "80", "c").await;
    assert_eq!(client.receive_frame().await, Some(Frame::Reset { id: 7 }));
}

#[tokio::test]
async fn data_without_an_error_stream_is_limited() {
    let mut client = Client::connect().await;
    client.open_stream(1, "data", "80", "a").await;
    assert_eq!(client.receive_frame().await, Some(Frame::SynReply { id: 1 }));
    for _ in 0..=MAX_PENDING_DATA {
        client.send_data(1, false, "x").await;
    }
    assert_eq!(client.receive_frame().await, Some(Frame::Reset { id: 1 }));
}

#[tokio::test]
async fn malformed_frames_end_the_tunnel() {
    let mut client = Client::connect().await;
    client.socket.send(Message::Binary(Bytes::from_static(&[0x80, 2, 0, 1, 0, 0, 0, 0]))).await.unwrap();
    assert_eq!(client.receive_frame().await, None);
}
