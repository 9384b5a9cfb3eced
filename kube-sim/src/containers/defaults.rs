//! The default handlers. Each applies to its kind of request if the test sets no handler for this kind.
//!
//! - exec: the commands `echo`, `cat` (only without a file: copies its input), `true`, `false` and `sleep`, and `sh -c
//!   SCRIPT` or `bash -c SCRIPT`. A script can contain these five commands, `exec`, `exit`, `;`, `&&`, newlines, quotes
//!   and `>&2`. Other commands do not exist.
//! - attach: copies the input to the output. If the input is empty, prints the generated lines of the log.
//! - logs: three generated lines. Even with `follow`, the log ends after these lines.
//! - port-forward: each port echoes the bytes that it receives.
//!
//! The handler of a test can call a default handler:
//!
//! ```
//! use kube_sim::Sim;
//! use kube_sim::containers::defaults;
//!
//! let sim = Sim::builder()
//!     .on_port_forward(|request, connection| async move {
//!         match request.port {
//!             80 => defaults::port_forward(connection).await,
//!             port => Err(format!("connection to port {port} refused").into()),
//!         }
//!     })
//!     .build();
//! ```

use std::fmt::Write as _;

use bytes::Bytes;
use futures::Stream;
use tokio::io::{AsyncWriteExt as _, copy, split};

use super::{AttachRequest, ContainerError, ExecRequest, LogRequest, PortConnection, Streams, shell};

/// Runs a command, and returns its exit code.
///
/// # Errors
/// When the command does not exist, or when the client has closed the connection.
pub async fn exec(request: ExecRequest, streams: Streams) -> Result<i32, ContainerError> {
    shell::run(&request.command, streams).await
}

/// Copies the input to the output. If the input is empty, prints the generated log.
///
/// # Errors
/// When the client has closed the connection.
pub async fn attach(request: AttachRequest, mut streams: Streams) -> Result<(), ContainerError> {
    let copied = copy(&mut streams.stdin, &mut streams.stdout).await?;
    if copied == 0 {
        streams.stdout.write_all(log_text(&request.container, &request.pod, "", None).as_bytes()).await?;
    }
    Ok(())
}

/// Returns a log of three generated lines, or the last `tail_lines` of them. If `timestamps` is set, each line begins
/// with the `creationTimestamp` of the pod.
pub fn logs(request: &LogRequest) -> impl Stream<Item = Bytes> + Send + 'static {
    let stamp = if request.timestamps { format!("{} ", request.created) } else { String::new() };
    let text = log_text(&request.container, &request.pod, &stamp, request.tail_lines);
    futures::stream::iter([Bytes::from(text)])
}

/// Echoes the received bytes until the client ends its output.
///
/// # Errors
/// When the client has closed the connection.
pub async fn port_forward(connection: PortConnection) -> Result<(), ContainerError> {
    let (mut from, mut to) = split(connection);
    copy(&mut from, &mut to).await?;
    to.shutdown().await?;
    Ok(())
}

/// Returns the last `tail` generated lines, or all lines if `tail` is `None`. Each line begins with `stamp`.
fn log_text(container: &str, pod: &str, stamp: &str, tail: Option<u64>) -> String {
    let lines = [format!("{container} of {pod} started"), "listening on :8080".into(), "ready".into()];
    let tail = tail.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let mut text = String::new();
    for line in &lines[lines.len().saturating_sub(tail)..] {
        let _ = writeln!(text, "{stamp}{line}");
    }
    text
}
