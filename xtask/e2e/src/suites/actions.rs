//! Methods of `Api` and `Client` beyond the basic verbs: entries, server-side apply, scopes, and actions on single
//! kinds, such as evictions of pods.

use futures::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube_client::api::{
    DeleteParams, DynamicObject, EvictParams, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
    WatchEvent, retry_on_conflict,
};
use kube_client::client::scope;
use kube_client::core::{Request, Resource, WatchParams};
use kube_client::{Api, ResourceExt, discovery};
use serde_json::json;

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{
    MANAGED_BY_LABEL, config_map, config_map_value, deployment, idle_pod, named_metadata, object_from_json,
    temporary_node,
};

suite!("actions":
    an_entry_creates_and_changes_an_object,
    an_entry_refuses_an_object_whose_name_differs,
    an_apply_creates_an_object_and_removes_omitted_fields,
    an_apply_of_the_status_changes_only_the_status,
    conflicting_writes_are_retried,
    reads_by_reference_and_in_a_scope_return_the_same_object,
    a_dynamic_api_is_constrained_to_a_namespace,
    events_of_a_custom_watch_request_are_decoded,
    a_restart_changes_the_pod_template,
    a_cordoned_node_is_unschedulable [NewNodes],
    a_token_is_requested_for_a_service_account [Authorization],
    a_certificate_signing_request_is_approved,
    an_eviction_deletes_the_pod,
    an_eviction_that_a_budget_forbids_is_refused,
    ephemeral_containers_change_and_the_resize_subresource_is_read,
);

async fn an_entry_creates_and_changes_an_object(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let pp = PostParams::default();
    let mut created = maps.entry("a").await?.or_insert(|| config_map("a", "1"));
    created.commit(&PostParams { dry_run: true, ..PostParams::default() }).await?;
    check!(maps.get_opt("a").await?.is_none());
    created.commit(&pp).await?;
    check_eq!(created.get().namespace(), Some(env.namespace().to_owned()));

    let unchanged = created.get().resource_version();
    let mut entry = maps.entry("a").await?.or_insert(ConfigMap::default);
    entry.commit(&pp).await?;
    check_eq!(maps.get("a").await?.resource_version(), unchanged);

    let set_two = |map: &mut ConfigMap| map.data = config_map("a", "2").data;
    let mut changed = entry.and_modify(set_two);
    // `changed` is committed after `outdated` was read, so the commit of `outdated` conflicts.
    let mut outdated = maps.entry("a").await?.and_modify(set_two).or_insert(ConfigMap::default);
    changed.commit(&pp).await?;
    check_eq!(config_map_value(changed.get()), "2");
    let conflict = outdated.get_mut();
    conflict.labels_mut().insert("other".into(), "writer".into());
    match outdated.commit(&pp).await {
        Err(kube_client::api::entry::CommitError::Save(error)) => check!(error.is_conflict(), "{error}"),
        other => check!(false, "{other:?}"),
    }
    Ok(())
}

async fn an_entry_refuses_an_object_whose_name_differs(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let mut entry = maps.entry("a").await?.or_insert(|| config_map("b", "1"));
    let error = entry.commit(&PostParams::default()).await.err();
    check!(matches!(error, Some(kube_client::api::entry::CommitError::Validate(_))), "{error:?}");
    check!(maps.list(&ListParams::default().fields("metadata.name=b")).await?.items.is_empty());
    Ok(())
}

async fn an_apply_creates_an_object_and_removes_omitted_fields(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let pp = PatchParams::apply("e2e");
    check_eq!(config_map_value(&maps.apply(&pp, &config_map("a", "1")).await?), "1");
    let empty = ConfigMap { metadata: named_metadata("a"), ..ConfigMap::default() };
    check_eq!(maps.apply(&pp, &empty).await?.data, None);
    maps.apply(&PatchParams::apply("other"), &config_map("a", "2")).await?;
    check!(refused!(maps.apply(&pp, &config_map("a", "3")).await).is_conflict());
    check_eq!(config_map_value(&maps.apply(&pp.force(), &config_map("a", "3")).await?), "3");
    let nameless = maps.apply(&PatchParams::apply("e2e"), &ConfigMap::default()).await;
    check!(nameless.is_err_and(|error| error.to_string().contains("metadata.name")));
    Ok(())
}

