//! Tests of the validation of built-in kinds; `pods.rs` tests the errors of pods. The expected error texts were recorded
//! from kube-apiserver 1.37.2.

use serde_json::{Value, json};

use crate::builtin::find;
use crate::strategy::Strategy;

/// The strategy of the kind of a resource.
fn strategy(resource: &crate::builtin::Resource) -> &'static Strategy {
    Strategy::of(resource.group, resource.version, resource.kind).unwrap()
}

/// Decodes `object` and sets its defaults, as a write request does.
fn decode_with_defaults(group: &str, plural: &str, mut object: Value) -> Value {
    let versions = ["v2", "v1"];
    let resource = versions.iter().find_map(|version| find(group, version, plural)).unwrap();
    let schema = resource.schema().unwrap();
    object["kind"] = json!(resource.kind);
    crate::schema::decode(&schema, &mut object, |_, _| false).unwrap();
    crate::schema::apply_defaults(&schema, &mut object);
    (strategy(resource).set_defaults)(None, &mut object);
    object
}

/// Checks the errors of an update from `old` to `new`. If `old` is `None`, checks the errors of the creation of `new`.
#[track_caller]
pub(super) fn check_update(group: &str, plural: &str, old: Option<Value>, new: Value, expected: &[&str]) {
    let versions = ["v2", "v1"];
    let resource = versions.iter().find_map(|version| find(group, version, plural)).unwrap();
    let old = old.map(|old| decode_with_defaults(group, plural, old));
    let new = decode_with_defaults(group, plural, new);
    let errors = strategy(resource).validate(&resource.schema().unwrap(), old.as_ref(), &new);
    let found: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[track_caller]
pub(super) fn check_create(group: &str, plural: &str, new: Value, expected: &[&str]) {
    check_update(group, plural, None, new, expected);
}

/// A valid pod template with these labels.
fn template(labels: &Value) -> Value {
    json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}})
}

/// A deployment that is valid before the closure `change` modifies its spec.
fn deployment(change: impl FnOnce(&mut Value)) -> Value {
    let mut object =
        json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template(&json!({"a": "b"}))}});
    change(&mut object["spec"]);
    object
}

#[test]
fn valid_objects_are_accepted() {
    check_create("apps", "deployments", deployment(|_| {}), &[]);
    check_create("apps", "statefulsets", deployment(|_| {}), &[]);
    check_create("apps", "daemonsets", deployment(|_| {}), &[]);
    check_create("", "pods", json!({"spec": {"containers": [{"name": "c", "image": "x"}]}}), &[]);
    check_create("", "services", json!({"spec": {"ports": [{"port": 80}]}}), &[]);
    check_create("", "configmaps", json!({"data": {"a.b-c_d": "x"}}), &[]);
    check_create(
        "batch",
        "cronjobs",
        json!({"spec": {"schedule": "*/5 * * * 1-5", "jobTemplate": {"spec": {"template": {
            "spec": {"containers": [{"name": "c", "image": "x"}], "restartPolicy": "Never"},
        }}}}}),
        &[],
    );
}

