//! A status that is no type.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", status = "not a type")]
struct FooSpec {}

fn main() {}
