//! Tests of signals, log levels, and a closed stdout.

use crate::support::{Cluster, RunningExample, assert_contains, pod};
use kube_sim::Sim;
use rustix::process::Signal;
use std::process::Stdio;

const SIGNALLED_EXAMPLES: [&str; 6] = [
    "pod_informer",
    "node_informer",
    "pod_reflector",
    "node_reflector",
    "deployment_reflector",
    "crd_reflector",
];

#[tokio::test]
async fn examples_exit_successfully_on_sigint_and_sigterm() {
    let cluster = Cluster::with_sim(Sim::builder().nodes(1).build()).await;
    let end = async |name: &str, signal, message: &str| {
        let mut example = cluster.start(name);
        example.wait_for_stderr("watching").await;
        example.send_signal(signal);
        assert!(example.wait_for_exit().await.success(), "{name}\n{}", example.stderr());
        assert_contains(&example.stderr(), &[message]);
    };
    for name in SIGNALLED_EXAMPLES {
        tokio::join!(end(name, Signal::INT, "interrupted"), end(name, Signal::TERM, "terminated"));
    }
}

/// The server accepts the request and does not respond.
#[tokio::test]
async fn sigint_ends_a_pending_request() {
    let cluster = Cluster::new().await;
    cluster.sim.faults().add(kube_sim::fault::Rule::new(kube_sim::fault::Action::Hang));
    let mut example = cluster.start("pod_reflector");
    example.wait_for_stderr("watching").await;
    example.send_signal(Signal::INT);
    assert!(example.wait_for_exit().await.success(), "{}", example.stderr());
}

#[tokio::test]
async fn rust_log_filters_the_log() {
    let cluster = Cluster::with_sim(Sim::builder().nodes(1).build()).await;
    let run = async |filter: &str, is_quiet: bool| {
        let mut command = cluster.home.example_command("node_reflector", &cluster.kubeconfig);
        command.env("RUST_LOG", filter);
        let mut example = RunningExample::new(command);
        example.wait_for_stdout("1 nodes").await;
        let stderr = example.stderr();
        assert!(!stderr.contains('\u{1b}'), "colours without a terminal\n{stderr}");
        assert_eq!(
            stderr.is_empty(),
            is_quiet,
            "RUST_LOG={filter}
{stderr}"
        );
        assert_eq!(
            stderr.contains("DEBUG"),
            !is_quiet,
            "RUST_LOG={filter}
{stderr}"
        );
        example.stop().await;
    };
    tokio::join!(run("off", true), run("warn", true), run("debug", false));
    let mut command = cluster.home.example_command("node_reflector", &cluster.kubeconfig);
    command.env("RUST_LOG", "kube_client=loud");
    assert_contains(
        &RunningExample::new(command).wait_for_failure().await,
        &["RUST_LOG", "kube_client=loud"],
    );
}

/// The reader of stdout ends before the example, as in `example | head -1`.
#[tokio::test]
async fn examples_exit_quietly_if_stdout_is_closed() {
    let sim = Sim::builder().nodes(1).workloads().build();
    let cluster = Cluster::with_sim(sim).await;
    for name in ["web", "evicted"] {
        cluster.create(&pod(name, "node-0"));
    }
    let examples: [(&str, &[&str]); 10] = [
        ("node_reflector", &[]),
        ("dynamic_api", &[]),
        ("pod_paged", &[]),
        ("custom_client", &[]),
        ("request_raw", &[]),
        ("crd_api", &[]),
        ("pod_api", &["new"]),
        ("job_api", &["work"]),
        ("pod_evict", &["evicted"]),
        ("kubectl", &["get", "pods"]),
    ];
    for (name, arguments) in examples {
        let mut command = cluster.home.example_command(name, &cluster.kubeconfig);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command.args(arguments).stdout(Stdio::from(writer));
        let example = command.spawn().unwrap();
        // Drop the command, which holds another handle of the pipe.
        drop(command);
        let output = example.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{name}: {output:?}");
    }
    assert!(cluster.sim.get("batch/v1", "Job", "default", "work").unwrap_err().is_not_found());
}
