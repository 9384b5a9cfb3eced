//! Tests of the connection pool: which idle connections are reused, and which are closed.

use http::Request;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::mpsc,
};

use crate::{
    Client,
    config::{Config, RetryPolicy},
};

/// A server that sends the same response to each request.
struct FixedResponseServer {
    config: Config,
    accepted: Arc<AtomicU32>,
    /// Receives one message per closed connection.
    closed: mpsc::UnboundedReceiver<()>,
}

/// Starts a server that closes each connection after `responses` responses. The responses do not have the header
/// `Connection: close`.
async fn start_fixed_response_server(responses: usize, response: &'static [u8]) -> FixedResponseServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    config.retry = RetryPolicy::never();
    let accepted = Arc::new(AtomicU32::new(0));
    let (counter, (on_close, closed)) = (accepted.clone(), mpsc::unbounded_channel());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, SeqCst);
            let on_close = on_close.clone();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                for _ in 0..responses {
                    // Each request of these tests arrives in a single read.
                    if stream.read(&mut head).await.unwrap_or(0) == 0 {
                        break;
                    }
                    stream.write_all(response).await.unwrap();
                }
                drop(stream);
                let _ = on_close.send(());
            });
        }
    });
    FixedResponseServer { config, accepted, closed }
}

const OK_RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A runtime that makes progress only within `block_on`.
fn current_thread_runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A runtime that makes progress without `block_on`, on a worker thread.
fn multi_thread_runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Sends a POST request and returns the body of the response.
async fn post_text(client: &Client) -> String {
    client.request_text(Request::post("/x").body(b"once".to_vec()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_not_reused() {
    let mut server = start_fixed_response_server(2, OK_RESPONSE).await;
    let client = Client::try_from(server.config).unwrap();
    for connections in 1..4 {
        for _ in 0..2 {
            assert_eq!(post_text(&client).await, "ok");
            assert_eq!(server.accepted.load(SeqCst), connections);
        }
        server.closed.recv().await.unwrap();
        // During the sleep, the runtime polls its I/O driver, and the client detects the closed connection.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_timeout() {
    let mut server = start_fixed_response_server(usize::MAX, OK_RESPONSE).await;
    server.config.pool_idle_timeout = Some(Duration::from_millis(50));
    let client = Client::try_from(server.config).unwrap();
    for connections in 1..3 {
        assert_eq!(post_text(&client).await, "ok");
        assert_eq!(server.accepted.load(SeqCst), connections);
        tokio::time::timeout(Duration::from_secs(5), server.closed.recv()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn idle_connections_are_closed_when_the_client_is_dropped() {
    let mut server = start_fixed_response_server(usize::MAX, OK_RESPONSE).await;
    let client = Client::try_from(server.config).unwrap();
    assert_eq!(post_text(&client).await, "ok");
    drop(client);
    tokio::time::timeout(Duration::from_secs(5), server.closed.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_is_reused_after_an_unread_response_without_body() {
    let server = start_fixed_response_server(usize::MAX, b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let client = Client::try_from(server.config).unwrap();
    for _ in 0..3 {
        drop(client.open(Request::get("/x").body(Vec::new()).unwrap()).await.unwrap());
    }
    assert_eq!(server.accepted.load(SeqCst), 1);
}

#[test]
fn a_client_works_on_a_second_runtime_after_the_first_is_dropped() {
    let server_runtime = multi_thread_runtime();
    let mut server = server_runtime.block_on(start_fixed_response_server(usize::MAX, OK_RESPONSE));
    server.config.pool_idle_timeout = Some(Duration::from_millis(50));
    let client = current_thread_runtime().block_on(async { Client::try_from(server.config).unwrap() });
    assert_eq!(current_thread_runtime().block_on(post_text(&client)), "ok");
    current_thread_runtime().block_on(async {
        assert_eq!(post_text(&client).await, "ok");
        // The connection of the dropped runtime is closed first, then the idle connection of this runtime.
        for _ in 0..2 {
            tokio::time::timeout(Duration::from_secs(5), server.closed.recv()).await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_connection_is_reused_only_on_its_runtime() {
    let server_runtime = multi_thread_runtime();
    let server = server_runtime.block_on(start_fixed_response_server(usize::MAX, OK_RESPONSE));
    let client = Client::try_from(server.config).unwrap();
    // Each of these runtimes polls its sockets only within its own `block_on`.
    let (one, other) = (current_thread_runtime(), current_thread_runtime());
    for _ in 0..2 {
        for runtime in [&one, &other] {
            let response = async { tokio::time::timeout(Duration::from_secs(5), post_text(&client)).await };
            assert_eq!(runtime.block_on(response).unwrap(), "ok");
        }
    }
    assert_eq!(server.accepted.load(SeqCst), 2);
}

#[test]
fn connections_of_a_dropped_runtime_are_closed() {
    let server_runtime = multi_thread_runtime();
    let mut server = server_runtime.block_on(start_fixed_response_server(usize::MAX, OK_RESPONSE));
    server.config.pool_idle_timeout = None;
    let client = Client::try_from(server.config).unwrap();
    // This runtime exists until the end of the test, so that no later runtime has the same id.
    let first = current_thread_runtime();
    assert_eq!(first.block_on(post_text(&client)), "ok");
    assert_eq!(current_thread_runtime().block_on(post_text(&client)), "ok");
    let last = current_thread_runtime();
    last.block_on(async {
        assert_eq!(post_text(&client).await, "ok");
        tokio::time::timeout(Duration::from_secs(5), server.closed.recv()).await.unwrap().unwrap();
    });
    assert_eq!(first.block_on(post_text(&client)), "ok");
    assert_eq!(server.accepted.load(SeqCst), 3);
}

/// Starts a server that refuses the first request, accepts the second, refuses the third, and so on. A refusal has the
/// status `code` and a body that the server sends after a pause. Returns a configuration for the server, and the number
/// of connections that the server has accepted.
async fn start_refusing_server(code: u16) -> (Config, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    let (accepted, requests) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let counter = accepted.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, SeqCst);
            let requests = requests.clone();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                while stream.read(&mut head).await.unwrap_or(0) > 0 {
                    if requests.fetch_add(1, SeqCst) % 2 == 1 {
                        stream.write_all(OK_RESPONSE).await.unwrap();
                        continue;
                    }
                    let head =
                        format!("HTTP/1.1 {code} Refused\r\nretry-after: 1\r\ncontent-length: 5\r\n\r\n");
                    stream.write_all(head.as_bytes()).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    stream.write_all(b"later").await.unwrap();
                }
            });
        }
    });
    (config, accepted)
}

#[tokio::test]
async fn a_retry_reuses_the_connection_of_the_refused_request() {
    let (config, accepted) = start_refusing_server(429).await;
    let client = Client::try_from(config).unwrap();
    for _ in 0..2 {
        assert_eq!(post_text(&client).await, "ok");
    }
    assert_eq!(accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn a_request_with_renewed_credentials_reuses_the_connection_of_the_unauthorized_request() {
    let (mut config, accepted) = start_refusing_server(401).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "first").unwrap();
    config.auth_info.token_file = Some(path.display().to_string());
    let client = Client::try_from(config).unwrap();
    std::fs::write(&path, "second").unwrap();
    assert_eq!(post_text(&client).await, "ok");
    assert_eq!(accepted.load(SeqCst), 1);
}

/// Reads until the peer closes the connection.
async fn read_to_end(stream: &mut TcpStream) {
    while stream.read(&mut [0; 4096]).await.unwrap_or(0) > 0 {}
}

/// Starts a server that responds to `requests` concurrent requests only after it has received all of them. It shuts down its
/// side of the first connection when the returned sender sends a message. The returned receiver gets the number of each
/// connection that the client has closed.
async fn start_barrier_server(
    requests: usize,
) -> (Config, mpsc::UnboundedSender<()>, mpsc::UnboundedReceiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    let (end, ended) = mpsc::unbounded_channel();
    let (on_close, closed) = mpsc::unbounded_channel();
    let all_here = Arc::new(tokio::sync::Barrier::new(requests));
    tokio::spawn(async move {
        let mut ended = Some(ended);
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (all_here, on_close) = (all_here.clone(), on_close.clone());
            let ended = ended.take();
            tokio::spawn(async move {
                assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
                all_here.wait().await;
                stream.write_all(OK_RESPONSE).await.unwrap();
                if let Some(mut ended) = ended {
                    tokio::select! {
                        Some(()) = ended.recv() => stream.shutdown().await.unwrap(),
                        () = read_to_end(&mut stream) => {}
                    }
                }
                read_to_end(&mut stream).await;
                let _ = on_close.send(number);
            });
        }
    });
    (config, end, closed)
}

#[tokio::test]
async fn the_client_closes_an_idle_connection_that_the_server_has_closed() {
    let (mut config, end, mut closed) = start_barrier_server(3).await;
    config.pool_idle_timeout = None;
    let client = Client::try_from(config).unwrap();
    futures::future::join_all((0..3).map(|_| post_text(&client))).await;
    end.send(()).unwrap();
    let number = tokio::time::timeout(Duration::from_secs(10), closed.recv()).await.unwrap().unwrap();
    assert_eq!(number, 0);
    assert!(closed.try_recv().is_err());
}

#[tokio::test]
async fn the_number_of_idle_connections_is_limited() {
    let (config, _end, mut closed) = start_barrier_server(70).await;
    let client = Client::try_from(config).unwrap();
    futures::future::join_all((0..70).map(|_| post_text(&client))).await;
    for _ in 64..70 {
        tokio::time::timeout(Duration::from_secs(10), closed.recv()).await.unwrap().unwrap();
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(closed.try_recv().is_err());
}

#[test]
fn a_body_whose_runtime_has_ended_fails() {
    let server_runtime = multi_thread_runtime();
    let partial = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok";
    let server = server_runtime.block_on(start_fixed_response_server(usize::MAX, partial));
    let client = Client::try_from(server.config).unwrap();
    let request = Request::get("/x").body(Vec::new()).unwrap();
    let body = current_thread_runtime().block_on(client.open(request)).unwrap().into_body();
    let read = async { tokio::time::timeout(Duration::from_secs(5), body.collect_bytes()).await };
    current_thread_runtime().block_on(read).unwrap().unwrap_err();
}

#[tokio::test]
async fn an_idle_connection_beyond_the_maximum_age_is_closed() {
    let mut server = start_fixed_response_server(usize::MAX, OK_RESPONSE).await;
    server.config.pool_idle_timeout = None;
    server.config.max_connection_age = Some(Duration::from_millis(50));
    let client = Client::try_from(server.config).unwrap();
    assert_eq!(post_text(&client).await, "ok");
    tokio::time::timeout(Duration::from_secs(10), server.closed.recv()).await.unwrap().unwrap();
}

#[test]
fn the_client_closes_idle_connections_while_its_first_runtime_runs_no_task() {
    let server_runtime = multi_thread_runtime();
    let mut server = server_runtime.block_on(start_fixed_response_server(usize::MAX, OK_RESPONSE));
    server.config.pool_idle_timeout = Some(Duration::from_millis(50));
    let client = Client::try_from(server.config).unwrap();
    let first = current_thread_runtime();
    assert_eq!(first.block_on(post_text(&client)), "ok");
    current_thread_runtime().block_on(async {
        assert_eq!(post_text(&client).await, "ok");
        tokio::time::timeout(Duration::from_secs(10), server.closed.recv()).await.unwrap().unwrap();
    });
}

#[test]
fn a_request_of_another_runtime_does_not_stop_the_reaper_of_an_idle_connection() {
    let server_runtime = multi_thread_runtime();
    let (mut config, end, mut closed) = server_runtime.block_on(start_barrier_server(1));
    config.pool_idle_timeout = None;
    let client = Client::try_from(config).unwrap();
    let first = multi_thread_runtime();
    let posting = client.clone();
    first.block_on(first.spawn(async move { post_text(&posting).await })).unwrap();
    // The sleep gives the reaper time to inspect the connection.
    std::thread::sleep(Duration::from_millis(50));
    current_thread_runtime().block_on(async {
        let unread = client.open(Request::get("/x").body(Vec::new()).unwrap()).await.unwrap();
        end.send(()).unwrap();
        let number = tokio::time::timeout(Duration::from_secs(10), closed.recv()).await.unwrap().unwrap();
        assert_eq!(number, 0);
        drop(unread);
    });
}
