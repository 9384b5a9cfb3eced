//! The verbs and subresources of `Api`, on namespaced and cluster-scoped kinds.

use std::time::Duration;

use either::Either;
use futures::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Binding, ConfigMap, Pod, ServiceAccount};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube_client::api::{
    DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, ValidationDirective,
};
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube_client::{Api, ResourceExt};
use serde_json::json;

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{
    config_map, config_map_value, deployment, eventually, idle_pod, labelled_config_map, named_metadata,
    names, object_from_json,
};

suite!("verbs":
    an_object_is_created_read_replaced_and_deleted,
    missing_objects_and_unserved_kinds_are_distinguished,
    names_are_generated,
    a_collection_is_listed_and_streamed,
    metadata_is_read_and_patched_without_the_other_fields,
    a_collection_is_deleted_by_label,
    dry_run_stores_nothing,
    strict_validation_rejects_unknown_fields,
    objects_of_all_namespaces_are_listed,
    a_cluster_scoped_object_is_created_read_and_deleted,
    only_the_status_subresource_changes_the_status,
    scale_subresource_changes_replicas,
    token_and_binding_subresources_are_created,
    subresources_are_patched_and_read,
    the_server_version_is_returned,
);

async fn an_object_is_created_read_replaced_and_deleted(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let created = maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    check!(created.uid().is_some() && created.creation_timestamp().is_some());
    check_eq!(created.namespace().as_deref(), Some(env.namespace()));

    let mut read = maps.get("a").await?;
    check_eq!(read, created);
    read.data.get_or_insert_default().insert("v".to_owned(), "2".to_owned());
    let replaced = maps.replace("a", &PostParams::default(), &read).await?;
    check_eq!(config_map_value(&replaced), "2");
    check!(replaced.resource_version() != created.resource_version());
    check_eq!(replaced.uid(), created.uid());
    let again = maps.replace("a", &PostParams::default(), &replaced).await?;
    check_eq!(again.resource_version(), replaced.resource_version());
    check_eq!(config_map_value(&maps.get_with("a", &GetParams::any()).await?), "2");

    let deleted = maps.delete("a", &DeleteParams::default()).await?;
    check!(matches!(&deleted, Either::Right(status) if status.is_success()), "{deleted:?}");
    check_eq!(maps.get_opt("a").await?, None);
    Ok(())
}

async fn missing_objects_and_unserved_kinds_are_distinguished(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    check_eq!(maps.get_opt("missing").await?, None);
    check!(maps.get_metadata_opt("missing").await?.is_none());
    let error = refused!(maps.get("missing").await);
    check!(error.is_not_found(), "{error:?}");
    check_eq!(error.to_string(), "configmaps \"missing\" not found (404 NotFound)");
    check!(refused!(maps.delete("missing", &DeleteParams::default()).await).is_not_found());
    let merge = Patch::Merge(json!({"data": {"a": "b"}}));
    check!(refused!(maps.patch("missing", &PatchParams::default(), &merge).await).is_not_found());
    check!(
        refused!(maps.replace("missing", &PostParams::default(), &config_map("missing", "1")).await)
            .is_not_found()
    );

    let missing_namespace: Api<ConfigMap> = Api::namespaced(env.client(), &env.unique_name("missing"));
    let error = refused!(missing_namespace.create(&PostParams::default(), &config_map("a", "1")).await);
    check!(error.is_not_found() && error.to_string().contains("namespaces"), "{error:?}");
    check!(missing_namespace.list(&ListParams::default()).await?.items.is_empty());

    // `get_opt` returns an error, not `None`, if the kind itself is not served.
    let gvk = GroupVersionKind::gvk("e2e.invalid", "v1", "Ghost");
    let ghosts: Api<DynamicObject> =
        Api::namespaced_with(env.client(), env.namespace(), &ApiResource::from_gvk(&gvk));
    check!(refused!(ghosts.get_opt("a").await).is_not_found());
    check!(refused!(ghosts.list(&ListParams::default()).await).is_not_found());
    Ok(())
}

