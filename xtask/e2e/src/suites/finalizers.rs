//! Finalizers, and the deletion of owned objects.

use std::time::Duration;

use either::Either;
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube_client::{Api, Resource, ResourceExt};
use serde_json::json;
use tokio::time::timeout;

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{config_map, eventually, named, value};

suite!("finalizers":
    a_finalizer_holds_a_deletion,
    the_last_finalizer_goes_in_one_deletion,
    no_finalizer_comes_late,
    what_is_owned_goes_in_the_background [Controllers],
    what_is_owned_goes_first_in_the_foreground [Controllers],
    what_is_orphaned_stays [Controllers],
    what_two_own_stays_until_both_are_gone [Controllers],
    a_namespace_goes_with_its_contents [Controllers],
);

const FINALIZER: &str = "e2e.example.com/hold";
const PATIENCE: Duration = Duration::from_secs(60);

fn held(name: &str) -> ConfigMap {
    let mut map = config_map(name, "1");
    map.finalizers_mut().push(FINALIZER.to_owned());
    map
}

async fn release(maps: &Api<ConfigMap>, name: &str) -> Outcome<ConfigMap> {
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    Ok(maps.patch(name, &PatchParams::default(), &none).await?)
}

async fn a_finalizer_holds_a_deletion(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &held("a")).await?;
    let deleted = maps.delete("a", &DeleteParams::default()).await?;
    check!(deleted.is_left());
    let held = maps.get("a").await?;
    check!(held.metadata.deletion_timestamp.is_some());
    check_eq!(held.metadata.deletion_grace_period_seconds, Some(0));
    // A second deletion changes nothing, and the name is still taken.
    check!(matches!(maps.delete("a", &DeleteParams::default()).await?, Either::Left(_)));
    check_eq!(maps.get("a").await?.metadata.deletion_timestamp, held.metadata.deletion_timestamp);
    check!(refused!(maps.create(&PostParams::default(), &config_map("a", "2")).await).is_already_exists());
    // A terminating object accepts writes.
    let merge = Patch::Merge(json!({"data": {"v": "2"}}));
    maps.patch("a", &PatchParams::default(), &merge).await?;
    let last = release(&maps, "a").await?;
    check!(last.metadata.deletion_timestamp.is_some());
    check!(maps.get_opt("a").await?.is_none());
    Ok(())
}

async fn the_last_finalizer_goes_in_one_deletion(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &held("a")).await?;
    maps.delete("a", &DeleteParams::default()).await?;
    let version = maps.get("a").await?.resource_version().unwrap_or_default();
    let params = WatchParams::default().fields("metadata.name=a").timeout(PATIENCE);
    let mut events = maps.watch(&params, &version).await?;
    let merge = Patch::Merge(json!({"metadata": {"finalizers": null}, "data": {"v": "2"}}));
    let answer = maps.patch("a", &PatchParams::default(), &merge).await?;
    check_eq!(value(&answer), "2");
    // The change itself was not written: what is deleted is the object before it.
    check_eq!(answer.resource_version().unwrap_or_default(), version);
    let event = timeout(PATIENCE, events.try_next()).await??;
    let Some(WatchEvent::Deleted(last)) = event else {
        return Err(anyhow::anyhow!("{event:?} is no deletion").into());
    };
    check_eq!(value(&last), "1");
    check_eq!(last.finalizers(), [FINALIZER]);
    Ok(())
}

async fn no_finalizer_comes_late(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &held("a")).await?;
    maps.delete("a", &DeleteParams::default()).await?;
    let more = Patch::Merge(json!({"metadata": {"finalizers": [FINALIZER, "e2e.example.com/late"]}}));
    let error = refused!(maps.patch("a", &PatchParams::default(), &more).await);
    check!(error.is_invalid() && error.to_string().contains("metadata.finalizers"), "{error}");
    release(&maps, "a").await?;
    Ok(())
}

/// A config map `owner`, and a secret for each name that it owns.
async fn family(env: &Env, children: &[&str]) -> Outcome<(Api<ConfigMap>, Api<Secret>)> {
    let (maps, secrets): (Api<ConfigMap>, Api<Secret>) = (env.api(), env.api());
    let owner = maps.create(&PostParams::default(), &config_map("owner", "1")).await?;
    for name in children {
        let mut child = Secret { metadata: named(name), ..Secret::default() };
        child.owner_references_mut().extend(owner.controller_owner_ref(&()).map(|mut reference| {
            reference.block_owner_deletion = Some(true);
            reference
        }));
        secrets.create(&PostParams::default(), &child).await?;
    }
    Ok((maps, secrets))
}

