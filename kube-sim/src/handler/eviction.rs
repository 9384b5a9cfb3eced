//! The subresource `eviction` of pods: deletes a pod unless a PodDisruptionBudget forbids it.

use http::StatusCode;
use serde_json::{Value, json};

use super::delete::Preconditions;
use super::deletion::{self, Propagation};
use super::reply::Reply;
use super::subresource::success_reply;
use super::typed_body::BodyKind;
use super::{Call, object_meta, read};
use crate::controllers;
use crate::json::has_condition;
use crate::status::SimError;
use crate::store::State;
use crate::store::object::StoredObject;
use crate::store::selector::LabelSelector;

const EVICTION: BodyKind<'_> = BodyKind { group: "policy", version: "v1", kind: "Eviction" };

const BUDGETS: &str = "policy/poddisruptionbudgets";

/// `check_budget` refuses an eviction if `disruptedPods` of the budget has more entries than this. The
/// disruption controller removes the entry of an eviction that it has observed.
const MAX_DISRUPTED_PODS: usize = 2_000;

/// Handles an `Eviction`. The status of the budget records the eviction, so that the checks of later evictions count it.
pub(super) async fn evict_pod(call: &Call<'_>) -> Result<Reply, SimError> {
    let body = EVICTION.decode(call)?;
    // The error for a missing pod has precedence over the error for another name in the body.
    read::find(call.inner.lock().view(), call.target)?;
    let named = body["metadata"]["name"].as_str().unwrap_or(&call.target.name);
    if named != call.target.name {
        return Err(SimError::bad_request("name in URL does not match name in Eviction object"));
    }
    let body = call.admit_body(body, &call.target.name, None).await?;
    let preconditions = Preconditions::of(&body["deleteOptions"]);
    let mut state = call.inner.lock();
    let pod = read::find(state.view(), call.target)?;
    preconditions.check(call.target, &pod)?;
    let dry_run = call.options.dry_run || body["deleteOptions"]["dryRun"] == json!(["All"]);
    if is_protected(&pod.value()) {
        enforce_budget(call, &mut state, dry_run)?;
    }
    let grace = body["deleteOptions"]["gracePeriodSeconds"].as_i64();
    let storage_key = (call.target.resource.storage.clone(), pod.key.clone());
    if !dry_run {
        add_disruption_condition(call, &mut state, &pod)?;
        deletion::delete(&mut state, &call.target.resource, &storage_key, Propagation::Background, grace);
        controllers::run(&mut state);
    }
    Ok(success_reply(StatusCode::CREATED))
}

