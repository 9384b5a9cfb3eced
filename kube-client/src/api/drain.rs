//! Drains a node: cordons it and evicts its pods.

use super::{Api, DeleteParams, Evict, EvictParams, ListParams, PartialObjectMeta, Preconditions};
use crate::core::{ApiResource, Object};
use crate::{Client, Error};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Node, Pod},
};
use serde::{Deserialize, de::IgnoredAny};
use std::{collections::HashMap, fmt, time::Duration};
use thiserror::Error as ThisError;
use tokio::time::{sleep, timeout};

/// The annotation of a mirror pod. The kubelet creates a mirror pod on the API server for each of its static pods. Only the
/// kubelet can stop a static pod.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
/// The pause before the next attempt to evict a pod, after the server has refused the eviction; as in kubectl.
const EVICTION_RETRY_PAUSE: Duration = Duration::from_secs(5);
/// The interval at which the deletion of a pod is checked, as in kubectl.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The maximum number of pods that one drain evicts concurrently.
const MAX_CONCURRENT_EVICTIONS: usize = 16;

/// The options of [`drain`], as in `kubectl drain`.
///
/// ```
/// use kube_client::api::DrainParams;
///
/// let params = DrainParams { ignore_daemon_sets: true, ..DrainParams::default() };
/// assert!(!params.force);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent options, named as in kubectl")]
pub struct DrainParams {
    /// Whether to leave the pods of daemon sets on the node, instead of refusing to drain it. The daemon set controller
    /// ignores whether a node is cordoned, and would create the pods again.
    pub ignore_daemon_sets: bool,
    /// Whether to evict pods with `emptyDir` volumes, whose data is lost. Pods in phase `Succeeded` or `Failed` are evicted
    /// even without this option.
    pub delete_empty_dir_data: bool,
    /// Whether to evict pods without a controller, and pods whose daemon set no longer exists. No controller creates
    /// these pods again. Pods in phase `Succeeded` or `Failed` are evicted even without this option.
    pub force: bool,
    /// Whether to delete the pods instead of evicting them. A deletion ignores `PodDisruptionBudget`s.
    pub disable_eviction: bool,
    /// The label selector of the pods to evict; `None` for all pods.
    pub pod_selector: Option<String>,
    /// The grace period of the pods; `None` for the period that each pod specifies.
    pub grace_period: Option<Duration>,
    /// The time limit on the whole operation; `None` to wait until all pods are deleted.
    pub timeout: Option<Duration>,
}

/// The pods of a drained node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// The pods that no longer exist: the drain evicted them, or deleted them with [`DrainParams::disable_eviction`]. Also
    /// contains pods that another client deleted during the drain.
    pub evicted: Vec<PodName>,
    /// The pods that match [`DrainParams::pod_selector`] and stay on the node: each mirror pod, and each pod
    /// that an existing daemon set controls and whose phase is neither `Succeeded` nor `Failed`.
    pub kept: Vec<PodName>,
}

/// The namespace and name of a pod. `Display` writes `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An error of [`drain`]. If `drain` cordoned the node before the error occurred, the node stays cordoned.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum DrainError {
    /// Some pods must not be evicted with these parameters. No pod was evicted.
    #[error("cannot drain node {node}: {}", format_obstacles(.obstacles))]
    Refused {
        /// The name of the node.
        node: String,
        /// The pods that must not be evicted, each with the reason.
        obstacles: Vec<(PodName, DrainObstacle)>,
    },
    /// A request failed.
    #[error("drain node {node}: {what}")]
    Request {
        /// The name of the node.
        node: String,
        /// The operation that failed, such as the eviction of a pod.
        what: String,
        /// The error of the request.
        source: Error,
    },
    /// The drain did not end within the time limit.
    #[error(
        "drain node {node}: pods are left after {after:?}; see their PodDisruptionBudgets and finalizers"
    )]
    Timeout {
        /// The name of the node.
        node: String,
        /// The time limit.
        after: Duration,
    },
}

/// The reason that a pod must not be evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DrainObstacle {
    /// The pod belongs to a daemon set: see [`DrainParams::ignore_daemon_sets`].
    DaemonSet,
    /// The pod has an `emptyDir` volume: see [`DrainParams::delete_empty_dir_data`].
    EmptyDir,
    /// The pod has no controller, or its controller is a daemon set that no longer exists: see [`DrainParams::force`].
    Unmanaged,
}

