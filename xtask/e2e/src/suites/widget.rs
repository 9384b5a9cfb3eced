//! `Widget`: the custom resource of the suites. Every case has its own, in a group of its own.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::api::{ListParams, PostParams};
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube_client::{Api, CustomResourceExt};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::env::Env;
use crate::failure::Outcome;
use crate::support::{LABEL, eventually};

/// What a widget is to be.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "e2e.example.com",
    version = "v1",
    kind = "Widget",
    namespaced,
    shortname = "wg",
    status = "WidgetStatus",
    scale(spec_replicas_path = ".spec.size", status_replicas_path = ".status.replicas")
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WidgetSpec {
    /// How large it is.
    #[schemars(range(min = 1))]
    pub(crate) size: i32,
    /// Which colour it has.
    #[serde(default)]
    pub(crate) colour: Colour,
}

/// The colour of a widget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub(crate) enum Colour {
    #[default]
    Red,
    Green,
}

/// What a widget is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub(crate) struct WidgetStatus {
    /// Whether it can be used.
    #[serde(default)]
    pub(crate) ready: bool,
    /// How many parts it has.
    #[serde(default)]
    pub(crate) replicas: i32,
}

/// How a case's own widgets are addressed.
pub(crate) fn resource(env: &Env) -> ApiResource {
    let group = format!("{}.example.com", env.namespace());
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(&group, "v1", "Widget"), "widgets")
}

/// The definition of a case's own widgets.
pub(crate) fn definition(env: &Env) -> CustomResourceDefinition {
    let mut crd = Widget::crd();
    let resource = resource(env);
    crd.metadata.name = Some(format!("widgets.{}", resource.group));
    crd.spec.group = resource.group;
    crd.metadata.labels.get_or_insert_default().insert(LABEL.0.to_owned(), LABEL.1.to_owned());
    crd
}

/// Installs a case's own widgets until its end, and waits until they are served.
pub(crate) async fn install(env: &Env) -> Outcome<ApiResource> {
    serve(env, &definition(env)).await?;
    Ok(resource(env))
}

/// Installs a definition until the end of the case, and waits until its kind is served.
pub(crate) async fn serve(env: &Env, crd: &CustomResourceDefinition) -> Outcome<ApiResource> {
    let crds: Api<CustomResourceDefinition> = Api::all(env.client());
    let name = crd.metadata.name.clone().unwrap_or_default();
    env.deletes_at_end(&crds, &name);
    crds.create(&PostParams::default(), crd).await?;
    eventually("the definition is established", Duration::from_secs(30), async || {
        let status = crds.get(&name).await?.status;
        let mut conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
        Ok(conditions.any(|c| c.type_ == "Established" && c.status == "True").then_some(()))
    })
    .await?;
    let kind = GroupVersionKind::gvk(&crd.spec.group, &crd.spec.versions[0].name, &crd.spec.names.kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, &crd.spec.names.plural);
    let objects: Api<DynamicObject> = Api::all_with(env.client(), &resource);
    // The API server may serve the kind only some time after the `Established` condition is true.
    eventually("the kind is served", Duration::from_secs(30), async || {
        match objects.list(&ListParams::default()).await {
            Ok(_) => Ok(Some(())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await?;
    Ok(resource)
}
