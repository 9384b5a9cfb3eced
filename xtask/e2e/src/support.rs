//! Helpers of the cases: test objects, raw requests, and waits with a time limit. Contains no assertions about the
//! server.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use anyhow::anyhow;
use http::Request;
use http_body_util::BodyExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube_client::api::{ListParams, ObjectMeta};
use kube_client::client::Body;
use kube_client::core::TypeMeta;
use kube_client::{Api, Client, Resource, ResourceExt};
use kube_runtime::Reflector;
use kube_runtime::reflector::Store;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::failure::{Failure, Outcome};

/// The pause between two calls of the probe in [`eventually`].
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The key and value of the label that marks the namespaces of the cases, and most other cluster-scoped objects of a run.
/// A user can find these objects by the label after a run was killed.
pub(crate) const MANAGED_BY_LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "kube-xtask-e2e");

/// Metadata with a name.
pub(crate) fn named_metadata(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

/// A config map whose data has the key `v` with this value.
pub(crate) fn config_map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: named_metadata(name),
        data: Some(BTreeMap::from([("v".to_owned(), value.to_owned())])),
        ..ConfigMap::default()
    }
}

/// The value of the key `v` in the data of a config map; empty if the key is missing.
pub(crate) fn config_map_value(map: &ConfigMap) -> &str {
    map.data.as_ref().and_then(|data| data.get("v")).map_or("", String::as_str)
}

/// A config map with a label. Its data has the key `v` with the value `1`.
pub(crate) fn labelled_config_map(name: &str, key: &str, label: &str) -> ConfigMap {
    let mut map = config_map(name, "1");
    map.labels_mut().insert(key.to_owned(), label.to_owned());
    map
}

/// A node that a case creates and deletes. Pods on the node are lost with the node, so its taint keeps the
/// pods of other cases away.
pub(crate) fn temporary_node(name: &str) -> Outcome<Node> {
    object_from_json(json!({
        "metadata": {"name": name, "labels": {MANAGED_BY_LABEL.0: MANAGED_BY_LABEL.1, "kubernetes.io/os": "linux"}},
        "spec": {"taints": [{"key": "e2e.example.com/temporary", "effect": "NoSchedule"}]},
    }))
}

/// Deserializes an object from JSON, which may omit `apiVersion` and `kind`.
pub(crate) fn object_from_json<K: DeserializeOwned>(json: Value) -> Outcome<K> {
    Ok(serde_json::from_value(json)?)
}

/// The `spec` of a pod with one container.
fn pod_spec(scheduler: &str) -> Value {
    let container = json!({"name": "main", "image": "registry.k8s.io/pause:3.10"});
    json!({"containers": [container], "terminationGracePeriodSeconds": 0, "schedulerName": scheduler})
}

/// A pod with one container and a termination grace period of zero.
pub(crate) fn pod(name: &str) -> Outcome<Pod> {
    object_from_json(json!({"metadata": {"name": name}, "spec": pod_spec("default-scheduler")}))
}

/// A pod whose scheduler does not exist, so that the pod stays pending and no component changes the pod.
pub(crate) fn idle_pod(name: &str) -> Outcome<Pod> {
    object_from_json(json!({"metadata": {"name": name}, "spec": pod_spec("nobody")}))
}

/// A deployment. The deployment and its pods have the label `app`, whose value is `name`.
pub(crate) fn deployment(name: &str, replicas: u32) -> Outcome<Deployment> {
    let labels = json!({"app": name});
    object_from_json(json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec("default-scheduler")},
        },
    }))
}

/// The names of objects, sorted.
pub(crate) fn names<K: Resource>(
    objects: impl IntoIterator<Item = impl std::borrow::Borrow<K>>,
) -> Vec<String> {
    let mut names: Vec<_> = objects.into_iter().map(|object| object.borrow().name_any()).collect();
    names.sort();
    names
}

