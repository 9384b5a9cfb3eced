//! Conflicting writes: outdated resource versions, existing names, failed preconditions.

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube_client::{Api, ResourceExt};
use serde_json::json;

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{config_map, config_map_value};

suite!("conflict":
    creating_an_existing_name_is_rejected,
    replace_with_an_outdated_version_conflicts,
    replace_without_a_version_overwrites_the_object,
    replace_with_the_uid_of_a_deleted_object_conflicts,
    patch_with_an_outdated_version_conflicts,
    a_delete_conflicts_if_its_preconditions_fail,
    writers_that_retry_conflicts_lose_no_update,
);

async fn creating_an_existing_name_is_rejected(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let error = refused!(maps.create(&PostParams::default(), &config_map("a", "2")).await);
    check!(error.is_already_exists() && !error.is_conflict(), "{error:?}");
    check!(error.to_string().contains("configmaps \"a\" already exists"), "{error}");
    check!(!error.is_retryable());
    check_eq!(config_map_value(&maps.get("a").await?), "1");
    Ok(())
}

async fn replace_with_an_outdated_version_conflicts(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let mut second = maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    second.data.get_or_insert_default().insert("v".to_owned(), "2".to_owned());
    maps.replace("a", &PostParams::default(), &second).await?;
    let error = refused!(maps.replace("a", &PostParams::default(), &second).await);
    check!(error.is_conflict() && !error.is_already_exists(), "{error:?}");
    check!(error.to_string().contains("the object has been modified"), "{error}");
    Ok(())
}

async fn replace_without_a_version_overwrites_the_object(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let mut unconditional = maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let mut second = unconditional.clone();
    second.data.get_or_insert_default().insert("v".to_owned(), "2".to_owned());
    maps.replace("a", &PostParams::default(), &second).await?;
    unconditional.metadata.resource_version = None;
    check_eq!(config_map_value(&maps.replace("a", &PostParams::default(), &unconditional).await?), "1");
    Ok(())
}

async fn replace_with_the_uid_of_a_deleted_object_conflicts(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let mut deleted = maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    maps.delete("a", &DeleteParams::default()).await?;
    maps.create(&PostParams::default(), &config_map("a", "3")).await?;
    deleted.metadata.resource_version = None;
    check!(refused!(maps.replace("a", &PostParams::default(), &deleted).await).is_conflict());
    Ok(())
}

async fn patch_with_an_outdated_version_conflicts(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let first = maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let patch = |version: Option<String>, value: &str| {
        Patch::Merge(json!({"metadata": {"resourceVersion": version}, "data": {"v": value}}))
    };
    let pp = PatchParams::default();
    let second = maps.patch("a", &pp, &patch(first.resource_version(), "2")).await?;
    check!(refused!(maps.patch("a", &pp, &patch(first.resource_version(), "3")).await).is_conflict());
    check_eq!(config_map_value(&maps.patch("a", &pp, &patch(second.resource_version(), "4")).await?), "4");
    Ok(())
}

async fn a_delete_conflicts_if_its_preconditions_fail(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let created = maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let preconditions = |uid: Option<String>, resource_version: Option<String>| {
        DeleteParams::default().preconditions(Preconditions { resource_version, uid })
    };
    let other = preconditions(Some("00000000-0000-0000-0000-000000000000".to_owned()), None);
    check!(refused!(maps.delete("a", &other).await).is_conflict());
    let merge = Patch::Merge(json!({"data": {"v": "2"}}));
    let changed = maps.patch("a", &PatchParams::default(), &merge).await?;
    check!(
        refused!(maps.delete("a", &preconditions(created.uid(), created.resource_version())).await)
            .is_conflict()
    );
    maps.delete("a", &preconditions(created.uid(), changed.resource_version())).await?;
    check!(maps.get_opt("a").await?.is_none());
    Ok(())
}

async fn writers_that_retry_conflicts_lose_no_update(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &config_map("counter", "0")).await?;
    let increment = async || -> Outcome<usize> {
        let mut conflicts = 0;
        loop {
            let mut map = maps.get("counter").await?;
            let next = config_map_value(&map).parse::<u32>()? + 1;
            map.data.get_or_insert_default().insert("v".to_owned(), next.to_string());
            match maps.replace("counter", &PostParams::default(), &map).await {
                Ok(_) => return Ok(conflicts),
                Err(error) if error.is_conflict() => conflicts += 1,
                Err(error) => return Err(error.into()),
            }
        }
    };
    let conflicts = try_join_all((0..10).map(|_| increment())).await?;
    check_eq!(config_map_value(&maps.get("counter").await?), "10");
    check!(conflicts.iter().sum::<usize>() > 0, "ten concurrent writers had no conflict");
    Ok(())
}
