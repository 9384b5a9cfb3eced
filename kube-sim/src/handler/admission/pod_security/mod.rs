//! The admission plugin PodSecurity: enforces the Pod Security Standards that the labels of a namespace select, and
//! warns of violations. The simulation has no audit log, so the level of `audit` is only checked for validity.

mod checks;
mod policy;
mod profile_checks;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::checks::{Pod, Violation, violations};
use self::policy::{Level, Policy, Standard};
use super::{NAMESPACES, Write, items, objects};
use crate::schema::FieldError;
use crate::status::SimError;
use crate::store::State;

/// The maximum number of existing pods that are checked when the enforced standard of a namespace changes.
const MAX_CHECKED_PODS: usize = 3000;

/// The subresources of pods that the plugin does not check.
const IGNORED_SUBRESOURCES: [&str; 8] =
    ["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"];

/// The resources with a pod template, and the path of the template.
const TEMPLATES: [(&str, &str, &str); 8] = [
    ("", "podtemplates", "/template"),
    ("", "replicationcontrollers", "/spec/template"),
    ("apps", "replicasets", "/spec/template"),
    ("apps", "deployments", "/spec/template"),
    ("apps", "statefulsets", "/spec/template"),
    ("apps", "daemonsets", "/spec/template"),
    ("batch", "jobs", "/spec/template"),
    ("batch", "cronjobs", "/spec/jobTemplate/spec/template"),
];

/// Checks a pod, a pod template, or the labels of a namespace.
///
/// # Errors
/// 403 for a pod that violates the enforced standard, 422 for invalid labels of a namespace.
pub(super) fn check(
    state: &State,
    write: &Write<'_>,
    object: &Value,
    warnings: &mut Vec<String>,
) -> Result<(), SimError> {
    if write.is_of(&[("", "namespaces")]) {
        return check_namespace(state, write, object, warnings);
    }
    if write.is_pod() {
        let ignored = IGNORED_SUBRESOURCES.contains(&write.subresource);
        if ignored || write.old.is_some_and(|old| !changes_images(old, object)) {
            return Ok(());
        }
        return check_pod(state, write, object, warnings);
    }
    let mut templates = TEMPLATES.iter();
    let Some((.., path)) = templates.find(|(group, plural, _)| write.is_of(&[(group, plural)])) else {
        return Ok(());
    };
    let policy = policy_of(state, write.namespace);
    if policy.warn.level != Level::Privileged
        && let Some(template) = object.pointer(path).filter(|template| template.is_object())
    {
        warnings.extend(warning(&policy.warn, template));
    }
    Ok(())
}

/// The policy of a namespace; the default policy, which allows all pods, if the namespace does not exist.
fn policy_of(state: &State, namespace: &str) -> Policy {
    let found = state.get(NAMESPACES, namespace);
    found.map_or_else(Policy::default, |namespace| Policy::of(|label| namespace.labels.get(label)).0)
}

fn check_pod(
    state: &State,
    write: &Write<'_>,
    pod: &Value,
    warnings: &mut Vec<String>,
) -> Result<(), SimError> {
    let policy = policy_of(state, write.namespace);
    let found = violations(&policy.enforce, Pod::of(pod));
    if !found.is_empty() {
        let why = format!("violates PodSecurity \"{}\": {}", policy.enforce, details(&found));
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        return Err(SimError::forbidden("", "pods", name, &why));
    }
    warnings.extend(warning(&policy.warn, pod));
    Ok(())
}

/// The warning about a pod or a template; `None` if it complies with the standard.
fn warning(standard: &Standard, pod: &Value) -> Option<String> {
    let found = violations(standard, Pod::of(pod));
    (!found.is_empty()).then(|| format!("would violate PodSecurity \"{standard}\": {}", details(&found)))
}

