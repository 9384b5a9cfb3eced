//! The WebSocket of a stream: reads and writes messages, and detects a server that no longer answers.
//!
//! The client sends a ping every [`PING_PERIOD`]. The payload of a ping is the number of messages that the
//! client has sent before this ping. The pong has the same payload, and shows that the server has read these
//! messages.
//!
//! If the server has read all messages and sends nothing for [`MAX_SILENCE`], it counts as dead. If the
//! server has not read all messages, it does not count as dead: a process may not read its input, and the
//! pings then wait behind this input. In that case, only TCP detects a broken connection.

use bytes::Bytes;
use futures::{
    FutureExt, SinkExt, Stream, StreamExt,
    future::{Either, select},
    stream::{SplitSink, SplitStream},
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message},
};

use crate::{
    client::Connection,
    error::{BoxError, Error, Result, TransportKind, Wait},
};

/// The time between two pings.
const PING_PERIOD: Duration = Duration::from_secs(15);
/// The time limit for the next message of the server. The limit applies only if the server has read all
/// messages that the client has sent.
const MAX_SILENCE: Duration = Duration::from_secs(60);
/// The time limit on reading at the end of a connection. If the server has sent the result of a process, this
/// is the maximum wait for each further message. If a write has failed, this is the total time for all
/// remaining messages.
pub(super) const END_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit on the closing handshake, whose outcome has no effect.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

type WebSocket = WebSocketStream<TokioIo<Upgraded>>;

/// The number of messages that the client has sent, and the number that the server has read.
#[derive(Default)]
struct Progress {
    sent: AtomicU64,
    read: AtomicU64,
}

/// The method and path of the request, for the errors of its stream.
#[derive(Clone, Debug)]
pub(super) struct RequestLine(Arc<str>);

impl RequestLine {
    #[cfg(any(test, fuzzing))]
    pub(super) fn of(text: &str) -> Self {
        Self(text.into())
    }

    /// The error for a connection that broke or was closed.
    pub(super) fn broken_connection_error(&self, problem: &str, source: Option<BoxError>) -> Error {
        Error::Transport {
            kind: TransportKind::Broken,
            what: format!("the WebSocket of {} {problem}", self.0),
            source,
        }
    }

    /// The error for a message that violates the protocol.
    pub(super) fn violation_error(&self, problem: impl Into<BoxError>) -> Error {
        Error::Decode { what: format!("the messages of {}", self.0), source: problem.into() }
    }

    fn websocket_error(&self, error: tungstenite::Error) -> Error {
        use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
        match error {
            tungstenite::Error::Protocol(ResetWithoutClosingHandshake) | tungstenite::Error::Io(_) => {
                self.broken_connection_error("broke", Some(error.into()))
            }
            _ => self.violation_error(error),
        }
    }
}

/// A message of the server, or the end of the WebSocket.
pub(super) enum ReceivedMessage {
    Message(Bytes),
    /// The server has closed the WebSocket, with this reason.
    Closed(Option<String>),
}

/// An action of the writing half.
enum Step {
    Message(Bytes),
    Ping,
    /// The messages have ended.
    End,
}

/// The reading half of the WebSocket.
pub(super) struct Reader {
    stream: SplitStream<WebSocket>,
    progress: Arc<Progress>,
    pub(super) request_line: RequestLine,
}

/// The writing half of the WebSocket.
pub(super) struct Writer {
    sink: SplitSink<WebSocket, Message>,
    progress: Arc<Progress>,
    request_line: RequestLine,
}

pub(super) fn split_connection(connection: Connection) -> (Reader, Writer) {
    let request_line = RequestLine(connection.request_line().into());
    let (sink, stream) = connection.into_stream().split();
    let progress = Arc::<Progress>::default();
    let reader = Reader { stream, progress: progress.clone(), request_line: request_line.clone() };
    (reader, Writer { sink, progress, request_line })
}

