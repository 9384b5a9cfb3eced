//! Tests of the warnings for pods and pod templates.

use serde_json::json;

use super::*;
use crate::strategy::Strategy;
use crate::warnings::MAX_WARNINGS;

/// Checks the warnings about a new pod, and about a new object of each kind with a pod template. The pod and the template
/// have the same content.
#[track_caller]
fn check_warnings(metadata: &Value, spec: &Value, expected: &[&str]) {
    let template = json!({"metadata": metadata, "spec": spec});
    let mut found = Vec::new();
    warn_of_pod(&template, &mut found);
    assert_eq!(found, expected);
    let prefixed = |path: &str| -> Vec<String> {
        let prefix = |text: &&str| match *text {
            text if text.starts_with("volume \"") => text.to_owned(),
            text => format!("{path}.{}", text.replace(" spec.", &format!(" {path}.spec."))),
        };
        expected.iter().map(prefix).collect()
    };
    let expected = prefixed("spec.template");
    let object = json!({"metadata": {"generation": 1}, "spec": {"template": template}});
    for (group, version, kind) in [
        ("apps", "v1", "DaemonSet"),
        ("apps", "v1", "Deployment"),
        ("apps", "v1", "ReplicaSet"),
        ("apps", "v1", "StatefulSet"),
        ("batch", "v1", "Job"),
        ("", "v1", "ReplicationController"),
    ] {
        assert_eq!(warnings(group, version, kind, None, &object), expected, "{kind}");
    }
    let cron_job = json!({"spec": {"jobTemplate": {"spec": {"template": template}}}});
    assert_eq!(
        warnings("batch", "v1", "CronJob", None, &cron_job),
        prefixed("spec.jobTemplate.spec.template")
    );
    assert_eq!(warnings("", "v1", "PodTemplate", None, &json!({"template": template})), prefixed("template"));
}

fn warnings(group: &str, version: &str, kind: &str, old: Option<&Value>, new: &Value) -> Vec<String> {
    let mut found = Vec::new();
    (Strategy::of(group, version, kind).unwrap().warn)(old, new, &mut found);
    found
}

#[test]
fn annotations_without_effect_cause_warnings() {
    check_warnings(
        &json!({"annotations": {
            "scheduler.alpha.kubernetes.io/critical-pod": "",
            "seccomp.security.alpha.kubernetes.io/pod": "unconfined",
            "container.seccomp.security.alpha.kubernetes.io/c": "unconfined",
        }}),
        &json!({"containers": [{"name": "c"}]}),
        &[
            "metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the \"priorityClassName\" field instead",
            "metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the \"seccompProfile\" field instead",
            "metadata.annotations[container.seccomp.security.alpha.kubernetes.io/c]: non-functional in v1.27+; use the \"seccompProfile\" field instead",
        ],
    );
}

#[test]
fn app_armor_annotations_cause_warnings_unless_the_pod_has_the_same_profile() {
    let key = "container.apparmor.security.beta.kubernetes.io/c";
    let of = |context: Value| {
        let template = json!({
            "metadata": {"annotations": {key: "unconfined"}},
            "spec": {"securityContext": context, "initContainers": [{"name": "c"}]},
        });
        warnings("apps", "v1", "Deployment", None, &json!({"spec": {"template": template}}))
    };
    let expected = format!(
        "spec.template.metadata.annotations[{key}]: deprecated since v1.30; use the \"appArmorProfile\" field instead"
    );
    assert_eq!(of(json!({})), [expected.as_str()]);
    assert_eq!(of(json!({"appArmorProfile": {"type": "RuntimeDefault"}})), [expected.as_str()]);
    assert_eq!(of(json!({"appArmorProfile": {"type": "Unconfined"}})), [""; 0]);
}

#[test]
fn an_update_causes_warnings_only_if_it_increments_the_generation() {
    let object = |generation: i64| {
        let spec = json!({"terminationGracePeriodSeconds": -1});
        json!({"metadata": {"generation": generation}, "spec": {"template": {"spec": spec}}})
    };
    let count = |old| warnings("apps", "v1", "StatefulSet", Some(&object(old)), &object(2)).len();
    assert_eq!((count(1), count(2)), (1, 0));
}

