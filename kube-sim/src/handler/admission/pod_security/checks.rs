//! The checks of the Pod Security Standards, as a table. The checks of AppArmor, capabilities, seccomp, SELinux and
//! `runAsNonRoot` are functions in `profile_checks`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::items;
use super::policy::{Level, Standard};
use super::profile_checks as profiles;
use crate::json::text;

/// A violation of a check: the reason, and the containers, volumes or fields of the pod that cause it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) reason: String,
    pub(super) detail: String,
}

/// A pod, or the template of a pod.
#[derive(Clone, Copy)]
pub(super) struct Pod<'a> {
    pub(super) metadata: &'a Value,
    pub(super) spec: &'a Value,
}

impl<'a> Pod<'a> {
    pub(super) fn of(object: &'a Value) -> Self {
        Self { metadata: &object["metadata"], spec: &object["spec"] }
    }

    /// The init containers, the containers and the ephemeral containers.
    pub(super) fn containers(self) -> impl Iterator<Item = &'a Value> {
        ["initContainers", "containers", "ephemeralContainers"]
            .into_iter()
            .flat_map(move |list| items(self.spec, list))
    }

    /// The names of the containers that a predicate selects.
    pub(super) fn container_names(self, selects: impl FnMut(&&Value) -> bool) -> Vec<String> {
        self.containers().filter(selects).map(|container| text(&container["name"]).to_owned()).collect()
    }

    /// Like [`container_names`](Self::container_names); `None` if the predicate selects no container.
    fn offenders(self, selects: impl FnMut(&&Value) -> bool) -> Option<Vec<String>> {
        let names = self.container_names(selects);
        (!names.is_empty()).then_some(names)
    }

    /// Whether the pod has its own user namespace.
    fn has_user_namespace(self) -> bool {
        self.spec["hostUsers"] == false
    }

    pub(super) fn is_windows(self) -> bool {
        self.spec["os"]["name"] == "windows"
    }
}

/// One version of a check. It applies from the minor version `since` of Kubernetes up to, but not including, the
/// `since` of the next entry with the same name. `run` returns `None` for a pod that complies.
struct Check {
    name: &'static str,
    level: Level,
    since: u32,
    /// The name of the check of the level `baseline` that this check replaces; empty if there is none.
    replaces: &'static str,
    run: fn(Pod<'_>) -> Option<Violation>,
}

const fn baseline(name: &'static str, since: u32, run: fn(Pod<'_>) -> Option<Violation>) -> Check {
    Check { name, level: Level::Baseline, since, replaces: "", run }
}

const fn restricted(
    name: &'static str,
    since: u32,
    replaces: &'static str,
    run: fn(Pod<'_>) -> Option<Violation>,
) -> Check {
    Check { name, level: Level::Restricted, since, replaces, run }
}

/// All checks. The checks of `baseline` come before the checks of `restricted`; each group is sorted by name and
/// version.
static CHECKS: [Check; 31] = [
    baseline("appArmorProfile", 0, profiles::check_app_armor),
    baseline("capabilities_baseline", 0, profiles::check_baseline_capabilities),
    baseline("hostNamespaces", 0, check_host_namespaces),
    baseline("hostPathVolumes", 0, check_host_paths),
    baseline("hostPorts", 0, check_host_ports),
    baseline("hostProbesAndHostLifecycle", 34, check_probe_hosts),
    baseline("privileged", 0, check_privileged_containers),
    baseline("procMount", 0, check_proc_mount),
    baseline("procMount", 35, |pod| if pod.has_user_namespace() { None } else { check_proc_mount(pod) }),
    baseline("seLinuxOptions", 0, |pod| profiles::check_se_linux(pod, false)),
    baseline("seLinuxOptions", 31, |pod| profiles::check_se_linux(pod, true)),
    baseline("seccompProfile_baseline", 0, profiles::check_seccomp_annotations),
    baseline("seccompProfile_baseline", 19, profiles::check_seccomp),
    baseline("sysctls", 0, |pod| check_sysctls(pod, 0)),
    baseline("sysctls", 27, |pod| check_sysctls(pod, 27)),
    baseline("sysctls", 29, |pod| check_sysctls(pod, 29)),
    baseline("sysctls", 32, |pod| check_sysctls(pod, 32)),
    baseline("sysctls", 37, |pod| check_sysctls(pod, 37)),
    baseline("windowsHostProcess", 0, check_host_process),
    restricted("allowPrivilegeEscalation", 8, "", check_privilege_escalation),
    restricted("allowPrivilegeEscalation", 25, "", |pod| linux_only(pod, check_privilege_escalation)),
    restricted(
        "capabilities_restricted",
        22,
        "capabilities_baseline",
        profiles::check_restricted_capabilities,
    ),
    restricted("capabilities_restricted", 25, "capabilities_baseline", |pod| {
        linux_only(pod, profiles::check_restricted_capabilities)
    }),
    restricted("procMount_restricted", 35, "procMount", check_proc_mount),
    restricted("restrictedVolumes", 0, "hostPathVolumes", check_restricted_volumes),
    restricted("runAsNonRoot", 0, "", profiles::check_run_as_non_root),
    restricted("runAsNonRoot", 35, "", |pod| {
        if pod.has_user_namespace() { None } else { profiles::check_run_as_non_root(pod) }
    }),
    restricted("runAsUser", 23, "", check_run_as_user),
    restricted(
        "runAsUser",
        35,
        "",
        |pod| if pod.has_user_namespace() { None } else { check_run_as_user(pod) },
    ),
    restricted("seccompProfile_restricted", 19, "seccompProfile_baseline", profiles::check_required_seccomp),
    restricted("seccompProfile_restricted", 25, "seccompProfile_baseline", |pod| {
        linux_only(pod, profiles::check_required_seccomp)
    }),
];

/// The violations of a standard by a pod.
pub(super) fn violations(standard: &Standard, pod: Pod<'_>) -> Vec<Violation> {
    let version = standard.version.unwrap_or(u32::MAX);
    let is_active = |index: &usize| {
        let check = &CHECKS[*index];
        let next = CHECKS.get(index + 1).filter(|next| next.name == check.name);
        check.level <= standard.level
            && check.since <= version
            && next.is_none_or(|next| next.since > version)
    };
    let active: Vec<&Check> = (0..CHECKS.len()).filter(is_active).map(|index| &CHECKS[index]).collect();
    let replaced: BTreeSet<&str> = active.iter().map(|check| check.replaces).collect();
    active
        .iter()
        .filter(|check| !replaced.contains(check.name))
        .filter_map(|check| (check.run)(pod))
        .collect()
}

/// Runs a check, unless the pod is for Windows.
fn linux_only(pod: Pod<'_>, run: fn(Pod<'_>) -> Option<Violation>) -> Option<Violation> {
    if pod.is_windows() { None } else { run(pod) }
}

