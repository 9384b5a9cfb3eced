//! Tests of `cargo xtask cluster`. An interrupt, a kill or the death of a component leaves no process. The temporary folder
//! of the cluster is removed at once, or by a later run. A build is cached. Errors contain the cause. Shell scripts stand in
//! for Go, etcd and kube-apiserver.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "../../process/tests/common/mod.rs"]
mod common;

use std::fs;
use std::process::Child;
use std::time::Duration;

use common::{Sandbox, send_signal, wait_for_exit};
use rustix::process::Signal;

const PROGRAM: &str = env!("CARGO_BIN_EXE_xtask-control-plane");

/// A script that stands in for etcd or kube-apiserver. The script starts a child process, keeps running, and never
/// listens on its port.
const SILENT_COMPONENT: &str = "sleep 1001 &\nexec sleep 1002";

/// A script that stands in for Go. The script logs its own arguments. To build a binary, it copies the script `component`
/// to the path of the binary.
const GO_SCRIPT: &str = r#"
echo "$*" >> "$WORLD/go.log"
case "$1 $2" in
    "env "*) printf 'go1.99.0\nauto\n' ;;
    "list -deps") printf 'a\nb\n' ;;
    "list -m") echo "$WORLD/module" ;;
    "build "*)
        while [ "$1" != -o ]; do shift; done
        test -f "$WORLD/during-build" && . "$WORLD/during-build"
        cp "$WORLD/component" "$2" ;;
esac
"#;

/// Creates a sandbox with an assets folder. In this folder, the script `etcd` stands in for etcd, and
/// [`SILENT_COMPONENT`] stands in for kube-apiserver.
fn sandbox_with_assets(etcd: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write_script("assets/etcd", etcd);
    sandbox.write_script("assets/kube-apiserver", SILENT_COMPONENT);
    sandbox
}

/// Creates a sandbox in which the script [`GO_SCRIPT`] stands in for Go.
fn sandbox_with_go() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write_script("bin/go", GO_SCRIPT);
    sandbox.write_script("component", "echo I am no etcd; exit 5");
    for (folder, names) in [
        ("pod/fast", &["pod-ready.yaml", "pod-complete.yaml", "pod-delete.yaml"][..]),
        ("node/fast", &["node-initialize.yaml"]),
        ("node/heartbeat-with-lease", &["node-heartbeat-with-lease.yaml"]),
    ] {
        let folder = sandbox.path("module/kustomize/stage").join(folder);
        fs::create_dir_all(&folder).unwrap();
        for name in names {
            fs::write(folder.join(name), "kind: Stage\n").unwrap();
        }
    }
    sandbox
}

/// Starts `cargo xtask cluster`, which builds its components.
fn start_cluster(sandbox: &Sandbox) -> Child {
    sandbox.program_command(&[]).spawn().unwrap()
}

/// Starts `cargo xtask cluster` with the components in the assets folder.
fn start_with_assets(sandbox: &Sandbox) -> Child {
    sandbox.program_command(&["--assets", sandbox.path("assets").to_str().unwrap()]).spawn().unwrap()
}

