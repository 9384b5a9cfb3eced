//! Finalizers, deletion propagation to owned objects (background, foreground, orphan), and namespace deletion.

use std::sync::Arc;
use std::time::Duration;

use either::Either;
use futures::TryStreamExt;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube_client::{Api, Resource, ResourceExt};
use kube_runtime::controller::Action;
use kube_runtime::finalizer;
use serde_json::json;
use tokio::time::timeout;

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{config_map, config_map_value, eventually, named_metadata};

suite!("finalizers":
    finalizer_delays_the_deletion,
    removing_the_last_finalizer_deletes_the_object,
    a_finalizer_added_during_deletion_is_rejected,
    a_reconciler_cleans_up_before_it_removes_its_finalizer,
    concurrent_reconcilers_keep_each_others_finalizers,
    a_reconciler_does_not_change_a_new_object_with_the_name_of_a_deleted_object,
    background_deletion_deletes_owned_objects [Controllers],
    foreground_deletion_deletes_owned_objects_first [Controllers],
    orphan_deletion_keeps_owned_objects [Controllers],
    an_object_with_two_owners_is_deleted_after_both_owners [Controllers],
    namespace_deletion_deletes_its_contents [Controllers],
);

/// The finalizer that most cases use, for objects and for reconcilers.
const FINALIZER: &str = "e2e.example.com/hold";
/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The time limit of a namespace's deletion, which may wait for the deletion of other cases' namespaces.
const NAMESPACE_TIMEOUT: Duration = Duration::from_secs(120);

fn map_with_finalizer(name: &str) -> ConfigMap {
    let mut map = config_map(name, "1");
    map.finalizers_mut().push(FINALIZER.to_owned());
    map
}

async fn remove_finalizers(maps: &Api<ConfigMap>, name: &str) -> Outcome<ConfigMap> {
    let no_finalizers = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    Ok(maps.patch(name, &PatchParams::default(), &no_finalizers).await?)
}

async fn finalizer_delays_the_deletion(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &map_with_finalizer("a")).await?;
    let deleted = maps.delete("a", &DeleteParams::default()).await?;
    check!(deleted.is_left());
    let deleting = maps.get("a").await?;
    check!(deleting.metadata.deletion_timestamp.is_some());
    check_eq!(deleting.metadata.deletion_grace_period_seconds, Some(0));
    // A second deletion changes nothing, and a creation with the same name is rejected.
    check!(matches!(maps.delete("a", &DeleteParams::default()).await?, Either::Left(_)));
    check_eq!(maps.get("a").await?.metadata.deletion_timestamp, deleting.metadata.deletion_timestamp);
    check!(refused!(maps.create(&PostParams::default(), &config_map("a", "2")).await).is_already_exists());
    // An object with a deletion timestamp accepts writes until its last finalizer is removed.
    let merge = Patch::Merge(json!({"data": {"v": "2"}}));
    maps.patch("a", &PatchParams::default(), &merge).await?;
    let last = remove_finalizers(&maps, "a").await?;
    check!(last.metadata.deletion_timestamp.is_some());
    check!(maps.get_opt("a").await?.is_none());
    Ok(())
}

async fn removing_the_last_finalizer_deletes_the_object(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &map_with_finalizer("a")).await?;
    maps.delete("a", &DeleteParams::default()).await?;
    let version = maps.get("a").await?.resource_version().unwrap_or_default();
    let params = WatchParams::default().fields("metadata.name=a").timeout(TIMEOUT);
    let mut events = maps.watch(&params, &version).await?;
    let merge = Patch::Merge(json!({"metadata": {"finalizers": null}, "data": {"v": "2"}}));
    let patched = maps.patch("a", &PatchParams::default(), &merge).await?;
    check_eq!(config_map_value(&patched), "2");
    // The server deletes the object and does not store the patch, so the event has the previous data and
    // finalizers.
    check_eq!(patched.resource_version().unwrap_or_default(), version);
    let event = timeout(TIMEOUT, events.try_next()).await??;
    let Some(WatchEvent::Deleted(last)) = event else {
        return Err(anyhow::anyhow!("expected a DELETED event, got {event:?}").into());
    };
    check_eq!(config_map_value(&last), "1");
    check_eq!(last.finalizers(), [FINALIZER]);
    Ok(())
}

async fn a_finalizer_added_during_deletion_is_rejected(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &map_with_finalizer("a")).await?;
    maps.delete("a", &DeleteParams::default()).await?;
    let more = Patch::Merge(json!({"metadata": {"finalizers": [FINALIZER, "e2e.example.com/late"]}}));
    let error = refused!(maps.patch("a", &PatchParams::default(), &more).await);
    check!(error.is_invalid() && error.to_string().contains("metadata.finalizers"), "{error}");
    remove_finalizers(&maps, "a").await?;
    Ok(())
}

