//! A column without its JSON path.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", printcolumn(name = "A", type_ = "string"))]
struct FooSpec {}

fn main() {}
