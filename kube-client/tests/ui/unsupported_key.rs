//! A key that kube accepts and this crate does not support.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", cel)]
struct FooSpec {}

fn main() {}
