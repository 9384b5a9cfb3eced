//! The raw JSON form of `printcolumn` that kube accepts.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", printcolumn = r#"{"name":"A"}"#)]
struct FooSpec {}

fn main() {}