/// Creates the config map `owner`, and one secret for each name. Each secret has an owner reference to `owner`.
async fn create_owner_and_owned_secrets(
    env: &Env,
    owned_names: &[&str],
) -> Outcome<(Api<ConfigMap>, Api<Secret>)> {
    let (maps, secrets): (Api<ConfigMap>, Api<Secret>) = (env.api(), env.api());
    let owner = maps.create(&PostParams::default(), &config_map("owner", "1")).await?;
    for name in owned_names {
        let mut secret = Secret { metadata: named_metadata(name), ..Secret::default() };
        secret.owner_references_mut().extend(owner.controller_owner_ref(&()).map(|mut reference| {
            reference.block_owner_deletion = Some(true);
            reference
        }));
        secrets.create(&PostParams::default(), &secret).await?;
    }
    Ok((maps, secrets))
}

async fn wait_until_deleted(secrets: &Api<Secret>, name: &str) -> Outcome {
    eventually("the owned secret is deleted", TIMEOUT, async || {
        Ok(secrets.get_opt(name).await?.is_none().then_some(()))
    })
    .await
}

async fn background_deletion_deletes_owned_objects(env: Env) -> Outcome {
    let (maps, secrets) = create_owner_and_owned_secrets(&env, &["owned", "other"]).await?;
    maps.delete("owner", &DeleteParams::background()).await?;
    check!(maps.get_opt("owner").await?.is_none());
    wait_until_deleted(&secrets, "owned").await?;
    wait_until_deleted(&secrets, "other").await?;
    Ok(())
}

async fn foreground_deletion_deletes_owned_objects_first(env: Env) -> Outcome {
    let (maps, secrets) = create_owner_and_owned_secrets(&env, &["owned"]).await?;
    let finalizer = Patch::Merge(json!({"metadata": {"finalizers": [FINALIZER]}}));
    secrets.patch("owned", &PatchParams::default(), &finalizer).await?;
    check!(maps.delete("owner", &DeleteParams::foreground()).await?.is_left());
    eventually("the owned secret has a deletionTimestamp", TIMEOUT, async || {
        Ok(secrets.get("owned").await?.metadata.deletion_timestamp.map(drop))
    })
    .await?;
    let owner = maps.get("owner").await?;
    check_eq!(owner.finalizers(), ["foregroundDeletion"]);
    let no_finalizers = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    secrets.patch("owned", &PatchParams::default(), &no_finalizers).await?;
    eventually("the owner is deleted", TIMEOUT, async || {
        Ok(maps.get_opt("owner").await?.is_none().then_some(()))
    })
    .await?;
    check!(secrets.get_opt("owned").await?.is_none());
    Ok(())
}

async fn orphan_deletion_keeps_owned_objects(env: Env) -> Outcome {
    let (maps, secrets) = create_owner_and_owned_secrets(&env, &["owned"]).await?;
    maps.delete("owner", &DeleteParams::orphan()).await?;
    eventually("the owner is deleted", TIMEOUT, async || {
        Ok(maps.get_opt("owner").await?.is_none().then_some(()))
    })
    .await?;
    let owned = secrets.get("owned").await?;
    check!(owned.owner_references().is_empty(), "{:?}", owned.owner_references());
    check!(owned.metadata.deletion_timestamp.is_none());
    Ok(())
}

async fn an_object_with_two_owners_is_deleted_after_both_owners(env: Env) -> Outcome {
    let (maps, secrets) = create_owner_and_owned_secrets(&env, &["owned"]).await?;
    let second = maps.create(&PostParams::default(), &config_map("second", "1")).await?;
    let mut owned = secrets.get("owned").await?;
    owned.owner_references_mut().extend(second.owner_ref(&()));
    secrets.replace("owned", &PostParams::default(), &owned).await?;
    maps.delete("owner", &DeleteParams::background()).await?;
    eventually("the garbage collector removes the first owner reference", TIMEOUT, async || {
        Ok((secrets.get("owned").await?.owner_references().len() == 1).then_some(()))
    })
    .await?;
    maps.delete("second", &DeleteParams::background()).await?;
    wait_until_deleted(&secrets, "owned").await
}

