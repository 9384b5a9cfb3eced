//! Tests of [`SupervisedProgram`], with shell scripts as programs.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::{Sandbox, eventually};
use rustix::process::Signal;
use xtask_process::{LaunchOptions, Streams, SupervisedProgram};

const PROGRAM: &str = env!("CARGO_BIN_EXE_xtask-process");

/// The options that launch `program` in the sandbox. The program writes its output to the file `log`.
fn launch_options(sandbox: &Sandbox, program: &str, args: &[&str]) -> LaunchOptions {
    let log = sandbox.path("log");
    let (name, value) = sandbox.mark_variable();
    LaunchOptions::new(program, Streams::Files { stdout: log.clone(), stderr: log })
        .args(args.iter().copied())
        .env(name, value)
        .supervisor(PROGRAM)
}

/// The launch options of the shell script `text`.
fn script_launch_options(sandbox: &Sandbox, text: &str) -> LaunchOptions {
    launch_options(sandbox, "sh", &["-c", text])
}

/// The output of the launched programs so far.
fn read_log(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("log")).unwrap_or_default()
}

#[test]
fn dropping_the_handle_ends_the_program_and_all_descendants() {
    let sandbox = Sandbox::new();
    let family = "sleep 1001 & setsid sleep 1002 & (setsid sh -c 'sleep 1003' &) ; exec sleep 1004";
    let process = SupervisedProgram::spawn(&script_launch_options(&sandbox, family), |_| {}).unwrap();
    for sleep in ["sleep 1001", "sleep 1002", "sleep 1003", "sleep 1004"] {
        sandbox.wait_for_processes(sleep, 1);
    }
    drop(process);
    assert_eq!(sandbox.processes(), []);
}

#[tokio::test]
async fn an_unrequested_end_calls_the_callback_with_the_exit_code() {
    let sandbox = Sandbox::new();
    let (sender, receiver) = mpsc::channel();
    let process =
        SupervisedProgram::spawn(&script_launch_options(&sandbox, "echo last words; exit 7"), move |ended| {
            sender.send(ended.code).unwrap();
        })
        .unwrap();
    assert_eq!(process.wait().await.code, 7);
    assert_eq!(receiver.recv_timeout(Duration::from_secs(5)), Ok(7));
    assert_eq!(process.exit_if_ended().unwrap().code, 7);
    assert_eq!(read_log(&sandbox), "last words\n");
    assert!(process.signal(Signal::CONT).await.is_err());
}

#[tokio::test]
async fn a_requested_end_does_not_call_the_callback() {
    let sandbox = Sandbox::new();
    let (sender, receiver) = mpsc::channel::<u8>();
    let process = SupervisedProgram::spawn(&launch_options(&sandbox, "sleep", &["1000"]), move |ended| {
        sender.send(ended.code).unwrap();
    })
    .unwrap();
    let ended = process.kill().await.unwrap();
    assert_eq!(ended.to_string(), "killed by signal 9");
    assert!(process.kill().await.is_err());
    drop(process);
    assert!(receiver.recv().is_err(), "the callback was called");
}

#[tokio::test]
async fn a_missing_program_is_logged_and_ends_with_code_127() {
    let sandbox = Sandbox::new();
    let process =
        SupervisedProgram::spawn(&launch_options(&sandbox, "no-such-program", &[]), |_| {}).unwrap();
    assert_eq!(process.wait().await.code, 127);
    assert!(read_log(&sandbox).contains("cannot run no-such-program"), "{}", read_log(&sandbox));
}

#[test]
fn a_program_may_clean_up_during_its_grace_period() {
    let sandbox = Sandbox::new();
    let text = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let process = SupervisedProgram::spawn(
        &script_launch_options(&sandbox, text).grace(Duration::from_secs(20)),
        |_| {},
    )
    .unwrap();
    assert!(eventually(|| read_log(&sandbox) == "ready\n"));
    drop(process);
    // Before the line `bye`, the shell may log that its `sleep` was terminated.
    assert!(read_log(&sandbox).ends_with("bye\n"), "{}", read_log(&sandbox));
    assert_eq!(sandbox.processes(), []);
}

#[test]
fn a_program_is_killed_after_its_grace_period() {
    let sandbox = Sandbox::new();
    let text = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let process = SupervisedProgram::spawn(
        &script_launch_options(&sandbox, text).grace(Duration::from_millis(300)),
        |_| {},
    )
    .unwrap();
    assert!(eventually(|| read_log(&sandbox) == "ready\n"));
    let start = Instant::now();
    drop(process);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(sandbox.processes(), []);
}

#[tokio::test]
async fn a_stopped_program_can_be_continued_and_ended() {
    let sandbox = Sandbox::new();
    let text = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done";
    let process = SupervisedProgram::spawn(&script_launch_options(&sandbox, text), |_| {}).unwrap();
    assert!(eventually(|| read_log(&sandbox).lines().count() > 3));
    process.signal(Signal::STOP).await.unwrap();
    // A signal takes effect asynchronously: a line may still be written after `signal` returns.
    assert!(eventually(|| {
        let before = read_log(&sandbox);
        std::thread::sleep(Duration::from_millis(200));
        before == read_log(&sandbox)
    }));
    let paused = read_log(&sandbox);
    process.signal(Signal::CONT).await.unwrap();
    assert!(eventually(|| read_log(&sandbox).len() > paused.len()));
    process.signal(Signal::STOP).await.unwrap();
    drop(process);
    assert_eq!(sandbox.processes(), []);
}

#[tokio::test]
async fn a_terminated_program_may_clean_up() {
    let sandbox = Sandbox::new();
    let text = "trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.05; done";
    let process = SupervisedProgram::spawn(&script_launch_options(&sandbox, text), |_| {}).unwrap();
    assert!(eventually(|| read_log(&sandbox) == "ready\n"));
    let ended = process.terminate(Duration::from_secs(20)).await.unwrap();
    assert!(ended.code == 4 && read_log(&sandbox).ends_with("bye\n"), "{ended}: {}", read_log(&sandbox));
}

#[test]
fn a_missing_supervisor_is_an_error() {
    let sandbox = Sandbox::new();
    let broken = launch_options(&sandbox, "true", &[]).supervisor(PathBuf::from("/nonexistent/xtask"));
    let error = SupervisedProgram::spawn(&broken, |_| {}).unwrap_err();
    assert!(error.to_string().contains("cannot start a supervisor for true"), "{error:#}");
}
