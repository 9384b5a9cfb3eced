//! `AttachedProcess`: a connection to a process in a container, over `v5.channel.k8s.io` or `v4.channel.k8s.io`.
//!
//! The first byte of a message is its channel. After the end of a process, the server sends its result: a `Status` on
//! the error channel.

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, channel::mpsc, stream::poll_fn};
use serde::{Deserialize, Serialize};
use std::{future::Future, task::Poll};
use tokio::{sync::oneshot, time::timeout};

use super::{
    inbound::{Failure, ProcessOutput, Sender, inbound_buffer},
    outbound::{ProcessInput, Receiver, outbound_buffer},
    socket::{ConnectionTask, END_TIMEOUT, Reader, ReceivedMessage, RequestLine, split_connection},
};
use crate::{
    client::Connection,
    core::{AttachParams, Status},
    error::{Error, Result},
};

/// The default of [`AttachParams::max_stdin_buf_size`].
const DEFAULT_INPUT_BYTES: usize = 128 << 10;
/// The default of [`AttachParams::max_stdout_buf_size`].
const DEFAULT_OUTPUT_BYTES: usize = 256 << 10;
/// The maximum size in bytes of the `Status` of a process.
const MAX_STATUS_BYTES: usize = 1 << 20;
/// The maximum number of queued changes of the terminal's size.
const MAX_QUEUED_SIZES: usize = 8;

/// The numbers of the channels: the first byte of a message.
mod channel {
    pub(super) const STDIN: u8 = 0;
    pub(super) const STDOUT: u8 = 1;
    pub(super) const STDERR: u8 = 2;
    pub(super) const ERROR: u8 = 3;
    pub(super) const RESIZE: u8 = 4;
    /// The channel of a message that closes another channel (v5). The number of the other channel is the next byte.
    pub(super) const CLOSE: u8 = 255;
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminalSize {
    /// The number of columns.
    pub width: u16,
    /// The number of rows.
    pub height: u16,
}

/// Sends changes of a terminal's size to its process.
pub type TerminalSizeSender = mpsc::Sender<TerminalSize>;

/// A connection to a process in a container. [`Api::exec`](crate::Api::exec) and [`Api::attach`](crate::Api::attach)
/// return an `AttachedProcess`.
///
/// One task reads and writes the connection. Dropping this value ends the task and closes the connection: streams that
/// were taken from this value then fail. The container runtime decides whether the process continues.
///
/// # Back-pressure
/// Each stream has its own buffer (see [`AttachParams`]). Both outputs share one connection. While the buffer of one
/// output is full, the connection is not read, and the process waits. A program that requests both outputs must therefore
/// read both concurrently. The client sends the input even while it does not read the connection. The bytes
/// of a dropped output are discarded.
#[derive(Debug)]
pub struct AttachedProcess {
    stdin: Option<ProcessInput>,
    stdout: Option<ProcessOutput>,
    stderr: Option<ProcessOutput>,
    status: Option<oneshot::Receiver<Status>>,
    sizes: Option<TerminalSizeSender>,
    task: ConnectionTask,
}

impl AttachedProcess {
    pub(crate) fn new(connection: Connection, ap: &AttachParams) -> Self {
        let can_close = connection.supports_stream_close();
        let unclosable = (!can_close).then_some(
            "v4.channel.k8s.io, the protocol of servers before Kubernetes 1.30, cannot close the standard input",
        );
        let (input, from_program) = ap
            .stdin
            .then(|| outbound_buffer(ap.max_stdin_buf_size.unwrap_or(DEFAULT_INPUT_BYTES), 1, unclosable))
            .unzip();
        let output = |size: Option<usize>| inbound_buffer(size.unwrap_or(DEFAULT_OUTPUT_BYTES));
        let (to_stdout, stdout) = ap.stdout.then(|| output(ap.max_stdout_buf_size)).unzip();
        let (to_stderr, stderr) = ap.stderr.then(|| output(ap.max_stderr_buf_size)).unzip();
        let (to_status, status) = oneshot::channel();
        let (sizes, new_sizes) = ap.tty.then(|| mpsc::channel(MAX_QUEUED_SIZES)).unzip();

        let (mut reader, writer) = split_connection(connection);
        let mut outputs = Outputs { stdout: to_stdout, stderr: to_stderr, status: Some(to_status) };
        let messages = outgoing_messages(from_program, new_sizes, can_close);
        let task = ConnectionTask::spawn(async move {
            let result = writer.run(outputs.read_messages(&mut reader), messages).await;
            outputs.end(&result.as_ref().copied().map_err(Failure::of));
            result
        });
        Self { stdin: input, stdout, stderr, status: Some(status), sizes, task }
    }