async fn namespace_deletion_deletes_its_contents(env: Env) -> Outcome {
    let namespaces: Api<Namespace> = Api::all(env.client());
    let name = env.unique_name("inner");
    env.delete_at_end(&namespaces, &name);
    let namespace = Namespace { metadata: named_metadata(&name), ..Namespace::default() };
    namespaces.create(&PostParams::default(), &namespace).await?;
    let maps: Api<ConfigMap> = Api::namespaced(env.client(), &name);
    maps.create(&PostParams::default(), &map_with_finalizer("held")).await?;
    let deleted = namespaces.delete(&name, &DeleteParams::default()).await?;
    check!(deleted.is_left());
    eventually("the namespace's config map has a deletionTimestamp", NAMESPACE_TIMEOUT, async || {
        Ok(maps.get("held").await?.metadata.deletion_timestamp.map(drop))
    })
    .await?;
    let error = refused!(maps.create(&PostParams::default(), &config_map("late", "1")).await);
    check!(error.is_forbidden(), "{error:?}");
    check!(error.to_string().contains("because it is being terminated"), "{error}");
    let phase = namespaces.get(&name).await?.status.and_then(|status| status.phase);
    check_eq!(phase.as_deref(), Some("Terminating"));
    remove_finalizers(&maps, "held").await?;
    eventually("the namespace is deleted", NAMESPACE_TIMEOUT, async || {
        Ok(namespaces.get_opt(&name).await?.is_none().then_some(()))
    })
    .await
}

/// Calls [`finalizer::finalizer`] once with a reconciler that succeeds. Returns the event that the reconciler received,
/// or `none` if [`finalizer::finalizer`] did not call the reconciler.
async fn reconcile(
    maps: &Api<ConfigMap>,
    finalizer: &str,
    map: ConfigMap,
) -> Result<&'static str, finalizer::Error<std::io::Error>> {
    let mut received = "none";
    let action = finalizer::finalizer(maps, finalizer, Arc::new(map), |event| {
        received = match event {
            finalizer::Event::Apply(_) => "apply",
            finalizer::Event::Cleanup(_) => "clean up",
        };
        std::future::ready(Ok(Action::await_change()))
    });
    action.await?;
    Ok(received)
}

async fn a_reconciler_cleans_up_before_it_removes_its_finalizer(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let outdated = maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    check_eq!(reconcile(&maps, FINALIZER, outdated.clone()).await?, "apply");
    // The finalizer is not added twice.
    check_eq!(reconcile(&maps, FINALIZER, outdated).await?, "apply");
    check_eq!(maps.get("a").await?.finalizers(), [FINALIZER]);
    maps.delete("a", &DeleteParams::default()).await?;
    let marked = maps.get("a").await?;
    check_eq!(reconcile(&maps, FINALIZER, marked.clone()).await?, "clean up");
    check!(maps.get_opt("a").await?.is_none());
    // The reconciler cleans up again without an error, although the object no longer exists.
    check_eq!(reconcile(&maps, FINALIZER, marked).await?, "clean up");
    maps.create(&PostParams::default(), &config_map("b", "1")).await?;
    let invalid = reconcile(&maps, "not a name", maps.get("b").await?).await.err();
    let invalid = invalid.as_ref().and_then(finalizer::Error::request_error);
    check!(invalid.is_some_and(kube_client::Error::is_invalid), "{invalid:?}");
    Ok(())
}

async fn concurrent_reconcilers_keep_each_others_finalizers(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let created = maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let names: Vec<_> = (0..8).map(|n| format!("e2e.example.com/hold-{n}")).collect();
    // After a conflict, the reconciler is called again with the same object, as if the cache were outdated.
    let repeat = async |name: &str, map: &ConfigMap| loop {
        match reconcile(&maps, name, map.clone()).await {
            Err(error) if error.is_conflict() => {}
            result => return result,
        }
    };
    let steps = try_join_all(names.iter().map(|name| repeat(name, &created))).await?;
    check!(steps.iter().all(|step| *step == "apply"), "{steps:?}");
    let mut present = maps.get("a").await?.finalizers().to_vec();
    present.sort();
    check_eq!(present, names);
    maps.delete("a", &DeleteParams::default()).await?;
    let marked = maps.get("a").await?;
    let (last, others) = (&names[7], &names[..7]);
    try_join_all(others.iter().map(|name| repeat(name, &marked))).await?;
    check_eq!(maps.get("a").await?.finalizers(), [last.as_str()]);
    check_eq!(reconcile(&maps, last, marked).await?, "clean up");
    check!(maps.get_opt("a").await?.is_none());
    Ok(())
}

async fn a_reconciler_does_not_change_a_new_object_with_the_name_of_a_deleted_object(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let first = maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    maps.delete("a", &DeleteParams::default()).await?;
    check_eq!(reconcile(&maps, FINALIZER, first.clone()).await?, "none");
    maps.create(&PostParams::default(), &config_map("a", "2")).await?;
    check_eq!(reconcile(&maps, FINALIZER, first).await?, "none");
    check!(maps.get("a").await?.finalizers().is_empty());
    Ok(())
}