impl Reader {
    /// The next message, or the end of the WebSocket.
    pub(super) async fn next(&mut self) -> Result<ReceivedMessage> {
        loop {
            let Ok(message) = timeout(MAX_SILENCE, self.stream.next()).await else {
                if self.progress.read.load(Relaxed) < self.progress.sent.load(Relaxed) {
                    continue;
                }
                return Err(Error::Timeout {
                    wait: Wait::Ping,
                    after: MAX_SILENCE,
                    what: self.request_line.0.to_string(),
                });
            };
            match message {
                Some(Ok(Message::Binary(bytes))) => return Ok(ReceivedMessage::Message(bytes)),
                Some(Ok(Message::Text(_))) => {
                    return Err(self.request_line.violation_error("the server sent a text message"));
                }
                Some(Ok(Message::Pong(payload))) => {
                    let number = <[u8; 8]>::try_from(&payload[..]).map(u64::from_be_bytes);
                    self.progress.read.fetch_max(number.unwrap_or_default(), Relaxed);
                }
                Some(Ok(Message::Close(frame))) => {
                    let text = frame.map(|frame| format!("{} {}", frame.code, frame.reason));
                    return Ok(ReceivedMessage::Closed(text));
                }
                // tungstenite answers pings.
                Some(Ok(Message::Ping(_) | Message::Frame(_))) => {}
                None
                | Some(Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed)) => {
                    return Ok(ReceivedMessage::Closed(None));
                }
                Some(Err(error)) => return Err(self.request_line.websocket_error(error)),
            }
        }
    }
}

impl Writer {
    /// Writes messages and pings until the messages end.
    async fn write(&mut self, messages: impl Stream<Item = Bytes>) -> Result<()> {
        let mut messages = pin!(messages);
        let mut pings = interval_at(Instant::now() + PING_PERIOD, PING_PERIOD);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = poll_fn(|cx| match messages.as_mut().poll_next(cx) {
                Poll::Ready(message) => Poll::Ready(message.map_or(Step::End, Step::Message)),
                Poll::Pending => pings.poll_tick(cx).map(|_| Step::Ping),
            })
            .await;
            match self.execute_steps(next, messages.as_mut()).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => return Err(self.request_line.websocket_error(error)),
            }
        }
    }

    /// Executes the step `first`. If this step is a message, then writes all further messages that are ready. Flushes the
    /// WebSocket. Returns whether the messages have ended.
    async fn execute_steps(
        &mut self,
        first: Step,
        mut messages: Pin<&mut impl Stream<Item = Bytes>>,
    ) -> Result<bool, tungstenite::Error> {
        let mut next = Some(first);
        let mut has_ended = false;
        while let Some(step) = next.take() {
            match step {
                Step::Message(message) => {
                    self.progress.sent.fetch_add(1, Relaxed);
                    self.sink.feed(Message::Binary(message)).await?;
                    next = messages
                        .next()
                        .now_or_never()
                        .map(|message| message.map_or(Step::End, Step::Message));
                }
                Step::Ping => {
                    let number = self.progress.sent.load(Relaxed).to_be_bytes();
                    self.sink.feed(Message::Ping(Bytes::copy_from_slice(&number))).await?;
                }
                Step::End => has_ended = true,
            }
        }
        self.sink.flush().await?;
        Ok(has_ended)
    }

    /// Runs `read` and writes `messages` concurrently, until `read` completes or the messages end. After a failed write,
    /// `read` may continue for [`END_TIMEOUT`]: the server may have sent the result before it closed the connection.
    pub(super) async fn run(
        mut self,
        read: impl Future<Output = Result<()>>,
        messages: impl Stream<Item = Bytes>,
    ) -> Result<()> {
        let read = pin!(read);
        let result = match select(read, pin!(self.write(messages))).await {
            Either::Left((result, _)) | Either::Right((result @ Ok(()), _)) => result,
            Either::Right((Err(error), read)) => timeout(END_TIMEOUT, read).await.unwrap_or(Err(error)),
        };
        if result.is_ok() {
            let _ = timeout(CLOSE_TIMEOUT, self.sink.close()).await;
        }
        result
    }
}

/// The task of a connection. Dropping this value aborts the task.
#[derive(Debug)]
pub(super) struct ConnectionTask(JoinHandle<Result<()>>);

impl ConnectionTask {
    pub(super) fn spawn(connection: impl Future<Output = Result<()>> + Send + 'static) -> Self {
        Self(tokio::spawn(connection))
    }

    pub(super) fn abort(&self) {
        self.0.abort();
    }
}

impl Future for ConnectionTask {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll(cx).map(|ended| {
            ended.unwrap_or_else(|error| {
                let what = "the task of the stream did not complete: it was aborted".to_owned();
                Err(Error::Request { what, source: Some(error.into()) })
            })
        })
    }
}

impl Drop for ConnectionTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
