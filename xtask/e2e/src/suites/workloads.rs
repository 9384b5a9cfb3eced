//! Pods that run on nodes: scheduling, rollouts, termination and eviction.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::{Eviction, PodDisruptionBudget};
use kube_client::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube_client::config::RetryPolicy;
use kube_client::core::Status;
use kube_client::{Api, Client, ResourceExt};
use kube_runtime::Reflector;
use kube_runtime::watcher::Config;
use serde_json::json;

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{
    deployment, eventually, named_metadata, object_from_json, pod, poll_reflector_until, wait_until_converged,
};

suite!("workloads":
    a_reflector_follows_a_rollout [Pods],
    a_pod_runs_and_terminates [Pods],
    a_disruption_budget_blocks_eviction [Pods],
    at_least_one_node_is_ready [Pods],
    a_pod_affinity_selects_namespaces_by_their_labels [Pods],
    spread_constraints_limit_the_skew_between_nodes [Pods, NewNodes],
);

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(90);

fn is_ready(pod: &Pod) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

async fn a_reflector_follows_a_rollout(env: Env) -> Outcome {
    let (deployments, pods): (Api<Deployment>, Api<Pod>) = (env.api(), env.api());
    let web = Config::default().labels("app=web");
    let mut reflector = Reflector::with_config(pods.clone(), web).timeout(Duration::from_secs(2));
    let reader = reflector.store();
    deployments.create(&PostParams::default(), &deployment("web", 3)?).await?;
    let rollout = async {
        eventually("three pods are ready", TIMEOUT, async || {
            Ok((reader.len() == 3 && reader.state_filter(is_ready).len() == 3).then_some(()))
        })
        .await?;
        let one = Patch::Merge(json!({"spec": {"replicas": 1}}));
        deployments.patch_scale("web", &PatchParams::default(), &one).await?;
        eventually("one pod remains", TIMEOUT, async || Ok((reader.len() == 1).then_some(()))).await?;
        let image =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "other"}]}}}});
        let old_uid = reader.state()[0].uid();
        deployments.patch("web", &PatchParams::default(), &Patch::Strategic(image)).await?;
        eventually("the pod is replaced", TIMEOUT, async || {
            let replaced =
                reader.len() == 1 && reader.state().iter().all(|pod| pod.uid() != old_uid && is_ready(pod));
            Ok(replaced.then_some(()))
        })
        .await?;
        deployments.delete("web", &DeleteParams::background()).await?;
        eventually("all pods are deleted", TIMEOUT, async || Ok(reader.is_empty().then_some(()))).await?;
        wait_until_converged(&reader, &pods, &ListParams::default().labels("app=web"), TIMEOUT).await
    };
    poll_reflector_until(&mut reflector, rollout).await
}

async fn a_pod_runs_and_terminates(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let pods: Api<Pod> = env.api();
    pods.create(&PostParams::default(), &pod("a")?).await?;
    let running =
        eventually("the pod is ready", TIMEOUT, async || Ok(Some(pods.get("a").await?).filter(is_ready)))
            .await?;
    check!(running.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).is_some());
    let deleted = pods.delete("a", &DeleteParams::default().grace_period(Duration::from_secs(5))).await?;
    if let either::Either::Left(pod) = deleted {
        check_eq!(pod.metadata.deletion_grace_period_seconds, Some(5));
    }
    eventually("the pod is deleted", TIMEOUT, async || Ok(pods.get_opt("a").await?.is_none().then_some(())))
        .await
}

async fn a_disruption_budget_blocks_eviction(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    // The client of the case does not retry after a 429 response, because the case checks this response.
    let mut config = env.config();
    config.retry = RetryPolicy::never();
    let pods: Api<Pod> = Api::default_namespaced(Client::try_from(config)?);
    let mut labelled = pod("a")?;
    labelled.labels_mut().insert("app".to_owned(), "a".to_owned());
    pods.create(&PostParams::default(), &labelled).await?;
    let budgets: Api<PodDisruptionBudget> = env.api();
    let budget = object_from_json(json!({
        "metadata": {"name": "all"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}},
    }))?;
    budgets.create(&PostParams::default(), &budget).await?;
    eventually("the budget counts the pod as healthy", TIMEOUT, async || {
        let status = budgets.get("all").await?.status;
        Ok(status.is_some_and(|status| status.current_healthy == Some(1)).then_some(()))
    })
    .await?;
    let eviction = Eviction { metadata: named_metadata("a"), ..Eviction::default() };
    let evict = async || -> kube_client::Result<Status> {
        pods.create_subresource("eviction", "a", &PostParams::default(), &eviction).await
    };
    let error = refused!(evict().await);
    check!(error.is_too_many_requests() && error.is_retryable(), "{error:?}");
    check!(error.to_string().contains("disruption budget"), "{error}");
    budgets.delete("all", &DeleteParams::default()).await?;
    eventually("the pod is evicted", TIMEOUT, async || match evict().await {
        Err(error) if error.is_too_many_requests() => Ok(None),
        other => Ok(Some(other?)),
    })
    .await?;
    eventually("the pod is deleted", TIMEOUT, async || Ok(pods.get_opt("a").await?.is_none().then_some(())))
        .await
}

