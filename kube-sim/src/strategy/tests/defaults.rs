//! Tests of the defaults of built-in kinds. The expected objects were recorded from kube-apiserver 1.37.2 with dry-run
//! requests.

use serde_json::{Value, json};

use crate::builtin::find;
use crate::clock::Random;
use crate::strategy::Strategy;

/// Decodes `object` and sets its defaults, as a write request does. Compares the result with the fields in `expected`.
#[track_caller]
fn check_defaults(group: &str, version: &str, plural: &str, mut object: Value, expected: &Value) {
    let resource = find(group, version, plural).unwrap();
    let schema = resource.schema().unwrap();
    crate::schema::decode(&schema, &mut object, |_, _| false).unwrap();
    crate::schema::apply_defaults(&schema, &mut object);
    let strategy = Strategy::of(group, version, resource.kind).unwrap();
    (strategy.set_defaults)(None, &mut object);
    let once = object.clone();
    (strategy.set_defaults)(Some(&once), &mut object);
    assert_eq!(object, once, "defaulting is idempotent");
    // The recorded jobs contain the fields that the API server adds at creation. These fields do not depend on the random
    // seed.
    if resource.kind == "Job" {
        (strategy.prepare_for_create)(&mut object, &mut Random::seeded(0));
    }
    for (field, expected) in expected.as_object().unwrap() {
        assert_eq!(&object[field], expected, "{field}");
    }
}

/// A pod template with all defaults. The fields in `spec` replace the fields of the pod spec, or are added to them.
fn defaulted_template(spec: &Value) -> Value {
    let mut full = json!({
        "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
        "securityContext": {}, "schedulerName": "default-scheduler",
        "containers": [{
            "name": "c", "image": "x", "resources": {}, "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File", "imagePullPolicy": "Always",
        }],
    });
    full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({"metadata": {"labels": {"a": "b"}}, "spec": full})
}

/// A pod template without defaults. After defaulting, the template equals [`defaulted_template`] with an empty `spec`.
fn template_without_defaults() -> Value {
    json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}})
}

#[test]
fn deployments_get_their_defaults() {
    check_defaults(
        "apps",
        "v1",
        "deployments",
        json!({"metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template_without_defaults()}}),
        &json!({"spec": {
            "replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": defaulted_template(&json!({})),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
            "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
        }, "status": {}}),
    );
}

#[test]
fn stateful_sets_get_their_defaults() {
    check_defaults(
        "apps",
        "v1",
        "statefulsets",
        json!({"metadata": {"name": "a"}, "spec": {
            "selector": {"matchLabels": {"a": "b"}}, "template": template_without_defaults(),
            "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            }}],
        }}),
        &json!({"spec": {
            "replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": defaulted_template(&json!({})),
            "volumeClaimTemplates": [{
                "kind": "PersistentVolumeClaim", "apiVersion": "v1", "metadata": {"name": "d"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Filesystem"},
                "status": {"phase": "Pending"},
            }],
            "serviceName": "", "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 1}},
            "revisionHistoryLimit": 10,
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        }, "status": {"replicas": 0, "availableReplicas": 0}}),
    );
}

#[test]
fn daemon_sets_get_their_defaults_and_a_template_generation() {
    let given = json!({"metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template_without_defaults()}});
    check_defaults(
        "apps",
        "v1",
        "daemonsets",
        given.clone(),
        &json!({
            "metadata": {"name": "a", "annotations": {"deprecated.daemonset.template.generation": "1"}},
            "spec": {
                "selector": {"matchLabels": {"a": "b"}}, "template": defaulted_template(&json!({})),
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
                "revisionHistoryLimit": 10,
            },
            "status": {"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0},
        }),
    );
    let resource = find("apps", "v1", "daemonsets").unwrap();
    let mut old = given;
    let set_defaults = Strategy::of(resource.group, resource.version, resource.kind).unwrap().set_defaults;
    set_defaults(None, &mut old);
    let mut new = old.clone();
    new["spec"]["template"]["spec"]["containers"][0]["image"] = json!("y:1");
    set_defaults(Some(&old), &mut new);
    assert_eq!(new["metadata"]["annotations"]["deprecated.daemonset.template.generation"], "2");
}

#[test]
fn new_jobs_select_pods_by_the_uid_of_the_job() {
    let labels = json!({
        "batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "a", "controller-uid": "u", "job-name": "a",
    });
    let mut expected = defaulted_template(&json!({"restartPolicy": "Never"}));
    expected["metadata"]["labels"] = labels.clone();
    check_defaults(
        "batch",
        "v1",
        "jobs",
        json!({"metadata": {"name": "a", "uid": "u"}, "spec": {"template": {"spec": {
            "containers": [{"name": "c", "image": "x"}], "restartPolicy": "Never",
        }}}}),
        &json!({"metadata": {"name": "a", "uid": "u", "labels": labels}, "spec": {
            "parallelism": 1, "completions": 1, "backoffLimit": 6, "manualSelector": false,
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}}, "template": expected,
            "completionMode": "NonIndexed", "suspend": false, "podReplacementPolicy": "TerminatingOrFailed",
        }, "status": {}}),
    );
}

#[test]
fn cron_jobs_get_their_defaults() {
    let mut pods = defaulted_template(&json!({"restartPolicy": "Never"}));
    pods["metadata"] = json!({});
    check_defaults(
        "batch",
        "v1",
        "cronjobs",
        json!({"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": {
            "containers": [{"name": "c", "image": "x"}], "restartPolicy": "Never",
        }}}}}}),
        &json!({"spec": {
            "schedule": "* * * * *", "concurrencyPolicy": "Allow", "suspend": false,
            "jobTemplate": {"metadata": {}, "spec": {"template": pods}},
            "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
        }}),
    );
}