#[expect(clippy::unnecessary_wraps, reason = "the checks return this result")]
pub(super) fn violation(reason: &str, detail: String) -> Option<Violation> {
    Some(Violation { reason: reason.to_owned(), detail })
}

/// The items in quotes, separated by commas.
pub(super) fn quoted_list(items: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect::<Vec<_>>().join(", ")
}

/// The names of containers for the text of a violation: `container "a"` or `containers "a", "b"`.
pub(super) fn container_list(names: &[String]) -> String {
    format!("container{} {}", plural_suffix(names.len()), quoted_list(names))
}

/// The suffix of a noun for `count` items: `s`, or nothing for one item.
pub(super) fn plural_suffix(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// The form of the verb `use` for `count` subjects: `uses` for one subject, otherwise `use`.
fn verb_use(count: usize) -> &'static str {
    if count == 1 { "uses" } else { "use" }
}

/// The subject of the text of a violation: `pod`, `container "a"` or both. `pod_is_bad` is whether the pod
/// itself has a forbidden setting; `names` are the containers that have it. `None` if neither has it.
pub(super) fn violation_subject(pod_is_bad: bool, names: &[String]) -> Option<String> {
    match (pod_is_bad, names) {
        (false, []) => None,
        (true, []) => Some("pod".to_owned()),
        (false, names) => Some(container_list(names)),
        (true, names) => Some(format!("pod and {}", container_list(names))),
    }
}

fn check_host_namespaces(pod: Pod<'_>) -> Option<Violation> {
    let fields = ["hostNetwork", "hostPID", "hostIPC"].into_iter();
    let set: Vec<String> =
        fields.filter(|field| pod.spec[field] == true).map(|field| format!("{field}=true")).collect();
    if set.is_empty() { None } else { violation("host namespaces", set.join(", ")) }
}

fn check_host_paths(pod: Pod<'_>) -> Option<Violation> {
    let volumes = items(pod.spec, "volumes");
    let names: Vec<&str> =
        volumes.filter(|volume| !volume["hostPath"].is_null()).map(|volume| text(&volume["name"])).collect();
    if names.is_empty() {
        return None;
    }
    violation("hostPath volumes", format!("volume{} {}", plural_suffix(names.len()), quoted_list(&names)))
}

fn check_host_ports(pod: Pod<'_>) -> Option<Violation> {
    let mut ports = BTreeSet::new();
    let names = pod.offenders(|container| {
        let list = items(container, "ports");
        let own: Vec<i64> =
            list.filter_map(|port| port["hostPort"].as_i64()).filter(|port| *port != 0).collect();
        ports.extend(own.iter().map(ToString::to_string));
        !own.is_empty()
    })?;
    let list = ports.iter().cloned().collect::<Vec<_>>().join(", ");
    let detail = format!(
        "{} {} hostPort{} {list}",
        container_list(&names),
        verb_use(names.len()),
        plural_suffix(ports.len())
    );
    violation("hostPort", detail)
}

