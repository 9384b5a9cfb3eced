//! `scale` without `status`.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", scale(spec_replicas_path = ".spec.a", status_replicas_path = ".status.b"))]
struct FooSpec {}

fn main() {}
