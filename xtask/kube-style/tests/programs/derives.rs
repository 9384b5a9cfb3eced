//! Derive macros, with attributes in the forms that kube accepts.

use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use kube::core::crd::merge_crds;
use kube::core::object::{HasSpec, HasStatus};
use kube::{CustomResource, CustomResourceExt, KubeSchema, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "example.com",
    version = "v1",
    kind = "Lamp",
    plural = "lamps",
    shortname = "lp",
    category = "lights",
    namespaced = true,
    served = "true",
    crates(serde_json = "::serde_json", std = "::std"),
    status = LampStatus,
    derive = "PartialEq",
    derive = "Default",
    selectable = ".spec.color",
    scale = r#"{"specReplicasPath":".spec.count", "statusReplicasPath":".status.count"}"#,
    printcolumn = r#"{"name":"Color", "type":"string", "description":"The color", "jsonPath":".spec.color"}"#,
    printcolumn(name = "Count", type_ = "integer", json_path = ".spec.count"),
    validation = "self.metadata.name != 'dark'"
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.count >= 0").message("a negative count"))]
struct LampSpec {
    #[serde(default = "white")]
    color: String,
    #[serde(default)]
    count: i32,
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[serde(default)]
    rooms: Vec<String>,
}

fn white() -> String {
    "white".into()
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
struct LampStatus {
    count: i32,
}

mod v2 {
    use super::*;

    #[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
    #[kube(
        group = "example.com",
        version = "v2",
        kind = "Lamp",
        namespaced,
        plural = "lamps",
        shortname = "lp",
        category = "lights"
    )]
    pub(super) struct LampSpec {
        color: u32,
    }
}

#[derive(Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = Secret)]
struct Login {
    metadata: ObjectMeta,
}

#[test]
fn the_crd_contains_the_values_of_the_attributes() -> anyhow::Result<()> {
    let crd = serde_json::to_value(Lamp::crd())?;
    let version = &crd["spec"]["versions"][0];
    assert_eq!(crd["spec"]["names"]["shortNames"][0], "lp");
    assert_eq!(version["additionalPrinterColumns"][0]["jsonPath"], ".spec.color");
    assert_eq!(version["subresources"]["scale"]["specReplicasPath"], ".spec.count");
    let schema = &version["schema"]["openAPIV3Schema"];
    assert_eq!(schema["x-kubernetes-validations"][0]["rule"], "self.metadata.name != 'dark'");
    assert_eq!(schema["properties"]["spec"]["properties"]["color"]["default"], "white");
    assert_eq!(schema["properties"]["spec"]["properties"]["rooms"]["x-kubernetes-list-type"], "set");
    Ok(())
}

#[test]
fn the_generated_type_has_the_traits_of_kube() {
    let mut lamp = Lamp::new("hall", LampSpec { count: 2, ..LampSpec::default() });
    assert_eq!((lamp.spec().count, lamp.status()), (2, None));
    lamp.status_mut().get_or_insert_default().count = 1;
    assert_eq!(Lamp::url_path(&(), Some("home")), "/apis/example.com/v1/namespaces/home/lamps");
    assert_eq!(Lamp::api_resource().plural, "lamps");
    assert_eq!(Login::kind(&()), "Secret");
    assert_ne!(lamp, Lamp::default());
}

#[test]
fn merged_versions_have_one_storage_version() -> anyhow::Result<()> {
    let merged = merge_crds(vec![Lamp::crd(), v2::Lamp::crd()], "v1")?;
    assert_eq!(merged.spec.versions.iter().filter(|version| version.storage).count(), 1);
    Ok(())
}
