//! Runs examples as child processes that send requests to the server. Most of these examples end by themselves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube_client::Api;
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams};
use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::running_example::RunningExample;
use super::running_pod::create_running_pod;
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::{config_map, config_map_value, eventually, idle_pod, object_from_json};

suite!("example_commands":
    pod_api_creates_and_deletes_a_pod [Examples],
    pod_evict_waits_for_the_budget [Examples],
    pod_paged_lists_all_pods [Examples],
    dynamic_api_counts_objects_of_all_kinds [Examples],
    job_api_runs_a_job [Examples, Pods],
    request_raw_prints_a_response [Examples],
    cert_check_finds_equal_bundles [Examples, Controllers],
    custom_client_counts_its_requests [Examples],
    kubectl_can_apply_edit_watch_and_delete [Examples],
    kubectl_prints_logs_and_runs_commands [Examples, Processes],
    pod_exec_exits_with_the_code_of_its_command [Examples, Processes],
    pod_attach_sends_its_input [Examples, Processes],
    pod_shell_has_a_terminal [Examples, Processes],
    pod_cp_copies_into_and_out_of_a_pod [Examples, Processes],
    ports_are_forwarded [Examples, Processes],
    log_stream_follows_one_output [Examples, Processes],
);

/// Runs an example to its end, checks that it succeeds, and returns the lines of stdout.
async fn run_example(env: &Env, name: &str, arguments: &[&str]) -> Outcome<Vec<String>> {
    let [stdout, _] = RunningExample::start(env, name, arguments)?.wait_for_exit(0).await?;
    Ok(stdout)
}

async fn pod_api_creates_and_deletes_a_pod(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let mut lines = run_example(&env, "pod_api", &["a"]).await?;
    check!(lines.len() == 5, "{lines:?}");
    // If a node with topology labels already runs the pod, the pod has these labels, too.
    let labels = lines.remove(2);
    check!(labels.starts_with("labels: {\"example\": \"a\""), "{labels}");
    check_eq!(lines, ["created a", "a exists already", "found a", "deleted a"]);
    check!(env.api::<Pod>().get_opt("a").await?.is_none());
    Ok(())
}

async fn cert_check_finds_equal_bundles(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    eventually("the namespace has a CA bundle", Duration::from_secs(30), async || {
        Ok(maps.get_opt("kube-root-ca.crt").await?)
    })
    .await?;
    let lines = run_example(&env, "cert_check", &[]).await?;
    let expected = format!("{}: 1 certificates, same content", env.namespace());
    check!(lines.contains(&expected), "{lines:?}");
    Ok(())
}

async fn pod_evict_waits_for_the_budget(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let (pods, budgets): (Api<Pod>, Api<PodDisruptionBudget>) = (env.api(), env.api());
    let pp = PostParams::default();
    let spec = json!({"minAvailable": 1, "selector": {}});
    budgets.create(&pp, &object_from_json(json!({"metadata": {"name": "all"}, "spec": spec}))?).await?;
    pods.create(&pp, &idle_pod("web")?).await?;
    // A budget does not protect a pending pod, so the case sets the phase to `Running`.
    let ready = json!({"type": "Ready", "status": "True"});
    let running = Patch::Merge(json!({"status": {"phase": "Running", "conditions": [ready]}}));
    pods.patch_status("web", &PatchParams::default(), &running).await?;
    let example = RunningExample::start(&env, "pod_evict", &["web"])?;
    example.wait_for_line(&["a budget protects web"]).await?;
    check!(pods.get_opt("web").await?.is_some());
    budgets.delete("all", &DeleteParams::default()).await?;
    let [stdout, _] = example.wait_for_exit(0).await?;
    check_eq!(stdout.last().map(String::as_str), Some("evicted web"));
    Ok(())
}

async fn pod_paged_lists_all_pods(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    for name in ["a", "b", "c"] {
        env.api::<Pod>().create(&PostParams::default(), &idle_pod(name)?).await?;
    }
    let lines = run_example(&env, "pod_paged", &["2"]).await?;
    for name in ["a", "b", "c"] {
        check!(lines.contains(&format!("  {}/{name}", env.namespace())), "{lines:?}");
    }
    check!(lines.iter().any(|line| line.starts_with("page 2: ")), "{lines:?}");
    check!(lines.last().is_some_and(|line| line.contains("pods in")), "{lines:?}");
    Ok(())
}

