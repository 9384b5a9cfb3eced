//! The four patch types: merge, JSON, strategic merge and apply.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{Patch, PatchParams, PostParams};
use kube_client::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{config_map, config_map_value, deployment};

suite!("patch":
    merge_patch_sets_and_removes_fields,
    json_patch_is_atomic,
    strategic_merge_merges_lists_by_key,
    an_apply_creates_the_object_and_its_manager_owns_the_fields,
    an_apply_conflicts_unless_it_is_forced,
    an_apply_removes_omitted_fields,
    field_managers_own_individual_items_of_a_list,
    creation_by_apply_requires_the_name,
    client_rejects_apply_without_a_field_manager,
    invalid_patch_reports_the_cause,
);

/// The data of a config map, with borrowed keys and values.
fn data(map: &ConfigMap) -> BTreeMap<&str, &str> {
    map.data.iter().flatten().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

async fn merge_patch_sets_and_removes_fields(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let patch = Patch::Merge(json!({
        "metadata": {"labels": {"tier": "web"}},
        "data": {"v": null, "w": "2"},
    }));
    let patched = maps.patch("a", &PatchParams::default(), &patch).await?;
    check_eq!(data(&patched), BTreeMap::from([("w", "2")]));
    check_eq!(patched.labels().get("tier").map(String::as_str), Some("web"));
    // A patch without effect keeps the resource version.
    let again = maps.patch("a", &PatchParams::default(), &patch).await?;
    check_eq!(again.resource_version(), patched.resource_version());
    Ok(())
}

async fn json_patch_is_atomic(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let created = maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let operations = |first: &str| {
        serde_json::from_value(json!([
            {"op": "test", "path": "/data/v", "value": first},
            {"op": "replace", "path": "/data/v", "value": "2"},
            {"op": "add", "path": "/metadata/annotations", "value": {}},
            {"op": "add", "path": "/metadata/annotations/e2e~1slash", "value": "yes"},
            {"op": "copy", "from": "/data/v", "path": "/data/copy"},
        ]))
    };
    let wrong: Patch<Value> = Patch::Json(operations("9")?);
    let error = refused!(maps.patch("a", &PatchParams::default(), &wrong).await);
    check!(error.is_invalid(), "{error:?}");
    check_eq!(maps.get("a").await?, created);
    let right: Patch<Value> = Patch::Json(operations("1")?);
    let patched = maps.patch("a", &PatchParams::default(), &right).await?;
    check_eq!(data(&patched), BTreeMap::from([("v", "2"), ("copy", "2")]));
    check_eq!(patched.annotations().get("e2e/slash").map(String::as_str), Some("yes"));
    Ok(())
}

/// The name and image of each container in the pod template.
fn containers(deployment: &Deployment) -> Vec<(String, Option<String>)> {
    let pod = deployment.spec.template.spec.iter();
    pod.flat_map(|pod| &pod.containers).map(|c| (c.name.clone(), c.image.clone())).collect()
}

async fn strategic_merge_merges_lists_by_key(env: Env) -> Outcome {
    let deployments: Api<Deployment> = env.api();
    deployments.create(&PostParams::default(), &deployment("web", 0)?).await?;
    let change = |containers: Value| {
        Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": containers}}}}))
    };
    let pp = PatchParams::default();
    let sidecar = change(json!([{"name": "side", "image": "side:1"}]));
    let patched = deployments.patch("web", &pp, &sidecar).await?;
    check_eq!(patched.metadata.generation, Some(2));
    let mut all = containers(&patched);
    all.sort();
    check_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["main", "side"]);
    let newer = change(json!([{"name": "side", "image": "side:2"}]));
    let patched = deployments.patch("web", &pp, &newer).await?;
    check!(containers(&patched).contains(&("side".to_owned(), Some("side:2".to_owned()))));
    let without = change(json!([{"name": "side", "$patch": "delete"}]));
    let patched = deployments.patch("web", &pp, &without).await?;
    check_eq!(containers(&patched).len(), 1);
    // A merge patch replaces the list.
    let other = json!({"spec": {"template": {"spec": {"containers": [{"name": "other", "image": "o"}]}}}});
    let patched = deployments.patch("web", &pp, &Patch::Merge(other)).await?;
    check_eq!(containers(&patched), [("other".to_owned(), Some("o".to_owned()))]);
    Ok(())
}

/// An apply patch of the config map `a` with `data`.
fn new_apply_patch(data: &Value) -> Patch<Value> {
    Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}))
}

async fn an_apply_creates_the_object_and_its_manager_owns_the_fields(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let created = maps.patch("a", &PatchParams::apply("one"), &new_apply_patch(&json!({"v": "1"}))).await?;
    check_eq!(config_map_value(&created), "1");
    let fields = created.managed_fields();
    check_eq!(fields.len(), 1);
    check_eq!(fields[0].manager.as_deref(), Some("one"));
    check_eq!(fields[0].operation.as_deref(), Some("Apply"));
    check_eq!(fields[0].fields_v1.as_ref().map(|f| f.0.clone()), Some(json!({"f:data": {"f:v": {}}})));
    let again = maps.patch("a", &PatchParams::apply("one"), &new_apply_patch(&json!({"v": "1"}))).await?;
    check_eq!(again.resource_version(), created.resource_version());
    Ok(())
}

