//! Runs examples as child processes that send requests to the server. These examples run until they are interrupted.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube_client::{Api, ResourceExt};
use serde_json::json;

use super::running_example::RunningExample;
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check};
use crate::support::{deployment, eventually, idle_pod, labelled_config_map, temporary_node};

suite!("examples":
    pod_informer_prints_added_and_deleted_pods [Examples],
    pod_reflector_prints_existing_pods [Examples],
    deployment_reflector_prints_replicas [Examples],
    crd_reflector_prints_created_and_changed_objects [Examples],
    admission_controller_refuses_and_mutates_config_maps [Examples, Loopback],
    node_reflector_prints_nodes [Examples, NewNodes],
    node_informer_reports_an_unhealthy_node [Examples, NewNodes],
);

async fn pod_informer_prints_added_and_deleted_pods(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let running = RunningExample::start(&env, "pod_informer", &[])?;
    let pods: Api<Pod> = env.api();
    pods.create(&PostParams::default(), &idle_pod("web")?).await?;
    let name = format!("{}/web", env.namespace());
    running.wait_for_line(&["added", &name, "Pending"]).await?;
    pods.delete("web", &DeleteParams::default()).await?;
    running.wait_for_line(&["deleted", &name]).await?;
    running.terminate().await
}

async fn pod_reflector_prints_existing_pods(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    env.api::<Pod>().create(&PostParams::default(), &idle_pod("web")?).await?;
    let running = RunningExample::start(&env, "pod_reflector", &[])?;
    running.wait_for_line(&[&format!("{}/web", env.namespace()), "Pending", "1 containers"]).await?;
    running.terminate().await
}

async fn deployment_reflector_prints_replicas(env: Env) -> Outcome {
    env.api::<Deployment>().create(&PostParams::default(), &deployment("web", 0)?).await?;
    let running = RunningExample::start(&env, "deployment_reflector", &[])?;
    running.wait_for_line(&[&format!("{}/web", env.namespace()), "0 desired"]).await?;
    running.terminate().await
}

async fn crd_reflector_prints_created_and_changed_objects(env: Env) -> Outcome {
    // The example installs a CRD with a fixed name. The CRD is deleted after the case, unless it existed before the case.
    let crds: Api<CustomResourceDefinition> = Api::all(env.client());
    if crds.get_opt("foos.clux.dev").await?.is_none() {
        env.delete_at_end(&crds, "foos.clux.dev");
    }
    let running = RunningExample::start(&env, "crd_reflector", &[])?;
    running.wait_for_line(&["0 foos"]).await?;
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("clux.dev", "v1", "Foo"), "foos");
    let foos: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let object = DynamicObject::new("baz", &resource).data(json!({"spec": {"name": "baz", "info": "first"}}));
    foos.create(&PostParams::default(), &object).await?;
    let name = format!("{}/baz", env.namespace());
    running.wait_for_line(&[&name, "first"]).await?;
    let edited = Patch::Merge(json!({"spec": {"info": "second"}}));
    foos.patch("baz", &PatchParams::default(), &edited).await?;
    running.wait_for_line(&[&name, "second"]).await?;
    foos.delete("baz", &DeleteParams::default()).await?;
    running.terminate().await
}

async fn admission_controller_refuses_and_mutates_config_maps(env: Env) -> Outcome {
    // The example registers webhooks with a fixed name. They receive only config maps with the label of the example.
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(env.client());
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(env.client());
    env.delete_at_end(&validating, "examples-admission");
    env.delete_at_end(&mutating, "examples-admission");
    let running = RunningExample::start(&env, "admission_controller", &[])?;
    running.wait_for_line(&["serving on https://"]).await?;
    let maps: Api<ConfigMap> = env.api();
    let labelled_map = |value: &str| {
        let mut map = labelled_config_map("a", "examples.dev/admission", "on");
        map.data = Some([("v".to_owned(), value.to_owned())].into());
        map
    };
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let message = eventually("the validating webhook refuses a key", Duration::from_secs(30), async || {
        let map_with_key = labelled_map("-----BEGIN PRIVATE KEY-----");
        Ok(maps.create(&dry_run, &map_with_key).await.err().map(|error| error.to_string()))
    })
    .await?;
    check!(message.contains("data.v has a private key: use a Secret"), "{message}");
    let created = maps.create(&PostParams::default(), &labelled_map("1")).await?;
    check!(created.annotations().contains_key("examples.dev/written-by"), "{created:?}");
    running.terminate().await
}

/// Creates an unschedulable node and returns its name.
async fn create_node(env: &Env) -> Outcome<String> {
    let nodes: Api<Node> = Api::all(env.client());
    let name = env.unique_name("node");
    env.delete_at_end(&nodes, &name);
    let mut node = temporary_node(&name)?;
    node.spec.get_or_insert_default().unschedulable = Some(true);
    nodes.create(&PostParams::default(), &node).await?;
    Ok(name)
}

async fn node_reflector_prints_nodes(env: Env) -> Outcome {
    let name = create_node(&env).await?;
    let running = RunningExample::start(&env, "node_reflector", &[])?;
    running.wait_for_line(&[&name, "kubelet"]).await?;
    running.terminate().await
}

async fn node_informer_reports_an_unhealthy_node(env: Env) -> Outcome {
    let running = RunningExample::start(&env, "node_informer", &[])?;
    let name = create_node(&env).await?;
    let condition = json!({"type": "DiskPressure", "status": "True", "reason": "Full"});
    let unhealthy = Patch::Strategic(json!({"status": {"conditions": [condition]}}));
    let nodes: Api<Node> = Api::all(env.client());
    // The node lifecycle controller may overwrite the condition, so the case writes it repeatedly.
    let keep_unhealthy = async {
        loop {
            if let Err(error) = nodes.patch_status(&name, &PatchParams::default(), &unhealthy).await {
                tracing::debug!("{error}");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let parts = [name.as_str(), "is unhealthy", "DiskPressure is True (Full)"];
    tokio::select! {
        found = running.wait_for_line(&parts) => drop(found?),
        () = keep_unhealthy => {}
    }
    running.terminate().await
}