    /// Takes the standard input. `None` if it was not requested, or was taken before.
    pub fn stdin(&mut self) -> Option<ProcessInput> {
        self.stdin.take()
    }

    /// Takes the standard output. `None` if it was not requested, or was taken before. If the standard error is also
    /// requested, read both concurrently.
    pub fn stdout(&mut self) -> Option<ProcessOutput> {
        self.stdout.take()
    }

    /// Takes the standard error. `None` if it was not requested, or was taken before.
    pub fn stderr(&mut self) -> Option<ProcessOutput> {
        self.stderr.take()
    }

    /// Takes a future that returns the result of the process; `None` if the future was taken before.
    /// [`Status::exit_code`] is the exit code. The future returns `None` if the connection ends before the server has sent
    /// the result: [`join`](Self::join) returns the reason.
    pub fn take_status(&mut self) -> Option<impl Future<Output = Option<Status>> + Send + use<>> {
        let status = self.status.take()?;
        Some(async { status.await.ok() })
    }

    /// Takes the sender for the terminal's size. `None` without [`AttachParams::tty`], or if it was taken before.
    pub fn terminal_size(&mut self) -> Option<TerminalSizeSender> {
        self.sizes.take()
    }

    /// Ends the connection immediately. Streams that the program has taken from this value fail.
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Waits for the end of the process and of its connection. Discards outputs that were not taken. Closes a standard
    /// input that was not taken, except with `v4.channel.k8s.io`, which has no message for this.
    ///
    /// # Errors
    /// If the connection fails or was aborted before the server has sent the result of the process. [`Error::Api`] if
    /// the command could not run or has failed, unless [`take_status`](Self::take_status) has taken the result.
    ///
    /// If the connection between the API server and the kubelet ends without a result, for example because the kubelet
    /// restarts, API servers send the result of a successful process (kubernetes/kubernetes#137404). A client cannot
    /// distinguish this case from a process that has succeeded.
    ///
    /// # Cancel safety
    /// Cancelling closes the connection, as dropping this value does.
    pub async fn join(mut self) -> Result<()> {
        drop((self.stdin.take(), self.stdout.take(), self.stderr.take(), self.sizes.take()));
        (&mut self.task).await?;
        match self.status.take() {
            Some(status) => match status.await {
                Ok(status) if status.is_failure() => Err(Error::Api(status.boxed())),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }
}

/// The messages to the server: sizes of the terminal, the bytes of the standard input, and the end of this input.
fn outgoing_messages(
    mut stdin: Option<Receiver>,
    mut sizes: Option<mpsc::Receiver<TerminalSize>>,
    can_close: bool,
) -> impl Stream<Item = Bytes> {
    poll_fn(move |cx| {
        if let Some(receiver) = &mut sizes {
            match std::pin::Pin::new(receiver).poll_next(cx) {
                Poll::Ready(Some(size)) => return Poll::Ready(Some(size_message(size))),
                Poll::Ready(None) => sizes = None,
                Poll::Pending => {}
            }
        }
        if let Some(receiver) = &mut stdin {
            match receiver.poll_next(cx) {
                Poll::Ready(Some(mut message)) => {
                    message[0] = channel::STDIN;
                    return Poll::Ready(Some(message.freeze()));
                }
                Poll::Ready(None) if can_close => {
                    stdin = None;
                    return Poll::Ready(Some(Bytes::from_static(&[channel::CLOSE, channel::STDIN])));
                }
                Poll::Ready(None) => stdin = None,
                Poll::Pending => {}
            }
        }
        // This stream must not end: at its end, the writer would close the connection while the process still
        // runs. The server closes the connection.
        Poll::Pending
    })
}

fn size_message(size: TerminalSize) -> Bytes {
    let mut message = vec![channel::RESIZE];
    // Cannot fail: two numbers can be serialized, and a vector accepts all bytes.
    let _ = serde_json::to_writer(&mut message, &size);
    message.into()
}

/// Passes the outputs and the result of a process to the program. An output is `None` if it was not requested or has
/// ended; `status` is `None` after the result.
struct Outputs {
    stdout: Option<Sender>,
    stderr: Option<Sender>,
    status: Option<oneshot::Sender<Status>>,
}

impl Outputs {
    /// Reads messages until the server has sent the result of the process. Then reads the rest of the outputs.
    async fn read_messages(&mut self, reader: &mut Reader) -> Result<()> {
        let mut status_text = BytesMut::new();
        while self.status.is_some() {
            let message = match reader.next().await? {
                ReceivedMessage::Message(message) => message,
                ReceivedMessage::Closed(reason) => {
                    return Err(closed_early_error(&reader.request_line, reason, &status_text));
                }
            };
            self.deliver_message(&reader.request_line, &mut status_text, message).await?;
        }
        // The server copies each output independently of the result, so bytes of an output may arrive after the result.
        while let Ok(Ok(ReceivedMessage::Message(message))) = timeout(END_TIMEOUT, reader.next()).await {
            self.deliver_output(&reader.request_line, message).await?;
        }
        Ok(())
    }

    /// Handles a message of the server. A message on [`channel::ERROR`] contains a part of the process's
    /// result: appends this part to `status_text`. Passes any other message to
    /// [`deliver_output`](Self::deliver_output).
    async fn deliver_message(
        &mut self,
        request_line: &RequestLine,
        status_text: &mut BytesMut,
        message: Bytes,
    ) -> Result<()> {
        if message.first() == Some(&channel::ERROR) {
            self.append_status(request_line, status_text, &message[1..])
        } else {
            self.deliver_output(request_line, message).await
        }
    }

    /// Appends a part of the result to `text`. After the last part, passes the result to the program.
    fn append_status(&mut self, request_line: &RequestLine, text: &mut BytesMut, part: &[u8]) -> Result<()> {
        if text.len() + part.len() > MAX_STATUS_BYTES {
            let problem = format!("the status is larger than {MAX_STATUS_BYTES} bytes");
            return Err(request_line.violation_error(problem));
        }
        text.extend_from_slice(part);
        if text.is_empty() {
            return Ok(());
        }
        match serde_json::from_slice::<Status>(text) {
            Ok(status) => {
                if let Some(sender) = self.status.take() {
                    let _ = sender.send(status);
                }
                Ok(())
            }
            Err(error) if error.is_eof() => Ok(()),
            Err(error) => {
                let excerpt: String = String::from_utf8_lossy(text).chars().take(200).collect();
                Err(request_line.violation_error(format!("the status is not JSON ({error}): {excerpt:?}")))
            }
        }
    }

    /// Passes a message to its output, or ends the output that the message closes.
    async fn deliver_output(&mut self, request_line: &RequestLine, mut message: Bytes) -> Result<()> {
        if message.is_empty() {
            return Ok(());
        }
        match message.get_u8() {
            channel::STDOUT => send_if_open(self.stdout.as_ref(), message).await,
            channel::STDERR => send_if_open(self.stderr.as_ref(), message).await,
            channel::CLOSE => match message.first() {
                Some(&channel::STDOUT) => end_if_open(self.stdout.take()),
                Some(&channel::STDERR) => end_if_open(self.stderr.take()),
                _ => {}
            },
            // Servers open a channel with an empty message.
            channel::STDIN | channel::ERROR | channel::RESIZE if message.is_empty() => {}
            other => {
                return Err(
                    request_line.violation_error(format!("the server sent a message on channel {other}"))
                );
            }
        }
        Ok(())
    }

    /// Ends the outputs.
    fn end(&self, result: &Result<(), Failure>) {
        for output in [&self.stdout, &self.stderr].into_iter().flatten() {
            output.end(result.clone());
        }
    }
}

async fn send_if_open(output: Option<&Sender>, bytes: Bytes) {
    if let Some(output) = output {
        output.send(bytes).await;
    }
}

fn end_if_open(output: Option<Sender>) {
    if let Some(output) = output {
        output.end(Ok(()));
    }
}

/// The error for a connection that the server closes before it has sent the whole result.
fn closed_early_error(request_line: &RequestLine, reason: Option<String>, text: &[u8]) -> Error {
    let part = if text.is_empty() { "without the" } else { "after a part of the" };
    let problem = format!("was closed by the server {part} result of the process");
    request_line.broken_connection_error(&problem, reason.map(Into::into))
}

/// The bytes that a client reads from the stdout of a process if the server sends these messages. Fuzz
/// targets use this function.
#[cfg(any(test, fuzzing))]
pub(crate) fn stdout_of(messages: impl IntoIterator<Item = Bytes>) -> Vec<u8> {
    use futures::FutureExt;
    use tokio::io::AsyncReadExt;

    let (stdout, mut output) = inbound_buffer(usize::MAX);
    let (status, _result) = oneshot::channel();
    let mut outputs = Outputs { stdout: Some(stdout), stderr: None, status: Some(status) };
    let (request_line, mut status_text) = (RequestLine::of("GET /exec"), BytesMut::new());
    for message in messages {
        // `deliver_message` never waits, because the buffer is never full.
        let received = outputs.deliver_message(&request_line, &mut status_text, message).now_or_never();
        if !matches!(received, Some(Ok(()))) || outputs.status.is_none() {
            break;
        }
    }
    drop(outputs);
    let mut bytes = Vec::new();
    let _ = output.read_to_end(&mut bytes).now_or_never();
    bytes
}
