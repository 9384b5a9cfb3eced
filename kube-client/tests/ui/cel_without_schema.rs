//! `cel` needs a schema.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize)]
#[kube(group = "example.com", version = "v1", kind = "Foo", schema = "disabled", cel = true)]
struct FooSpec {}

fn main() {}
