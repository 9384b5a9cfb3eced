//! A duplicate key.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", kind = "Bar")]
struct FooSpec {}

fn main() {}
