//! Processes: streams, results, and servers that violate the protocol.

use futures::SinkExt;
use std::io::ErrorKind;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::server::{serve_tcp, serve_websocket};
use crate::{
    Error, TransportKind, Wait,
    api::{AttachParams, AttachedProcess, TerminalSize},
};

const SUCCESS: &str = r#"{"metadata":{},"status":"Success"}"#;
const EXIT_7: &str = r#"{"metadata":{},"status":"Failure","message":"command terminated","reason":"NonZeroExitCode",
    "details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#;

async fn read_text(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut text = String::new();
    stream.unwrap().read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn v5_carries_the_requested_streams_and_closes_the_input() {
    let (pods, server) = serve_websocket("v5.channel.k8s.io", |mut socket| async move {
        for channel in 0..5 {
            socket.send([channel]).await;
        }
        assert_eq!(socket.next().await.unwrap(), &b"\x04{\"Width\":80,\"Height\":24}"[..]);
        let mut input = Vec::new();
        loop {
            match socket.next().await.unwrap() {
                message if message[0] == 0 => input.extend_from_slice(&message[1..]),
                message => break assert_eq!(message, &[255, 0][..]),
            }
        }
        socket.send([b"\x01", &input[..]].concat()).await;
        socket.send(b"\x02warning").await;
        socket.finish(EXIT_7).await;
    })
    .await;
    let ap = AttachParams { stdin: true, tty: true, stderr: false, ..AttachParams::default() };
    let mut process = pods.attach("a", &ap).await.unwrap();
    assert!(process.stderr().is_none());
    let size = TerminalSize { width: 80, height: 24 };
    process.terminal_size().unwrap().send(size).await.unwrap();
    let mut stdin = process.stdin().unwrap();
    stdin.write_all(b"all of it").await.unwrap();
    stdin.shutdown().await.unwrap();
    assert_eq!(stdin.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(read_text(process.stdout()).await, "all of it");
    let status = process.take_status().unwrap().await.unwrap();
    assert_eq!(status.exit_code(), Some(7));
    // `take_status` has taken the result, so `join` does not return it as an error.
    process.join().await.unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn join_returns_the_result_that_was_not_taken() {
    for (status, code) in [(SUCCESS, None), (EXIT_7, Some(7))] {
        let (pods, _server) = serve_websocket("v5.channel.k8s.io", move |mut socket| async move {
            // The messages are too large for the buffer of stdout, so `join` must discard them.
            for _ in 0..40 {
                socket.send([vec![1], vec![b'x'; 32 << 10]].concat()).await;
            }
            socket.finish(status).await;
        })
        .await;
        let joined = pods.exec("a", ["x"], &AttachParams::default()).await.unwrap().join().await;
        assert_eq!(joined.err().and_then(|error| error.status()?.exit_code()), code);
    }
}

#[tokio::test]
async fn the_v4_protocol_cannot_close_stdin() {
    let (pods, _server) = serve_websocket("v4.channel.k8s.io", |mut socket| async move {
        assert_eq!(socket.next().await.unwrap(), &b"\0x"[..]);
        socket.finish(SUCCESS).await;
    })
    .await;
    let mut process = pods.exec("a", ["x"], &AttachParams::default().stdin(true)).await.unwrap();
    let mut stdin = process.stdin().unwrap();
    let error = stdin.shutdown().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("v4.channel"), "{error}");
    stdin.write_all(b"x").await.unwrap();
    process.join().await.unwrap();
}

#[tokio::test]
async fn a_result_may_arrive_in_parts() {
    let (pods, _server) = serve_websocket("v5.channel.k8s.io", |mut socket| async move {
        socket.send([b"\x03", &EXIT_7.as_bytes()[..20]].concat()).await;
        socket.finish(&EXIT_7[20..]).await;
    })
    .await;
    let mut process = pods.exec("a", ["x"], &AttachParams::default()).await.unwrap();
    assert_eq!(process.take_status().unwrap().await.unwrap().exit_code(), Some(7));
    process.join().await.unwrap();
}

/// The errors of a process and of its standard output, if the server sends these bytes after the handshake and then closes
/// the connection.
async fn errors_after_response(bytes: Vec<u8>) -> (Error, std::io::Error) {
    let (pods, _server) = serve_tcp("v5.channel.k8s.io", |mut stream| async move {
        stream.write_all(&bytes).await.unwrap();
        let mut end = Vec::new();
        stream.shutdown().await.unwrap();
        let _ = stream.read_to_end(&mut end).await;
    })
    .await;
    let mut process = pods.exec("a", ["x"], &AttachParams::default()).await.unwrap();
    let mut stdout = process.stdout().unwrap();
    let read = stdout.read_to_end(&mut Vec::new()).await.unwrap_err();
    (process.join().await.unwrap_err(), read)
}

/// An unmasked binary frame.
fn binary_frame(payload: &[u8]) -> Vec<u8> {
    [&[0x82, u8::try_from(payload.len()).unwrap()], payload].concat()
}

#[tokio::test]
async fn protocol_violations_are_decode_errors_that_name_the_request() {
    let four_gib = [&[0x82, 127][..], &(4u64 << 30).to_be_bytes(), b"\x01x"].concat();
    for (bytes, part) in [
        (binary_frame(b"\x09x"), "channel 9"),
        (binary_frame(b"\x00x"), "channel 0"),
        (binary_frame(b"\x03<html>"), "the status is not JSON"),
        (four_gib, "Space limit exceeded"),
        // A text message, a reserved bit, and a control frame that is too long.
        (b"\x81\x01a".to_vec(), "text message"),
        (b"\xf2\x01a".to_vec(), "protocol"),
        ([&[0x89, 126, 0, 200][..], &[0; 200]].concat(), "protocol"),
    ] {
        let (error, read) = errors_after_response(bytes).await;
        assert!(
            matches!(&error, Error::Decode { what, .. } if what.contains("GET /api/v1/namespaces/web/pods/a/exec")),
            "{error:?}"
        );
        assert_eq!(read.kind(), ErrorKind::InvalidData);
        assert!(read.to_string().contains(part), "{read}");
    }
}

#[tokio::test]
async fn a_truncated_stream_is_an_error() {
    let close = vec![0x88, 2, 0x03, 0xE8];
    for (bytes, part) in [
        (Vec::new(), "broke"),
        // A frame whose header announces more bytes than follow.
        ([&[0x82, 100][..], b"\x01x"].concat(), "broke"),
        ([binary_frame(b"\x01x"), close.clone()].concat(), "without the result"),
        ([binary_frame(b"\x03{\"status\":"), close].concat(), "a part of the result"),
    ] {
        let (error, read) = errors_after_response(bytes).await;
        assert!(matches!(&error, Error::Transport { kind: TransportKind::Broken, .. }), "{error:?}");
        assert!(
            error.to_string().contains(part)
                && error.to_string().contains("GET /api/v1/namespaces/web/pods/a/exec"),
            "{error}"
        );
        assert_eq!(read.kind(), ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn dropping_or_aborting_a_process_ends_its_connection_and_its_streams() {
    for is_aborted in [false, true] {
        let (pods, server) = serve_websocket("v5.channel.k8s.io", |mut socket| async move {
            socket.send(b"\x01begin").await;
            while socket.next().await.is_some() {}
        })
        .await;
        let mut process = pods.exec("a", ["x"], &AttachParams::default()).await.unwrap();
        let mut stdout = process.stdout().unwrap();
        let mut begin = [0; 5];
        stdout.read_exact(&mut begin).await.unwrap();
        if is_aborted {
            process.abort();
            assert!(process.join().await.unwrap_err().to_string().contains("aborted"));
        } else {
            drop(process);
        }
        server.await.unwrap();
        let error = stdout.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    }
}

#[tokio::test]
async fn an_unread_output_stops_the_server_but_not_the_input() {
    const MESSAGE_COUNT: usize = 2000;
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let (pods, server) = serve_websocket("v5.channel.k8s.io", move |mut socket| async move {
        let message = [vec![1], vec![b'x'; 32 << 10]].concat();
        for _ in 0..MESSAGE_COUNT {
            socket.send(&message).await;
            counter.fetch_add(1, SeqCst);
        }
        assert_eq!(socket.next().await.unwrap(), &b"\0input"[..]);
        socket.finish(SUCCESS).await;
    })
    .await;
    let ap = AttachParams::default().stdin(true).max_stdout_buf_size(1);
    let mut process: AttachedProcess = pods.exec("a", ["x"], &ap).await.unwrap();
    let mut stdout = process.stdout().unwrap();
    process.stdin().unwrap().write_all(b"input").await.unwrap();
    let mut first = [0; 1];
    stdout.read_exact(&mut first).await.unwrap();
    // Wait until the server can send no more: the buffers of the client and of the kernel are full.
    let mut before = usize::MAX;
    while before != sent.load(SeqCst) {
        before = sent.load(SeqCst);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert!(before < MESSAGE_COUNT, "{before}");
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).await.unwrap();
    assert_eq!(1 + rest.len(), MESSAGE_COUNT * (32 << 10));
    process.join().await.unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn a_server_that_answers_no_ping_causes_a_timeout() {
    let (pods, _server) = serve_tcp("v5.channel.k8s.io", |stream| async move {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let process = pods.exec("a", ["x"], &AttachParams::default()).await.unwrap();
    tokio::time::pause();
    let error = process.join().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { wait: Wait::Ping, .. }), "{error:?}");
    assert!(error.to_string().contains("GET /api/v1/namespaces/web/pods/a/exec"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_read_the_input_causes_no_timeout() {
    let (pods, _server) = serve_tcp("v5.channel.k8s.io", |stream| async move {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let mut process = pods.exec("a", ["x"], &AttachParams::default().stdin(true)).await.unwrap();
    process.stdin().unwrap().write_all(b"unread").await.unwrap();
    tokio::time::pause();
    let joined = tokio::time::timeout(std::time::Duration::from_secs(3600), process.join()).await;
    assert!(joined.is_err(), "{joined:?}");
}