#[test]
fn deprecated_node_labels_and_null_selectors_cause_warnings() {
    let term = json!({"matchExpressions": [{"key": "a"}, {"key": "beta.kubernetes.io/arch"}]});
    check_warnings(
        &json!({}),
        &json!({
            "nodeSelector": {"beta.kubernetes.io/os": "linux"},
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]},
                    "preferredDuringSchedulingIgnoredDuringExecution": [{"preference": term}],
                },
                "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": {}}, {}]},
                "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": {}}]},
            },
            "topologySpreadConstraints": [{"topologyKey": "node-role.kubernetes.io/master"}],
        }),
        &[
            "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[1].key: beta.kubernetes.io/arch is deprecated since v1.14; use \"kubernetes.io/arch\" instead",
            "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[1].key: beta.kubernetes.io/arch is deprecated since v1.14; use \"kubernetes.io/arch\" instead",
            "spec.topologySpreadConstraints[0].topologyKey: node-role.kubernetes.io/master is use \"node-role.kubernetes.io/control-plane\" instead",
            "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
            "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[1].labelSelector: a null labelSelector results in matching no pod",
            "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: a null labelSelector results in matching no pod",
        ],
    );
}

#[test]
fn deprecated_volumes_and_overlapping_files_cause_warnings() {
    let items = json!([{"key": "a", "path": "a/"}, {"key": "b", "path": "a/b"}]);
    let claim = json!({"resources": {"requests": {"storage": "1500m"}}});
    check_warnings(
        &json!({}),
        &json!({"volumes": [
            {"name": "g", "gitRepo": {}},
            {"name": "s", "storageos": {}},
            {"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": claim}}},
            {"name": "c", "configMap": {"name": "m", "items": items}},
            {"name": "p", "projected": {"sources": [
                {},
                {"serviceAccountToken": {"path": "token"}},
                {"secret": {"name": "s", "items": [{"key": "t", "path": "token"}]}},
            ]}},
        ]}),
        &[
            "spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+",
            "spec.volumes[1].storageOS: deprecated in v1.22, non-functional in v1.25+",
            "spec.volumes[2].ephemeral.volumeClaimTemplate.spec.resources.requests[storage]: fractional byte value \"1500m\" is invalid, must be an integer",
            "volume \"c\" (ConfigMap \"m\"): overlapping paths: \"a/b\" with \"a\"",
            "volume \"p\" (Projected) has no sources provided",
            "volume \"p\" (Projected): overlapping paths: \"token\" (Secret \"s\") with \"token\" (ServiceAccountToken)",
        ],
    );
}

#[test]
fn duplicates_and_fractional_bytes_cause_warnings() {
    let env = json!([
        {"name": "A", "value": "1"},
        {"name": "A", "value": "$(A)2"},
        {"name": "A", "value": "3"},
        {"name": "A", "valueFrom": {}},
    ]);
    check_warnings(
        &json!({}),
        &json!({
            "hostAliases": [{"ip": "1.2.3.4"}, {"ip": "1.2.3.4"}],
            "imagePullSecrets": [{"name": "a"}, {"name": "a"}, {}],
            "overhead": {"memory": "100m", "cpu": "100m"},
            "containers": [{"name": "c", "env": env, "resources": {"limits": {"ephemeral-storage": "1n"}}}],
            "terminationGracePeriodSeconds": -1,
        }),
        &[
            "spec.hostAliases[1].ip: duplicate ip \"1.2.3.4\"",
            "spec.imagePullSecrets[1].name: duplicate name \"a\"",
            "spec.imagePullSecrets[2].name: invalid empty name \"\"",
            "spec.overhead[memory]: fractional byte value \"100m\" is invalid, must be an integer",
            "spec.containers[0].resources.limits[ephemeral-storage]: fractional byte value \"1n\" is invalid, must be an integer",
            "spec.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply",
            "spec.containers[0].env[3]: hides previous definition of \"A\", which may be dropped when using apply",
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
        ],
    );
}

