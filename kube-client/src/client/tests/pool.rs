//! Connections between requests: which one is used again, and which ends.

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
    net::TcpListener,
    runtime::Runtime,
    sync::mpsc,
};

use crate::{
    Client,
    config::{Config, RetryPolicy},
};

/// A server that says `ok` to everything.
struct Polite {
    config: Config,
    accepted: Arc<AtomicU32>,
    /// Each connection that has ended.
    closed: mpsc::UnboundedReceiver<()>,
}

/// `answers`: after how many answers it closes a connection without a word.
async fn polite(answers: usize, answer: &'static [u8]) -> Polite {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    config.retry = RetryPolicy::never();
    let accepted = Arc::new(AtomicU32::new(0));
    let (counter, (tell, closed)) = (accepted.clone(), mpsc::unbounded_channel());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, SeqCst);
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                for _ in 0..answers {
                    // The requests of these tests come in one piece.
                    if stream.read(&mut head).await.unwrap_or(0) == 0 {
                        break;
                    }
                    stream.write_all(answer).await.unwrap();
                }
                drop(stream);
                let _ = tell.send(());
            });
        }
    });
    Polite { config, accepted, closed }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A runtime that does nothing unless someone runs it.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// One for a server, which goes on by itself.
fn serving() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn post(client: &Client) -> String {
    client.request_text(Request::post("/x").body(b"once".to_vec()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_is_not_used_again() {
    let mut server = polite(2, OK).await;
    let client = Client::try_from(server.config).unwrap();
    for connections in 1..4 {
        for _ in 0..2 {
            assert_eq!(post(&client).await, "ok");
            assert_eq!(server.accepted.load(SeqCst), connections);
        }
        server.closed.recv().await.unwrap();
        // So that the runtime looks at its sockets.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed_after_a_while() {
    let mut server = polite(usize::MAX, OK).await;
    server.config.pool_idle_timeout = Some(Duration::from_millis(50));
    let client = Client::try_from(server.config).unwrap();
    for connections in 1..3 {
        assert_eq!(post(&client).await, "ok");
        assert_eq!(server.accepted.load(SeqCst), connections);
        tokio::time::timeout(Duration::from_secs(5), server.closed.recv()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn connections_end_with_the_client() {
    let mut server = polite(usize::MAX, OK).await;
    let client = Client::try_from(server.config).unwrap();
    assert_eq!(post(&client).await, "ok");
    drop(client);
    tokio::time::timeout(Duration::from_secs(5), server.closed.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_without_a_body_need_not_be_read() {
    let server = polite(usize::MAX, b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let client = Client::try_from(server.config).unwrap();
    for _ in 0..3 {
        drop(client.open(Request::get("/x").body(Vec::new()).unwrap()).await.unwrap());
    }
    assert_eq!(server.accepted.load(SeqCst), 1);
}

#[test]
fn a_client_outlives_a_runtime() {
    let serving = serving();
    let mut server = serving.block_on(polite(usize::MAX, OK));
    server.config.pool_idle_timeout = Some(Duration::from_millis(50));
    let client = runtime().block_on(async { Client::try_from(server.config).unwrap() });
    assert_eq!(runtime().block_on(post(&client)), "ok");
    runtime().block_on(async {
        assert_eq!(post(&client).await, "ok");
        // The connection of the runtime before, and then that of this one, which nobody uses.
        for _ in 0..2 {
            tokio::time::timeout(Duration::from_secs(5), server.closed.recv()).await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_connection_stays_with_the_runtime_that_watches_it() {
    let serving = serving();
    let server = serving.block_on(polite(usize::MAX, OK));
    let client = Client::try_from(server.config).unwrap();
    // Neither notices what arrives while the other one runs.
    let (one, other) = (runtime(), runtime());
    for _ in 0..2 {
        for runtime in [&one, &other] {
            let answer = async { tokio::time::timeout(Duration::from_secs(5), post(&client)).await };
            assert_eq!(runtime.block_on(answer).unwrap(), "ok");
        }
    }
    assert_eq!(server.accepted.load(SeqCst), 2);
}

#[test]
fn connections_of_a_runtime_that_has_gone_are_closed() {
    let serving = serving();
    let mut server = serving.block_on(polite(usize::MAX, OK));
    server.config.pool_idle_timeout = None;
    let client = Client::try_from(server.config).unwrap();
    // Alive to the end, so that the next one is known from it.
    let first = runtime();
    assert_eq!(first.block_on(post(&client)), "ok");
    assert_eq!(runtime().block_on(post(&client)), "ok");
    let last = runtime();
    last.block_on(async {
        assert_eq!(post(&client).await, "ok");
        tokio::time::timeout(Duration::from_secs(5), server.closed.recv()).await.unwrap().unwrap();
    });
    assert_eq!(first.block_on(post(&client)), "ok");
    assert_eq!(server.accepted.load(SeqCst), 3);
}
