//! Tests of connections over a stream in memory: the keepalive, and the selection of the task that polls a connection.

use bytes::Bytes;
use futures::{FutureExt, future::join, poll};
use h2::{Reason, server};
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, ReadBuf},
    time::{Instant, sleep, timeout},
};

use super::{Connection, Effect, SendFailure};
use crate::client::{body::Body, transport::stall::StallDetectingStream};

/// A connection, and the other end of its stream.
async fn connect() -> (Arc<Connection>, DuplexStream) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let stream = StallDetectingStream::new(Box::new(near), None);
    (Connection::open(stream, 100, Arc::default()).await.unwrap(), far)
}

async fn send_request(connection: &Arc<Connection>) -> Result<Response<Body>, SendFailure> {
    let request = Request::get("/x").body(Body::empty()).unwrap();
    let lease = connection.lease_stream();
    let sender = lease.ready().await?;
    lease.send(sender, &Uri::from_static("https://h/x"), Box::new(request)).await
}

#[tokio::test(start_paused = true)]
async fn requests_fail_if_a_silent_server_answers_no_ping() {
    let (connection, _far) = connect().await;
    let started = Instant::now();
    let failure = timeout(Duration::from_secs(300), send_request(&connection)).await.unwrap().unwrap_err();
    assert_eq!(started.elapsed().as_secs(), 45);
    assert_eq!(failure.effect, Effect::Unknown);
    assert_eq!(failure.error.to_string(), "the server did not answer an HTTP/2 ping for 15s");
    assert!(!connection.is_open());
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_a_silent_server_that_answers_pings() {
    let (connection, far) = connect().await;
    let server = tokio::spawn(async move {
        let mut server = h2::server::handshake(far).await.unwrap();
        let (_, mut respond) = server.accept().await.unwrap().unwrap();
        tokio::spawn(async move {
            sleep(Duration::from_secs(600)).await;
            respond.send_response(Response::new(()), true).unwrap();
        });
        // `accept` answers pings.
        let _ = server.accept().await;
    });
    send_request(&connection).await.unwrap();
    assert!(connection.is_open());
    drop(connection);
    server.await.unwrap();
}

#[tokio::test]
async fn each_lease_counts_as_a_stream_in_use() {
    let (connection, _far) = connect().await;
    assert!(connection.idle_since().is_some());
    let leases = [connection.lease_stream(), connection.lease_stream()];
    assert_eq!((connection.stream_count(), connection.idle_since()), (2, None));
    drop(leases);
    assert_eq!(connection.stream_count(), 0);
    assert!(connection.idle_since().is_some());
}

type Server = server::Connection<DuplexStream, Bytes>;

/// Waits for the next request at the server.
async fn accept(server: &mut Server) -> (Request<h2::RecvStream>, server::SendResponse<Bytes>) {
    server.accept().await.unwrap().unwrap()
}

#[tokio::test]
async fn a_single_request_is_written_without_the_task_of_the_connection() {
    let (connection, mut far) = connect().await;
    let mut sent = pin!(send_request(&connection));
    assert!(poll!(&mut sent).is_pending());
    // This test has not yielded to the runtime: the task of the connection has not run.
    let mut bytes = vec![0; 1 << 10];
    let count = far.read(&mut bytes).now_or_never().unwrap().unwrap();
    // In the header of an HTTP/2 frame, the type 1 is HEADERS. The flags 5 are END_HEADERS and END_STREAM.
    let is_head = |frame: &[u8]| frame[..2] == [1, 5];
    assert!(bytes[..count].windows(2).any(is_head), "{:?}", &bytes[..count]);
}

/// A waker that counts its wake-ups.
#[derive(Default)]
struct WakeCounter(AtomicUsize);

impl Wake for WakeCounter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Answers each request with one byte, until the connection ends.
async fn answer_requests(far: DuplexStream) {
    let mut server: Server = server::handshake(far).await.unwrap();
    while let Some(Ok((_, mut respond))) = server.accept().await {
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            if let Ok(mut body) = respond.send_response(Response::new(()), false) {
                let _ = body.send_data(Bytes::from_static(b"x"), true);
            }
        });
    }
}

/// Sends a request to [`answer_requests`], and reads its response.
async fn fetch(connection: &Arc<Connection>) {
    let body = send_request(connection).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "x");
}

#[tokio::test]
async fn a_single_request_does_not_wake_the_task_of_the_connection() {
    let (connection, far) = connect().await;
    let server = tokio::spawn(answer_requests(far));
    fetch(&connection).await;
    // Waits until the settings are acknowledged and the task of the connection is idle.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let counter = Arc::<WakeCounter>::default();
    connection.machine.wakers.set_driver(&Waker::from(counter.clone()));
    for _ in 0..10 {
        timeout(Duration::from_secs(60), fetch(&connection)).await.unwrap();
    }
    assert_eq!(counter.0.load(SeqCst), 0);
    drop(connection);
    server.await.unwrap();
}

