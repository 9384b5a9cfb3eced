//! Tests of the validation of secrets, scaling policies, nodes, persistent volumes and environment variables. The
//! expected error texts are those of kube-apiserver 1.37.2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::validation::check_create;

#[test]
fn the_type_of_a_secret_determines_its_required_data() {
    let check = |kind: &str, data: &[(&str, &str)], expected: &[&str]| {
        let data: serde_json::Map<String, Value> =
            data.iter().map(|(key, text)| ((*key).to_owned(), STANDARD.encode(text).into())).collect();
        let kind = format!("kubernetes.io/{kind}");
        check_create("", "secrets", json!({"type": kind, "data": data}), expected);
    };
    check("dockerconfigjson", &[(".dockerconfigjson", "{}")], &[]);
    check("dockercfg", &[(".dockercfg", "null")], &[]);
    check("dockercfg", &[], &["data[.dockercfg]: Required value"]);
    for (text, why) in [
        ("", "unexpected end of JSON input"),
        ("x", "invalid character 'x' looking for beginning of value"),
        ("[]", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
    ] {
        let expected =
            format!("data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": {why}");
        check("dockerconfigjson", &[(".dockerconfigjson", text)], &[&expected]);
    }
    check("basic-auth", &[("password", "")], &[]);
    check("basic-auth", &[], &["data[username]: Required value", "data[password]: Required value"]);
    check("ssh-auth", &[("ssh-privatekey", "")], &["data[ssh-privatekey]: Required value"]);
    check(
        "service-account-token",
        &[],
        &["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
    );
}

#[test]
fn the_list_of_scaling_policies_must_not_be_empty() {
    let check = |rules: Value, expected: &[&str]| {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
        let spec = json!({"maxReplicas": 2, "scaleTargetRef": target, "behavior": {"scaleDown": rules}});
        check_create("autoscaling", "horizontalpodautoscalers", json!({ "spec": spec }), expected);
    };
    check(json!({}), &[]);
    check(
        json!({"policies": []}),
        &["spec.behavior.scaleDown.policies: Required value: must specify at least one Policy"],
    );
}

#[test]
fn the_pod_cidr_of_a_node_replaces_the_list_of_pod_cidrs() {
    let check = |spec: Value, expected: &[&str]| check_create("", "nodes", json!({ "spec": spec }), expected);
    let (valid, invalid) = ("192.0.2.0/24", "x");
    check(json!({"podCIDR": valid, "podCIDRs": [invalid]}), &[]);
    let error = "spec.podCIDRs[0]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    for spec in [json!({"podCIDR": invalid, "podCIDRs": [valid]}), json!({"podCIDRs": [invalid]})] {
        check(spec, &[error]);
    }
}

#[test]
fn the_capacity_of_a_volume_must_be_positive() {
    let volume = |size: Value| {
        json!({"spec": {
            "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "nfs": {"path": "/", "server": "s"},
        }})
    };
    check_create("", "persistentvolumes", volume(json!("1Gi")), &[]);
    check_create(
        "",
        "persistentvolumes",
        volume(Value::Null),
        &["spec.capacity[storage]: Invalid value: \"0\": must be greater than zero"],
    );
}

#[test]
fn the_divisor_of_a_resource_field_must_be_a_supported_unit() {
    let check = |resource: &str, divisor: &str, why: &str| {
        let source = json!({"resourceFieldRef": {"resource": resource, "divisor": divisor}});
        let variable = json!({"name": "A", "valueFrom": source});
        let pod = json!({"spec": {"containers": [{"name": "c", "image": "i", "env": [variable]}]}});
        let path = "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor";
        let error = format!("{path}: Invalid value: \"{resource}\": {why}");
        let expected = [error.as_str()];
        check_create("", "pods", pod, if why.is_empty() { &[] } else { &expected });
    };
    check("limits.cpu", "1m", "");
    check("limits.memory", "1Mi", "");
    check("limits.cpu", "7", "only divisor's values 1m and 1 are supported with the cpu resource");
    check(
        "requests.memory",
        "7",
        "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource",
    );
}
