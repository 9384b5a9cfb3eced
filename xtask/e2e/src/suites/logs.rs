//! Logs of containers: read as text, read as a stream, and limited to stdout or stderr.

use futures::{AsyncBufReadExt, TryStreamExt};
use kube_client::api::{LogParams, LogStream};

use super::running_pod::create_running_pod;
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};

suite!("logs":
    logs_are_read_as_text [Processes],
    logs_of_the_selected_outputs_are_read [Processes],
    followed_logs_continue_with_new_lines [Processes],
);

async fn logs_are_read_as_text(env: Env) -> Outcome {
    let pods = create_running_pod(&env).await?;
    let logs = pods.logs("web", &LogParams::default()).await?;
    check_eq!(logs, "stdout 1\nstderr 1\nstdout 2\nstderr 2\n");
    let tail = LogParams { tail_lines: Some(1), timestamps: true, ..LogParams::default() };
    let logs = pods.logs("web", &tail).await?;
    check!(logs.starts_with("20") && logs.ends_with("Z stderr 2\n") && logs.lines().count() == 1, "{logs}");
    check!(refused!(pods.logs("missing", &LogParams::default()).await).is_not_found());
    let wrong = LogParams { container: Some("missing".to_owned()), ..LogParams::default() };
    check!(refused!(pods.logs("web", &wrong).await).is_bad_request());
    Ok(())
}

async fn logs_of_the_selected_outputs_are_read(env: Env) -> Outcome {
    let pods = create_running_pod(&env).await?;
    for (stream, expected) in [
        (LogStream::Stdout, "stdout 1\nstdout 2\n"),
        (LogStream::Stderr, "stderr 1\nstderr 2\n"),
        (LogStream::All, "stdout 1\nstderr 1\nstdout 2\nstderr 2\n"),
    ] {
        let lp = LogParams { stream: Some(stream), ..LogParams::default() };
        check_eq!(pods.logs("web", &lp).await?, expected);
    }
    Ok(())
}

async fn followed_logs_continue_with_new_lines(env: Env) -> Outcome {
    let pods = create_running_pod(&env).await?;
    let lp = LogParams { follow: true, stream: Some(LogStream::Stdout), ..LogParams::default() };
    let mut lines = pods.log_stream("web", &lp).await?.lines();
    // The first two lines exist already. The container writes the lines 3 and 4 later.
    for n in 1..=4 {
        check_eq!(lines.try_next().await?, Some(format!("stdout {n}")));
    }
    drop(lines);
    let lp = LogParams::default();
    let lines: Vec<String> = pods.log_stream("web", &lp).await?.lines().try_collect().await?;
    check_eq!(lines.len(), 4);
    Ok(())
}
