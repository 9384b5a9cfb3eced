//! An unknown schema mode.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", schema = "none")]
struct FooSpec {}

fn main() {}