async fn an_apply_conflicts_unless_it_is_forced(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.patch("a", &PatchParams::apply("one"), &new_apply_patch(&json!({"v": "1"}))).await?;
    let changed = new_apply_patch(&json!({"v": "2", "w": "2"}));
    let error = refused!(maps.patch("a", &PatchParams::apply("two"), &changed).await);
    check!(error.is_conflict(), "{error:?}");
    check!(error.to_string().contains("\"one\"") && error.to_string().contains(".data.v"), "{error}");
    let causes = error.status().and_then(|status| status.details.as_ref()).map_or(0, |d| d.causes.len());
    check_eq!(causes, 1);
    // Applying the current value causes no conflict. Both managers then own the field.
    let same = maps.patch("a", &PatchParams::apply("two"), &new_apply_patch(&json!({"v": "1"}))).await?;
    check_eq!(same.managed_fields().len(), 2);
    let forced = maps.patch("a", &PatchParams::apply("two").force(), &changed).await?;
    check_eq!(data(&forced), BTreeMap::from([("v", "2"), ("w", "2")]));
    check!(forced.managed_fields().iter().all(|field| field.manager.as_deref() == Some("two")));
    Ok(())
}

async fn an_apply_removes_omitted_fields(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.patch("a", &PatchParams::apply("one"), &new_apply_patch(&json!({"v": "1", "w": "1"}))).await?;
    let merge = Patch::Merge(json!({"data": {"x": "1"}}));
    maps.patch("a", &PatchParams::default(), &merge).await?;
    let reduced = maps.patch("a", &PatchParams::apply("one"), &new_apply_patch(&json!({"v": "1"}))).await?;
    check_eq!(data(&reduced), BTreeMap::from([("v", "1"), ("x", "1")]));
    Ok(())
}

async fn field_managers_own_individual_items_of_a_list(env: Env) -> Outcome {
    let deployments: Api<Deployment> = env.api();
    deployments.create(&PostParams::default(), &deployment("web", 0)?).await?;
    let apply_container = |name: &str| {
        let container = json!({"name": name, "image": "i"});
        Patch::Apply(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "spec": {"template": {"spec": {"containers": [container]}}},
        }))
    };
    deployments.patch("web", &PatchParams::apply("injector"), &apply_container("side")).await?;
    let patched = deployments.patch("web", &PatchParams::apply("other"), &apply_container("third")).await?;
    check_eq!(containers(&patched).len(), 3);
    let nothing = Patch::Apply(json!({"apiVersion": "apps/v1", "kind": "Deployment"}));
    let patched = deployments.patch("web", &PatchParams::apply("injector"), &nothing).await?;
    let names: Vec<_> = containers(&patched).into_iter().map(|(name, _)| name).collect();
    check_eq!(names, ["main", "third"]);
    Ok(())
}

async fn creation_by_apply_requires_the_name(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let nameless = Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"v": "2"}}));
    let error = refused!(maps.patch("a", &PatchParams::apply("one"), &nameless).await);
    check!(error.to_string().contains("name must be provided"), "{error}");
    maps.patch("a", &PatchParams::apply("one"), &new_apply_patch(&json!({"v": "1"}))).await?;
    check_eq!(config_map_value(&maps.patch("a", &PatchParams::apply("one"), &nameless).await?), "2");
    Ok(())
}

async fn client_rejects_apply_without_a_field_manager(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let error =
        refused!(maps.patch("a", &PatchParams::default(), &new_apply_patch(&json!({"v": "1"}))).await);
    check!(error.to_string().contains("field manager"), "{error}");
    check!(maps.get_opt("a").await?.is_none());
    Ok(())
}

async fn invalid_patch_reports_the_cause(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let pp = PatchParams::default();
    let number = Patch::Merge(json!({"data": {"v": 1}}));
    let error = refused!(maps.patch("a", &pp, &number).await);
    check!(error.is_invalid() && error.to_string().contains("cannot unmarshal number"), "{error}");
    let bad_label = Patch::Merge(json!({"metadata": {"labels": {"a b": "c"}}}));
    let error = refused!(maps.patch("a", &pp, &bad_label).await);
    check!(error.is_invalid() && error.to_string().contains("metadata.labels"), "{error}");
    let renamed = Patch::Merge(json!({"metadata": {"name": "b"}}));
    let error = refused!(maps.patch("a", &pp, &renamed).await);
    check!(error.status().is_some_and(kube_client::core::Status::is_bad_request), "{error:?}");
    check_eq!(config_map_value(&maps.get("a").await?), "1");
    Ok(())
}
