//! The checks of AppArmor, capabilities, seccomp, SELinux and `runAsNonRoot`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::checks::{
    Pod, Violation, container_list, plural_suffix, quoted_list, violation, violation_subject,
};
use super::items;
use crate::json::text;
use crate::schema::quote;

/// The capabilities that a container may add at the level `baseline`.
const DEFAULT_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The prefix of the annotations that set the AppArmor profile of a container. The name of the container follows the
/// prefix.
const APP_ARMOR_ANNOTATION_PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(super) fn check_app_armor(pod: Pod<'_>) -> Option<Violation> {
    let mut values = BTreeSet::new();
    let (pod_is_bad, names) = find_bad_types(pod, "appArmorProfile", &mut values);
    let mut values: Vec<String> = values.into_iter().collect();
    let annotations = pod.metadata["annotations"].as_object().into_iter().flatten();
    let mut forbidden: Vec<String> = annotations
        .filter(|(key, value)| {
            let value = text(value);
            let is_allowed = ["", "runtime/default"].contains(&value) || value.starts_with("localhost/");
            key.starts_with(APP_ARMOR_ANNOTATION_PREFIX) && !is_allowed
        })
        .map(|(key, value)| format!("{key}={}", quote(text(value))))
        .collect();
    forbidden.sort();
    let annotations =
        (!forbidden.is_empty()).then(|| format!("annotation{}", plural_suffix(forbidden.len())));
    let setters: Vec<String> = violation_subject(pod_is_bad, &names).into_iter().chain(annotations).collect();
    if setters.is_empty() {
        return None;
    }
    values.append(&mut forbidden);
    let reason = format!("forbidden AppArmor profile{}", plural_suffix(values.len()));
    let detail =
        format!("{} must not set AppArmor profile type to {}", setters.join(" and "), quoted_list(&values));
    violation(&reason, detail)
}

/// Finds the profiles in `field` whose type is neither `RuntimeDefault` nor `Localhost`. Returns whether the pod itself
/// has a bad profile, and the names of the containers that have one. Adds the bad types to `values`.
fn find_bad_types(pod: Pod<'_>, field: &str, values: &mut BTreeSet<String>) -> (bool, Vec<String>) {
    let mut is_bad = |holder: &Value| {
        let profile = &holder["securityContext"][field];
        let kind = text(&profile["type"]);
        let is_bad = profile.is_object() && !["RuntimeDefault", "Localhost"].contains(&kind);
        if is_bad {
            values.insert(kind.to_owned());
        }
        is_bad
    };
    let pod_is_bad = is_bad(pod.spec);
    (pod_is_bad, pod.container_names(|container| is_bad(container)))
}

pub(super) fn check_baseline_capabilities(pod: Pod<'_>) -> Option<Violation> {
    let (names, added) = find_extra_capabilities(pod, &DEFAULT_CAPABILITIES);
    if names.is_empty() {
        return None;
    }
    violation("non-default capabilities", addition_detail(&names, &added))
}

/// Finds the capabilities that containers add although `allowed` does not contain them. Returns the names of
/// the containers, and the capabilities.
fn find_extra_capabilities(pod: Pod<'_>, allowed: &[&str]) -> (Vec<String>, BTreeSet<String>) {
    let mut added = BTreeSet::new();
    let names = pod.container_names(|container| {
        let list = items(&container["securityContext"]["capabilities"], "add");
        let bad: Vec<&str> = list.map(text).filter(|capability| !allowed.contains(capability)).collect();
        added.extend(bad.iter().map(|capability| (*capability).to_owned()));
        !bad.is_empty()
    });
    (names, added)
}

fn addition_detail(names: &[String], added: &BTreeSet<String>) -> String {
    format!(
        "{} must not include {} in securityContext.capabilities.add",
        container_list(names),
        quoted_list(added)
    )
}

pub(super) fn check_restricted_capabilities(pod: Pod<'_>) -> Option<Violation> {
    let keeping = pod.container_names(|container| {
        let mut dropped = items(&container["securityContext"]["capabilities"], "drop");
        !dropped.any(|capability| capability == "ALL")
    });
    let (adding, added) = find_extra_capabilities(pod, &["NET_BIND_SERVICE"]);
    let mut details = Vec::new();
    if !keeping.is_empty() {
        details.push(format!(
            "{} must set securityContext.capabilities.drop=[\"ALL\"]",
            container_list(&keeping)
        ));
    }
    if !adding.is_empty() {
        details.push(addition_detail(&adding, &added));
    }
    if details.is_empty() { None } else { violation("unrestricted capabilities", details.join("; ")) }
}

/// Checks the annotations that selected the seccomp profile before the field `seccompProfile` existed.
pub(super) fn check_seccomp_annotations(pod: Pod<'_>) -> Option<Violation> {
    let own = pod.containers().map(|container| {
        format!("container.seccomp.security.alpha.kubernetes.io/{}", text(&container["name"]))
    });
    let keys = std::iter::once("seccomp.security.alpha.kubernetes.io/pod".to_owned()).chain(own);
    let forbidden: BTreeSet<String> = keys
        .filter_map(|key| {
            let value = pod.metadata["annotations"][&key].as_str()?;
            let is_allowed =
                ["runtime/default", "docker/default"].contains(&value) || value.starts_with("localhost/");
            (!is_allowed).then(|| format!("{key}={}", quote(value)))
        })
        .collect();
    if forbidden.is_empty() {
        return None;
    }
    let list = forbidden.iter().cloned().collect::<Vec<_>>().join(", ");
    violation("seccompProfile", format!("forbidden annotation{} {list}", plural_suffix(forbidden.len())))
}

