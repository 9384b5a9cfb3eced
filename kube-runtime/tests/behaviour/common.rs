//! Helpers for the tests that run against the simulated server.
#![allow(dead_code, clippy::unused_async, reason = "every test program uses only a part of this module")]

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{Api, Client, ResourceExt};
use kube_runtime::controller::Action;
use kube_runtime::watcher::{self, Event};
use kube_sim::Sim;
use serde_json::json;
use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// A client of the simulated server.
pub(crate) fn client(sim: &Sim) -> Client {
    Client::new(sim.service(), "default")
}

/// The API of the config maps in the namespace `default`.
pub(crate) fn maps(sim: &Sim) -> Api<ConfigMap> {
    Api::default_namespaced(client(sim))
}

/// Creates or updates a config map in the namespace `default`. `value` is the value of its only key `v`.
pub(crate) fn put_map(sim: &Sim, name: &str, value: &str) {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"},
        "data": {"v": value}});
    if sim.get("v1", "ConfigMap", "default", name).is_ok() {
        sim.update(&object).unwrap();
    } else {
        sim.create(&object).unwrap();
    }
}

/// Deletes the config map `name` in the namespace `default`.
pub(crate) fn delete_map(sim: &Sim, name: &str) {
    sim.delete("v1", "ConfigMap", "default", name).unwrap();
}

/// Formats a config map as its name and value, such as `a=1`.
pub(crate) fn format_map(map: &ConfigMap) -> String {
    let value = map.data.as_ref().and_then(|data| data.get("v")).map_or("", String::as_str);
    format!("{}={value}", map.name_any())
}

/// Formats an item of a watcher. `[` stands for `Init`, `*a=1` for `InitApply`, `]` for `InitDone`, `+a=1` for `Apply`
/// and `-a=1` for `Delete`. An error is `!` and its text.
pub(crate) fn format_item<O: std::borrow::Borrow<ConfigMap>>(item: watcher::Result<Event<O>>) -> String {
    match item {
        Ok(Event::Init) => "[".into(),
        Ok(Event::InitDone) => "]".into(),
        Ok(Event::InitApply(map)) => format!("*{}", format_map(map.borrow())),
        Ok(Event::Apply(map)) => format!("+{}", format_map(map.borrow())),
        Ok(Event::Delete(map)) => format!("-{}", format_map(map.borrow())),
        Err(error) => format!("!{}", error_chain(&error)),
    }
}

/// Formats an error and its causes on one line.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The log of a test's reconciler.
#[derive(Default)]
pub(crate) struct Log {
    lines: Mutex<Vec<String>>,
    /// The number of current calls of [`simulate_work`](Log::simulate_work).
    pub(crate) running: AtomicUsize,
    /// The maximum of `running`.
    pub(crate) peak: AtomicUsize,
}

impl Log {
    pub(crate) fn add_line(&self, line: impl Into<String>) {
        self.lines.lock().unwrap().push(line.into());
    }

    /// Removes and returns all lines.
    pub(crate) fn take_lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }

    /// Waits for `time`, and updates `running` and `peak`.
    pub(crate) async fn simulate_work(&self, time: Duration) {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(running, Ordering::SeqCst);
        tokio::time::sleep(time).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Polls a stream for `seconds` of the paused clock, or until the stream ends.
pub(crate) async fn poll_for(seconds: u64, results: &mut (impl Stream + Unpin)) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while let Ok(Some(_)) = timeout_at(end, results.next()).await {}
}

/// A reconciler that logs the object.
pub(crate) async fn log_object(map: Arc<ConfigMap>, log: Arc<Log>) -> Result<Action, Infallible> {
    log.add_line(format_map(&map));
    Ok(Action::await_change())
}
