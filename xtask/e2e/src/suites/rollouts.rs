//! The controllers of deployments and replica sets: rollouts, rollbacks, scaling, deadlines and adoption.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube_client::api::{ListParams, Patch, PatchParams, PostParams};
use kube_client::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::{deployment, eventually, object_from_json, pod};

suite!("rollouts":
    a_rollout_keeps_the_old_replica_set [Pods],
    a_rollback_reuses_the_old_replica_set [Pods],
    old_revisions_are_deleted [Pods],
    a_paused_deployment_scales_without_a_rollout [Pods],
    a_rollout_without_progress_exceeds_its_deadline [Pods],
    the_recreate_strategy_rolls_out_without_surge [Pods],
    a_replica_set_adopts_and_releases_pods [Pods],
);

/// The time limit of each wait.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

const REVISION_ANNOTATION: &str = "deployment.kubernetes.io/revision";

/// Waits until `is_met` returns true for an object, and returns the object.
pub(super) async fn wait_for_state<K>(
    api: &Api<K>,
    name: &str,
    what: &str,
    is_met: impl Fn(&Value) -> bool,
) -> Outcome<Value>
where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug,
{
    eventually(what, TIMEOUT, async || {
        let value = serde_json::to_value(api.get(name).await?)?;
        anyhow::ensure!(is_met(&value), "status: {}", value["status"]);
        Ok(Some(value))
    })
    .await
}

/// The status condition of this type; null if the object does not have this condition.
pub(super) fn condition<'a>(object: &'a Value, condition_type: &str) -> &'a Value {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == condition_type).unwrap_or(&Value::Null)
}

/// Waits until the controller has observed the latest generation of a deployment, and all pods are updated and available.
/// Returns the deployment.
async fn wait_for_rollout(api: &Api<Deployment>, name: &str) -> Outcome<Value> {
    wait_for_state(api, name, "the rollout is complete", |deployment| {
        let status = &deployment["status"];
        status["observedGeneration"] == deployment["metadata"]["generation"]
            && condition(deployment, "Progressing")["reason"] == "NewReplicaSetAvailable"
            && ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"]
                .iter()
                .all(|field| status[field] == deployment["spec"]["replicas"])
    })
    .await
}

fn revision(object: &impl ResourceExt) -> String {
    object.annotations().get(REVISION_ANNOTATION).cloned().unwrap_or_default()
}

/// The replica sets of the case in the order of their revisions.
async fn replica_sets(env: &Env) -> anyhow::Result<Vec<ReplicaSet>> {
    let mut sets = env.api::<ReplicaSet>().list(&ListParams::default()).await?.items;
    sets.sort_by_key(|set| revision(set).parse::<u64>().unwrap_or(0));
    Ok(sets)
}

