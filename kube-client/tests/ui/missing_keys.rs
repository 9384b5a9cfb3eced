//! All missing required keys are reported at once.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(namespaced)]
struct FooSpec {}

fn main() {}