pub(super) fn check_seccomp(pod: Pod<'_>) -> Option<Violation> {
    let mut values = BTreeSet::new();
    let (pod_is_bad, names) = find_bad_types(pod, "seccompProfile", &mut values);
    seccomp_violation(pod_is_bad, &names, &values)
}

fn seccomp_violation(pod_is_bad: bool, names: &[String], values: &BTreeSet<String>) -> Option<Violation> {
    let setters = violation_subject(pod_is_bad, names)?;
    let detail =
        format!("{setters} must not set securityContext.seccompProfile.type to {}", quoted_list(values));
    violation("seccompProfile", detail)
}

pub(super) fn check_required_seccomp(pod: Pod<'_>) -> Option<Violation> {
    let mut values = BTreeSet::new();
    let (pod_is_bad, names) = find_bad_types(pod, "seccompProfile", &mut values);
    if let Some(bad) = seccomp_violation(pod_is_bad, &names, &values) {
        return Some(bad);
    }
    let lacks = |holder: &Value| !holder["securityContext"]["seccompProfile"].is_object();
    let lacking =
        if lacks(pod.spec) { pod.container_names(|container| lacks(container)) } else { Vec::new() };
    if lacking.is_empty() {
        return None;
    }
    let detail = format!(
        "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
        container_list(&lacking)
    );
    violation("seccompProfile", detail)
}

/// Checks the SELinux options of a pod and its containers. If `with_engine` is set, the type
/// `container_engine_t` is allowed. The Pod Security Standards allow this type since Kubernetes 1.31.
pub(super) fn check_se_linux(pod: Pod<'_>, with_engine: bool) -> Option<Violation> {
    let (mut types, mut sets_user, mut sets_role) = (BTreeSet::new(), false, false);
    let mut is_bad = |holder: &Value| {
        let options = &holder["securityContext"]["seLinuxOptions"];
        let kind = text(&options["type"]);
        let is_allowed = ["", "container_t", "container_init_t", "container_kvm_t"].contains(&kind)
            || with_engine && kind == "container_engine_t";
        if !is_allowed {
            types.insert(kind.to_owned());
        }
        let [user, role] = ["user", "role"].map(|field| !text(&options[field]).is_empty());
        sets_user |= user;
        sets_role |= role;
        !is_allowed || user || role
    };
    let pod_is_bad = is_bad(pod.spec);
    let names = pod.container_names(|container| is_bad(container));
    let setters = violation_subject(pod_is_bad, &names)?;
    let mut data = Vec::new();
    if !types.is_empty() {
        data.push(format!("type{} {}", plural_suffix(types.len()), quoted_list(&types)));
    }
    if sets_user {
        data.push("user may not be set".to_owned());
    }
    if sets_role {
        data.push("role may not be set".to_owned());
    }
    let detail = format!("{setters} set forbidden securityContext.seLinuxOptions: {}", data.join("; "));
    violation("seLinuxOptions", detail)
}

pub(super) fn check_run_as_non_root(pod: Pod<'_>) -> Option<Violation> {
    let setting = |holder: &Value| holder["securityContext"]["runAsNonRoot"].as_bool();
    let reason = "runAsNonRoot != true";
    let rooted = pod.container_names(|container| setting(container) == Some(false));
    if let Some(setters) = violation_subject(setting(pod.spec) == Some(false), &rooted) {
        return violation(reason, format!("{setters} must not set securityContext.runAsNonRoot=false"));
    }
    let lacks = |container: &&Value| setting(container).is_none();
    let lacking = if setting(pod.spec) == Some(true) { Vec::new() } else { pod.container_names(lacks) };
    if lacking.is_empty() {
        return None;
    }
    violation(
        reason,
        format!("pod or {} must set securityContext.runAsNonRoot=true", container_list(&lacking)),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn profiles_in_annotations_are_checked() {
        let pod = json!({
            "metadata": {"annotations": {
                format!("{APP_ARMOR_ANNOTATION_PREFIX}c"): "unconfined",
                format!("{APP_ARMOR_ANNOTATION_PREFIX}d"): "localhost/x",
                "seccomp.security.alpha.kubernetes.io/pod": "un\u{1}confined",
                "container.seccomp.security.alpha.kubernetes.io/c": "docker/default",
            }},
            "spec": {"containers": [{"name": "c"}]},
        });
        let found = check_app_armor(Pod::of(&pod)).unwrap();
        assert_eq!(found.reason, "forbidden AppArmor profile");
        let expected = "annotation must not set AppArmor profile type to \"container.apparmor.security.beta.kubernetes.io/c=\"unconfined\"\"";
        assert_eq!(found.detail, expected);
        let found = check_seccomp_annotations(Pod::of(&pod)).unwrap();
        let expected = "forbidden annotation seccomp.security.alpha.kubernetes.io/pod=\"un\\x01confined\"";
        assert_eq!(found.detail, expected);
    }
}