#[test]
fn overlapping_ports_cause_warnings() {
    let port =
        |ip: &str, host: i64| json!({"containerPort": 80, "protocol": "TCP", "hostIP": ip, "hostPort": host});
    check_warnings(
        &json!({}),
        &json!({
            "initContainers": [{"name": "i", "ports": [port("", 0)]}],
            "containers": [{"name": "c", "ports": [port("", 0), port("1.2.3.4", 0), port("", 8), port("1.2.3.4", 8)]}],
        }),
        &[
            "spec.containers[0].ports[0]: duplicate port definition with spec.initContainers[0].ports[0]",
            "spec.containers[0].ports[1]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:1.2.3.4}",
            "spec.containers[0].ports[1]: overlapping port definition with spec.initContainers[0].ports[0]",
            "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]",
            "spec.containers[0].ports[2]: overlapping port definition with spec.initContainers[0].ports[0]",
            "spec.containers[0].ports[2]: overlapping port definition with spec.containers[0].ports[0]",
            "spec.containers[0].ports[2]: overlapping port definition with spec.containers[0].ports[1]",
            "spec.containers[0].ports[3]: overlapping port definition with spec.initContainers[0].ports[0]",
            "spec.containers[0].ports[3]: overlapping port definition with spec.containers[0].ports[0]",
            "spec.containers[0].ports[3]: overlapping port definition with spec.containers[0].ports[1]",
            "spec.containers[0].ports[3]: dangerously ambiguous port definition with spec.containers[0].ports[2]",
        ],
    );
}

#[test]
fn equal_port_names_and_non_canonical_addresses_cause_warnings() {
    let port = |number: i64| json!({"name": "web", "containerPort": number, "protocol": "TCP"});
    check_warnings(
        &json!({}),
        &json!({
            "hostAliases": [{"ip": "1.2.3.4"}, {"ip": "010.0.0.1"}, {"ip": "::1"}],
            "dnsConfig": {"nameservers": ["::ffff:1.2.3.4", "2001:DB8::1"]},
            "containers": [{"name": "c", "ports": [port(1)]}, {"name": "d", "ports": [port(2)]}],
        }),
        &[
            "spec.containers[1].ports[0]: duplicate port name \"web\" with spec.containers[0].ports[0], services and probes that select ports by name will use spec.containers[0].ports[0]",
            "spec.dnsConfig.nameservers[0]: non-standard IP address \"::ffff:1.2.3.4\" is invalid: use \"1.2.3.4\"",
            "spec.dnsConfig.nameservers[1]: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")",
            "spec.hostAliases[1].ip: non-standard IP address \"010.0.0.1\" is invalid: use \"10.0.0.1\"",
        ],
    );
}

#[test]
fn invalid_values_in_preferred_terms_cause_warnings() {
    let terms = json!([{"preference": {"matchExpressions": [{"key": "a", "values": ["b", "c d"]}]}}]);
    let expected = format!(
        "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].values[1]: c d is invalid, {}",
        names::INVALID_LABEL_VALUE
    );
    let affinity = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}});
    check_warnings(&json!({}), &json!({"affinity": affinity}), &[&expected]);
}

#[test]
fn names_that_are_not_dns_labels_cause_warnings() {
    let text = |usage: &str, why: &str| {
        vec![format!(
            "metadata.name: this is used in {usage}, which can result in surprising behavior; a DNS label is recommended: [{why}]"
        )]
    };
    let object = |name: &str| json!({"metadata": {"name": name}});
    let names = "Pod names and hostnames";
    for (group, kind) in [
        ("apps", "Deployment"),
        ("apps", "ReplicaSet"),
        ("batch", "CronJob"),
        ("batch", "Job"),
        ("", "ReplicationController"),
    ] {
        let expected = text(names, "must not contain dots");
        assert_eq!(warnings(group, "v1", kind, None, &object("a.b")), expected, "{kind}");
    }
    assert_eq!(warnings("apps", "v1", "DaemonSet", None, &object("a.b")), [""; 0]);
    let long = format!("{}.b", "a".repeat(63));
    let expected = text("the Pod's hostname", "must be no more than 63 characters must not contain dots");
    assert_eq!(warnings("", "v1", "Pod", None, &object(&long)), expected);
}

