//! Tests of the validation of pods. The expected error texts were recorded from kube-apiserver 1.37.2.

use serde_json::{Value, json};

use super::validation::{check_create, check_update};

/// A pod that is valid before the closure `change` modifies its spec.
fn pod(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = json!({"spec": {"containers": [{"name": "c", "image": "x"}]}});
    change(&mut pod["spec"]);
    pod
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
fn duplicate_entries_in_the_lists_of_a_pod_spec_are_rejected() {
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
