//! Tests of the keepalive with a paused clock, over a stream in memory.

use http::{Request, Response, Uri};
use std::time::Duration;
use tokio::{
    io::DuplexStream,
    time::{Instant, sleep, timeout},
};

use super::{Connection, Effect, SendFailure};
use crate::client::{body::Body, transport::stall::Stream};

/// A connection, and the other end of its stream.
async fn connect() -> (std::sync::Arc<Connection>, DuplexStream) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let stream = Stream::new(Box::new(near), None);
    (Connection::open(stream, 100, std::sync::Arc::default()).await.unwrap(), far)
}

async fn send(connection: &std::sync::Arc<Connection>) -> Result<Response<Body>, SendFailure> {
    let request = Request::get("/x").body(Body::empty()).unwrap();
    let lease = connection.lease();
    let sender = lease.ready().await?;
    lease.send(sender, &Uri::from_static("https://h/x"), request).await
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_that_answers_no_ping_fails_its_requests() {
    let (connection, _far) = connect().await;
    let started = Instant::now();
    let failure = timeout(Duration::from_secs(300), send(&connection)).await.unwrap().unwrap_err();
    assert_eq!(started.elapsed().as_secs(), 45);
    assert_eq!(failure.effect, Effect::Unknown);
    assert_eq!(failure.error.to_string(), "the server did not answer an HTTP/2 ping for 15s");
    assert!(!connection.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_that_answers_pings_keeps_its_requests() {
    let (connection, far) = connect().await;
    let server = tokio::spawn(async move {
        let mut server = h2::server::handshake(far).await.unwrap();
        let (_, mut respond) = server.accept().await.unwrap().unwrap();
        tokio::spawn(async move {
            sleep(Duration::from_secs(600)).await;
            respond.send_response(Response::new(()), true).unwrap();
        });
        // Answers pings.
        let _ = server.accept().await;
    });
    send(&connection).await.unwrap();
    assert!(connection.is_open());
    drop(connection);
    server.await.unwrap();
}

#[tokio::test]
async fn the_leases_count_the_streams() {
    let (connection, _far) = connect().await;
    assert!(connection.idle_since().is_some());
    let leases = [connection.lease(), connection.lease()];
    assert_eq!((connection.streams(), connection.idle_since()), (2, None));
    drop(leases);
    assert_eq!(connection.streams(), 0);
    assert!(connection.idle_since().is_some());
}
