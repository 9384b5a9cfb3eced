//! Tests of the fields that an update or a status update may change.

use crate::common::{PODS, delete, get, merge_patch, pod, post, put};
use kube_sim::Sim;
use serde_json::{Value, json};

/// The path of the jobs in the namespace `default`.
const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
/// The path of the services in the namespace `default`.
const SERVICES: &str = "/api/v1/namespaces/default/services";
/// The pod template of the jobs and cron jobs.
const POD_TEMPLATE: &str =
    r#"{"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}"#;

/// A job with the pod template [`POD_TEMPLATE`].
fn job(name: &str, spec: &Value) -> Value {
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec});
    job["spec"]["template"] = serde_json::from_str(POD_TEMPLATE).unwrap();
    job
}

/// Sends a merge patch and asserts that the response is 422 with a message that contains `words`.
async fn assert_refused(sim: &Sim, path: &str, change: Value, words: &str) {
    let shown = change.to_string();
    let message = merge_patch(sim, path, change).await.fails(422, "Invalid");
    assert!(message.contains(words), "{shown}: {message}");
}

/// The error text for an update of an immutable field of a pod.
const IMMUTABLE_FIELD_ERROR: &str = "spec: Forbidden: pod updates may not change fields other than";

#[tokio::test]
async fn a_pod_update_can_change_the_image_but_not_the_node_or_the_grace_period() {
    let sim = Sim::new();
    let mut placed = pod("placed");
    placed["spec"]["nodeName"] = "n".into();
    post(&sim, PODS, placed).await.ok();
    post(&sim, PODS, pod("free")).await.ok();
    for name in ["free", "placed"] {
        let path = format!("{PODS}/{name}");
        for spec in [
            json!({"nodeName": "other"}),
            json!({"terminationGracePeriodSeconds": 5}),
            json!({"terminationGracePeriodSeconds": 1}),
            json!({"hostname": "x"}),
            json!({"nodeSelector": {"a": "b"}}),
            json!({"containers": [{"name": "main", "image": "nginx", "env": [{"name": "A", "value": "b"}]}]}),
        ] {
            assert_refused(&sim, &path, json!({"spec": spec}), IMMUTABLE_FIELD_ERROR).await;
        }
        let more = json!([{"name": "main", "image": "nginx"}, {"name": "more", "image": "nginx"}]);
        let words = "spec.containers: Forbidden: pod updates may not add or remove containers";
        assert_refused(&sim, &path, json!({"spec": {"containers": more}}), words).await;
        let words = "spec.initContainers: Forbidden: pod updates may not add or remove containers";
        let first = json!([{"name": "first", "image": "nginx"}]);
        assert_refused(&sim, &path, json!({"spec": {"initContainers": first}}), words).await;
    }
    let mut hasty = pod("hasty");
    hasty["spec"]["terminationGracePeriodSeconds"] = json!(-1);
    assert_eq!(post(&sim, PODS, hasty).await.ok()["spec"]["terminationGracePeriodSeconds"], 1);
    let path = format!("{PODS}/free");
    let image = json!({"spec": {"containers": [{"name": "main", "image": "other"}]}});
    merge_patch(&sim, &path, image).await.ok();
    let bind = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "free"}, "target": {"kind": "Node", "name": "n"}});
    post(&sim, &format!("{path}/binding"), bind).await.ok();
    assert_eq!(get(&sim, &path).await.ok()["spec"]["nodeName"], "n");
}

#[tokio::test]
async fn the_active_deadline_of_a_pod_can_only_be_shortened() {
    let sim = Sim::new();
    post(&sim, PODS, pod("a")).await.ok();
    let path = format!("{PODS}/a");
    let deadline = |seconds: Value| json!({"spec": {"activeDeadlineSeconds": seconds}});
    merge_patch(&sim, &path, deadline(json!(100))).await.ok();
    let field = "spec.activeDeadlineSeconds: Invalid value: ";
    let longer = format!("{field}200: must be less than or equal to previous value");
    assert_refused(&sim, &path, deadline(json!(200)), &longer).await;
    merge_patch(&sim, &path, deadline(json!(50))).await.ok();
    let none = format!("{field}null: must not update from a positive integer to nil value");
    assert_refused(&sim, &path, deadline(Value::Null), &none).await;
}