fn check_probe_hosts(pod: Pod<'_>) -> Option<Violation> {
    let mut hosts = BTreeSet::new();
    let mut names = pod.offenders(|container| {
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|field| &container[field]);
        let hooks = ["postStart", "preStop"].map(|field| &container["lifecycle"][field]);
        let actions =
            probes.into_iter().chain(hooks).flat_map(|handler| [&handler["httpGet"], &handler["tcpSocket"]]);
        let own: Vec<&str> =
            actions.map(|action| text(&action["host"])).filter(|host| !host.is_empty()).collect();
        hosts.extend(own.iter().map(|host| (*host).to_owned()));
        !own.is_empty()
    })?;
    names.sort();
    let detail = format!(
        "{} {} probe or lifecycle host{} {}",
        container_list(&names),
        verb_use(names.len()),
        plural_suffix(hosts.len()),
        quoted_list(&hosts)
    );
    violation("probe or lifecycle host", detail)
}

fn check_privileged_containers(pod: Pod<'_>) -> Option<Violation> {
    let names = pod.offenders(|container| container["securityContext"]["privileged"] == true)?;
    violation(
        "privileged",
        format!("{} must not set securityContext.privileged=true", container_list(&names)),
    )
}

fn check_proc_mount(pod: Pod<'_>) -> Option<Violation> {
    let mut types = BTreeSet::new();
    let names = pod.offenders(|container| {
        let mount = container["securityContext"]["procMount"].as_str().filter(|mount| *mount != "Default");
        types.extend(mount.map(str::to_owned));
        mount.is_some()
    })?;
    let detail = format!(
        "{} must not set securityContext.procMount to {}",
        container_list(&names),
        quoted_list(&types)
    );
    violation("procMount", detail)
}

/// The sysctls that a pod may set, each with the first minor version of Kubernetes that allows it; 0 for all versions.
const SYSCTLS: [(&str, u32); 14] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
    ("net.ipv4.tcp_slow_start_after_idle", 37),
    ("net.ipv4.tcp_notsent_lowat", 37),
];

fn check_sysctls(pod: Pod<'_>, version: u32) -> Option<Violation> {
    let list = items(&pod.spec["securityContext"], "sysctls");
    let is_allowed = |name: &str| SYSCTLS.iter().any(|(known, since)| *known == name && *since <= version);
    let forbidden: Vec<&str> =
        list.map(|sysctl| text(&sysctl["name"])).filter(|name| !is_allowed(name)).collect();
    if forbidden.is_empty() { None } else { violation("forbidden sysctls", forbidden.join(", ")) }
}

fn check_host_process(pod: Pod<'_>) -> Option<Violation> {
    let is_set = |holder: &Value| holder["securityContext"]["windowsOptions"]["hostProcess"] == true;
    let names = pod.container_names(|container| is_set(container));
    let setters = violation_subject(is_set(pod.spec), &names)?;
    violation(
        "hostProcess",
        format!("{setters} must not set securityContext.windowsOptions.hostProcess=true"),
    )
}

fn check_privilege_escalation(pod: Pod<'_>) -> Option<Violation> {
    let names =
        pod.offenders(|container| container["securityContext"]["allowPrivilegeEscalation"] != false)?;
    let detail =
        format!("{} must set securityContext.allowPrivilegeEscalation=false", container_list(&names));
    violation("allowPrivilegeEscalation != false", detail)
}

/// The volume sources that the level `restricted` allows.
const ALLOWED_VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

fn check_restricted_volumes(pod: Pod<'_>) -> Option<Violation> {
    let (mut names, mut types) = (Vec::new(), BTreeSet::new());
    for volume in items(pod.spec, "volumes") {
        let sources = volume.as_object().into_iter().flatten();
        let mut sources = sources.filter(|(field, value)| *field != "name" && !value.is_null());
        let source = sources.next().map_or("unknown", |(field, _)| field.as_str());
        if !ALLOWED_VOLUMES.contains(&source) {
            names.push(text(&volume["name"]));
            types.insert(source);
        }
    }
    if names.is_empty() {
        return None;
    }
    let detail = format!(
        "volume{} {} {} restricted volume type{} {}",
        plural_suffix(names.len()),
        quoted_list(&names),
        verb_use(names.len()),
        plural_suffix(types.len()),
        quoted_list(&types)
    );
    violation("restricted volume types", detail)
}

fn check_run_as_user(pod: Pod<'_>) -> Option<Violation> {
    let is_root = |holder: &Value| holder["securityContext"]["runAsUser"] == 0;
    let names = pod.container_names(|container| is_root(container));
    let setters = violation_subject(is_root(pod.spec), &names)?;
    violation("runAsUser=0", format!("{setters} must not set runAsUser=0"))
}
