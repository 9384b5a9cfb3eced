//! The controllers of stateful sets, daemon sets, jobs, cron jobs, services, budgets, quotas, namespaces and nodes.

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, ResourceQuota, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube_client::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube_client::{Api, ResourceExt};
use serde_json::{Value, json};

use super::rollouts::{TIMEOUT, condition, wait_for_state};
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{config_map, deployment, eventually, object_from_json, pod, temporary_node};

suite!("built_in_controllers":
    a_namespace_has_a_root_certificate_and_a_default_service_account [Pods],
    a_stateful_set_creates_and_updates_pods_in_order [Pods],
    a_daemon_set_runs_on_each_node [Pods],
    a_job_completes [Pods],
    an_indexed_job_completes_its_indexes [Pods],
    a_finished_job_is_deleted_after_its_time_to_live [Pods],
    a_suspended_job_runs_after_it_is_resumed [Pods],
    a_cron_job_creates_jobs [Pods],
    the_endpoints_of_a_service_are_its_ready_pods [Pods],
    a_budget_counts_healthy_pods [Pods],
    a_quota_refuses_objects_beyond_its_limits [Pods],
    a_cordoned_node_is_tainted [Pods, NewNodes],
);

/// The spec of a workload whose pods have the label `app={name}`. The spec also has the entries of `extra`.
fn workload_spec(name: &str, extra: &Value) -> Outcome<Value> {
    let mut spec = serde_json::to_value(deployment(name, 1)?)?["spec"].take();
    for (field, value) in extra.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    Ok(spec)
}

/// Waits until the namespace has the config map with the root certificate.
async fn wait_for_root_certificate(maps: &Api<ConfigMap>) -> Outcome<ConfigMap> {
    eventually("the root certificate is published", TIMEOUT, async || {
        Ok(maps.get_opt("kube-root-ca.crt").await?)
    })
    .await
}

async fn a_namespace_has_a_root_certificate_and_a_default_service_account(env: Env) -> Outcome {
    let (accounts, maps): (Api<ServiceAccount>, Api<ConfigMap>) = (env.api(), env.api());
    env.wait_until_pods_can_be_created().await?;
    let map = wait_for_root_certificate(&maps).await?;
    let certificate = map.data.as_ref().and_then(|data| data.get("ca.crt")).cloned().unwrap_or_default();
    check!(certificate.starts_with("-----BEGIN CERTIFICATE-----"), "{certificate}");
    maps.delete("kube-root-ca.crt", &DeleteParams::default()).await?;
    let again = wait_for_root_certificate(&maps).await?;
    check_eq!(again.data, map.data);
    let uid = accounts.get("default").await?.uid();
    accounts.delete("default", &DeleteParams::default()).await?;
    eventually("the service account exists again", TIMEOUT, async || {
        Ok(accounts.get_opt("default").await?.filter(|account| account.uid() != uid))
    })
    .await?;
    Ok(())
}

