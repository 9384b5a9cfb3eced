//! Custom resources whose types derive `CustomResource`: CRD installation, schema validation, defaulting, pruning,
//! subresources and deletion.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube_client::core::{ApiResource, DynamicObject, Object};
use kube_client::{Api, CustomResourceExt, ResourceExt};
use kube_runtime::watcher::{self, Event, watcher};
use serde_json::json;
use tokio::time::timeout;

use super::widget::{Widget, WidgetSpec, WidgetStatus, install};
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::eventually;

suite!("crd":
    a_derived_kind_is_served_after_its_crd_is_established,
    stored_crd_equals_the_derived_crd,
    errors_of_schema_violations_contain_the_field,
    defaults_are_applied_and_unknown_fields_are_pruned,
    strategic_merge_patches_are_rejected,
    the_status_changes_only_through_its_subresource,
    scale_subresource_changes_replicas,
    watcher_recovers_when_the_crd_is_installed,
    watcher_emits_stored_objects_again_after_the_schema_changes,
    crd_deletion_deletes_the_custom_resources [Controllers],
    invalid_crds_are_rejected,
);

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The finalizer with which a case delays a deletion.
const FINALIZER: &str = "e2e.example.com/hold";

async fn a_derived_kind_is_served_after_its_crd_is_established(env: Env) -> Outcome {
    let resource = install(&env).await?;
    let widgets: Api<Object<WidgetSpec, WidgetStatus>> =
        Api::namespaced_with(env.client(), env.namespace(), &resource);
    let widget = Object::new("a", &resource, WidgetSpec { size: 3, ..WidgetSpec::default() });
    let created = widgets.create(&PostParams::default(), &widget).await?;
    check_eq!(created.spec.size, 3);
    check_eq!(created.metadata.generation, Some(1));
    check_eq!(widgets.list(&ListParams::default()).await?.items.len(), 1);
    widgets.delete("a", &DeleteParams::default()).await?;
    check!(widgets.get_opt("a").await?.is_none());
    Ok(())
}

async fn stored_crd_equals_the_derived_crd(env: Env) -> Outcome {
    let resource = install(&env).await?;
    let crds: Api<CustomResourceDefinition> = Api::all(env.client());
    let installed = crds.get(&format!("{}.{}", resource.plural, resource.group)).await?;
    let derived = Widget::crd();
    check_eq!(installed.spec.names.kind, "Widget");
    check_eq!(installed.spec.names.short_names.clone().unwrap_or_default(), ["wg"]);
    check_eq!(installed.spec.scope, "Namespaced");
    // The server stores the schema unchanged, without pruning or adding fields.
    let schema = |crd: &CustomResourceDefinition| crd.spec.versions[0].schema.clone();
    check_eq!(serde_json::to_value(schema(&installed))?, serde_json::to_value(schema(&derived))?);
    let conditions = installed.status.and_then(|status| status.conditions).unwrap_or_default();
    let non_structural: Vec<_> = conditions.iter().filter(|c| c.type_ == "NonStructuralSchema").collect();
    check!(non_structural.is_empty(), "{non_structural:?}");
    Ok(())
}

/// Installs the CRD of [`Widget`] and returns an untyped API. The API can send objects that the type cannot represent.
async fn install_crd_with_untyped_api(env: &Env) -> Outcome<(Api<DynamicObject>, ApiResource)> {
    let resource = install(env).await?;
    Ok((Api::namespaced_with(env.client(), env.namespace(), &resource), resource))
}

async fn errors_of_schema_violations_contain_the_field(env: Env) -> Outcome {
    let (widgets, resource) = install_crd_with_untyped_api(&env).await?;
    for (spec, expected) in [
        (
            json!({"size": 0}),
            "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1",
        ),
        (json!({"size": "big"}), "spec.size: Invalid value: \"string\""),
        (json!({}), "spec.size: Required value"),
        (json!({"size": 1, "colour": "blue"}), "spec.colour: Unsupported value: \"blue\""),
    ] {
        let widget = DynamicObject::new("a", &resource).data(json!({"spec": spec}));
        let error = refused!(widgets.create(&PostParams::default(), &widget).await);
        check!(error.is_invalid(), "{spec}: {error:?}");
        check!(error.to_string().contains(expected), "{spec}: {error}");
        check!(error.to_string().contains("Widget."), "{error}");
    }
    Ok(())
}

