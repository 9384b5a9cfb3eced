//! JSON paths that an API server rejects, and an unknown column type.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", status = "Status", selectable = "spec.color", printcolumn(name = "A", type_ = "text", json_path = "spec.a"), scale(spec_replicas_path = ".status.a", status_replicas_path = ".status.b"))]
struct FooSpec {}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Status {}

fn main() {}
