//! Validation of built-in kinds: the API server rejects invalid new objects, and updates of immutable fields, with 422.

use http::Request;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use k8s_openapi::api::events::v1::Event;
use kube_client::api::{Patch, PatchParams, PostParams};
use kube_client::client::Body;
use kube_client::core::{ApiResource, DynamicObject, NamespaceResourceScope, Status};
use kube_client::{Api, Resource};
use serde_json::{Value, json};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{idle_pod, send_raw};

suite!("validation":
    an_invalid_generate_name_is_rejected,
    unknown_fields_of_a_rejected_object_cause_warnings,
    invalid_cron_job_schedules_and_names_are_rejected,
    invalid_events_and_changes_of_event_fields_are_rejected,
    references_without_a_name_or_key_are_rejected,
    config_maps_and_secrets_are_limited_to_one_mebibyte,
    updates_of_immutable_pod_fields_are_rejected,
    updates_of_immutable_job_fields_are_rejected,
    updates_of_service_cluster_ips_are_rejected [Latest],
    status_updates_change_labels_of_workloads_except_deployments,
);

/// The untyped API of a kind in the case's namespace.
fn untyped_api<K>(env: &Env) -> Api<DynamicObject>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced_with(env.client(), env.namespace(), &ApiResource::erase::<K>(&()))
}

/// Creates an object as a dry run. The server must reject it with a 422 whose message contains all of `texts`, or
/// accept it if `texts` is empty.
async fn check_create<K>(env: &Env, mut object: Value, texts: &[&str]) -> Outcome
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let types = ApiResource::erase::<K>(&());
    object["apiVersion"] = types.api_version.clone().into();
    object["kind"] = types.kind.clone().into();
    let excerpt: String = object.to_string().chars().take(300).collect();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let outcome = untyped_api::<K>(env).create(&dry, &serde_json::from_value::<DynamicObject>(object)?).await;
    if texts.is_empty() {
        check!(outcome.is_ok(), "{excerpt}: {:?}", outcome.err());
        return Ok(());
    }
    check!(outcome.is_err(), "{excerpt} is accepted");
    check_error_is_422(&excerpt, &refused!(outcome), texts)
}

/// Patches an object. The server must reject the patch with a 422 whose message contains all of `texts`.
async fn check_patch_is_rejected(
    api: &Api<DynamicObject>,
    name: &str,
    change: Value,
    texts: &[&str],
) -> Outcome {
    let excerpt = change.to_string();
    let outcome = api.patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
    check!(outcome.is_err(), "{excerpt} is accepted");
    check_error_is_422(&excerpt, &refused!(outcome), texts)
}

/// Checks that the error is a 422 whose message contains all of `texts`.
fn check_error_is_422(excerpt: &str, error: &kube_client::Error, texts: &[&str]) -> Outcome {
    let status: Option<&Status> = error.status();
    check_eq!(status.map(|status| status.code), Some(422));
    let message = status.map(|status| status.message.clone()).unwrap_or_default();
    for text in texts {
        check!(message.contains(text), "{excerpt}: expected {text:?} in {message:?}");
    }
    Ok(())
}

async fn an_invalid_generate_name_is_rejected(env: Env) -> Outcome {
    for (prefix, valid) in [("db-", true), ("a.b-", true), ("db.", false), ("-db", false), ("Db", false)] {
        let text =
            format!("metadata.generateName: Invalid value: \"{prefix}\": a lowercase RFC 1123 subdomain");
        let texts = [text.as_str()];
        let map = json!({"metadata": {"generateName": prefix}});
        check_create::<ConfigMap>(&env, map, if valid { &[] } else { &texts }).await?;
    }
    Ok(())
}

async fn unknown_fields_of_a_rejected_object_cause_warnings(env: Env) -> Outcome {
    let maps = format!("/api/v1/namespaces/{}/configmaps", env.namespace());
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "finalizers": [""]}, "other": 1,
    });
    let request = Request::post(maps).header("content-type", "application/json");
    let answer = send_raw(&env.client(), request.body(Body::from(map.to_string().into_bytes()))?).await?;
    check_eq!(
        (answer.code, &answer.warnings[..]),
        (422, &["299 - \"unknown field \\\"other\\\"\"".to_owned()][..])
    );
    // An empty finalizer violates three rules, and the message names each rule.
    for text in ["name part must be non-empty", "name part must consist of", "nor is it fully qualified"] {
        check!(answer.status().2.contains(text), "{}", answer.body);
    }
    Ok(())
}