async fn a_stateful_set_creates_and_updates_pods_in_order(env: Env) -> Outcome {
    let (sets, pods): (Api<StatefulSet>, Api<Pod>) = (env.api(), env.api());
    let spec = workload_spec("db", &json!({"replicas": 3, "serviceName": "db"}))?;
    sets.create(
        &PostParams::default(),
        &object_from_json(json!({"metadata": {"name": "db"}, "spec": spec}))?,
    )
    .await?;
    let first =
        wait_for_state(&sets, "db", "three pods are ready", |set| set["status"]["readyReplicas"] == 3)
            .await?;
    let created = pods.list(&ListParams::default()).await?.items;
    let mut times: Vec<_> = created.iter().map(|pod| (pod.creation_timestamp(), pod.name_any())).collect();
    times.sort();
    check_eq!(times.into_iter().map(|(_, name)| name).collect::<Vec<_>>(), ["db-0", "db-1", "db-2"]);
    let pod = serde_json::to_value(&created[1])?;
    let labels = &pod["metadata"]["labels"];
    check_eq!(labels["statefulset.kubernetes.io/pod-name"], "db-1");
    check_eq!(labels["apps.kubernetes.io/pod-index"], "1");
    check_eq!(labels["controller-revision-hash"], first["status"]["updateRevision"]);
    check_eq!((&pod["spec"]["hostname"], &pod["spec"]["subdomain"]), (&json!("db-1"), &json!("db")));
    let image = json!([{"name": "main", "image": "registry.k8s.io/pause:3.9"}]);
    let patch = Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": image}}}}));
    sets.patch("db", &PatchParams::default(), &patch).await?;
    let second = wait_for_state(&sets, "db", "the update is complete", |set| {
        let status = &set["status"];
        status["observedGeneration"] == set["metadata"]["generation"]
            && status["currentRevision"] == status["updateRevision"]
            && status["updatedReplicas"] == 3
            && status["readyReplicas"] == 3
    })
    .await?;
    check!(second["status"]["currentRevision"] != first["status"]["currentRevision"]);
    let revisions = env.api::<ControllerRevision>().list(&ListParams::default()).await?.items;
    let mut numbers: Vec<_> = revisions.iter().map(|revision| revision.revision).collect();
    numbers.sort_unstable();
    check_eq!(numbers, [Some(1), Some(2)]);
    let merge = Patch::Merge(json!({"spec": {"replicas": 1}}));
    sets.patch("db", &PatchParams::default(), &merge).await?;
    eventually("one pod remains", TIMEOUT, async || {
        let names: Vec<_> =
            pods.list(&ListParams::default()).await?.items.iter().map(ResourceExt::name_any).collect();
        anyhow::ensure!(names == ["db-0"], "{names:?}");
        Ok(Some(()))
    })
    .await
}

async fn a_daemon_set_runs_on_each_node(env: Env) -> Outcome {
    let (sets, pods, nodes): (Api<DaemonSet>, Api<Pod>, Api<Node>) =
        (env.api(), env.api(), Api::all(env.client()));
    let mut spec = workload_spec("agent", &json!({}))?;
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("replicas");
    }
    spec["template"]["spec"]["nodeSelector"] = json!({"kubernetes.io/os": "linux"});
    sets.create(
        &PostParams::default(),
        &object_from_json(json!({"metadata": {"name": "agent"}, "spec": spec}))?,
    )
    .await?;
    // Other cases create nodes with taints. The pods of the daemon set do not run on these nodes.
    let eligible = |node: &Node| {
        node.labels().get("kubernetes.io/os").is_some_and(|os| os == "linux")
            && node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).is_none_or(Vec::is_empty)
    };
    let listed = nodes.list(&ListParams::default()).await?.items;
    let count = listed.iter().filter(|node| eligible(node)).count();
    check!(count > 0);
    let set = wait_for_state(&sets, "agent", "a pod is ready on each node", |set| {
        let status = &set["status"];
        status["desiredNumberScheduled"] == count
            && status["numberReady"] == count
            && status["numberAvailable"] == count
    })
    .await?;
    check_eq!(set["status"]["numberMisscheduled"], json!(0));
    check_eq!(set["status"]["updatedNumberScheduled"], json!(count));
    let placed = pods.list(&ListParams::default()).await?.items;
    let mut on: Vec<_> = placed.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone()).collect();
    on.sort();
    on.dedup();
    check_eq!(on.len(), count);
    let pod = serde_json::to_value(&placed[0])?;
    check!(pod["metadata"]["labels"]["controller-revision-hash"].is_string());
    check_eq!(pod["metadata"]["labels"]["pod-template-generation"], "1");
    let tolerations = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    let unschedulable =
        json!({"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"});
    check!(tolerations.contains(&unschedulable), "{tolerations:?}");
    Ok(())
}

/// The JSON of a job whose pods complete. The job's `spec` also has the entries of `extra`.
fn job(name: &str, extra: &Value) -> Outcome<Value> {
    let mut template = json!({"spec": pod("x")?.spec});
    template["spec"]["restartPolicy"] = "Never".into();
    let mut spec = extra.clone();
    spec["template"] = template;
    Ok(json!({"metadata": {"name": name}, "spec": spec}))
}

