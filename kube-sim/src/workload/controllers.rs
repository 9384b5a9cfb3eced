//! A simplified deployment controller and a simplified replica set controller.

use http::Method;
use serde_json::{Value, json};

use super::engine::{CONTROLLER, Engine, namespace_and_name, object_reference};

/// The label that distinguishes the pods of a deployment's replica sets.
const HASH_LABEL: &str = "pod-template-hash";

/// The characters of generated names.
const NAME_CHARACTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The FNV-1a hash of a pod template, in the characters of generated names.
fn template_hash(template: &Value) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in template.to_string().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (0..10)
        .map(|i| {
            char::from(
                NAME_CHARACTERS[usize::try_from(hash >> (i * 6) & 63).unwrap_or(0) % NAME_CHARACTERS.len()],
            )
        })
        .collect()
}

fn number_or_zero(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn is_owned_by(object: &Value, owner: &Value) -> bool {
    let refs = object["metadata"]["ownerReferences"].as_array();
    refs.is_some_and(|r| r.iter().any(|r| r["uid"] == owner["metadata"]["uid"] && r["controller"] == true))
}

/// The owner references of an object that a controller creates for `owner`.
fn owner_references(owner: &Value, kind: &str) -> Value {
    json!([{
        "apiVersion": "apps/v1", "kind": kind, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    }])
}

fn is_being_deleted(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Reconciles the replica sets and the status of every deployment.
pub(super) fn reconcile_deployments(engine: &mut Engine) {
    let sets = engine.list("apps/v1", "ReplicaSet");
    for deployment in engine.list("apps/v1", "Deployment") {
        if is_being_deleted(&deployment) || deployment["spec"]["paused"] == true {
            continue;
        }
        let owned: Vec<&Value> = sets.iter().filter(|s| is_owned_by(s, &deployment)).collect();
        advance_rollout(engine, &deployment, &owned);
    }
}

/// Makes one step of the rollout of a deployment. `owned` are the replica sets of the deployment.
fn advance_rollout(engine: &mut Engine, deployment: &Value, owned: &[&Value]) {
    let (namespace, name) = namespace_and_name(deployment);
    let wanted = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
    let hash = template_hash(&deployment["spec"]["template"]);
    let current = owned.iter().find(|s| s["metadata"]["labels"][HASH_LABEL] == hash.as_str()).copied();
    let old: Vec<&Value> =
        owned.iter().filter(|s| s["metadata"]["labels"][HASH_LABEL] != hash.as_str()).copied().collect();
    let old_size: i64 = old.iter().map(|s| number_or_zero(&s["spec"]["replicas"])).sum();
    let Some(current) = current else {
        let first = if old_size == 0 { wanted } else { wanted.min(1) };
        create_replica_set(engine, deployment, &hash, first, owned.len() + 1);
        return;
    };
    // Rolling update with maxSurge 1 and maxUnavailable 1.
    let size = number_or_zero(&current["spec"]["replicas"]);
    let target = if old_size == 0 { wanted } else { wanted.min((wanted + 1 - old_size).max(size)) };
    if target != size {
        scale_replica_set(engine, deployment, current, target);
    }
    let ready = number_or_zero(&current["status"]["readyReplicas"]);
    let spare = (ready + old_size - (wanted - 1).max(0)).max(0);
    let mut to_remove = spare.min(old_size);
    for set in &old {
        let have = number_or_zero(&set["spec"]["replicas"]);
        let less = have.min(to_remove);
        if less > 0 {
            scale_replica_set(engine, deployment, set, have - less);
            to_remove -= less;
        }
    }
    // Keep two old replica sets, as with `revisionHistoryLimit: 2`.
    let mut empty: Vec<&&Value> = old
        .iter()
        .filter(|s| {
            number_or_zero(&s["spec"]["replicas"]) == 0 && number_or_zero(&s["status"]["replicas"]) == 0
        })
        .collect();
    empty.sort_by_key(|s| number_or_zero(&s["metadata"]["generation"]));
    for set in empty.iter().skip(2) {
        engine.force_delete(&format!(
            "/apis/apps/v1/namespaces/{namespace}/replicasets/{}",
            namespace_and_name(set).1
        ));
    }
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}/status");
    let status = deployment_status(&engine.now(), deployment, current, owned, wanted);
    if would_change(deployment, &status) {
        engine.patch(&path, CONTROLLER, &status);
    }
}

/// Creates the replica set for the pod template with the hash `hash`.
fn create_replica_set(engine: &mut Engine, deployment: &Value, hash: &str, replicas: i64, revision: usize) {
    let (namespace, name) = namespace_and_name(deployment);
    let mut template = deployment["spec"]["template"].clone();
    let mut selector = deployment["spec"]["selector"].clone();
    if !template["metadata"]["labels"].is_object() || !selector["matchLabels"].is_object() {
        return;
    }
    template["metadata"]["labels"][HASH_LABEL] = hash.into();
    selector["matchLabels"][HASH_LABEL] = hash.into();
    let set_name = format!("{name}-{hash}");
    let set = json!({
        "metadata": {
            "name": set_name,
            "namespace": namespace,
            "labels": template["metadata"]["labels"],
            "annotations": {
                "deployment.kubernetes.io/desired-replicas": deployment["spec"]["replicas"].as_i64().unwrap_or(1).to_string(),
                "deployment.kubernetes.io/revision": revision.to_string(),
            },
            "ownerReferences": owner_references(deployment, "Deployment"),
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    });
    let path = format!("/apis/apps/v1/namespaces/{namespace}/replicasets");
    if engine.write(&Method::POST, &path, CONTROLLER, &set).is_some() {
        record_scaling(engine, deployment, &set_name, 0, replicas);
    }
}

fn scale_replica_set(engine: &mut Engine, deployment: &Value, set: &Value, replicas: i64) {
    let (namespace, name) = namespace_and_name(set);
    let path = format!("/apis/apps/v1/namespaces/{namespace}/replicasets/{name}");
    if engine.patch(&path, CONTROLLER, &json!({"spec": {"replicas": replicas}})).is_some() {
        record_scaling(engine, deployment, name, number_or_zero(&set["spec"]["replicas"]), replicas);
    }
}

/// Creates the Event about the scaling of a replica set.
fn record_scaling(engine: &mut Engine, deployment: &Value, set: &str, from: i64, to: i64) {
    let direction = if to >= from { "up" } else { "down" };
    let message = format!("Scaled {direction} replica set {set} from {from} to {to}");
    let about = object_reference(deployment, "apps/v1", "Deployment");
    let namespace = namespace_and_name(deployment).0.to_owned();
    engine.create_event(&about, &namespace, "Normal", "ScalingReplicaSet", &message, "deployment-controller");
}

/// The status of a deployment, as the body of a merge patch.
fn deployment_status(now: &str, deployment: &Value, current: &Value, owned: &[&Value], wanted: i64) -> Value {
    let sum = |field: &str| -> i64 { owned.iter().map(|s| number_or_zero(&s["status"][field])).sum() };
    let (total, ready) = (sum("replicas"), sum("readyReplicas"));
    let updated = number_or_zero(&current["status"]["replicas"]);
    let available = ready >= wanted - wanted / 4;
    let done = updated >= wanted && ready >= wanted && total == updated;
    let set = namespace_and_name(current).1;
    let condition = |kind: &str, on: bool, reason: &str, message: String| {
        let status = if on { "True" } else { "False" };
        let before =
            deployment["status"]["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == kind);
        if let Some(before) =
            before.filter(|c| c["status"] == status && c["reason"] == reason && c["message"] == *message)
        {
            return before.clone();
        }
        let since =
            before.filter(|c| c["status"] == status).map_or(json!(now), |c| c["lastTransitionTime"].clone());
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": since, "lastUpdateTime": now,
        })
    };
    let conditions = [
        if available {
            condition(
                "Available",
                true,
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.".into(),
            )
        } else {
            condition(
                "Available",
                false,
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.".into(),
            )
        },
        if done {
            condition(
                "Progressing",
                true,
                "NewReplicaSetAvailable",
                format!("ReplicaSet \"{set}\" has successfully progressed."),
            )
        } else {
            condition(
                "Progressing",
                true,
                "ReplicaSetUpdated",
                format!("ReplicaSet \"{set}\" is progressing."),
            )
        },
    ];
    // Kubernetes omits a count of zero. In a merge patch, null removes the field.
    let count = |n: i64| if n == 0 { Value::Null } else { n.into() };
    json!({"status": {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": count(total),
        "updatedReplicas": count(updated),
        "readyReplicas": count(ready),
        "availableReplicas": count(ready),
        "unavailableReplicas": count((wanted - ready).max(0)),
        "conditions": conditions,
    }})
}

/// Whether the merge patch `patch` would change the status of `object`. Most patches would not; a step that does not
/// send them takes much less time.
fn would_change(object: &Value, patch: &Value) -> bool {
    let wanted = patch["status"].as_object();
    wanted.is_some_and(|w| w.iter().any(|(field, value)| &object["status"][field.as_str()] != value))
}

/// Reconciles the pods and the status of every replica set.
pub(super) fn reconcile_replica_sets(engine: &mut Engine) {
    let pods = engine.list("v1", "Pod");
    for set in engine.list("apps/v1", "ReplicaSet") {
        if is_being_deleted(&set) {
            continue;
        }
        let active = |p: &&Value| {
            !is_being_deleted(p) && !matches!(p["status"]["phase"].as_str(), Some("Failed" | "Succeeded"))
        };
        let mut owned: Vec<&Value> = pods.iter().filter(|p| is_owned_by(p, &set)).filter(active).collect();
        let wanted = usize::try_from(set["spec"]["replicas"].as_i64().unwrap_or(1)).unwrap_or(0);
        for _ in owned.len()..wanted {
            create_pod(engine, &set);
        }
        owned.sort_by_key(|p| super::kubelet::is_ready(p));
        let surplus = owned.len().saturating_sub(wanted);
        for pod in &owned[..surplus] {
            let (namespace, name) = namespace_and_name(pod);
            let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
            let about = object_reference(&set, "apps/v1", "ReplicaSet");
            // The request fails if the pod has been deleted since the list.
            if engine.sim.request(&Method::DELETE, &path, "", &Value::Null).is_ok() {
                engine.create_event(
                    &about,
                    namespace,
                    "Normal",
                    "SuccessfulDelete",
                    &format!("Deleted pod: {name}"),
                    "replicaset-controller",
                );
            }
        }
        let ready = owned[surplus..].iter().filter(|p| super::kubelet::is_ready(p)).count();
        update_replica_set_status(engine, &set, owned.len() - surplus, ready);
    }
}

/// Writes the status of a replica set with `total` pods, `ready` of which are ready.
fn update_replica_set_status(engine: &Engine, set: &Value, total: usize, ready: usize) {
    let (namespace, name) = namespace_and_name(set);
    let count = |n: usize| if n == 0 { Value::Null } else { n.into() };
    let status = json!({"status": {
        "observedGeneration": set["metadata"]["generation"],
        "replicas": total,
        "fullyLabeledReplicas": count(total),
        "readyReplicas": count(ready),
        "availableReplicas": count(ready),
    }});
    if would_change(set, &status) {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/replicasets/{name}/status");
        engine.patch(&path, CONTROLLER, &status);
    }
}

/// Creates a pod of a replica set, and the Event about it.
fn create_pod(engine: &mut Engine, set: &Value) {
    let (namespace, name) = namespace_and_name(set);
    let template = &set["spec"]["template"];
    let pod = json!({
        "metadata": {
            "generateName": format!("{name}-"),
            "namespace": namespace,
            "labels": template["metadata"]["labels"],
            "annotations": template["metadata"]["annotations"],
            "ownerReferences": owner_references(set, "ReplicaSet"),
        },
        "spec": template["spec"],
    });
    let made = engine.write(&Method::POST, &format!("/api/v1/namespaces/{namespace}/pods"), CONTROLLER, &pod);
    if let Some(made) = made {
        let about = object_reference(set, "apps/v1", "ReplicaSet");
        let message = format!("Created pod: {}", namespace_and_name(&made).1);
        engine.create_event(
            &about,
            namespace,
            "Normal",
            "SuccessfulCreate",
            &message,
            "replicaset-controller",
        );
    }
}