/// A pod template with one container. No scheduler assigns the pods of this template to a node.
fn pod_template() -> Value {
    let container = json!({"name": "c", "image": "i"});
    json!({"spec": {"schedulerName": "nobody", "restartPolicy": "Never", "containers": [container]}})
}

async fn invalid_cron_job_schedules_and_names_are_rejected(env: Env) -> Outcome {
    let job = |name: &str, schedule: &str| {
        let jobs = json!({"spec": {"template": pod_template()}});
        json!({"metadata": {"name": name}, "spec": {"schedule": schedule, "jobTemplate": jobs}})
    };
    check_create::<CronJob>(&env, job(&"a".repeat(52), "* * * * *"), &[]).await?;
    let long = "must be no more than 52 characters";
    check_create::<CronJob>(&env, job(&"a".repeat(53), "* * * * *"), &["metadata.name: ", long]).await?;
    for (schedule, texts) in [
        ("*/15 1-5/2 ? jan-mar mon,fri", &[][..]),
        ("@every 1h30m", &[]),
        ("1,,3 * * * *", &[]),
        ("99 * * * *", &["end of range (99) above maximum (59): 99"]),
        ("* * 0 * *", &["beginning of range (0) below minimum (1): 0"]),
        ("* * * * 7", &["end of range (7) above maximum (6): 7"]),
        ("5-1 * * * *", &["beginning of range (5) beyond end of range (1): 5-1"]),
        ("*/0 * * * *", &["step of range should be a positive number: */0"]),
        ("1-2-3 * * * *", &["too many hyphens: 1-2-3"]),
        ("* * L * *", &["failed to parse int from L: strconv.Atoi: parsing \"L\": invalid syntax"]),
        ("* * * * * *", &["expected exactly 5 fields, found 6: [* * * * * *]"]),
        ("@reboot", &["unrecognized descriptor: @reboot"]),
        ("@every 5", &["failed to parse duration @every 5: time: missing unit in duration \"5\""]),
        ("TZ=UTC * * * * *", &["cannot use TZ or CRON_TZ in schedule, use timeZone field instead"]),
    ] {
        check_create::<CronJob>(&env, job("a", schedule), texts).await?;
    }
    Ok(())
}

async fn invalid_events_and_changes_of_event_fields_are_rejected(env: Env) -> Outcome {
    let about = json!({"kind": "Pod", "namespace": env.namespace(), "name": "p"});
    let event = |field: &str, value: Value| {
        let mut event = json!({
            "metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal",
            "reason": "r", "action": "a", "reportingController": "a.b/c", "reportingInstance": "i",
            "regarding": about,
        });
        event[field] = value;
        event
    };
    for (field, value, texts) in [
        ("note", json!("x"), &[][..]),
        ("eventTime", Value::Null, &["eventTime: Required value"]),
        ("type", json!("Odd"), &["type: Invalid value: \"\": has invalid value: Odd"]),
        ("reason", json!(""), &["reason: Required value"]),
        ("action", json!(""), &["action: Required value"]),
        ("reportingController", json!(""), &["reportingController: Required value"]),
        ("reportingInstance", json!(""), &["reportingInstance: Required value"]),
        ("deprecatedCount", json!(3), &["count: Invalid value: \"\": needs to be unset"]),
        ("regarding", json!({"kind": "Node", "name": "n"}), &["does not match event.namespace"]),
    ] {
        check_create::<Event>(&env, event(field, value), texts).await?;
    }
    let events = untyped_api::<Event>(&env);
    let mut event = event("note", json!("x"));
    event["apiVersion"] = "events.k8s.io/v1".into();
    event["kind"] = "Event".into();
    events.create(&PostParams::default(), &serde_json::from_value(event)?).await?;
    check_patch_is_rejected(
        &events,
        "e",
        json!({"reason": "s"}),
        &["reason: Invalid value: \"s\": field is immutable"],
    )
    .await?;
    check_patch_is_rejected(
        &events,
        "e",
        json!({"note": "y"}),
        &["message: Invalid value: \"y\": field is immutable"],
    )
    .await
}

