//! Tests of requests that a server refuses, and of streams and connections that it breaks.

use futures::future::join_all;
use h2::Reason;
use http::Response;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::server::TlsStream;

use super::{
    TEST_TIMEOUT, get, post,
    server::{HandlerFuture, ReceivedRequest, echo_or_hold, serve, serve_connection, start_server},
};
use crate::{
    client::Client,
    config::RetryPolicy,
    error::{Error, TransportKind},
};

#[tokio::test]
async fn a_refused_request_is_sent_again_but_a_reset_request_is_not() {
    for (reason, is_sent_again) in [(Reason::REFUSED_STREAM, true), (Reason::INTERNAL_ERROR, false)] {
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        let server = serve(100, move |mut received| {
            let number = counter.fetch_add(1, SeqCst);
            Box::pin(async move {
                if number == 0 { received.respond.send_reset(reason) } else { received.echo() }
            })
        })
        .await;
        let client = Client::try_from(server.config.clone()).unwrap();
        let outcome = client.request_text(post()).await;
        assert_eq!(outcome.is_ok(), is_sent_again, "{outcome:?}");
        assert_eq!(requests.load(SeqCst), if is_sent_again { 2 } else { 1 });
        if let Err(error) = outcome {
            assert!(matches!(error, Error::Transport { kind: TransportKind::Broken, .. }), "{error:?}");
            assert!(error.to_string().ends_with("broke during POST /x"), "{error}");
        }
    }
}

#[tokio::test]
async fn the_retry_policy_repeats_a_get_whose_stream_was_reset() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    let mut server = serve(100, move |mut received| {
        let number = counter.fetch_add(1, SeqCst);
        Box::pin(async move {
            if number < 2 { received.respond.send_reset(Reason::INTERNAL_ERROR) } else { received.echo() }
        })
    })
    .await;
    server.config.retry = RetryPolicy::default().initial(Duration::from_millis(1));
    let client = Client::try_from(server.config.clone()).unwrap();
    client.request_text(get("/x")).await.unwrap();
    assert_eq!((requests.load(SeqCst), server.accepted.load(SeqCst)), (3, 1));
}

#[tokio::test]
async fn the_error_of_a_reset_body_names_verb_path_and_server() {
    let server = serve(100, |mut received| {
        Box::pin(async move {
            let mut body = received.respond.send_response(Response::new(()), false).unwrap();
            body.send_data("half".into(), false).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            body.send_reset(Reason::INTERNAL_ERROR);
        })
    })
    .await;
    let host = server.config.cluster_url.authority().unwrap().to_string();
    let client = Client::try_from(server.config.clone()).unwrap();
    let error = client.request_text(get("/version?x=1")).await.unwrap_err();
    let wanted =
        format!("the connection to {host} broke while the response body of GET /version was being read");
    assert_eq!(error.to_string(), wanted);
}

/// Sends an empty SETTINGS frame, and reads frames of a client until the head of a request arrives. Returns the id of the
/// request's stream.
pub(super) async fn read_request(stream: &mut TlsStream<TcpStream>) -> u32 {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    // An empty SETTINGS frame.
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    stream.flush().await.unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        // The frame type 1 is HEADERS.
        if head[3] == 1 {
            return u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        }
    }
}

#[tokio::test]
async fn a_request_beyond_the_last_stream_of_a_goaway_is_sent_again() {
    for is_processed in [false, true] {
        let handler: Arc<dyn Fn(ReceivedRequest) -> HandlerFuture + Send + Sync> = Arc::new(echo_or_hold);
        let server = start_server(move |mut stream, connection| {
            let handler = handler.clone();
            async move {
                if connection > 0 {
                    return serve_connection(stream, connection, 100, handler).await;
                }
                let id = read_request(&mut stream).await;
                let last = if is_processed { id } else { 0 };
                let mut frame = vec![0, 0, 8, 7, 0, 0, 0, 0, 0];
                frame.extend(last.to_be_bytes());
                frame.extend([0; 4]);
                stream.write_all(&frame).await.unwrap();
                stream.shutdown().await.unwrap();
                // Read until the client closes the connection: a close with unread data could discard the frame.
                while stream.read(&mut [0; 4096]).await.unwrap_or(0) > 0 {}
            }
        })
        .await;
        let client = Client::try_from(server.config.clone()).unwrap();
        let outcome = timeout(TEST_TIMEOUT, client.request_text(post())).await.unwrap();
        match outcome {
            Ok(text) => assert!(!is_processed && text.starts_with("1 POST"), "{text}"),
            Err(error) => {
                assert!(is_processed, "{error:?}");
                assert!(matches!(error, Error::Transport { kind: TransportKind::Broken, .. }), "{error:?}");
                assert!(error.to_string().contains("during POST /"), "{error}");
            }
        }
        assert_eq!(server.accepted.load(SeqCst), if is_processed { 1 } else { 2 });
    }
}

#[tokio::test]
async fn graceful_goaways_lose_no_request() {
    let numbers = Arc::new(Mutex::new(Vec::new()));
    let seen = numbers.clone();
    // On each connection, the server sends GOAWAY after the third request.
    let server = start_server(move |stream, connection| {
        let seen = seen.clone();
        async move {
            let mut http2 = h2::server::handshake(stream).await.unwrap();
            let mut requests = 0;
            while let Some(Ok((request, respond))) = http2.accept().await {
                seen.lock().unwrap().push(connection);
                ReceivedRequest { connection, request, respond }.echo();
                requests += 1;
                if requests == 3 {
                    http2.graceful_shutdown();
                }
            }
        }
    })
    .await;
    let client = Client::try_from(server.config.clone()).unwrap();
    for outcome in
        timeout(TEST_TIMEOUT, join_all((0..40).map(|_| client.request_text(post())))).await.unwrap()
    {
        outcome.unwrap();
    }
    for _ in 0..10 {
        client.request_text(post()).await.unwrap();
    }
    assert_eq!(numbers.lock().unwrap().len(), 50);
    assert!(server.accepted.load(SeqCst) > 1);
}
