//! The containers of kube-sim's pods. A command in a container runs on this machine. The real control plane
//! has a stand-in for the kubelet: `xtask/control-plane/go/kubelet`. The stand-in handles exec, attach and
//! logs in the same way as this module, except that exec and attach with a terminal behave differently.

use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use kube_sim::SimBuilder;
use kube_sim::containers::{AttachRequest, ContainerError, ExecRequest, LogRequest, Output, Streams};
use tokio::io::{AsyncRead, AsyncWriteExt as _, copy};
use tokio::process::Command;

/// The number of lines that each log has at the time of a request.
const LOG_LINES: usize = 4;

/// The interval at which a followed log gets a new line.
const LOG_INTERVAL: Duration = Duration::from_millis(100);

/// Sets the handlers of exec, attach and logs.
pub(crate) fn set_handlers(builder: SimBuilder) -> SimBuilder {
    builder.on_exec(exec).on_attach(attach).on_logs(|request| Ok(log_lines(&request)))
}

/// Runs a command on this machine, and returns its exit code.
async fn exec(request: ExecRequest, mut streams: Streams) -> Result<i32, ContainerError> {
    let mut command = Command::new(&request.command[0]);
    command.args(&request.command[1..]).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().map_err(|error| spawn_error(&request.command[0], &error))?;
    let (input, output, errors) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
    let send = async {
        if let Some(mut input) = input {
            // The process may end before it has read all input.
            let _ = copy(&mut streams.stdin, &mut input).await;
        }
        std::future::pending::<()>().await;
    };
    let receive = async {
        tokio::try_join!(
            forward_output(output, &mut streams.stdout),
            forward_output(errors, &mut streams.stderr)
        )?;
        process.wait().await
    };
    let status = tokio::select! {
        status = receive => status?,
        () = send => return Ok(1),
    };
    Ok(status.code().unwrap_or(1))
}

/// The error of a program that cannot be started. If the program does not exist, the message is the same as in Go.
fn spawn_error(program: &str, error: &std::io::Error) -> ContainerError {
    match error.kind() {
        ErrorKind::NotFound if program.contains('/') => {
            format!("fork/exec {program}: no such file or directory").into()
        }
        ErrorKind::NotFound => format!("exec: {program:?}: executable file not found in $PATH").into(),
        _ => format!("fork/exec {program}: {error}").into(),
    }
}

/// Copies an output of a process to the client.
async fn forward_output(from: Option<impl AsyncRead + Unpin>, to: &mut Output) -> std::io::Result<()> {
    if let Some(mut from) = from {
        copy(&mut from, to).await?;
    }
    Ok(())
}

/// Sends the client's input back to the client. If the input is empty, sends one line.
async fn attach(_: AttachRequest, mut streams: Streams) -> Result<(), ContainerError> {
    let copied = copy(&mut streams.stdin, &mut streams.stdout).await?;
    if copied == 0 {
        streams.stdout.write_all(b"attached\n").await?;
    }
    Ok(())
}

/// The lines of a log. Their texts name stdout and stderr alternately. A followed log never ends.
fn log_lines(request: &LogRequest) -> impl Stream<Item = Bytes> + Send + use<> {
    let timestamps = request.timestamps;
    let line = move |n: usize| {
        let output = if n.is_multiple_of(2) { "stdout" } else { "stderr" };
        let stamp = if timestamps {
            format!("2026-01-01T00:{:02}:{:02}.000000000Z ", n / 60 % 60, n % 60)
        } else {
            String::new()
        };
        Bytes::from(format!("{stamp}{output} {}\n", n / 2 + 1))
    };
    let tail = request.tail_lines.and_then(|lines| usize::try_from(lines).ok()).unwrap_or(LOG_LINES);
    let existing = stream::iter((LOG_LINES.saturating_sub(tail)..LOG_LINES).map(line));
    let further = stream::iter(LOG_LINES..).then(move |n| async move {
        tokio::time::sleep(LOG_INTERVAL).await;
        line(n)
    });
    existing.chain(further.take(if request.follow { usize::MAX } else { 0 }))
}