#[test]
fn an_interrupt_during_the_start_leaves_no_process_and_no_folder() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let sandbox = sandbox_with_assets(SILENT_COMPONENT);
        let xtask = start_with_assets(&sandbox);
        sandbox.wait_for_processes("sleep 100", 2);
        send_signal(&xtask, signal);
        let (ended, text) = wait_for_exit(xtask);
        assert_eq!(ended, Some(code), "{text}");
        // Check without waiting: xtask must end its processes before it exits.
        assert_eq!(sandbox.processes(), []);
        assert_eq!(sandbox.scratch_folders(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn an_interrupt_at_any_moment_leaves_no_process_and_no_folder() {
    let sandbox = sandbox_with_assets(SILENT_COMPONENT);
    for delay in [0, 1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128] {
        let xtask = start_with_assets(&sandbox);
        std::thread::sleep(Duration::from_millis(delay));
        send_signal(&xtask, Signal::TERM);
        wait_for_exit(xtask);
        sandbox.wait_until_clean();
    }
}

#[test]
fn a_kill_leaves_no_process_and_no_folder() {
    let sandbox = sandbox_with_assets(SILENT_COMPONENT);
    let xtask = start_with_assets(&sandbox);
    sandbox.wait_for_processes("sleep 100", 2);
    send_signal(&xtask, Signal::KILL);
    wait_for_exit(xtask);
    sandbox.wait_until_clean();
}

#[test]
fn a_kill_at_any_moment_leaves_no_process_and_the_next_run_removes_the_leftover_folder() {
    let sandbox = sandbox_with_assets(SILENT_COMPONENT);
    for delay in [0, 1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128] {
        let xtask = start_with_assets(&sandbox);
        std::thread::sleep(Duration::from_millis(delay));
        send_signal(&xtask, Signal::KILL);
        wait_for_exit(xtask);
        assert!(common::eventually(|| sandbox.processes().is_empty()), "{:#?}", sandbox.processes());
    }
    sandbox.write_script("assets/etcd", "exit 1");
    // A run may be killed after it creates a folder and before it locks the folder. A sweep removes such a folder only
    // when the folder is old.
    let with_final_name = || {
        let mut leftovers = sandbox.scratch_folders();
        leftovers.retain(|path| !path.display().to_string().contains(".kube-xtask-new-"));
        leftovers
    };
    wait_for_exit(start_with_assets(&sandbox));
    assert!(common::eventually(|| with_final_name().is_empty()), "{:?}", with_final_name());
}

#[test]
fn components_die_when_their_supervisors_are_killed() {
    let sandbox = sandbox_with_assets(SILENT_COMPONENT);
    let xtask = start_with_assets(&sandbox);
    sandbox.wait_for_processes("sleep 1002", 1);
    let supervisors = sandbox.processes().into_iter().filter(|(_, line)| line.contains("__supervise"));
    for (id, _) in supervisors {
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), Signal::KILL).unwrap();
    }
    let (_, text) = wait_for_exit(xtask);
    assert!(text.contains("etcd has died"), "{text}");
    assert!(common::eventually(|| !sandbox.processes().iter().any(|(_, line)| line.contains("sleep 1002"))));
    // Without a supervisor, the component's child process keeps running. Among the components of a cluster, only the
    // stand-in for the kubelets starts child processes.
    for (id, _) in sandbox.processes() {
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), Signal::KILL).unwrap();
    }
    sandbox.wait_until_clean();
}

#[test]
fn the_error_for_a_dead_component_has_its_last_log_lines() {
    let sandbox = sandbox_with_assets("echo first; echo the disk is on fire >&2; exit 3");
    let (code, text) = wait_for_exit(start_with_assets(&sandbox));
    assert_eq!(code, Some(1));
    assert!(
        text.contains("error: etcd has died (exit code 3); its last lines were:\nfirst\nthe disk is on fire"),
        "{text}"
    );
    sandbox.wait_until_clean();
}

#[test]
fn a_port_conflict_causes_another_attempt() {
    let sandbox = sandbox_with_assets(
        "echo x >> \"$WORLD/attempts\"\n\
         test $(wc -l < \"$WORLD/attempts\") = 3 && { echo enough; exit 1; }\n\
         echo 'listen tcp 127.0.0.1:1: bind: address already in use'; exit 1",
    );
    let (_, text) = wait_for_exit(start_with_assets(&sandbox));
    assert_eq!(text.matches("trying others").count(), 2, "{text}");
    assert!(text.contains("enough"), "{text}");
    sandbox.wait_until_clean();
}

#[test]
fn an_interrupt_or_kill_during_a_build_leaves_no_process_and_no_folder() {
    for signal in [Signal::INT, Signal::KILL] {
        let sandbox = sandbox_with_go();
        fs::write(sandbox.path("during-build"), "setsid sleep 1001 & sleep 1002").unwrap();
        let xtask = start_cluster(&sandbox);
        sandbox.wait_for_processes("sleep 100", 2);
        send_signal(&xtask, signal);
        wait_for_exit(xtask);
        sandbox.wait_until_clean();
        assert!(!sandbox.path("cache/etcd-3.7.3").exists());
    }
}

