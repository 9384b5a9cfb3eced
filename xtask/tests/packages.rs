//! Tests of the command line with which `cargo xtask` starts the package of a subcommand. `echo` stands in for cargo.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

use std::process::Command;

/// Checks the part of the command line after `--package`.
#[track_caller]
fn check_arguments(arguments: &[&str], expected: &str) {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let output = xtask.args(arguments).env("CARGO", "echo").output().unwrap();
    let line = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && line.starts_with("run --quiet --manifest-path "), "{output:?}");
    assert_eq!(line.split_once(" --package ").unwrap().1.trim_end(), expected);
}

#[test]
fn arguments_reach_the_package_unchanged() {
    check_arguments(&["sim", "--", "true"], "xtask-sim -- -- true");
    check_arguments(&["sim", "--calm", "--", "kubectl", "--", "x"], "xtask-sim -- --calm -- kubectl -- x");
    check_arguments(&["cluster", "--help"], "xtask-control-plane -- --help");
    check_arguments(&["e2e", "-h"], "xtask-e2e -- -h");
    check_arguments(&["demo"], "xtask-demo --");
}

#[test]
fn a_missing_cargo_is_an_error() {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let output = xtask.arg("demo").env("CARGO", "/nonexistent/cargo").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot run cargo"), "{output:?}");
    assert_eq!(output.status.code(), Some(1));
}