async fn a_job_completes(env: Env) -> Outcome {
    let jobs: Api<Job> = env.api();
    jobs.create(
        &PostParams::default(),
        &object_from_json(job("work", &json!({"completions": 3, "parallelism": 2}))?)?,
    )
    .await?;
    let done = wait_for_state(&jobs, "work", "the job is complete", |job| {
        condition(job, "Complete")["status"] == "True"
    })
    .await?;
    let status = &done["status"];
    check_eq!(status["succeeded"], json!(3));
    check_eq!(condition(&done, "Complete")["reason"], "CompletionsReached");
    check_eq!(condition(&done, "SuccessCriteriaMet")["message"], "Reached expected number of succeeded pods");
    check!(status["completionTime"].is_string() && status["startTime"].is_string());
    check!(status["active"].is_null() && status["failed"].is_null(), "{status}");
    check_eq!(status["uncountedTerminatedPods"], json!({}));
    let pods = env
        .api::<Pod>()
        .list(&ListParams::default().labels("batch.kubernetes.io/job-name=work"))
        .await?
        .items;
    check_eq!(pods.len(), 3);
    check!(pods.iter().all(|pod| pod.finalizers().is_empty()));
    Ok(())
}

async fn an_indexed_job_completes_its_indexes(env: Env) -> Outcome {
    let jobs: Api<Job> = env.api();
    let extra = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"});
    jobs.create(&PostParams::default(), &object_from_json(job("work", &extra)?)?).await?;
    let done = wait_for_state(&jobs, "work", "the job is complete", |job| {
        condition(job, "Complete")["status"] == "True"
    })
    .await?;
    check_eq!(done["status"]["completedIndexes"], "0-2");
    let pods = env.api::<Pod>().list(&ListParams::default()).await?.items;
    let mut hosts: Vec<_> = pods.iter().filter_map(|pod| pod.spec.as_ref()?.hostname.clone()).collect();
    hosts.sort();
    check_eq!(hosts, ["work-0", "work-1", "work-2"]);
    let pod = serde_json::to_value(&pods[0])?;
    let index = "batch.kubernetes.io/job-completion-index";
    check_eq!(pod["metadata"]["labels"][index], pod["metadata"]["annotations"][index]);
    check_eq!(pod["spec"]["containers"][0]["env"][0]["name"], "JOB_COMPLETION_INDEX");
    check_eq!(
        pod["spec"]["containers"][0]["env"][0]["valueFrom"]["fieldRef"]["fieldPath"],
        format!("metadata.labels['{index}']")
    );
    Ok(())
}

async fn a_finished_job_is_deleted_after_its_time_to_live(env: Env) -> Outcome {
    let jobs: Api<Job> = env.api();
    jobs.create(
        &PostParams::default(),
        &object_from_json(job("work", &json!({"ttlSecondsAfterFinished": 1}))?)?,
    )
    .await?;
    eventually("the job is deleted", TIMEOUT, async || {
        Ok(jobs.get_opt("work").await?.is_none().then_some(()))
    })
    .await?;
    eventually("its pods are deleted", TIMEOUT, async || {
        Ok(env.api::<Pod>().list(&ListParams::default()).await?.items.is_empty().then_some(()))
    })
    .await
}

async fn a_suspended_job_runs_after_it_is_resumed(env: Env) -> Outcome {
    let jobs: Api<Job> = env.api();
    jobs.create(&PostParams::default(), &object_from_json(job("work", &json!({"suspend": true}))?)?).await?;
    let suspended = wait_for_state(&jobs, "work", "the job is suspended", |job| {
        condition(job, "Suspended")["status"] == "True"
    })
    .await?;
    check_eq!(condition(&suspended, "Suspended")["reason"], "JobSuspended");
    check!(suspended["status"]["startTime"].is_null());
    let resume = Patch::Merge(json!({"spec": {"suspend": false}}));
    jobs.patch("work", &PatchParams::default(), &resume).await?;
    let done = wait_for_state(&jobs, "work", "the job is complete", |job| {
        condition(job, "Complete")["status"] == "True"
    })
    .await?;
    check_eq!(condition(&done, "Suspended")["status"], "False");
    check_eq!(condition(&done, "Suspended")["reason"], "JobResumed");
    Ok(())
}