async fn names_are_generated(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let mut map = config_map("", "1");
    map.metadata.name = None;
    map.metadata.generate_name = Some("made-".to_owned());
    let (one, two) =
        (maps.create(&PostParams::default(), &map).await?, maps.create(&PostParams::default(), &map).await?);
    check!(
        one.name_any().starts_with("made-") && one.name_any().len() == "made-".len() + 5,
        "{}",
        one.name_any()
    );
    check!(one.name_any() != two.name_any());
    Ok(())
}

async fn a_collection_is_listed_and_streamed(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &labelled_config_map(name, "topic", "list")).await?;
    }
    let lp = ListParams::default().labels("topic=list");
    let list = maps.list(&lp).await?;
    check_eq!(names::<ConfigMap>(&list.items), ["a", "b", "c"]);
    check_eq!(list.types.kind, "ConfigMapList");
    check!(list.metadata.resource_version.is_some());

    let mut stream = maps.list_stream(&lp).await?;
    let mut seen = Vec::new();
    while let Some(map) = stream.try_next().await? {
        seen.push(map.name_any());
    }
    check_eq!(seen, ["a", "b", "c"]);
    check!(stream.metadata().is_some_and(|metadata| metadata.resource_version.is_some()));
    Ok(())
}

async fn metadata_is_read_and_patched_without_the_other_fields(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let full = maps.create(&PostParams::default(), &labelled_config_map("a", "topic", "meta")).await?;
    let partial = maps.get_metadata("a").await?;
    check_eq!(partial.metadata, full.metadata);
    check_eq!(partial.types.as_ref().map(|types| types.kind.as_str()), Some("PartialObjectMetadata"));
    let list = maps.list_metadata(&ListParams::default().labels("topic=meta")).await?;
    check_eq!(list.items.len(), 1);
    check_eq!(list.items[0].metadata.uid, full.metadata.uid);
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"seen": "yes"}}}));
    let patched = maps.patch_metadata("a", &PatchParams::default(), &patch).await?;
    check_eq!(patched.annotations().get("seen").map(String::as_str), Some("yes"));
    check_eq!(config_map_value(&maps.get("a").await?), "1");
    Ok(())
}

async fn a_collection_is_deleted_by_label(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    for (name, colour) in [("a", "red"), ("b", "red"), ("c", "blue")] {
        maps.create(&PostParams::default(), &labelled_config_map(name, "colour", colour)).await?;
    }
    let red = ListParams::default().labels("colour=red");
    let deleted = maps.delete_collection(&DeleteParams::default(), &red).await?;
    if let Either::Left(list) = &deleted {
        check_eq!(names::<ConfigMap>(&list.items), ["a", "b"]);
    }
    check_eq!(names::<ConfigMap>(&maps.list(&ListParams::default().labels("colour")).await?.items), ["c"]);
    Ok(())
}

async fn dry_run_stores_nothing(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let created = maps.create(&dry, &config_map("a", "1")).await?;
    check!(created.uid().is_some());
    check_eq!(maps.get_opt("a").await?, None);

    let stored = maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let mut changed = stored.clone();
    changed.data.get_or_insert_default().insert("v".to_owned(), "2".to_owned());
    check_eq!(config_map_value(&maps.replace("a", &dry, &changed).await?), "2");
    let merge = Patch::Merge(json!({"data": {"v": "3"}}));
    check_eq!(config_map_value(&maps.patch("a", &PatchParams::default().dry_run(), &merge).await?), "3");
    maps.delete("a", &DeleteParams::default().dry_run()).await?;
    check_eq!(maps.get("a").await?, stored);
    Ok(())
}