#[tokio::test]
async fn tolerations_can_only_be_added_and_scheduling_gates_can_only_be_removed() {
    let sim = Sim::new();
    let mut gated = pod("a");
    gated["spec"]["schedulingGates"] = json!([{"name": "a.b/x"}]);
    gated["spec"]["tolerations"] = json!([{"key": "a", "operator": "Exists"}]);
    post(&sim, PODS, gated).await.ok();
    let path = format!("{PODS}/a");
    let words =
        "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds";
    assert_refused(&sim, &path, json!({"spec": {"tolerations": []}}), words).await;
    let mut more = get(&sim, &path).await.ok()["spec"]["tolerations"].clone();
    more.as_array_mut().unwrap().push(json!({"key": "b", "operator": "Exists"}));
    merge_patch(&sim, &path, json!({"spec": {"tolerations": more}})).await.ok();
    let words = "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'a.b/y'";
    assert_refused(&sim, &path, json!({"spec": {"schedulingGates": [{"name": "a.b/y"}]}}), words).await;
    merge_patch(&sim, &path, json!({"spec": {"schedulingGates": []}})).await.ok();
}

#[tokio::test]
async fn template_and_completion_fields_of_a_job_are_immutable() {
    let sim = Sim::new();
    post(&sim, JOBS, job("a", &json!({}))).await.ok();
    let path = format!("{JOBS}/a");
    let image = json!({"spec": {"containers": [{"name": "c", "image": "j"}]}});
    assert_refused(&sim, &path, json!({"spec": {"template": image}}), "field is immutable").await;
    let labels = json!({"metadata": {"labels": {"x": "y"}}});
    assert_refused(&sim, &path, json!({"spec": {"template": labels}}), "field is immutable").await;
    for (field, value) in [
        ("completions", json!(5)),
        ("completionMode", json!("Indexed")),
        ("managedBy", json!("a.b/c")),
        ("successPolicy", json!({"rules": [{"succeededCount": 1}]})),
    ] {
        let words = format!("spec.{field}: Invalid value: {value}: field is immutable");
        assert_refused(&sim, &path, json!({"spec": {(field): value}}), &words).await;
    }
    merge_patch(&sim, &path, json!({"spec": {"parallelism": 5, "backoffLimit": 5}})).await.ok();
}

#[tokio::test]
async fn scheduling_fields_of_a_suspended_job_are_mutable() {
    let sim = Sim::new();
    let spec = json!({"suspend": true, "completions": 3, "completionMode": "Indexed"});
    post(&sim, JOBS, job("a", &spec)).await.ok();
    let path = format!("{JOBS}/a");
    for template in [
        json!({"spec": {"nodeSelector": {"a": "b"}}}),
        json!({"spec": {"tolerations": [{"key": "a", "operator": "Exists"}]}}),
        json!({"metadata": {"labels": {"x": "y"}}}),
        json!({"spec": {"schedulingGates": [{"name": "a.b/c"}]}}),
        json!({"spec": {"affinity": {"nodeAffinity": {}}}}),
    ] {
        merge_patch(&sim, &path, json!({"spec": {"template": template}})).await.ok();
    }
    let image = json!({"spec": {"containers": [{"name": "c", "image": "j"}]}});
    let anti_affinity = json!({"spec": {"affinity": {"podAntiAffinity": {}}}});
    for template in [image, anti_affinity] {
        assert_refused(&sim, &path, json!({"spec": {"template": template}}), "field is immutable").await;
    }
    let words = "spec.completions: Invalid value: 5: can only be modified in tandem with spec.parallelism";
    assert_refused(&sim, &path, json!({"spec": {"completions": 5}}), words).await;
    merge_patch(&sim, &path, json!({"spec": {"completions": 5, "parallelism": 5}})).await.ok();
}

#[tokio::test]
async fn the_cluster_ip_of_a_service_is_immutable() {
    let sim = Sim::new();
    let service = |name: &str, spec: Value| {
        let mut service =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
        service["spec"]["ports"] = json!([{"port": 80}]);
        service
    };
    post(&sim, SERVICES, service("a", json!({}))).await.ok();
    post(&sim, SERVICES, service("headless", json!({"clusterIP": "None"}))).await.ok();
    for name in ["a", "headless"] {
        let path = format!("{SERVICES}/{name}");
        let words = "spec.clusterIPs[0]: Invalid value: [\"10.0.0.77\"]: may not change once set";
        assert_refused(&sim, &path, json!({"spec": {"clusterIP": "10.0.0.77"}}), words).await;
        let both = json!({"clusterIP": "10.0.0.77", "clusterIPs": ["10.0.0.77"]});
        assert_refused(&sim, &path, json!({"spec": both}), words).await;
        let words = "spec.clusterIPs: Invalid value: [\"10.0.0.78\"]: first value must match `clusterIP`";
        assert_refused(&sim, &path, json!({"spec": {"clusterIPs": ["10.0.0.78"]}}), words).await;
        let before = get(&sim, &path).await.ok();
        for kept in [
            json!({"clusterIP": ""}),
            json!({"clusterIP": null}),
            json!({"clusterIPs": null}),
            json!({"clusterIP": "", "clusterIPs": null}),
        ] {
            assert_eq!(merge_patch(&sim, &path, json!({"spec": kept})).await.ok()["spec"], before["spec"]);
        }
    }
    let external = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "headless"},
        "spec": {"type": "ExternalName", "externalName": "a.b"}});
    let updated = put(&sim, &format!("{SERVICES}/headless"), external).await.ok();
    assert_eq!(
        updated["spec"],
        json!({"type": "ExternalName", "externalName": "a.b", "sessionAffinity": "None"})
    );
    let external =
        json!({"type": "ExternalName", "externalName": "a.b", "clusterIP": "", "clusterIPs": null});
    merge_patch(&sim, &format!("{SERVICES}/a"), json!({"spec": external})).await.ok();
    delete(&sim, &format!("{SERVICES}/a")).await.ok();
}

