//! Derived custom resources: installation, validation, deletion of the definition.

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
    a_derived_kind_is_served_once_it_is_established,
    the_definition_is_what_was_derived,
    what_the_schema_forbids_is_refused_by_field,
    defaults_are_filled_in_and_unknown_fields_dropped,
    a_status_is_a_subresource,
    replicas_of_a_custom_kind_are_scaled,
    a_kind_that_is_not_installed_is_an_error_until_it_is,
    a_definition_takes_its_objects_along [Controllers],
    a_definition_that_makes_no_sense_is_refused,
);

const PATIENCE: Duration = Duration::from_secs(30);

async fn a_derived_kind_is_served_once_it_is_established(env: Env) -> Outcome {
    let resource = install(&env).await?;
    let widgets: Api<Object<WidgetSpec, WidgetStatus>> =
        Api::namespaced_with(env.client(), env.namespace(), &resource);
    let widget = Object::new("a", &resource, WidgetSpec { size: 3, ..WidgetSpec::default() });
    let made = widgets.create(&PostParams::default(), &widget).await?;
    check_eq!(made.spec.size, 3);
    check_eq!(made.metadata.generation, Some(1));
    check_eq!(widgets.list(&ListParams::default()).await?.items.len(), 1);
    widgets.delete("a", &DeleteParams::default()).await?;
    check!(widgets.get_opt("a").await?.is_none());
    Ok(())
}

async fn the_definition_is_what_was_derived(env: Env) -> Outcome {
    let resource = install(&env).await?;
    let crds: Api<CustomResourceDefinition> = Api::all(env.client());
    let installed = crds.get(&format!("{}.{}", resource.plural, resource.group)).await?;
    let derived = Widget::crd();
    check_eq!(installed.spec.names.kind, "Widget");
    check_eq!(installed.spec.names.short_names.clone().unwrap_or_default(), ["wg"]);
    check_eq!(installed.spec.scope, "Namespaced");
    // The server stores the schema unchanged.
    let schema = |crd: &CustomResourceDefinition| crd.spec.versions[0].schema.clone();
    check_eq!(serde_json::to_value(schema(&installed))?, serde_json::to_value(schema(&derived))?);
    let conditions = installed.status.and_then(|status| status.conditions).unwrap_or_default();
    let troubled: Vec<_> = conditions.iter().filter(|c| c.type_ == "NonStructuralSchema").collect();
    check!(troubled.is_empty(), "{troubled:?}");
    Ok(())
}

/// The objects as JSON, to send values that the Rust type excludes.
async fn raw(env: &Env) -> Outcome<(Api<DynamicObject>, ApiResource)> {
    let resource = install(env).await?;
    Ok((Api::namespaced_with(env.client(), env.namespace(), &resource), resource))
}