/// The reasons of violations, each with its detail.
fn details(violations: &[Violation]) -> String {
    let texts = violations.iter().map(|Violation { reason, detail }| match detail.as_str() {
        "" => reason.clone(),
        detail => format!("{reason} ({detail})"),
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Whether an update of a pod changes an image, adds a container, or removes a container that is not ephemeral.
fn changes_images(old: &Value, new: &Value) -> bool {
    let images = |pod: &Value, list: &str| -> Vec<Value> {
        items(&pod["spec"], list).map(|container| container["image"].clone()).collect()
    };
    let by_name = |pod: &Value| -> BTreeMap<String, Value> {
        let containers = items(&pod["spec"], "ephemeralContainers");
        let name = |container: &Value| container["name"].as_str().unwrap_or_default().to_owned();
        containers.map(|container| (name(container), container["image"].clone())).collect()
    };
    let before = by_name(old);
    ["containers", "initContainers"].iter().any(|list| images(old, list) != images(new, list))
        || by_name(new).iter().any(|(name, image)| before.get(name) != Some(image))
}

/// The policy of a `Namespace`, and the errors of its labels.
fn policy_of_labels(namespace: &Value) -> (Policy, Vec<FieldError>) {
    Policy::of(|label| namespace["metadata"]["labels"][label].as_str())
}

/// Checks the labels of a namespace. If an update changes the enforced standard, and does not only lower its level,
/// warns of existing pods that violate the new standard.
fn check_namespace(
    state: &State,
    write: &Write<'_>,
    namespace: &Value,
    warnings: &mut Vec<String>,
) -> Result<(), SimError> {
    let name = namespace["metadata"]["name"].as_str().unwrap_or_default();
    let (policy, errors) = policy_of_labels(namespace);
    let old = write.old.map(policy_of_labels);
    let is_known = old.as_ref().is_some_and(|(_, old_errors)| *old_errors == errors);
    if !errors.is_empty() && !is_known {
        return Err(SimError::invalid("", "Namespace", name, &errors));
    }
    let Some((old, _)) = old else { return Ok(()) };
    let (new, old) = (policy.enforce, old.enforce);
    let is_relaxed = new.version == old.version && new.level <= old.level;
    if new != old && new.level != Level::Privileged && !is_relaxed {
        warn_of_pods(state, name, &new, warnings);
    }
    Ok(())
}

/// Warns of existing pods that violate a standard. Pods with the same violations share a warning.
fn warn_of_pods(state: &State, namespace: &str, standard: &Standard, warnings: &mut Vec<String>) {
    let pods = prioritized(objects(state, "/pods", namespace));
    let mut names_by_reason: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for pod in pods.iter().take(MAX_CHECKED_PODS) {
        let found = violations(standard, Pod::of(pod));
        if !found.is_empty() {
            let reasons: Vec<&str> = found.iter().map(|violation| violation.reason.as_str()).collect();
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            names_by_reason.entry(reasons.join(", ")).or_default().push(name);
        }
    }
    if pods.len() > MAX_CHECKED_PODS {
        warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {MAX_CHECKED_PODS} of {} existing pods",
            pods.len()
        ));
    }
    if !names_by_reason.is_empty() {
        warnings.push(format!(
            "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{standard}\""
        ));
    }
    let mut texts: Vec<String> = names_by_reason
        .into_iter()
        .map(|(reasons, names)| {
            let first = names.iter().min().copied().unwrap_or_default();
            match names.len() {
                1 => format!("{first}: {reasons}"),
                2 => format!("{first} (and 1 other pod): {reasons}"),
                count => format!("{first} (and {} other pods): {reasons}", count - 1),
            }
        })
        .collect();
    texts.sort();
    warnings.append(&mut texts);
}

/// The pods without a controller and the first pod of each controller, then the other pods.
fn prioritized(pods: Vec<Value>) -> Vec<Value> {
    let mut controllers = BTreeSet::new();
    let (mut first, further): (Vec<Value>, Vec<Value>) = pods.into_iter().partition(|pod| {
        let mut owners = items(&pod["metadata"], "ownerReferences");
        let uid = owners.find(|owner| owner["controller"] == true).and_then(|owner| owner["uid"].as_str());
        uid.is_none_or(|uid| controllers.insert(uid.to_owned()))
    });
    first.extend(further);
    first
}
