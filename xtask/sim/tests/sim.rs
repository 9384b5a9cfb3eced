//! Tests of the program `cargo xtask sim`: exit codes, interrupts, cleanup, and kubectl as client.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "../../process/tests/common/mod.rs"]
mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};

use common::{Sandbox, send_signal, wait_for_exit};
use rustix::process::Signal;

const PROGRAM: &str = env!("CARGO_BIN_EXE_xtask-sim");

/// Runs `sim` with these arguments, and waits until it exits. Returns the exit code and the output.
fn run_sim(sandbox: &Sandbox, args: &[&str]) -> (Option<i32>, String) {
    wait_for_exit(sandbox.program_command(args).spawn().unwrap())
}

/// Reads the first lines that a `sim` without COMMAND prints. Stops after the line with `Ctrl-C`.
fn read_start_lines(child: &mut Child) -> Vec<String> {
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let mut lines = Vec::new();
    for line in stdout.lines() {
        lines.push(line.unwrap());
        if lines.last().unwrap().contains("Ctrl-C") {
            break;
        }
    }
    lines
}

/// Whether kubectl is on the PATH. If not, prints that the test is skipped.
fn has_kubectl(sandbox: &Sandbox) -> bool {
    let mut command = Command::new("kubectl");
    sandbox.set_environment(&mut command);
    let found = command.args(["version", "--client"]).output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: there is no kubectl on the PATH");
    }
    found
}

#[test]
fn sim_returns_the_exit_code_of_the_command() {
    let sandbox = Sandbox::new();
    assert_eq!(run_sim(&sandbox, &["--", "sh", "-c", "exit 7"]).0, Some(7));
    assert_eq!(run_sim(&sandbox, &["--", "true"]).0, Some(0));
    let (code, text) = run_sim(&sandbox, &["--", "no-such-program"]);
    assert_eq!(code, Some(127), "{text}");
    assert!(text.contains("cannot run no-such-program"), "{text}");
    sandbox.wait_until_clean();
}

#[test]
fn the_kubeconfig_is_private_and_removed_at_the_end() {
    let sandbox = Sandbox::new();
    let script = "stat -c %a $KUBECONFIG; echo $KUBECONFIG; grep -c client-key-data $KUBECONFIG; env";
    let (code, text) = run_sim(&sandbox, &["--", "sh", "-c", script]);
    assert_eq!(code, Some(0), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines[0], lines[2]), ("600", "1"), "{text}");
    assert!(!Path::new(lines[1]).exists());
    assert!(!text.contains("CARGO_PKG_NAME"), "{text}");
    sandbox.wait_until_clean();
}

#[test]
fn sim_without_a_command_serves_until_interrupted() {
    let sandbox = Sandbox::new();
    for (signal, code) in [(Signal::INT, 0), (Signal::TERM, 0)] {
        let mut child = sandbox.program_command(&["--http", "--nodes", "1"]).spawn().unwrap();
        let printed = read_start_lines(&mut child);
        assert!(printed[0].starts_with("kube-sim at http://127.0.0.1:"), "{printed:?}");
        let kubeconfig = printed[1].strip_prefix("export KUBECONFIG=").unwrap();
        assert_eq!(fs::metadata(kubeconfig).unwrap().permissions().mode() & 0o777, 0o600);
        send_signal(&child, signal);
        assert_eq!(wait_for_exit(child).0, Some(code));
        assert!(!Path::new(kubeconfig).exists());
    }
    sandbox.wait_until_clean();
}

#[test]
fn an_interrupt_ends_the_command_and_the_server() {
    let sandbox = Sandbox::new();
    let script =
        "trap 'echo TERM > $WORLD/terminated; exit 3' TERM; echo up > $WORLD/up; while :; do sleep 0.1; done";
    let child = sandbox.program_command(&["--", "sh", "-c", script]).spawn().unwrap();
    assert!(common::eventually(|| sandbox.path("up").exists()));
    send_signal(&child, Signal::INT);
    assert_eq!(wait_for_exit(child).0, Some(130));
    assert!(sandbox.path("terminated").exists(), "the command received no SIGTERM");
    sandbox.wait_until_clean();
}

#[test]
fn invalid_arguments_are_rejected() {
    let sandbox = Sandbox::new();
    let check = |args: &[&str], expected: &str| {
        let (code, text) = run_sim(&sandbox, args);
        assert!(code != Some(0) && text.contains(expected), "{args:?}: {code:?}: {text}");
    };
    check(&["--listen", "here"], "IP address");
    check(&["--nodes", "1000000"], "1000");
    check(&["--frobnicate"], "--frobnicate");
    check(&["--no-workload", "--calm"], "cannot be used with");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check(&["--listen", &address], &format!("listening on {address}"));
    sandbox.wait_until_clean();
}

#[test]
fn kubectl_lists_nodes_and_running_pods() {
    let sandbox = Sandbox::new();
    if !has_kubectl(&sandbox) {
        return;
    }
    let (code, text) = run_sim(&sandbox, &["--", "kubectl", "get", "nodes,pods", "-A"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("node/node-0") && text.contains("Ready"), "{text}");
    assert!(
        text.lines().filter(|line| line.contains("pod/") && line.contains("Running")).count() > 5,
        "{text}"
    );
    let (code, text) =
        run_sim(&sandbox, &["--no-workload", "--nodes", "2", "--", "kubectl", "get", "nodes,pods", "-A"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(text.matches("node/").count(), 2, "{text}");
    assert_eq!(text.matches("pod/").count(), 0, "{text}");
    sandbox.wait_until_clean();
}

#[test]
fn a_deployment_created_by_kubectl_rolls_out() {
    let sandbox = Sandbox::new();
    if !has_kubectl(&sandbox) {
        return;
    }
    let script = "set -e
        kubectl create deployment web --image=registry.example.com/web:1 --replicas=2
        kubectl rollout status deployment web --timeout=60s
        kubectl get pods -l app=web --no-headers | wc -l";
    let (code, text) = run_sim(&sandbox, &["--calm", "--pace", "20", "--", "sh", "-c", script]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("successfully rolled out") && text.lines().any(|line| line.trim() == "2"),
        "{text}"
    );
    sandbox.wait_until_clean();
}