async fn a_cron_job_creates_jobs(env: Env) -> Outcome {
    let (cron_jobs, jobs): (Api<CronJob>, Api<Job>) = (env.api(), env.api());
    let template = job("x", &json!({}))?["spec"].take();
    let cron_job = json!({
        "metadata": {"name": "tick"},
        "spec": {"schedule": "@every 1s", "jobTemplate": {"spec": template}, "successfulJobsHistoryLimit": 1},
    });
    let tick = cron_jobs.create(&PostParams::default(), &object_from_json(cron_job)?).await?;
    wait_for_state(&cron_jobs, "tick", "a job has succeeded", |tick| {
        tick["status"]["lastScheduleTime"].is_string() && tick["status"]["lastSuccessfulTime"].is_string()
    })
    .await?;
    let suspend = Patch::Merge(json!({"spec": {"suspend": true}}));
    cron_jobs.patch("tick", &PatchParams::default(), &suspend).await?;
    let kept = eventually("one job remains", TIMEOUT, async || {
        let all = jobs.list(&ListParams::default()).await?.items;
        anyhow::ensure!(all.len() == 1, "{} jobs", all.len());
        Ok(all.into_iter().next())
    })
    .await?;
    check!(kept.name_any().starts_with("tick-"), "{}", kept.name_any());
    check_eq!(kept.owner_references().first().map(|owner| owner.uid.clone()), tick.uid());
    check!(kept.annotations().contains_key("batch.kubernetes.io/cronjob-scheduled-timestamp"));
    Ok(())
}

