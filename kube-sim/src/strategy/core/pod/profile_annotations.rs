//! The deprecated annotations with the seccomp and AppArmor profiles of a pod. Fields in the security contexts replace
//! these annotations.

use serde_json::{Value, json};

use crate::schema::{FieldError, quote};
use crate::strategy::defaulting::{object_in, object_items, object_or_insert};
use crate::strategy::validation::{Errors, items, join, string_in};

/// The annotation with the seccomp profile of a pod.
const SECCOMP_POD_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
/// The prefix of the annotations with the seccomp profile of one container. The name of the container follows the prefix.
const SECCOMP_CONTAINER_PREFIX: &str = "container.seccomp.security.alpha.kubernetes.io/";
/// The prefix of the annotations with the AppArmor profile of one container. The name of the container follows the prefix.
const APP_ARMOR_PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";

const SECCOMP_WARNING: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
const APP_ARMOR_WARNING: &str = "deprecated since v1.30; use the \"appArmorProfile\" field instead";

const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// The annotations of a pod, and their values.
fn annotations(pod: &Value) -> impl Iterator<Item = (&str, &str)> {
    let all = pod["metadata"]["annotations"].as_object().into_iter().flatten();
    all.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
}

fn is_windows(pod: &Value) -> bool {
    pod["spec"]["os"]["name"] == "windows"
}

/// The containers of a pod with their paths.
fn containers(pod: &Value) -> impl Iterator<Item = (String, &Value)> {
    CONTAINER_LISTS.into_iter().flat_map(|list| items("spec", &pod["spec"], list))
}

/// Copies the AppArmor profiles in the annotations of a new pod to the fields of its containers. Skips a container that
/// already has a profile, and a profile that equals the profile in the security context of the pod.
pub(super) fn set_app_armor_profiles(pod: &mut Value) {
    if is_windows(pod) || !annotations(pod).any(|(key, _)| key.starts_with(APP_ARMOR_PREFIX)) {
        return;
    }
    let annotations = pod["metadata"]["annotations"].clone();
    let of_pod = pod["spec"]["securityContext"]["appArmorProfile"].clone();
    let Some(spec) = object_in(pod, "spec") else { return };
    for list in CONTAINER_LISTS {
        for container in object_items(spec, list) {
            let annotation =
                annotations[format!("{APP_ARMOR_PREFIX}{}", string_in(container, "name"))].as_str();
            let profile = annotation.and_then(app_armor_profile).filter(|profile| *profile != of_pod);
            let has_own = !container["securityContext"]["appArmorProfile"].is_null();
            let Some(profile) = profile.filter(|_| !has_own) else { continue };
            if let Some(context) = object_or_insert(container, "securityContext") {
                context["appArmorProfile"] = profile;
            }
        }
    }
}

/// Warns of each AppArmor annotation that [`set_app_armor_profiles`] copies to a container of a new pod. Also warns of an
/// invalid AppArmor annotation for a container without a profile.
pub(super) fn warn_of_app_armor(pod: &Value, out: &mut Vec<String>) {
    let of_pod = &pod["spec"]["securityContext"]["appArmorProfile"];
    for (_, container) in containers(pod).filter(|_| !is_windows(pod)) {
        let key = format!("{APP_ARMOR_PREFIX}{}", string_in(container, "name"));
        let Some(annotation) = pod["metadata"]["annotations"][&key].as_str() else { continue };
        let has_own = !container["securityContext"]["appArmorProfile"].is_null();
        if !has_own && app_armor_profile(annotation).is_none_or(|profile| profile != *of_pod) {
            out.push(format!("metadata.annotations[{key}]: {APP_ARMOR_WARNING}"));
        }
    }
}

/// The AppArmor profile of an annotation; `None` if the annotation is invalid.
fn app_armor_profile(annotation: &str) -> Option<Value> {
    const MAX_PROFILE_NAME_BYTES: usize = 4095;
    match (annotation, annotation.strip_prefix("localhost/")) {
        ("unconfined", _) => Some(json!({"type": "Unconfined"})),
        ("runtime/default", _) => Some(json!({"type": "RuntimeDefault"})),
        (_, Some(name))
            if !name.is_empty() && name.trim() == name && name.len() <= MAX_PROFILE_NAME_BYTES =>
        {
            Some(json!({"type": "Localhost", "localhostProfile": name}))
        }
        _ => None,
    }
}