/// Sets the condition `DisruptionTarget` of an evicted pod. Clients see the condition until the graceful deletion of
/// the pod ends.
fn add_disruption_condition(call: &Call<'_>, state: &mut State, pod: &StoredObject) -> Result<(), SimError> {
    let mut value = pod.value();
    if object_meta::is_being_deleted(&value) {
        return Ok(());
    }
    if !value["status"]["conditions"].is_array() {
        value["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = value["status"]["conditions"].as_array_mut() else { return Ok(()) };
    conditions.retain(|condition| condition["type"] != "DisruptionTarget");
    conditions.push(json!({
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": call.inner.clock.stamp(),
    }));
    state.commit(&call.target.resource, pod.key.clone(), value).map(drop)
}

/// Whether budgets apply to the pod. They do not apply to pods that are pending, have ended, or are being deleted.
fn is_protected(pod: &Value) -> bool {
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    !matches!(phase, "Pending" | "Succeeded" | "Failed") && !object_meta::is_being_deleted(pod)
}

fn is_ready(pod: &Value) -> bool {
    has_condition(pod, "Ready", "True")
}

/// Whether the budget allows the eviction of any pod that is not ready, whatever `disruptionsAllowed` of the
/// budget is. This is the case if `unhealthyPodEvictionPolicy` is `AlwaysAllow`, or if enough pods are
/// healthy. The status of the budget then does not record the eviction of a pod that is not ready.
fn tolerates_unready(budget: &Value) -> bool {
    if budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" {
        return true;
    }
    let desired = status_number(budget, "desiredHealthy");
    desired > 0 && status_number(budget, "currentHealthy") >= desired
}

/// A numeric field of the status of the budget.
fn status_number(budget: &Value, field: &str) -> i64 {
    budget["status"][field].as_i64().unwrap_or(0)
}

/// Checks the budget of the pod, and records the eviction in the status of the budget. A dry run only checks.
///
/// # Errors
/// 429 if the budget does not allow the eviction, 403 if `disruptionsAllowed` is negative or `disruptedPods` has too
/// many entries, 500 if the pod has several budgets.
fn enforce_budget(call: &Call<'_>, state: &mut State, dry_run: bool) -> Result<(), SimError> {
    let pod = read::find(state.view(), call.target)?;
    let budgets = state.objects(BUDGETS, &call.target.namespace);
    let mut covering = budgets.into_iter().filter_map(|budget| {
        let value = budget.value();
        let selector = &value["spec"]["selector"];
        let covers = selector.is_object() && LabelSelector::from_json(selector).matches(&pod.labels);
        covers.then(|| (budget.key.clone(), value))
    });
    let (first, second) = (covering.next(), covering.next());
    drop(covering);
    let Some((key, mut budget)) = first else { return Ok(()) };
    if second.is_some() {
        let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        return Err(SimError::new(StatusCode::INTERNAL_SERVER_ERROR, "", message));
    }
    if !is_ready(&pod.value()) && tolerates_unready(&budget) {
        return Ok(());
    }
    check_budget(&budget)?;
    if dry_run {
        return Ok(());
    }
    record_eviction(&mut budget, pod.name(), &call.inner.clock.stamp());
    if let Some(resource) = state.registry.find_by_storage(BUDGETS) {
        state.commit(&resource, key, budget)?;
    }
    Ok(())
}

/// Checks that the status of the budget allows one more eviction.
fn check_budget(budget: &Value) -> Result<(), SimError> {
    let name = budget["metadata"]["name"].as_str().unwrap_or_default();
    let refuse = |why: String, seconds: Option<u32>| {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.";
        let error = SimError::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message);
        let error = error.with_causes(vec![json!({"reason": "DisruptionBudget", "message": why})]);
        Err(match seconds {
            Some(seconds) => error.with_retry_after(seconds),
            None => error,
        })
    };
    let forbid = |why| Err(SimError::forbidden("policy", "poddisruptionbudgets", name, why));
    let generation = budget["metadata"]["generation"].as_i64().unwrap_or(0);
    if status_number(budget, "observedGeneration") < generation {
        return refuse(
            format!("The disruption budget {name} is still being processed by the server."),
            Some(10),
        );
    }
    let allowed = status_number(budget, "disruptionsAllowed");
    if allowed < 0 {
        return forbid("pdb disruptions allowed is negative");
    }
    if budget["status"]["disruptedPods"].as_object().is_some_and(|pods| pods.len() > MAX_DISRUPTED_PODS) {
        return forbid("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
    }
    if allowed == 0 {
        let (desired, current) =
            (status_number(budget, "desiredHealthy"), status_number(budget, "currentHealthy"));
        return refuse(
            format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently"),
            None,
        );
    }
    Ok(())
}

/// Counts an eviction in the status of the budget.
fn record_eviction(budget: &mut Value, pod: &str, now: &str) {
    let allowed = status_number(budget, "disruptionsAllowed") - 1;
    let observed = budget["status"]["observedGeneration"].clone();
    let status = &mut budget["status"];
    status["disruptionsAllowed"] = allowed.into();
    if !status["disruptedPods"].is_object() {
        status["disruptedPods"] = json!({});
    }
    status["disruptedPods"][pod] = now.into();
    if allowed > 0 {
        return;
    }
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(conditions) = status["conditions"].as_array_mut() else { return };
    let old = conditions.iter().position(|condition| condition["type"] == "DisruptionAllowed");
    let changed = match old.map(|index| conditions.remove(index)) {
        Some(old) if old["status"] == "False" => old["lastTransitionTime"].clone(),
        _ => now.into(),
    };
    conditions.push(json!({
        "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
        "observedGeneration": observed, "lastTransitionTime": changed,
    }));
}