async fn references_without_a_name_or_key_are_rejected(env: Env) -> Outcome {
    for (container, volume, text) in [
        (json!({"envFrom": [{"configMapRef": {"name": "a"}}]}), json!({"emptyDir": {}}), ""),
        (
            json!({"envFrom": [{"configMapRef": {"name": ""}}]}),
            json!({}),
            "envFrom[0].configMapRef.name: Required",
        ),
        (json!({"envFrom": [{"secretRef": {"name": ""}}]}), json!({}), "envFrom[0].secretRef.name: Required"),
        (
            json!({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "a", "key": ""}}}]}),
            json!({}),
            "env[0].valueFrom.configMapKeyRef.key: Required",
        ),
        (json!({}), json!({"configMap": {"name": ""}}), "volumes[0].configMap.name: Required"),
        (json!({}), json!({"secret": {"secretName": ""}}), "volumes[0].secret.secretName: Required"),
        (
            json!({}),
            json!({"persistentVolumeClaim": {"claimName": ""}}),
            "persistentVolumeClaim.claimName: Required",
        ),
    ] {
        let mut template = pod_template();
        let pod = &mut template["spec"];
        for (field, value) in container.as_object().into_iter().flatten() {
            pod["containers"][0][field] = value.clone();
        }
        if volume != json!({}) {
            pod["volumes"] = json!([volume]);
            pod["volumes"][0]["name"] = "v".into();
        }
        let job = json!({"metadata": {"name": "a"}, "spec": {"template": template}});
        check_create::<Job>(&env, job, if text.is_empty() { &[] } else { std::slice::from_ref(&text) })
            .await?;
    }
    Ok(())
}

async fn config_maps_and_secrets_are_limited_to_one_mebibyte(env: Env) -> Outcome {
    const MEBIBYTE: usize = 1 << 20;
    let long = "Too long: may not be more than 1048576 bytes";
    let map = |length: usize| json!({"metadata": {"name": "a"}, "data": {"k": "a".repeat(length)}});
    check_create::<ConfigMap>(&env, map(MEBIBYTE), &[]).await?;
    check_create::<ConfigMap>(&env, map(MEBIBYTE + 1), &[long]).await?;
    let secret = |length: usize| json!({"metadata": {"name": "a"}, "stringData": {"k": "a".repeat(length)}});
    check_create::<Secret>(&env, secret(MEBIBYTE), &[]).await?;
    check_create::<Secret>(&env, secret(MEBIBYTE + 1), &["data: ", long]).await
}