async fn is_gone(secrets: &Api<Secret>, name: &str) -> Outcome {
    eventually("the child is gone", PATIENCE, async || {
        Ok(secrets.get_opt(name).await?.is_none().then_some(()))
    })
    .await
}

async fn what_is_owned_goes_in_the_background(env: Env) -> Outcome {
    let (maps, secrets) = family(&env, &["child", "other"]).await?;
    maps.delete("owner", &DeleteParams::background()).await?;
    check!(maps.get_opt("owner").await?.is_none());
    is_gone(&secrets, "child").await?;
    is_gone(&secrets, "other").await?;
    Ok(())
}

async fn what_is_owned_goes_first_in_the_foreground(env: Env) -> Outcome {
    let (maps, secrets) = family(&env, &["child"]).await?;
    let hold = Patch::Merge(json!({"metadata": {"finalizers": [FINALIZER]}}));
    secrets.patch("child", &PatchParams::default(), &hold).await?;
    check!(maps.delete("owner", &DeleteParams::foreground()).await?.is_left());
    eventually("the child is being deleted", PATIENCE, async || {
        Ok(secrets.get("child").await?.metadata.deletion_timestamp.map(drop))
    })
    .await?;
    let owner = maps.get("owner").await?;
    check_eq!(owner.finalizers(), ["foregroundDeletion"]);
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    secrets.patch("child", &PatchParams::default(), &free).await?;
    eventually("the owner follows", PATIENCE, async || {
        Ok(maps.get_opt("owner").await?.is_none().then_some(()))
    })
    .await?;
    check!(secrets.get_opt("child").await?.is_none());
    Ok(())
}

async fn what_is_orphaned_stays(env: Env) -> Outcome {
    let (maps, secrets) = family(&env, &["child"]).await?;
    maps.delete("owner", &DeleteParams::orphan()).await?;
    eventually("the owner is gone", PATIENCE, async || {
        Ok(maps.get_opt("owner").await?.is_none().then_some(()))
    })
    .await?;
    let child = secrets.get("child").await?;
    check!(child.owner_references().is_empty(), "{:?}", child.owner_references());
    check!(child.metadata.deletion_timestamp.is_none());
    Ok(())
}

async fn what_two_own_stays_until_both_are_gone(env: Env) -> Outcome {
    let (maps, secrets) = family(&env, &["child"]).await?;
    let second = maps.create(&PostParams::default(), &config_map("second", "1")).await?;
    let mut child = secrets.get("child").await?;
    child.owner_references_mut().extend(second.owner_ref(&()));
    secrets.replace("child", &PostParams::default(), &child).await?;
    maps.delete("owner", &DeleteParams::background()).await?;
    eventually("the first owner is taken off", PATIENCE, async || {
        Ok((secrets.get("child").await?.owner_references().len() == 1).then_some(()))
    })
    .await?;
    maps.delete("second", &DeleteParams::background()).await?;
    is_gone(&secrets, "child").await
}

async fn a_namespace_goes_with_its_contents(env: Env) -> Outcome {
    let namespaces: Api<Namespace> = Api::all(env.client());
    let name = env.unique("inner");
    env.deletes_at_end(&namespaces, &name);
    let namespace = Namespace { metadata: named(&name), ..Namespace::default() };
    namespaces.create(&PostParams::default(), &namespace).await?;
    let maps: Api<ConfigMap> = Api::namespaced(env.client(), &name);
    maps.create(&PostParams::default(), &held("held")).await?;
    let deleted = namespaces.delete(&name, &DeleteParams::default()).await?;
    check!(deleted.is_left());
    eventually("its contents are being deleted", PATIENCE, async || {
        Ok(maps.get("held").await?.metadata.deletion_timestamp.map(drop))
    })
    .await?;
    let error = refused!(maps.create(&PostParams::default(), &config_map("late", "1")).await);
    check!(error.is_forbidden(), "{error:?}");
    check!(error.to_string().contains("because it is being terminated"), "{error}");
    let phase = namespaces.get(&name).await?.status.and_then(|status| status.phase);
    check_eq!(phase.as_deref(), Some("Terminating"));
    release(&maps, "held").await?;
    eventually("the namespace is gone", PATIENCE, async || {
        Ok(namespaces.get_opt(&name).await?.is_none().then_some(()))
    })
    .await
}
