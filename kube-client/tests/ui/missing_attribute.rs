//! A derive without `#[kube(..)]`.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]

struct FooSpec {}

fn main() {}
