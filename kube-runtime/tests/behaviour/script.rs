//! A server with scripted responses, for data that the simulated server cannot send.

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{Api, Client, client::Body};
use kube_runtime::watcher::{Config, InitialListStrategy};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The responses of a server, and the queries that it has received.
#[derive(Default)]
pub(crate) struct Script {
    /// The items of each list response, in order. The last response repeats.
    pub(crate) lists: Vec<Vec<Value>>,
    /// The events of each watch, in order. Each event follows 100 ms after the previous event. The event `null` ends
    /// its watch. A watch without `null` stays open. Watches after the last one in this list stay open without an event.
    pub(crate) watches: Vec<Vec<Value>>,
    /// Whether the events of each watch repeat for ever.
    pub(crate) repeats: bool,
    /// The queries of the requests so far, in order.
    pub(crate) queries: Vec<String>,
}

impl Script {
    /// A script with one object. After the list, the watch repeats one change of this object for ever.
    pub(crate) fn with_repeated_change() -> Self {
        Self {
            lists: vec![vec![map("a", "5", "1")]],
            watches: vec![vec![event("MODIFIED", &map("a", "6", "2"))]],
            repeats: true,
            queries: Vec::new(),
        }
    }

    /// The number of list requests so far.
    pub(crate) fn list_count(&self) -> usize {
        self.queries.iter().filter(|query| !query.contains("watch=")).count()
    }
}

/// The body of a list with this resource version.
fn list_body(items: &[Value], version: &str) -> String {
    json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items})
        .to_string()
}

/// Returns an API of config maps, and the script. A mock server answers the requests of the API from the script, and adds
/// the query of each request to the script. `version` is the resource version of the lists.
pub(crate) fn maps_of(script: Script, version: &'static str) -> (Api<ConfigMap>, Arc<Mutex<Script>>) {
    let script = Arc::new(Mutex::new(script));
    let shared = script.clone();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let mut script = shared.lock().unwrap();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let is_watch = query.contains("watch=");
        script.queries.push(query);
        let body = if is_watch {
            let number = script.queries.len() - script.list_count() - 1;
            let events = script.watches.get(number).cloned().unwrap_or_default();
            let events = if script.repeats {
                stream::iter(events).cycle().boxed()
            } else {
                stream::iter(events).boxed()
            };
            let open =
                events.chain(stream::pending()).take_while(|event| std::future::ready(!event.is_null()));
            Body::wrap_stream(open.then(|event| async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok::<_, Infallible>(format!("{event}\n"))
            }))
        } else {
            let number = (script.list_count() - 1).min(script.lists.len() - 1);
            Body::from(list_body(&script.lists[number], version).into_bytes())
        };
        std::future::ready(Ok::<_, Infallible>(http::Response::new(body)))
    });
    (Api::default_namespaced(Client::new(service, "default")), script)
}

/// A configuration with paged lists instead of streaming lists.
pub(crate) fn paged_list_config() -> Config {
    Config::default().initial_list_strategy(InitialListStrategy::ListWatch)
}

/// A config map whose uid is its name, and whose only key is `v`.
pub(crate) fn map(name: &str, version: &str, value: &str) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1", "data": {"v": value},
        "metadata": {"name": name, "namespace": "default", "uid": name, "resourceVersion": version}})
}

/// A config map without a name.
pub(crate) fn unnamed_map(version: &str) -> Value {
    let mut map = map("x", version, "9");
    map["metadata"].as_object_mut().unwrap().remove("name");
    map
}

pub(crate) fn event(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}

pub(crate) fn bookmark(version: &str) -> Value {
    let metadata = json!({"resourceVersion": version});
    event("BOOKMARK", &json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata}))
}
