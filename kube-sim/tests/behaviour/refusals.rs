//! Tests of validation beyond the schema: objects that match their schema, but that the API server refuses with 422.

use crate::common;
use crate::common::{CONFIG_MAPS, PODS, get, merge_patch, post};
use kube_sim::Sim;
use serde_json::{Value, json};

/// The path of the cron jobs in the namespace `default`.
const CRON_JOBS: &str = "/apis/batch/v1/namespaces/default/cronjobs";
/// The path of the Events in the namespace `default`.
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
/// The beginning of the error text for an invalid DNS subdomain.
const INVALID_SUBDOMAIN_ERROR: &str = "a lowercase RFC 1123 subdomain must consist of";

/// Sends a create request with `dryRun=All`. Returns the error message, or an empty string if the request succeeds.
async fn try_create(sim: &Sim, path: &str, object: Value) -> String {
    let response = post(sim, &format!("{path}?dryRun=All"), object).await;
    if response.code == 201 { String::new() } else { response.fails(422, "Invalid") }
}

/// Asserts that `message` contains each string of `words`. If `words` is empty, `message` must be empty.
#[track_caller]
fn assert_contains(message: &str, words: &[&str]) {
    assert_eq!(message.is_empty(), words.is_empty(), "{words:?}: {message}");
    for words in words {
        assert!(message.contains(words), "{words}: {message}");
    }
}

#[tokio::test]
async fn generate_name_must_be_a_valid_name_prefix() {
    let sim = Sim::new();
    for (prefix, valid) in [
        ("db-", true),
        ("a.b-", true),
        ("db.", false),
        ("-db", false),
        ("Db", false),
        ("db_", false),
        ("a..", false),
    ] {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": prefix}});
        let message = try_create(&sim, CONFIG_MAPS, map).await;
        let words = format!("metadata.generateName: Invalid value: \"{prefix}\": {INVALID_SUBDOMAIN_ERROR}");
        let words = [words.as_str()];
        assert_contains(&message, if valid { &[] } else { &words });
    }
    // `generateName` is validated even if `name` is set.
    let meta = json!({"name": "ok", "generateName": "db."});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta});
    assert_contains(
        &try_create(&sim, CONFIG_MAPS, map).await,
        &["metadata.generateName: Invalid value: \"db.\""],
    );
    let may_get = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
    for (prefix, words) in
        [("Db:", &[][..]), ("a/b", &["metadata.generateName: Invalid value: \"a/b\": may not contain '/'"])]
    {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"generateName": prefix}, "rules": [may_get],
        });
        let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
        assert_contains(&try_create(&sim, roles, role).await, words);
    }
}

/// A cron job with a pod template. Without a schedule in `spec`, the schedule is every minute.
fn cron_job(meta: &Value, spec: &Value) -> Value {
    let pods = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}});
    let mut job = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": spec});
    job["spec"]["jobTemplate"] = json!({"spec": {"template": pods}});
    if job["spec"]["schedule"].is_null() {
        job["spec"]["schedule"] = "* * * * *".into();
    }
    job
}

#[tokio::test]
async fn a_cron_job_needs_a_valid_schedule_and_a_name_of_at_most_52_characters() {
    let sim = Sim::new();
    let (fits, long) = ("a".repeat(52), "a".repeat(53));
    let too_long = "must be no more than 52 characters";
    let zone = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
    for (meta, spec, words) in [
        (json!({"name": fits}), json!({}), &[][..]),
        (json!({"name": long}), json!({}), &["metadata.name: Invalid value: \"aaaa", too_long]),
        (json!({"generateName": fits}), json!({}), &["metadata.name: Invalid value: \"aaaa", too_long]),
        (
            json!({"name": "a"}),
            json!({"schedule": "99 * * * *"}),
            &["spec.schedule: Invalid value: \"99 * * * *\": end of range (99) above maximum (59): 99"],
        ),
        (json!({"name": "a"}), json!({"timeZone": "UTC"}), &[]),
        (
            json!({"name": "a"}),
            json!({"timeZone": ""}),
            &["spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string"],
        ),
        (
            json!({"name": "a"}),
            json!({"timeZone": "Local"}),
            &["spec.timeZone: Invalid value: \"Local\": ", zone],
        ),
        (json!({"name": "a"}), json!({"timeZone": "Europe/Berlin"}), &[]),
        (
            json!({"name": "a"}),
            json!({"timeZone": "Nowhere/X"}),
            &["spec.timeZone: Invalid value: \"Nowhere/X\": unknown time zone Nowhere/X"],
        ),
        (
            json!({"name": "a"}),
            json!({"timeZone": "europe/berlin"}),
            &["spec.timeZone: Invalid value: \"europe/berlin\": unknown time zone europe/berlin"],
        ),
        (
            json!({"name": "a"}),
            json!({"timeZone": "a b"}),
            &["spec.timeZone: Invalid value: \"a b\": unknown time zone a b"],
        ),
    ] {
        assert_contains(&try_create(&sim, CRON_JOBS, cron_job(&meta, &spec)).await, words);
    }
}