#[tokio::test]
async fn the_stream_of_a_dropped_request_is_reset_and_a_later_request_succeeds() {
    let (connection, far) = connect().await;
    let (mut first, handshake) = (Box::pin(send_request(&connection)), server::handshake(far));
    assert!(poll!(&mut first).is_pending());
    let mut server: Server = handshake.await.unwrap();
    let (_, mut respond) = accept(&mut server).await;
    assert!(poll!(&mut first).is_pending());
    drop(first);
    let serve = async {
        let reset = tokio::select! {
            reset = poll_fn(|cx| respond.poll_reset(cx)) => reset.unwrap(),
            _ = server.accept() => panic!("another request"),
        };
        assert_eq!(reset, Reason::CANCEL);
        let (_, mut respond) = accept(&mut server).await;
        respond.send_response(Response::new(()), true).unwrap();
        let _ = server.accept().now_or_never();
    };
    let second = async {
        // Waits until the server has received the reset.
        while connection.stream_count() > 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        send_request(&connection).await
    };
    let (second, ()) = join(second, serve).await;
    second.unwrap();
    assert!(connection.is_open());
}

#[tokio::test]
async fn other_requests_complete_while_one_request_is_not_polled() {
    let (connection, far) = connect().await;
    let mut first = Box::pin(send_request(&connection));
    assert!(poll!(&mut first).is_pending());
    let serve = async {
        let mut server: Server = server::handshake(far).await.unwrap();
        let (_, mut first) = accept(&mut server).await;
        let (_, mut second) = accept(&mut server).await;
        second.send_response(Response::new(()), true).unwrap();
        first.send_response(Response::new(()), true).unwrap();
        let _ = server.accept().await;
    };
    let server = tokio::spawn(serve);
    send_request(&connection).await.unwrap();
    first.await.unwrap();
    drop(connection);
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_while_the_single_request_is_not_polled() {
    let (connection, far) = connect().await;
    let mut first = Box::pin(send_request(&connection));
    assert!(poll!(&mut first).is_pending());
    let mut server: Server = server::handshake(far).await.unwrap();
    let (_, mut respond) = accept(&mut server).await;
    assert!(poll!(&mut first).is_pending());
    let mut pings = server.ping_pong().unwrap();
    let server = tokio::spawn(async move { server.accept().await.is_none() });
    timeout(Duration::from_secs(10), pings.ping(h2::Ping::opaque())).await.unwrap().unwrap();
    respond.send_response(Response::new(()), true).unwrap();
    first.await.unwrap();
    drop(connection);
    assert!(server.await.unwrap());
}

#[tokio::test]
async fn a_goaway_during_a_single_request_ends_the_connection_and_not_the_request() {
    let (connection, far) = connect().await;
    let server = tokio::spawn(async move {
        let mut server: Server = server::handshake(far).await.unwrap();
        let (_, mut respond) = accept(&mut server).await;
        server.graceful_shutdown();
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"complete"), true).unwrap();
        let _ = server.accept().await;
    });
    let body = send_request(&connection).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "complete");
    server.await.unwrap();
    timeout(Duration::from_secs(60), async {
        while connection.is_open() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_single_request_fails_when_the_connection_breaks() {
    let (connection, far) = connect().await;
    let mut sent = pin!(send_request(&connection));
    assert!(poll!(&mut sent).is_pending());
    drop(far);
    assert_eq!(sent.await.unwrap_err().effect, Effect::Unknown);
    let later = send_request(&connection).await.unwrap_err();
    assert_eq!(later.effect, Effect::None);
}

/// A stream that counts its writes.
struct WriteCounter(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for WriteCounter {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for WriteCounter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.1.fetch_add(1, SeqCst);
        Pin::new(&mut this.0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

// tokio's multi-threaded scheduler runs a woken task directly after the task that woke it. Each of the 20 requests wakes the
// task of the connection. That task must nevertheless write several requests at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn concurrent_requests_are_sent_with_few_writes() {
    tokio::spawn(async {
        let (near, far) = tokio::io::duplex(1 << 20);
        let writes = Arc::<AtomicUsize>::default();
        let stream = StallDetectingStream::new(Box::new(WriteCounter(near, writes.clone())), None);
        let connection = Connection::open(stream, 100, Arc::default()).await.unwrap();
        let server = tokio::spawn(async move {
            let mut server: Server = server::handshake(far).await.unwrap();
            let (_, mut respond) = accept(&mut server).await;
            respond.send_response(Response::new(()), true).unwrap();
            let mut held = Vec::new();
            while held.len() < 20 {
                held.push(accept(&mut server).await);
            }
        });
        send_request(&connection).await.unwrap();
        // Waits until the settings are acknowledged.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        writes.store(0, SeqCst);
        for _ in 0..20 {
            let connection = connection.clone();
            tokio::spawn(async move { send_request(&connection).await.map(drop) });
        }
        server.await.unwrap();
        assert!(writes.load(SeqCst) <= 5, "{writes:?}");
    })
    .await
    .unwrap();
}

/// Sends requests one after the other. Drops every third request after one or two polls.
async fn send_many_requests(connection: Arc<Connection>) {
    for number in 0..600 {
        if number % 3 == 0 {
            let mut dropped = pin!(send_request(&connection));
            for _ in 0..=number % 2 {
                if poll!(&mut dropped).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        } else {
            fetch(&connection).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost_between_concurrent_requests() {
    let (connection, far) = connect().await;
    let server = tokio::spawn(answer_requests(far));
    for clients in [1, 2, 4] {
        let clients = (0..clients).map(|_| tokio::spawn(send_many_requests(connection.clone())));
        let clients = futures::future::try_join_all(clients);
        timeout(Duration::from_secs(60), clients).await.expect("a request waits forever").unwrap();
    }
    drop(connection);
    server.await.unwrap();
}
