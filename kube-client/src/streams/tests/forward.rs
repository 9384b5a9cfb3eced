//! Forwarded ports: the tunnelled protocol, and the protocol of older servers.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress};
use k8s_openapi::api::core::v1::Pod;
use std::collections::HashMap;
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::server::{Socket, serve_websocket};
use crate::{Api, Error, api::ForwardedStream, streams::forward::dictionary_for_tests};

const TUNNEL_PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";
const CHANNELS_PROTOCOL: &str = "v4.channel.k8s.io";

/// A frame that the test's server has received.
#[derive(Debug)]
enum ReceivedFrame {
    /// The id and the headers of a new stream.
    Open(u32, HashMap<String, String>),
    /// The id of a stream, its bytes, and whether they are the last.
    Data(u32, Bytes, bool),
    Reset(u32),
    Ping,
}

/// The test's server for [`TUNNEL_PROTOCOL`]: SPDY frames inside WebSocket messages (see `streams::forward::tunnel`). The
/// server collects the bytes of the messages until a frame is complete.
struct TunnelServer {
    socket: Socket,
    unread: BytesMut,
    headers: Decompress,
    has_dictionary: bool,
}

impl TunnelServer {
    fn new(socket: Socket) -> Self {
        let (unread, headers) = (BytesMut::new(), Decompress::new(true));
        Self { socket, unread, headers, has_dictionary: false }
    }

    async fn next(&mut self) -> Option<ReceivedFrame> {
        loop {
            if self.unread.len() >= 8 {
                let length = 8
                    + (self.unread[5] as usize) * 65536
                    + (self.unread[6] as usize) * 256
                    + self.unread[7] as usize;
                if self.unread.len() >= length {
                    let frame = self.unread.split_to(length).freeze();
                    return Some(self.parse(frame));
                }
            }
            let message = self.socket.next().await?;
            self.unread.extend_from_slice(&message);
        }
    }

    fn parse(&mut self, mut frame: Bytes) -> ReceivedFrame {
        let (first, flags) = (frame.get_u32(), frame.get_u32() >> 24);
        match first {
            0x8003_0001 => {
                let stream = frame.get_u32();
                frame.advance(6);
                ReceivedFrame::Open(stream, self.parse_headers(frame))
            }
            0x8003_0003 => ReceivedFrame::Reset(frame.get_u32()),
            0x8003_0006 => ReceivedFrame::Ping,
            stream => ReceivedFrame::Data(stream, frame, flags & 1 == 1),
        }
    }

    fn parse_headers(&mut self, mut block: Bytes) -> HashMap<String, String> {
        let mut text = Vec::with_capacity(4096);
        if !self.has_dictionary {
            self.has_dictionary = true;
            let before = self.headers.total_in();
            self.headers.decompress_vec(&block, &mut text, FlushDecompress::Sync).unwrap_err();
            block.advance(usize::try_from(self.headers.total_in() - before).unwrap());
            self.headers.set_dictionary(&dictionary_for_tests()).unwrap();
        }
        self.headers.decompress_vec(&block, &mut text, FlushDecompress::Sync).unwrap();
        let mut text = &text[..];
        let string = |text: &mut &[u8]| {
            let length = text.get_u32() as usize;
            String::from_utf8(text.copy_to_bytes(length).to_vec()).unwrap()
        };
        (0..text.get_u32()).map(|_| (string(&mut text), string(&mut text))).collect()
    }

    /// Expects the two streams of a connection. Returns the ids of the error stream and of the data stream, and the
    /// port.
    async fn accept_connection(&mut self) -> (u32, u32, String) {
        let Some(ReceivedFrame::Open(error, headers)) = self.next().await else { panic!("no error stream") };
        assert_eq!(headers["streamtype"], "error");
        let Some(ReceivedFrame::Open(data, others)) = self.next().await else { panic!("no data stream") };
        assert_eq!((others["streamtype"].as_str(), &others["requestid"]), ("data", &headers["requestid"]));
        assert_eq!(headers["port"], others["port"]);
        (error, data, others["port"].clone())
    }

