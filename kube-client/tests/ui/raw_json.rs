//! `printcolumn` with raw JSON, which kube accepts and this crate does not support.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", printcolumn = r#"{"name":"A"}"#)]
struct FooSpec {}

fn main() {}
