//! A spec with `no_spec` and fields that have the same names as fields of the root struct.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", no_spec)]
struct FooSpec { status: String, own: String }

fn main() {}