async fn dynamic_api_counts_objects_of_all_kinds(env: Env) -> Outcome {
    env.api().create(&PostParams::default(), &config_map("a", "1")).await?;
    let lines = run_example(&env, "dynamic_api", &[]).await?;
    let count = |kind: &str| lines.iter().find_map(|line| line.strip_prefix(kind)?.parse::<usize>().ok());
    check!(count("v1/configmaps: ").is_some_and(|count| count > 0), "{lines:?}");
    check!(count("apps/v1/deployments: ").is_some(), "{lines:?}");
    Ok(())
}

async fn job_api_runs_a_job(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    check_eq!(run_example(&env, "job_api", &["a"]).await?, ["created a", "a has completed, and is deleted"]);
    let jobs: Api<Job> = env.api();
    eventually("the job is deleted", Duration::from_secs(30), async || {
        Ok(jobs.get_opt("a").await?.is_none().then_some(()))
    })
    .await
}

async fn request_raw_prints_a_response(env: Env) -> Outcome {
    let text = run_example(&env, "request_raw", &[]).await?.join("\n");
    check!(text.contains("\"gitVersion\"") && text.ends_with(" namespaces"), "{text}");
    let path = format!("/api/v1/namespaces/{}", env.namespace());
    let text = run_example(&env, "request_raw", &[&path]).await?.join("\n");
    check!(text.contains("\"kind\":\"Namespace\""), "{text}");
    let [_, stderr] =
        RunningExample::start(&env, "request_raw", &["/no/such/path"])?.wait_for_exit(1).await?;
    check!(stderr.iter().any(|line| line.contains("/no/such/path")), "{stderr:?}");
    Ok(())
}

async fn custom_client_counts_its_requests(env: Env) -> Outcome {
    let lines = run_example(&env, "custom_client", &[]).await?;
    check!(lines.iter().any(|line| line.starts_with("kube-system: ")), "{lines:?}");
    // The example sends one list request for the namespaces, and one for the pods of each namespace.
    check_eq!(lines.last(), Some(&format!("{} requests", lines.len())));
    Ok(())
}

async fn kubectl_can_apply_edit_watch_and_delete(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let folder = tempfile::tempdir()?;
    let (file, editor) = (folder.path().join("maps.yaml"), folder.path().join("editor"));
    let document = |name: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {{topic: kubectl}}}}\ndata: {{v: first}}\n"
        )
    };
    fs::write(&file, format!("{}---\n{}", document("a"), document("b")))?;
    fs::write(&editor, "#!/bin/sh\nsed -i 's/first/second/' \"$1\"\n")?;
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755))?;

    let watch = RunningExample::start(&env, "kubectl", &["watch", "cm", "-l", "topic=kubectl"])?;
    let file = file.to_string_lossy();
    let expected = ["ConfigMap/a applied", "ConfigMap/b applied"];
    check_eq!(run_example(&env, "kubectl", &["apply", "-f", &file]).await?, expected);
    watch.wait_for_line(&[&format!("{}/a", env.namespace())]).await?;

    let lines = run_example(&env, "kubectl", &["get", "configmaps", "--selector", "topic=kubectl"]).await?;
    let words: Vec<Vec<&str>> = lines.iter().map(|line| line.split_whitespace().take(2).collect()).collect();
    check_eq!(words, [["NAME", "DATA"], ["a", "1"], ["b", "1"]]);
    let lines = run_example(&env, "kubectl", &["get", "ConfigMap", "a"]).await?;
    check!(lines.contains(&"  v: first".to_owned()), "{lines:?}");
    let lines = run_example(&env, "kubectl", &["get", "ns"]).await?;
    check!(lines.iter().any(|line| line.starts_with("kube-system ")), "{lines:?}");

    let variables = [("KUBE_EDITOR", &*editor.to_string_lossy())];
    let edit = RunningExample::start_with(&env, "kubectl", &["edit", "cm", "a"], &variables)?;
    check_eq!(edit.wait_for_exit(0).await?[0], ["cm/a edited"]);
    check_eq!(config_map_value(&maps.get("a").await?), "second");
    watch.wait_for_line(&["changed", &format!("{}/a", env.namespace())]).await?;

    check_eq!(run_example(&env, "kubectl", &["delete", "cm", "a"]).await?, ["cm/a deleted"]);
    watch.wait_for_line(&["deleted", &format!("{}/a", env.namespace())]).await?;
    check!(maps.get_opt("a").await?.is_none() && maps.get_opt("b").await?.is_some());
    let [_, stderr] = RunningExample::start(&env, "kubectl", &["get", "cm", "a"])?.wait_for_exit(1).await?;
    check!(stderr.iter().any(|line| line.contains("\"a\" not found")), "{stderr:?}");
    watch.terminate().await
}