async fn at_least_one_node_is_ready(env: Env) -> Outcome {
    let nodes: Api<Node> = Api::all(env.client());
    let mut reflector = Reflector::new(nodes.clone()).timeout(Duration::from_secs(1));
    reflector.poll().await?;
    let ready = reflector.read().into_iter().filter(|node| {
        let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    check!(ready.count() > 0);
    Ok(())
}

/// A pod with these fields in its spec, and with the label `app=spread`.
fn pod_with_fields(name: &str, fields: &serde_json::Value) -> Outcome<Pod> {
    let mut value = serde_json::to_value(pod(name)?)?;
    value["metadata"]["labels"] = json!({"app": "spread"});
    for (field, content) in fields.as_object().into_iter().flatten() {
        value["spec"][field] = content.clone();
    }
    object_from_json(value)
}

/// Waits until the pod has a node, and returns the name of the node.
async fn wait_for_node(pods: &Api<Pod>, name: &str) -> Outcome<String> {
    eventually(&format!("{name} has a node"), TIMEOUT, async || {
        Ok(pods.get(name).await?.spec.and_then(|spec| spec.node_name))
    })
    .await
}

/// Waits until the scheduler has reported that no node fits the pod, and returns the scheduler's message.
async fn wait_until_unschedulable(pods: &Api<Pod>, name: &str) -> Outcome<String> {
    eventually(&format!("no node fits {name}"), TIMEOUT, async || {
        let conditions =
            pods.get(name).await?.status.and_then(|status| status.conditions).unwrap_or_default();
        let refused = conditions.into_iter().find(|c| c.reason.as_deref() == Some("Unschedulable"));
        Ok(refused.and_then(|condition| condition.message))
    })
    .await
}

async fn a_pod_affinity_selects_namespaces_by_their_labels(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let pods: Api<Pod> = env.api();
    pods.create(&PostParams::default(), &pod_with_fields("db", &json!({}))?).await?;
    let node = wait_for_node(&pods, "db").await?;
    let near = |namespace: &str| {
        let term = json!({
            "topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "spread"}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        });
        json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}})
    };
    pods.create(&PostParams::default(), &pod_with_fields("near", &near(env.namespace()))?).await?;
    check_eq!(wait_for_node(&pods, "near").await?, node);
    pods.create(&PostParams::default(), &pod_with_fields("none", &near("default"))?).await?;
    let message = wait_until_unschedulable(&pods, "none").await?;
    check!(message.contains("didn't match pod affinity rules"), "{message}");
    Ok(())
}

async fn spread_constraints_limit_the_skew_between_nodes(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let pods: Api<Pod> = env.api();
    let nodes: Api<Node> = Api::all(env.client());
    // The selector excludes the nodes that other cases create: these nodes have no label `kubernetes.io/hostname`.
    let labelled = nodes.list(&ListParams::default().labels("kubernetes.io/hostname")).await?;
    check!(labelled.items.len() > 1, "the cluster has {} nodes", labelled.items.len());
    let first = labelled.items[0].name_any();
    let constraint = |key: &str| {
        json!({
            "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "spread"}},
        })
    };
    pods.create(&PostParams::default(), &pod_with_fields("first", &json!({"nodeName": first}))?).await?;
    // Only the first node has a pod with the label `app=spread`. With a second pod on this node, the skew would be two.
    let mut of_all_nodes = constraint("kubernetes.io/hostname");
    of_all_nodes["nodeAffinityPolicy"] = "Ignore".into();
    let pinned = json!({
        "nodeSelector": {"kubernetes.io/hostname": first}, "topologySpreadConstraints": [of_all_nodes],
    });
    pods.create(&PostParams::default(), &pod_with_fields("second", &pinned)?).await?;
    let message = wait_until_unschedulable(&pods, "second").await?;
    check!(message.contains("didn't match pod topology spread constraints"), "{message}");
    let unknown = json!({"topologySpreadConstraints": [constraint("example.com/rack")]});
    pods.create(&PostParams::default(), &pod_with_fields("unknown", &unknown)?).await?;
    let message = wait_until_unschedulable(&pods, "unknown").await?;
    check!(message.contains("(missing required label)"), "{message}");
    let spread = json!({"topologySpreadConstraints": [constraint("kubernetes.io/hostname")]});
    pods.create(&PostParams::default(), &pod_with_fields("third", &spread)?).await?;
    check!(wait_for_node(&pods, "third").await? != first, "both pods are on {first}");
    Ok(())
}