async fn an_apply_of_the_status_changes_only_the_status(env: Env) -> Outcome {
    let budgets: Api<PodDisruptionBudget> = env.api();
    let selector = json!({"matchLabels": {"app": env.namespace()}});
    let spec = json!({"minAvailable": 1, "selector": selector});
    let budget: PodDisruptionBudget = object_from_json(json!({"metadata": {"name": "a"}, "spec": spec}))?;
    let created = budgets.create(&PostParams::default(), &budget).await?;
    let condition = json!({
        "type": "E2e", "status": "True", "reason": "Test", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let status = json!({
        "currentHealthy": 0, "desiredHealthy": 1, "disruptionsAllowed": 0, "expectedPods": 0, "conditions": [condition],
    });
    let change: PodDisruptionBudget =
        object_from_json(json!({"metadata": {"name": "a"}, "spec": {"minAvailable": 7}, "status": status}))?;
    let stored = budgets.apply_status(&PatchParams::apply("e2e").force(), &change).await?;
    check_eq!(stored.spec, created.spec);
    let conditions = stored.status.and_then(|status| status.conditions).unwrap_or_default();
    check!(conditions.iter().any(|condition| condition.type_ == "E2e"), "{conditions:?}");
    Ok(())
}

async fn conflicting_writes_are_retried(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let pp = PostParams::default();
    maps.create(&pp, &config_map("a", "0")).await?;
    let mut attempts = 0;
    let stored = retry_on_conflict(async || {
        attempts += 1;
        let mut map = maps.get("a").await?;
        if attempts == 1 {
            maps.replace("a", &pp, &config_map("a", "other")).await?;
        }
        map.labels_mut().insert("attempt".into(), attempts.to_string());
        maps.replace("a", &pp, &map).await
    })
    .await?;
    check_eq!(stored.labels().get("attempt").map(String::as_str), Some("2"));
    check_eq!(config_map_value(&stored), "other");
    Ok(())
}

async fn reads_by_reference_and_in_a_scope_return_the_same_object(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let created = maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let client = env.client();
    let reference = created.object_ref(&());
    let read: ConfigMap = client.fetch(&reference).await?;
    check_eq!(read.uid(), created.uid());
    let namespace: Namespace = client.get(env.namespace(), &scope::Cluster).await?;
    let namespace = scope::Namespace::try_from(&namespace)?;
    let read: ConfigMap = client.get("a", &namespace).await?;
    check_eq!(read.uid(), created.uid());
    let listed = client.list::<ConfigMap>(&ListParams::default(), &namespace).await?;
    check!(listed.items.iter().any(|map| map.uid() == created.uid()));
    Ok(())
}

async fn a_dynamic_api_is_constrained_to_a_namespace(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let client = env.client();
    let kind = GroupVersionKind::gvk("", "v1", "ConfigMap");
    let (resource, capabilities) = discovery::oneshot::pinned_kind(&client, &kind).await?;
    let everywhere: Api<DynamicObject> = Api::dynamic(client.clone(), &resource, &capabilities.scope);
    let here = everywhere.clone().constrain(env.namespace());
    check_eq!(here.get("a").await?.data["data"]["v"], "1");
    check_eq!(here.unconstrain().resource_url(), everywhere.resource_url());

    let kind = GroupVersionKind::gvk("", "v1", "Namespace");
    let (resource, capabilities) = discovery::oneshot::pinned_kind(&client, &kind).await?;
    let namespaces: Api<DynamicObject> =
        Api::dynamic(client, &resource, &capabilities.scope).constrain(env.namespace());
    check_eq!(namespaces.get(env.namespace()).await?.name_any(), env.namespace());
    Ok(())
}

async fn events_of_a_custom_watch_request_are_decoded(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let created = maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let wp = WatchParams::default().fields("metadata.name=a").timeout(30);
    let request = Request::new(ConfigMap::url_path(&(), Some(env.namespace()))).watch(&wp, "0")?;
    let mut events = env.client().request_events::<ConfigMap>(request).await?;
    // At the resource version "0", a server may answer from a cache that does not contain the object yet. The bookmark
    // at the end of the initial events then precedes the object.
    let mut event = events.try_next().await?;
    if matches!(event, Some(WatchEvent::Bookmark(_))) {
        event = events.try_next().await?;
    }
    match event {
        Some(WatchEvent::Added(map)) => check_eq!(map.uid(), created.uid()),
        other => check!(false, "{other:?}"),
    }
    Ok(())
}

async fn a_restart_changes_the_pod_template(env: Env) -> Outcome {
    let deployments: Api<Deployment> = env.api();
    let created = deployments.create(&PostParams::default(), &deployment("web", 0)?).await?;
    let restarted = deployments.restart("web").await?;
    check!(restarted.metadata.generation > created.metadata.generation);
    let template = restarted.spec.template.metadata.and_then(|meta| meta.annotations).unwrap_or_default();
    check!(template.contains_key("kubectl.kubernetes.io/restartedAt"), "{template:?}");
    Ok(())
}

async fn a_cordoned_node_is_unschedulable(env: Env) -> Outcome {
    let nodes: Api<Node> = Api::all(env.client());
    let name = env.unique_name("node");
    env.delete_at_end(&nodes, &name);
    nodes.create(&PostParams::default(), &temporary_node(&name)?).await?;
    let unschedulable = |node: Node| node.spec.and_then(|spec| spec.unschedulable).unwrap_or_default();
    check!(unschedulable(nodes.cordon(&name).await?));
    check!(!unschedulable(nodes.uncordon(&name).await?));
    Ok(())
}

async fn a_token_is_requested_for_a_service_account(env: Env) -> Outcome {
    let accounts: Api<ServiceAccount> = env.api();
    let account = ServiceAccount { metadata: named_metadata("robot"), ..ServiceAccount::default() };
    accounts.create(&PostParams::default(), &account).await?;
    let request: TokenRequest =
        object_from_json(json!({"metadata": {}, "spec": {"audiences": [], "expirationSeconds": 600}}))?;
    let response = accounts.create_token_request("robot", &PostParams::default(), &request).await?;
    let token = response.status.and_then(|status| status.token).unwrap_or_default();
    check_eq!(token.split('.').count(), 3);
    Ok(())
}

/// A PKCS #10 request for a client certificate with the common name `e2e-robot`.
const SIGNING_REQUEST: &str = include_str!("signing-request.pem");

async fn a_certificate_signing_request_is_approved(env: Env) -> Outcome {
    let requests: Api<CertificateSigningRequest> = Api::all(env.client());
    let name = env.unique_name("csr");
    env.delete_at_end(&requests, &name);
    let body = k8s_openapi::ByteString(SIGNING_REQUEST.as_bytes().to_vec());
    let spec = json!({
        "request": body, "signerName": "example.com/e2e", "usages": ["client auth"], "expirationSeconds": 600,
    });
    let mut request: CertificateSigningRequest =
        object_from_json(json!({"metadata": {"name": name}, "spec": spec}))?;
    request.labels_mut().insert(MANAGED_BY_LABEL.0.to_owned(), MANAGED_BY_LABEL.1.to_owned());
    requests.create(&PostParams::default(), &request).await?;
    let condition =
        json!({"type": "Approved", "status": "True", "reason": "E2e", "message": "approved by a test"});
    let patch = Patch::Merge(json!({"status": {"conditions": [condition]}}));
    requests.patch_approval(&name, &PatchParams::default(), &patch).await?;
    let conditions = requests.get_approval(&name).await?.status.and_then(|status| status.conditions);
    let conditions = conditions.unwrap_or_default();
    check_eq!(conditions.len(), 1);
    check_eq!(conditions[0].type_, "Approved");
    Ok(())
}

async fn an_eviction_deletes_the_pod(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let pods: Api<Pod> = env.api();
    pods.create(&PostParams::default(), &idle_pod("a")?).await?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    check!(
        pods.evict("a", &EvictParams { post_options: dry_run, ..EvictParams::default() }).await?.is_success()
    );
    check!(pods.get_opt("a").await?.is_some());
    let immediately = Some(DeleteParams::default().grace_period(0));
    let ep = EvictParams { delete_options: immediately, ..EvictParams::default() };
    check!(pods.evict("a", &ep).await?.is_success());
    check!(pods.get_opt("a").await?.is_none());
    check!(refused!(pods.evict("a", &ep).await).is_not_found());
    Ok(())
}

async fn an_eviction_that_a_budget_forbids_is_refused(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let labels = json!({"app": "guarded"});
    let budgets: Api<PodDisruptionBudget> = env.api();
    let spec = json!({"minAvailable": 1, "selector": {"matchLabels": labels}});
    budgets
        .create(&PostParams::default(), &object_from_json(json!({"metadata": {"name": "a"}, "spec": spec}))?)
        .await?;
    let pods: Api<Pod> = env.api();
    let mut pod = idle_pod("a")?;
    pod.labels_mut().insert("app".into(), "guarded".into());
    pods.create(&PostParams::default(), &pod).await?;
    // A budget does not protect a pending pod, so the case sets the phase to `Running`.
    let ready = json!({"type": "Ready", "status": "True"});
    let running = Patch::Merge(json!({"status": {"phase": "Running", "conditions": [ready]}}));
    pods.patch_status("a", &PatchParams::default(), &running).await?;
    let error = refused!(pods.evict("a", &EvictParams::default()).await);
    check!(error.is_too_many_requests(), "{error}");
    check!(pods.get_opt("a").await?.is_some());
    pods.delete("a", &DeleteParams::default().grace_period(0)).await?;
    Ok(())
}

async fn ephemeral_containers_change_and_the_resize_subresource_is_read(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let pods: Api<Pod> = env.api();
    pods.create(&PostParams::default(), &idle_pod("a")?).await?;
    let debugger = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox"}]}});
    let pp = PatchParams::default();
    pods.patch_ephemeral_containers("a", &pp, &Patch::Strategic(debugger)).await?;
    let read = pods.get_ephemeral_containers("a").await?;
    let containers =
        read.spec.as_ref().and_then(|spec| spec.ephemeral_containers.as_ref()).map_or(0, Vec::len);
    check_eq!(containers, 1);
    pods.replace_ephemeral_containers("a", &PostParams::default(), &read).await?;
    let resized = pods.get_resize("a").await?;
    check_eq!(resized.uid(), read.uid());
    Ok(())
}