#[test]
fn pods_get_their_defaults() {
    let probe =
        json!({"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3});
    let probe = |more: Value| {
        let mut probe = probe.clone();
        probe.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        probe
    };
    check_defaults(
        "",
        "v1",
        "pods",
        json!({"spec": {
            "hostNetwork": false,
            "volumes": [
                {"name": "v", "secret": {"secretName": "s"}}, {"name": "h", "hostPath": {"path": "/x"}},
                {"name": "d", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                {"name": "pr", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}, {"name": "n"},
            ],
            "containers": [{
                "name": "c", "image": "a/b:v1", "livenessProbe": {"httpGet": {"port": 80}},
                "readinessProbe": {"exec": {"command": ["x"]}},
                "env": [{"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "resources": {"limits": {"cpu": "1"}}, "lifecycle": {"preStop": {"httpGet": {"port": "x"}}},
            }],
            "initContainers": [{"name": "i", "image": "x@sha256:abc"}],
        }}),
        &json!({"spec": {
            "volumes": [
                {"name": "v", "secret": {"secretName": "s", "defaultMode": 420}},
                {"name": "h", "hostPath": {"path": "/x", "type": ""}},
                {"name": "d", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.labels"}}], "defaultMode": 420}},
                {"name": "pr", "projected": {"sources": [{"serviceAccountToken": {"expirationSeconds": 3600, "path": "t"}}], "defaultMode": 420}},
                {"name": "n", "emptyDir": {}},
            ],
            "initContainers": [{
                "name": "i", "image": "x@sha256:abc", "resources": {}, "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent",
            }],
            "containers": [{
                "name": "c", "image": "a/b:v1",
                "env": [{"name": "E", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
                "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}},
                "livenessProbe": probe(json!({"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}})),
                "readinessProbe": probe(json!({"exec": {"command": ["x"]}})),
                "lifecycle": {"preStop": {"httpGet": {"path": "/", "port": "x", "scheme": "HTTP"}}},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
            }],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "securityContext": {}, "schedulerName": "default-scheduler", "enableServiceLinks": true,
        }}),
    );
}

#[test]
fn service_defaults_depend_on_the_service_type() {
    let service = |spec: Value, expected: Value| {
        check_defaults("", "v1", "services", json!({"spec": spec}), &json!({"spec": expected}));
    };
    service(
        json!({"ports": [{"port": 80}]}),
        json!({"ports": [{"protocol": "TCP", "port": 80, "targetPort": 80}], "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"}),
    );
    service(
        json!({"type": "LoadBalancer", "sessionAffinity": "ClientIP", "ports": [{"port": 80, "targetPort": "x"}]}),
        json!({
            "ports": [{"protocol": "TCP", "port": 80, "targetPort": "x"}], "type": "LoadBalancer", "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}, "externalTrafficPolicy": "Cluster",
            "allocateLoadBalancerNodePorts": true, "internalTrafficPolicy": "Cluster",
        }),
    );
    service(
        json!({"type": "ExternalName", "externalName": "x.y"}),
        json!({"type": "ExternalName", "sessionAffinity": "None", "externalName": "x.y"}),
    );
}

#[test]
fn kinds_without_a_separate_test_get_their_defaults() {
    check_defaults(
        "",
        "v1",
        "secrets",
        json!({"stringData": {"a": "b"}, "data": {"c": "ZA=="}}),
        &json!({"data": {"a": "Yg==", "c": "ZA=="}, "type": "Opaque", "stringData": null}),
    );
    check_defaults(
        "networking.k8s.io",
        "v1",
        "networkpolicies",
        json!({"spec": {"podSelector": {}, "egress": [{}], "ingress": [{"ports": [{"port": 80}]}]}}),
        &json!({"spec": {"podSelector": {}, "ingress": [{"ports": [{"protocol": "TCP", "port": 80}]}], "egress": [{}], "policyTypes": ["Ingress", "Egress"]}}),
    );
    check_defaults(
        "rbac.authorization.k8s.io",
        "v1",
        "rolebindings",
        json!({"roleRef": {"kind": "Role", "name": "x"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "d", "namespace": "e"}]}),
        &json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "x"},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "u"}, {"kind": "ServiceAccount", "name": "d", "namespace": "e"}],
        }),
    );
    check_defaults(
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        json!({"spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "x", "apiVersion": "apps/v1"}}}),
        &json!({"spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "x", "apiVersion": "apps/v1"}, "minReplicas": 1, "maxReplicas": 3,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
        }}),
    );
    check_defaults(
        "storage.k8s.io",
        "v1",
        "storageclasses",
        json!({"provisioner": "x"}),
        &json!({"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}),
    );
    check_defaults(
        "admissionregistration.k8s.io",
        "v1",
        "validatingwebhookconfigurations",
        json!({"webhooks": [{"name": "a.b.c", "clientConfig": {"service": {"name": "s", "namespace": "n"}}, "sideEffects": "None", "admissionReviewVersions": ["v1"], "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]}]}),
        &json!({"webhooks": [{
            "name": "a.b.c", "clientConfig": {"service": {"namespace": "n", "name": "s", "port": 443}},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "scope": "*"}],
            "failurePolicy": "Fail", "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
            "sideEffects": "None", "timeoutSeconds": 10, "admissionReviewVersions": ["v1"],
        }]}),
    );
}
