//! A misspelled key: the error suggests the nearest key.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", shortnames = "f")]
struct FooSpec {}

fn main() {}