async fn set_image(api: &Api<Deployment>, image: &str) -> Outcome<Deployment> {
    let containers = json!([{"name": "main", "image": image}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    Ok(api.patch("web", &PatchParams::default(), &Patch::Strategic(patch)).await?)
}

/// Waits until the replica sets, in the order of their revisions, have the sizes `expected`. Returns the replica sets in
/// this order.
async fn wait_for_sizes(env: &Env, expected: &[i32]) -> Outcome<Vec<ReplicaSet>> {
    eventually("the replica sets are scaled", TIMEOUT, async || {
        let sets = replica_sets(env).await?;
        let sizes: Vec<_> = sets.iter().map(|set| set.spec.replicas.unwrap_or(-1)).collect();
        anyhow::ensure!(sizes == expected, "{sizes:?} instead of {expected:?}");
        Ok(Some(sets))
    })
    .await
}

async fn a_rollout_keeps_the_old_replica_set(env: Env) -> Outcome {
    let api: Api<Deployment> = env.api();
    api.create(&PostParams::default(), &deployment("web", 3)?).await?;
    let first = wait_for_rollout(&api, "web").await?;
    check_eq!(condition(&first, "Available")["reason"], "MinimumReplicasAvailable");
    check_eq!(first["metadata"]["annotations"][REVISION_ANNOTATION], "1");
    check!(first["status"]["unavailableReplicas"].is_null());
    set_image(&api, "registry.k8s.io/pause:3.9").await?;
    let second = wait_for_rollout(&api, "web").await?;
    check_eq!(second["metadata"]["annotations"][REVISION_ANNOTATION], "2");
    let sets = wait_for_sizes(&env, &[0, 3]).await?;
    for set in &sets {
        let hash = set.labels().get("pod-template-hash").cloned().unwrap_or_default();
        check_eq!(set.name_any(), format!("web-{hash}"));
        let set = serde_json::to_value(set)?;
        check_eq!(set["spec"]["selector"]["matchLabels"]["pod-template-hash"], json!(hash));
        check_eq!(set["spec"]["template"]["metadata"]["labels"]["pod-template-hash"], json!(hash));
        check_eq!(set["metadata"]["ownerReferences"][0]["uid"], second["metadata"]["uid"]);
        check_eq!(set["metadata"]["ownerReferences"][0]["controller"], json!(true));
        let annotations = &set["metadata"]["annotations"];
        check_eq!(annotations["deployment.kubernetes.io/desired-replicas"], "3");
        check_eq!(annotations["deployment.kubernetes.io/max-replicas"], "4");
    }
    let events: Vec<_> = env
        .api::<k8s_openapi::api::core::v1::Event>()
        .list(&ListParams::default().fields("involvedObject.kind=Deployment"))
        .await?
        .items;
    let expected = format!("Scaled up replica set {} from 0 to 3", sets[0].name_any());
    check!(events.iter().any(|event| event.message.as_deref() == Some(expected.as_str())), "{events:?}");
    Ok(())
}

async fn a_rollback_reuses_the_old_replica_set(env: Env) -> Outcome {
    let api: Api<Deployment> = env.api();
    api.create(&PostParams::default(), &deployment("web", 2)?).await?;
    wait_for_rollout(&api, "web").await?;
    set_image(&api, "registry.k8s.io/pause:3.9").await?;
    wait_for_rollout(&api, "web").await?;
    let first = wait_for_sizes(&env, &[0, 2]).await?.remove(0);
    set_image(&api, "registry.k8s.io/pause:3.10").await?;
    wait_for_rollout(&api, "web").await?;
    let sets = wait_for_sizes(&env, &[0, 2]).await?;
    check_eq!(sets[1].uid(), first.uid());
    check_eq!(revision(&sets[1]), "3");
    let history = sets[1].annotations().get("deployment.kubernetes.io/revision-history");
    check_eq!(history.map(String::as_str), Some("1"));
    Ok(())
}

async fn old_revisions_are_deleted(env: Env) -> Outcome {
    let api: Api<Deployment> = env.api();
    let mut web = deployment("web", 1)?;
    web.spec.revision_history_limit = Some(1);
    api.create(&PostParams::default(), &web).await?;
    wait_for_rollout(&api, "web").await?;
    for version in ["3.9", "3.8", "3.7"] {
        set_image(&api, &format!("registry.k8s.io/pause:{version}")).await?;
        wait_for_rollout(&api, "web").await?;
    }
    eventually("two revisions remain", TIMEOUT, async || {
        let revisions: Vec<_> = replica_sets(&env).await?.iter().map(revision).collect();
        anyhow::ensure!(revisions == ["3", "4"], "{revisions:?}");
        Ok(Some(()))
    })
    .await
}

async fn a_paused_deployment_scales_without_a_rollout(env: Env) -> Outcome {
    let api: Api<Deployment> = env.api();
    api.create(&PostParams::default(), &deployment("web", 2)?).await?;
    wait_for_rollout(&api, "web").await?;
    let merge = |patch: Value| {
        let api = api.clone();
        async move { api.patch("web", &PatchParams::default(), &Patch::Merge(patch)).await }
    };
    merge(json!({"spec": {"paused": true}})).await?;
    wait_for_state(&api, "web", "the deployment is paused", |web| {
        condition(web, "Progressing")["reason"] == "DeploymentPaused"
    })
    .await?;
    set_image(&api, "registry.k8s.io/pause:3.9").await?;
    merge(json!({"spec": {"replicas": 3}})).await?;
    wait_for_state(&api, "web", "the deployment is scaled", |web| web["status"]["readyReplicas"] == 3)
        .await?;
    wait_for_sizes(&env, &[3]).await?;
    merge(json!({"spec": {"paused": false}})).await?;
    wait_for_rollout(&api, "web").await?;
    wait_for_sizes(&env, &[0, 3]).await?;
    Ok(())
}

async fn a_rollout_without_progress_exceeds_its_deadline(env: Env) -> Outcome {
    let api: Api<Deployment> = env.api();
    let mut web = deployment("web", 1)?;
    web.spec.progress_deadline_seconds = Some(2);
    if let Some(pod) = &mut web.spec.template.spec {
        pod.node_selector = Some([("example.com/none".to_owned(), "here".to_owned())].into());
    }
    api.create(&PostParams::default(), &web).await?;
    let web = wait_for_state(&api, "web", "the deadline is exceeded", |web| {
        condition(web, "Progressing")["reason"] == "ProgressDeadlineExceeded"
    })
    .await?;
    check_eq!(condition(&web, "Progressing")["status"], "False");
    check_eq!(condition(&web, "Available")["reason"], "MinimumReplicasUnavailable");
    check_eq!(web["status"]["unavailableReplicas"], json!(1));
    let pods = env.api::<Pod>().list(&ListParams::default()).await?.items;
    let pod = serde_json::to_value(&pods[0])?;
    check_eq!(condition(&pod, "PodScheduled")["reason"], "Unschedulable");
    Ok(())
}

async fn the_recreate_strategy_rolls_out_without_surge(env: Env) -> Outcome {
    let api: Api<Deployment> = env.api();
    let mut web = serde_json::to_value(deployment("web", 2)?)?;
    web["spec"]["strategy"] = json!({"type": "Recreate"});
    api.create(&PostParams::default(), &object_from_json(web)?).await?;
    wait_for_rollout(&api, "web").await?;
    set_image(&api, "registry.k8s.io/pause:3.9").await?;
    wait_for_rollout(&api, "web").await?;
    let sets = wait_for_sizes(&env, &[0, 2]).await?;
    // The strategy `Recreate` has no surge: the maximum number of pods equals `spec.replicas`.
    let annotations = sets[1].annotations();
    check_eq!(annotations.get("deployment.kubernetes.io/max-replicas").map(String::as_str), Some("2"));
    Ok(())
}

async fn a_replica_set_adopts_and_releases_pods(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let (sets, pods): (Api<ReplicaSet>, Api<Pod>) = (env.api(), env.api());
    let mut orphan = pod("orphan")?;
    orphan.labels_mut().insert("app".to_owned(), "web".to_owned());
    pods.create(&PostParams::default(), &orphan).await?;
    let mut set = serde_json::to_value(deployment("web", 2)?)?;
    set["kind"] = "ReplicaSet".into();
    let set = sets.create(&PostParams::default(), &object_from_json(set)?).await?;
    wait_for_state(&sets, "web", "two pods are ready", |set| set["status"]["readyReplicas"] == 2).await?;
    let adopted = pods.get("orphan").await?;
    check_eq!(adopted.owner_references().first().map(|owner| owner.uid.clone()), set.uid());
    let other = Patch::Merge(json!({"metadata": {"labels": {"app": "other"}}}));
    pods.patch("orphan", &PatchParams::default(), &other).await?;
    eventually("the pod is released and replaced", TIMEOUT, async || {
        let released = pods.get("orphan").await?.owner_references().is_empty();
        let count = pods.list(&ListParams::default()).await?.items.len();
        anyhow::ensure!(released && count == 3, "released: {released}, {count} pods");
        Ok(Some(()))
    })
    .await
}