async fn defaults_are_applied_and_unknown_fields_are_pruned(env: Env) -> Outcome {
    let (widgets, resource) = install_crd_with_untyped_api(&env).await?;
    let widget = DynamicObject::new("a", &resource).data(json!({"spec": {"size": 1, "weight": 7}}));
    let created = widgets.create(&PostParams::default(), &widget).await?;
    check_eq!(created.data["spec"], json!({"size": 1, "colour": "Red"}));
    let strict = PatchParams::default().validation_strict();
    let unknown = Patch::Merge(json!({"spec": {"weight": 7}}));
    let error = refused!(widgets.patch("a", &strict, &unknown).await);
    check!(error.to_string().contains("unknown field \"spec.weight\""), "{error}");
    Ok(())
}

async fn strategic_merge_patches_are_rejected(env: Env) -> Outcome {
    let (widgets, resource) = install_crd_with_untyped_api(&env).await?;
    let widget = DynamicObject::new("a", &resource).data(json!({"spec": {"size": 1}}));
    widgets.create(&PostParams::default(), &widget).await?;
    let strategic = Patch::Strategic(json!({"spec": {"size": 2}}));
    let error = refused!(widgets.patch("a", &PatchParams::default(), &strategic).await);
    check_eq!(error.status().map(|status| status.code), Some(415));
    Ok(())
}

async fn the_status_changes_only_through_its_subresource(env: Env) -> Outcome {
    let resource = install(&env).await?;
    let widgets: Api<Object<WidgetSpec, WidgetStatus>> =
        Api::namespaced_with(env.client(), env.namespace(), &resource);
    let mut widget = Object::new("a", &resource, WidgetSpec { size: 1, ..WidgetSpec::default() });
    widget.status = Some(WidgetStatus { ready: true, replicas: 1 });
    let created = widgets.create(&PostParams::default(), &widget).await?;
    check_eq!(created.status, None);
    let ready = Patch::Merge(json!({"spec": {"size": 9}, "status": {"ready": true, "replicas": 1}}));
    let patched = widgets.patch_status("a", &PatchParams::default(), &ready).await?;
    check_eq!((patched.spec.size, patched.metadata.generation), (1, Some(1)));
    check!(patched.status.as_ref().is_some_and(|status| status.ready));
    let bigger = Patch::Merge(json!({"spec": {"size": 9}, "status": {"ready": false}}));
    let patched = widgets.patch("a", &PatchParams::default(), &bigger).await?;
    check_eq!((patched.spec.size, patched.metadata.generation), (9, Some(2)));
    check!(patched.status.as_ref().is_some_and(|status| status.ready));
    check!(refused!(widgets.replace_status("a", &PostParams::default(), &created).await).is_conflict());
    let mut idle = widgets.get_status("a").await?;
    idle.status = Some(WidgetStatus { ready: false, replicas: 0 });
    let replaced = widgets.replace_status("a", &PostParams::default(), &idle).await?;
    check!(replaced.status.is_some_and(|status| !status.ready));
    Ok(())
}

async fn scale_subresource_changes_replicas(env: Env) -> Outcome {
    let resource = install(&env).await?;
    let widgets: Api<Object<WidgetSpec, WidgetStatus>> =
        Api::namespaced_with(env.client(), env.namespace(), &resource);
    let widget = Object::new("a", &resource, WidgetSpec { size: 2, ..WidgetSpec::default() });
    widgets.create(&PostParams::default(), &widget).await?;
    let scale = widgets.get_scale("a").await?;
    check_eq!(scale.spec.as_ref().and_then(|spec| spec.replicas), Some(2));
    let replicas = Patch::Merge(json!({"spec": {"replicas": 4}}));
    widgets.patch_scale("a", &PatchParams::default(), &replicas).await?;
    check_eq!(widgets.get("a").await?.spec.size, 4);
    Ok(())
}

async fn watcher_recovers_when_the_crd_is_installed(env: Env) -> Outcome {
    let resource = super::widget::resource(&env);
    let widgets: Api<Object<WidgetSpec, WidgetStatus>> =
        Api::namespaced_with(env.client(), env.namespace(), &resource);
    check!(refused!(widgets.list(&ListParams::default()).await).is_not_found());
    let mut stream = watcher(widgets.clone(), watcher::Config::default()).boxed();
    let error = loop {
        match timeout(TIMEOUT, stream.next()).await? {
            Some(Ok(Event::Init)) => {}
            Some(Err(error)) => break error,
            other => check!(false, "expected an error, got {other:?}"),
        }
    };
    check!(error.status().is_some_and(kube_client::core::Status::is_not_found), "{error:?}");
    check!(error.to_string().contains(&resource.plural), "{error}");
    // The same stream then emits the objects of the kind.
    install(&env).await?;
    let widget = Object::new("a", &resource, WidgetSpec { size: 2, ..WidgetSpec::default() });
    widgets.create(&PostParams::default(), &widget).await?;
    let first_widget = async {
        loop {
            match stream.next().await {
                Some(Ok(Event::Apply(widget) | Event::InitApply(widget))) => return widget.name_any(),
                _ => tokio::task::yield_now().await,
            }
        }
    };
    check_eq!(timeout(TIMEOUT, first_widget).await?, "a");
    Ok(())
}