async fn strict_validation_rejects_unknown_fields(env: Env) -> Outcome {
    let resource = ApiResource::erase::<ConfigMap>(&());
    let maps: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let object_with_unknown_field =
        DynamicObject::new("a", &resource).data(json!({"data": {"v": "1"}, "dta": {}}));
    let strict = PostParams { field_validation: Some(ValidationDirective::Strict), ..PostParams::default() };
    let error = refused!(maps.create(&strict, &object_with_unknown_field).await);
    check!(error.status().is_some_and(kube_client::core::Status::is_bad_request), "{error:?}");
    check!(error.to_string().contains("unknown field \"dta\""), "{error}");
    let ignore = PostParams { field_validation: Some(ValidationDirective::Ignore), ..PostParams::default() };
    let created = maps.create(&ignore, &object_with_unknown_field).await?;
    check_eq!(created.data, json!({"data": {"v": "1"}}));
    let merge = Patch::Merge(json!({"dta": {}}));
    let error = refused!(maps.patch("a", &PatchParams::default().validation_strict(), &merge).await);
    check!(error.to_string().contains("unknown field \"dta\""), "{error}");
    Ok(())
}

async fn objects_of_all_namespaces_are_listed(env: Env) -> Outcome {
    let label = env.unique_name("all");
    env.api().create(&PostParams::default(), &labelled_config_map("a", "e2e", &label)).await?;
    let all: Api<ConfigMap> = Api::all(env.client());
    let found = all.list(&ListParams::default().labels(&format!("e2e={label}"))).await?;
    check_eq!(found.items.len(), 1);
    check_eq!(found.items[0].namespace().as_deref(), Some(env.namespace()));
    Ok(())
}

async fn a_cluster_scoped_object_is_created_read_and_deleted(env: Env) -> Outcome {
    let roles: Api<ClusterRole> = Api::all(env.client());
    let name = env.unique_name("role");
    env.delete_at_end(&roles, &name);
    let role = ClusterRole { metadata: named_metadata(&name), ..ClusterRole::default() };
    let created = roles.create(&PostParams::default(), &role).await?;
    check_eq!(created.namespace(), None);
    check_eq!(roles.get(&name).await?.uid(), created.uid());
    roles.delete(&name, &DeleteParams::default()).await?;
    check!(roles.get_opt(&name).await?.is_none());
    Ok(())
}

/// An ingress with a default backend.
fn ingress(name: &str) -> Outcome<Ingress> {
    object_from_json(json!({
        "metadata": {"name": name},
        "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
    }))
}

/// The IP address of the first entry in `status.loadBalancer.ingress`.
fn load_balancer_ip(ingress: &Ingress) -> Option<&str> {
    let balancer = ingress.status.as_ref()?.load_balancer.as_ref()?;
    balancer.ingress.as_ref()?.first()?.ip.as_deref()
}

async fn only_the_status_subresource_changes_the_status(env: Env) -> Outcome {
    let ingresses: Api<Ingress> = env.api();
    let created = ingresses.create(&PostParams::default(), &ingress("web")?).await?;
    check_eq!(created.metadata.generation, Some(1));
    let status = json!({
        "spec": {"ingressClassName": "ignored"},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
    });
    let patched = ingresses.patch_status("web", &PatchParams::default(), &Patch::Merge(status)).await?;
    check_eq!(load_balancer_ip(&patched), Some("192.0.2.1"));
    check_eq!(patched.metadata.generation, Some(1));
    check_eq!(patched.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_deref()), None);

    let mut read = ingresses.get_status("web").await?;
    check_eq!(load_balancer_ip(&read), Some("192.0.2.1"));
    // Replacing the object does not change its status.
    read.status = None;
    read.labels_mut().insert("seen".to_owned(), "yes".to_owned());
    let replaced = ingresses.replace("web", &PostParams::default(), &read).await?;
    check_eq!(load_balancer_ip(&replaced), Some("192.0.2.1"));

    let outdated = ingresses.replace_status("web", &PostParams::default(), &created).await;
    check!(refused!(outdated).is_conflict());
    let mut current = replaced.clone();
    current.status = None;
    let cleared = ingresses.replace_status("web", &PostParams::default(), &current).await?;
    check_eq!(load_balancer_ip(&cleared), None);
    check_eq!(cleared.labels().get("seen").map(String::as_str), Some("yes"));
    Ok(())
}

