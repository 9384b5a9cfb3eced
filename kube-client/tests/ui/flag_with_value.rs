//! A flag with a value.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", namespaced = true)]
struct FooSpec {}

fn main() {}
