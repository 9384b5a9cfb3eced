//! Waits for conditions and deletions with `kube_runtime::wait`.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube_client::{Api, Resource, ResourceExt};
use kube_runtime::wait::delete::{self, delete_and_finalize_within};
use kube_runtime::wait::{Condition, await_condition_within, conditions};
use serde_json::json;

use super::widget::install;
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::{config_map, deployment, eventually, pod};

suite!("wait":
    a_wait_ends_when_the_object_is_created,
    a_wait_for_a_crd_ends_when_it_is_established,
    a_deletion_ends_when_the_finalizer_is_removed,
    waits_end_when_a_pod_runs_and_when_its_graceful_deletion_ends [Pods],
    a_wait_ends_when_the_new_generation_is_rolled_out [Pods],
);

/// The time limit of the waits that are expected to succeed.
const WAIT_LIMIT: Duration = Duration::from_secs(90);

async fn a_wait_ends_when_the_object_is_created(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let wait = await_condition_within(maps.clone(), "a", conditions::is_created(), WAIT_LIMIT);
    let params = PostParams::default();
    let new = config_map("a", "1");
    let (state, created) = tokio::join!(wait, maps.create(&params, &new));
    check_eq!(state?.and_then(|map| map.uid()), created?.uid());
    let absent = conditions::is_created().not();
    let limit = Duration::from_millis(500);
    let error = await_condition_within(maps.clone(), "a", absent, limit).await.err();
    check!(error.is_some_and(|error| error.is_timeout() && error.watch_error().is_none()));
    Ok(())
}

async fn a_wait_for_a_crd_ends_when_it_is_established(env: Env) -> Outcome {
    let resource = install(&env).await?;
    let crds: Api<CustomResourceDefinition> = Api::all(env.client());
    let name = format!("{}.{}", resource.plural, resource.group);
    let crd = await_condition_within(crds, &name, conditions::is_crd_established(), WAIT_LIMIT).await?;
    check!(crd.is_some());
    Ok(())
}

async fn a_deletion_ends_when_the_finalizer_is_removed(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let mut held = config_map("a", "1");
    held.finalizers_mut().push("e2e.example.com/hold".to_owned());
    let first = maps.create(&PostParams::default(), &held).await?;
    let dp = DeleteParams::default();
    let release = async |name: &str| {
        let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        maps.patch(name, &PatchParams::default(), &none).await
    };
    let deletion = delete_and_finalize_within(maps.clone(), "a", &dp, WAIT_LIMIT);
    let (deleted, successor) = tokio::join!(deletion, async {
        eventually("the object is being deleted", WAIT_LIMIT, async || {
            Ok(maps.get("a").await?.metadata.deletion_timestamp.map(drop))
        })
        .await?;
        release("a").await?;
        Outcome::Ok(maps.create(&PostParams::default(), &config_map("a", "2")).await?)
    });
    // A new object of the same name does not prolong the wait.
    deleted?;
    check!(successor?.uid() != first.uid());
    // The new object has no finalizer, so the server deletes it immediately, and responds with a `Status`.
    delete_and_finalize_within(maps.clone(), "a", &dp, WAIT_LIMIT).await?;
    check!(maps.get_opt("a").await?.is_none());

    maps.create(&PostParams::default(), &held).await?;
    let error = delete_and_finalize_within(maps.clone(), "a", &dp, Duration::from_millis(500)).await.err();
    check!(matches!(error, Some(delete::Error::Await(error)) if error.is_timeout()));
    release("a").await?;
    Ok(())
}

async fn waits_end_when_a_pod_runs_and_when_its_graceful_deletion_ends(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let pods: Api<Pod> = env.api();
    pods.create(&PostParams::default(), &pod("a")?).await?;
    await_condition_within(pods.clone(), "a", conditions::is_pod_running(), WAIT_LIMIT).await?;
    let dp = DeleteParams::default().grace_period(Duration::from_secs(1));
    delete_and_finalize_within(pods.clone(), "a", &dp, WAIT_LIMIT).await?;
    check!(pods.get_opt("a").await?.is_none());
    Ok(())
}

async fn a_wait_ends_when_the_new_generation_is_rolled_out(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let deployments: Api<Deployment> = env.api();
    deployments.create(&PostParams::default(), &deployment("web", 1)?).await?;
    let completed = || {
        await_condition_within(deployments.clone(), "web", conditions::is_deployment_completed(), WAIT_LIMIT)
    };
    completed().await?;
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "other"}]}}}});
    let changed = deployments.patch("web", &PatchParams::default(), &Patch::Strategic(image)).await?;
    let rolled_out = completed().await?;
    let observed = rolled_out.and_then(|deployment| deployment.status?.observed_generation);
    check!(observed >= changed.meta().generation, "{observed:?}");
    Ok(())
}
