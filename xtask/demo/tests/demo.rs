//! Runs `cargo xtask demo` without a terminal: once until its time limit, and once until an interrupt.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "../../process/tests/common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use common::{Sandbox, send_signal, wait_for_exit};
use rustix::process::Signal;

const PROGRAM: &str = env!("CARGO_BIN_EXE_xtask-demo");

/// The number before `word` in the summary's line that begins with `label`.
#[track_caller]
fn summary_number(text: &str, label: &str, word: &str) -> u64 {
    let line = text.lines().map(str::trim).find(|line| line.starts_with(label));
    let words: Vec<_> =
        line.unwrap_or_else(|| panic!("no {label} in {text}")).split([' ', ',', '(', ')']).collect();
    let at = words.iter().position(|other| *other == word);
    let at = at.unwrap_or_else(|| panic!("no {word} in {words:?}"));
    words[..at].iter().rev().find(|word| !word.is_empty()).and_then(|number| number.parse().ok()).unwrap()
}

#[test]
fn all_caches_agree_with_the_server() {
    let sandbox = Sandbox::new();
    let start = Instant::now();
    let (code, text) =
        wait_for_exit(sandbox.program_command(&["--seconds", "6", "--seed", "1"]).spawn().unwrap());
    assert_eq!(code, Some(0), "{text}");
    assert!(start.elapsed() >= Duration::from_secs(6));
    assert!(text.contains("over TLS, seed 1"), "{text}");
    assert!(text.lines().filter(|line| line.contains("[pods ")).count() >= 2, "{text}");
    for (label, word) in [
        ("objects", "pods"),
        ("objects", "nodes"),
        ("objects", "sites"),
        ("objects", "pages"),
        ("events", "of"),
        ("events", "changes"),
        ("nodes", "broke"),
        ("operator", "deployments"),
        ("operator", "nodes"),
        ("operator", "pods"),
    ] {
        assert!(summary_number(&text, label, word) > 0, "no {word}: {text}");
    }
    let reconciles = text.lines().find_map(|line| line.trim().strip_prefix("reconciles")).unwrap();
    assert!(reconciles.trim().split(' ').next().unwrap().parse::<u64>().unwrap() > 0, "{text}");
    assert!(text.contains("(0 failed)") && text.contains(" 0 watch errors"), "{text}");
    assert!(text.contains("every cache equals the server's state"), "{text}");
    assert!(text.contains("pods are on this node"), "{text}");
    sandbox.wait_until_clean();
}

#[test]
fn an_interrupt_ends_the_demo_with_the_summary() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.program_command(&[]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("opened with") {
        line.clear();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "the demo ended before the interrupt");
    }
    send_signal(&child, Signal::INT);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(wait_for_exit(child).0, Some(0), "{rest}");
    assert!(rest.contains("summary of") && rest.contains("every cache equals"), "{rest}");
    sandbox.wait_until_clean();
}

#[test]
fn invalid_arguments_are_rejected() {
    let sandbox = Sandbox::new();
    for args in [["--seconds", "0"], ["--seconds", "soon"], ["--seed", "-1"]] {
        let (code, text) = wait_for_exit(sandbox.program_command(&args).spawn().unwrap());
        assert_eq!(code, Some(2), "{text}");
    }
}