async fn updates_of_immutable_pod_fields_are_rejected(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let mut pod = idle_pod("a")?;
    let tolerated = json!([{"key": "a", "operator": "Exists"}]);
    pod.spec.get_or_insert_default().tolerations = serde_json::from_value(tolerated)?;
    env.api::<Pod>().create(&PostParams::default(), &pod).await?;
    let pods = untyped_api::<Pod>(&env);
    let texts = &["spec: Forbidden: pod updates may not change fields other than"];
    for spec in [
        json!({"nodeName": "n"}),
        json!({"terminationGracePeriodSeconds": 5}),
        json!({"hostname": "x"}),
        json!({"nodeSelector": {"a": "b"}}),
    ] {
        check_patch_is_rejected(&pods, "a", json!({"spec": spec}), texts).await?;
    }
    let texts = &["spec.tolerations: Forbidden: existing toleration can not be modified"];
    check_patch_is_rejected(&pods, "a", json!({"spec": {"tolerations": []}}), texts).await?;
    let two = json!([{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]);
    let texts = &["spec.containers: Forbidden: pod updates may not add or remove containers"];
    check_patch_is_rejected(&pods, "a", json!({"spec": {"containers": two}}), texts).await?;
    let deadline = |seconds: Option<u32>| json!({"spec": {"activeDeadlineSeconds": seconds}});
    pods.patch("a", &PatchParams::default(), &Patch::Merge(deadline(Some(100)))).await?;
    check_patch_is_rejected(
        &pods,
        "a",
        deadline(Some(200)),
        &["must be less than or equal to previous value"],
    )
    .await?;
    check_patch_is_rejected(
        &pods,
        "a",
        deadline(None),
        &["must not update from a positive integer to nil value"],
    )
    .await
}

async fn updates_of_immutable_job_fields_are_rejected(env: Env) -> Outcome {
    let jobs = untyped_api::<Job>(&env);
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"},
        "spec": {"template": pod_template(), "suspend": true},
    });
    jobs.create(&PostParams::default(), &serde_json::from_value(job)?).await?;
    let node_selector = json!({"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}});
    jobs.patch("a", &PatchParams::default(), &Patch::Merge(node_selector)).await?;
    let image = json!({"spec": {"containers": [{"name": "c", "image": "j"}]}});
    check_patch_is_rejected(&jobs, "a", json!({"spec": {"template": image}}), &["field is immutable"])
        .await?;
    for (field, value) in [("completions", json!(5)), ("completionMode", json!("Indexed"))] {
        let text = format!("spec.{field}: Invalid value: {value}: field is immutable");
        check_patch_is_rejected(&jobs, "a", json!({"spec": {(field): value}}), &[&text]).await?;
    }
    Ok(())
}

async fn updates_of_service_cluster_ips_are_rejected(env: Env) -> Outcome {
    let services = untyped_api::<Service>(&env);
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]},
    });
    let created = services.create(&PostParams::default(), &serde_json::from_value(service)?).await?;
    let texts = &["spec.clusterIPs[0]: Invalid value: [\"None\"]: may not change once set"];
    check_patch_is_rejected(&services, "a", json!({"spec": {"clusterIP": "None"}}), texts).await?;
    // This address is outside the range of service IPs, so it is not the current address of the service.
    let texts = &["spec.clusterIPs: Invalid value: [\"192.0.2.78\"]: first value must match `clusterIP`"];
    check_patch_is_rejected(&services, "a", json!({"spec": {"clusterIPs": ["192.0.2.78"]}}), texts).await?;
    for unset in [json!({"clusterIP": ""}), json!({"clusterIPs": null})] {
        let merge = Patch::Merge(json!({"spec": unset}));
        let patched = services.patch("a", &PatchParams::default(), &merge).await?;
        check_eq!(patched.data["spec"], created.data["spec"]);
    }
    Ok(())
}

async fn status_updates_change_labels_of_workloads_except_deployments(env: Env) -> Outcome {
    let labels = json!({"a": "b"});
    let container = json!({"name": "c", "image": "i"});
    let pods = json!({
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "nodeSelector": {"none": "such"}},
    });
    let selected = json!({"selector": {"matchLabels": labels}, "template": pods});
    let (mut replicated, mut stateful) = (selected.clone(), selected.clone());
    replicated["replicas"] = 0.into();
    stateful["replicas"] = 0.into();
    stateful["serviceName"] = "s".into();
    let cron = json!({"schedule": "* * * * *", "suspend": true, "jobTemplate": {"spec": {"template": pod_template()}}});
    let job = json!({"template": pod_template(), "suspend": true});
    for (types, spec, changes) in [
        (ApiResource::erase::<Deployment>(&()), replicated.clone(), false),
        (ApiResource::erase::<ReplicaSet>(&()), replicated, true),
        (ApiResource::erase::<DaemonSet>(&()), selected, true),
        (ApiResource::erase::<StatefulSet>(&()), stateful, true),
        (ApiResource::erase::<Job>(&()), job, true),
        (ApiResource::erase::<CronJob>(&()), cron, true),
    ] {
        let api: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &types);
        let object = json!({
            "apiVersion": types.api_version, "kind": types.kind, "metadata": {"name": "a"}, "spec": spec,
        });
        api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        let merge = Patch::Merge(json!({"metadata": {"labels": {"new": "x"}}}));
        let patched = api.patch_status("a", &PatchParams::default(), &merge).await?;
        let labels = patched.metadata.labels.unwrap_or_default();
        check!(labels.contains_key("new") == changes, "{}: {labels:?}", types.kind);
    }
    Ok(())
}