async fn scale_subresource_changes_replicas(env: Env) -> Outcome {
    let deployments: Api<Deployment> = env.api();
    deployments.create(&PostParams::default(), &deployment("web", 0)?).await?;
    let scale = deployments.get_scale("web").await?;
    check_eq!(scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default(), 0);
    check_eq!(scale.status.as_ref().and_then(|status| status.selector.as_deref()), Some("app=web"));

    let one = Patch::Merge(json!({"spec": {"replicas": 1}}));
    let scaled = deployments.patch_scale("web", &PatchParams::default(), &one).await?;
    check_eq!(scaled.spec.and_then(|spec| spec.replicas), Some(1));
    // `replace_scale` fails with a conflict if the deployment controller updates the deployment at the same time.
    eventually("the scale is replaced", Duration::from_secs(20), async || {
        let mut scale = deployments.get_scale("web").await?;
        scale.spec.get_or_insert_default().replicas = Some(2);
        match deployments.replace_scale("web", &PostParams::default(), &scale).await {
            Err(error) if error.is_conflict() => Ok(None),
            other => Ok(Some(other?)),
        }
    })
    .await?;
    let read = deployments.get("web").await?;
    check_eq!(read.spec.replicas, Some(2));
    Ok(())
}

async fn token_and_binding_subresources_are_created(env: Env) -> Outcome {
    let accounts: Api<ServiceAccount> = env.api();
    let account = ServiceAccount { metadata: named_metadata("robot"), ..ServiceAccount::default() };
    accounts.create(&PostParams::default(), &account).await?;
    let request: TokenRequest =
        object_from_json(json!({"metadata": {}, "spec": {"audiences": [], "expirationSeconds": 600}}))?;
    let response: TokenRequest =
        accounts.create_subresource("token", "robot", &PostParams::default(), &request).await?;
    let token = response.status.and_then(|status| status.token).unwrap_or_default();
    check_eq!(token.split('.').count(), 3);

    env.wait_until_pods_can_be_created().await?;
    let pods: Api<Pod> = env.api();
    pods.create(&PostParams::default(), &idle_pod("a")?).await?;
    let node = env.unique_name("node");
    let binding: Binding =
        object_from_json(json!({"metadata": {"name": "a"}, "target": {"kind": "Node", "name": node}}))?;
    let bound: kube_client::core::Status =
        pods.create_subresource("binding", "a", &PostParams::default(), &binding).await?;
    check!(bound.is_success(), "{bound:?}");
    let pod = pods.get("a").await?;
    check_eq!(pod.spec.and_then(|spec| spec.node_name), Some(node));
    // No kubelet runs for the node of the pod, so only a grace period of zero deletes the pod.
    pods.delete("a", &DeleteParams::default().grace_period(Duration::ZERO)).await?;
    Ok(())
}

async fn subresources_are_patched_and_read(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let pods: Api<Pod> = env.api();
    pods.create(&PostParams::default(), &idle_pod("a")?).await?;
    let debugger = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox"}]}});
    let patch = Patch::Strategic(debugger);
    let name = "ephemeralcontainers";
    pods.patch_subresource(name, "a", &PatchParams::default(), &patch).await?;
    let read = pods.get_subresource(name, "a").await?;
    let containers = read.spec.clone().and_then(|spec| spec.ephemeral_containers).unwrap_or_default();
    check_eq!(containers.len(), 1);
    check_eq!(containers[0].name, "debug");
    let replaced = pods.replace_subresource(name, "a", &PostParams::default(), &read).await?;
    check_eq!(replaced.resource_version(), read.resource_version());
    check!(refused!(pods.get_subresource("nonsense", "a").await).is_not_found());
    Ok(())
}

async fn the_server_version_is_returned(env: Env) -> Outcome {
    let version = env.client().apiserver_version().await?;
    check_eq!(version.major, "1");
    check!(version.git_version.starts_with("v1."), "{}", version.git_version);
    Ok(())
}
