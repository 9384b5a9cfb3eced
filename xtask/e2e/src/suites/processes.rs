//! Processes in containers: exec and attach. Two cases use the older WebSocket subprotocol `v4.channel.k8s.io`.

use anyhow::Context;
use futures::SinkExt;
use k8s_openapi::api::core::v1::Pod;
use kube_client::Api;
use kube_client::api::{AttachParams, PostParams, TerminalSize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::running_pod::{api_with_old_protocol, create_running_pod, read_text, wait_with_output};
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::object_from_json;

suite!("processes":
    a_command_has_two_outputs_and_an_exit_code [Processes],
    a_command_that_cannot_run_has_no_exit_code [Processes],
    a_command_reads_its_input_to_the_end [Processes],
    large_inputs_and_outputs_arrive_in_order [Processes],
    a_terminal_has_the_size_that_the_client_sends [Processes],
    streams_fail_after_an_abort [Processes],
    a_command_runs_over_the_subprotocol_v4 [Processes],
    an_attached_process_echoes_its_input [Processes],
    a_missing_or_ambiguous_container_is_refused [Processes],
);

/// The parameters of a command with an input.
fn params_with_input() -> AttachParams {
    AttachParams::default().stdin(true)
}

async fn a_command_has_two_outputs_and_an_exit_code(env: Env) -> Outcome {
    let pods = create_running_pod(&env).await?;
    let script = ["sh", "-c", "echo out; echo err >&2; exit 3"];
    let (stdout, stderr, status) =
        wait_with_output(pods.exec("web", script, &AttachParams::default()).await?).await?;
    check_eq!((stdout.as_str(), stderr.as_str()), ("out\n", "err\n"));
    check_eq!(status.exit_code(), Some(3));
    // If the caller does not take the failure status, `join` returns the status as an error.
    let failed = pods.exec("web", script, &AttachParams::default()).await?.join().await;
    match refused!(failed) {
        kube_client::Error::Api(status) => check_eq!(status.exit_code(), Some(3)),
        other => check!(false, "{other:?}"),
    }
    // The process receives the arguments unchanged, because no shell expands them.
    let arguments = ["printf", "%s|", "a b", "$HOME", "ä&=+%", ""];
    let process = pods.exec("web", arguments, &AttachParams::default().stderr(false)).await?;
    let mut process = process;
    check_eq!(read_text(process.stdout()).await?, "a b|$HOME|ä&=+%||");
    process.join().await?;
    Ok(())
}

async fn a_command_that_cannot_run_has_no_exit_code(env: Env) -> Outcome {
    let pods = create_running_pod(&env).await?;
    let process = pods.exec("web", ["/no/such/program"], &AttachParams::default()).await?;
    let (stdout, _, status) = wait_with_output(process).await?;
    check_eq!((stdout.as_str(), status.exit_code()), ("", None));
    check!(status.is_failure() && status.message.contains("/no/such/program"), "{status:?}");
    Ok(())
}

async fn a_command_reads_its_input_to_the_end(env: Env) -> Outcome {
    let pods = create_running_pod(&env).await?;
    let mut process = pods.exec("web", ["sh", "-c", "cat; echo end; exit 4"], &params_with_input()).await?;
    let mut input = process.stdin().context("stdin")?;
    input.write_all(b"one\n").await?;
    input.flush().await?;
    let mut output = BufReader::new(process.stdout().context("stdout")?).lines();
    check_eq!(output.next_line().await?.as_deref(), Some("one"));
    // The command continues after the end of its input.
    input.shutdown().await?;
    check_eq!(output.next_line().await?.as_deref(), Some("end"));
    check_eq!(output.next_line().await?, None);
    let status = process.take_status().context("status")?;
    process.join().await?;
    check_eq!(status.await.and_then(|status| status.exit_code()), Some(4));
    Ok(())
}

async fn large_inputs_and_outputs_arrive_in_order(env: Env) -> Outcome {
    const BYTES: usize = 4 << 20;
    let pods = create_running_pod(&env).await?;
    let mut process = pods.exec("web", ["sh", "-c", "tee /dev/stderr"], &params_with_input()).await?;
    let sent: Vec<u8> = (0..BYTES / 8).flat_map(|n| (n as u64).to_le_bytes()).collect();
    let mut input = process.stdin().context("stdin")?;
    let (mut output, mut error) = (process.stdout().context("stdout")?, process.stderr().context("stderr")?);
    let (mut copy, mut second_copy) = (Vec::new(), Vec::new());
    let write = async {
        input.write_all(&sent).await?;
        input.shutdown().await
    };
    tokio::try_join!(write, output.read_to_end(&mut copy), error.read_to_end(&mut second_copy))?;
    check!(copy == sent && second_copy == sent, "{} and {} bytes", copy.len(), second_copy.len());
    process.join().await?;
    Ok(())
}

async fn a_terminal_has_the_size_that_the_client_sends(env: Env) -> Outcome {
    let pods = create_running_pod(&env).await?;
    let mut process = pods.exec("web", ["cat"], &AttachParams::interactive_tty()).await?;
    check!(process.stderr().is_none(), "a terminal has one output");
    let mut sizes = process.terminal_size().context("terminal size")?;
    let mut output = BufReader::new(process.stdout().context("stdout")?).lines();
    for (width, height) in [(80, 24), (200, 50)] {
        sizes.send(TerminalSize { width, height }).await?;
        check_eq!(output.next_line().await?, Some(format!("{width}x{height}")));
    }
    let mut input = process.stdin().context("stdin")?;
    input.write_all(b"line\n").await?;
    check_eq!(output.next_line().await?.as_deref(), Some("line"));
    input.shutdown().await?;
    check_eq!(output.next_line().await?, None);
    process.join().await?;
    Ok(())
}

async fn streams_fail_after_an_abort(env: Env) -> Outcome {
    let pods = create_running_pod(&env).await?;
    let mut process = pods.exec("web", ["cat"], &params_with_input()).await?;
    let (mut output, mut input) = (process.stdout().context("stdout")?, process.stdin().context("stdin")?);
    process.abort();
    check!(output.read_u8().await.is_err_and(|error| error.kind() != std::io::ErrorKind::UnexpectedEof));
    check!(process.join().await.is_err());
    check!(input.write_all(b"late").await.is_err());
    Ok(())
}

async fn a_command_runs_over_the_subprotocol_v4(env: Env) -> Outcome {
    create_running_pod(&env).await?;
    let pods = api_with_old_protocol(&env)?;
    let mut process =
        pods.exec("web", ["sh", "-c", "read line; echo $line; exit 5"], &params_with_input()).await?;
    let mut input = process.stdin().context("stdin")?;
    input.write_all(b"hello\n").await?;
    check_eq!(read_text(process.stdout()).await?, "hello\n");
    // This protocol has no message for the end of the input.
    check!(input.shutdown().await.is_err_and(|error| error.kind() == std::io::ErrorKind::Unsupported));
    let status = process.take_status().context("status")?;
    process.join().await?;
    check_eq!(status.await.and_then(|status| status.exit_code()), Some(5));
    Ok(())
}

async fn an_attached_process_echoes_its_input(env: Env) -> Outcome {
    let new = create_running_pod(&env).await?;
    for (pods, can_close) in [(new, true), (api_with_old_protocol(&env)?, false)] {
        let mut process = pods.attach("web", &params_with_input()).await?;
        let mut input = process.stdin().context("stdin")?;
        input.write_all(b"hello\n").await?;
        input.flush().await?;
        let mut output = BufReader::new(process.stdout().context("stdout")?).lines();
        check_eq!(output.next_line().await?.as_deref(), Some("hello"));
        if can_close {
            input.shutdown().await?;
            check_eq!(output.next_line().await?, None);
            process.join().await?;
        }
    }
    Ok(())
}

async fn a_missing_or_ambiguous_container_is_refused(env: Env) -> Outcome {
    let pods = create_running_pod(&env).await?;
    let ap = AttachParams::default();
    check!(refused!(pods.exec("missing", ["true"], &ap).await).is_not_found());
    check!(refused!(pods.attach("missing", &ap).await).is_not_found());
    let wrong = ap.clone().container("missing");
    check!(refused!(pods.exec("web", ["true"], &wrong).await).is_bad_request());
    // The pod `two` has two containers. No scheduler binds the pod to a node.
    let containers = json!([{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]);
    let spec = json!({"containers": containers, "schedulerName": "nobody"});
    let two: Pod = object_from_json(json!({"metadata": {"name": "two"}, "spec": spec}))?;
    let api: Api<Pod> = env.api();
    api.create(&PostParams::default(), &two).await?;
    let error = refused!(pods.exec("two", ["true"], &ap).await);
    check!(error.is_bad_request() && error.to_string().contains("container"), "{error}");
    pods.exec("web", ["true"], &ap.container("main")).await?.join().await?;
    Ok(())
}