/// An Event. The fields of `change` replace fields of a valid Event.
fn event_with(change: &Value) -> Value {
    let mut event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"},
        "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "r", "action": "a",
        "reportingController": "a.b/c", "reportingInstance": "i", "regarding": {"kind": "Node", "name": "n"},
    });
    for (field, value) in change.as_object().unwrap() {
        event[field] = value.clone();
    }
    event
}

#[tokio::test]
async fn an_event_needs_valid_fields_and_the_namespace_of_its_object() {
    let sim = Sim::new();
    let long = |length: usize| "a".repeat(length);
    let time = "2026-01-01T00:00:00.000000Z";
    for (change, words) in [
        (json!({}), &[][..]),
        (json!({"eventTime": null}), &["eventTime: Required value"]),
        (json!({"type": ""}), &["type: Invalid value: \"\": has invalid value: "]),
        (json!({"type": "Odd"}), &["type: Invalid value: \"\": has invalid value: Odd"]),
        (json!({"reason": ""}), &["reason: Required value"]),
        (json!({"action": ""}), &["action: Required value"]),
        (
            json!({"reportingController": ""}),
            &[
                "reportingController: Required value",
                "reportingController: Invalid value: \"\": name part must be non-empty",
                "reportingController: Invalid value: \"\": name part must consist of",
            ],
        ),
        (
            json!({"reportingController": "a b"}),
            &["reportingController: Invalid value: \"a b\": name part must"],
        ),
        (json!({"reportingInstance": ""}), &["reportingInstance: Required value"]),
        (json!({"reportingInstance": long(128)}), &[]),
        (
            json!({"reportingInstance": long(129)}),
            &["reportingInstance: Invalid value: \"\": can have at most 128"],
        ),
        (json!({"action": long(129)}), &["action: Invalid value: \"\": can have at most 128 characters"]),
        (json!({"reason": long(129)}), &["reason: Invalid value: \"\": can have at most 128 characters"]),
        (json!({"note": long(1025)}), &["message: Invalid value: \"\": can have at most 1024 characters"]),
        (json!({"deprecatedCount": 3}), &["count: Invalid value: \"\": needs to be unset"]),
        (
            json!({"deprecatedFirstTimestamp": "2026-01-01T00:00:00Z"}),
            &["firstTimestamp: Invalid value: \"\": needs"],
        ),
        (
            json!({"deprecatedLastTimestamp": "2026-01-01T00:00:00Z"}),
            &["lastTimestamp: Invalid value: \"\": needs"],
        ),
        (
            json!({"deprecatedSource": {"component": "x"}}),
            &["source: Invalid value: \"\": needs to be unset"],
        ),
        (json!({"series": {"count": 2, "lastObservedTime": time}}), &[]),
        (
            json!({"series": {"count": 1, "lastObservedTime": time}}),
            &["series.count: Invalid value: \"\": should be at least 2"],
        ),
        (
            json!({"series": {"count": 2, "lastObservedTime": null}}),
            &["series.lastObservedTime: Required value"],
        ),
    ] {
        assert_contains(&try_create(&sim, EVENTS, event_with(&change)).await, words);
    }
    sim.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})).unwrap();
    let words = "involvedObject.namespace: Invalid value: \"\": does not match event.namespace";
    let other = EVENTS.replace("default", "other");
    assert_contains(&try_create(&sim, &other, event_with(&json!({}))).await, &[words]);
    let pod = json!({"regarding": {"kind": "Pod", "namespace": "elsewhere", "name": "p"}});
    assert_contains(&try_create(&sim, &other, event_with(&pod)).await, &[]);
    let core = "/api/v1/namespaces/other/events";
    for (namespace, valid) in [("other", true), ("", false), ("elsewhere", false)] {
        let about = json!({"kind": "Pod", "namespace": namespace, "name": "p"});
        let event =
            json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": about});
        let words = format!(
            "involvedObject.namespace: Invalid value: \"{namespace}\": does not match event.namespace"
        );
        let words = [words.as_str()];
        assert_contains(&try_create(&sim, core, event).await, if valid { &[] } else { &words });
    }
}