impl fmt::Display for DrainObstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DaemonSet => "belongs to a daemon set (set ignore_daemon_sets to leave it)",
            Self::EmptyDir => "has an emptyDir volume (set delete_empty_dir_data to lose its data)",
            Self::Unmanaged => "has no controller that would create it again (set force to evict it)",
        })
    }
}

fn format_obstacles(obstacles: &[(PodName, DrainObstacle)]) -> String {
    let texts: Vec<_> = obstacles.iter().map(|(pod, obstacle)| format!("pod {pod} {obstacle}")).collect();
    texts.join("; ")
}

/// Cordons a node, evicts its pods, and waits until they are deleted, as `kubectl drain` does.
///
/// While a `PodDisruptionBudget` forbids an eviction, or the namespace of the pod is being deleted, this function
/// repeats the eviction every five seconds. Mirror pods stay on the node. Daemon set pods in phase `Succeeded` or `Failed`
/// are evicted. The other pods of existing daemon sets stay if [`DrainParams::ignore_daemon_sets`] is set; otherwise this
/// function fails with [`DrainError::Refused`].
///
/// ```
/// use kube_client::{Client, api::{DrainParams, drain}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = Client::new(kube_sim::Sim::new().service(), "default");
/// # let nodes = kube_client::Api::all(client.clone());
/// # let node = k8s_openapi::api::core::v1::Node {
/// #     metadata: kube_client::api::ObjectMeta { name: Some("worker-1".into()), ..Default::default() },
/// #     ..Default::default()
/// # };
/// # nodes.create(&Default::default(), &node).await?;
/// let params = DrainParams { ignore_daemon_sets: true, ..DrainParams::default() };
/// let drained = drain(&client, "worker-1", &params).await?;
/// println!("{} pods evicted", drained.evicted.len());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// See [`DrainError`]. After an error, the node stays cordoned, unless the cordon request itself failed. Some pods of
/// the node may already have been evicted.
///
/// # Cancel safety
///
/// Dropping the future stops the drain. The node stays cordoned, and some pods may already have been evicted. Another
/// call continues the drain.
pub async fn drain(client: &Client, node: &str, params: &DrainParams) -> Result<Drained, DrainError> {
    let drain = Drain { client, node, params };
    match params.timeout {
        None => drain.run().await,
        Some(after) => {
            let timed_out = || DrainError::Timeout { node: node.to_owned(), after };
            timeout(after, drain.run()).await.unwrap_or_else(|_| Err(timed_out()))
        }
    }
}

/// One run of [`drain`].
#[derive(Clone, Copy)]
struct Drain<'a> {
    client: &'a Client,
    node: &'a str,
    params: &'a DrainParams,
}

/// A pod that a drain may evict, with the fields that [`decide`] reads.
type CandidatePod = Object<PodVolumes, PodPhase>;

/// The volumes of a pod.
#[derive(Debug, Clone, Deserialize)]
struct PodVolumes {
    #[serde(default)]
    volumes: Option<Vec<PodVolume>>,
}

/// A volume of a pod, with the field that marks an `emptyDir`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodVolume {
    empty_dir: Option<IgnoredAny>,
}

/// The phase of a pod.
#[derive(Debug, Clone, Deserialize)]
struct PodPhase {
    phase: Option<String>,
}

impl Evict for CandidatePod {}

/// Whether a drain evicts a pod, keeps it on the node, or fails because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Evict,
    Keep,
    Refuse(DrainObstacle),
}

