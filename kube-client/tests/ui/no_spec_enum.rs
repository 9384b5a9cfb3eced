//! `no_spec` on an enum, which has no fields.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", no_spec)]
enum FooSpec { A, B }

fn main() {}
