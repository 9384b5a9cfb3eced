//! Tests of the validation of built-in kinds. The expected error texts were recorded from kube-apiserver 1.37.2.

use serde_json::{Value, json};

use crate::builtin::find;
use crate::strategy::Strategy;

/// The strategy of the kind of a resource.
fn strategy(resource: &crate::builtin::Resource) -> &'static Strategy {
    Strategy::of(resource.group, resource.version, resource.kind).unwrap()
}

/// Decodes `object` and sets its defaults, as a write request does.
fn decoded_with_defaults(group: &str, plural: &str, mut object: Value) -> Value {
    let versions = ["v2", "v1"];
    let resource = versions.iter().find_map(|version| find(group, version, plural)).unwrap();
    let schema = resource.schema().unwrap();
    object["kind"] = json!(resource.kind);
    crate::schema::decode(&schema, &mut object, |_, _| false).unwrap();
    crate::schema::default(&schema, &mut object);
    (strategy(resource).set_defaults)(None, &mut object);
    object
}

/// Checks the errors of an update from `old` to `new`, or of a create if `old` is `None`.
#[track_caller]
pub(super) fn check_update(group: &str, plural: &str, old: Option<Value>, new: Value, expected: &[&str]) {
    let versions = ["v2", "v1"];
    let resource = versions.iter().find_map(|version| find(group, version, plural)).unwrap();
    let old = old.map(|old| decoded_with_defaults(group, plural, old));
    let new = decoded_with_defaults(group, plural, new);
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

/// A deployment that is valid, except for the modifications of its spec by `change`.
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
fn invalid_pods_are_rejected() {
    check_create("", "pods", json!({"spec": {}}), &["spec.containers: Required value"]);
    check_create(
        "",
        "pods",
        json!({"spec": {
            "containers": [
                {"name": "C_", "image": "x", "ports": [{"containerPort": 99999}, {"name": "a"}], "env": [{"name": ""}],
                 "volumeMounts": [{"name": "zz", "mountPath": ""}], "imagePullPolicy": "No"},
                {"name": "c"}, {"name": "c", "image": "x"},
            ],
            "volumes": [{"name": "w", "secret": {}, "emptyDir": {}}, {"name": ""}, {"name": "v"}, {"name": "v"}],
            "restartPolicy": "Foo", "activeDeadlineSeconds": 0,
        }}),
        &[
            "spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type",
            "spec.volumes[1].name: Required value",
            "spec.volumes[3].name: Duplicate value: \"v\"",
            "spec.containers[0].name: Invalid value: \"C_\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            "spec.containers[0].ports[0].containerPort: Invalid value: 99999: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[1].containerPort: Required value",
            "spec.containers[0].env[0].name: Required value",
            "spec.containers[0].volumeMounts[0].name: Not found: \"zz\"",
            "spec.containers[0].volumeMounts[0].mountPath: Required value",
            "spec.containers[1].image: Required value",
            "spec.containers[2].name: Duplicate value: \"c\"",
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
            "spec.containers[0].imagePullPolicy: Unsupported value: \"No\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            "spec.restartPolicy: Unsupported value: \"Foo\": supported values: \"Always\", \"Never\", \"OnFailure\"",
        ],
    );
    check_create(
        "",
        "pods",
        json!({"spec": {"containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}}]}}),
        &[
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1500m",
        ],
    );
}

#[test]
fn pod_updates_may_only_change_mutable_fields() {
    let pod = |image: &str, more: Value| {
        let mut spec = json!({"containers": [{"name": "c", "image": image}]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"spec": spec})
    };
    check_update(
        "",
        "pods",
        Some(pod("x:1", json!({}))),
        pod("y:1", json!({"activeDeadlineSeconds": 5})),
        &[],
    );
    check_update(
        "",
        "pods",
        Some(pod("x:1", json!({}))),
        pod("x:1", json!({"tolerations": [{"key": "a", "operator": "Exists"}]})),
        &[],
    );
    let old = Some(pod("x:1", json!({})));
    let new = pod("x:1", json!({"hostNetwork": true}));
    let text = concat!(
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,",
        "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),",
        "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
    );
    check_update("", "pods", old, new, &[text]);
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
fn invalid_objects_of_other_kinds_are_rejected() {
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

/// A pod that is valid, except for the modifications of its spec by `change`.
fn pod(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = json!({"spec": {"containers": [{"name": "c", "image": "x"}]}});
    change(&mut pod["spec"]);
    pod
}

#[test]
fn duplicate_items_in_pod_lists_are_rejected() {
    let container = |name: &str| json!({"name": name, "image": "x"});
    let duplicates = |change: &dyn Fn(&mut Value), expected: &[&str]| {
        let expected: Vec<String> = expected.iter().map(|error| format!("spec.{error}")).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check_create("", "pods", pod(|spec| change(spec)), &expected);
    };
    duplicates(
        &|spec| {
            spec["containers"] = json!([container("c"), container("d"), container("c")]);
            spec["initContainers"] = json!([container("c"), container("i"), container("i")]);
        },
        &[
            "containers[2].name: Duplicate value: \"c\"",
            "initContainers[0].name: Duplicate value: \"c\"",
            "initContainers[2].name: Duplicate value: \"i\"",
        ],
    );
    let port = |name: &str, number: i64| json!({"name": name, "containerPort": number});
    duplicates(
        &|spec| {
            spec["containers"][0]["ports"] =
                json!([port("a", 80), port("a", 81), port("b", 80), port("a", 82)]);
        },
        &[
            "containers[0].ports[1].name: Duplicate value: \"a\"",
            "containers[0].ports[3].name: Duplicate value: \"a\"",
        ],
    );
    let host = |address: &str, protocol: &str| json!({"containerPort": 80, "hostPort": 8, "hostIP": address, "protocol": protocol});
    duplicates(
        &|spec| {
            spec["containers"][0]["ports"] =
                json!([host("", "TCP"), host("", "UDP"), host("1.2.3.4", "TCP"), host("1.2.3.4", "TCP")]);
        },
        &["containers[0].ports[3].hostPort: Duplicate value: \"TCP/1.2.3.4/8\""],
    );
    duplicates(
        &|spec| {
            spec["containers"] = json!([container("c"), container("d")]);
            spec["containers"][0]["ports"] = json!([host("", "TCP")]);
            spec["containers"][1]["ports"] = json!([host("", "TCP")]);
        },
        &["containers[1].ports[0].hostPort: Duplicate value: \"TCP//8\""],
    );
    duplicates(
        &|spec| {
            spec["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
            let mount = json!({"name": "v", "mountPath": "/a"});
            spec["containers"][0]["volumeMounts"] = json!([mount, mount]);
        },
        &["containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique"],
    );
    let constraint =
        |key: &str| json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule"});
    duplicates(
        &|spec| {
            spec["topologySpreadConstraints"] = json!([constraint("a"), constraint("b"), constraint("a")]);
        },
        &[
            "topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{a, DoNotSchedule}\"",
        ],
    );
    let named = |name: &str| json!({"name": name});
    duplicates(
        &|spec| spec["schedulingGates"] = json!([named("a"), named("a")]),
        &["schedulingGates[1]: Duplicate value: \"a\""],
    );
    duplicates(
        &|spec| {
            let claim = json!({"name": "a", "resourceClaimName": "x"});
            spec["resourceClaims"] = json!([claim, claim]);
            spec["containers"][0]["resources"] = json!({"claims": [named("a"), named("a")]});
        },
        &[
            "resourceClaims[1].name: Duplicate value: \"a\"",
            "containers[0].resources.claims[1]: Duplicate value: \"a\"",
        ],
    );
    let sysctl = json!({"name": "kernel.msgmax", "value": "1"});
    duplicates(
        &|spec| spec["securityContext"] = json!({"sysctls": [sysctl, sysctl]}),
        &["securityContext.sysctls[1].name: Duplicate value: \"kernel.msgmax\""],
    );
}

#[test]
fn duplicate_items_in_other_lists_are_rejected() {
    let port = |name: &str, number: i64| json!({"name": name, "port": number});
    check_create(
        "",
        "services",
        json!({"spec": {"ports": [port("a", 80), port("a", 81)], "ipFamilies": ["IPv4", "IPv4"]}}),
        &["spec.ports[1].name: Duplicate value: \"a\"", "spec.ipFamilies[1]: Duplicate value: \"IPv4\""],
    );
    // The server prints the fields in this order.
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
fn the_rules_of_a_binding_are_checked() {
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