/// Checks the seccomp and AppArmor annotations of a pod.
pub(super) fn check_annotations(pod: &Value, out: &mut Errors) {
    for (key, value) in annotations(pod) {
        if key == SECCOMP_POD_ANNOTATION || key.starts_with(SECCOMP_CONTAINER_PREFIX) {
            check_seccomp(&format!("metadata.annotations.{key}"), value, out);
        }
    }
    for (key, value) in annotations(pod) {
        let Some(name) = key.strip_prefix(APP_ARMOR_PREFIX) else { continue };
        let path = format!("metadata.annotations[{key}]");
        if !containers(pod).any(|(_, container)| string_in(container, "name") == name) {
            out.push(FieldError::invalid(&path, name, "container not found"));
        }
        let is_valid =
            ["", "runtime/default", "unconfined"].contains(&value) || value.starts_with("localhost/");
        if !is_valid {
            let why = format!("invalid AppArmor profile name: {}", quote(value));
            out.push(FieldError::invalid(path, value, why));
        }
    }
}

fn check_seccomp(path: &str, profile: &str, out: &mut Errors) {
    let Some(file) = profile.strip_prefix("localhost/") else {
        if !["runtime/default", "docker/default", "unconfined"].contains(&profile) {
            out.push(FieldError::invalid(path, profile, "must be a valid seccomp profile"));
        }
        return;
    };
    if file.starts_with('/') {
        out.push(FieldError::invalid(path, file, "must be a relative path"));
    }
    if file.split('/').any(|part| part == "..") {
        out.push(FieldError::invalid(path, file, "must not contain '..'"));
    }
}

/// Checks that the profiles in the fields of a new pod match the profiles in its annotations.
pub(super) fn check_profile_fields(pod: &Value, out: &mut Errors) {
    let annotations = &pod["metadata"]["annotations"];
    let seccomp = |path: &str, holder: &Value, key: &str, out: &mut Errors| {
        let path = format!("{path}.securityContext.seccompProfile");
        let defaults = ["runtime/default", "docker/default"];
        let profile = &holder["securityContext"]["seccompProfile"];
        check_profile_field(&path, "seccomp", (profile, &annotations[key]), &defaults, out);
    };
    seccomp("spec", &pod["spec"], SECCOMP_POD_ANNOTATION, out);
    for (path, container) in containers(pod) {
        seccomp(
            &path,
            container,
            &format!("{SECCOMP_CONTAINER_PREFIX}{}", string_in(container, "name")),
            out,
        );
    }
    if is_windows(pod) {
        return;
    }
    for (path, container) in containers(pod) {
        let own = &container["securityContext"]["appArmorProfile"];
        let profile = if own.is_null() { &pod["spec"]["securityContext"]["appArmorProfile"] } else { own };
        let annotation = &annotations[format!("{APP_ARMOR_PREFIX}{}", string_in(container, "name"))];
        let path = format!("{path}.securityContext.appArmorProfile");
        check_profile_field(&path, "apparmor", (profile, annotation), &["runtime/default"], out);
    }
}

/// Checks that the profile in a field matches the annotation, if both exist. `defaults` contains the values of the
/// annotation that mean the type `RuntimeDefault`.
fn check_profile_field(
    path: &str,
    label: &str,
    (profile, annotation): (&Value, &Value),
    defaults: &[&str],
    out: &mut Errors,
) {
    let Some(annotation) = annotation.as_str() else { return };
    let file = annotation.strip_prefix("localhost/");
    let is_of_type = match string_in(profile, "type") {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" => defaults.contains(&annotation),
        "Localhost" => file.is_some(),
        _ => return,
    };
    let (field, word) = match file {
        _ if !is_of_type => ("type", "type"),
        Some(file) if profile["localhostProfile"] != file => ("localhostProfile", "profile"),
        _ => return,
    };
    let why = format!("{label} {word} in annotation and field must match");
    out.push(FieldError::forbidden(format!("{path}.{field}"), why));
}

