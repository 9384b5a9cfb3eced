//! Derives and attributes that conflict with generated impls.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", derive = "Clone", derive = "JsonSchema", attr = "serde(default)")]
struct FooSpec {}

fn main() {}
