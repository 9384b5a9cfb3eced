//! A crate that is not used.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", crates(serde_json = "::serde_json"))]
struct FooSpec {}

fn main() {}
