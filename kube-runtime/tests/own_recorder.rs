//! A test of a manager in a program that has installed a metrics recorder of its own.
#![cfg(feature = "manager")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "behaviour/common.rs"]
mod common;

use common::client;
use kube_runtime::manager::{Error, Manager};
use kube_sim::Sim;
use metrics_util::debugging::DebuggingRecorder;
use std::future::ready;

#[tokio::test]
async fn a_manager_installs_a_recorder_only_if_it_serves_and_renders_the_metrics() {
    DebuggingRecorder::new().install().unwrap();
    let sim = Sim::new();
    let manager = || Manager::new(client(&sim)).shutdown_on(ready(()));
    manager().without_server().run().await.unwrap();
    manager().without_server().listen_for_probes("127.0.0.1:0").unwrap().run().await.unwrap();
    manager().listen("127.0.0.1:0").unwrap().render_metrics(String::new).run().await.unwrap();
    let error = manager().listen("127.0.0.1:0").unwrap().run().await.unwrap_err();
    assert!(matches!(error, Error::Recorder), "{error}");
}
