//! A `status` that does not parse as a type.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", status = "not a type")]
struct FooSpec {}

fn main() {}
