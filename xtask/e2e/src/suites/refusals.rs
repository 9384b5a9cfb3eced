//! Objects that pass their schema but fail the API server's validation (422), on create and on update.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use k8s_openapi::api::events::v1::Event;
use kube_client::api::{Patch, PatchParams, PostParams};
use kube_client::core::{ApiResource, DynamicObject, NamespaceResourceScope, Status};
use kube_client::{Api, Resource};
use serde_json::{Value, json};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::idle_pod;

suite!("refusals":
    names_are_generated_from_what_names_begin_with,
    cron_jobs_need_a_schedule_that_comes_and_a_short_name,
    events_say_when_who_and_why,
    references_of_pods_name_something,
    maps_and_secrets_hold_a_mebibyte,
    pods_keep_what_they_run,
    jobs_keep_their_template,
    services_keep_their_address,
    a_status_update_changes_labels_except_those_of_a_deployment,
);

fn api<K>(env: &Env) -> Api<DynamicObject>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced_with(env.client(), env.namespace(), &ApiResource::erase::<K>(&()))
}

/// Creates an object in a dry run. The error message contains all `words`; without `words` the object is accepted.
async fn creates<K>(env: &Env, mut object: Value, words: &[&str]) -> Outcome
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let types = ApiResource::erase::<K>(&());
    object["apiVersion"] = types.api_version.clone().into();
    object["kind"] = types.kind.clone().into();
    let shown: String = object.to_string().chars().take(300).collect();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let outcome = api::<K>(env).create(&dry, &serde_json::from_value::<DynamicObject>(object)?).await;
    if words.is_empty() {
        check!(outcome.is_ok(), "{shown}: {:?}", outcome.err());
        return Ok(());
    }
    check!(outcome.is_err(), "{shown} is accepted");
    told(&shown, &refused!(outcome), words)
}

/// Patches an object and expects an error whose message contains all `words`.
async fn keeps(api: &Api<DynamicObject>, name: &str, change: Value, words: &[&str]) -> Outcome {
    let shown = change.to_string();
    let outcome = api.patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
    check!(outcome.is_err(), "{shown} is accepted");
    told(&shown, &refused!(outcome), words)
}

fn told(shown: &str, error: &kube_client::Error, words: &[&str]) -> Outcome {
    let status: Option<&Status> = error.status();
    check_eq!(status.map(|status| status.code), Some(422));
    let message = status.map(|status| status.message.clone()).unwrap_or_default();
    for words in words {
        check!(message.contains(words), "{shown}: {message} lacks {words}");
    }
    Ok(())
}

async fn names_are_generated_from_what_names_begin_with(env: Env) -> Outcome {
    for (prefix, sound) in [("db-", true), ("a.b-", true), ("db.", false), ("-db", false), ("Db", false)] {
        let words =
            format!("metadata.generateName: Invalid value: \"{prefix}\": a lowercase RFC 1123 subdomain");
        let words = [words.as_str()];
        let map = json!({"metadata": {"generateName": prefix}});
        creates::<ConfigMap>(&env, map, if sound { &[] } else { &words }).await?;
    }
    Ok(())
}

fn template() -> Value {
    let container = json!({"name": "c", "image": "i"});
    json!({"spec": {"schedulerName": "nobody", "restartPolicy": "Never", "containers": [container]}})
}

async fn cron_jobs_need_a_schedule_that_comes_and_a_short_name(env: Env) -> Outcome {
    let job = |name: &str, schedule: &str| {
        let jobs = json!({"spec": {"template": template()}});
        json!({"metadata": {"name": name}, "spec": {"schedule": schedule, "jobTemplate": jobs}})
    };
    creates::<CronJob>(&env, job(&"a".repeat(52), "* * * * *"), &[]).await?;
    let long = "must be no more than 52 characters";
    creates::<CronJob>(&env, job(&"a".repeat(53), "* * * * *"), &["metadata.name: ", long]).await?;
    for (schedule, words) in [
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
        creates::<CronJob>(&env, job("a", schedule), words).await?;
    }
    Ok(())
}

async fn events_say_when_who_and_why(env: Env) -> Outcome {
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
    for (field, value, words) in [
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
        creates::<Event>(&env, event(field, value), words).await?;
    }
    let events = api::<Event>(&env);
    let mut event = event("note", json!("x"));
    event["apiVersion"] = "events.k8s.io/v1".into();
    event["kind"] = "Event".into();
    events.create(&PostParams::default(), &serde_json::from_value(event)?).await?;
    keeps(&events, "e", json!({"reason": "s"}), &["reason: Invalid value: \"s\": field is immutable"])
        .await?;
    keeps(&events, "e", json!({"note": "y"}), &["message: Invalid value: \"y\": field is immutable"]).await
}

