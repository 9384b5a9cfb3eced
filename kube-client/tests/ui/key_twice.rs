//! A key that stands once stands once.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", kind = "Bar")]
struct FooSpec {}

fn main() {}
