//! `Widget`: the custom resource of the suites. Each case installs its own CRD, with its own API group.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::api::{ListParams, PostParams};
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube_client::{Api, CustomResourceExt};
use kube_derive::CustomResource;
use kube_runtime::wait::{Condition, conditions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::env::Env;
use crate::failure::Outcome;
use crate::support::{MANAGED_BY_LABEL, eventually};

/// The desired state of a widget.
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
    /// The size, at least 1.
    #[schemars(range(min = 1))]
    pub(crate) size: i32,
    /// The colour.
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

/// The observed state of a widget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub(crate) struct WidgetStatus {
    /// Whether the widget is ready.
    #[serde(default)]
    pub(crate) ready: bool,
    /// The number of replicas, for the scale subresource.
    #[serde(default)]
    pub(crate) replicas: i32,
}

/// The group, version and kind of the case's widgets.
pub(crate) fn resource(env: &Env) -> ApiResource {
    let group = format!("{}.example.com", env.namespace());
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(&group, "v1", "Widget"), "widgets")
}

/// The CRD of the case's widgets.
pub(crate) fn definition(env: &Env) -> CustomResourceDefinition {
    let mut crd = Widget::crd();
    let resource = resource(env);
    crd.metadata.name = Some(format!("widgets.{}", resource.group));
    crd.spec.group = resource.group;
    crd.metadata
        .labels
        .get_or_insert_default()
        .insert(MANAGED_BY_LABEL.0.to_owned(), MANAGED_BY_LABEL.1.to_owned());
    crd
}

/// Installs the CRD of the case's widgets, waits until the kind is served, and registers the deletion of the CRD.
pub(crate) async fn install(env: &Env) -> Outcome<ApiResource> {
    install_crd(env, &definition(env)).await?;
    Ok(resource(env))
}

/// Installs a CRD, waits until its kind is served, and registers the deletion of the CRD at the end of the case.
pub(crate) async fn install_crd(env: &Env, crd: &CustomResourceDefinition) -> Outcome<ApiResource> {
    let crds: Api<CustomResourceDefinition> = Api::all(env.client());
    let name = crd.metadata.name.clone().unwrap_or_default();
    env.delete_at_end(&crds, &name);
    crds.create(&PostParams::default(), crd).await?;
    eventually("the definition is established", Duration::from_secs(30), async || {
        let crd = crds.get(&name).await?;
        Ok(conditions::is_crd_established().matches_object(Some(&crd)).then_some(()))
    })
    .await?;
    let kind = GroupVersionKind::gvk(&crd.spec.group, &crd.spec.versions[0].name, &crd.spec.names.kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, &crd.spec.names.plural);
    let objects: Api<DynamicObject> = Api::all_with(env.client(), &resource);
    // The API server may set `Established` shortly before its handlers serve the kind.
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