#[test]
fn each_workload_kind_has_its_own_warnings() {
    let template = json!({"spec": {"terminationGracePeriodSeconds": -1}});
    let of = |generation: i64, template: &Value| json!({"metadata": {"generation": generation}, "spec": {"template": template}});
    let count =
        |kind: &str, group: &str, old: &Value, new: &Value| warnings(group, "v1", kind, Some(old), new).len();
    // The warnings of an update of a replication controller are about the old template.
    let (bad, good) = (of(1, &template), of(2, &json!({})));
    assert_eq!(count("ReplicationController", "", &bad, &good), 1);
    assert_eq!(count("ReplicationController", "", &of(1, &json!({})), &of(2, &template)), 0);
    // An update of a daemon set causes warnings only if the update changes the template.
    assert_eq!(count("DaemonSet", "apps", &of(1, &template), &of(2, &template)), 0);
    assert_eq!(count("DaemonSet", "apps", &of(1, &json!({})), &of(2, &template)), 1);

    let claim = json!({"spec": {"resources": {"limits": {"storage": "1m"}}}});
    let set = json!({"spec": {"revisionHistoryLimit": -1, "volumeClaimTemplates": [claim]}});
    let limit = "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended";
    for (old, path) in [(None, "resources"), (Some(&set), "Spec.resources")] {
        let fraction = format!(
            "spec.volumeClaimTemplates[0].{path}.limits[storage]: fractional byte value \"1m\" is invalid, must be an integer"
        );
        assert_eq!(warnings("apps", "v1", "StatefulSet", old, &set), [&fraction, limit]);
    }
    let job = json!({"spec": {"completionMode": "Indexed", "completions": 100_001, "parallelism": 10_001}});
    assert_eq!(warnings("batch", "v1", "Job", None, &job).len(), 1);
    let cron_job = json!({"spec": {"schedule": "TZ=UTC 0 0 * * *"}});
    assert_eq!(warnings("batch", "v1", "CronJob", Some(&cron_job), &cron_job).len(), 1);
}

/// The first warnings about a new pod with this spec, as many as fit in a response.
fn first_warnings(spec: &Value) -> Vec<String> {
    let mut found = Vec::new();
    warn_of_pod(&json!({"spec": spec}), &mut found);
    found.truncate(MAX_WARNINGS);
    found
}

#[test]
fn many_files_or_ports_take_a_linear_number_of_steps() {
    const ITEM_COUNT: usize = 100_000;
    let item = |path: String| json!({"key": "k", "path": path});
    let config_map =
        |items: Vec<Value>| json!({"volumes": [{"name": "c", "configMap": {"name": "m", "items": items}}]});
    let equal = first_warnings(&config_map(vec![item("a".to_owned()); ITEM_COUNT]));
    assert_eq!(equal, ["volume \"c\" (ConfigMap \"m\"): overlapping paths: \"a\" with \"a\""]);
    let distinct = |prefix: &str| (0..ITEM_COUNT).map(|i| item(format!("{prefix}{i}"))).collect::<Vec<_>>();
    assert_eq!(first_warnings(&config_map(distinct("a"))), Vec::<String>::new());
    let mut in_a_folder = distinct("a/");
    in_a_folder.push(item("a".to_owned()));
    let expected: Vec<_> = (0..MAX_WARNINGS)
        .map(|i| format!("volume \"c\" (ConfigMap \"m\"): overlapping paths: \"a\" with \"a/{i}\""))
        .collect();
    assert_eq!(first_warnings(&config_map(in_a_folder)), expected);

    let ports = |ports: Vec<Value>| json!({"containers": [{"name": "c", "ports": ports}]});
    let port = json!({"containerPort": 80, "protocol": "TCP"});
    let found = first_warnings(&ports(vec![port; ITEM_COUNT]));
    assert_eq!(found.len(), MAX_WARNINGS);
    assert_eq!(
        found[2],
        "spec.containers[0].ports[2]: duplicate port definition with spec.containers[0].ports[1]"
    );
    let on_hosts = (0..ITEM_COUNT).map(|i| {
        let (a, b) = (i % 250, i / 250);
        json!({"containerPort": 80, "protocol": "TCP", "hostPort": 1 + a, "hostIP": format!("10.0.{b}.1")})
    });
    assert_eq!(first_warnings(&ports(on_hosts.collect())), Vec::<String>::new());
}
