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

// The types implement `Resource` after the errors, so that their uses cause no further errors.
fn paths() {
    use kube_client::Resource;
    let _ = (WithoutKind::url_path(&(), Some("a")), WithoutMetadata::kind(&()), NoStruct::kind(&()));
}

fn main() {}
