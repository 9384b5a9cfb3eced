//! The task of a connection: reads and writes the socket, and pings a silent server.

use bytes::Bytes;
use h2::{Ping, PingPong, client::Connection};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};

use super::io::{Health, Monitored};

/// The time without data from the server after which the client sends a ping.
const SILENCE: Duration = Duration::from_secs(30);
/// The maximum time between a ping and its answer.
const PONG_TIMEOUT: Duration = Duration::from_secs(15);

/// Reads and writes the socket until the connection is closed, or the server does not answer a ping. h2 returns the
/// error of the connection to its requests.
pub(super) async fn drive(mut connection: Connection<Monitored, Bytes>, health: Arc<Health>) {
    let mut keepalive = connection.ping_pong().map(|pings| Keepalive::new(pings, health));
    poll_fn(|cx| {
        loop {
            if Pin::new(&mut connection).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match keepalive.as_mut().map(|keepalive| keepalive.poll(cx)) {
                // The connection must write the ping.
                Some(Poll::Ready(Pinged::Sent)) => {}
                Some(Poll::Ready(Pinged::Unanswered)) => return Poll::Ready(()),
                Some(Poll::Pending) | None => return Poll::Pending,
            }
        }
    })
    .await;
}

/// Pings a silent server.
struct Keepalive {
    pings: PingPong,
    health: Arc<Health>,
    timer: Pin<Box<Sleep>>,
    /// The time of the unanswered ping.
    sent: Option<Instant>,
}

/// An action of [`Keepalive`].
enum Pinged {
    /// A ping was sent.
    Sent,
    /// The server did not answer a ping in time.
    Unanswered,
}

impl Keepalive {
    fn new(pings: PingPong, health: Arc<Health>) -> Self {
        Self { pings, health, timer: Box::pin(sleep(SILENCE)), sent: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Pinged> {
        loop {
            if self.sent.is_some() && self.pings.poll_pong(cx).is_ready() {
                self.sent = None;
                self.timer.as_mut().reset(Instant::now() + SILENCE);
            }
            ready!(self.timer.as_mut().poll(cx));
            if self.sent.is_some() {
                self.health.set_unanswered(PONG_TIMEOUT);
                return Poll::Ready(Pinged::Unanswered);
            }
            let due = self.health.last_read() + SILENCE;
            if due > Instant::now() {
                self.timer.as_mut().reset(due);
                continue;
            }
            // An error means that the connection is closed, which `drive` detects.
            if self.pings.send_ping(Ping::opaque()).is_err() {
                return Poll::Pending;
            }
            let now = Instant::now();
            self.sent = Some(now);
            self.timer.as_mut().reset(now + PONG_TIMEOUT);
            return Poll::Ready(Pinged::Sent);
        }
    }
}