impl Drain<'_> {
    async fn run(self) -> Result<Drained, DrainError> {
        let nodes: Api<PartialObjectMeta<Node>> = Api::all(self.client.clone());
        nodes.cordon(self.node).await.map_err(|source| self.error("cordon it", source))?;
        let mut lp = ListParams::default().fields(&format!("spec.nodeName={}", self.node));
        lp.label_selector.clone_from(&self.params.pod_selector);
        let pods: Api<CandidatePod> = Api::all_with(self.client.clone(), &pod_resource());
        let pods = pods.list(&lp).await.map_err(|source| self.error("list its pods", source))?.items;

        let mut drained = Drained::default();
        let (mut obstacles, mut to_evict) = (Vec::new(), Vec::new());
        let mut daemon_sets = HashMap::new();
        for pod in pods {
            let daemon_set_exists = self.daemon_set_exists(&pod, &mut daemon_sets).await?;
            match decide(&pod, daemon_set_exists, self.params) {
                Decision::Evict => to_evict.push(pod),
                Decision::Keep => drained.kept.push(name_of(&pod)),
                Decision::Refuse(obstacle) => obstacles.push((name_of(&pod), obstacle)),
            }
        }
        if !obstacles.is_empty() {
            return Err(DrainError::Refused { node: self.node.to_owned(), obstacles });
        }
        let evictions =
            stream::iter(to_evict).map(|pod| self.evict(pod)).buffer_unordered(MAX_CONCURRENT_EVICTIONS);
        drained.evicted = evictions.try_collect().await?;
        drained.evicted.sort();
        Ok(drained)
    }

    /// Whether the daemon set that controls the pod exists; `None` if the controller of the pod is not a daemon set.
    /// `known` contains the earlier results, by namespace and name of the daemon set.
    async fn daemon_set_exists(
        self,
        pod: &CandidatePod,
        known: &mut HashMap<(String, String), bool>,
    ) -> Result<Option<bool>, DrainError> {
        let owners = pod.metadata.owner_references.iter().flatten();
        let mut controllers = owners.filter(|owner| owner.controller == Some(true));
        let Some(owner) = controllers.find(|owner| owner.kind == "DaemonSet") else { return Ok(None) };
        let namespace = name_of(pod).namespace;
        let key = (namespace.clone(), owner.name.clone());
        if let Some(exists) = known.get(&key) {
            return Ok(Some(*exists));
        }
        let api: Api<DaemonSet> = Api::namespaced(self.client.clone(), &namespace);
        let found = api.get_metadata_opt(&owner.name).await;
        let exists = found
            .map_err(|source| self.error(&format!("read daemon set {namespace}/{}", owner.name), source))?
            .is_some();
        known.insert(key, exists);
        Ok(Some(exists))
    }

    /// Evicts a pod, and waits until it no longer exists. With `disable_eviction`, deletes the pod instead of evicting it.
    async fn evict(self, pod: CandidatePod) -> Result<PodName, DrainError> {
        let pod_name = name_of(&pod);
        let client = self.client.clone();
        let api: Api<CandidatePod> = Api::namespaced_with(client, &pod_name.namespace, &pod_resource());
        let uid = pod.metadata.uid;
        // Without the uid, the request could evict a new pod with the same name.
        let preconditions = Preconditions { uid: uid.clone(), ..Preconditions::default() };
        let mut dp = DeleteParams::default().preconditions(preconditions);
        if let Some(period) = self.params.grace_period {
            dp = dp.grace_period(period);
        }
        loop {
            let outcome = if self.params.disable_eviction {
                api.delete(&pod_name.name, &dp).await.map(drop)
            } else {
                let ep = EvictParams { delete_options: Some(dp.clone()), ..EvictParams::default() };
                api.evict(&pod_name.name, &ep).await.map(drop)
            };
            match outcome {
                Ok(()) => break,
                // The pod is deleted, or another pod has its name.
                Err(error) if error.is_not_found() || error.is_conflict() => break,
                Err(error) if error.is_too_many_requests() || is_namespace_terminating(&error) => {
                    sleep(EVICTION_RETRY_PAUSE).await;
                }
                Err(source) => return Err(self.error(&format!("evict pod {pod_name}"), source)),
            }
        }
        loop {
            match api.get_metadata_opt(&pod_name.name).await {
                Ok(Some(found)) if found.metadata.uid == uid => sleep(POLL_INTERVAL).await,
                Ok(_) => return Ok(pod_name),
                Err(source) => {
                    return Err(self.error(&format!("wait for the deletion of pod {pod_name}"), source));
                }
            }
        }
    }

    /// The error for a failed request. `what` is the operation.
    fn error(self, what: &str, source: Error) -> DrainError {
        DrainError::Request { node: self.node.to_owned(), what: what.to_owned(), source }
    }
}