#[test]
fn invalid_deployments_are_rejected() {
    check_create(
        "apps",
        "deployments",
        json!({"spec": {}}),
        &[
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
            "spec.template.spec.containers: Required value",
        ],
    );
    check_create(
        "apps",
        "deployments",
        deployment(|spec| {
            spec["replicas"] = json!(-1);
            spec["strategy"] = json!({"type": "Recreate", "rollingUpdate": {"maxSurge": 1}});
        }),
        &[
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ],
    );
    check_create(
        "apps",
        "deployments",
        deployment(|spec| spec["selector"] = json!({})),
        &["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
    );
    check_create(
        "apps",
        "deployments",
        deployment(|spec| spec["selector"] = json!({"matchExpressions": [{"key": "a", "operator": "In"}]})),
        &[
            "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            "spec.selector: Invalid value: {\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\"}]}: invalid label selector",
        ],
    );
    check_update(
        "apps",
        "deployments",
        Some(deployment(|_| {})),
        deployment(|spec| {
            spec["selector"]["matchLabels"] = json!({"a": "c"});
            spec["template"] = template(&json!({"a": "c"}));
        }),
        &["spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"c\"}}: field is immutable"],
    );
}

#[test]
fn invalid_workloads_other_than_deployments_are_rejected() {
    let wrong = |spec: &mut Value| {
        spec["replicas"] = json!(-2);
        spec["selector"]["matchLabels"] = json!({"a": "c"});
        spec["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    };
    check_create(
        "apps",
        "replicasets",
        deployment(wrong),
        &[
            "spec.replicas: Invalid value: -2: must be greater than or equal to 0",
            "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
            "spec.template.spec.restartPolicy: Unsupported value: \"OnFailure\": supported values: \"Always\"",
        ],
    );
    check_update(
        "apps",
        "statefulsets",
        Some(deployment(|spec| spec["serviceName"] = json!("x"))),
        deployment(|spec| spec["serviceName"] = json!("y")),
        &["spec.serviceName: Invalid value: \"y\": field is immutable"],
    );
    let job = |policy: &str| {
        json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "x"}], "restartPolicy": policy},
        }}})
    };
    check_create(
        "batch",
        "jobs",
        job("Always"),
        &["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""],
    );
    let mut changed = job("Never");
    changed["spec"]["completions"] = json!(5);
    check_update(
        "batch",
        "jobs",
        Some(job("Never")),
        changed,
        &["spec.completions: Invalid value: 5: field is immutable"],
    );
    let mut template = job("Never");
    template["spec"].as_object_mut().unwrap().remove("selector");
    let cron = |schedule: &str| json!({"spec": {"schedule": schedule, "concurrencyPolicy": "x", "jobTemplate": template}});
    check_create(
        "batch",
        "cronjobs",
        cron("x"),
        &[
            "spec.schedule: Invalid value: \"x\": expected exactly 5 fields, found 1: [x]",
            "spec.concurrencyPolicy: Unsupported value: \"x\": supported values: \"Allow\", \"Forbid\", \"Replace\"",
        ],
    );
}