#[test]
fn a_cached_build_is_not_repeated() {
    let sandbox = sandbox_with_go();
    let (_, text) = wait_for_exit(start_cluster(&sandbox));
    assert!(text.contains("for the first time") && text.contains("built kubernetes-1.37.2"), "{text}");
    assert!(text.contains("etcd has died (exit code 5)") && text.contains("I am no etcd"), "{text}");
    assert!(sandbox.path("cache/kubernetes-1.37.2/kube-scheduler").is_file());
    assert!(sandbox.path("cache/kwok-0.8.0/kustomize/stage/node/fast/node-initialize.yaml").is_file());
    fs::remove_file(sandbox.path("go.log")).unwrap();
    let (_, text) = wait_for_exit(start_cluster(&sandbox));
    assert!(text.contains("I am no etcd") && !text.contains("first time"), "{text}");
    assert!(!sandbox.path("go.log").exists());
    sandbox.wait_until_clean();
}

#[test]
fn concurrent_runs_build_only_once() {
    let sandbox = sandbox_with_go();
    fs::write(sandbox.path("during-build"), "sleep 0.3").unwrap();
    let both = [start_cluster(&sandbox), start_cluster(&sandbox)];
    for xtask in both {
        let (_, text) = wait_for_exit(xtask);
        assert!(text.contains("I am no etcd"), "{text}");
    }
    let log = fs::read_to_string(sandbox.path("go.log")).unwrap();
    assert_eq!(log.lines().filter(|line| line.starts_with("build ")).count(), 7, "{log}");
    sandbox.wait_until_clean();
}

#[test]
fn a_failed_build_shows_the_output_of_go_and_caches_nothing() {
    let sandbox = sandbox_with_go();
    fs::write(sandbox.path("during-build"), "echo 'undefined: foo' >&2; exit 1").unwrap();
    let (code, text) = wait_for_exit(start_cluster(&sandbox));
    assert_eq!(code, Some(1));
    assert!(text.contains("cannot build etcd-3.7.3") && text.contains("undefined: foo"), "{text}");
    assert!(!sandbox.path("cache/etcd-3.7.3").exists());
    sandbox.wait_until_clean();
}

#[test]
fn if_go_is_missing_the_error_lists_the_alternatives() {
    let sandbox = Sandbox::new();
    let xtask = sandbox.program_command(&[]).env("PATH", sandbox.path("bin")).spawn().unwrap();
    let (code, text) = wait_for_exit(xtask);
    assert_eq!(code, Some(1));
    for hint in ["there is no `go`", "https://go.dev/dl", "KUBEBUILDER_ASSETS", "KUBECONFIG"] {
        assert!(text.contains(hint), "{hint} is missing in {text}");
    }
    sandbox.wait_until_clean();
}

#[test]
fn the_error_for_an_old_go_has_its_version() {
    let sandbox = Sandbox::new();
    sandbox.write_script("bin/go", "printf 'go1.20.1\\nlocal\\n'");
    let (_, text) = wait_for_exit(start_cluster(&sandbox));
    assert!(text.contains("this is go1.20.1") && text.contains("GOTOOLCHAIN=local"), "{text}");
}

#[test]
fn invalid_arguments_are_rejected() {
    let sandbox = Sandbox::new();
    for (args, expected) in [
        (&["--kubernetes", "1.2"][..], "choose 1.37.2 or 1.33.13"),
        (&["--api-servers", "0"], "1..=5"),
        (&["--feature-gate", "a b"], "not the name of a feature gate"),
        (&["--assets", "/nonexistent"], "/nonexistent/etcd is missing"),
    ] {
        let (code, text) = wait_for_exit(sandbox.program_command(args).spawn().unwrap());
        assert_ne!(code, Some(0));
        assert!(text.contains(expected), "{expected} is missing in {text}");
    }
}
