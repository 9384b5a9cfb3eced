//! A crate in `crates(..)` that the generated code does not use.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", crates(serde_json = "::serde_json"))]
struct FooSpec {}

fn main() {}
