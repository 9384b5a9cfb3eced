//! Tests of watches of custom resources that were stored under an earlier definition.

use futures::FutureExt as _;
use futures::future::poll_fn;
use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::Sim;
use crate::handler::accept;
use crate::handler::target::Path;
use crate::store::object::decode_count;

const FOOS: &str = "/apis/example.com/v1/namespaces/default/foos";

/// A simulation with the custom resource `a`, which was stored before its kind had the field `spec.color`.
fn sim_with_outdated_object() -> Sim {
    let sim = Sim::new();
    let definition = |fields: Value| {
        let spec = json!({"type": "object", "properties": fields});
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "foos.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                    "openAPIV3Schema": {"type": "object", "properties": {"spec": spec}},
                }}],
            },
        })
    };
    sim.create(&definition(json!({}))).unwrap();
    sim.create(
        &json!({"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "a"}, "spec": {}}),
    )
    .unwrap();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/foos.example.com";
    let changed = definition(json!({"color": {"type": "string", "default": "red"}}));
    sim.request(&Method::PATCH, path, "application/merge-patch+json", &changed).unwrap();
    sim
}

/// A watch that begins with the initial list.
fn open_watch(sim: &Sim) -> Watch {
    let target = Path::parse(FOOS).unwrap().resolve(&sim.inner().lock().registry).unwrap();
    open(sim.inner(), Arrival::default(), &target, &Options::default(), accept::JSON).unwrap()
}

/// The type of the next event and the color of its object.
fn next_event(watch: &mut Watch) -> (String, String) {
    let frame = poll_fn(|cx| watch.poll_frame(cx)).now_or_never().flatten().expect("an event is ready");
    let event: Value = serde_json::from_slice(&frame).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&event["type"]), text(&event["object"]["spec"]["color"]))
}

#[tokio::test]
async fn all_watches_share_the_decoded_object_of_an_event() {
    let sim = sim_with_outdated_object();
    let mut watches = [(); 3].map(|()| open_watch(&sim));
    for watch in &mut watches {
        assert_eq!(next_event(watch), ("ADDED".to_owned(), "red".to_owned()));
    }
    sim.delete("example.com/v1", "Foo", "default", "a").unwrap();
    let decoded = watches.each_mut().map(|watch| {
        let before = decode_count();
        assert_eq!(next_event(watch), ("DELETED".to_owned(), "red".to_owned()));
        decode_count() - before
    });
    // The first watch decodes the deleted object and its previous state.
    assert_eq!(decoded, [2, 0, 0]);
}