async fn kubectl_prints_logs_and_runs_commands(env: Env) -> Outcome {
    create_running_pod(&env).await?;
    check_eq!(run_example(&env, "kubectl", &["logs", "web"]).await?.len(), 4);
    let arguments = ["exec", "-i", "web", "--", "sh", "-c", "cat; exit 3"];
    let mut exec = RunningExample::start(&env, "kubectl", &arguments)?;
    exec.send_line("hello").await?;
    exec.close_stdin();
    check_eq!(exec.wait_for_exit(3).await?[0], ["hello"]);
    Ok(())
}

async fn pod_exec_exits_with_the_code_of_its_command(env: Env) -> Outcome {
    create_running_pod(&env).await?;
    let arguments = ["-i", "web", "--", "sh", "-c", "cat; echo error >&2; exit 5"];
    let mut example = RunningExample::start(&env, "pod_exec", &arguments)?;
    example.send_line("hello").await?;
    example.close_stdin();
    let [stdout, stderr] = example.wait_for_exit(5).await?;
    check_eq!(stdout, ["hello"]);
    check_eq!(stderr, ["error"]);
    Ok(())
}

async fn pod_attach_sends_its_input(env: Env) -> Outcome {
    create_running_pod(&env).await?;
    let mut example = RunningExample::start(&env, "pod_attach", &["web"])?;
    for line in ["first", "second"] {
        example.send_line(line).await?;
        example.wait_for_line(&[line]).await?;
    }
    example.close_stdin();
    check_eq!(example.wait_for_exit(0).await?[0], ["first", "second"]);
    Ok(())
}

async fn pod_shell_has_a_terminal(env: Env) -> Outcome {
    create_running_pod(&env).await?;
    let variables = [("COLUMNS", "100"), ("LINES", "30")];
    let mut example = RunningExample::start_with(&env, "pod_shell", &["web"], &variables)?;
    example.wait_for_line(&["100x30"]).await?;
    example.send_line("echo hello; exit 6").await?;
    let [stdout, _] = example.wait_for_exit(6).await?;
    check_eq!(stdout, ["100x30", "hello"]);
    Ok(())
}

async fn pod_cp_copies_into_and_out_of_a_pod(env: Env) -> Outcome {
    create_running_pod(&env).await?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    fs::create_dir(path("source"))?;
    fs::write(path("source/file"), "text")?;
    let in_pod = format!("web:{}", path("in-pod"));
    run_example(&env, "pod_cp", &[&path("source"), &in_pod]).await?;
    check_eq!(fs::read_to_string(path("in-pod/file"))?, "text");
    let lines = run_example(&env, "pod_cp", &[&in_pod, &path("target")]).await?;
    check_eq!(lines, ["copied 4 bytes in 1 files"]);
    check_eq!(fs::read_to_string(path("target/file"))?, "text");
    Ok(())
}

async fn ports_are_forwarded(env: Env) -> Outcome {
    create_running_pod(&env).await?;
    let lines = run_example(&env, "pod_portforward", &["web", "80", "81"]).await?;
    check_eq!(lines, ["80: hello, port 80", "81: hello, port 81"]);

    let example = RunningExample::start(&env, "pod_portforward_bind", &["web", "80"])?;
    let line = example.wait_for_line(&["forwarding"]).await?;
    let address = line.split(' ').nth(1).context("the line has an address")?;
    let mut connections = [TcpStream::connect(address).await?, TcpStream::connect(address).await?];
    for connection in &mut connections {
        connection.write_all(b"hello").await?;
        let mut answer = [0; 5];
        connection.read_exact(&mut answer).await?;
        check_eq!(&answer, b"hello");
    }
    let [mut first, _second] = connections;
    first.shutdown().await?;
    check_eq!(first.read(&mut [0]).await?, 0);
    example.end_with_signal(Signal::INT).await
}

async fn log_stream_follows_one_output(env: Env) -> Outcome {
    create_running_pod(&env).await?;
    check_eq!(run_example(&env, "log_stream", &["web", "--stderr"]).await?, ["stderr 1", "stderr 2"]);
    let example = RunningExample::start(&env, "log_stream", &["web", "--follow", "--stdout"])?;
    // The log has the lines `stdout 1` and `stdout 2` before the example starts. The example prints the line
    // `stdout 4` only if it follows the log.
    example.wait_for_line(&["stdout 4"]).await?;
    Ok(())
}
