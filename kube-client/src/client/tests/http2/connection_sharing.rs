//! Tests of requests that wait for a connection or a stream, of failed uploads, and of servers whose negotiated HTTP
//! version changes.

use http_body_util::Full;
use tokio::net::TcpListener;

use super::*;
use crate::client::tests::{
    http2::server::{ReceivedRequest, serve_connection, start_server},
    server::tls_acceptor,
};

/// Calls [`ReceivedRequest::hold_response`] for a request with the query `hold`, and [`ReceivedRequest::echo`] for any
/// other request.
fn hold_if_requested(received: ReceivedRequest) -> server::HandlerFuture {
    Box::pin(async move {
        match received.request.uri().query() {
            Some("hold") => received.hold_response().await,
            _ => received.echo(),
        }
    })
}

#[tokio::test]
async fn a_request_that_waits_for_a_dial_uses_a_stream_that_becomes_free() {
    let authority = Authority::new("ca");
    let tls = tls_acceptor(&authority.issue(&["127.0.0.1"], |_| {}), None, &[b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new(format!("https://{}", listener.local_addr().unwrap()).parse().unwrap());
    config.root_cert = Some(vec![authority.der()]);
    config.tls_timeout = None;
    let (on_second, mut second) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = tls.accept(stream).await.unwrap();
        // The server allows two concurrent streams. The client uses only one of them, and keeps the
        // other as a reserve.
        tokio::spawn(serve_connection(stream, 0, 2, std::sync::Arc::new(hold_if_requested)));
        // The handshake of the second connection never ends.
        let _silent = listener.accept().await.unwrap();
        on_second.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    let client = Client::try_from(config).unwrap();
    let held = client.open(get("/x?hold")).await.unwrap();
    let waiting = client.clone();
    let waiting = tokio::spawn(async move { call(&waiting).await });
    timeout(TEST_TIMEOUT, second.recv()).await.unwrap().unwrap();
    drop(held);
    assert_eq!(timeout(TEST_TIMEOUT, waiting).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn calls_use_a_second_connection_while_the_first_is_busy() {
    let mut server = serve(100, hold_if_requested).await;
    server.config.pool_idle_timeout = Some(Duration::from_millis(50));
    let client = Client::try_from(server.config.clone()).unwrap();
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(client.open(get("/x?hold")).await.unwrap());
        assert_eq!(server.accepted.load(SeqCst), 1);
    }
    // The next call starts the dial of a second connection, and does not wait for this dial.
    assert_eq!(call(&client).await, 0);
    let second = async { while call(&client).await != 1 {} };
    timeout(TEST_TIMEOUT, second).await.unwrap();
    // More calls open no third connection.
    for _ in 0..40 {
        held.push(client.open(get("/x?hold")).await.unwrap());
    }
    call(&client).await;
    held.truncate(1);
    assert_eq!(call(&client).await, 0);
    timeout(TEST_TIMEOUT, server.closed.recv()).await.unwrap().unwrap();
    assert_eq!(call(&client).await, 0);
    assert_eq!(server.accepted.load(SeqCst), 2);
}

#[tokio::test]
async fn a_failed_dial_of_a_second_connection_does_not_fail_calls_and_is_not_repeated_immediately() {
    let authority = Authority::new("ca");
    let tls = tls_acceptor(&authority.issue(&["127.0.0.1"], |_| {}), None, &[b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new(format!("https://{}", listener.local_addr().unwrap()).parse().unwrap());
    config.root_cert = Some(vec![authority.der()]);
    let (on_refused, mut refused) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = tls.accept(stream).await.unwrap();
        tokio::spawn(serve_connection(stream, 0, 100, std::sync::Arc::new(hold_if_requested)));
        while listener.accept().await.is_ok() {
            on_refused.send(()).unwrap();
        }
    });
    let client = Client::try_from(config).unwrap();
    let mut held = Vec::new();
    for _ in 0..17 {
        held.push(client.open(get("/x?hold")).await.unwrap());
    }
    timeout(TEST_TIMEOUT, refused.recv()).await.unwrap().unwrap();
    for _ in 0..100 {
        assert_eq!(call(&client).await, 0);
    }
    assert!(refused.try_recv().is_err());
}

#[tokio::test]
async fn a_request_succeeds_after_all_connections_have_received_goaway() {
    let (end, ended) = tokio::sync::watch::channel(());
    let server = start_server(move |stream, connection| {
        let mut ended = (connection < 5).then(|| ended.clone());
        async move {
            let mut builder = h2::server::Builder::new();
            let mut http2 = builder.max_concurrent_streams(3).handshake(stream).await.unwrap();
            loop {
                let changed = async {
                    match &mut ended {
                        Some(ended) => ended.changed().await.is_ok(),
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    accepted = http2.accept() => {
                        let Some(Ok((request, respond))) = accepted else { break };
                        tokio::spawn(hold_if_requested(ReceivedRequest { connection, request, respond }));
                    }
                    _ = changed => {
                        ended = None;
                        http2.graceful_shutdown();
                    }
                }
            }
        }
    })
    .await;
    let client = Client::try_from(server.config.clone()).unwrap();
    // The client uses two of the three streams of each connection.
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(client.open(get("/x?hold")).await.unwrap());
    }
    assert_eq!(server.accepted.load(SeqCst), 5);
    // Ends every second stream. The other streams keep the connections open.
    let mut number = 0;
    held.retain(|_| {
        number += 1;
        number % 2 == 0
    });
    end.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let text = client.request_text(post()).await.unwrap();
    assert!(text.starts_with("5 POST"), "{text}");
}

#[tokio::test]
async fn the_response_body_fails_if_the_upload_fails_after_the_head_of_the_response() {
    let mut server = serve(100, |mut received| {
        Box::pin(async move {
            let mut response = received.respond.send_response(Response::new(()), false).unwrap();
            response.send_data("head".into(), false).unwrap();
            // The body of the request is not read, so the server grants the client no further flow-control window.
            let _unread = received.request.into_body();
            let _ = std::future::poll_fn(|cx| response.poll_reset(cx)).await;
        })
    })
    .await;
    server.config.write_timeout = Some(Duration::from_millis(200));
    let client = Client::try_from(server.config.clone()).unwrap();
    let send = async |body: Body, after_head: Box<dyn FnOnce() + Send>| {
        let response = client.send(Request::post("/x").body(body).unwrap()).await.unwrap();
        after_head();
        timeout(TEST_TIMEOUT, response.into_body().collect_bytes()).await.unwrap().unwrap_err()
    };
    let (fail, failure) = tokio::sync::oneshot::channel();
    let failing = futures::stream::once(async move {
        let _ = failure.await;
        Err::<&str, _>(Error::Request { what: "mine".to_owned(), source: None })
    });
    let error = send(Body::wrap_stream(failing), Box::new(move || fail.send(()).unwrap())).await;
    assert!(matches!(&error, Error::Request { what, .. } if what.contains("POST /x")), "{error:?}");
    let endless = futures::stream::repeat(vec![b'x'; 10_000]).map(Ok::<_, Error>);
    let error = send(Body::wrap_stream(endless), Box::new(|| ())).await;
    assert!(matches!(&error, Error::Timeout { wait: crate::error::Wait::Write, .. }), "{error:?}");
}

#[tokio::test]
async fn http2_is_used_after_the_server_has_enabled_it() {
    let authority = Authority::new("ca");
    let leaf = authority.issue(&["127.0.0.1"], |_| {});
    let version = |request: Request<hyper::body::Incoming>| async move {
        Response::new(Full::from(format!("{:?}", request.version())))
    };
    let server = Server::https_with_handler(&leaf, &[b"http/1.1"], version).await;
    let mut config = server.config(&authority);
    config.pool_idle_timeout = Some(Duration::ZERO);
    let client = Client::try_from(config).unwrap();
    for _ in 0..2 {
        assert_eq!(client.request_text(get("/x")).await.unwrap(), "HTTP/1.1");
    }
    server.rotate_certificates(&leaf, None);
    assert_eq!(client.request_text(get("/x")).await.unwrap(), "HTTP/2.0");
}
