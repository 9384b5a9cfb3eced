//! The admission plugin PodSecurity: enforces the Pod Security Standards that the labels of a namespace select, and
//! warns of violations. The simulation has no audit log, so the level of `audit` is only checked for validity.

mod checks;
mod policy;
mod profile_checks;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use self::checks::{Pod, Violation, violations};
use self::policy::{Level, Policy, Standard};
use super::{NAMESPACES, Write, items};
use crate::admission_plugin::AdmissionPlugin;
use crate::json::text;
use crate::schema::{FieldError, quote};
use crate::status::SimError;
use crate::store::State;
use crate::store::object::StoredObject;

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
    if write.is_to_any(&[("", "namespaces")]) {
        return check_labels(write, object);
    }
    if write.is_to_pods() {
        let ignored = IGNORED_SUBRESOURCES.contains(&write.subresource);
        if ignored || write.old.is_some_and(|old| !changes_images(old, object)) {
            return Ok(());
        }
        return check_pod(state, write, object, warnings);
    }
    let mut templates = TEMPLATES.iter();
    let Some((.., path)) = templates.find(|(group, plural, _)| write.is_to_any(&[(group, plural)])) else {
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
        return Err(SimError::forbidden("", "pods", text(&pod["metadata"]["name"]), &why));
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
/// The API server compares ephemeral containers by their names, and other containers by their positions.
fn changes_images(old: &Value, new: &Value) -> bool {
    let before: HashMap<&str, &str> = items(&old["spec"], "ephemeralContainers")
        .map(|container| (text(&container["name"]), text(&container["image"])))
        .collect();
    let added_or_changed = |container: &Value| {
        before.get(text(&container["name"])).is_none_or(|image| *image != text(&container["image"]))
    };
    ["containers", "initContainers"].into_iter().any(|list| images(old, list).ne(images(new, list)))
        || items(&new["spec"], "ephemeralContainers").any(added_or_changed)
}

/// The images of the containers in a list of a pod.
fn images<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a str> {
    items(&pod["spec"], list).map(|container| text(&container["image"]))
}

/// The policy of a `Namespace`, and the errors of its labels.
fn policy_of_labels(namespace: &Value) -> (Policy, Vec<FieldError>) {
    Policy::of(|label| namespace["metadata"]["labels"][label].as_str())
}

/// Checks the labels of a namespace. An update may keep invalid labels.
fn check_labels(write: &Write<'_>, namespace: &Value) -> Result<(), SimError> {
    let (_, errors) = policy_of_labels(namespace);
    if errors.is_empty() || write.old.is_some_and(|old| policy_of_labels(old).1 == errors) {
        return Ok(());
    }
    Err(SimError::invalid("", "Namespace", text(&namespace["metadata"]["name"]), &errors))
}

/// The existing pods of a namespace, and the new enforced standard of the namespace. The pods can violate
/// this standard.
#[derive(Debug)]
pub(crate) struct ExistingPods {
    pods: Vec<Arc<StoredObject>>,
    standard: Standard,
}

/// The pods of a namespace, if the write raises the enforced level of the namespace, or changes the enforced version of
/// a level other than `privileged`. `None` for any other write, and if the plugin is disabled. The caller should call
/// [`ExistingPods::warnings`] without the lock of the state.
pub(crate) fn existing_pods(state: &State, write: &Write<'_>, object: &Value) -> Option<ExistingPods> {
    let old = write.old.filter(|_| write.is_to_any(&[("", "namespaces")]))?;
    let (old, new) = (policy_of_labels(old).0.enforce, policy_of_labels(object).0.enforce);
    let is_relaxed = new.version == old.version && new.level <= old.level;
    if new.level == Level::Privileged || is_relaxed || !state.has_plugin(AdmissionPlugin::PodSecurity) {
        return None;
    }
    let pods = state.objects("/pods", text(&object["metadata"]["name"]));
    Some(ExistingPods { pods, standard: new })
}

impl ExistingPods {
    /// The texts of the `Warning` headers about the pods that violate the standard. Pods with the same violations share a
    /// warning.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let Self { pods, standard } = self;
        let decoded = prioritize(pods.iter().map(|pod| pod.value()).collect());
        let mut names_by_reason: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for pod in decoded.iter().take(MAX_CHECKED_PODS) {
            let found = violations(standard, Pod::of(pod));
            if !found.is_empty() {
                let reasons: Vec<&str> = found.iter().map(|violation| violation.reason.as_str()).collect();
                names_by_reason.entry(reasons.join(", ")).or_default().push(text(&pod["metadata"]["name"]));
            }
        }
        let mut warnings = Vec::new();
        if pods.len() > MAX_CHECKED_PODS {
            warnings.push(format!(
                "new PodSecurity enforce level only checked against the first {MAX_CHECKED_PODS} of {} existing pods",
                pods.len()
            ));
        }
        if let Some(pod) = pods.first().filter(|_| !names_by_reason.is_empty()) {
            warnings.push(format!(
                "existing pods in namespace {} violate the new PodSecurity enforce level \"{standard}\"",
                quote(pod.namespace())
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
        warnings
    }
}

/// Moves the pods without a controller and the first pod of each controller before the other pods.
fn prioritize(pods: Vec<Value>) -> Vec<Value> {
    let mut controllers = BTreeSet::new();
    let (mut first, further): (Vec<Value>, Vec<Value>) = pods.into_iter().partition(|pod| {
        let mut owners = items(&pod["metadata"], "ownerReferences");
        let uid = owners.find(|owner| owner["controller"] == true).and_then(|owner| owner["uid"].as_str());
        uid.is_none_or(|uid| controllers.insert(uid.to_owned()))
    });
    first.extend(further);
    first
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn new_containers_and_new_images_count_as_changed_images() {
        let pod = |images: &[&str], ephemeral: Value| {
            let containers: Vec<Value> = images.iter().map(|image| json!({"image": image})).collect();
            json!({"spec": {"containers": containers, "ephemeralContainers": ephemeral}})
        };
        let old = pod(&["a", "b"], json!([{"name": "x", "image": "x"}, {"name": "y"}]));
        for (new, expected) in [
            (pod(&["a", "b"], json!([{"name": "y", "image": ""}, {"name": "x", "image": "x"}])), false),
            (pod(&["a", "b"], Value::Null), false),
            (pod(&["b", "a"], Value::Null), true),
            (pod(&["a"], Value::Null), true),
            (pod(&["a", "b", "c"], Value::Null), true),
            (pod(&["a", "b"], json!([{"name": "x", "image": "z"}])), true),
            (pod(&["a", "b"], json!([{"name": "z", "image": "x"}])), true),
        ] {
            assert_eq!(changes_images(&old, &new), expected, "{new}");
        }
    }
}