    /// Sends a data frame.
    async fn send_data(&mut self, stream: u32, bytes: &[u8], is_last: bool) {
        let mut frame = BytesMut::new();
        frame.put_u32(stream);
        frame.put_u32(u32::from(is_last) << 24 | u32::try_from(bytes.len()).unwrap());
        frame.put_slice(bytes);
        // A proxy may forward the frame in pieces.
        for piece in frame.chunks(5) {
            self.socket.send(piece).await;
        }
    }
}

async fn read_text(stream: &mut ForwardedStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn connections_share_a_tunnel_and_each_direction_ends_independently() {
    let (pods, server) = serve_websocket(TUNNEL_PROTOCOL, |socket| async move {
        let mut tunnel = TunnelServer::new(socket);
        // At the end of a connection's input, sends back the port of the connection and the input.
        let (mut inputs, mut ended) = (HashMap::<u32, Vec<u8>>::new(), 0);
        let mut streams = HashMap::new();
        while let Some(frame) = tunnel.next().await {
            match frame {
                ReceivedFrame::Open(stream, headers) if headers["streamtype"] == "data" => {
                    streams.insert(stream, headers["port"].clone());
                }
                ReceivedFrame::Open(..) => {}
                ReceivedFrame::Data(stream, bytes, is_last) => {
                    inputs.entry(stream).or_default().extend_from_slice(&bytes);
                    if is_last {
                        let answer = [streams[&stream].as_bytes(), b":", &inputs[&stream]].concat();
                        tunnel.send_data(stream, &answer, false).await;
                        tunnel.send_data(stream - 2, b"", true).await;
                        tunnel.send_data(stream, b"", true).await;
                        ended += 1;
                    }
                }
                frame => panic!("{frame:?}"),
            }
        }
        assert_eq!(ended, 4);
    })
    .await;
    let mut forwarder = pods.portforward("a", &[80, 443]).await.unwrap();
    let error = forwarder.take_error(80).unwrap();
    let mut streams = vec![
        ("80", forwarder.take_stream(80).unwrap()),
        ("443", forwarder.take_stream(443).unwrap()),
        ("80", forwarder.connect(80).await.unwrap()),
        ("9000", forwarder.connect(9000).await.unwrap()),
    ];
    assert!(forwarder.take_stream(80).is_none() && forwarder.take_stream(81).is_none());
    for (index, (_, stream)) in streams.iter_mut().enumerate() {
        stream.write_all(format!("hello {index}").as_bytes()).await.unwrap();
    }
    for (_, stream) in &mut streams {
        stream.shutdown().await.unwrap();
    }
    for (index, (port, stream)) in streams.iter_mut().enumerate() {
        assert_eq!(read_text(stream).await, format!("{port}:hello {index}"));
    }
    assert_eq!(error.await, None);
    forwarder.join().await.unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn the_client_can_still_send_after_the_pod_has_stopped_sending() {
    let (pods, server) = serve_websocket(TUNNEL_PROTOCOL, |socket| async move {
        let mut tunnel = TunnelServer::new(socket);
        let (error, data, _) = tunnel.accept_connection().await;
        tunnel.send_data(data, b"bye", true).await;
        let Some(ReceivedFrame::Data(stream, bytes, false)) = tunnel.next().await else { panic!() };
        assert_eq!((stream, &bytes[..]), (data, &b"still here"[..]));
        tunnel.send_data(error, b"", true).await;
        while tunnel.next().await.is_some() {}
    })
    .await;
    let mut forwarder = pods.portforward("a", &[80]).await.unwrap();
    let mut stream = forwarder.take_stream(80).unwrap();
    assert_eq!(read_text(&mut stream).await, "bye");
    stream.write_all(b"still here").await.unwrap();
    drop(stream);
    forwarder.join().await.unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn an_error_ends_only_its_connection() {
    let (pods, _server) = serve_websocket(TUNNEL_PROTOCOL, |socket| async move {
        let mut tunnel = TunnelServer::new(socket);
        let (error, first, _) = tunnel.accept_connection().await;
        let (_, second, _) = tunnel.accept_connection().await;
        tunnel.send_data(error, b"nothing listens", false).await;
        // As Kubernetes does, resets both streams after an error.
        for stream in [first, error] {
            tunnel
                .socket
                .send([&[0x80, 3, 0, 3, 0, 0, 0, 8][..], &stream.to_be_bytes(), &[0, 0, 0, 5]].concat())
                .await;
        }
        // Neither a ping with an odd id nor bytes of an unknown stream have an effect.
        tunnel.socket.send([0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]).await;
        tunnel.send_data(99, b"lost", false).await;
        tunnel.send_data(second, b"fine", true).await;
        while tunnel.next().await.is_some() {}
    })
    .await;
    let mut forwarder = pods.portforward("a", &[80]).await.unwrap();
    let error = forwarder.take_error(80).unwrap();
    let mut first = forwarder.take_stream(80).unwrap();
    let mut second = forwarder.connect(80).await.unwrap();
    let failed = first.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(failed.to_string(), "nothing listens");
    assert_eq!(error.await.as_deref(), Some("nothing listens"));
    assert_eq!(read_text(&mut second).await, "fine");
}

/// Forwards a port, drops its connection, and waits until the forwarder and the server have ended.
async fn drop_connection(pods: &Api<Pod>, server: JoinHandle<()>) {
    let mut forwarder = pods.portforward("a", &[80]).await.unwrap();
    drop(forwarder.take_stream(80).unwrap());
    forwarder.join().await.unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn a_dropped_connection_is_reset_when_the_pod_sends_more() {
    let (pods, server) = serve_websocket(TUNNEL_PROTOCOL, |socket| async move {
        let mut tunnel = TunnelServer::new(socket);
        let (_, data, _) = tunnel.accept_connection().await;
        let Some(ReceivedFrame::Data(_, _, true)) = tunnel.next().await else { panic!() };
        tunnel.send_data(data, b"unwanted", false).await;
        let Some(ReceivedFrame::Reset(stream)) = tunnel.next().await else { panic!() };
        assert_eq!(stream, data);
        while tunnel.next().await.is_some() {}
    })
    .await;
    drop_connection(&pods, server).await;
}

#[tokio::test]
async fn a_dropped_connection_is_reset_even_if_the_queue_of_answers_is_full() {
    let (pods, server) = serve_websocket(TUNNEL_PROTOCOL, |socket| async move {
        let mut tunnel = TunnelServer::new(socket);
        let (_, data, _) = tunnel.accept_connection().await;
        let Some(ReceivedFrame::Data(_, _, true)) = tunnel.next().await else { panic!() };
        // All frames are in one message, so that the client reads them all before it sends an answer.
        let mut frames = Vec::new();
        for id in 1..200_u32 {
            frames.extend_from_slice(&[0x80, 3, 0, 6, 0, 0, 0, 4]);
            frames.extend_from_slice(&(2 * id).to_be_bytes());
        }
        frames.extend_from_slice(&data.to_be_bytes());
        frames.extend_from_slice(&[0, 0, 0, 1, b'x']);
        tunnel.socket.send(frames).await;
        let mut pings = 0;
        loop {
            match tunnel.next().await.unwrap() {
                ReceivedFrame::Ping => pings += 1,
                ReceivedFrame::Reset(stream) => break assert_eq!(stream, data),
                frame => panic!("{frame:?}"),
            }
        }
        assert_eq!(pings, 64);
        while tunnel.next().await.is_some() {}
    })
    .await;
    drop_connection(&pods, server).await;
}

#[tokio::test]
async fn all_connections_fail_after_a_violation_or_the_end_of_the_websocket() {
    for (bytes, is_violation) in [(&[0x80, 9, 0, 1, 0, 0, 0, 0][..], true), (&[], false)] {
        let (pods, _server) = serve_websocket(TUNNEL_PROTOCOL, move |socket| async move {
            let mut tunnel = TunnelServer::new(socket);
            tunnel.accept_connection().await;
            tunnel.socket.send(bytes).await;
        })
        .await;
        let mut forwarder = pods.portforward("a", &[80]).await.unwrap();
        let mut stream = forwarder.take_stream(80).unwrap();
        let read = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
        let kind = if is_violation { ErrorKind::InvalidData } else { ErrorKind::ConnectionReset };
        assert_eq!(read.kind(), kind, "{read}");
        let connected = forwarder.connect(80).await.map(|_| ()).unwrap_err();
        assert!(connected.to_string().contains("pods/a/portforward"), "{connected}");
        let error = forwarder.join().await.unwrap_err();
        assert_eq!(matches!(error, Error::Decode { .. }), is_violation, "{error:?}");
    }
}

#[tokio::test]
async fn dropping_the_forwarder_ends_its_connections() {
    let (pods, server) = serve_websocket(TUNNEL_PROTOCOL, |socket| async move {
        let mut tunnel = TunnelServer::new(socket);
        tunnel.accept_connection().await;
        while tunnel.next().await.is_some() {}
    })
    .await;
    let mut forwarder = pods.portforward("a", &[80]).await.unwrap();
    let mut stream = forwarder.take_stream(80).unwrap();
    // Let the task of the forwarder open the connection.
    stream.write_all(b"x").await.unwrap();
    tokio::task::yield_now().await;
    drop(forwarder);
    assert!(stream.read_to_end(&mut Vec::new()).await.is_err());
    drop(server);
}

#[tokio::test]
async fn a_server_without_tunnels_has_one_connection_for_each_port() {
    let (pods, server) = serve_websocket(CHANNELS_PROTOCOL, |mut socket| async move {
        for (channel, port) in [(0, 80_u16), (1, 80), (2, 443), (3, 443)] {
            socket.send([&[channel][..], &port.to_le_bytes()].concat()).await;
        }
        assert_eq!(socket.next().await.unwrap(), &b"\x02hello"[..]);
        socket.send(b"\x02echo").await;
        socket.send(b"\x01nothing listens").await;
        let _ = socket.0.close(None).await;
        while socket.next().await.is_some() {}
    })
    .await;
    let mut forwarder = pods.portforward("a", &[80, 443]).await.unwrap();
    let mut failing = forwarder.take_stream(80).unwrap();
    let mut stream = forwarder.connect(443).await.unwrap();
    let error = forwarder.connect(443).await.unwrap_err();
    assert!(matches!(&error, Error::Request { what, .. } if what.contains("443")), "{error}");
    assert_eq!(stream.shutdown().await.unwrap_err().kind(), ErrorKind::Unsupported);
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(read_text(&mut stream).await, "echo");
    let failed = failing.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(failed.to_string(), "nothing listens");
    assert_eq!(forwarder.take_error(80).unwrap().await.as_deref(), Some("nothing listens"));
    forwarder.join().await.unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn messages_with_an_unknown_channel_or_a_wrong_port_are_errors() {
    for (message, part) in
        [(&[7, 80, 0][..], "channel 7"), (&[0, 81, 0], "name this port"), (&[0, 80], "port 80")]
    {
        let (pods, _server) = serve_websocket(CHANNELS_PROTOCOL, move |mut socket| async move {
            socket.send(message).await;
            while socket.next().await.is_some() {}
        })
        .await;
        let forwarder = pods.portforward("a", &[80]).await.unwrap();
        let error = forwarder.join().await.unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(matches!(error, Error::Decode { .. }) && source.contains(part), "{source}");
    }
}