#[test]
fn invalid_services_are_rejected() {
    check_create("", "services", json!({"spec": {}}), &["spec.ports: Required value"]);
    check_create("", "services", json!({"spec": {"clusterIP": "None"}}), &[]);
    check_create(
        "",
        "services",
        json!({"spec": {"type": "Foo", "ports": [{"port": 0}, {"port": 80}]}}),
        &[
            "spec.ports[0].name: Required value",
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[1].name: Required value",
            "spec.type: Unsupported value: \"Foo\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
        ],
    );
    let service = |address: &str| json!({"spec": {"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 80}]}});
    check_update(
        "",
        "services",
        Some(service("10.0.0.1")),
        service("10.0.0.77"),
        &["spec.clusterIPs[0]: Invalid value: [\"10.0.0.77\"]: may not change once set"],
    );
}

#[test]
fn invalid_config_maps_and_secrets_are_rejected() {
    let key = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    check_create(
        "",
        "secrets",
        json!({"data": {"c d": "ZA=="}}),
        &[&format!("data[c d]: Invalid value: \"c d\": {key}")],
    );
    check_create(
        "",
        "secrets",
        json!({"type": "kubernetes.io/tls"}),
        &["data[tls.crt]: Required value", "data[tls.key]: Required value"],
    );
    check_update(
        "",
        "secrets",
        Some(json!({"immutable": true, "data": {"c": "ZA=="}})),
        json!({"type": "x", "data": {"c": "ZA=="}}),
        &[
            "type: Invalid value: \"x\": field is immutable",
            "immutable: Forbidden: field is immutable when `immutable` is set",
        ],
    );
    check_update(
        "",
        "configmaps",
        Some(json!({"immutable": true, "data": {"c": "1"}})),
        json!({"data": {"c": "2"}}),
        &[
            "immutable: Forbidden: field is immutable when `immutable` is set",
            "data: Forbidden: field is immutable when `immutable` is set",
        ],
    );
}

#[test]
fn invalid_objects_of_kinds_without_a_separate_test_are_rejected() {
    check_create(
        "coordination.k8s.io",
        "leases",
        json!({"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}}),
        &[
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
        ],
    );
    check_create(
        "rbac.authorization.k8s.io",
        "clusterroles",
        json!({"rules": [{"apiGroups": [""], "resources": ["pods"]}]}),
        &["rules[0].verbs: Required value"],
    );
    let binding = |role: &str| json!({"roleRef": {"kind": "Role", "name": role}});
    check_update(
        "rbac.authorization.k8s.io",
        "rolebindings",
        Some(binding("x")),
        binding("y"),
        &[
            "roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"y\"}: field is immutable",
        ],
    );
    check_create(
        "",
        "persistentvolumeclaims",
        json!({"spec": {}}),
        &[
            "spec.accessModes: Required value: at least 1 access mode is required",
            "spec.resources[storage]: Required value",
        ],
    );
    check_create(
        "autoscaling",
        "horizontalpodautoscalers",
        json!({"spec": {"minReplicas": 5, "maxReplicas": 3, "scaleTargetRef": {"kind": "", "name": "", "apiVersion": "apps/v1"}}}),
        &[
            "spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`",
            "spec.scaleTargetRef.kind: Required value",
            "spec.scaleTargetRef.name: Required value",
        ],
    );
    check_create("storage.k8s.io", "storageclasses", json!({}), &["provisioner: Required value"]);
    check_update(
        "scheduling.k8s.io",
        "priorityclasses",
        Some(json!({"value": 5})),
        json!({"value": 6}),
        &["value: Forbidden: may not be changed in an update."],
    );
    check_create(
        "networking.k8s.io",
        "ingresses",
        json!({"spec": {"rules": [{"http": {"paths": [{"path": "/", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]}}),
        &["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
    );
}

#[test]
fn duplicate_items_outside_of_pods_are_rejected() {
    let port = |name: &str, number: i64| json!({"name": name, "port": number});
    check_create(
        "",
        "services",
        json!({"spec": {"ports": [port("a", 80), port("a", 81)], "ipFamilies": ["IPv4", "IPv4"]}}),
        &["spec.ports[1].name: Duplicate value: \"a\"", "spec.ipFamilies[1]: Duplicate value: \"IPv4\""],
    );
    // The API server prints the fields of a duplicate item in alphabetical order.
    let shown = "{\"AppProtocol\":null,\"Name\":\"\",\"NodePort\":0,\"Port\":80,\"Protocol\":\"TCP\",\"TargetPort\":0}";
    let mut other = port("c", 80);
    other["protocol"] = json!("UDP");
    check_create(
        "",
        "services",
        json!({"spec": {"ports": [port("a", 80), port("b", 80), other]}}),
        &[&format!("spec.ports[1]: Duplicate value: {shown}")],
    );
    check_create(
        "",
        "limitranges",
        json!({"spec": {"limits": [{"type": "Pod"}, {"type": "Pod"}]}}),
        &["spec.limits[1].type: Duplicate value: \"Pod\""],
    );
    check_create(
        "discovery.k8s.io",
        "endpointslices",
        json!({"addressType": "IPv4", "endpoints": [], "ports": [port("a", 1), port("a", 1)]}),
        &["ports[1].name: Duplicate value: \"a\""],
    );
    let driver = json!({"name": "a", "nodeID": "x"});
    check_create(
        "storage.k8s.io",
        "csinodes",
        json!({"spec": {"drivers": [driver, driver]}}),
        &["spec.drivers[1].name: Duplicate value: \"a\""],
    );
    let taint = |effect: &str| json!({"key": "a", "effect": effect});
    check_create(
        "",
        "nodes",
        json!({"spec": {"taints": [taint("NoSchedule"), taint("NoExecute"), taint("NoSchedule")]}}),
        &[
            "metadata.taints[2]: Duplicate value: {\"Effect\":\"NoSchedule\",\"Key\":\"a\",\"TimeAdded\":null,\"Value\":\"\"}: \
             taints must be unique by key and effect pair",
        ],
    );
}

#[test]
fn the_match_rules_of_a_policy_binding_are_checked() {
    let binding = json!({"spec": {"policyName": "p", "matchResources": {
        "resourceRules": [{
            "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"], "operations": ["DELETE"],
            "resourceNames": ["a", "a", "b/c"],
        }],
        "excludeResourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
    }}});
    check_create(
        "admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings",
        binding,
        &[
            r#"spec.matchResources.resourceRules[0].resourceNames[2]: Invalid value: "b/c": may not contain '/'"#,
            r#"spec.matchResources.resourceRules[0].resourceNames[1]: Duplicate value: "a""#,
            "spec.matchResources.excludeResourceRules[0].operations: Required value",
            r#"spec.matchResources.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE""#,
        ],
    );
}
