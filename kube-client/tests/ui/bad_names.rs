//! Names that an API server rejects.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example", version = "V1", kind = "foo", plural = "Foos", shortname = "f_o", label("a b", "-"))]
struct FooSpec {}

fn main() {}