/// Rejects an update that adds, changes or removes an AppArmor annotation or the annotation of mirror pods.
pub(super) fn check_update(old: &Value, new: &Value, out: &mut Errors) {
    let what = |key: &str| match key {
        "kubernetes.io/config.mirror" => Some("mirror pod annotation"),
        _ => key.starts_with(APP_ARMOR_PREFIX).then_some("AppArmor annotations"),
    };
    let [before, now] = [old, new].map(|pod| &pod["metadata"]["annotations"]);
    let changed = annotations(old).filter(|(key, value)| now[*key] != *value);
    let added = annotations(new).filter(|(key, _)| before[*key].is_null());
    let changed = changed.map(|(key, _)| (key, "remove or update"));
    for (key, verb) in changed.chain(added.map(|(key, _)| (key, "add"))) {
        if let Some(what) = what(key) {
            let why = format!("may not {verb} {what}");
            out.push(FieldError::forbidden(format!("metadata.annotations[{key}]"), why));
        }
    }
}

/// Warns of the seccomp annotation of a pod if the field that replaces the annotation is absent. `path` is the path of
/// the pod template, and is empty for a pod.
pub(super) fn warn_of_pod_annotation(path: &str, template: &Value, out: &mut Vec<String>) {
    if template["spec"]["securityContext"]["seccompProfile"].is_null() {
        warn_of_annotation(path, template, SECCOMP_POD_ANNOTATION, SECCOMP_WARNING, out);
    }
}

/// Warns of the seccomp and AppArmor annotations for a container if the fields that replace these annotations are
/// absent. Skips an AppArmor annotation that equals the profile in the security context of the pod. `path` is the path of
/// the pod template, and is empty for a pod. For a pod, [`warn_of_app_armor`] warns of the AppArmor annotations instead.
pub(super) fn warn_of_container_annotations(
    path: &str,
    template: &Value,
    container: &Value,
    out: &mut Vec<String>,
) {
    let name = string_in(container, "name");
    let context = &container["securityContext"];
    if context["seccompProfile"].is_null() {
        warn_of_annotation(
            path,
            template,
            &format!("{SECCOMP_CONTAINER_PREFIX}{name}"),
            SECCOMP_WARNING,
            out,
        );
    }
    let key = format!("{APP_ARMOR_PREFIX}{name}");
    let annotation = template["metadata"]["annotations"][&key].as_str().unwrap_or_default();
    let of_pod = &template["spec"]["securityContext"]["appArmorProfile"];
    let is_of_pod =
        !of_pod.is_null() && app_armor_profile(annotation).is_some_and(|profile| profile == *of_pod);
    if !path.is_empty() && context["appArmorProfile"].is_null() && !is_of_pod {
        warn_of_annotation(path, template, &key, APP_ARMOR_WARNING, out);
    }
}