#[tokio::test]
async fn only_the_series_of_an_event_is_mutable() {
    let sim = Sim::new();
    post(&sim, EVENTS, event_with(&json!({}))).await.ok();
    let path = format!("{EVENTS}/e");
    for (field, value, shown) in [
        ("reason", json!("other"), "reason"),
        ("action", json!("b"), "action"),
        ("type", json!("Warning"), "type"),
        ("note", json!("x"), "message"),
        ("regarding", json!({"name": "z"}), "involvedObject"),
        ("related", json!({"kind": "Pod"}), "related"),
        ("reportingController", json!("a.b/d"), "reportingController"),
        ("reportingInstance", json!("j"), "reportingInstance"),
        ("eventTime", json!("2026-01-02T00:00:00.000000Z"), "eventTime"),
    ] {
        let message = merge_patch(&sim, &path, json!({(field): value})).await.fails(422, "Invalid");
        assert_contains(&message, &[&format!("{shown}: Invalid value: "), "field is immutable"]);
    }
    let series = json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"});
    merge_patch(&sim, &path, json!({"series": series})).await.ok();
    assert_eq!(get(&sim, &path).await.ok()["series"]["count"], 2);
}

#[tokio::test]
async fn each_environment_source_needs_exactly_one_valid_reference() {
    let sim = Sim::new();
    let value_from = |value: Value| json!({"env": [{"name": "A", "valueFrom": value}]});
    let env_from = |source: Value| json!({"envFrom": [source]});
    let invalid_variable_name =
        "a valid environment variable name must consist only of printable ASCII characters other than '='";
    for (container, place, words) in [
        (value_from(json!({"configMapKeyRef": {"name": "a", "key": "k"}})), "", &[][..]),
        (
            value_from(json!({"configMapKeyRef": {"name": "", "key": "k"}})),
            "env[0].valueFrom.configMapKeyRef.name: Invalid value: \"\": ",
            &[INVALID_SUBDOMAIN_ERROR],
        ),
        (
            value_from(json!({"configMapKeyRef": {"name": "a", "key": ""}})),
            "env[0].valueFrom.configMapKeyRef.key: ",
            &["Required"],
        ),
        (
            value_from(json!({"configMapKeyRef": {"name": "a", "key": "a/b"}})),
            "env[0].valueFrom.configMapKeyRef.key: Invalid value: \"a/b\": ",
            &["a valid config key"],
        ),
        (
            value_from(json!({"secretKeyRef": {"name": "", "key": "k"}})),
            "env[0].valueFrom.secretKeyRef.name: Invalid value: \"\": ",
            &[INVALID_SUBDOMAIN_ERROR],
        ),
        (
            value_from(json!({"secretKeyRef": {"name": "s", "key": ""}})),
            "env[0].valueFrom.secretKeyRef.key: ",
            &["Required"],
        ),
        (
            value_from(json!({"fieldRef": {"fieldPath": ""}})),
            "env[0].valueFrom.fieldRef.fieldPath: ",
            &["Required"],
        ),
        (
            value_from(json!({"resourceFieldRef": {"resource": ""}})),
            "env[0].valueFrom.resourceFieldRef.resource: ",
            &["Required"],
        ),
        (
            value_from(json!({})),
            "env[0].valueFrom: Invalid value: \"\": must specify one of: ",
            &["`fileKeyRef`"],
        ),
        (
            value_from(
                json!({"fieldRef": {"fieldPath": "spec.nodeName"}, "secretKeyRef": {"name": "s", "key": "k"}}),
            ),
            "env[0].valueFrom: Invalid value: \"\": ",
            &["may not have more than one field specified at a time"],
        ),
        (
            json!({"env": [{"name": "A=B", "value": "b"}]}),
            "env[0].name: Invalid value: \"A=B\": ",
            &[invalid_variable_name],
        ),
        (env_from(json!({"configMapRef": {"name": "a"}})), "", &[]),
        (
            env_from(json!({"configMapRef": {"name": ""}})),
            "envFrom[0].configMapRef.name: ",
            &["Required value"],
        ),
        (env_from(json!({"secretRef": {"name": ""}})), "envFrom[0].secretRef.name: ", &["Required value"]),
        (
            env_from(json!({"secretRef": {"name": "A_B"}})),
            "envFrom[0].secretRef.name: Invalid",
            &[INVALID_SUBDOMAIN_ERROR],
        ),
        (
            env_from(json!({})),
            "envFrom: Invalid value: \"\": ",
            &["must specify one of: `configMapRef` or `secretRef`"],
        ),
        (
            env_from(json!({"secretRef": {"name": "a"}, "configMapRef": {"name": "a"}})),
            "envFrom: Invalid value: \"\": ",
            &["may not have more than one field specified at a time"],
        ),
        (
            env_from(json!({"prefix": "a=b", "configMapRef": {"name": "a"}})),
            "envFrom[0].prefix: Invalid value: \"a=b\": ",
            &[invalid_variable_name],
        ),
    ] {
        let mut pod = common::pod("a");
        pod["spec"]["containers"][0].as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
        let message = try_create(&sim, PODS, pod).await;
        assert_contains(&message, words);
        let place = if place.is_empty() { String::new() } else { format!("spec.containers[0].{place}") };
        assert!(message.contains(&place), "{place}: {message}");
    }
}

