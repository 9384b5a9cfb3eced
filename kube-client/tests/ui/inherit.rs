//! Mistakes in `#[resource(..)]`, and types that `#[derive(Resource)]` does not support.

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

// Despite the errors, the macro implements `Resource`. Therefore this function causes no further errors.
fn use_resources() {
    use kube_client::Resource;
    let _ = (WithoutKind::url_path(&(), Some("a")), WithoutMetadata::kind(&()), NoStruct::kind(&()));
}

fn main() {}