/// Whether an eviction was forbidden because the pod's namespace is being deleted.
fn is_namespace_terminating(error: &Error) -> bool {
    let causes =
        error.status().and_then(|status| status.details.as_ref()).map(|details| details.causes.as_slice());
    error.is_forbidden()
        && causes.unwrap_or_default().iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// Decides whether a drain evicts `pod`. `daemon_set_exists` is the result of [`Drain::daemon_set_exists`].
fn decide(pod: &CandidatePod, daemon_set_exists: Option<bool>, params: &DrainParams) -> Decision {
    let is_mirror = pod.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(MIRROR_ANNOTATION));
    if is_mirror {
        return Decision::Keep;
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    // As in kubectl, no option is needed to evict a pod that has ended: the eviction interrupts no work.
    let has_ended = matches!(phase, Some("Succeeded" | "Failed"));
    match daemon_set_exists {
        Some(_) if has_ended => {}
        Some(true) if params.ignore_daemon_sets => return Decision::Keep,
        Some(true) => return Decision::Refuse(DrainObstacle::DaemonSet),
        Some(false) if !params.force => return Decision::Refuse(DrainObstacle::Unmanaged),
        Some(false) | None => {}
    }
    let has_empty_dir = pod.spec.volumes.iter().flatten().any(|volume| volume.empty_dir.is_some());
    if has_empty_dir && !has_ended && !params.delete_empty_dir_data {
        return Decision::Refuse(DrainObstacle::EmptyDir);
    }
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let has_controller = owners.any(|owner| owner.controller == Some(true));
    if !has_controller && !has_ended && !params.force {
        return Decision::Refuse(DrainObstacle::Unmanaged);
    }
    Decision::Evict
}

fn pod_resource() -> ApiResource {
    ApiResource::erase::<Pod>(&())
}

fn name_of(pod: &CandidatePod) -> PodName {
    PodName {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name: pod.metadata.name.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check_decision(
        pod: &Value,
        daemon_set_exists: Option<bool>,
        params: &DrainParams,
        expected: Decision,
    ) {
        let pod: CandidatePod = serde_json::from_value(pod.clone()).unwrap();
        assert_eq!(decide(&pod, daemon_set_exists, params), expected);
    }

    /// A pod of a replica set, with these volumes and in this phase.
    fn pod_of_replica_set(volumes: &Value, phase: &str) -> Value {
        let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": true});
        json!({
            "metadata": {"name": "web", "ownerReferences": [owner]},
            "spec": {"containers": [], "volumes": volumes}, "status": {"phase": phase},
        })
    }

    #[test]
    fn a_drain_decides_about_each_pod_as_kubectl_does() {
        let none = DrainParams::default();
        let force = DrainParams { force: true, ..DrainParams::default() };
        let ignore = DrainParams { ignore_daemon_sets: true, ..DrainParams::default() };
        let delete_data = DrainParams { delete_empty_dir_data: true, ..DrainParams::default() };
        let bare = |phase: &str| json!({"metadata": {"name": "web"}, "spec": {}, "status": {"phase": phase}});
        let empty_dir = json!([{"name": "cache", "emptyDir": {}}]);

        check_decision(&pod_of_replica_set(&json!([]), "Running"), None, &none, Decision::Evict);
        check_decision(&bare("Running"), None, &none, Decision::Refuse(DrainObstacle::Unmanaged));
        check_decision(&bare("Running"), None, &force, Decision::Evict);
        check_decision(&bare("Succeeded"), None, &none, Decision::Evict);
        check_decision(
            &pod_of_replica_set(&empty_dir, "Running"),
            None,
            &none,
            Decision::Refuse(DrainObstacle::EmptyDir),
        );
        check_decision(&pod_of_replica_set(&empty_dir, "Running"), None, &delete_data, Decision::Evict);
        check_decision(&pod_of_replica_set(&empty_dir, "Failed"), None, &none, Decision::Evict);
        check_decision(
            &pod_of_replica_set(&json!([]), "Running"),
            Some(true),
            &none,
            Decision::Refuse(DrainObstacle::DaemonSet),
        );
        check_decision(&pod_of_replica_set(&json!([]), "Running"), Some(true), &ignore, Decision::Keep);
        check_decision(&pod_of_replica_set(&json!([]), "Failed"), Some(true), &none, Decision::Evict);
        check_decision(
            &pod_of_replica_set(&json!([]), "Running"),
            Some(false),
            &ignore,
            Decision::Refuse(DrainObstacle::Unmanaged),
        );
        check_decision(&pod_of_replica_set(&json!([]), "Running"), Some(false), &force, Decision::Evict);
        check_decision(
            &pod_of_replica_set(&empty_dir, "Running"),
            Some(false),
            &force,
            Decision::Refuse(DrainObstacle::EmptyDir),
        );
        check_decision(&pod_of_replica_set(&json!([]), "Failed"), Some(false), &none, Decision::Evict);
        let mirror =
            json!({"metadata": {"name": "web", "annotations": {MIRROR_ANNOTATION: "h"}}, "spec": {}});
        check_decision(&mirror, None, &none, Decision::Keep);
    }
}