#[tokio::test]
async fn volume_sources_need_names_and_valid_paths_and_modes() {
    let sim = Sim::new();
    let item =
        |key: &str, path: &str| json!({"configMap": {"name": "a", "items": [{"key": key, "path": path}]}});
    for (volume, words) in [
        (item("k", "p"), &[][..]),
        (json!({"configMap": {"name": "A_B"}}), &[]),
        (json!({"configMap": {"name": ""}}), &["spec.volumes[0].configMap.name: Required value"]),
        (json!({"secret": {"secretName": ""}}), &["spec.volumes[0].secret.secretName: Required value"]),
        (
            item("", ""),
            &[
                "spec.volumes[0].configMap.items[0].key: Required value",
                "spec.volumes[0].configMap.items[0].path: Required value",
            ],
        ),
        (
            item("k", "../x"),
            &["spec.volumes[0].configMap.items[0].path: Invalid value: \"../x\": must not contain '..'"],
        ),
        (
            item("k", "/x"),
            &["spec.volumes[0].configMap.items[0].path: Invalid value: \"/x\": must be a relative path"],
        ),
        (
            json!({"configMap": {"name": "a", "defaultMode": 1000}}),
            &[
                "spec.volumes[0].configMap.defaultMode: Invalid value: 1000: must be a number between 0 and 0777 (octal)",
            ],
        ),
        (
            json!({"persistentVolumeClaim": {"claimName": ""}}),
            &["spec.volumes[0].persistentVolumeClaim.claimName: Required"],
        ),
        (json!({"hostPath": {"path": ""}}), &["spec.volumes[0].hostPath.path: Required value"]),
        (
            json!({"projected": {"sources": [{"configMap": {"name": ""}}, {"secret": {"name": ""}}]}}),
            &[
                "spec.volumes[0].projected.sources[0].configMap.name: Required value",
                "spec.volumes[0].projected.sources[1].secret.name: Required value",
            ],
        ),
    ] {
        let mut pod = common::pod("a");
        let mut named = volume.clone();
        named["name"] = "v".into();
        pod["spec"]["volumes"] = json!([named]);
        assert_contains(&try_create(&sim, PODS, pod).await, words);
    }
}
