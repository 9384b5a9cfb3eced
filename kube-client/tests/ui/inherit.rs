//! Mistakes in `#[derive(Resource)]`.

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};

#[derive(kube_derive::Resource)]
struct WithoutKind {
    metadata: ObjectMeta,
}

#[derive(kube_derive::Resource)]
#[resource(inherit = ConfigMap, inherits = ConfigMap)]
struct WithoutMetadata {
    data: u8,
}

#[derive(kube_derive::Resource)]
#[resource(inherit = ConfigMap)]
enum NoStruct {}

fn main() {}