async fn references_of_pods_name_something(env: Env) -> Outcome {
    for (container, volume, words) in [
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
        let mut template = template();
        let pod = &mut template["spec"];
        for (field, value) in container.as_object().into_iter().flatten() {
            pod["containers"][0][field] = value.clone();
        }
        if volume != json!({}) {
            pod["volumes"] = json!([volume]);
            pod["volumes"][0]["name"] = "v".into();
        }
        let job = json!({"metadata": {"name": "a"}, "spec": {"template": template}});
        creates::<Job>(&env, job, if words.is_empty() { &[] } else { std::slice::from_ref(&words) }).await?;
    }
    Ok(())
}

async fn maps_and_secrets_hold_a_mebibyte(env: Env) -> Outcome {
    const LIMIT: usize = 1 << 20;
    let long = "Too long: may not be more than 1048576 bytes";
    let map = |length: usize| json!({"metadata": {"name": "a"}, "data": {"k": "a".repeat(length)}});
    creates::<ConfigMap>(&env, map(LIMIT), &[]).await?;
    creates::<ConfigMap>(&env, map(LIMIT + 1), &[long]).await?;
    let secret = |length: usize| json!({"metadata": {"name": "a"}, "stringData": {"k": "a".repeat(length)}});
    creates::<Secret>(&env, secret(LIMIT), &[]).await?;
    creates::<Secret>(&env, secret(LIMIT + 1), &["data: ", long]).await
}

async fn pods_keep_what_they_run(env: Env) -> Outcome {
    env.until_pods_can_be_made().await?;
    let mut pod = idle_pod("a")?;
    let tolerated = json!([{"key": "a", "operator": "Exists"}]);
    pod.spec.get_or_insert_default().tolerations = serde_json::from_value(tolerated)?;
    env.api::<Pod>().create(&PostParams::default(), &pod).await?;
    let pods = api::<Pod>(&env);
    let words = &["spec: Forbidden: pod updates may not change fields other than"];
    for spec in [
        json!({"nodeName": "n"}),
        json!({"terminationGracePeriodSeconds": 5}),
        json!({"hostname": "x"}),
        json!({"nodeSelector": {"a": "b"}}),
    ] {
        keeps(&pods, "a", json!({"spec": spec}), words).await?;
    }
    let words = &["spec.tolerations: Forbidden: existing toleration can not be modified"];
    keeps(&pods, "a", json!({"spec": {"tolerations": []}}), words).await?;
    let two = json!([{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]);
    let words = &["spec.containers: Forbidden: pod updates may not add or remove containers"];
    keeps(&pods, "a", json!({"spec": {"containers": two}}), words).await?;
    let deadline = |seconds: Option<u32>| json!({"spec": {"activeDeadlineSeconds": seconds}});
    pods.patch("a", &PatchParams::default(), &Patch::Merge(deadline(Some(100)))).await?;
    keeps(&pods, "a", deadline(Some(200)), &["must be less than or equal to previous value"]).await?;
    keeps(&pods, "a", deadline(None), &["must not update from a positive integer to nil value"]).await
}

async fn jobs_keep_their_template(env: Env) -> Outcome {
    let jobs = api::<Job>(&env);
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"},
        "spec": {"template": template(), "suspend": true},
    });
    jobs.create(&PostParams::default(), &serde_json::from_value(job)?).await?;
    let near = json!({"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}});
    jobs.patch("a", &PatchParams::default(), &Patch::Merge(near)).await?;
    let image = json!({"spec": {"containers": [{"name": "c", "image": "j"}]}});
    keeps(&jobs, "a", json!({"spec": {"template": image}}), &["field is immutable"]).await?;
    for (field, value) in [("completions", json!(5)), ("completionMode", json!("Indexed"))] {
        let words = format!("spec.{field}: Invalid value: {value}: field is immutable");
        keeps(&jobs, "a", json!({"spec": {(field): value}}), &[&words]).await?;
    }
    Ok(())
}

async fn services_keep_their_address(env: Env) -> Outcome {
    let services = api::<Service>(&env);
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]},
    });
    let made = services.create(&PostParams::default(), &serde_json::from_value(service)?).await?;
    let words = &["spec.clusterIPs[0]: Invalid value: [\"None\"]: may not change once set"];
    keeps(&services, "a", json!({"spec": {"clusterIP": "None"}}), words).await?;
    let words = &["spec.clusterIPs: Invalid value: [\"10.0.0.78\"]: first value must match `clusterIP`"];
    keeps(&services, "a", json!({"spec": {"clusterIPs": ["10.0.0.78"]}}), words).await?;
    for kept in [json!({"clusterIP": ""}), json!({"clusterIPs": null})] {
        let merge = Patch::Merge(json!({"spec": kept}));
        let now = services.patch("a", &PatchParams::default(), &merge).await?;
        check_eq!(now.data["spec"], made.data["spec"]);
    }
    Ok(())
}

async fn a_status_update_changes_labels_except_those_of_a_deployment(env: Env) -> Outcome {
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
    let cron =
        json!({"schedule": "* * * * *", "suspend": true, "jobTemplate": {"spec": {"template": template()}}});
    let job = json!({"template": template(), "suspend": true});
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
