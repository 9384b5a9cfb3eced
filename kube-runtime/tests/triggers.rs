//! A test that the tracing span of a reconcile has the cause of the reconcile. This program has no other test: the
//! subscriber applies only to the thread of the test, and a test on a thread without a subscriber could disable the
//! span.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "behaviour/common.rs"]
mod common;

use common::{client, maps, poll_for, put_map};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube_client::{Api, ResourceExt};
use kube_runtime::controller::{self, Action};
use kube_runtime::reflector::ObjectRef;
use kube_runtime::{Controller, watcher};
use kube_sim::Sim;
use serde_json::json;
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Collects the fields of the spans of reconciles.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

/// The fields of a span, as texts.
struct Fields(Vec<String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push(format!("{}={value:?}", field.name()));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.name() == "reconciling object"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields(Vec::new());
        span.record(&mut fields);
        let mut spans = self.0.lock().unwrap();
        spans.push(fields.0.join(" "));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn the_span_of_a_reconcile_has_the_object_the_cause_and_the_attempt() {
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(spans.clone());
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let (send, named) = futures::channel::mpsc::unbounded();
    let (send_all, all) = futures::channel::mpsc::unbounded();
    let secrets: Api<Secret> = Api::default_namespaced(client(&sim));
    let reconcile = async |map: Arc<ConfigMap>, _: Arc<()>| -> Result<Action, Infallible> {
        let again = map.data.as_ref().is_some_and(|data| data["v"] == "again");
        Ok(if again { Action::requeue(Duration::from_secs(60)) } else { Action::await_change() })
    };
    let mut results = Controller::new(maps(&sim), watcher::Config::default())
        .watches(secrets, watcher::Config::default(), |secret| {
            Some(ObjectRef::new(&secret.name_any()).within("default"))
        })
        .reconcile_on(named)
        .reconcile_all_on(all)
        .run(
            move |map, context| Box::pin(reconcile(map, context)) as futures::future::BoxFuture<'static, _>,
            controller::backoff_on_error,
            Arc::new(()),
        )
        .boxed();
    poll_for(1, &mut results).await;
    let mut expected = vec!["the object changed"];
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "default"}});
    sim.create(&secret).unwrap();
    poll_for(1, &mut results).await;
    expected.push("default/a of /api/v1/namespaces/default/secrets changed");
    send.unbounded_send(ObjectRef::new("a").within("default")).unwrap();
    poll_for(1, &mut results).await;
    expected.push("unknown");
    send_all.unbounded_send(()).unwrap();
    poll_for(1, &mut results).await;
    expected.push("all objects are reconciled");
    put_map(&sim, "a", "again");
    poll_for(61, &mut results).await;
    expected.extend(["the object changed", "requeued by the reconciler"]);
    let expected: Vec<_> = expected
        .into_iter()
        .map(|reason| format!("object.ref=ConfigMap default/a object.reason={reason} attempt=1"))
        .collect();
    assert_eq!(*spans.0.lock().unwrap(), expected);
}
