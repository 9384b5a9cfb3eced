//! How examples begin and end: signals, what they log, and readers who leave.

use crate::support::{Cluster, Running, assert_says};
use kube_sim::Sim;
use rustix::process::Signal;
use std::process::Stdio;

const ALL: [&str; 6] = [
    "pod_informer",
    "node_informer",
    "pod_reflector",
    "node_reflector",
    "deployment_reflector",
    "crd_reflector",
];

#[tokio::test]
async fn an_interrupt_and_a_termination_are_a_success() {
    let cluster = Cluster::of(Sim::builder().nodes(1).build()).await;
    let end = async |name: &str, signal, told: &str| {
        let mut example = cluster.start(name);
        example.logs("watching").await;
        example.signal(signal);
        assert!(example.ended().await.success(), "{name}\n{}", example.stderr());
        assert_says(&example.stderr(), &[told]);
    };
    for name in ALL {
        tokio::join!(end(name, Signal::INT, "interrupted"), end(name, Signal::TERM, "terminated"));
    }
}

/// Where it waits for something that does not come, too: here a server that says nothing.
#[tokio::test]
async fn an_interrupt_ends_a_wait() {
    let cluster = Cluster::new().await;
    cluster.sim.faults().add(kube_sim::fault::Rule::new(kube_sim::fault::Action::Hang));
    let mut example = cluster.start("pod_reflector");
    example.logs("watching").await;
    example.signal(Signal::INT);
    assert!(example.ended().await.success(), "{}", example.stderr());
}

#[tokio::test]
async fn rust_log_makes_it_quiet_or_loud() {
    let cluster = Cluster::of(Sim::builder().nodes(1).build()).await;
    let run = async |filter: &str, is_quiet: bool| {
        let mut command = cluster.home.example("node_reflector", &cluster.kubeconfig);
        command.env("RUST_LOG", filter);
        let mut example = Running::new(command);
        example.says("1 nodes").await;
        let stderr = example.stderr();
        assert!(!stderr.contains('\u{1b}'), "colours where there is no terminal\n{stderr}");
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
    let mut command = cluster.home.example("node_reflector", &cluster.kubeconfig);
    command.env("RUST_LOG", "kube_client=loud");
    assert_says(&Running::new(command).failure().await, &["RUST_LOG", "kube_client=loud"]);
}

/// As with `| head -1`.
#[tokio::test]
async fn a_reader_who_leaves_ends_it_quietly() {
    let cluster = Cluster::of(Sim::builder().nodes(1).build()).await;
    let mut command = cluster.home.example("node_reflector", &cluster.kubeconfig);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(Stdio::from(writer));
    let example = command.spawn().unwrap();
    // The command holds the writer, too.
    drop(command);
    let output = example.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
}
