//! Test objects and waits with a deadline, for all cases. Assertions about behaviour stay in the suites.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use anyhow::anyhow;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube_client::api::{ListParams, ObjectMeta};
use kube_client::core::TypeMeta;
use kube_client::{Api, Resource, ResourceExt};
use kube_runtime::Reflector;
use kube_runtime::reflector::Store;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout_at};

use super::failure::{Failure, Outcome};

/// The interval between two polls of a condition.
const PAUSE: Duration = Duration::from_millis(50);

/// A label on cluster-scoped objects of a run, to find those that a killed run did not delete.
pub(crate) const LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "kube-xtask-e2e");

/// Metadata with a name.
pub(crate) fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

/// A config map with one value under `v`.
pub(crate) fn config_map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: named(name),
        data: Some(BTreeMap::from([("v".to_owned(), value.to_owned())])),
        ..ConfigMap::default()
    }
}

/// The value under `v`.
pub(crate) fn value(map: &ConfigMap) -> &str {
    map.data.as_ref().and_then(|data| data.get("v")).map_or("", String::as_str)
}

/// A config map with one value and one label.
pub(crate) fn labelled(name: &str, key: &str, label: &str) -> ConfigMap {
    let mut map = config_map(name, "1");
    map.labels_mut().insert(key.to_owned(), label.to_owned());
    map
}

/// An object from its JSON, which may leave out its type.
pub(crate) fn object<K: DeserializeOwned>(json: serde_json::Value) -> Outcome<K> {
    Ok(serde_json::from_value(json)?)
}

fn pod_spec(scheduler: &str) -> serde_json::Value {
    let container = json!({"name": "main", "image": "registry.k8s.io/pause:3.10"});
    json!({"containers": [container], "terminationGracePeriodSeconds": 0, "schedulerName": scheduler})
}

/// A pod with one container and a termination grace period of 0 seconds.
pub(crate) fn pod(name: &str) -> Outcome<Pod> {
    object(json!({"metadata": {"name": name}, "spec": pod_spec("default-scheduler")}))
}

/// A pod whose `schedulerName` no scheduler has, so that it stays pending.
pub(crate) fn idle_pod(name: &str) -> Outcome<Pod> {
    object(json!({"metadata": {"name": name}, "spec": pod_spec("nobody")}))
}

/// A deployment of pods with the label `app` and its name.
pub(crate) fn deployment(name: &str, replicas: u32) -> Outcome<Deployment> {
    let labels = json!({"app": name});
    object(json!({
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

/// Polls `ask` until it returns `Some`.
///
/// # Errors
/// If `ask` returns no `Some` in time. The error contains `what` and the last error of `ask`.
#[track_caller]
pub(crate) fn eventually<T>(
    what: &str,
    within: Duration,
    ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> impl Future<Output = Outcome<T>> {
    let at = std::panic::Location::caller();
    async move { ask_until(what, within, ask).await.map_err(|error| Failure::at(at, error)) }
}

async fn ask_until<T>(
    what: &str,
    within: Duration,
    mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let end = Instant::now() + within;
    let mut last = None;
    loop {
        match timeout_at(end, ask()).await {
            Ok(Ok(Some(answer))) => return Ok(answer),
            Ok(Ok(None)) => last = None,
            Ok(Err(error)) => last = Some(error),
            Err(_) => {}
        }
        if Instant::now() >= end {
            let late = format!("not within {within:?}: {what}");
            return Err(match last {
                Some(error) => error.context(late),
                None => anyhow!(late),
            });
        }
        sleep(PAUSE).await;
    }
}

/// Polls a reflector until `wait` completes. Errors are logged at the debug level, because the reflector retries.
pub(crate) async fn polling<K, T>(
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

/// Waits until a store holds exactly what the server lists, object by object in the same version. The store must be fed
/// meanwhile.
///
/// # Errors
/// When that does not happen within the time: what is missing, left over or outdated.
pub(crate) async fn converges<K>(store: &Store<K>, api: &Api<K>, lp: &ListParams, within: Duration) -> Outcome
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

type Versions = BTreeMap<(Option<String>, String), Option<String>>;

fn versions<'a, K: Resource + 'a>(objects: impl Iterator<Item = &'a K>) -> Versions {
    objects.map(|o| ((o.namespace(), o.name_any()), o.resource_version())).collect()
}

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
        let _ = write!(text, "; {} is gone from the server", key.1);
    }
    text
}

/// Whether an object names its own type.
pub(crate) fn is_of(types: Option<&TypeMeta>, api_version: &str, kind: &str) -> bool {
    types.is_some_and(|types| types.api_version == api_version && types.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(versions: &[(&str, &str)]) -> Versions {
        versions
            .iter()
            .map(|(name, version)| ((None, (*name).to_owned()), Some((*version).to_owned())))
            .collect()
    }

    #[test]
    fn differences_name_the_objects() {
        let text = difference(&at(&[("a", "1"), ("b", "2")]), &at(&[("a", "3"), ("c", "4")]));
        for part in ["2 objects", "c is missing", "a is at Some(\"1\")", "b is gone"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[tokio::test]
    async fn a_wait_ends_with_what_went_wrong_last() {
        let outcome: Outcome =
            eventually("it rains", Duration::from_millis(60), async || anyhow::bail!("the sky is blue"))
                .await;
        let text = outcome.unwrap_err().to_string();
        assert!(text.ends_with("not within 60ms: it rains: the sky is blue"), "{text}");
        let asked = std::cell::Cell::new(0);
        let third = async || {
            asked.set(asked.get() + 1);
            Ok((asked.get() == 3).then_some(7))
        };
        assert_eq!(eventually("three", Duration::from_secs(1), third).await.unwrap(), 7);
    }
}