#[tokio::test]
async fn a_status_update_can_change_labels_but_not_the_labels_of_a_deployment() {
    let sim = Sim::new();
    let selected = json!({"selector": {"matchLabels": {"a": "b"}}, "template": {
        "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]},
    }});
    let mut stateful = selected.clone();
    stateful["serviceName"] = "s".into();
    let pods: Value = serde_json::from_str(POD_TEMPLATE).unwrap();
    let cron = json!({"schedule": "* * * * *", "jobTemplate": {"spec": {"template": pods}}});
    for (group, kind, plural, spec, changes) in [
        ("apps", "Deployment", "deployments", selected.clone(), false),
        ("apps", "ReplicaSet", "replicasets", selected.clone(), true),
        ("apps", "DaemonSet", "daemonsets", selected, true),
        ("apps", "StatefulSet", "statefulsets", stateful, true),
        ("batch", "Job", "jobs", json!({"template": pods}), true),
        ("batch", "CronJob", "cronjobs", cron, true),
    ] {
        let object = json!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": "a"}, "spec": spec});
        let path = format!("/apis/{group}/v1/namespaces/default/{plural}");
        post(&sim, &path, object).await.ok();
        let meta = json!({"labels": {"new": "x"}, "annotations": {"new": "x"}});
        let patched = merge_patch(&sim, &format!("{path}/a/status"), json!({"metadata": meta})).await.ok();
        let meta = &patched["metadata"];
        assert_eq!(meta["labels"]["new"] == "x", changes, "{kind}");
        assert_eq!(meta["annotations"]["new"], "x", "{kind}");
    }
}

#[tokio::test]
async fn an_update_cannot_change_or_remove_ephemeral_containers() {
    let sim = Sim::new();
    post(&sim, PODS, pod("p")).await.ok();
    let path = format!("{PODS}/p/ephemeralcontainers");
    let change = |image: &str, target: &str| {
        let container = json!({"name": "debug", "image": image, "targetContainerName": target});
        json!({"spec": {"ephemeralContainers": [container]}})
    };
    let words = "spec.ephemeralContainers[0].targetContainerName: Not found: \"none\"";
    assert_refused(&sim, &path, change("i", "none"), words).await;
    merge_patch(&sim, &path, change("i", "main")).await.ok();
    let words = "existing ephemeral containers \"debug\" may not be changed";
    assert_refused(&sim, &path, change("j", "main"), words).await;
    let words = "existing ephemeral containers \"debug\" may not be removed";
    assert_refused(&sim, &path, json!({"spec": {"ephemeralContainers": null}}), words).await;
}

#[tokio::test]
async fn the_approval_of_a_certificate_gets_timestamps_and_cannot_be_removed() {
    const SIGNING_REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    // `-----BEGIN CERTIFICATE REQUEST-----` in base64.
    let content = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0=";
    let sim = Sim::new();
    let spec = json!({"request": content, "signerName": "example.com/signer", "usages": ["client auth"]});
    let kind = "CertificateSigningRequest";
    let request = json!({"apiVersion": "certificates.k8s.io/v1", "kind": kind, "metadata": {"name": "c"}, "spec": spec});
    post(&sim, SIGNING_REQUESTS, request).await.ok();
    let (approval, status) =
        (format!("{SIGNING_REQUESTS}/c/approval"), format!("{SIGNING_REQUESTS}/c/status"));
    let conditions = |kind: &str| json!({"status": {"conditions": [{"type": kind, "status": "True"}]}});
    let words = "updates may not add a condition of type \"Approved\"";
    assert_refused(&sim, &status, conditions("Approved"), words).await;
    let approved = merge_patch(&sim, &approval, conditions("Approved")).await.ok();
    let condition = &approved["status"]["conditions"][0];
    assert!(condition["lastUpdateTime"].is_string(), "{condition}");
    assert!(condition["lastTransitionTime"].is_string(), "{condition}");
    let words = "updates may not remove a condition of type \"Approved\"";
    assert_refused(&sim, &approval, conditions("Denied"), words).await;
    let words = "must contain at least one CERTIFICATE PEM block";
    assert_refused(&sim, &status, json!({"status": {"certificate": "eA=="}}), words).await;
}