/// Calls `probe` repeatedly until it returns a value. An error of `probe` does not end the wait.
///
/// # Errors
/// When `probe` returns no value within the time limit. The error names `what`. If the last finished call of `probe`
/// failed, the error also contains the error of this call.
#[track_caller]
pub(crate) fn eventually<T>(
    what: &str,
    within: Duration,
    probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> impl Future<Output = Outcome<T>> {
    let caller = std::panic::Location::caller();
    async move { poll_until(what, within, probe).await.map_err(|error| Failure::at(caller, error)) }
}

/// Like [`eventually`], but the error has no source location.
async fn poll_until<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + within;
    let mut last = None;
    loop {
        match timeout_at(deadline, probe()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => last = None,
            Ok(Err(error)) => last = Some(error),
            Err(_) => {}
        }
        if Instant::now() >= deadline {
            let timed_out = format!("not within {within:?}: {what}");
            return Err(match last {
                Some(error) => error.context(timed_out),
                None => anyhow!(timed_out),
            });
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Polls a reflector until `wait` ends, and returns the outcome of `wait`. Logs the error of a poll at debug level: the
/// next poll retries.
pub(crate) async fn poll_reflector_until<K, T>(
    reflector: &mut Reflector<K>,
    wait: impl Future<Output = Outcome<T>>,
) -> Outcome<T>
where
    K: Resource + DeserializeOwned + Send + 'static,
{
    let poll = async {
        loop {
            if let Err(error) = reflector.poll().await {
                tracing::debug!("{:#}", anyhow!(error));
            }
        }
    };
    tokio::select! {
        outcome = wait => outcome,
        outcome = poll => outcome,
    }
}

/// Waits until a store contains exactly the objects that the server lists, with the same resource versions. The caller
/// must keep the store's reflector running.
///
/// # Errors
/// When the store and the server still differ at the end of the time limit. The error
/// names missing, outdated and deleted objects.
pub(crate) async fn wait_until_converged<K>(
    store: &Store<K>,
    api: &Api<K>,
    lp: &ListParams,
    within: Duration,
) -> Outcome
where
    K: Resource + DeserializeOwned + Send + 'static,
{
    eventually("the store equals the server's list", within, async || {
        let list = api.list(lp).await?;
        let listed = versions(list.items.iter());
        let state = store.state();
        let stored = versions(state.iter().map(AsRef::as_ref));
        if listed == stored { Ok(Some(())) } else { Err(anyhow!("{}", difference(&stored, &listed))) }
    })
    .await
}

/// The resource version of each object, by namespace and name.
type Versions = BTreeMap<(Option<String>, String), Option<String>>;

/// The resource versions of these objects.
fn versions<'a, K: Resource + 'a>(objects: impl Iterator<Item = &'a K>) -> Versions {
    objects.map(|o| ((o.namespace(), o.name_any()), o.resource_version())).collect()
}

/// Describes the differences between a store and the server's list: missing, outdated and deleted objects.
fn difference(stored: &Versions, listed: &Versions) -> String {
    let mut text = format!("the store has {} objects, the server {}", stored.len(), listed.len());
    for (key, version) in listed {
        let _ = match stored.get(key) {
            None => write!(text, "; {} is missing", key.1),
            Some(old) if old != version => write!(text, "; {} is at {old:?} instead of {version:?}", key.1),
            Some(_) => Ok(()),
        };
    }
    for key in stored.keys().filter(|key| !listed.contains_key(key)) {
        let _ = write!(text, "; {} is deleted on the server", key.1);
    }
    text
}

/// Whether an object has this `apiVersion` and `kind`.
pub(crate) fn has_type(types: Option<&TypeMeta>, api_version: &str, kind: &str) -> bool {
    types.is_some_and(|types| types.api_version == api_version && types.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions_by_name(versions: &[(&str, &str)]) -> Versions {
        versions
            .iter()
            .map(|(name, version)| ((None, (*name).to_owned()), Some((*version).to_owned())))
            .collect()
    }

    #[test]
    fn a_difference_names_the_objects() {
        let text = difference(
            &versions_by_name(&[("a", "1"), ("b", "2")]),
            &versions_by_name(&[("a", "3"), ("c", "4")]),
        );
        for part in ["2 objects", "c is missing", "a is at Some(\"1\")", "b is deleted"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[tokio::test]
    async fn a_wait_returns_the_value_of_the_probe_or_reports_the_last_error() {
        let outcome: Outcome =
            eventually("the pod runs", Duration::from_millis(60), async || anyhow::bail!("no node is ready"))
                .await;
        let text = outcome.unwrap_err().to_string();
        assert!(text.ends_with("not within 60ms: the pod runs: no node is ready"), "{text}");
        let calls = std::cell::Cell::new(0);
        let third = async || {
            calls.set(calls.get() + 1);
            Ok((calls.get() == 3).then_some(7))
        };
        assert_eq!(eventually("three", Duration::from_secs(1), third).await.unwrap(), 7);
    }
}

/// The response to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    /// The HTTP status code, and the reason and the message of the `Status` in the body.
    pub(crate) fn status(&self) -> (u16, &str, &str) {
        let text = |field: &str| self.body[field].as_str().unwrap_or_default();
        (self.code, text("reason"), text("message"))
    }
}

/// Sends a request, and reads the whole response. If the body is not JSON, [`Answer::body`] is null.
pub(crate) async fn send_raw(client: &Client, request: Request<Body>) -> anyhow::Result<Answer> {
    let (parts, body) = client.send(request).await?.into_parts();
    let bytes = body.collect().await.map_err(|error| anyhow!("{error}"))?.to_bytes();
    let warnings = parts.headers.get_all("warning").iter();
    Ok(Answer {
        code: parts.status.as_u16(),
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
        warnings: warnings.filter_map(|text| text.to_str().ok().map(str::to_owned)).collect(),
    })
}