async fn the_endpoints_of_a_service_are_its_ready_pods(env: Env) -> Outcome {
    let (services, slices): (Api<Service>, Api<EndpointSlice>) = (env.api(), env.api());
    let service = json!({
        "metadata": {"name": "web", "labels": {"tier": "front"}},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    });
    services.create(&PostParams::default(), &object_from_json(service)?).await?;
    let deployments: Api<k8s_openapi::api::apps::v1::Deployment> = env.api();
    deployments.create(&PostParams::default(), &deployment("web", 2)?).await?;
    let of_web = ListParams::default().labels("kubernetes.io/service-name=web");
    let wait = async |count: usize| {
        eventually("the slice has the ready pods", TIMEOUT, async || {
            let all = serde_json::to_value(slices.list(&of_web).await?.items)?;
            let endpoints = all[0]["endpoints"].as_array().cloned().unwrap_or_default();
            let ready = endpoints.iter().filter(|endpoint| endpoint["conditions"]["ready"] == true).count();
            anyhow::ensure!(ready == count && endpoints.len() == count, "{all}");
            Ok(Some(all[0].clone()))
        })
        .await
    };
    let slice = wait(2).await?;
    check_eq!(slice["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
    check_eq!(slice["addressType"], "IPv4");
    let labels = &slice["metadata"]["labels"];
    check_eq!(labels["endpointslice.kubernetes.io/managed-by"], "endpointslice-controller.k8s.io");
    check_eq!(labels["tier"], "front");
    let endpoint = &slice["endpoints"][0];
    check_eq!(endpoint["conditions"], json!({"ready": true, "serving": true, "terminating": false}));
    check_eq!(endpoint["targetRef"]["kind"], "Pod");
    check!(endpoint["nodeName"].is_string());
    let endpoints: Api<k8s_openapi::api::core::v1::Endpoints> = env.api();
    // Another controller writes the endpoints, and may be later than the one of the slices.
    eventually("the endpoints have the ready pods", TIMEOUT, async || {
        let legacy = serde_json::to_value(endpoints.get("web").await?)?;
        let addresses = legacy["subsets"][0]["addresses"].as_array().map(Vec::len);
        Ok((addresses == Some(2)).then_some(()))
    })
    .await?;
    let scale = Patch::Merge(json!({"spec": {"replicas": 1}}));
    deployments.patch("web", &PatchParams::default(), &scale).await?;
    wait(1).await?;
    services.delete("web", &DeleteParams::default()).await?;
    eventually("the endpoints are deleted", TIMEOUT, async || {
        let none = slices.list(&of_web).await?.items.is_empty() && endpoints.get_opt("web").await?.is_none();
        Ok(none.then_some(()))
    })
    .await
}

async fn a_budget_counts_healthy_pods(env: Env) -> Outcome {
    let budgets: Api<PodDisruptionBudget> = env.api();
    let deployments: Api<k8s_openapi::api::apps::v1::Deployment> = env.api();
    deployments.create(&PostParams::default(), &deployment("web", 4)?).await?;
    for (name, spec, expected) in [
        ("least", json!({"minAvailable": "51%"}), [4, 3, 4, 1]),
        ("most", json!({"maxUnavailable": "30%"}), [4, 2, 4, 2]),
        ("none", json!({"maxUnavailable": 0}), [4, 4, 4, 0]),
    ] {
        let mut budget = json!({"metadata": {"name": name}, "spec": spec});
        budget["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
        budgets.create(&PostParams::default(), &object_from_json(budget)?).await?;
        let counted = wait_for_state(&budgets, name, "the pods are counted", |budget| {
            let status = &budget["status"];
            let counts = ["currentHealthy", "desiredHealthy", "expectedPods", "disruptionsAllowed"];
            counts.iter().zip(expected).all(|(field, count)| status[field] == count)
        })
        .await?;
        let reason = if expected[3] > 0 { "SufficientPods" } else { "InsufficientPods" };
        check_eq!(condition(&counted, "DisruptionAllowed")["reason"], reason);
    }
    Ok(())
}

async fn a_quota_refuses_objects_beyond_its_limits(env: Env) -> Outcome {
    let (quotas, maps, pods): (Api<ResourceQuota>, Api<ConfigMap>, Api<Pod>) =
        (env.api(), env.api(), env.api());
    env.wait_until_pods_can_be_created().await?;
    wait_for_root_certificate(&maps).await?;
    let quota = json!({
        "metadata": {"name": "limits"},
        "spec": {"hard": {"configmaps": "2", "count/secrets": "5", "requests.cpu": "1", "pods": "3"}},
    });
    quotas.create(&PostParams::default(), &object_from_json(quota)?).await?;
    let used = wait_for_state(&quotas, "limits", "the quota is counted", |quota| {
        quota["status"]["used"]["configmaps"] == "1"
    })
    .await?;
    check_eq!(
        used["status"]["used"],
        json!({"configmaps": "1", "count/secrets": "0", "requests.cpu": "0", "pods": "0"})
    );
    // The server enforces quotas from a cache. The cache may not have the status of the quota yet.
    let (params, pod_without_cpu) = (PostParams { dry_run: true, ..PostParams::default() }, pod("a")?);
    let enforced = async || match pods.create(&params, &pod_without_cpu).await {
        Ok(_) => Ok(None),
        Err(error) => Ok(Some(error)),
    };
    let error = eventually("the quota is enforced", TIMEOUT, enforced).await?;
    let text = "failed quota: limits: must specify requests.cpu for: main";
    check!(error.to_string().contains(text), "{error}");
    maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let error = refused!(maps.create(&PostParams::default(), &config_map("b", "1")).await);
    check!(error.is_forbidden(), "{error}");
    let text = "exceeded quota: limits, requested: configmaps=1, used: configmaps=2, limited: configmaps=2";
    check!(error.to_string().contains(text), "{error}");
    let with_cpu = |name: &str, cpu: &str| -> Outcome<Pod> {
        let mut value = serde_json::to_value(pod(name)?)?;
        value["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
        object_from_json(value)
    };
    pods.create(&PostParams::default(), &with_cpu("a", "700m")?).await?;
    wait_for_state(&quotas, "limits", "the pod is counted", |quota| {
        quota["status"]["used"]["requests.cpu"] == "700m"
    })
    .await?;
    let error = refused!(pods.create(&PostParams::default(), &with_cpu("b", "400m")?).await);
    let text = "exceeded quota: limits, requested: requests.cpu=400m, used: requests.cpu=700m, limited: requests.cpu=1";
    check!(error.to_string().contains(text), "{error}");
    Ok(())
}

async fn a_cordoned_node_is_tainted(env: Env) -> Outcome {
    let nodes: Api<Node> = Api::all(env.client());
    let name = env.unique_name("node");
    let mut node = temporary_node(&name)?;
    node.spec.get_or_insert_default().unschedulable = Some(true);
    nodes.create(&PostParams::default(), &node).await?;
    env.delete_at_end(&nodes, &name);
    let has_taint = |node: &Value| {
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        taints.iter().any(|taint| {
            taint["key"] == "node.kubernetes.io/unschedulable" && taint["effect"] == "NoSchedule"
        })
    };
    wait_for_state(&nodes, &name, "the node is tainted", has_taint).await?;
    let uncordon = Patch::Merge(json!({"spec": {"unschedulable": null}}));
    nodes.patch(&name, &PatchParams::default(), &uncordon).await?;
    wait_for_state(&nodes, &name, "the taint is removed", |node| !has_taint(node)).await?;
    Ok(())
}