async fn watcher_emits_stored_objects_again_after_the_schema_changes(env: Env) -> Outcome {
    let (widgets, resource) = install_crd_with_untyped_api(&env).await?;
    let widget = DynamicObject::new("a", &resource).data(json!({"spec": {"size": 1}}));
    let created = widgets.create(&PostParams::default(), &widget).await?;
    let mut stream = watcher(widgets.clone(), watcher::Config::default()).boxed();
    while !matches!(timeout(TIMEOUT, stream.try_next()).await??, Some(Event::InitDone)) {}
    let crds: Api<CustomResourceDefinition> = Api::all(env.client());
    let name = format!("{}.{}", resource.plural, resource.group);
    let added = json!([{
        "op": "add",
        "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/added",
        "value": {"type": "string", "default": "new"},
    }]);
    let patch = Patch::Json::<()>(serde_json::from_value(added)?);
    crds.patch(&name, &PatchParams::default(), &patch).await?;
    // The server ends the watch, and the watcher lists the object again.
    let changed_widget = async {
        loop {
            match stream.next().await {
                Some(Ok(Event::Apply(widget) | Event::InitApply(widget)))
                    if widget.data["spec"]["added"] == "new" =>
                {
                    return widget;
                }
                _ => tokio::task::yield_now().await,
            }
        }
    };
    let changed = timeout(TIMEOUT, changed_widget).await?;
    check_eq!(changed.resource_version(), created.resource_version());
    Ok(())
}

async fn crd_deletion_deletes_the_custom_resources(env: Env) -> Outcome {
    let (widgets, resource) = install_crd_with_untyped_api(&env).await?;
    let widget = DynamicObject::new("a", &resource).data(json!({"spec": {"size": 1}}));
    widgets.create(&PostParams::default(), &widget).await?;
    let mut stream = watcher(widgets.clone(), watcher::Config::default()).boxed();
    while !matches!(timeout(TIMEOUT, stream.try_next()).await??, Some(Event::InitDone)) {}
    let crds: Api<CustomResourceDefinition> = Api::all(env.client());
    let name = format!("{}.{}", resource.plural, resource.group);
    // When a server removes a definition, it ends the watches of the kind at once, and an event that a watch has not sent
    // yet is lost. The finalizer keeps the definition until the watcher has received the deletion.
    let hold = Patch::Merge(json!({"metadata": {"finalizers": [FINALIZER]}}));
    crds.patch(&name, &PatchParams::default(), &hold).await?;
    crds.delete(&name, &DeleteParams::default()).await?;
    // The server may end the watch. Then the watcher lists the objects again, and the list does not contain the widget.
    let deleted_widget = async {
        let mut is_listed = true;
        loop {
            match stream.next().await {
                Some(Ok(Event::Delete(widget))) => return Some(widget.name_any()),
                Some(Ok(Event::Init)) => is_listed = false,
                Some(Ok(Event::InitApply(_))) => is_listed = true,
                Some(Ok(Event::InitDone)) if !is_listed => return None,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    if let Some(name) = timeout(TIMEOUT, deleted_widget).await? {
        check_eq!(name, "a");
    }
    eventually("only the finalizer of this case is left", TIMEOUT, async || {
        Ok((crds.get(&name).await?.finalizers() == [FINALIZER]).then_some(()))
    })
    .await?;
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    crds.patch(&name, &PatchParams::default(), &release).await?;
    eventually("the kind is no longer served and the CRD is deleted", TIMEOUT, async || {
        let unserved =
            matches!(widgets.list(&ListParams::default()).await, Err(error) if error.is_not_found());
        Ok((unserved && crds.get_opt(&name).await?.is_none()).then_some(()))
    })
    .await
}

async fn invalid_crds_are_rejected(env: Env) -> Outcome {
    let crds: Api<CustomResourceDefinition> = Api::all(env.client());
    let mut misnamed_crd = Widget::crd();
    misnamed_crd.metadata.name = Some(format!("other.{}", env.unique_name("group")));
    let error = refused!(crds.create(&PostParams::default(), &misnamed_crd).await);
    check!(error.is_invalid() && error.to_string().contains("metadata.name"), "{error}");
    let mut crd_without_storage_version = super::widget::definition(&env);
    crd_without_storage_version.spec.versions[0].storage = false;
    let error = refused!(crds.create(&PostParams::default(), &crd_without_storage_version).await);
    check!(error.is_invalid() && error.to_string().contains("storage"), "{error}");
    Ok(())
}