async fn what_the_schema_forbids_is_refused_by_field(env: Env) -> Outcome {
    let (widgets, resource) = raw(&env).await?;
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

async fn defaults_are_filled_in_and_unknown_fields_dropped(env: Env) -> Outcome {
    let (widgets, resource) = raw(&env).await?;
    let widget = DynamicObject::new("a", &resource).data(json!({"spec": {"size": 1, "weight": 7}}));
    let made = widgets.create(&PostParams::default(), &widget).await?;
    check_eq!(made.data["spec"], json!({"size": 1, "colour": "Red"}));
    let strict = PatchParams::default().validation_strict();
    let unknown = Patch::Merge(json!({"spec": {"weight": 7}}));
    let error = refused!(widgets.patch("a", &strict, &unknown).await);
    check!(error.to_string().contains("unknown field \"spec.weight\""), "{error}");
    let strategic = Patch::Strategic(json!({"spec": {"size": 2}}));
    let error = refused!(widgets.patch("a", &PatchParams::default(), &strategic).await);
    check_eq!(error.status().map(|status| status.code), Some(415));
    Ok(())
}

async fn a_status_is_a_subresource(env: Env) -> Outcome {
    let resource = install(&env).await?;
    let widgets: Api<Object<WidgetSpec, WidgetStatus>> =
        Api::namespaced_with(env.client(), env.namespace(), &resource);
    let mut widget = Object::new("a", &resource, WidgetSpec { size: 1, ..WidgetSpec::default() });
    widget.status = Some(WidgetStatus { ready: true, replicas: 1 });
    let made = widgets.create(&PostParams::default(), &widget).await?;
    check_eq!(made.status, None);
    let ready = Patch::Merge(json!({"spec": {"size": 9}, "status": {"ready": true, "replicas": 1}}));
    let patched = widgets.patch_status("a", &PatchParams::default(), &ready).await?;
    check_eq!((patched.spec.size, patched.metadata.generation), (1, Some(1)));
    check!(patched.status.as_ref().is_some_and(|status| status.ready));
    let bigger = Patch::Merge(json!({"spec": {"size": 9}, "status": {"ready": false}}));
    let patched = widgets.patch("a", &PatchParams::default(), &bigger).await?;
    check_eq!((patched.spec.size, patched.metadata.generation), (9, Some(2)));
    check!(patched.status.as_ref().is_some_and(|status| status.ready));
    check!(refused!(widgets.replace_status("a", &PostParams::default(), &made).await).is_conflict());
    let mut idle = widgets.get_status("a").await?;
    idle.status = Some(WidgetStatus { ready: false, replicas: 0 });
    let replaced = widgets.replace_status("a", &PostParams::default(), &idle).await?;
    check!(replaced.status.is_some_and(|status| !status.ready));
    Ok(())
}

async fn replicas_of_a_custom_kind_are_scaled(env: Env) -> Outcome {
    let resource = install(&env).await?;
    let widgets: Api<Object<WidgetSpec, WidgetStatus>> =
        Api::namespaced_with(env.client(), env.namespace(), &resource);
    let widget = Object::new("a", &resource, WidgetSpec { size: 2, ..WidgetSpec::default() });
    widgets.create(&PostParams::default(), &widget).await?;
    let scale = widgets.get_scale("a").await?;
    check_eq!(scale.spec.as_ref().and_then(|spec| spec.replicas), Some(2));
    let four = Patch::Merge(json!({"spec": {"replicas": 4}}));
    widgets.patch_scale("a", &PatchParams::default(), &four).await?;
    check_eq!(widgets.get("a").await?.spec.size, 4);
    Ok(())
}

async fn a_kind_that_is_not_installed_is_an_error_until_it_is(env: Env) -> Outcome {
    let resource = super::widget::resource(&env);
    let widgets: Api<Object<WidgetSpec, WidgetStatus>> =
        Api::namespaced_with(env.client(), env.namespace(), &resource);
    check!(refused!(widgets.list(&ListParams::default()).await).is_not_found());
    let mut stream = watcher(widgets.clone(), watcher::Config::default()).boxed();
    let error = loop {
        match timeout(PATIENCE, stream.next()).await? {
            Some(Ok(Event::Init)) => {}
            Some(Err(error)) => break error,
            other => check!(false, "{other:?}"),
        }
    };
    check!(error.status().is_some_and(kube_client::core::Status::is_not_found), "{error:?}");
    check!(error.to_string().contains(&resource.plural), "{error}");
    // The same stream continues.
    install(&env).await?;
    let widget = Object::new("a", &resource, WidgetSpec { size: 2, ..WidgetSpec::default() });
    widgets.create(&PostParams::default(), &widget).await?;
    let seen = async {
        loop {
            match stream.next().await {
                Some(Ok(Event::Apply(widget) | Event::InitApply(widget))) => return widget.name_any(),
                _ => tokio::task::yield_now().await,
            }
        }
    };
    check_eq!(timeout(PATIENCE, seen).await?, "a");
    Ok(())
}

async fn a_definition_takes_its_objects_along(env: Env) -> Outcome {
    let (widgets, resource) = raw(&env).await?;
    let widget = DynamicObject::new("a", &resource).data(json!({"spec": {"size": 1}}));
    widgets.create(&PostParams::default(), &widget).await?;
    let mut stream = watcher(widgets.clone(), watcher::Config::default()).boxed();
    while !matches!(timeout(PATIENCE, stream.try_next()).await??, Some(Event::InitDone)) {}
    let crds: Api<CustomResourceDefinition> = Api::all(env.client());
    let name = format!("{}.{}", resource.plural, resource.group);
    crds.delete(&name, &DeleteParams::default()).await?;
    let told = async {
        loop {
            if let Some(Ok(Event::Delete(widget))) = stream.next().await {
                return widget.name_any();
            }
        }
    };
    check_eq!(timeout(PATIENCE, told).await?, "a");
    eventually("the kind is not served any more", PATIENCE, async || {
        let gone = matches!(widgets.list(&ListParams::default()).await, Err(error) if error.is_not_found());
        Ok((gone && crds.get_opt(&name).await?.is_none()).then_some(()))
    })
    .await
}

async fn a_definition_that_makes_no_sense_is_refused(env: Env) -> Outcome {
    let crds: Api<CustomResourceDefinition> = Api::all(env.client());
    let mut misnamed = Widget::crd();
    misnamed.metadata.name = Some(format!("other.{}", env.unique("group")));
    let error = refused!(crds.create(&PostParams::default(), &misnamed).await);
    check!(error.is_invalid() && error.to_string().contains("metadata.name"), "{error}");
    let mut unstored = super::widget::definition(&env);
    unstored.spec.versions[0].storage = false;
    let error = refused!(crds.create(&PostParams::default(), &unstored).await);
    check!(error.is_invalid() && error.to_string().contains("storage"), "{error}");
    Ok(())
}
