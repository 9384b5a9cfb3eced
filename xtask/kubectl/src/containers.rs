//! The containers of kube-sim's pods. They behave like the stand-in for the kubelet of the real control plane
//! (`xtask/control-plane/go/kubelet`): commands run on this machine.

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
const LINES: usize = 4;

/// The interval between two further lines of a followed log.
const LOG_INTERVAL: Duration = Duration::from_millis(100);

/// Sets the handlers of exec, attach and logs.
pub(crate) fn answer(builder: SimBuilder) -> SimBuilder {
    builder.on_exec(exec).on_attach(attach).on_logs(|request| Ok(log(&request)))
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
        tokio::try_join!(forward(output, &mut streams.stdout), forward(errors, &mut streams.stderr))?;
        process.wait().await
    };
    let status = tokio::select! {
        status = receive => status?,
        () = send => return Ok(1),
    };
    Ok(status.code().unwrap_or(1))
}

/// The error of Go for a program that cannot be started.
fn spawn_error(program: &str, error: &std::io::Error) -> ContainerError {
    match error.kind() {
        ErrorKind::NotFound if program.contains('/') => {
            format!("fork/exec {program}: no such file or directory").into()
        }
        ErrorKind::NotFound => format!("exec: {program:?}: executable file not found in $PATH").into(),
        _ => format!("fork/exec {program}: {error}").into(),
    }
}

/// Copies an output of the process to the client.
async fn forward(from: Option<impl AsyncRead + Unpin>, to: &mut Output) -> std::io::Result<()> {
    if let Some(mut from) = from {
        copy(&mut from, to).await?;
    }
    Ok(())
}

/// Sends the input back; without input, writes one line.
async fn attach(_: AttachRequest, mut streams: Streams) -> Result<(), ContainerError> {
    let copied = copy(&mut streams.stdin, &mut streams.stdout).await?;
    if copied == 0 {
        streams.stdout.write_all(b"attached\n").await?;
    }
    Ok(())
}

/// The lines of a log, which alternate between stdout and stderr. A followed log never ends.
fn log(request: &LogRequest) -> impl Stream<Item = Bytes> + Send + use<> {
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
    let tail = request.tail_lines.and_then(|lines| usize::try_from(lines).ok()).unwrap_or(LINES);
    let existing = stream::iter((LINES.saturating_sub(tail)..LINES).map(line));
    let further = stream::iter(LINES..).then(move |n| async move {
        tokio::time::sleep(LOG_INTERVAL).await;
        line(n)
    });
    existing.chain(further.take(if request.follow { usize::MAX } else { 0 }))
}
