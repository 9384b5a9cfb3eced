//! Runs the rows of `cargo xtask bench` against a small mock API server, and compares the digests. No test has an upper
//! limit for a measured time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use bench_load::{MockServer, Plan};
use serde_json::{Value, json};

/// The number of pods of the mock API server.
const PODS: usize = 250;

/// The HTTP address and the HTTPS address of a mock API server with [`PODS`] pods. All tests share this server.
fn server_addresses() -> (SocketAddr, SocketAddr) {
    static ADDRESSES: OnceLock<(SocketAddr, SocketAddr)> = OnceLock::new();
    *ADDRESSES.get_or_init(|| {
        let server = Arc::new(MockServer::new(Plan { pods: PODS, seed: 1 }).unwrap());
        let (plain, tls) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = (plain.local_addr().unwrap(), tls.local_addr().unwrap());
        let other = server.clone();
        std::thread::spawn(move || server.serve(&plain).unwrap());
        std::thread::spawn(move || other.serve_tls(tls).unwrap());
        addresses
    })
}

/// The mock API server's digest of a set of objects. `set` is the name of the set, such as `pods`.
fn expected_digest(set: &str) -> Value {
    send_control_request(&format!("test/-/digest?of={set}"))
}

/// Sends a control request to the mock API server and decodes the response.
fn send_control_request(path: &str) -> Value {
    let mut connection = TcpStream::connect(server_addresses().0).unwrap();
    write!(connection, "GET /{path} HTTP/1.1\r\n\r\n").unwrap();
    connection.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Runs the contender. Returns the report of the contender, or its standard error if the contender fails.
fn run_contender(row: &str, calls: usize) -> Result<Value, String> {
    let (plain, tls) = server_addresses();
    let (source, tls_source) = (plain.to_string(), tls.to_string());
    let job = json!({"row": row, "source": source, "tls_source": tls_source, "session": row, "calls": calls});
    let output = Command::new(env!("CARGO_BIN_EXE_bench-ours")).arg(job.to_string()).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap())
}

/// Asserts that the row processes `units` units and reports its costs. If `set` is not `None`, also asserts that the
/// row's digest equals the mock API server's digest of `set`.
#[track_caller]
fn check_row(row: &str, units: usize, set: Option<&str>) {
    check_row_with_calls(row, PODS, units, set);
}

/// Like [`check_row`], but with `calls` calls instead of one for each pod.
#[track_caller]
fn check_row_with_calls(row: &str, calls: usize, units: usize, set: Option<&str>) {
    let report = run_contender(row, calls).unwrap();
    let outcome = &report["done"];
    assert_eq!(outcome["units"], units, "{report}");
    for cost in ["wall_ns", "cpu_ns", "peak_kib", "after_kib"] {
        assert!(outcome[cost].as_u64().unwrap() > 0, "{cost} in {report}");
    }
    if let Some(set) = set {
        assert_eq!(outcome["digest"], expected_digest(set), "{report}");
        assert!(outcome["digest"]["count"].as_u64().unwrap() > 0, "{report}");
        assert!(outcome["kept_kib"].is_u64(), "{report}");
    }
}

#[test]
fn list_rows_and_store_rows_receive_all_objects() {
    check_row("list", PODS, Some("pods"));
    check_row("store-list", PODS, Some("pods"));
    check_row("store-list-tls", PODS, Some("pods"));
    check_row("store-list-tls-http1", PODS, Some("pods"));
    check_row("store-watchlist", PODS, Some("pods"));
    for row in ["store-compact", "store-compact-decoded", "store-compact-zstd", "store-compact-reads"] {
        check_row(row, PODS, Some("pods"));
    }
    check_row("store-incomplete", PODS, Some("five-fields"));
    check_row("store-kinds", PODS * 2 + PODS.div_ceil(20), Some("kinds"));
}

#[test]
fn the_event_row_and_the_relist_row_reach_their_final_states() {
    check_row("events", PODS, Some("after-events"));
    check_row("relist", PODS, Some("relisted"));
}

#[test]
fn filters_keep_the_matching_events() {
    check_row("filter-generation", PODS, Some("new-generation"));
    check_row("filter-labels", PODS, Some("selected"));
}

#[test]
fn protobuf_rows_read_the_same_objects_as_json_rows() {
    check_row("list-protobuf", PODS, Some("pods"));
    check_row("store-list-protobuf", PODS, Some("pods"));
    check_row("store-watchlist-protobuf", PODS, Some("pods"));
    check_row("store-kinds-protobuf", PODS * 2 + PODS.div_ceil(20), Some("kinds"));
    check_row("events-protobuf", PODS, Some("after-events"));
    check_row("filter-generation-protobuf", PODS, Some("new-generation"));
    check_row("filter-labels-protobuf", PODS, Some("selected"));
    check_row("relist-protobuf", PODS, Some("relisted"));
    check_row("get-protobuf", PODS, None);
    check_row("get-32-protobuf", PODS / 32 * 32, None);
}

#[test]
fn get_rows_receive_the_requested_objects() {
    check_row("get", PODS, None);
    check_row("get-32", PODS / 32 * 32, None);
    check_row("get-tls", PODS, None);
    check_row("get-32-tls", PODS / 32 * 32, None);
    check_row("get-tls-http1", PODS, None);
    check_row("get-32-tls-http1", PODS / 32 * 32, None);
    check_row("get-tls-hyper-util", PODS, None);
    check_row("get-in-process", PODS, None);
}

#[test]
fn exec_rows_transfer_all_data() {
    check_row_with_calls("exec-stdout", 64, 64, None);
    check_row_with_calls("exec-stdin", 64, 64, None);
}

#[test]
fn watches_and_calls_share_few_connections() {
    let report = run_contender("watches", 600).unwrap();
    assert!(report["done"]["units"].as_u64().unwrap() > 0, "{report}");
    let connections = send_control_request("watches/-/connections");
    assert!((2..=16).contains(&connections.as_u64().unwrap()), "{connections}");
}

#[test]
fn controllers_reconcile_all_objects() {
    check_row("first-reconcile", 1, Some("widgets"));
    check_row("reconcile", PODS, Some("widgets"));
}

#[test]
fn shared_informers_serve_controllers_and_subscribers() {
    check_row("shared-controllers", PODS, Some("pods"));
    check_row("subscribers", PODS, Some("after-events"));
}

#[test]
fn the_queue_processes_all_keys_and_the_index_finds_the_pods() {
    check_row("priority-queue", PODS, None);
    check_row("index-lookups", PODS, Some("pods"));
}

#[test]
fn an_idle_manager_is_measured_for_the_requested_time() {
    check_row_with_calls("idle-manager", 100, 100, None);
    let report = run_contender("idle-manager", 100).unwrap();
    assert!(report["done"]["wakeups"].as_u64().unwrap() > 0, "{report}");
    assert!(report["done"]["wall_ns"].as_u64().unwrap() >= 100_000_000, "{report}");
}

#[test]
fn an_unknown_row_is_rejected() {
    let error = run_contender("lost", PODS).unwrap_err();
    assert!(error.contains("unknown row \"lost\""), "{error}");
}