fn warn_of_annotation(path: &str, template: &Value, key: &str, why: &str, out: &mut Vec<String>) {
    if !template["metadata"]["annotations"][key].is_null() {
        out.push(format!("{}[{key}]: {why}", join(path, "metadata.annotations")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pod with these annotations, with the security context `context` in its spec, and with the container `c`.
    fn pod(annotations: &[(&str, &str)], context: &Value) -> Value {
        let annotations: serde_json::Map<_, _> =
            annotations.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
        json!({
            "metadata": {"annotations": annotations},
            "spec": {"securityContext": context, "containers": [{"name": "c"}]},
        })
    }

    fn collect_errors(run: impl FnOnce(&mut Errors)) -> Vec<String> {
        let mut errors = Errors::default();
        run(&mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn app_armor_annotations_set_the_fields_of_containers() {
        let key = format!("{APP_ARMOR_PREFIX}c");
        let of = |value: &str, context: Value| {
            let mut pod = pod(&[(&key, value)], &context);
            let mut warnings = Vec::new();
            warn_of_app_armor(&pod, &mut warnings);
            set_app_armor_profiles(&mut pod);
            (pod["spec"]["containers"][0].get("securityContext").cloned(), warnings.len())
        };
        let expected = |profile: Value| (Some(json!({"appArmorProfile": profile})), 1);
        assert_eq!(of("unconfined", json!({})), expected(json!({"type": "Unconfined"})));
        let localhost = json!({"type": "Localhost", "localhostProfile": "a"});
        assert_eq!(of("localhost/a", json!({})), expected(localhost));
        assert_eq!(of("localhost/ a", json!({})), (None, 1));
        let same = json!({"appArmorProfile": {"type": "RuntimeDefault"}});
        assert_eq!(of("runtime/default", same), (None, 0));
    }

    #[test]
    fn annotations_must_have_valid_profiles() {
        let [own, other] = ["c", "d"].map(|name| format!("{APP_ARMOR_PREFIX}{name}"));
        let pod = pod(
            &[
                (SECCOMP_POD_ANNOTATION, "localhost//a/.."),
                ("container.seccomp.security.alpha.kubernetes.io/c", "x"),
                (&own, "y"),
                (&other, "unconfined"),
            ],
            &json!({}),
        );
        let expected = [
            "metadata.annotations.container.seccomp.security.alpha.kubernetes.io/c: Invalid value: \"x\": must be a valid seccomp profile".to_owned(),
            format!("metadata.annotations.{SECCOMP_POD_ANNOTATION}: Invalid value: \"/a/..\": must be a relative path"),
            format!("metadata.annotations.{SECCOMP_POD_ANNOTATION}: Invalid value: \"/a/..\": must not contain '..'"),
            format!("metadata.annotations[{own}]: Invalid value: \"y\": invalid AppArmor profile name: \"y\""),
            format!("metadata.annotations[{other}]: Invalid value: \"d\": container not found"),
        ];
        assert_eq!(collect_errors(|out| check_annotations(&pod, out)), expected);
    }

    #[test]
    fn fields_must_match_the_annotations() {
        let key = format!("{APP_ARMOR_PREFIX}c");
        let of = |seccomp: Value, app_armor: Value| {
            let context = json!({"seccompProfile": seccomp, "appArmorProfile": app_armor});
            let pod = pod(&[(SECCOMP_POD_ANNOTATION, "docker/default"), (&key, "localhost/a")], &context);
            collect_errors(|out| check_profile_fields(&pod, out))
        };
        let localhost = |name: &str| json!({"type": "Localhost", "localhostProfile": name});
        assert_eq!(of(json!({"type": "RuntimeDefault"}), localhost("a")), [""; 0]);
        let expected = [
            "spec.securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match",
            "spec.containers[0].securityContext.appArmorProfile.localhostProfile: Forbidden: apparmor profile in annotation and field must match",
        ];
        assert_eq!(of(localhost("a"), localhost("b")), expected);
        let expected = [
            "spec.containers[0].securityContext.appArmorProfile.type: Forbidden: apparmor type in annotation and field must match",
        ];
        assert_eq!(of(Value::Null, json!({"type": "Unconfined"})), expected);
    }

    #[test]
    fn an_update_must_not_change_app_armor_annotations() {
        let [own, other] = ["c", "d"].map(|name| format!("{APP_ARMOR_PREFIX}{name}"));
        let old = pod(&[(&own, "unconfined"), ("a", "b")], &json!({}));
        let new = pod(&[(&own, "runtime/default"), (&other, "unconfined")], &json!({}));
        let expected = [
            format!("metadata.annotations[{own}]: Forbidden: may not remove or update AppArmor annotations"),
            format!("metadata.annotations[{other}]: Forbidden: may not add AppArmor annotations"),
        ];
        assert_eq!(collect_errors(|out| check_update(&old, &new, out)), expected);
        assert_eq!(collect_errors(|out| check_update(&old, &old, out)), [""; 0]);
    }
}
