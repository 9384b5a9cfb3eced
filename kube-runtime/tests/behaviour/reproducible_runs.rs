//! Two runs of a controller with the same seed have the same reconciles, errors, requests and final objects,
//! byte by byte, even if requests fail. The runtime has one thread and a paused clock.

use crate::common::{client, delete_map, maps, put_map};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube_client::api::{Patch, PatchParams};
use kube_client::{Api, Client, Resource, ResourceExt};
use kube_runtime::controller::{Action, backoff_on_error};
use kube_runtime::events::{Event, EventType, Recorder, Reporter};
use kube_runtime::leader::LeaderElector;
use kube_runtime::{Controller, watcher};
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use serde_json::json;
use std::{fmt::Write, sync::Arc, sync::Mutex, time::Duration};
use tokio::time::{Instant, sleep};

struct Context {
    client: Client,
    recorder: Recorder,
    started: Instant,
    trace: Mutex<String>,
}

impl Context {
    fn trace_line(&self, line: &str) {
        writeln!(self.trace.lock().unwrap(), "{:?} {line}", self.started.elapsed()).unwrap();
    }
}

/// Adds the object to the trace, writes a secret that the object owns, and publishes an event.
async fn reconcile(map: Arc<ConfigMap>, context: Arc<Context>) -> kube_client::Result<Action> {
    let name = map.name_any();
    context.trace_line(&format!("{name} {}", map.resource_version().unwrap_or_default()));
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "ownerReferences": [map.controller_owner_ref(&())]},
        "stringData": map.data,
    });
    let secrets = Api::<Secret>::default_namespaced(context.client.clone());
    secrets.patch(&name, &PatchParams::apply("replay").force(), &Patch::Apply(secret)).await?;
    let event = Event {
        type_: EventType::Normal,
        reason: "Copied".to_owned(),
        note: None,
        action: "Copy".to_owned(),
        secondary: None,
    };
    context.recorder.publish(&event, &map.object_ref(&())).await?;
    Ok(Action::requeue(Duration::from_secs(300)))
}

/// Changes objects, and makes requests fail, for ten minutes.
async fn disturb_server(sim: &Sim) {
    for name in 0..20 {
        put_map(sim, &name.to_string(), "0");
    }
    let faults = [
        Rule::new(Fault::status(503)).verb("patch").times(15),
        Rule::new(Fault::status_retry_after(429, 3)).times(5),
        Rule::new(Fault::Reset).verb("watch").times(4),
        Rule::new(Fault::CutAfterEvents(3)).verb("watch").times(3),
        Rule::new(Fault::Delay(Duration::from_secs(3))).times(20),
        Rule::new(Fault::ResetAfterHandling).verb("patch").times(5),
        Rule::new(Fault::status(500)).verb("list").times(3),
    ];
    for (round, fault) in faults.into_iter().enumerate() {
        sim.faults().add(fault);
        for name in (0..20).step_by(round + 2) {
            put_map(sim, &name.to_string(), &round.to_string());
        }
        sleep(Duration::from_millis(700)).await;
        sim.compact_all();
        sim.end_watches();
        delete_map(sim, &format!("{round}"));
        sim.delete("v1", "Secret", "default", &format!("{}", round + 10)).ok();
        sleep(Duration::from_secs(60)).await;
    }
    sleep(Duration::from_secs(180)).await;
}

/// Runs a controller with the seed `seed`. Returns the reconciles and errors with their times, all requests, and the final
/// objects.
fn run_controller(seed: u64) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    kube_runtime::seed(seed);
    runtime.unwrap().block_on(async {
        let start = "2026-01-01T00:00:00Z".parse().unwrap();
        kube_runtime::start_time(start);
        let sim = Sim::builder().seed(seed).start_time(start).build();
        let leadership = LeaderElector::new(client(&sim), "default", "operator", "pod").start().unwrap();
        let reporter =
            Reporter { controller: "example.com/replay".to_owned(), instance: Some("pod".to_owned()) };
        let context = Arc::new(Context {
            client: leadership.client(),
            recorder: Recorder::new(leadership.client(), reporter),
            started: Instant::now(),
            trace: Mutex::default(),
        });
        let secrets = Api::<Secret>::default_namespaced(client(&sim));
        let results = Controller::new(maps(&sim), watcher::Config::default())
            .owns(secrets, watcher::Config::default())
            .with_gate(leadership.gate())
            .run(reconcile, backoff_on_error, context.clone())
            .for_each(|result| {
                if let Err(error) = result {
                    context.trace_line(&crate::common::error_chain(&error));
                }
                std::future::ready(())
            });
        futures::future::select(std::pin::pin!(results), std::pin::pin!(disturb_server(&sim))).await;
        leadership.release().await.unwrap();
        let mut trace = context.trace.lock().unwrap().clone();
        for entry in sim.journal().entries() {
            writeln!(trace, "{entry:?}").unwrap();
        }
        for (api_version, kind) in [
            ("v1", "ConfigMap"),
            ("v1", "Secret"),
            ("events.k8s.io/v1", "Event"),
            ("coordination.k8s.io/v1", "Lease"),
        ] {
            for object in sim.list(api_version, kind, "default").unwrap() {
                writeln!(trace, "{object}").unwrap();
            }
        }
        trace
    })
}

#[test]
fn two_runs_with_one_seed_are_equal_despite_failures() {
    let (first, second) = (run_controller(1), run_controller(1));
    let difference = first.lines().zip(second.lines()).find(|(first, second)| first != second);
    assert_eq!(difference, None);
    assert_eq!(first, second);
    assert!(first.lines().count() > 200 && first.contains("503"), "{first}");
    assert_ne!(first, run_controller(2));
}
